"""What recording adds to a GET of aiohttp and of boto3 to servers on this machine.

The servers are processes of their own: 1 KB of JSON over HTTP for aiohttp, an object of 1 KB in
SeaweedFS for boto3.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import aiohttp

import tracediff as td
from benchmarks.blocks import Ask
from benchmarks.cases.http import PATH, of_library, served
from benchmarks.figures import Figure
from servers.seaweed import Seaweed

OBJECT = {"Bucket": "traces-a", "Key": "rows"}


def of_aiohttp(loop: asyncio.AbstractEventLoop, url: str, rounds: int) -> list[Figure]:
    """The figures of aiohttp, whose loop runs for one request at a time."""

    async def opened() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def get(session: aiohttp.ClientSession) -> None:
        async with session.get(url + PATH) as response:
            await response.json()

    session = loop.run_until_complete(opened())
    try:
        return of_library("aiohttp", lambda: loop.run_until_complete(get(session)), rounds)
    finally:
        loop.run_until_complete(session.close())


def of_boto3(rounds: int) -> list[Figure]:
    """The figures of boto3."""
    with tempfile.TemporaryDirectory() as place, Seaweed(Path(place) / "weed") as server:
        client = server.client()
        client.put_object(**OBJECT, Body=b"[" + b"1.25, " * 170 + b"1]")
        ask: Ask = lambda: client.get_object(**OBJECT)["Body"].read()  # noqa: E731, PLW0108 - each asks
        return of_library("boto3", ask, rounds)


def measure(quick: bool) -> list[Figure]:
    td.configure(store="memory:", strict=True, inputs=["aiohttp", "boto3"])
    rounds = 2 if quick else 100
    loop = asyncio.new_event_loop()
    try:
        with served() as url:
            found = of_aiohttp(loop, url, rounds)
    finally:
        loop.close()
    return [*found, *of_boto3(rounds)]
