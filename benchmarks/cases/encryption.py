"""What encrypting payloads costs who saves and who reads: a local store with keys and without."""

from __future__ import annotations

import functools
import hashlib
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns

from benchmarks.figures import Figure, timed
from benchmarks.made_up import price_trace
from benchmarks.measuring import in_turns
from tracediff.config.encryption import EncryptionKey
from tracediff.model import Query, Trace
from tracediff.stores.encryption import NO_KEYS, Keyring
from tracediff.stores.local import LocalStore

BATCH = 100
_ids = itertools.count()


def measure(quick: bool) -> list[Figure]:
    key = EncryptionKey("k1", None, hashlib.sha256(b"a benchmark's").digest())
    made = [price_trace(seed) for seed in range(10)]
    traces = [made[number % 10] for number in range(BATCH)]
    with tempfile.TemporaryDirectory() as directory:
        stores = {
            "plain": LocalStore(Path(directory) / "plain", keyring=NO_KEYS),
            "encrypted": LocalStore(Path(directory) / "encrypted", keyring=Keyring([key])),
        }
        saving = {name: functools.partial(_save, one, traces) for name, one in stores.items()}
        saved = in_turns(saving, 2 if quick else 60)
        loading = {name: functools.partial(_load, one) for name, one in stores.items()}
        loaded = in_turns(loading, 2 if quick else 60)
        for store in stores.values():
            store.close()
    added = [one / other - 1 for one, other in zip(saved["encrypted"], saved["plain"], strict=True)]
    return [
        timed("what encryption adds to saving a trace of 50 steps", added, "%", target=20),
        timed("saving one, encrypted", saved["encrypted"], "ms",
              base=saved["plain"], against="of the time without"),
        timed("reading one, encrypted", loaded["encrypted"], "ms",
              base=loaded["plain"], against="of the time without"),
    ]  # fmt: skip


def _save(store: LocalStore, traces: list[Trace]) -> float:
    """Seconds a trace, in batches as the writer saves them."""
    named = [replace(one, id=f"bench-{next(_ids)}") for one in traces]
    start = perf_counter_ns()
    store.save(named)
    return (perf_counter_ns() - start) / len(named) / 1e9


def _load(store: LocalStore) -> float:
    rows = store.search(Query(limit=BATCH)).rows
    start = perf_counter_ns()
    for row in rows:
        store.load(row)
    return (perf_counter_ns() - start) / len(rows) / 1e9
