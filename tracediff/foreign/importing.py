"""``tracediff import``: foreign traces into a store, each once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import IO, Any

from tracediff.config import Config
from tracediff.errors import StoreError, TracediffError
from tracediff.foreign import fromspans, trifle
from tracediff.foreign.cleaning import Cleaning
from tracediff.foreign.documents import documents, unreadable
from tracediff.foreign.gathering import Gathered
from tracediff.foreign.reading import Source, sources
from tracediff.model import Trace
from tracediff.pushing import BATCH, Pushed, push_traces
from tracediff.recording.redaction import Redactor
from tracediff.recording.sealingkey import redaction_key
from tracediff.stores.base import Store
from tracediff.stores.configured import local_directory

Counted = Callable[[str, int, int], None]

MOST_STEPS = 50_000
"""Steps that wait at most until they are saved, where there are more than one trace."""

_PROBLEMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of foreign traces.

    ``ids`` are those of the first traces, in the order they were made. ``twice`` counts spans and
    parts that were there more than once, ``others`` requests of logs and metrics, ``bad`` what
    could not be read; ``problems`` names the first of it.
    """

    imported: int = 0
    known: int = 0
    ids: tuple[str, ...] = ()
    twice: int = 0
    others: int = 0
    bad: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of an import.

    Args:
        places: Files, directories, URLs, or "-".
        tool: "otel" or "trifle" where nothing else is to be there; None takes both.
        key: The key of all traces.
        skip_bad: Whether the rest is imported where something cannot be read.
    """

    places: Sequence[str]
    tool: str | None = None
    key: str | None = None
    skip_bad: bool = False


def import_traces(
    wish: Wish, config: Config, opened: Callable[[], Store], progress: Counted
) -> Imported:
    """Read foreign traces, and save those that the store does not have.

    Nothing is saved before all was read.

    Args:
        wish: What is asked for.
        config: The project's settings: what is secret.
        opened: Opens the store that the traces go to, once there are some.
        progress: Called with what is being done, how much is done and of how much.

    Raises:
        CodecError: ``import-unreadable``, ``import-too-large``: what was read is nothing known.
        StoreError: ``import-missing``, ``import-source``: it cannot be read; ``import-empty``:
            there is no trace in it.
    """
    key = functools.partial(redaction_key, local_directory(config))
    redactor = Redactor(config.redact, key)
    with Gathered() as gathered:
        done = _gather(wish, gathered, progress)
        if not len(gathered) and not done.bad:
            raise StoreError(
                f"no trace is in {', '.join(wish.places)}",
                slug="import-empty",
                hint="spans and payloads are looked for in .json, .jsonl and .ndjson files, and "
                "these with .gz",
            )
        if not len(gathered):
            return done
        return _save(_made(wish, gathered, redactor), len(gathered), done, opened(), progress)


def _gather(wish: Wish, gathered: Gathered, progress: Counted) -> Imported:
    found = [source for place in wish.places for source in sources(place)]
    total = sum(source.size or 0 for source in found)
    reading = _Progress(progress, total)
    done = Imported()
    for source in found:
        try:
            done = _gather_one(source, wish, gathered, reading, done)
        except TracediffError as error:
            if not wish.skip_bad:
                raise
            done = _bad(done, error.message)
    return replace(done, twice=gathered.twice, others=gathered.others)


def _gather_one(
    source: Source, wish: Wish, gathered: Gathered, reading: _Progress, done: Imported
) -> Imported:
    with source.open() as stream:
        for line, document in documents(reading.watched(stream), source.place):
            try:
                gathered.add(document, source.path, wish.tool)
            except ValueError as error:
                problem = unreadable(f"{source.place} line {line} cannot be imported: {error}")
                if not wish.skip_bad:
                    raise problem from None
                done = _bad(done, problem.message)
    return done


def _bad(done: Imported, problem: str) -> Imported:
    return replace(done, bad=done.bad + 1, problems=(*done.problems, problem)[:_PROBLEMS])


def _made(wish: Wish, gathered: Gathered, redactor: Redactor) -> Iterator[Trace]:
    """The traces, one at a time."""
    for spans, left_out in gathered.span_traces():
        cleaning = Cleaning(redactor)
        _tell(cleaning, left_out, "spans")
        yield fromspans.trace_of(spans, cleaning, wish.key)
    for place, entries, index, left_out in gathered.payloads():
        cleaning = Cleaning(redactor)
        _tell(cleaning, left_out, "entries")
        yield trifle.trace_of(place, entries, index, cleaning, wish.key)


def _tell(cleaning: Cleaning, left_out: int, what: str) -> None:
    if left_out:
        cleaning.warn(f"{left_out:,} {what} are not among the steps: there are too many of them")


def _save(
    traces: Iterator[Trace], total: int, done: Imported, store: Store, progress: Counted
) -> Imported:
    waiting: list[Trace] = []
    steps = 0
    for trace in chain(traces, (None,)):
        if trace is not None:
            waiting.append(trace)
            steps += len(trace.steps)
        if waiting and (trace is None or len(waiting) >= BATCH or steps >= MOST_STEPS):
            saved = push_traces(waiting, store, _untold)
            done = replace(
                done,
                imported=done.imported + saved.copied,
                known=done.known + saved.known,
                ids=(*done.ids, *(one.id for one in waiting))[:BATCH],
            )
            waiting, steps = [], 0
            progress("traces saved", done.imported + done.known, total)
    return done


def _untold(done: Pushed) -> None:
    """The whole is told of."""


class _Progress:
    """How many bytes of all were read; of streams whose size nobody knows, nothing is said."""

    def __init__(self, tell: Counted, total: int) -> None:
        self._tell = tell
        self._total = total
        self._read = 0

    def watched(self, stream: IO[bytes]) -> IO[bytes]:
        """The stream, whose reading is told of."""
        if not self._total:
            return stream
        watched: IO[bytes] = _Watched(stream, self._add)  # type: ignore[assignment]  # as a raw one
        return watched

    def _add(self, count: int) -> None:
        self._read += count
        if self._read <= self._total:
            self._tell("bytes read", self._read, self._total)


class _Watched:
    """A stream that tells how much was read."""

    def __init__(self, stream: IO[bytes], tell: Callable[[int], None]) -> None:
        self._stream = stream
        self._tell = tell
        self.closed = False

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._tell(len(data))
        return len(data)
