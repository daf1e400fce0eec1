"""What the recorded code does not reproduce either, taken out of a comparison.

A field of a step is noise where the recorded code, run again, gives something else than it gave
when it was recorded, and gives what the other code gives or another thing each time. Where it gives
the same thing again and again and the other code gives a third one, the surroundings changed and
the code too: that stays a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tracediff.compare import compare
from tracediff.compare.verdict import decides, first
from tracediff.config import Config
from tracediff.explain.certificate import Source, failing, run_again
from tracediff.explain.recorded import some
from tracediff.explained import Certificate
from tracediff.model import Aspect, Comparison, Divergence, FieldChange, Step, Tolerance, Trace

Place = tuple[str | int, ...]
Pair = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A comparison without its noise, and the noise: the differences that were taken out."""

    comparison: Comparison
    certificate: Certificate
    noise: tuple[Divergence, ...] = ()


def without_noise(
    comparison: Comparison,
    certificate: Certificate,
    *,
    tolerances: Sequence[Tolerance] = (),
    strict_steps: bool = False,
    again: Callable[[], Trace | None] | None = None,
) -> Certified:
    """Take out of a comparison what the recorded code does not reproduce either.

    Args:
        comparison: Of the recording and the replay of other code.
        certificate: Of the recorded code; its ``replayed`` tells what is noise.
        tolerances: Those of the comparison.
        strict_steps: As the comparison was made.
        again: Runs the recorded code once more, where that is needed to tell a change of the code
            from surroundings that changed; without it, both are noise.
    """
    replayed = certificate.replayed
    if replayed is None or not comparison.divergences or failing(comparison.old, replayed):
        return Certified(comparison=comparison, certificate=certificate)
    once = _Run(comparison, replayed, tolerances)
    if once.other.old is not comparison.old and len(once.other.old.steps) != len(
        comparison.old.steps
    ):
        return Certified(comparison=comparison, certificate=certificate)
    kept, noise = _sift(comparison, once, None)
    if once.unsure and again is not None:
        second = again()
        if second is not None:
            steady = compare(replayed, second, tolerances=tolerances)
            once.unsure.clear()
            kept, noise = _sift(comparison, once, _changed(steady))
    cleared = _Verdict(comparison, once, kept, strict=strict_steps).comparison()
    if once.unsure:
        steps = comparison.old.steps
        names = list(dict.fromkeys(steps[at].name for at in sorted(once.unsure)))
        said = f"differ each time, whether the code changed them or not: {some(names)}"
        cleared = replace(cleared, remarks=(*cleared.remarks, said))
    return Certified(comparison=cleared, certificate=certificate, noise=tuple(noise))


def certified(
    comparison: Comparison,
    trace: Trace,
    config: Config,
    certificate: Certificate,
    *,
    load: Source,
    deep: bool = False,
    tolerances: Sequence[Tolerance] = (),
    strict_steps: bool = False,
) -> Certified:
    """As ``without_noise``, with the recorded code run again where that is needed.

    Args:
        comparison: Of the recording, or its deep replay, and the replay of other code.
        trace: The recording.
        config: The project's settings.
        certificate: Of the recorded code.
        load: Finds recorded sources.
        deep: Whether both sides of the comparison are deep replays.
        tolerances: Those of the comparison.
        strict_steps: As the comparison was made.
    """

    def again() -> Trace | None:
        return run_again(trace, config, load=load, deep=deep)

    if deep and not certificate.whole:
        certificate = replace(certificate, replayed=again())
    return without_noise(
        comparison, certificate, tolerances=tolerances, strict_steps=strict_steps, again=again
    )


Changed = dict[int, dict[Aspect, set[Place]]]


def _changed(comparison: Comparison) -> Changed:
    """The fields of each step that differ beyond tolerance, by its index on the old side."""
    found: Changed = {}
    for one in comparison.divergences:
        if one.old is None or one.within:
            continue
        for aspect in one.aspects:
            paths = {each.path for each in one.changes.get(aspect, ()) if not each.within}
            found.setdefault(one.old, {})[aspect] = paths or {()}
    return found


class _Run:
    """The recorded code, run again, against the recording and against the other code."""

    def __init__(
        self, comparison: Comparison, replayed: Trace, tolerances: Sequence[Tolerance]
    ) -> None:
        self.other = compare(comparison.old, replayed, tolerances=tolerances)
        beside = compare(replayed, comparison.new, tolerances=tolerances)
        self.partner = {i: j for i, j in self.other.pairs if i is not None and j is not None}
        back = {j: i for i, j in self.partner.items()}
        self.unreproduced = _changed(self.other)
        self.apart = {back[j]: aspects for j, aspects in _changed(beside).items() if j in back}
        self.gone = {i for i, j in self.other.pairs if i is not None and j is None}
        come = {j for i, j in self.other.pairs if i is None}
        self.come = {new for old, new in beside.pairs if old in come and new is not None}
        self.moved = {
            one.old
            for one in self.other.divergences
            if {"moved", "reordered"} & {one.kind, *one.also}
        }
        self.missed = _misses(replayed)
        self.unsure: set[int] = set()
        """The steps of which a field is neither as recorded nor as the other code gives it."""

    def is_noise(self, index: int, aspect: Aspect, path: Place, steady: Changed | None) -> bool:
        """Whether a field that differs is one that does not reproduce."""
        if not _among(path, self.unreproduced.get(index, {}).get(aspect)):
            return False
        if not _near(path, self.apart.get(index, {}).get(aspect)):
            return True  # the recorded code gives now what the other gives
        here = steady.get(self.partner.get(index, -1), {}) if steady is not None else None
        if here is not None and not _near(path, here.get(aspect)):
            return False  # it gives the same thing each time, and the other code does not
        self.unsure.add(index)
        return True


