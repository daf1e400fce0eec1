"""Jobs of a Django project with models and tasks, where explaining imports all of it many times."""

from __future__ import annotations

import subprocess

import pytest

from tracediff import values

FILES = {
    "pyproject.toml": """
        [tool.tracediff]
        jobs = ["desk.*"]
        inputs = ["django.db"]
    """,
    ".gitignore": """
        .tracediff
        db.sqlite3
    """,
    "desk/__init__.py": "from desk.app import app\n",
    "desk/app.py": """
        import os
        from celery import Celery

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "desk.settings")
        app = Celery("desk", broker="memory://")
        app.autodiscover_tasks(["desk"])
    """,
    "desk/models.py": """
        from django.contrib.auth.models import AbstractUser
        from django.db import models

        class Customer(AbstractUser):
            group = models.CharField(max_length=2, default="B")

        class Rate(models.Model):
            country = models.CharField(max_length=2)
            percent = models.IntegerField()

            def extra(self):
                return self.percent * 2
    """,
    "desk/rates.py": """
        def vat(net):
            return net * 119 // 100
    """,
    "desk/tasks.py": """
        from celery import shared_task
        from desk.models import Rate
        from desk.rates import vat

        @shared_task
        def quote(net, country):
            return vat(net) + Rate.objects.get(country=country).extra()
    """,
    "desk/views.py": """
        from django.contrib.auth.decorators import login_required
        from django.db import transaction
        from django.http import JsonResponse, StreamingHttpResponse
        from django.urls import path
        from desk.models import Rate
        from desk.rates import vat

        def quote(request, net):
            return JsonResponse({"total": vat(net) + Rate.objects.get(country="DE").extra()})

        def stream(request):
            return StreamingHttpResponse(f"{rate.extra()} " for rate in Rate.objects.all())

        @transaction.non_atomic_requests
        async def astream(request):
            async def parts():
                async for rate in Rate.objects.all():
                    yield f"{rate.extra()} "
            return StreamingHttpResponse(parts())

        @login_required
        def me(request):
            user = request.user
            return JsonResponse({"id": user.pk, "group": user.group, "rates": Rate.objects.count()})

        def who(request):
            return JsonResponse({"name": request.user.username})

        def cart(request):
            request.session["seen"] = request.session.get("seen", 0) + 1
            request.session.cycle_key()
            return JsonResponse({"seen": request.session["seen"]})

        urlpatterns = [
            path("quote/<int:net>/", quote), path("stream/", stream), path("astream/", astream),
            path("me/", me), path("cart/", cart), path("who/", who),
        ]
    """,
    "recording.py": """
        import asyncio
        import os
        import django
        os.environ["DJANGO_SETTINGS_MODULE"] = "desk.settings"
        django.setup()
        from django.core.management import call_command
        call_command("migrate", verbosity=0, run_syncdb=True)
        from django.contrib.auth import get_user_model
        from django.test import AsyncClient, Client
        from desk.models import Rate
        from desk.tasks import quote
        Rate.objects.create(country="DE", percent=19)
        quote.apply((500, "DE"))
        client = Client()
        print(client.get("/quote/500/").json(), b"".join(client.get("/stream/")))
        users = get_user_model().objects
        client.force_login(users.create_user("ada.lovelace", password="verysecret"))
        client.get("/who/")
        print(client.get("/me/").json(), client.cookies["sessionid"].value)

        print(client.get("/cart/").json(), client.get("/cart/").json())

        async def ask():
            answer = await AsyncClient().get("/astream/")
            return [part async for part in answer]

        print(asyncio.run(ask()))
    """,
}


@pytest.fixture
def project(service):
    """Recorded in git, before its functions change; its database is gone."""
    settings = (service.directory / "desk/settings.py").read_text()
    settings = settings.replace("desk.urls", "desk.views") + '\nAUTH_USER_MODEL = "desk.Customer"\n'
    service.write({**FILES, "desk/settings.py": settings})
    for name in ("desk/urls.py", "desk/wsgi.py"):
        (service.directory / name).unlink()
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], cwd=service.directory, check=True)
    service.said = service.run("recording.py")
    (service.directory / "db.sqlite3").unlink()
    return service


def result(trace):
    return values.inert(trace.steps[0].result)


@pytest.mark.slow
def test_jobs_that_read_the_database_are_replayed_without_it_and_explained(project):
    assert "{'total': 633} b'38 '" in project.said
    task, view = project.trace("desk/tasks/quote"), project.trace("desk/views/quote")
    assert (result(task), result(view)["body"]) == (633, {"total": 633})
    for key in ("desk/tasks/quote", "desk/views/quote", "desk/views/stream", "desk/views/astream",
                "desk/views/me"):  # fmt: skip
        project.same(project.trace(key))
    assert result(project.trace("desk/views/astream"))["body"] == "38 "
    assert result(project.trace("desk/views/me"))["body"] == {"id": 1, "group": "B", "rates": 1}
    error = project.replayed(project.trace("desk/views/who")).steps[0].error
    assert "the field 'username' of a recorded desk.models.Customer was not loaded" in error.message
    session = project.said.split("\n")[1].split()[-1]
    stored = project.stored_text()
    assert session.encode() not in stored
    assert b"django_session" not in stored
    assert b"desk_rate" in stored
    for name, old, new in (("rates", "119", "107"), ("models", "* 2", "* 3")):
        path = project.directory / f"desk/{name}.py"
        path.write_text(path.read_text().replace(old, new))
    with project.project() as opened:
        explained = opened.explain(task.id)
    units = {unit.name for cause in explained.causes for unit in cause.units}
    assert units == {"desk.rates:vat", "desk.models:Rate.extra"}, explained
