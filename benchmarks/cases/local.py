"""What recording adds to a call of gRPC, to draws of numpy, to a program and to a resource.

The gRPC server is a process of its own on this machine.
"""

from __future__ import annotations

import importlib
import importlib.resources
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc
import numpy as np

import tracediff as td
from benchmarks.blocks import Ask, block, compared
from benchmarks.figures import Figure
from servers.grpc_service import GrpcService, generate

DRAWS = 2000
GENERATOR = np.random.default_rng()


@td.job("benchmarks/local", depth="inputs")
def recorded(ask: Ask) -> tuple[float, float]:
    """The block in a job."""
    return block(ask)


def drawn() -> None:
    """Numbers of a generator that is made here."""
    rng = np.random.default_rng()
    for _ in range(DRAWS):
        rng.random()


def drawn_of_module() -> None:
    """Numbers of one that was there before."""
    for _ in range(DRAWS):
        GENERATOR.random()


def drawn_at_once() -> None:
    """Many numbers in a call, of the global generator."""
    np.random.normal(size=DRAWS)  # noqa: NPY002 - the older functions are what is measured


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
        inputs=["grpc", "importlib.resources", "numpy.random", "subprocess"],
    )
    rounds = 2 if quick else 100
    with tempfile.TemporaryDirectory() as place, GrpcService() as service:
        figures = of_rpc(Path(place), service.address, rounds)
    made = f"a generator of numpy, and {DRAWS:,} draws from it"
    kept = f"{DRAWS:,} draws from a generator of a module"
    whole = f"an array of {DRAWS:,} draws from the global generator"
    for what, name, ask, target in (
        (made, "a generator", drawn, 5.0),
        (kept, "a generator of a module", drawn_of_module, None),
        (whole, "the global generator", drawn_at_once, None),
        ("a program that does nothing", "a program", program, None),
        ("a resource of a package, read", "a resource", resource, None),
    ):
        found, _ = compared(what, name, ask, recorded, rounds, target)
        figures += found
    return figures
