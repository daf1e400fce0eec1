"""The ids that a job makes for its documents: a replay makes the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter_ns

from bson import ObjectId

from tracediff.recording.buffers import Buffer, Later
from tracediff.recording.libraries.mongo.told import NAME
from tracediff.recording.marks import Mark
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, new_span

_ID = "_ObjectId__id"


def _ids() -> None:
    """Ids that a job makes, in their order."""


IDS = Mark("input", f"{NAME} ObjectId", _ids, drop=0)


class Ids(Later):
    """The ids of one job: one input, at the first of them."""

    def __init__(self, parent: Span) -> None:
        super().__init__()
        self._made: list[ObjectId] = []
        self._served: Iterator[ObjectId] = iter(())
        span = new_span(IDS, parent.buffer, parent, (), {})
        span.result = self
        span.end = perf_counter_ns()
        if parent.buffer.server is not None:
            found = answer(span)
            self._served = iter(found.result or ())

    @classmethod
    def of(cls, parent: Span) -> Ids:
        """Those of a trace."""
        reached = parent.buffer.reached
        found: Ids | None = reached.get(IDS.name)
        if found is None:
            found = reached[IDS.name] = cls(parent)
        return found

    def add(self, made: ObjectId) -> None:
        """Keep an id; in a replay it becomes the recorded one."""
        found = next(self._served, None)
        if type(found) is ObjectId:
            setattr(made, _ID, found.binary)
        self._made.append(made)

    def made(self, buffer: Buffer) -> bytes:
        """The canonical list."""
        return buffer.encode(list(self._made))
