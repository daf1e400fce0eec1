"""Cases: guilty and innocent changes together, each found out to be what it is said to be."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.explain_accuracy.calculators import CALCULATORS, Laid, lay_out
from benchmarks.explain_accuracy.ground import Ground
from benchmarks.explain_accuracy.guilty import KINDS, candidates
from benchmarks.explain_accuracy.innocents_across import INNOCENT, NO_UNITS
from benchmarks.explain_accuracy.running import Outcome, Runner
from benchmarks.explain_accuracy.sources import Planting, Sources, applied
from benchmarks.explain_accuracy.truth import Truth, truth_of

INNOCENTS = 8
"""The least number of innocent units in a case."""

OF_A_KIND = 2
MOST_UNITS = 3
GUILTY = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4)
"""How many guilty changes a case has; one is drawn."""


class NoCaseError(Exception):
    """Nothing could be planted as it was wanted."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case: ``changed`` are the new tree's files that differ from the old one's."""

    number: int
    laid: Laid
    job: int
    guilty: tuple[Planting, ...]
    innocent: tuple[Planting, ...]
    sources: Sources
    changed: Mapping[str, str | None]
    truth: Truth
    old: Outcome
    new: Outcome
    alone: tuple[Outcome, ...]

    @property
    def plantings(self) -> tuple[Planting, ...]:
        """All of them."""
        return (*self.guilty, *self.innocent)


class Field:
    """One job of a laid-out calculator, to plant on."""

    def __init__(self, laid: Laid, job: int, scratch: Path) -> None:
        self.laid, self.job = laid, job
        self.runner = Runner(laid.tree, scratch, laid.traces[job])
        base = self.runner.run({}, lines=True)
        if base is None or base.failed:
            raise NoCaseError(f"the job {job} of {laid.calculator.name} does not run")
        self.base: Outcome = base
        self.ground = Ground.of(laid.sources(), base.executed)
        self._harmless: dict[Planting, bool] = {}
        self._idle: set[Planting] = set()
        self._pool: dict[str, list[Planting]] = {}

    def run(self, plantings: Sequence[Planting]) -> Outcome | None:
        """The outcome with some plantings; None where it failed or has other fields."""
        found = self.runner.run(applied(self.ground.sources, plantings))
        if found is None or found.failed or not found.same_fields(self.base):
            return None
        return found

    def pool(self) -> dict[str, list[Planting]]:
        """The innocent candidates, by kind; the same for any seed, so that they are made once."""
        if not self._pool:
            dice = random.Random(self.laid.calculator.name)
            self._pool = {kind: list(make(self.ground, dice)) for kind, make in INNOCENT.items()}
        return {kind: list(found) for kind, found in self._pool.items()}

    def altered(self, planting: Planting) -> Outcome | None:
        """The outcome with a planting alone; None where it alters nothing of the result."""
        if planting in self._idle:
            return None
        found = self.run([planting])
        if found is None or _result(found) == _result(self.base):
            self._idle.add(planting)
            return None
        return found

    def harmless(self, planting: Planting) -> bool:
        """Whether a planting alone leaves everything as it was, to the bit."""
        if planting not in self._harmless:
            found = self.run([planting])
            self._harmless[planting] = found is not None and found.digest == self.base.digest
        return self._harmless[planting]


