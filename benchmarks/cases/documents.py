"""What recording adds to reads of pymongo and redis-py from servers on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pymongo
import redis

import tracediff as td
from benchmarks.blocks import Ask, block, compared
from benchmarks.figures import Figure
from servers.mongod import Mongod
from servers.redis import Redis

SHORT = 15.0
"""Percent that may be added to a call of 50 µs, of which any step of a trace takes 5."""
ROW = {
    "name": "a table",
    "price": 129.5,
    "tags": ["wood", "oak"],
    "stock": {"north": 5, "south": 2},
}


@td.job("benchmarks/documents", depth="inputs")
def recorded(ask: Ask) -> tuple[float, float]:
    """The block in a job."""
    return block(ask)


def of_library(name: str, what: str, ask: Ask, rounds: int, target: float = 5.0) -> list[Figure]:
    """The figures of one library."""
    figures, added = compared(what, name, ask, recorded, rounds, target)
    work = f"work of the job's thread that recording adds to it ({name})"
    return [*figures, Figure(what=work, unit="%", value=added * 100)]


def of_pymongo(directory: Path, rounds: int) -> list[Figure]:
    """A document by its id, and a cursor of a hundred."""
    with Mongod(directory / "mongod") as server:
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(server.uri("shop"))
        with client:
            items = client.shop.items
            items.insert_many([{"_id": n, **ROW} for n in range(100)])
            one = "a find_one of pymongo in a MongoDB on this machine"
            many = "a find of a hundred documents in it"
            return [
                *of_library("find_one", one, lambda: items.find_one({"_id": 7}), rounds),
                *of_library("find of 100", many, lambda: list(items.find()), rounds),
            ]


def of_redis(directory: Path, rounds: int) -> list[Figure]:
    """A value by its key, and a pipeline."""
    directory.mkdir()
    with Redis(directory) as server, redis.Redis.from_url(server.url) as client:
        client.set("price", "129.5")

        def pipeline() -> object:
            with client.pipeline() as pipe:
                for _ in range(10):
                    pipe.get("price")
                return pipe.execute()

        one = "a GET of redis-py from a Redis on this machine"
        many = "a transaction of ten of them"
        return [
            *of_library("GET", one, lambda: client.get("price"), rounds, SHORT),
            *of_library("MULTI of 10", many, pipeline, rounds, SHORT),
        ]


def measure(quick: bool) -> list[Figure]:
    td.configure(store="memory:", strict=True, inputs=["pymongo", "redis"])
    rounds = 2 if quick else 150
    with tempfile.TemporaryDirectory() as directory:
        return [
            *of_pymongo(Path(directory), rounds),
            *of_redis(Path(directory) / "redis", rounds),
        ]
