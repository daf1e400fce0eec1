"""A project with a Celery app and a Django site, recorded once in real processes, and replayed.

Nothing in its own code knows of tracediff but one line for each framework.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard

from servers.processes import free_port
from servers.redis import Redis
from tracediff.api import Project, open_project
from tracediff.checks import Wanted
from tracediff.model import Query, Row, Trace

ROOT = Path(__file__).parents[2]
SECONDS = 60.0

FILES = {
    "pyproject.toml": """
        [tool.tracediff]
        inputs = ["os.environ", "uuid"]
        jobs = ["desk.*"]
        autotrace = ["desk.*"]
        depth = "full"
        pythonpath = ["."]

        [tool.tracediff.keys]
        "desk.tasks.named" = "prices/named"

        [tool.tracediff.job."desk/tasks/unwanted"]
        enabled = false
    """,
    "desk/__init__.py": "",
    "desk/app.py": """
        import os
        import tracediff.celery
        from celery import Celery, Task

        class Tenant(Task):
            calls = 0

            def __call__(self, *args, **kwargs):
                type(self).calls += 1
                return super().__call__(*args, **kwargs)

        broker = os.environ.get("BROKER", "redis://127.0.0.1:1/0")
        app = Celery("desk", broker=broker, backend=broker)
        app.conf.update(
            include=["desk.tasks"], worker_hijack_root_logger=False, task_ignore_result=False,
            broker_connection_retry_on_startup=True, redis_socket_connect_timeout=2,
        )
    """,
    "desk/rates.py": """
        def vat(net):
            return net * 119 // 100
    """,
    "desk/tasks.py": """
        import os
        import time
        from celery import chain, chord, group, shared_task
        from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
        from desk.app import Tenant, app
        from desk.rates import vat

        @shared_task
        def price(order, quantity=1, *, password=None):
            log.delay(order)
            return vat(order * quantity)

        @app.task
        def log(order):
            return None

        @app.task
        def named():
            return 1

        @app.task
        def unwanted():
            return 1

        @app.task(base=Tenant, bind=True)
        def bound(self, order):
            return vat(order), self.request.retries, self.request.id

        @app.task(bind=True, max_retries=2)
        def tried(self, order):
            if self.request.retries < 1:
                raise self.retry(countdown=0.01)
            return order

        @app.task(autoretry_for=(ValueError,), retry_kwargs={"max_retries": 1, "countdown": 0.01})
        def autotried(order):
            raise ValueError(f"no price for {order}, password=hunter2")

        @app.task
        def failing(order):
            raise LookupError(order)

        @app.task
        def ignoring():
            raise Ignore()

        @app.task(acks_late=True)
        def rejecting():
            raise Reject("no", requeue=False)

        @app.task(soft_time_limit=1)
        def slow():
            time.sleep(30)

        @app.task
        def composed():
            chain(price.s(1), log.s()).apply_async()
            group(price.s(2), price.s(3)).apply_async()
            chord([price.s(4), price.s(5)])(total.s())
            app.send_task("desk.tasks.named", countdown=0.01)
            return sum(price.apply((n,)).get(disable_sync_subtasks=False) for n in (1, 2))

        @app.task
        def total(found):
            return sum(found)

        @app.task(bind=True)
        def telling(self):
            self.update_state(state="HALF", meta={"done": 1})
            return price(7)

        @app.task(bind=True)
        def surviving(self, number):
            with open("survived", "a") as file:
                file.write(f"{number} {os.getpid()}\\n")
            return number

        class Total(app.Task):
            name = "desk.tasks.summed"

            def run(self, *numbers):
                return sum(numbers)

        app.register_task(Total())
    """,
    "manage.py": """
        import os
        import sys

        if __name__ == "__main__":
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "desk.settings")
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    """,
    "desk/settings.py": """
        SECRET_KEY = "x" * 50
        ALLOWED_HOSTS = ["*"]
        ROOT_URLCONF = "desk.urls"
        USE_TZ = True
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        DATABASES = {"default": {
            "ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3", "ATOMIC_REQUESTS": True,
        }}
        INSTALLED_APPS = [
            "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
            "django.contrib.messages", "tracediff.django", "desk",
        ]
        MIDDLEWARE = [
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ]
        PAGE = "<p>{{ price }}</p>{% csrf_token %}"
        TEMPLATES = [{
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.locmem.Loader", {"page.html": PAGE})],
                "context_processors": ["django.template.context_processors.request"],
            },
        }]
    """,
    "desk/wsgi.py": """
        import os
        from django.core.wsgi import get_wsgi_application

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "desk.settings")
        application = get_wsgi_application()
    """,
    "desk/urls.py": """
        from django.db import transaction
        from django.urls import path
        from django.views.generic import RedirectView
        from desk import views

        urlpatterns = [
            path("price/<int:order>/", views.price), path("page/", views.Page.as_view(factor=3)),
            path("stream/", views.stream), path("boom/", views.boom), path("none/", views.none),
            path("bad/", views.bad), path("login/", views.log_in), path("me/", views.me),
            path("cart/", views.cart), path("reset/<str:token>/", views.reset),
            path("form/", views.form), path("plain/", views.plain),
            path("apage/", transaction.non_atomic_requests(views.apage)),
            path("away/", RedirectView.as_view(url=None)), path("taken/", views.taken),
            path("lost/", views.lost),
            path("ame/", transaction.non_atomic_requests(views.ame)),
            path("guarded/", views.Guarded.as_view()), path("streamed/", views.streamed),
            path("parsed/", views.parsed),
            path("slotted/", views.Slotted()), path("large/", views.large),
        ]
    """,
    "desk/views.py": """
        import json
        from django.contrib import messages
        from django.contrib.auth import get_user_model, login
        from django.contrib.auth.decorators import login_required
        from django.core.files.uploadhandler import MemoryFileUploadHandler
        from django.db import connection
        from django.http import (
            Http404, HttpResponse, JsonResponse, QueryDict, StreamingHttpResponse,
        )
        from django.http.multipartparser import MultiPartParser
        from django.utils.decorators import method_decorator
        from django.views.decorators.csrf import csrf_exempt
        from django.views.generic import TemplateView, View
        from desk.rates import vat

        @csrf_exempt
        def price(request, order):
            body = json.loads(request.body)
            net = order * body["quantity"]
            messages.info(request, "priced")
            return JsonResponse({
                "total": vat(net), "tenant": request.headers.get("X-Tenant"), "q": request.GET["q"],
                "view": request.resolver_match.func.__name__, "many": request.GET.getlist("many"),
            })

        class Page(TemplateView):
            template_name = "page.html"
            factor = 1

            def get_context_data(self, **kwargs):
                return {**super().get_context_data(**kwargs), "price": Lazy(self.factor)}

        class Lazy:
            def __init__(self, factor):
                self.factor = factor

            def __str__(self):
                return str(vat(self.factor * 100))

        @method_decorator(csrf_exempt, name="dispatch")
        class Guarded(View):
            def post(self, request):
                return JsonResponse({"total": vat(json.loads(request.body)["net"])})

        def stream(request):
            return StreamingHttpResponse(f"{vat(n * 100)} " for n in range(3))

        def boom(request):
            raise ValueError("no price")

        def none(request):
            raise Http404("no price")

        def bad(request):
            return HttpResponse("no price", status=422)

        def plain(request):
            return HttpResponse("plain", headers={"Set-Cookie": "token=verysecret1"})

        def log_in(request):
            user, _ = get_user_model().objects.get_or_create(username="ada@example.com")
            user.set_password("verysecret2")
            user.save()
            login(request, user)
            request.session["cart"] = "verysecret3"
            return HttpResponse("welcome")

        @login_required
        def me(request):
            return JsonResponse({"id": request.user.pk, "staff": request.user.is_staff})

        def cart(request):
            return HttpResponse(len(request.session["cart"]))

        def reset(request, token):
            return HttpResponse(f"until {vat(100)}")

        @csrf_exempt
        def form(request):
            lines = [line for one in request.FILES.getlist("list") for line in one]
            return JsonResponse({
                "quantity": request.POST["quantity"], "many": request.POST.getlist("many"),
                "lines": len(lines), "atomic": connection.in_atomic_block,
            })

        @csrf_exempt
        def lost(request):
            large = JsonResponse({"token": "verysecret11", "pad": "x" * (1 << 20)})
            large["Location"] = "/done?token=verysecret12"
            return large

        @csrf_exempt
        def taken(request):
            request.upload_handlers = [MemoryFileUploadHandler(request)]
            size = len(request.body) if "bytes" in request.GET else 0
            return JsonResponse({"size": size, "quantity": request.POST["quantity"]})

        @csrf_exempt
        def streamed(request):
            size = int(request.META.get("CONTENT_LENGTH") or 0)
            fields = QueryDict(request.read(size))
            return JsonResponse({"quantity": fields["quantity"], "post": request.POST})

        @csrf_exempt
        def parsed(request):
            if not int(request.META.get("CONTENT_LENGTH") or 0):
                raise ValueError("no form")
            fields, files = MultiPartParser(
                request.META, request, request.upload_handlers, request.encoding
            ).parse()
            return JsonResponse({
                "quantity": fields["quantity"], "many": fields.getlist("many"),
                "files": [one.read().decode() for one in files.getlist("list")],
                "post": request.POST,
            })

        @csrf_exempt
        def large(request):
            return JsonResponse({"size": len(json.loads(request.body)["pad"])})

        class Slotted:
            __slots__ = ()

            def __call__(self, request):
                return JsonResponse({"total": vat(100)})

        async def ame(request):
            user = await request.auser()
            await request.session.aset("cart", "verysecret10")
            await request.session.asave()
            return JsonResponse({"id": user.pk})

        async def apage(request):
            return JsonResponse({"total": vat(200)})
    """,
    "desk/management/__init__.py": "",
    "desk/management/commands/__init__.py": "",
    "desk/management/commands/quote.py": """
        from django.core.management.base import BaseCommand, CommandError
        from desk.rates import vat

        class Command(BaseCommand):
            def add_arguments(self, parser):
                parser.add_argument("net", type=int)
                parser.add_argument("--password")

            def handle(self, *args, **options):
                if options["net"] < 0:
                    raise CommandError("no price")
                self.stdout.write("working")
                return str(vat(options["net"]))
    """,
}


@dataclass
class Service:
    """The project, its processes, and the traces they left."""

    directory: Path
    broker: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    url: str = ""
    said: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    secret: bytes = b""

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"))

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRACEDIFF_", "COV_"))}
        return kept | {
            "BROKER": self.broker, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
            "C_FORCE_ROOT": "1",
        } | more  # fmt: skip

    def start(self, *command: object, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *map(str, command)], cwd=self.directory, text=True,
            env=self.environment(**more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def run(self, *command: object, status: int = 0, **more: str) -> str:
        process = self.start(*command, **more)
        out, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == status, out
        return out

    def python(self, code: str, **more: str) -> str:
        return self.run("-c", textwrap.dedent(code), **more)

    def project(self) -> Project:
        return open_project(start=self.directory)

    def rows(self, key: str | None = None) -> list[Row]:
        """The traces, oldest first."""
        with self.project() as project:
            return list(project.search(Query(key=key, limit=1000)).rows)[::-1]

    def trace(self, key: str, **context: object) -> Trace:
        """The only trace of a key with these context fields."""
        with self.project() as project:
            traces = [project.resolve(row.id) for row in self.rows(key)]
        found = [one for one in traces if context.items() <= one.context.items()]
        assert len(found) == 1, (key, found)
        return found[0]

    def replayed(self, trace: Trace) -> Trace:
        """The trace replayed, where nothing of what it reached is there."""
        with self.project() as project:
            return project.replay(trace).trace

    def same(self, trace: Trace) -> None:
        """A replay without broker, database and server ends as the recording did."""
        with self.project() as project:
            found = project.compare(trace)
        assert not found.different, found
        assert not found.new.replay.misses

    def all_same(self, left_out: Sequence[str] = ()) -> int:
        """All traces end as they did when they are replayed, but those of some keys; how many."""
        with self.project() as project:
            wanted = Wanted(explain=0, workers=1)
            found = project.check(wanted)
        differ = {key for group in found.groups for key in group.keys}
        differ |= {one.key for one in found.failures}
        assert differ == set(left_out), [(g.label, g.keys) for g in found.groups]
        return found.same

    def stored_text(self) -> bytes:
        """Every byte of the stored traces, decompressed where it is compressed."""
        found = b""
        for path in (self.directory / ".tracediff").rglob("*"):
            if path.is_file() and "sources" not in path.parts:  # the program's own text
                data = path.read_bytes()
                found += data
                for at in re.finditer(re.escape(zstandard.FRAME_HEADER), data):
                    try:
                        reader = zstandard.ZstdDecompressor().decompressobj()
                        found += reader.decompress(data[at.start() :])
                    except zstandard.ZstdError:  # bytes that only look like a frame
                        continue
        return found

    def end(self, process: subprocess.Popen[str], how: int = signal.SIGTERM) -> str:
        process.send_signal(how)
        out, _ = process.communicate(timeout=SECONDS)
        return out

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


def wait_for(ready: Callable[[], Any], what: str = "it") -> Any:
    """What ``ready`` gives once it is true."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come")


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The project, with no broker."""
    made = Service(tmp_path, "redis://127.0.0.1:1/0")
    made.write(FILES)
    yield made
    made.close()


WORKER = ("-P", "-m", "celery", "-A", "desk.app", "worker", "-l", "WARNING", "--without-gossip",
          "--without-mingle", "--without-heartbeat")  # fmt: skip
SENT = """
    from celery.result import allow_join_result
    from desk import tasks as t
    sent = [
        t.price.delay(100, quantity=2, password="hunter2"), t.named.delay(), t.unwanted.delay(),
        t.bound.delay(5), t.tried.delay(3), t.autotried.delay(4),
        t.failing.delay(6), t.rejecting.delay(), t.slow.delay(), t.composed.delay(),
        t.telling.delay(), t.app.send_task("desk.tasks.summed", (1, 2, 3)), t.ignoring.delay(),
        t.app.send_task("celery.backend_cleanup"),
    ]
    for one in sent:
        if one is not sent[7] and one is not sent[12]:
            one.get(propagate=False, timeout=50)
    print(*(one.id for one in sent))
