"""Live traces: what a running job has recorded so far is written in parts, until it ends.

Nothing here runs on the job's thread while it makes steps. The writer's thread looks at every live
trace now and then, cuts what is new, and lets go of what is over. A part is built when it is about
to be written: while a store refuses, what comes waits in the buffer, as it does of other jobs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from tracediff.digests import part_row
from tracediff.model import Part, State, Trace
from tracediff.recording import buffers
from tracediff.recording.assembly import state_of
from tracediff.recording.cutting import Cutting, Pieces, staying
from tracediff.recording.faults import brief
from tracediff.recording.queued import SPAN_BYTES, Bump, Finished, Ignored

if TYPE_CHECKING:
    from tracediff.recording.runs import Run
    from tracediff.recording.spans import Span

log = logging.getLogger("tracediff")

MOST_SPANS: Final = 5_000
"""New spans of a job that are written before its time has come."""

MOST_BYTES: Final = 1 << 20
"""Captured bytes that are."""

LOOK: Final = 0.1
"""Seconds between two looks at how much they hold."""

SHORTEST: Final = 0.02

FACTS: Final = 2_000
"""Bytes that a part holds besides its steps, about."""


class Live:
    """The trace of a job that runs, as far as it is written in parts.

    Args:
        run: The job's run.
        every: The seconds after which it writes its next part.
        root: The project's directory with a separator at its end.
    """

    __slots__ = (
        "_cutting", "_every", "_held", "_left_out", "_lock", "_number", "_reduced", "_root", "_run",
        "_taken_back", "_taking", "asked", "broken", "due", "hurry", "writes",
    )  # fmt: skip

    def __init__(self, run: Run, every: float, root: str) -> None:
        self._run = run
        self._every = every
        self._root = root
        self._cutting: Cutting | None = None
        self._number = 0
        self._reduced = -1
        self._left_out = 0
        self._held = 0  # spans that stayed in the buffer when it was cut
        self._taken_back = False  # what was written of a job that is ignored
        self._lock = threading.RLock()  # held for a moment: the job's thread may wait for it
        self._taking = threading.Lock()
        self.due = 0.0
        self.asked = False  # a bump waits in the queue
        self.hurry = False  # there is so much that it is not to wait
        self.broken = False
        self.writes: bool | None = None  # whether its store takes parts; None before that is known
        run.buffer.live = self
        run.buffer.limit = min(run.buffer.limit, MOST_SPANS)

    @property
    def id(self) -> str:
        """The trace's id."""
        return self._run.id

    # -- on the job's thread

    def begun(self) -> int:
        """How many spans have begun, those that were let go included."""
        with self._lock:
            return self._run.buffer.let_go + len(self._run.buffer.spans)

    def crowded(self) -> None:
        """The buffer has reached its limit: have it cut, or stop recording more."""
        buffer = self._run.buffer
        with self._lock:
            buffer.bound(buffer.let_go + len(buffer.spans))
            self._limit()
            urgent = len(buffer.spans) - self._held >= MOST_SPANS
        if urgent and not self.hurry and self.writes is not False:
            self.hurry = True
            self._run.recorder.writer.wake()

    def finished(self) -> Finished:
        """The job has ended; what is left of its trace."""
        buffer = self._run.buffer
        return Finished(self.last, buffer.bytes + SPAN_BYTES * len(buffer.spans), self)

    # -- on any thread

    def bump(self) -> Bump:
        """What has its next part built."""
        self.asked = True
        return Bump(self)

    def wants(self, now: float) -> bool:
        """Whether its next part is to be built."""
        if self.asked or self.broken or self.writes is False:
            return False
        return self.hurry or now >= self.due or self._run.buffer.bytes > MOST_BYTES

    @property
    def held(self) -> int:
        """About how many bytes it holds that wait to be written."""
        return self._run.buffer.bytes + SPAN_BYTES * (len(self._run.buffer.spans) - self._held)

    def shed(self) -> None:
        """Let go of what is over and was not written, since there is no room for it."""
        if self._taking.acquire(blocking=False):  # else it is being written, so there is room soon
            try:
                self._shed()
            finally:
                self._taking.release()

    def _shed(self) -> None:
        lost = self._forget()
        if lost and not self._left_out:
            log.warning("tracediff drops steps of a running %s", self._run.job.key)
        self._left_out += lost

    def _forget(self) -> int:
        """Let go of what is over and was not written; of how many steps and files that was."""
        buffer = self._run.buffer
        cutting = self._cutting or Cutting(buffer, self._root)
        spans, settled = cutting.snapshot()
        kept = [one for one in spans if id(one) not in settled or hasattr(one, "written")]
        files = len(buffer.artifacts)
        self._swap(spans, kept)
        del buffer.artifacts[:files]
        buffer.bytes = 0
        return len(spans) - len(kept) + files

    # -- on the writer's thread

    def part(self) -> tuple[Part | Ignored | None, int]:
        """What was recorded since the last part, and about how many bytes it holds."""
        with self._taking:
            return self._part()

    def _part(self) -> tuple[Part | Ignored | None, int]:
        run, buffer = self._run, self._run.buffer
        self.asked = self.hurry = False
        self.due = time.monotonic() + self._every
        if self.broken or not self.writes:
            return None, 0
        if buffer.ignored:
            self._forget()
            return self._back(), 0
        cutting = self._cutting = self._cutting or Cutting(buffer, self._root)
        size = buffer.bytes
        spans, settled = cutting.snapshot()
        until = perf_counter_ns()
        if run.root.end:  # what is left is its last part
            return None, 0
        try:
            pieces = cutting.take(spans, settled, until)
            made = self._made(cutting, pieces, "running", until - run.root.start)
        except Exception as error:
            self.broken = True
            buffer.warn(f"steps are missing, since a part could not be made: {brief(error)}")
            raise
        self._swap(spans, staying(spans))
        buffer.bytes -= size
        return made, size + SPAN_BYTES * len(pieces.steps) + FACTS

    def last(self) -> Trace | Part | Ignored | None:
        """The whole trace, where nothing of it was written before; else what is left of it."""
        with self._taking:
            try:
                return self._last()
            finally:
                self._run.live = self._run.buffer.live = None  # else they refer to one another

    def _last(self) -> Trace | Part | Ignored | None:
        run, buffer, cutting = self._run, self._run.buffer, self._cutting
        if not self._number or cutting is None:
            return None if buffer.ignored else self._honest(run.trace())
        if buffer.ignored:
            return self._back()
        run.root.state = buffer.state or run.root.state
        try:
            pieces = cutting.take(list(buffer.spans), None, run.root.end)
        except Exception as error:  # it must not seem to run for as long as its process does
            log.exception("tracediff could not make the last steps of %s", run.job.key)
            buffer.warn(f"steps are missing, since a part could not be made: {brief(error)}")
            pieces = cutting.job_alone(run.root)
        return self._made(cutting, pieces, state_of(run.root), pieces.steps[0].duration)

    def _back(self) -> Ignored | None:
        """What takes back what was written; nothing where it was taken back before."""
        if not self._number or self._taken_back:
            return None
        self._taken_back = True
        return Ignored(self._run.id)

    def reduced(self, part: Part, error: Exception) -> Part | None:
        """A part that a store refuses for what it is, without most of that; None after that."""
        if self._reduced == part.number:
            self.broken = True
            return None
        self._reduced = part.number
        said = self._run.buffer.scrub(f"steps are missing: {brief(error)}")
        self._run.buffer.warn(said)
        job = [  # whatever it holds, the trace is none without it
            replace(step, args=None, key=None, result=None)
            for step, place in zip(part.trace.steps, part.places, strict=True)
            if not place
        ]
        trace = replace(
            part.trace,
            steps=tuple(job),
            artifacts=(),
            warnings=tuple(dict.fromkeys((*part.trace.warnings, said))),
        )
        return replace(part, trace=trace, places=(0,) * len(job))

    def _made(self, cutting: Cutting, pieces: Pieces, state: State, duration: int) -> Part:
        run, number = self._run, self._number
        files = len(run.buffer.artifacts)
        trace = self._honest(run.facts(tuple(pieces.steps), state, duration, files))
        part = Part(
            number=number,
            trace=trace,
            places=tuple(pieces.places),
            row=part_row(trace, cutting.digests, cutting.steps, number + 1),
            concurrent=tuple(pieces.concurrent),
        )
        self._number = number + 1
        del run.buffer.artifacts[:files]
        return part

    def _honest(self, trace: Trace) -> Trace:
        """The trace with a word on what is missing in it."""
        if not self._left_out:
            return trace
        said = f"steps are missing, since the store was too slow: {self._left_out:,}"
        return replace(trace, warnings=(said, *trace.warnings))

    def _swap(self, spans: list[Span], kept: list[Span]) -> None:
        """Put the spans that stay in the place of all that were looked at."""
        buffer = self._run.buffer
        tracing = buffer.tracing
        with self._lock:
            # Who begins a span meanwhile looks at how many there are, and waits for it.
            buffer.limit = 0
            if tracing is not None:
                tracing.room = 0
            buffer.spans[: len(spans)] = kept
            buffer.let_go += len(spans) - len(kept)
            self._held = len(kept)
            self._limit()
            if tracing is not None:
                tracing.room = max(0, tracing.max_steps - buffer.let_go)

    def _limit(self) -> None:
        """Say at how many spans in the buffer there is something to be done."""
        buffer = self._run.buffer
        bound = buffers.MAX_SPANS if buffer.shallow else buffers.MAX_STEPS
        buffer.limit = min(len(buffer.spans) + MOST_SPANS, bound - buffer.let_go)


class Running:
    """The live traces of a process whose jobs run."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}

    def __bool__(self) -> bool:
        return bool(self._live)

    def add(self, live: Live) -> Bump:
        """Its job has begun; what has it written."""
        self._live[live.id] = live
        return live.bump()

    def remove(self, live: Live) -> None:
        """Its job has ended."""
        self._live.pop(live.id, None)

    def bumps(self, *, all_of_them: bool = False) -> list[Bump]:
        """What has those written whose time has come."""
        now = math.inf if all_of_them else time.monotonic()
        return [live.bump() for live in list(self._live.values()) if live.wants(now)]

    def wait(self) -> float | None:
        """The seconds after which to look at them; None when there are none."""
        if not self._live:
            return None
        due = min((live.due for live in list(self._live.values()) if live.wants(math.inf)),
                  default=math.inf)  # fmt: skip
        return min(LOOK, max(SHORTEST, due - time.monotonic()))

    def shed(self, most: int) -> None:
        """Have them hold no more bytes than this in all, the largest first."""
        lives = sorted(self._live.values(), key=lambda live: live.held)
        held = sum(live.held for live in lives)
        while lives and held > most:
            live = lives.pop()
            held -= live.held
            if live.writes:
                live.shed()