class Fields:
    """The calculators and their jobs, laid out when they are first asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._laid: dict[str, Laid] = {}
        self._fields: dict[tuple[str, int], Field] = {}

    def get(self, name: str, dice: random.Random) -> Field:
        """A job of a calculator."""
        if name not in self._laid:
            self._laid[name] = lay_out(name, self.directory)
        laid = self._laid[name]
        job = dice.randrange(len(laid.traces))
        if (name, job) not in self._fields:
            scratch = self.directory / f"{name}-scratch"
            self._fields[name, job] = Field(laid, job, scratch)
        return self._fields[name, job]

    def known(self, case: Case) -> Field:
        """The field that a case was drawn on."""
        return self._fields[case.laid.calculator.name, case.job]


def draw(number: int, seed: int, fields: Fields) -> Case:
    """The case of a number: the same for the same seed.

    Raises:
        NoCaseError: None was found in some tries.
    """
    dice = random.Random(f"{seed}/{number}")
    names, kinds = list(CALCULATORS), list(KINDS)
    name, kind = names[number % len(names)], kinds[number // len(names) % len(kinds)]
    for _ in range(12):
        field = fields.get(name, dice)
        case = _drawn(number, field, kind, dice.choice(GUILTY), dice)
        if case is not None:
            return case
    raise NoCaseError(f"case {number}: no {kind} in {name}")


def _drawn(number: int, field: Field, kind: str, count: int, dice: random.Random) -> Case | None:
    guilty, alone = _guilty(field, kind, count, dice)
    if len(guilty) < count:
        return None
    outcomes = _combined(field, guilty, ())
    if outcomes is None:
        return None
    truth = truth_of(outcomes)
    if not any(path[0] == "result" and any(shares) for path, shares in truth.shares.items()):
        return None
    if _result(outcomes[-1]) == _result(field.base):
        return None  # the changes cancel each other out
    innocent = _innocent(field, guilty, dice)
    if innocent is None:
        return None
    with_them = _combined(field, guilty, innocent)
    if with_them is None:
        return None
    if [one.digest for one in with_them] != [one.digest for one in outcomes]:
        return None
    sources = field.ground.sources
    return Case(
        number=number, laid=field.laid, job=field.job, guilty=guilty, innocent=innocent,
        sources=sources, changed=applied(sources, (*guilty, *innocent)), truth=truth,
        old=field.base, new=with_them[-1], alone=alone,
    )  # fmt: skip


def _guilty(
    field: Field, kind: str, count: int, dice: random.Random
) -> tuple[tuple[Planting, ...], tuple[Outcome, ...]]:
    chosen: list[Planting] = []
    alone: list[Outcome] = []
    kinds = [kind, *dice.choices(list(KINDS), k=4 * count)]
    for one in kinds:
        if len(chosen) == count:
            break
        for planting in candidates(one, field.ground, dice)[:60]:
            if any(planting.crosses(other) for other in chosen):
                continue
            found = field.altered(planting)
            if found is not None:
                chosen.append(planting)
                alone.append(found)
                break
        if not chosen:
            break  # this job has no place for the kind that was asked for
    return tuple(chosen), tuple(alone)


def _combined(
    field: Field, guilty: Sequence[Planting], others: Sequence[Planting]
) -> list[Outcome] | None:
    """The outcome of each choice of the guilty, by mask, each with all the others."""
    outcomes = []
    for mask in range(1 << len(guilty)):
        chosen = [one for at, one in enumerate(guilty) if mask >> at & 1]
        found = field.run([*chosen, *others])
        if found is None:
            return None
        outcomes.append(found)
    return outcomes


def _innocent(
    field: Field, guilty: Sequence[Planting], dice: random.Random
) -> tuple[Planting, ...] | None:
    """Changes that alter nothing of the old code; what they do to the new one is seen later."""
    chosen: list[Planting] = []
    on_top = dice.randrange(4)
    for planting in _mixed(field, dice):
        bare = planting.kind in NO_UNITS
        if (bare and on_top == 0) or len(planting.units) > MOST_UNITS:
            continue
        if sum(one.kind == planting.kind for one in chosen) >= OF_A_KIND:
            continue
        if any(planting.crosses(other) for other in (*guilty, *chosen)):
            continue
        if not field.harmless(planting):
            continue
        chosen.append(planting)
        on_top -= bare
        if sum(len(one.units) for one in chosen if one.kind not in NO_UNITS) >= INNOCENTS:
            return tuple(chosen)
    return None


def _mixed(field: Field, dice: random.Random) -> Iterator[Planting]:
    """Innocent candidates of all kinds in turn, in a random order."""
    kinds = field.pool()
    for found in kinds.values():
        dice.shuffle(found)
    while any(kinds.values()):
        order = list(kinds)
        dice.shuffle(order)
        for kind in order:
            if kinds[kind]:
                yield kinds[kind].pop()


def _result(outcome: Outcome) -> dict[object, object]:
    fields = {**outcome.numbers, **outcome.others}
    return {path: value for path, value in fields.items() if path[0] == "result"}