"""


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory, redis: Redis) -> Iterator[Service]:
    """The project after a prefork worker has run each of its tasks; it has no broker now."""
    service = Service(tmp_path_factory.mktemp("service"), redis.url)
    service.write(FILES)
    worker = service.start(*WORKER, "-c", 2)
    service.python(SENT)
    wait_for(lambda: len(service.rows("desk/tasks/total")) == 1, "the chord's body")
    wait_for(lambda: len(service.rows("prices/named")) == 2, "the task sent by name")
    service.end(worker)
    service.broker = "redis://127.0.0.1:1/0"
    yield service
    service.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The project after gunicorn has answered requests of each kind; its database is gone now."""
    service = Service(tmp_path_factory.mktemp("site"), "redis://127.0.0.1:1/0")
    service.write(FILES)
    service.run("manage.py", "migrate", "-v0")
    port = free_port()
    server = service.start(
        "-m", "gunicorn", "--workers=2", f"--bind=127.0.0.1:{port}", "--log-level=warning",
        "desk.wsgi",
    )  # fmt: skip
    service.url = f"http://127.0.0.1:{port}"
    wait_for(lambda: answers(f"{service.url}/away/"), "gunicorn")
    yield from _asked(service, server)


def _asked(service: Service, server: subprocess.Popen[str]) -> Iterator[Service]:
    secret = {"Authorization": "Bearer verysecret4verysecret4", "X-Api-Key": "verysecret5"}
    body = b'{"quantity": 3, "password": "verysecret6"}'
    service.said = {
        "price": get(
            f"{service.url}/price/5/?q=a&many=1&many=2", body,
            **secret, **{"Content-Type": "application/json", "X-Tenant": "acme"},
            Cookie="sessionid=verysecret7", **{"X-Csrftoken": "verysecret8"},
        ),
        "form": get(f"{service.url}/form/", FORM, **{"Content-Type": FORM_TYPE}),
        "lost": get(f"{service.url}/lost/", b'{"password": "verysecret13",}',
                    **{"Content-Type": "application/json"}),
        "lost xml": get(f"{service.url}/lost/", b"<a><password>verysecret14</password></a>",
                        **{"Content-Type": "text/xml"}),
        "wrong": get(f"{service.url}/taken/", FORM, **{"Content-Type": "multipart/form-data"}),
        "bytes": get(f"{service.url}/taken/?bytes", FORM, **{"Content-Type": FORM_TYPE}),
        "taken": get(f"{service.url}/taken/", FORM, **{"Content-Type": FORM_TYPE}),
    }  # fmt: skip
    undeclared = b'{"net": 300, "password": "verysecreta&=%2B"}'
    service.said["guarded"] = get(
        f"{service.url}/guarded/",
        undeclared,
        **{"Content-Type": "application/x-www-form-urlencoded"},
    )
    for name in ("page", "stream", "boom", "none", "bad", "plain", "apage", "away", "nowhere",
                 "slotted"):  # fmt: skip
        service.said[name] = get(f"{service.url}/{name}/")
    service.said["large"] = get(
        f"{service.url}/large/", b'{"pad": "%s"}' % (b"x" * (1 << 20)),
        **{"Content-Type": "application/json"},
    )  # fmt: skip
    service.said["streamed"] = get(
        f"{service.url}/streamed/", b"quantity=3", "PUT",
        **{"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    service.said["parsed"] = get(f"{service.url}/parsed/", FORM, "PUT",
                                 **{"Content-Type": FORM_TYPE})  # fmt: skip
    service.said["reset"] = get(f"{service.url}/reset/verysecret10/", Referer="?k=verysecret11")
    request = urllib.request.Request(f"{service.url}/login/")
    with urllib.request.urlopen(request, timeout=30) as answer:
        cookies = answer.headers.get_all("Set-Cookie")
    (cookie,) = (one.partition(";")[0] for one in cookies if one.startswith("sessionid="))
    service.secret = cookie.partition("=")[2].encode()
    service.said["me"] = get(f"{service.url}/me/", Cookie=cookie)
    service.said["cart"] = get(f"{service.url}/cart/", Cookie=cookie)
    service.end(server)
    (service.directory / "db.sqlite3").unlink()
    yield service
    service.close()


BORDER = "----border"
FORM_TYPE = f"multipart/form-data; boundary={BORDER}"
FORM = (
    f'--{BORDER}\r\nContent-Disposition: form-data; name="quantity"\r\n\r\n3\r\n'
    f'--{BORDER}\r\nContent-Disposition: form-data; name="many"\r\n\r\n1\r\n'
    f'--{BORDER}\r\nContent-Disposition: form-data; name="many"\r\n\r\n2\r\n'
    f'--{BORDER}\r\nContent-Disposition: form-data; name="password"\r\n\r\nverysecret9\r\n'
    f'--{BORDER}\r\nContent-Disposition: form-data; name="list"; filename="list.txt"\r\n'
    f"Content-Type: text/plain\r\n\r\na\nb\n\r\n--{BORDER}\r\n"
    'Content-Disposition: form-data; name="list"; filename="more.txt"\r\n'
    f"Content-Type: text/plain\r\n\r\nc\n\r\n--{BORDER}--\r\n"
).encode()


def answers(url: str) -> bool:
    try:
        return bool(get(url))
    except (urllib.error.URLError, ConnectionError):  # it still starts
        return False


def get(
    url: str, data: bytes | None = None, method: str | None = None, **headers: str
) -> tuple[int, bytes]:
    """The status and the body that a server answers."""
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture(scope="session")
def services() -> type[Service]:
    return Service


@pytest.fixture(scope="session")
def ask() -> Callable[..., tuple[int, bytes]]:
    return get


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    return wait_for


@pytest.fixture(scope="session")
def port() -> Callable[[], int]:
    return free_port


@pytest.fixture(scope="session")
def worker_command() -> tuple[str, ...]:
    return WORKER
