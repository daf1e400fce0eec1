"""The size of a trace of 50 steps in a local store, and of the example's with a dictionary."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
from benchmarks.made_up import price_trace
from benchmarks.running import ROOT
from tracediff import codec
from tracediff.model import Query
from tracediff.stores.dictionaries import train
from tracediff.stores.local import LocalStore
from tracediff.stores.segments import read_frame, trace_frame

TRACES = 50
EXAMPLE = ROOT / "fixtures" / "pricing" / "v1"


def measure(quick: bool) -> list[Figure]:
    traces = [price_trace(seed) for seed in range(5 if quick else TRACES)]
    with tempfile.TemporaryDirectory() as directory:
        store = LocalStore(Path(directory) / "store")
        store.save(traces)
        frames = [store.find(trace.id)[0].location[2] for trace in traces]
        whole = sum(one.stat().st_size for one in Path(directory).rglob("*") if one.is_file())
        store.close()
    raw = [len(codec.dump(trace)) for trace in traces]
    return [
        Figure(what=f"stored, a trace of 50 steps, {median(raw) / 1000:.1f} KB before compression",
               unit="KB", value=median(frames) / 1000,
               ratio=median(a / b for a, b in zip(raw, frames, strict=True)),
               against="times smaller", target=6.5),
        Figure(what=f"the whole store, a trace, of {len(traces)}", unit="KB",
               value=whole / len(traces) / 1000),
        *(_with_dictionary(depth, quick) for depth in ("inputs", "steps")),
    ]  # fmt: skip


def _with_dictionary(depth: str, quick: bool) -> Figure:
    """The example's traces, half of them compressed with a dictionary made of the other half."""
    raw = _recorded(depth, 80 if quick else 300)
    dictionary = train(raw[::2])
    sizes = {
        used: [len(read_frame(trace_frame("id", b"{}", one, dictionary=used)).payload)
               for one in raw[1::2]]
        for used in (None, dictionary)
    }  # fmt: skip
    apart, shared = sizes[None], sizes[dictionary]
    return Figure(
        what=f"a trace of the example, depth {depth}, with a shared dictionary",
        unit="KB",
        value=median(shared) / 1000,
        ratio=sum(apart) / sum(shared),
        against="times smaller than without",
    )


def _recorded(depth: str, count: int) -> list[bytes]:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "pricing"
        shutil.copytree(EXAMPLE, place)
        for command in (["pricing.catalogue"], ["pricing.run", "--last", str(count)]):
            subprocess.run(
                [sys.executable, "-m", *command],
                cwd=place,
                env={**os.environ, "TRACEDIFF_DEPTH": depth},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        store = LocalStore(place / ".tracediff")
        try:
            rows = store.search(Query(limit=count)).rows
            return [codec.dump(store.load(row)) for row in rows]
        finally:
            store.close()