def _among(path: Place, known: set[Place] | None) -> bool:
    """Whether a path, or one that it lies in, is known."""
    return known is not None and any(path[:at] in known for at in range(len(path) + 1))


def _near(path: Place, known: set[Place] | None) -> bool:
    """Whether a known path lies in this one or around it."""
    return _among(path, known) or any(one[: len(path)] == path for one in known or ())


def _sift(
    comparison: Comparison, run: _Run, steady: Changed | None
) -> tuple[list[Divergence], list[Divergence]]:
    """What stays of each divergence, and what of it is noise."""
    kept: list[Divergence] = []
    noise: list[Divergence] = []
    for one in comparison.divergences:
        if one.old is None or one.new is None:
            known = one.old in run.gone if one.old is not None else one.new in run.come
            (noise if known else kept).append(one)
            continue
        stays, goes = _split(one, one.old, run, steady)
        if goes:
            noise.append(_part(one, goes))
        if stays or not one.aspects:
            kept.append(_part(one, stays) if goes else one)
    return kept, noise


Parts = dict[Aspect, tuple[FieldChange, ...]]


def _split(one: Divergence, index: int, run: _Run, steady: Changed | None) -> tuple[Parts, Parts]:
    """The aspects and fields of a divergence that stay, and those that are noise."""
    stays: Parts = {}
    goes: Parts = {}
    for aspect in one.aspects:
        sides: tuple[list[FieldChange], list[FieldChange]] = ([], [])
        for each in one.changes.get(aspect, ()):
            sides[run.is_noise(index, aspect, each.path, steady)].append(each)
        if not any(sides):  # of a name or a place there are no fields
            (goes if run.is_noise(index, aspect, (), steady) else stays)[aspect] = ()
        for parts, side in zip((stays, goes), sides, strict=True):
            if side:
                parts[aspect] = tuple(side)
    return stays, goes


def _part(one: Divergence, parts: Parts) -> Divergence:
    """A divergence with some of its aspects and fields."""
    given = {aspect: changes for aspect, changes in parts.items() if changes}
    within = len(given) == len(parts) and all(
        each.within for changes in given.values() for each in changes
    )
    return replace(one, aspects=tuple(sorted(parts)), changes=given, within=one.within or within)


def _misses(trace: Trace) -> set[tuple[str, str]]:
    return {(one.kind, one.name) for one in trace.replay.misses} if trace.replay else set()


class _Verdict:
    """The comparison again, of what is no noise."""

    def __init__(
        self, comparison: Comparison, run: _Run, kept: Sequence[Divergence], *, strict: bool
    ) -> None:
        self.of, self.run, self.kept, self.strict = comparison, run, kept, strict

    def comparison(self) -> Comparison:
        """The comparison of what was kept."""
        first_one = None
        if self.kept:
            kinds = [self._step((one.old, one.new)).kind for one in self.kept]
            first_one = first(self.kept, self._ended(), kinds)
        return replace(
            self.of,
            divergences=tuple(self.kept),
            different=self.of.different and self._is_different(),
            first=first_one,
        )

    def _is_different(self) -> bool:
        if _misses(self.of.new) - self.run.missed:
            return True
        if any(
            decides(one, self._step((one.old, one.new)), strict=self.strict) for one in self.kept
        ):
            return True
        if any(self._is_other_output(pair) for pair in self.of.pairs):
            return True
        return any(
            self._step((one.old, one.new)).kind == "output"
            and one.old not in self.run.moved
            and bool({"reordered", "moved"} & {one.kind, *one.also})
            for one in self.kept
            if one.old is not None and one.new is not None
        )

    def _is_other_output(self, pair: Pair) -> bool:
        """Whether an output came or went, and not for the recorded code as well."""
        old, new = pair
        if self._step(pair).kind != "output" or (old is not None and new is not None):
            return False
        return old not in self.run.gone if old is not None else new not in self.run.come

    def _step(self, pair: Pair) -> Step:
        old, new = pair
        return self.of.old.steps[old] if old is not None else self.of.new.steps[new or 0]

    def _ended(self) -> dict[Pair, int]:
        """The rank in which the steps of both sides ended, those within one before it."""
        pairs = self.of.pairs
        by_old = {pair[0]: at for at, pair in enumerate(pairs) if pair[0] is not None}
        by_new = {pair[1]: at for at, pair in enumerate(pairs) if pair[1] is not None}
        below: dict[int, list[int]] = {}
        for at, (old, new) in enumerate(pairs):
            if new is not None:
                above = by_new.get(self.of.new.steps[new].parent, -1)
            else:
                above = by_old.get(self.of.old.steps[old or 0].parent, -1)
            below.setdefault(above, []).append(at)
        return {pairs[at]: rank for rank, at in enumerate(_postorder(below))}


def _postorder(below: dict[int, list[int]]) -> Iterator[int]:
    waiting = [(at, False) for at in reversed(below.get(-1, []))]
    while waiting:
        at, done = waiting.pop()
        if done:
            yield at
            continue
        waiting.append((at, True))
        waiting += [(one, False) for one in reversed(below.get(at, []))]
