"""The pages' server under load: the list, and a trace of 1,000 steps, asked over and over.

What counts is the processor time that the server's process takes a request: it says how many one
processor can answer. How many were answered a second, and how long each took, also tells how much
else the machine had to do.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from benchmarks.figures import Figure
from benchmarks.made_up import STEPS, price_trace
from tracediff.model import Trace
from tracediff.reports.pages.assets import STYLE, version
from tracediff.stores.local import LocalStore

TRACES = 2_000
LONG = 40
"""How many traces of 1,000 steps there are; a server is asked for half, and keeps 16."""

TOKEN = "a-token-of-the-benchmark-of-no-use"  # the server is gone once it is measured
CLIENTS = 8
ALONE = 400
TOGETHER = 1_600
"""Requests of one client, and of all; a tenth of it of pages that are made anew each time."""

WITHIN = 30.0
"""Seconds after which no more is asked."""


def measure(quick: bool) -> list[Figure]:
    count = 20 if quick else TRACES
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        ids = prepared(directory, count)
        with _served(directory) as one, _served(directory) as other:
            servers = (one, other)
            style = f"/static/{version(STYLE)}/{STYLE}"
            floor = _asked(servers, [style], CLIENTS, 64 if quick else TOGETHER)
            return [
                _cpu("a file from memory", floor, None),
                *_figures(f"the list, of {count:,} traces", servers, ["/"], floor, quick, 50),
                *_figures("a trace of 1,000 steps, kept from the request before", servers,
                          [f"/trace/{ids[0]}"], floor, quick, 100),
                *_figures("a trace of 1,000 steps, another one each time", servers,
                          [f"/trace/{one}" for one in ids], floor, quick, None),
            ]  # fmt: skip


def prepared(directory: Path, count: int) -> list[str]:
    """A project with traces; the ids of the long ones."""
    (directory / "pyproject.toml").write_text("[tool.tracediff]\n")
    with contextlib.closing(LocalStore(directory / ".tracediff")) as store:
        traces = [price_trace(seed) for seed in range(min(count, 50))]
        for first in range(0, count, len(traces)):
            store.save([
                replace(trace, id=f"short{first + at:06}",
                        started_at=trace.started_at + (first + at) * 10**9)
                for at, trace in enumerate(traces)
            ])  # fmt: skip
        long = [_long(number) for number in range(LONG)]
        store.save(long)
    return [trace.id for trace in long]


def _long(number: int) -> Trace:
    """A trace of 1,000 steps: twenty prices, one after the other."""
    first = price_trace(number)
    steps = list(first.steps)
    for part in range(1, 1000 // STEPS):
        at = len(steps)
        for step in price_trace(number * 100 + part).steps:
            parent = 0 if step.parent < 0 else step.parent + at
            kind = "step" if step.kind == "job" else step.kind
            steps.append(replace(step, parent=parent, kind=kind))
    return replace(first, id=f"long{number:04}", steps=tuple(steps))


class _Server:
    """A server's process, and where it is."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process, self.port = process, port
        connection = self.connection()
        connection.request("GET", f"/?token={TOKEN}")
        answer = connection.getresponse()
        self._cookie = (answer.headers["set-cookie"] or "").partition(";")[0]
        connection.close()

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WITHIN)

    def asked(self, connection: http.client.HTTPConnection, path: str) -> float:
        """Seconds that an answer took."""
        begun = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}")
        return time.perf_counter() - begun

    def cpu(self) -> float:
        """Seconds of processor time that it took so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _served(directory: Path) -> Iterator[_Server]:
    with subprocess.Popen(
        [sys.executable, "-m", "tracediff", "ui", "--port", "0", "--read-only"],
        cwd=directory,
        env={**os.environ, "TRACEDIFF_UI_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = urlsplit(process.stdout.readline()).port
            if port is None:
                raise RuntimeError("the server did not start")
            yield _Server(process, port)
        finally:
            process.terminate()


class _Load:
    """What asking servers over and over gave: the times of answers, and the servers' own."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.cpu = 0.0
        self.seconds = 0.0
        self.errors: list[Exception] = []


def _asked(servers: tuple[_Server, ...], paths: list[str], clients: int, count: int) -> _Load:
    """All clients at once, each asking one server for one path after the other."""
    load = _Load()
    before = sum(server.cpu() for server in servers)
    begun = time.perf_counter()

    def ask(client: int) -> None:
        server = servers[client % len(servers)]
        with contextlib.closing(server.connection()) as connection:
            for number in range(client, count, clients):
                if time.perf_counter() - begun > WITHIN:
                    return
                load.took.append(server.asked(connection, paths[number % len(paths)]))

    def safely(client: int) -> None:
        try:
            ask(client)
        except Exception as error:  # noqa: BLE001 - raised below, in the thread that measures
            load.errors.append(error)

    asking = [threading.Thread(target=safely, args=(client,)) for client in range(clients)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    load.seconds = time.perf_counter() - begun
    load.cpu = sum(server.cpu() for server in servers) - before
    if load.errors:
        raise load.errors[0]
    return load


def _figures(
    what: str, servers: tuple[_Server, ...], paths: list[str], floor: _Load, quick: bool,
    most: float | None,
) -> list[Figure]:  # fmt: skip
    for server in servers:  # what is made once is not measured
        _asked((server,), paths[:1], 1, 3)
    share = (40 if quick else 1) * (10 if len(paths) > 1 else 1)
    alone = _asked(servers[:1], paths, 1, max(ALONE // share, 4))
    load = _asked(servers, paths, CLIENTS, max(TOGETHER // share, 2 * CLIENTS))
    p95 = quantiles(alone.took, n=20)[-1]
    return [
        _cpu(what, load, floor, target=10 if most else None),
        Figure(what=f"{what}: two servers and {CLIENTS} clients on this machine", unit="/s",
               value=len(load.took) / load.seconds, target=200 if most else None, least=True),
        Figure(what=f"{what}: one client, until it has all of it, the median", unit="ms",
               value=median(alone.took) * 1e3),
        Figure(what=f"{what}: the same, the 95th percentile", unit="ms", value=p95 * 1e3,
               target=most),
    ]  # fmt: skip


def _cpu(what: str, load: _Load, floor: _Load | None, target: float | None = None) -> Figure:
    own = load.cpu / len(load.took)
    ratio = None
    if floor is not None and floor.cpu:
        ratio = own / (floor.cpu / len(floor.took))
    return Figure(
        what=f"{what}: the server's processor time a request", unit="ms", value=own * 1e3,
        ratio=ratio, against="times a file from memory" if ratio is not None else "",
        target=target,
    )  # fmt: skip
