"""The worker's side of a check, whichever engine it works for: rows in, results out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from tracediff.check.confirming import Confirming, Decided
from tracediff.check.judging import failed, same
from tracediff.check.lanes import Answer, Lane, Task, wait
from tracediff.check.results import Work, unpack_result
from tracediff.check.sources import Sources
from tracediff.check.warmed import Warmed
from tracediff.checked import Result
from tracediff.codefiles import source_reader
from tracediff.compare.code import Load
from tracediff.config import Config
from tracediff.errors import ReplayError, StoreError
from tracediff.model import Row
from tracediff.replay.revisions import environment_at
from tracediff.stores.base import Store
from tracediff.stores.walking import loaded_packed

AHEAD: Final = 0.3
"""Seconds of work that are sent ahead."""
FEWEST, MOST = 2, 256
"""How many traces are under way at least, and at most."""
MOST_BYTES: Final = 16 << 20
"""Bytes of traces above which no more are sent ahead."""
REST: Final = 0.015
"""Seconds between two looks at a process that has enough to do."""

Take = Callable[[int], Sequence[Row]]
"""Gives at most so many rows, none when there are no more."""


class Worker:
    """Replays traces in a warm process, and says what came of each.

    Its process imports the jobs once. One trace's misfortune is its own result and no other's.

    Args:
        config: The project's settings.
        store: Where the traces are.
        work: What counts as the same, and what a replay may take.
        then: The settings of the old code where it is laid out, if it gives the old side.
        load: Reads source files, so that causes are told by their code.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        work: Work,
        *,
        then: Config | None = None,
        load: Load | None = None,
    ) -> None:
        self._store = store
        read = load or Sources(source_reader(config.root, lambda: store)).read
        self._lanes = [Lane(lambda: Warmed(config, work, read))]
        if then is not None:
            old, told = replace(then, python=config.python), environment_at(config, work.against)
            first = Lane(lambda: Warmed(old, work, read, told), whole=True)
            self._lanes.insert(0, first)
        self._confirming: Confirming[Task] = Confirming()
        self._depth = FEWEST
        self._stopped = False

    def run(self, rows: Iterable[Row]) -> Iterator[Result]:
        """Replay the traces of these rows, each once, in any order.

        Raises:
            StoreError: The store cannot be read any more.
            ReplayError: No process can be started.
        """
        source = iter(rows)
        return self.results(lambda most: list(islice(source, most)))

    def results(self, take: Take) -> Iterator[Result]:
        """As ``run``, for rows that are asked for."""
        done = self._stopped = False
        pace = _Pace()
        try:
            while True:
                if not done and (room := self._room()):
                    rows = take(room)
                    done = not rows
                    yield from self._sent(rows)
                if done and not any(map(len, self._lanes)):
                    return
                wait(self._lanes, 1.0)
                if len(self._lanes[-1]) > self._depth // 2 > FEWEST:
                    time.sleep(REST)  # the more answers come at once, the less each costs
                if self._stopped:
                    return
                yield from self._answered(pace)
                self._depth = pace.depth
        finally:
            if any(map(len, self._lanes)):
                for lane in self._lanes:
                    lane.forget()
            self._confirming.forget()

    def _sent(self, rows: Sequence[Row]) -> Iterator[Result]:
        """Send traces on their way; the results of those that cannot be read."""
        for row, data in loaded_packed(self._store, rows):
            if isinstance(data, StoreError):
                yield failed(row, data)
            else:
                self._lanes[0].put(Task(row, data))

    def _answered(self, pace: _Pace) -> Iterator[Result]:
        for lane in self._lanes:
            for answer in lane.turn():
                pace.answered()
                yield from self._settled(lane, answer)

    def stop(self) -> None:
        """Let ``run`` end at once, without results; from any thread."""
        self._stopped = True
        for lane in self._lanes:
            lane.end()

    def close(self) -> None:
        """End the processes."""
        for lane in self._lanes:
            lane.forget()

    def _room(self) -> int:
        """How many more traces may be sent ahead; none while there are enough."""
        flying = sum(map(len, self._lanes)) + self._confirming.waiting
        if flying > self._depth // 2 or sum(lane.bytes for lane in self._lanes) > MOST_BYTES:
            return 0
        return self._depth - flying

    def _settled(self, lane: Lane, answer: Answer) -> Iterator[Result]:
        task, (kind, *rest) = answer.task, answer.said
        if kind == "whole":
            task.other = rest[0]
            self._lanes[-1].put(task)
            return
        found, cause = _found(task.row, kind, rest)
        if lane is not self._lanes[-1]:
            found, cause = replace(found, message=f"the old code: {found.message}"), None
        yield from self._judged(task, found, cause, fresh=answer.fresh)

    def _judged(
        self, task: Task, found: Result, cause: str | None, *, fresh: bool
    ) -> Iterator[Result]:
        decided: Decided[Task] = Decided()
        if task.again:
            confirmed = task.found is not None and _alike(task.found, found)
            decided = self._confirming.again(task.cause, confirmed=confirmed)
            yield found
        elif found.kind == "same":
            yield found
        elif fresh and len(self._lanes) == 1:
            self._confirming.fresh(cause)
            yield found
        else:
            task.found, task.cause = found, cause
            decided = self._confirming.first(task, cause)
        for one in decided.accepted:
            if one.found is not None:
                yield one.found
        for one in decided.again:
            one.again, one.other = True, None
            self._lanes[0].put(one)


class _Pace:
    """How many traces are sent ahead, by how fast answers come."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._answers = 0
        self.depth = FEWEST

    def answered(self) -> None:
        """Count an answer."""
        self._answers += 1
        lasted = time.monotonic() - self._since
        if lasted > AHEAD / 2 or self._answers >= self.depth:
            wanted = int(AHEAD * self._answers / max(lasted, 1e-6))
            self.depth = max(FEWEST, min(MOST, wanted, 2 * self.depth))
            self._since, self._answers = time.monotonic(), 0


def _found(row: Row, kind: str, rest: list[Any]) -> tuple[Result, str | None]:
    """A result, and by what it stands for others like it, if it does."""
    if kind == "same":
        attributes, ran, units = rest
        if not attributes and not ran:
            return same(row), None
        told = tuple((name, value) for name, value in attributes)
        known = tuple((file, name, digest) for file, name, digest in units)
        return replace(same(row), attributes=told, ran=ran, units=known), None
    if kind == "changed":
        coded, packed = rest
        found = unpack_result(packed)
        return found, found.cause if coded else None
    message, slug, hint = rest
    # To wait for the limit once more, for each of thousands, would take days.
    return failed(row, ReplayError(message, slug=slug, hint=hint)), (
        slug if slug == "replay-timeout" else None
    )


def _alike(one: Result, other: Result) -> bool:
    return (one.kind, one.cause, one.slug) == (other.kind, other.cause, other.slug)
