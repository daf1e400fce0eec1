"""What of a job that still runs can be written now, and what of that is over and let go.

A span is *settled* when nothing of it changes any more. Whatever changes a span holds it: the frame
of the wrapper that opened it, the generator, cursor or answer it grows with, the contexts in which
it is current and may get children. So it is settled when nobody holds it but its buffer and its
children there, which the interpreter's count of references tells; the job's thread does nothing for
that. A span that is not settled is written as it is now, and again when it is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from sys import getrefcount
from typing import Any, Final, NamedTuple

from tracediff.digests import GrowingDigests
from tracediff.model import Step
from tracediff.recording.assembly import Making
from tracediff.recording.buffers import LOOKED_AT, UNSET, Buffer, Items, Later
from tracediff.recording.concurrency import Placed, Siblings
from tracediff.recording.spans import Span

POLITE: Final = 64
"""Steps that are made before a thread of the program may run."""

MANY: Final = 20_000
"""Spans from which on making steps of them is as urgent as the job."""


class Written:
    """What is remembered of a span that is in the buffer still, or has children that are."""

    __slots__ = ("above", "children", "done", "is_step", "lane", "loose", "path", "place", "shown",
                 "siblings")  # fmt: skip

    def __init__(self, place: int, above: Written | None, lane: Any) -> None:
        self.place = place
        self.above = above
        self.lane = lane
        self.children = 0
        self.siblings: Siblings | None = None
        self.is_step = False  # else that is not clear yet, and the place is kept for it
        self.loose = False
        self.done = False
        self.path = b""
        self.shown: tuple[Any, ...] = ()


_parent = attrgetter("parent")
_LEFT_OUT: Final = Written(-1, None, None)
_LEFT_OUT.done = True


class Pieces(NamedTuple):
    """The steps that are new or have changed, their places, and other concurrent ones' places."""

    steps: list[Step]
    places: list[int]
    concurrent: list[int]


