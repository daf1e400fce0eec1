"""What recording adds to a request of httpx and of requests to a server on this machine.

The server is a process of its own, which answers with 1 KB of JSON over a connection that is kept.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import httpx
import requests

import tracediff as td
from benchmarks.blocks import Ask, block, compared
from benchmarks.figures import Figure

PATH = "/json/rows"


@contextlib.contextmanager
def served() -> Iterator[str]:
    """A server in a process of its own: its URL."""
    command = [sys.executable, "-m", "servers.http_service"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        try:
            yield one.stdout.readline().strip()
        finally:
            one.terminate()


@td.job("benchmarks/requests", depth="inputs")
def recorded(ask: Ask) -> tuple[float, float]:
    """The block in a job."""
    return block(ask)


def of_library(name: str, ask: Ask, rounds: int) -> list[Figure]:
    """The figures of one library."""
    what = f"a GET of {name} to a server on this machine"
    figures, added = compared(what, name, ask, recorded, rounds)
    work = f"work of the job's thread that recording adds to it ({name})"
    return [*figures, Figure(what=work, unit="%", value=added * 100)]


def measure(quick: bool) -> list[Figure]:
    td.configure(store="memory:", strict=True, inputs=["httpx", "requests"])
    rounds = 2 if quick else 150
    with served() as url, httpx.Client() as client, requests.Session() as session:
        session.trust_env = False
        return [
            *of_library("httpx", lambda: client.get(url + PATH).json(), rounds),
            *of_library("requests", lambda: session.get(url + PATH).json(), rounds),
        ]
