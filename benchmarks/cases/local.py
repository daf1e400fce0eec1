"""What recording adds to a call of gRPC, to draws of numpy, to programs, files and the like.

The gRPC server is a process of its own on this machine.
"""

from __future__ import annotations

import importlib
import importlib.resources
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import numpy as np

import tracediff as td
from benchmarks.blocks import Ask, block, compared
from benchmarks.figures import Figure, spread
from servers.grpc_service import GrpcService, generate

DRAWS = 2000
INPUTS = """grpc importlib.resources numpy.random open os.environ random sqlite3 subprocess
uuid""".split()
GENERATOR = np.random.default_rng()
PLAIN = (np.random.default_rng(), np.random.RandomState())
"""Generators of numpy's own, which nobody watches: they are no global name's value."""


@td.job("benchmarks/local", depth="inputs")
def recorded(ask: Ask) -> tuple[float, float]:
    """The block in a job."""
    return block(ask)


def draw(rng: np.random.Generator) -> None:
    for _ in range(DRAWS):
        rng.random()


def drawn() -> None:
    """Numbers of a generator that is made here."""
    draw(np.random.default_rng())


def drawn_plainly() -> None:
    """The same of one that nobody watches."""
    draw(np.random.Generator(np.random.PCG64()))


def drawn_of_module() -> None:
    """Numbers of one that was there before."""
    draw(GENERATOR)


def drawn_of_module_plainly() -> None:
    """The same of one that nobody watches."""
    draw(PLAIN[0])


def drawn_at_once() -> None:
    """Many numbers in a call, of the global generator."""
    np.random.normal(size=DRAWS)  # noqa: NPY002 - the older functions are what is measured


def drawn_at_once_plainly() -> None:
    """The same of one that nobody watches."""
    PLAIN[1].normal(size=DRAWS)


def program() -> None:
    """A program."""
    subprocess.run(["true"], check=True, capture_output=True)


def resource() -> None:
    """A file of an installed package."""
    importlib.resources.files("numpy").joinpath("py.typed").read_bytes()


def of_rpc(place: Path, address: str, rounds: int) -> list[Figure]:
    """The figures of gRPC."""
    generate(place)
    sys.path.insert(0, str(place))
    pb: Any = importlib.import_module("pricing_pb2")
    stub = importlib.import_module("pricing_pb2_grpc").RatesStub
    with grpc.insecure_channel(address) as channel:
        rates = stub(channel)
        query = pb.Query(product="tea", count=2)
        asked, _ = compared(
            "a call of gRPC to a server on this machine", "gRPC",
            lambda: rates.GetRate(query), recorded, rounds,
        )  # fmt: skip
        streamed, _ = compared(
            "a stream of 20 messages of gRPC", "a stream of gRPC",
            lambda: list(rates.ListRates(pb.Query(product="tea", count=20))), recorded, rounds,
        )  # fmt: skip
    return [*asked, *streamed]


def measure(quick: bool) -> list[Figure]:
    td.configure(
        store="memory:",
        strict=True,
        inputs=INPUTS,
    )
    rounds = 2 if quick else 100
    with tempfile.TemporaryDirectory() as place, GrpcService() as service:
        figures = of_rpc(Path(place), service.address, rounds)
        figures += of_python(Path(place), rounds)
    made = f"a generator of numpy, and {DRAWS:,} draws from it"
    kept = f"{DRAWS:,} draws from a generator of a module"
    whole = f"an array of {DRAWS:,} draws from the global generator"
    for what, name, plain, ask, target in (
        (made, "a generator", drawn_plainly, drawn, 5.0),
        (kept, "a generator of a module", drawn_of_module_plainly, drawn_of_module, None),
        (whole, "the global generator", drawn_at_once_plainly, drawn_at_once, None),
        ("a program that does nothing", "a program", program, program, None),
        ("a resource of a package, read", "a resource", resource, resource, None),
    ):
        within = partial(_instead, ask)
        found, _ = compared(what, name, plain, within, rounds, target)
        figures += found
    return [*figures, watched(rounds)]


def of_python(place: Path, rounds: int) -> list[Figure]:
    """What is read through Python's own library, in a process that has read it before."""
    file = place / "rates.txt"
    file.write_text("19\n" * 250)
    database = sqlite3.connect(place / "rates.sqlite")
    database.execute("CREATE TABLE rate (id INTEGER PRIMARY KEY, value REAL)")
    database.executemany("INSERT INTO rate VALUES (?, ?)", [(one, one / 7) for one in range(100)])
    database.commit()
    figures: list[Figure] = []
    asks: dict[str, Ask] = {
        "a file of 1 KB, read": file.read_text,
        "a variable of the environment": lambda: os.environ["PATH"],
        "a number of `random`": random.random,
        "a `uuid4`": uuid.uuid4,
        "a row of sqlite3": lambda: database.execute(
            "SELECT value FROM rate WHERE id = 7"
        ).fetchone(),
    }
    for what, ask in asks.items():
        found, _ = compared(what, what, ask, recorded, rounds, None)
        figures += found
    database.close()
    return figures


def _instead(ask: Ask, _: Ask) -> tuple[float, float]:
    return recorded(ask)


def watched(rounds: int) -> Figure:
    """What a draw costs more where no job runs, from a generator that is watched."""
    added = [
        (block(drawn_of_module)[0] - block(drawn_of_module_plainly)[0]) / DRAWS * 1e6
        for _ in range(rounds)
    ]
    what = "a draw from a generator of a module outside of a job, over numpy's own"
    return Figure(what=what, unit="µs", value=median(added), spread=spread(added))
