"""The recorded and the other code as they are: run whole, before anything is mixed of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracediff.compare.stepdiff import SLACK, span_of, within
from tracediff.explain.hybrids import Answer, Covered, Hybrids, Task
from tracediff.explain.outcomes import Outcome, Path, differing, fields, recorded
from tracediff.explain.telling import field_name
from tracediff.model import Trace

_FAILURES = {"timeout": "it took too long", "died": "it ended the process"}
_NAMED = 5
_LONGEST = 3600 * 1_000_000_000  # of a run, in nanoseconds as the others


class RefusedError(Exception):
    """There is no attribution; the text says why."""


@dataclass(frozen=True, slots=True)
class End:
    """One side, run: its outcome, and what ran."""

    outcome: Outcome
    covered: Covered


@dataclass(frozen=True, slots=True)
class Ends:
    """Both sides.

    ``varying`` are the fields of the outcome that differ from run to run, ``unproven`` those that
    the recorded code gives otherwise now than it did. ``ticking`` are those of them that are the
    runs' own clocks.
    """

    old: End
    new: End
    varying: tuple[Path, ...]
    unproven: tuple[Path, ...]
    ticking: frozenset[Path] = frozenset()

    @property
    def noise(self) -> tuple[Path, ...]:
        """The fields of which no difference is the effect of a change."""
        return tuple(dict.fromkeys((*self.varying, *self.unproven)))

    @property
    def told(self) -> tuple[Path, ...]:
        """The noise that somebody may wonder about: a run has another time than the one before."""
        return tuple(one for one in self.noise if one not in self.ticking)

    def changed(self) -> list[Path]:
        """The fields that differ because of a change.

        Raises:
            RefusedError: Only some do that the recorded code does not give as it did.
        """
        noise = set(self.noise)
        differ = differing(fields(self.old.outcome), fields(self.new.outcome))
        found = [one for one in differ if one not in noise]
        if len(found) > 1 and ("state",) in found:
            found.remove(("state",))
        moved = [one for one in differ if one in self.unproven and one not in self.varying]
        if moved and not found:
            names = ", ".join(field_name(one) for one in moved[:_NAMED])
            raise RefusedError(f"the recorded code gives another result now than it gave: {names}")
        return found


def both_ends(hybrids: Hybrids, trace: Trace, *, served: int, limit: float) -> Ends:
    """Run each side twice, so that what varies by itself is seen; warm the worker in between.

    Args:
        hybrids: The worker.
        trace: The recording.
        served: The number of the recording that serves the new side's inputs.
        limit: Seconds that a side may take.

    Raises:
        RefusedError: A side cannot be run.
    """
    libraries = tuple(one.name for one in hybrids.libraries)
    tasks = [
        Task(side="old", limit=limit, coverage=True, libraries=libraries),
        Task(side="new", limit=limit, coverage=True, trace=served),
    ]
    first = dict(hybrids.run(tasks))
    old, new = _end(first[0], "recorded"), _end(first[1], "new")
    hybrids.warm(sorted({*old.covered.libraries, *new.covered.libraries}))
    again = dict(hybrids.run(tasks))
    varying: dict[Path, None] = {}
    for at, one in enumerate((old, new)):
        other = again[at].outcome
        if other is not None:
            varying.update(dict.fromkeys(differing(fields(one.outcome), fields(other))))
    unproven = differing(fields(recorded(trace)), fields(old.outcome))
    ticks = ticking(trace, (*varying, *unproven), (old.outcome, new.outcome))
    return Ends(old, new, tuple(varying), tuple(unproven), ticks)


def ticking(trace: Trace, paths: Sequence[Path], outcomes: Iterable[Outcome]) -> frozenset[Path]:
    """Those of some fields that hold the moment of the run, recorded and in each outcome.

    A replay's clock starts when the recorded job did.
    """
    if not paths:
        return frozenset()  # as for most traces: their fields need not be read
    spans = [span_of(trace), (trace.started_at - SLACK, trace.started_at + _LONGEST)]
    recording = fields(recorded(trace))
    others = [fields(one) for one in outcomes]
    return frozenset(
        path
        for path in paths
        if within(recording.get(path), spans[0])
        and all(within(one.get(path), spans[1]) for one in others)
    )


def outcome_of(answer: Answer, which: str) -> Outcome:
    """What a side gave.

    Raises:
        RefusedError: It gave nothing, or asked for what was not recorded.
    """
    outcome = answer.outcome
    if outcome is None:
        why = answer.why or _FAILURES.get(answer.failure or "", answer.failure)
        raise RefusedError(f"the {which} code cannot be run: {why}")
    if outcome.misses:
        names = ", ".join(dict.fromkeys(outcome.misses))
        raise RefusedError(f"the {which} code asks for inputs that were not recorded: {names}")
    return outcome


def _end(answer: Answer, which: str) -> End:
    outcome = outcome_of(answer, which)
    if answer.covered is None:
        raise RefusedError("nothing is known of what ran")
    return End(outcome, answer.covered)
