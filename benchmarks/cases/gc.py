"""``gc`` over many traces in a directory: how many a second, and its memory at a tenth and all.

Half of the traces have expired, in every second segment all and in every fourth a half, so that
segments are looked at, removed and written anew. ``BENCH_ROWS`` says how many traces there are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.filled import rows
from tracediff.model import Row
from tracediff.stores.local import LocalStore
from tracediff.stores.rows import dump_row
from tracediff.stores.segments import trace_frame
from tracediff.stores.sqlite_index import Entry, Progress

TRACES = 1_000_000
IN_A_SEGMENT = 1_000
TARGET = 5_000
"""Traces a second, at least."""

GROWTH = 1.25
"""What the memory at all traces may be, as a multiple of that at a tenth."""

_EXPIRED = 1
_PAYLOAD = b"\x00" * 64
_RUN = """
import json, resource, sys, time
from pathlib import Path
from tracediff.stores.local import LocalStore
from tracediff.stores.upkeep.base import kept_of
from tracediff.stores.upkeep.collecting import Wish, collect
store = LocalStore(Path(sys.argv[1]))
began = time.perf_counter()
found = collect(kept_of(store), Wish(grace=0.0), lambda *told: None)
lasted = time.perf_counter() - began
store.close()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([lasted, peak, found.rows, found.removed.count, found.rewritten.count]))
"""


def measure(quick: bool) -> list[Figure]:
    count = int(os.environ.get("BENCH_ROWS", 6_000 if quick else TRACES))
    small = _run(count // 10)
    large = _run(count)
    said = f"{large[3]} segments removed, {large[4]} written anew"
    return [
        Figure(
            what=f"gc, {count:,} traces in a directory, {said}", unit="/s",
            value=count / large[0], target=TARGET, least=True,
        ),
        Figure(what=f"gc, memory at {count // 10:,} traces", unit="MB", value=small[1]),
        Figure(
            what=f"gc, memory at {count:,} traces", unit="MB", value=large[1],
            ratio=large[1] / small[1], against="× that at a tenth", target=small[1] * GROWTH,
        ),
    ]  # fmt: skip


def _run(count: int) -> list[float]:
    directory = Path(f"gc-{count}").absolute()
    _fill(directory, count)
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(directory)], capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(done.stdout)
    return found


def _fill(directory: Path, count: int) -> None:
    store = LocalStore(directory)
    try:
        waiting: list[Row] = []
        for number, row in enumerate(rows(count)):
            segment = number // IN_A_SEGMENT
            old = segment % 2 == 1 or (segment % 4 == 0 and number % 2 == 1)
            waiting.append(replace(row, expires_at=_EXPIRED if old else None))
            if len(waiting) == IN_A_SEGMENT:
                _write(store, segment, waiting)
                waiting.clear()
        if waiting:
            _write(store, count // IN_A_SEGMENT, waiting)
    finally:
        store.close()


def _write(store: LocalStore, number: int, some: list[Row]) -> None:
    """One segment and its rows: the frames are whole, what is in them is of no account."""
    name = f"{number:016x}-bench.seg"
    frames, entries, at = [], [], 0
    for row in some:
        frame = trace_frame(row.id, dump_row(row), _PAYLOAD)
        place = (f"segments/{name}", at, len(frame))
        entries.append(Entry(replace(row, location=place)))
        frames.append(frame)
        at += len(frame)
    (store.directory / "segments").mkdir(exist_ok=True)
    (store.directory / "segments" / name).write_bytes(b"".join(frames))
    store.index.record(entries, progress=Progress(name, 0, at))
