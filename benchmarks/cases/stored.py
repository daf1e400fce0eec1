"""The size of a trace of 50 steps in a local store."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
from benchmarks.made_up import price_trace
from tracediff import codec
from tracediff.stores.local import LocalStore

TRACES = 50


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
    ]  # fmt: skip
