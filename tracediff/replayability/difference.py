"""Where a replay is not as the recording, or two replays are not as each other. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tracediff import values
from tracediff.compare import compare
from tracediff.errors import CodecError
from tracediff.explain.certificate import differing
from tracediff.model import MISSING, Comparison, Divergence, Source, Tolerance, Trace
from tracediff.replay.unkept import parts
from tracediff.replayability.evidence import Seen
from tracediff.reports.paths import path

_SHORT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two traces of the same job laid against each other.

    ``steps`` are those of the first that the second does not reproduce, ``own`` those of them that
    differ by themselves; ``places`` maps the steps of the second to those of the first.
    """

    comparison: Comparison
    steps: tuple[int, ...]
    own: tuple[int, ...]
    places: dict[int, int]

    @property
    def exact(self) -> bool:
        """Whether the second is as the first in all that counts."""
        replay = self.comparison.new.replay
        missed = replay is not None and bool(replay.misses)
        return not (self.steps or self.comparison.different or missed)

    @property
    def by_instants(self) -> bool:
        """Whether nothing but instants differ, as where a replay was held up for some time."""
        sides = [
            type(side)
            for one in self.comparison.divergences
            if not one.within and one.label != "clock"
            for changes in one.changes.values()
            for change in changes
            if not change.within
            for side in (change.old, change.new)
        ]
        return bool(sides) and all(kind is datetime for kind in sides)

    def example(self) -> str:
        """The first step that differs by itself, with both values."""
        at = self.own[0] if self.own else (self.steps[0] if self.steps else None)
        for one in self.comparison.divergences:
            if one.old == at and not one.within:
                return _told(self.comparison.old, self.comparison.new, one)
        return ""

    def inside(self, step: int) -> bool:
        """Whether a step of the second lies in one that differs by itself, or nobody can tell."""
        if step < 0 or not self.own:
            return True
        wanted = set(self.own)
        if 0 in wanted:
            return True
        steps = self.comparison.new.steps
        while step >= 0:
            if self.places.get(step) in wanted:
                return True
            step = steps[step].parent if step < len(steps) else -1
        return False


def difference(old: Trace, new: Trace, tolerances: Sequence[Tolerance] = ()) -> Difference:
    """Lay a replay against a recording, or against another replay."""
    comparison = compare(old, new, tolerances=tolerances)
    everything, own = differing(comparison)
    places = {new: old for old, new in comparison.pairs if old is not None and new is not None}
    return Difference(comparison=comparison, steps=tuple(everything), own=tuple(own), places=places)


def unlike(one: Seen, other: Seen, tolerances: Sequence[Tolerance] = ()) -> bool:
    """Whether two replays differ from each other."""
    if one.trace is None or other.trace is None:
        said = [(it.error.slug, it.error.message) if it.error else None for it in (one, other)]
        return said[0] != said[1]
    found = difference(one.trace, other.trace, tolerances)
    return bool(found.steps or found.comparison.different)


def first_function(found: Difference) -> Source | None:
    """The function in which two deep replays begin to differ."""
    steps = found.comparison.old.steps
    ends = [(steps[at].start + steps[at].duration, -at) for at in found.own]
    for _, at in sorted(ends):
        step = steps[-at]
        if step.kind in ("job", "step") and step.source is not None:
            return step.source
    return steps[0].source


def unkept(trace: Trace, name: str) -> Iterator[values.Opaque | values.Redacted]:
    """The values that were not kept, in what a step of this name gave, or the job was given."""
    for index, step in enumerate(trace.steps):
        if step.name != name:
            continue
        with contextlib.suppress(CodecError):  # nothing can be said of a forged value
            for part in parts(step.result if index else step.args):
                if isinstance(part, values.Opaque | values.Redacted):
                    yield part


def _told(old: Trace, new: Trace, one: Divergence) -> str:
    where = path(old.steps, one.old or 0) or "the job"
    if one.kind == "removed":
        return f"{where} is not reached any more"
    failed = one.new is not None and new.steps[one.new].error
    if failed and "error" in one.aspects:
        message = (failed.message.splitlines() or [""])[0]
        said = f"{failed.type.rpartition(':')[2]}: {message}"
        return f"{where}: raises {said[: 2 * _SHORT]}, which it did not when recorded"
    for aspect in ("result", "error", "args", "state"):
        for change in one.changes.get(aspect, ()):
            if change.within:
                continue
            field = ".".join([aspect, *map(str, change.path)])
            was, now = (_short(side) for side in (change.old, change.new))
            return f"{where}: {field} was {was} when recorded, is {now} replayed"
    return where


def _short(side: object) -> str:
    return "nothing" if side is MISSING else values.text(side, _SHORT)
