"""Which calls of autotraced functions become steps of one trace, and what was left out of it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from tracediff.config import Config
from tracediff.model import Autotracing, Cut, CutBy
from tracediff.recording.marks import unit_of

if TYPE_CHECKING:
    from tracediff.recording.buffers import Buffer
    from tracediff.recording.spans import Span

MOST_NAMED = 5
"""Functions that one of a trace's warnings names."""

MOST_CUT = 200
"""Functions that a trace says were cut; those with the most calls."""

_SECOND: Final = 1_000_000_000


class Tracing:
    """The limits of one trace, and what they took out of it.

    Args:
        max_depth: How many levels the tree may have.
        max_steps: The number of steps of the trace from which on no call becomes one.
        max_calls: How many calls of one function become steps.
        values: Whether arguments and results are recorded.
        patterns: The modules whose functions become steps.
        min_duration: The nanoseconds below which a call is left out when the job has ended.
    """

    __slots__ = (
        "calls", "cuts", "max_calls", "max_depth", "max_steps", "min_duration", "own", "patterns",
        "room", "short", "values",
    )  # fmt: skip

    def __init__(
        self,
        max_depth: int,
        max_steps: int,
        max_calls: int,
        *,
        values: bool = True,
        patterns: Sequence[str] = (),
        min_duration: int = 0,
    ) -> None:
        self.max_depth = max_depth
        self.max_steps = max_steps
        self.room = max_steps  # spans of the buffer from which on one looks how many there were
        self.max_calls = max_calls
        self.values = values
        self.patterns = tuple(patterns)
        self.min_duration = min_duration
        self.own: str | None = None  # the function that is the job, and no step of it
        self.calls: dict[Any, int] = {}
        self.cuts: dict[tuple[Any, CutBy], int] = {}
        self.short: dict[str, tuple[int, int]] = {}

    def cut(self, function: Any, depth: int, made: int) -> None:
        """Count a call that becomes no step."""
        by: CutBy
        if depth >= self.max_depth:
            by = "depth"
        elif made <= self.max_calls:
            by = "steps"
        else:
            return  # told by how often it was called
        self.calls[function] = made - 1
        self.cuts[function, by] = self.cuts.get((function, by), 0) + 1

    def without_short(self, spans: list[Span], root_end: int) -> list[Span]:
        """The spans without autotraced calls that took too little time for a step.

        Left out is a call with all below it, where that too is nothing but short calls which raised
        nothing and said nothing of their state.
        """
        self.short = {}
        if not self.min_duration:
            return spans
        kept, _ = self.sift(spans, root_end)
        return [span for span in spans if id(span) in kept]

    def sift(
        self, spans: Sequence[Span], until: int, settled: Container[int] | None = None
    ) -> tuple[set[int], set[int]]:
        """Which spans are steps, and of which that is not clear yet, by their ids.

        The others are counted as left out.

        Args:
            spans: The spans, in the order they opened.
            until: The end of what is looked at.
            settled: Ids of those of which nothing changes any more; None when that is all of them.
        """
        kept: set[int] = set()
        unclear: set[int] = set()
        for span in reversed(spans):
            mine = id(span)
            over = settled is None or mine in settled
            if mine in kept or self._stays(span, until, over):
                kept.update((mine, id(span.parent)))
            elif mine in unclear or not over:
                unclear.update((mine, id(span.parent)))
            else:
                unit = span.mark.source.unit  # type: ignore[union-attr]  # an autotraced mark has it
                calls, time = self.short.get(unit, (0, 0))
                self.short[unit] = calls + 1, time + span.end - span.start
        return kept, unclear

    def _stays(self, span: Span, until: int, over: bool) -> bool:
        """Whether a span is a step, whatever comes below it."""
        if not getattr(span.mark, "autotraced", False):
            return True
        if span.error is not None or span.state is not None:
            return True
        written = getattr(span, "written", None)
        if written is not None and written.is_step:
            return True
        if 0 < span.end <= until:
            return span.end - span.start >= self.min_duration
        return over or until - span.start >= self.min_duration

    def is_full(self, buffer: Buffer) -> bool:
        """Whether the trace has so many steps that no call becomes one."""
        return buffer.begun() >= self.max_steps

    def facts(self) -> Autotracing:
        """How the trace was autotraced, and what is missing in it for that."""
        return Autotracing(
            patterns=self.patterns,
            values=self.values,
            max_depth=self.max_depth,
            max_steps=self.max_steps,
            max_calls=self.max_calls,
            min_duration=self.min_duration,
            cuts=tuple(sorted(self._cuts(), key=lambda one: (-one.calls, one.unit))[:MOST_CUT]),
        )

    def _cuts(self) -> Iterable[Cut]:
        for (function, by), calls in list(self.cuts.items()):  # the job may go on
            yield Cut(unit=unit_of(function.function), by=by, calls=calls)
        for function, made in list(self.calls.items()):
            if made > self.max_calls:
                yield Cut(unit=unit_of(function.function), by="calls", calls=made - self.max_calls)
        for unit, (calls, time) in self.short.items():
            yield Cut(unit=unit, by="duration", calls=calls, duration=time)

    def notes(self) -> list[str]:
        """What was left out, for the trace's warnings."""
        least = self.min_duration / _SECOND
        said: dict[CutBy, str] = {
            "steps": f"are no steps: a deep trace ends at {self.max_steps} steps",
            "depth": f"are no steps: a deep trace ends at {self.max_depth} levels",
            "calls": f"are no steps: of one function the first {self.max_calls} are",
            "duration": f"are no steps: they took less than {least:g} s each",
        }
        found = list(self._cuts())
        return [
            f"{sum(one.calls for one in some)} calls {what}: {_named(some)}"
            for by, what in said.items()
            if (some := [one for one in found if one.by == by])
        ]


def _named(cuts: list[Cut]) -> str:
    """The functions that were cut most, as "hot (41)"."""
    cuts.sort(key=lambda one: (-one.calls, one.unit))
    named = ", ".join(
        f"{one.unit.partition(':')[2]} ({one.calls}"
        + (f", {one.duration / _SECOND:.3g} s)" if one.by == "duration" else ")")
        for one in cuts[:MOST_NAMED]
    )
    return f"{named} and {len(cuts) - MOST_NAMED} more" if len(cuts) > MOST_NAMED else named


def tracing_of(config: Config, patterns: Sequence[str]) -> Tracing:
    """The limits that the settings give a trace of these modules' functions."""
    return Tracing(
        config.autotrace_depth,
        config.autotrace_steps,
        config.autotrace_calls,
        values=config.autotrace_values,
        patterns=patterns,
        min_duration=round(config.autotrace_min_duration * _SECOND),
    )
