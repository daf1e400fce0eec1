"""The example service of ``fixtures/shop``, with all that it needs, on this machine.

    with Shop(directory) as shop:
        shop.start_web()
        shop.start_worker()
        number = shop.place("C1001", {"SCALE-01": 1})
        shop.priced(number)["total"]

PostgreSQL, Redis and the services of others run inside the block, or until ``stop_servers``;
web and worker are the project's own processes, started as its operators would.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from servers.postgres import USER, Postgres
from servers.processes import ServerError, free_port, launch, wait_for, wait_until
from servers.redis import Redis
from tracediff import demo
from tracediff.demo import Signed

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "shop"
CHANGES = FIXTURE / "changes"
BIN = Path(sys.executable).parent

_IGNORED = shutil.ignore_patterns("__pycache__", ".tracediff")


# Both in one process: most of what either takes is importing Django.
_FILL = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("loaddata", "demo", verbosity=0)
"""

FIRST = Signed(subject="Price orders", author="Mara Lindt", date="2026-02-02T09:00:00+00:00")

COMMITS = {
    "discounts": Signed(
        subject="Take 7 % off from ten pieces on",
        author="Ana Ruiz",
        date="2026-02-23T10:12:00+00:00",
    ),
    "vat_per_line": Signed(
        subject="Round VAT line by line, as invoices do",
        author="Jonas Feld",
        date="2026-02-24T14:40:00+00:00",
    ),
    "rename": Signed(
        subject="Call it a weight",
        author="Mara Lindt",
        date="2026-02-25T08:55:00+00:00",
    ),
}
"""The commit of each change on the branch ``spring``, in order."""


SETTINGS = """
[tool.tracediff]
jobs = ["shop.*"]
autotrace = ["shop.pricing.*"]
inputs = ["django.db", "httpx", "requests", "random", "uuid"]
"""
"""All that the project's configuration needs for its traces."""

RECORD = ("tracediff", "record", "--")
"""What stands before the commands that start the processes, so that they record."""


def copy_shop(directory: Path) -> Path:
    """Copy the project, as it is before anything changes, into a directory that is new."""
    shutil.copytree(FIXTURE / "v1", directory, ignore=_IGNORED)
    return directory


def lay_out(directory: Path) -> Path:
    """Make a git repository of the project: ``main``, and what colleagues change on ``spring``."""
    copy_shop(directory)
    demo.commit(directory, FIRST)
    demo.git(directory, "checkout", "--quiet", "-b", "spring")
    for name, signed in COMMITS.items():
        demo.git(directory, "apply", str(CHANGES / f"{name}.patch"))
        demo.commit(directory, signed)
    demo.checkout(directory, "main")
    return directory


