"""Copying traces from one store to another, many at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from tracediff.errors import StoreError
from tracediff.model import Row, Trace
from tracediff.stores.base import Store
from tracediff.stores.walking import loaded

BATCH = 200
"""Traces that are saved at once, which become one segment where the store keeps segments."""

WORKERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """How many traces were copied, were there already, and could not be read.

    ``problems`` names the first few that could not be read, and why.
    """

    copied: int = 0
    known: int = 0
    unreadable: int = 0
    problems: tuple[str, ...] = ()


def push_rows(
    source: Store, rows: Iterable[Row], target: Store, progress: Callable[[Pushed], None]
) -> Pushed:
    """Copy the traces of these rows; those that are there already are not even read."""
    done = Pushed()
    sources = _Sources(source, target)
    with ThreadPoolExecutor(WORKERS) as pool:
        for batch in _batches(rows):
            there = list(pool.map(lambda row: _is_known(target, row.id), batch))
            wanted = [row for row, known in zip(batch, there, strict=True) if not known]
            done = replace(done, known=done.known + len(batch) - len(wanted))
            traces: list[Trace] = []
            for found in pool.map(lambda row: loaded(source, row), wanted):
                if isinstance(found, Trace):
                    traces.append(found)
                else:
                    done = _unreadable(done, found)
            sources.copy(traces)
            target.save(traces)
            done = replace(done, copied=done.copied + len(traces))
            progress(done)
    return done


def push_traces(
    traces: Sequence[Trace], target: Store, progress: Callable[[Pushed], None]
) -> Pushed:
    """Save traces that were read already."""
    wanted = [trace for trace in traces if not _is_known(target, trace.id)]
    target.save(wanted)
    done = Pushed(copied=len(wanted), known=len(traces) - len(wanted))
    progress(done)
    return done


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    waiting = iter(rows)
    while batch := list(itertools.islice(waiting, BATCH)):
        yield batch


def _is_known(store: Store, trace_id: str) -> bool:
    return any(row.id == trace_id for row in store.find(trace_id, 2))


def _unreadable(done: Pushed, error: StoreError) -> Pushed:
    problems = (*done.problems, error.message)[:10]
    return replace(done, unreadable=done.unreadable + 1, problems=problems)


class _Sources:
    """Copies the sources that traces ran, each once, where both stores keep them."""

    def __init__(self, source: Store, target: Store) -> None:
        self._source = source
        self._target = target
        self._done: set[str] = set()
        self._wanted = source.capabilities.sources and target.capabilities.sources

    def copy(self, traces: Iterable[Trace]) -> None:
        """Copy what these traces ran; before the traces, so that none is without."""
        if not self._wanted:
            return
        for blob in {blob for trace in traces for blob in trace.code.files.values()} - self._done:
            data = self._source.load_source(blob)
            if data is not None:
                self._target.save_source(blob, data)
            self._done.add(blob)
