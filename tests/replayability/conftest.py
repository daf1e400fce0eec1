"""A project with a job for each reason why a trace does not replay exactly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

JOBS = """
import array
import asyncio
import functools
import os
import random
import secrets
import socket
import sqlite3
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import tracediff as td


def weight(path):
    with open(path) as file:
        return int(file.read())


@td.job("r/file")
def file_job(path):
    return weight(path) * 3


@td.job("r/another file")
def another_file_job(path):
    return sum(map(weight, [path, path]))


@td.step("Fee")
def fee():
    return int(os.environ["FEE"])


@td.job("r/variable")
def variable_job():
    return fee() + 1


def draw():
    return random.randint(1, 10**12)


@td.job("r/random")
def random_job():
    return draw()


def label():
    return str(uuid.uuid4())


@td.job("r/uuid")
def uuid_job():
    return label()


@td.step("Mark")
def mark():
    return "mark " + secrets.token_hex(8)


@td.job("r/secrets")
def secrets_job():
    return mark()


def chance():
    return random.Random().random()


@td.job("r/unseeded")
def unseeded_job():
    return chance()


def rows(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("select price from prices").fetchall()[0][0]
    finally:
        connection.close()


@td.job("r/database")
def database_job(path):
    return rows(path)


def ask(port):
    with socket.create_connection(("127.0.0.1", port)) as link:
        return link.recv(10).decode()


@td.job("r/network")
def network_job(port):
    return ask(port)


async def ask_later(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return (await reader.read(10)).decode()
    finally:
        writer.close()


@td.job("r/coroutine")
def coroutine_job(port):
    return asyncio.run(ask_later(port))


def nanoseconds():
    return subprocess.run(["date", "+%N"], capture_output=True, text=True, check=True).stdout


@td.job("r/program")
def program_job():
    return nanoseconds()


def stamp():
    return f"at {time.time()}"


@td.job("r/clock")
def clock_job():
    return stamp()


def joined(words):
    found = set(words)
    text = ""
    for word in found:
        text += word
    return text


@td.job("r/order of a set")
def set_job(words):
    return joined(words)


COUNT = 0


def number():
    global COUNT
    COUNT += 1
    return COUNT


@td.job("r/state")
def state_job():
    return number()


@td.input("Rate")
def rate(country):
    return {"DE": 19}[country]


@functools.lru_cache
def cached_rate(country):
    return rate(country)


@td.job("r/cache")
def cache_job(country, net):
    return cached_rate(country) * net


RATES = {}


def kept_rate(country):
    if country not in RATES:
        RATES[country] = rate(country)
    return RATES[country]


@td.job("r/cache by hand")
def kept_job(country, net):
    return kept_rate(country) * net


@td.job("r/thread")
def thread_job():
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(rate, "DE").result()


class Track:
    def __init__(self, points):
        self.points = array.array("d", points)

    def length(self):
        return sum(self.points)


@td.input("Track")
def track():
    return Track([1.0, 2.0])


@td.job("r/opaque")
def opaque_job():
    return track().length()


@td.input("Login")
def login():
    return {"password": "hunter2hunter2", "name": "ada"}


def signed(found):
    return len(found["password"])


@td.job("r/secret")
def secret_job():
    return signed(login())


class Pricer:
    def __init__(self, base):
        self.base = base

    @td.job("r/method")
    def price(self, net):
        return net + self.base


@td.job("r/exact")
def exact_job(net):
    return net + 1


@td.job("r/silent")
def silent_job(path):
    return weight(path) > 0
"""

RECORD = """
import os, pathlib, socket, sqlite3, sys, tempfile, threading
os.environ["FEE"] = "3"
sys.path.append("lib")
from shop.jobs import *
from aside.jobs import aside_job
from aside.models import Parcel
from shop.parcels import parcel_job
import shop.helped

directory = tempfile.mkdtemp()
path = pathlib.Path(directory, "weight.txt")
path.write_text("5")
file_job(str(path))
another_file_job(str(path))
path.unlink()
silent_job(sys.argv[1])
variable_job(), random_job(), uuid_job(), secrets_job(), unseeded_job()
prices = str(path.with_name("prices.sqlite"))
with sqlite3.connect(prices) as connection:
    connection.execute("create table prices (price)")
    connection.execute("insert into prices values (7)")
connection.close()
database_job(prices)
os.remove(prices)
server = socket.create_server(("127.0.0.1", 0))

def serve():
    for _ in range(2):
        link, _ = server.accept()
        link.sendall(b"hello")
        link.close()

thread = threading.Thread(target=serve)
thread.start()
network_job(server.getsockname()[1])
coroutine_job(server.getsockname()[1])
thread.join()
server.close()
program_job(), clock_job(), set_job(["alpha", "beta", "gamma", "delta", "epsilon", "zeta"])
for _ in range(2):
    state_job(), cache_job("DE", 2), kept_job("DE", 3)
thread_job(), opaque_job(), secret_job(), Pricer(2).price(3), exact_job(1)
aside_job(1), parcel_job(Parcel(4)), shop.helped.helped_job(2)
"""

FILES = {
    "pyproject.toml": '[tool.tracediff]\njobs = ["shop.*"]\n',
    "shop/__init__.py": "",
    "shop/jobs.py": JOBS,
    "shop/parcels.py": """
        import tracediff as td

        @td.job("r/class")
        def parcel_job(parcel):
            return parcel.weight
        """,
    "shop/helped.py": """
        import tracediff as td
        from helper import twice

        @td.job("r/import")
        def helped_job(net):
            return twice(net)
        """,
    "lib/helper.py": "def twice(net):\n    return 2 * net\n",
    "aside/__init__.py": "",
    "aside/models.py": """
        from dataclasses import dataclass

        @dataclass
        class Parcel:
            weight: int
        """,
    "aside/jobs.py": """
        import tracediff as td

        @td.job("r/aside")
        def aside_job(net):
            return net
        """,
    "record.py": RECORD,
}


@dataclass
class Told:
    """How the command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        assert self.out, self.err
        return json.loads(self.out)

    def reasons(self, kind: str) -> list[dict[str, Any]]:
        """Those of a kind, of traces that do not replay exactly."""
        return [one for one in self.document["reasons"] if one["kind"] == kind and one["fatal"]]

    def reason(self, kind: str) -> dict[str, Any]:
        (found,) = self.reasons(kind)
        return found


class Project:
    """A project that is recorded, examined and mended."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.directory / name).read_text()
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {name}"
        (self.directory / name).write_text(text.replace(old, new))

    def run(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith("TRACEDIFF_")
        }
        paths = [environment.pop("PYTHONPATH", ""), str(ROOT)]
        kept |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "100"}
        return subprocess.run(
            [sys.executable, *args],
            cwd=self.directory,
            env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def record(self, *args: str, **environment: str) -> None:
        done = self.run(*args, **environment)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr

    def doctor(self, key: str, *more: str, form: str = "json", **environment: str) -> Told:
        done = self.run("-m", "tracediff", "doctor", "--replayability", key, "--format", form,
                        *more, **environment)  # fmt: skip
        return Told(done.returncode, done.stdout, done.stderr)

    def paste(self, settings: Sequence[str]) -> None:
        """Put lines in the place of those of the same settings."""
        names = tuple(f"{line.partition(' ')[0]} = " for line in settings)
        text = (self.directory / "pyproject.toml").read_text()
        kept = [line for line in text.splitlines() if not line.startswith(names)]
        (self.directory / "pyproject.toml").write_text("\n".join([*kept, *settings]) + "\n")

    def mend(self, reasons: Sequence[dict[str, Any]]) -> None:
        """Write what the first remedies of some reasons say, where they say it."""
        edits = [one["remedies"][0] for one in reasons]
        edits = [one for one in edits if one["place"] and one["lines"] and not one["settings"]]
        for file in {one["place"]["file"] for one in edits}:
            lines = (self.directory / file).read_text().splitlines()
            here = [one for one in edits if one["place"]["file"] == file]
            for one in sorted(here, key=lambda one: -one["place"]["line"]):
                at, new = one["place"]["line"] - 1, one["lines"][0]
                indented = " " * (len(lines[at]) - len(lines[at].lstrip())) + new
                if one["change"] == "decorator" and "in the place of" not in one["said"]:
                    lines.insert(at, indented)
                else:
                    lines[at] = indented
            (self.directory / file).write_text("\n".join(lines) + "\n")


def new_project(directory: Path, files: dict[str, str]) -> Project:
    made = Project(directory)
    for name, text in files.items():
        made.write(name, text)
    return made


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project whose jobs are those of ``shop``."""
    settings = FILES["pyproject.toml"]
    return new_project(tmp_path / "project", {"pyproject.toml": settings, "shop/__init__.py": ""})


@dataclass
class Ailing:
    """The project with a job for each reason, what was told of it, and of it mended."""

    project: Project
    before: Told
    after: Told


@pytest.fixture(scope="session")
def ailing(tmp_path_factory: pytest.TempPathFactory) -> Ailing:
    """The project is recorded and examined, mended as it was told, and so again."""
    directory = tmp_path_factory.mktemp("ailing")
    project = new_project(directory / "project", FILES)
    outside = directory / "weight.txt"
    outside.write_text("9")
    project.record("record.py", str(outside))
    before = project.doctor("r", "--last", "40")
    document = before.document
    project.mend([one for one in document["reasons"] if one["kind"] != "job-needs-factory"])
    by_hand(project)
    project.paste(document["settings"])
    project.record("record.py", str(outside))
    after = project.doctor("r", "--last", str(document["checked"]))
    return Ailing(project, before, after)


def by_hand(project: Project) -> None:
    """What remedies leave to whoever knows the program: the parts that they write as …"""
    project.change(
        "shop/jobs.py",
        '@td.job("r/method")',
        '@td.job("r/method", factory=lambda: Pricer(2))',
    )
    text = (project.directory / "shop/jobs.py").read_text()
    text += "\ntd.register(Track, encode=lambda track: list(track.points), decode=Track)\n"
    (project.directory / "shop/jobs.py").write_text(text)