class Cutting:
    """Cuts the buffer of a job that runs into pieces.

    Args:
        buffer: What the job writes into.
        root: The project's directory with a separator at its end.
    """

    def __init__(self, buffer: Buffer, root: str) -> None:
        self._buffer = buffer
        self._making = Making(buffer, root)
        self._several = False  # whether there is more than one lane
        self.digests = GrowingDigests()
        self.steps = 0

    def snapshot(self) -> tuple[list[Span], set[int]]:
        """The spans that are in the buffer now, and the ids of those that are settled."""
        spans = list(self._buffer.spans)
        counts = list(map(getrefcount, spans))  # at one moment: no thread runs in between
        children = Counter(map(id, map(_parent, spans)))
        settled = {
            id(span)
            for span, count in zip(spans, counts, strict=True)
            if count - children[id(span)] == _UNHELD
        }
        return spans, settled

    def take(self, spans: Sequence[Span], settled: set[int] | None, until: int) -> Pieces:
        """What is to be written of these spans.

        Args:
            spans: The buffer's.
            settled: The ids of those that are; None when the job has ended, and all are.
            until: The moment that is looked at.
        """
        there = self._steps([span for span in spans if _goes_on(span, until)], settled, until)
        found = self._scheduled(there, until)
        making, polite = self._making.step, settled is not None and len(spans) < MANY
        pieces = Pieces([], [], [])
        for span in there:
            written = span.written
            written.loose = written.loose or written.place in found
            over = settled is None or id(span) in settled
            if not over:
                shown = _shown(span, until)
                if shown == written.shown:
                    continue
                written.shown = shown
            above = -1 if written.above is None else written.above.place
            step = making(span, above, written.loose, until, settled=over)
            pieces.steps.append(step)
            pieces.places.append(written.place)
            self._note(written, step, over)
            if polite and not len(pieces.steps) % POLITE:
                time.sleep(0)  # the job goes on first
        pieces.concurrent.extend(sorted(found.difference(pieces.places)))
        return pieces

    def job_alone(self, root: Span) -> Pieces:
        """That the job has ended, without its values, where more cannot be made."""
        root.args = root.key = root.result = UNSET
        step = self._making.step(root, -1, False, root.end)
        return Pieces([step], [root.written.place], [])

    def _note(self, written: Written, step: Step, over: bool) -> None:
        if not written.path:
            above = b"" if written.above is None else written.above.path
            written.path = self.digests.path(above, step.kind, step.name)
            self.steps += 1
        if over:
            self.digests.settle(written.place, step)
            written.done = True

    def _steps(self, spans: list[Span], settled: set[int] | None, until: int) -> list[Span]:
        """Those that are steps, each with its place; places are kept for those that may be."""
        tracing = self._buffer.tracing
        if tracing is None or not tracing.min_duration:
            for span in spans:
                self._placed(span).is_step = True
            return spans
        kept, unclear = tracing.sift(spans, until, settled)
        found = []
        for span in spans:
            if id(span) in kept:
                self._placed(span).is_step = True
                found.append(span)
            elif id(span) in unclear:
                self._placed(span)
            else:
                span.written = _LEFT_OUT
        return found

    def _placed(self, span: Span) -> Written:
        try:
            return span.written
        except AttributeError:  # it is new
            above = self._above(span)
            place = self.digests.place(-1 if above is None else above.place)
            span.written = Written(place, above, span.lane)
            return span.written

    def _above(self, span: Span) -> Written | None:
        """What a span lies in; the job's own where that is no step."""
        parent = span.parent
        while parent is not None:
            try:
                return parent.written
            except AttributeError:  # it was left out
                parent = parent.parent
        return None

    def _scheduled(self, spans: Sequence[Span], until: int) -> set[int]:
        """The places of those that turn out to be concurrent, of old ones too."""
        new = [span.written for span in spans if not span.written.path]
        if not self._several:
            lane = spans[0].lane
            if all(one.lane == lane for one in new):
                for one in new:
                    if one.above is not None:
                        one.above.children += 1
                return set()
            self._several = True
        groups: dict[int, tuple[Written, list[Placed], list[Placed]]] = {
            id(one.above): (one.above, [], []) for one in new if one.above is not None
        }
        for span in spans:
            group = groups.get(id(span.written.above))
            if group is not None:
                _, fresh, others = group
                (others if span.written.path else fresh).append((span.written.place, span))
        found: set[int] = set()
        for above, fresh, others in groups.values():
            if above.siblings is None:
                above.siblings = Siblings(above.lane, above.children)
            above.children += len(fresh)
            found.update(above.siblings.taken(fresh, others, until))
        return {place for place in found if self.digests.loosen(place)}


def staying(spans: Sequence[Span]) -> list[Span]:
    """Those that the buffer keeps: what is not over, and the last ones, without their values.

    An error that the job raises next may have the secret arguments of one of these in its text.
    """
    recent = len(spans) - LOOKED_AT
    found = []
    for at, span in enumerate(spans):
        if _is_done(span):
            if at < recent:
                continue
            _lighten(span)
        found.append(span)
    return found


def _goes_on(span: Span, until: int) -> bool:
    """Whether a span has begun, and is not over as far as the trace is concerned."""
    return getattr(span, "start", until + 1) <= until and not _is_done(span)


def _is_done(span: Span) -> bool:
    written: Written | None = getattr(span, "written", None)
    return written is not None and written.done


def _lighten(span: Span) -> None:
    """Let go of the values of a span that is over, but for its secrets."""
    span.result = UNSET
    secret = span.buffer.redactor.secret
    names = getattr(span.mark, "names", ())
    if isinstance(span.args, tuple | list):
        span.args = tuple(
            value if type(value) is str and secret(name) else None
            for name, value in zip(names, span.args, strict=False)
        )
    span.kwargs = {
        name: value
        for name, value in (span.kwargs or {}).items()
        if type(value) is str and secret(name)
    }


def _shown(span: Span, until: int) -> tuple[Any, ...]:
    """What of a span may change after it was first written."""
    result = span.result
    there = result is not UNSET and type(result) is not Items and not isinstance(result, Later)
    end = span.end if 0 < span.end <= until else 0
    return end, span.state, span.error, there, span.mutated


def _unheld() -> int:
    """The count of references to a span that nobody holds but a buffer, as ``snapshot`` sees it."""
    buffer = [Written(0, None, None)]
    spans = list(buffer)
    return next(map(getrefcount, spans))


_UNHELD: Final = _unheld()
