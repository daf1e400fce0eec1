"""Blobs in a real S3 server: a segment of traces put as one object, one trace read from it."""

from __future__ import annotations

import itertools
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns
from servers.seaweed import Seaweed
from tracediff.stores.s3 import S3Blobs

TRACES = 1_000
TRACE = 6_000
"""Bytes of a compressed trace: nothing makes them smaller."""

ROUNDS = 12
READS = 300


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory, Seaweed(Path(directory)) as server:
        os.environ.update(server.identities["admin"].environment())
        blobs = S3Blobs(f"s3://traces-a/bench?endpoint={server.endpoint}")
        try:
            return [*_writing(blobs, quick), *_reading(blobs, quick)]
        finally:
            blobs.close()


def _writing(blobs: S3Blobs, quick: bool) -> list[Figure]:
    segment = random.Random(1).randbytes(TRACES * TRACE)
    number = itertools.count()
    took: list[float] = []

    def whole() -> float:
        start = time.perf_counter()
        cpu = _cpu(lambda: blobs.put(f"30d/segments/{next(number)}.seg", segment))
        took.append(time.perf_counter() - start)
        return cpu / TRACES

    def singly() -> float:
        few = 5 if quick else 50
        traces = [segment[at * TRACE : (at + 1) * TRACE] for at in range(few)]
        put = blobs.put
        return _cpu(lambda: [put(f"30d/one/{next(number)}", one) for one in traces]) / few

    found = in_turns({"whole": whole, "singly": singly}, 2 if quick else ROUNDS)
    seconds = median(took[1:])
    return [
        timed(f"S3: the client's CPU a trace of {TRACE // 1000} KB, {TRACES:,} in one object",
              found["whole"], "µs", base=found["singly"], against="of one object each", target=50),
        Figure(what=f"S3: segments of {len(segment) // 10**6} MB put in a second", unit="/s",
               value=1 / seconds, ratio=len(segment) / seconds / 1e6, against="MB/s"),
    ]  # fmt: skip


def _reading(blobs: S3Blobs, quick: bool) -> list[Figure]:
    blobs.put("30d/segments/read.seg", random.Random(2).randbytes(TRACES * TRACE))
    places = random.Random(3).sample(range(TRACES), 20 if quick else READS)
    took = []
    for place in places:
        start = time.perf_counter()
        blobs.get("30d/segments/read.seg", place * TRACE, TRACE)
        took.append(time.perf_counter() - start)
    return [timed("S3: one trace read from its segment, by one range read", took, "ms")]


def _cpu(body: Callable[[], object]) -> float:
    """Seconds of this process's CPU."""
    start = time.process_time()
    body()
    return time.process_time() - start