def adopt(directory: Path) -> Path:
    """Let the project record: its settings, in a commit on ``main``."""
    with (directory / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(SETTINGS)
    demo.commit(directory, replace(FIRST, subject="Record what is calculated"))
    return directory


class Shop:
    """The service and its servers; what they say goes to files in ``logs``.

    Args:
        directory: Where the project is; it is copied there when there is nothing.
        logs: Where the servers write.
        settings: More of the environment that the project's processes run with.
    """

    def __init__(
        self, directory: Path, logs: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory if directory.exists() else copy_shop(directory)
        self.logs = logs
        self.web_port = free_port()
        self.rates_port = free_port()
        self.rates_token = secrets.token_urlsafe(12)
        self.postgres = Postgres(logs)
        self.redis = Redis(logs)
        self._settings = dict(settings or {})
        self._servers = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            self._servers.enter_context(self.postgres)
            self._servers.enter_context(self.redis)
            self._start_rates()
            self.postgres.create_database("shop")
            self._python("-c", _FILL)
        except BaseException:
            self.stop_servers()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.stop_servers()

    @property
    def settings(self) -> dict[str, str]:
        """The variables that tell the project where its servers are."""
        return {
            "SHOP_SECRET_KEY": "of-an-example",
            "SHOP_DB_USER": USER,
            "SHOP_DB_PASSWORD": self.postgres.password,
            "SHOP_DB_PORT": str(self.postgres.port),
            "SHOP_REDIS_URL": self.redis.url,
            "SHOP_RATES_URL": f"http://127.0.0.1:{self.rates_port}",
            "SHOP_RATES_TOKEN": self.rates_token,
        }

    @property
    def environment(self) -> dict[str, str]:
        """What the project's processes run with."""
        kept = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("SHOP_", "DJANGO_", "CELERY_", "TRACEDIFF_", "COV", "PYTEST"))
        }
        path = f"{BIN}{os.pathsep}{kept.get('PATH', os.defpath)}"
        # gunicorn puts a socket of its own below the home directory.
        home = {"PATH": path, "HOME": str(self.logs)}
        return kept | home | self.settings | self._settings

    @property
    def url(self) -> str:
        """Where the web process answers."""
        return f"http://127.0.0.1:{self.web_port}"

    def manage(self, *arguments: str) -> str:
        """Run a management command; what it prints.

        Raises:
            ServerError: It failed.
        """
        return self._python("manage.py", *arguments)

    def _python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said = f"{done.stdout}{done.stderr}"
            raise ServerError(f"{' '.join(arguments)} failed:\n{said}")
        return done.stdout

    def start_web(self, before: Sequence[str] = ()) -> None:
        """Start gunicorn with two workers, and wait until it answers.

        Args:
            before: What stands before the command, such as ``tracediff record --``.
        """
        where = f"127.0.0.1:{self.web_port}"
        self._start("web", [*before, "gunicorn", "shop.wsgi", "--bind", where, "--workers", "2"])
        wait_until(self._web_answers, "starting gunicorn")

    def start_worker(self, before: Sequence[str] = ()) -> None:
        """Start Celery's worker with two processes, and wait until it takes tasks."""
        command = ["celery", "-A", "shop", "worker", "--concurrency", "2", "--loglevel", "INFO"]
        self._start("worker", [*before, *command])
        wait_until(lambda: " ready." in self.said("worker"), "starting Celery")

    def said(self, name: str) -> str:
        """What the process ``web`` or ``worker`` wrote."""
        return (self.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def place(self, customer: str, items: Mapping[str, int], coupon: str | None = None) -> str:
        """Place an order; its number."""
        wanted = {"customer": customer, "items": dict(items), "coupon": coupon}
        number: str = self._ask("/orders/", json.dumps(wanted).encode())["number"]
        return number

    def order(self, number: str) -> dict[str, Any]:
        """An order as the shop shows it."""
        return self._ask(f"/orders/{number}/")

    def priced(self, number: str) -> dict[str, Any]:
        """An order once the worker has priced and confirmed it."""
        wait_until(lambda: bool(self.order(number)["confirmed"]), "pricing an order", 60)
        return self.order(number)

    def quote(self, customer: str, sku: str, quantity: int = 1) -> dict[str, Any]:
        """What some pieces would cost a customer."""
        return self._ask(f"/quote/?customer={customer}&sku={sku}&quantity={quantity}")

    def stop(self) -> None:
        """End web and worker in order (SIGTERM); the servers stay."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            wait_for(process)
        self._processes.clear()

    def stop_servers(self) -> None:
        """End PostgreSQL, Redis and the services of others; nothing answers any more."""
        self._servers.close()

    def _start(self, name: str, command: list[str]) -> None:
        program = shutil.which(command[0], path=str(BIN)) or command[0]
        self._processes[name] = launch(
            [program, *command[1:]], self.logs / f"{name}.log",
            directory=self.directory, environment=self.environment,
        )  # fmt: skip

    def _start_rates(self) -> None:
        command = [sys.executable, str(FIXTURE / "rates.py"), str(self.rates_port)]
        process = launch(command, self.logs / "rates.log", environment=self.environment)
        self._servers.callback(process.wait)
        self._servers.callback(process.kill)
        address = f"http://127.0.0.1:{self.rates_port}/vat-numbers/1"
        wait_until(lambda: _answers(address), "starting the service of exchange rates")

    def _web_answers(self) -> bool:
        if self._processes["web"].poll() is not None:
            raise ServerError(f"the web process ended at once:\n{self.said('web')[-2000:]}")
        return _answers(self.url)

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            said: dict[str, Any] = json.load(answer)
        return said


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:  # an answer, too
        error.close()
    except OSError:  # it still starts
        return False
    return True
