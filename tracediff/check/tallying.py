"""What changed, added up: the causes with their shares, the sums of all fields, and the gates."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import zip_longest
from typing import Protocol

from xxhash import xxh3_64_intdigest

from tracediff.check.accepting import TOGETHER, TOGETHER_LABEL, together
from tracediff.check.accepting import judged as drift
from tracediff.check.sums import Sum
from tracediff.checked import (
    Acceptance,
    Change,
    Checked,
    Group,
    Mark,
    Moved,
    Noise,
    Result,
    Shares,
    Total,
)
from tracediff.reports.amounts import summed
from tracediff.reports.sums import without_places
from tracediff.reports.wording import many as counted

MOST_FAILURES = 100
Amounts = Mapping[str, Fraction]


class Noting(Protocol):
    """Takes the attributes of traces, and says what marks the causes that they changed for."""

    def note(self, result: Result, causes: tuple[str, ...]) -> None:
        """Take those of one trace, and the causes that it changed for."""

    def marks(self, cause: str) -> tuple[Mark, ...]:
        """What marks a cause."""


class Draw:
    """Which of the traces that changed are explained: all while they are few, else of each group.

    The groups are those that the comparison makes. The draw depends on the ids alone, not on the
    order in which results come.

    Args:
        most: How many are drawn; None for all.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._groups: dict[str, _Drawn] = {}

    def add(self, one: Result) -> None:
        """Add one that changed."""
        group = self._groups.get(one.cause)
        if group is None:
            group = self._groups[one.cause] = _Drawn(one.size, one.id)
        group.count += 1
        group.smallest = min(group.smallest, (one.size, one.id))
        drawn = (-xxh3_64_intdigest(one.id.encode()), one.id)
        if self._most is None or len(group.heap) < self._most:
            heapq.heappush(group.heap, drawn)
        else:
            heapq.heappushpop(group.heap, drawn)

    def ids(self) -> list[str]:
        """The smallest of each group first, then those of all groups in turns."""
        groups = sorted(self._groups.values(), key=lambda one: (-one.count, one.smallest))
        lines = [dict.fromkeys([one.smallest[1], *one.ids()]) for one in groups]
        turns = zip_longest(*lines)
        return [one for turn in turns for one in turn if one is not None][: self._most]


class _Drawn:
    def __init__(self, size: int, first: str) -> None:
        self.smallest = (size, first)
        self.heap: list[tuple[int, str]] = []
        self.count = 0

    def ids(self) -> list[str]:
        return [one for _, one in sorted(self.heap, reverse=True)]


@dataclass(slots=True)
class Part:
    """What one cause has of one trace."""

    cause: str
    label: str
    change: Change | None
    amounts: dict[str, Fraction]
    others: set[str]


@dataclass(slots=True)
class _Kept:
    label: str
    smallest: Result
    change: Change | None
    count: int = 0
    sums: dict[str, Sum] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)

    def group(self, cause: str, marks: tuple[Mark, ...]) -> Group:
        return Group(
            cause=cause, label=self.label, count=self.count,
            smallest=replace(self.smallest, attributes=(), units=()),
            exact=self.change is not None or cause == TOGETHER, change=self.change,
            totals=tuple(one.total(name) for name, one in sorted(self.sums.items())),
            others=dict(self.others), keys=dict(self.keys.most_common()), marks=marks,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What a check lets pass: how many traces may differ, how far a field's sum may move.

    What accepted causes explain counts for neither.
    """

    max_changed: int = 0
    max_total: Fraction | None = None


class Tally:
    """Adds traces up, in memory that does not grow with them.

    Args:
        shares: The explanations, by trace.
        noise: Fields that differ without a change of the code in all traces of a job, with its key.
        marking: Told the attributes of traces, to see what marks a cause.
        covered: The ids of traces without shares that accepted causes alone explain.
    """

    def __init__(
        self,
        shares: Mapping[str, Shares],
        noise: frozenset[tuple[str, str]] = frozenset(),
        marking: Noting | None = None,
        covered: Collection[str] = frozenset(),
    ) -> None:
        self._shares, self._noise, self._marking = shares, noise, marking
        self._covered = covered
        self.same = self.failed = self.changed = self.explained = 0
        self._groups: dict[str, _Kept] = {}
        self._sums: dict[str, Sum] = {}
        self._sets: Counter[frozenset[str]] = Counter()
        self._noisy: dict[str, list[str]] = {}
        self._noise_counts: Counter[str] = Counter()
        self._failures: list[Result] = []

    def add(self, one: Result) -> None:
        """Add a trace."""
        causes: tuple[str, ...] = ()
        if one.kind == "failed":
            self.failed += 1
            if len(self._failures) < MOST_FAILURES:
                self._failures.append(one)
            return
        moved = self._without_noise(one)
        if one.kind == "same" or (one.moved and not moved):
            self.same += 1
        else:
            causes = self._add(one, moved)
        if self._marking is not None and one.attributes:
            self._marking.note(one, causes)

    def _without_noise(self, one: Result) -> list[Moved]:
        kept, noise = self._apart(one)
        for name in noise:
            self._noise_counts[name] += 1
            self._noisy.setdefault(name, [one.id])
        return kept

    def _apart(self, one: Result) -> tuple[list[Moved], list[str]]:
        """What moved in a trace, and the names of what is noise there."""
        shares = self._shares.get(one.id)
        own, proven = own_noise(one, shares), _proven(shares)
        kept, noise = [], []
        for moved in one.moved:
            name = without_places(moved.field)
            usual = (one.key, name) in self._noise and moved.field not in proven
            if name in own or usual:
                noise.append(name)
            else:
                kept.append(moved)
        return kept, noise

    def parts(self, one: Result) -> list[Part]:
        """What each cause has of a trace; nothing of one that counts as the same, or failed."""
        moved = self._apart(one)[0] if one.kind == "changed" else []
        return [] if one.kind != "changed" or (one.moved and not moved) else self._parts(one, moved)

    def _parts(self, one: Result, moved: list[Moved]) -> list[Part]:
        parts = _shared(moved, self._shares.get(one.id))
        if parts:
            return parts
        others = {without_places(it.field) for it in moved if it.change is None}
        cause, label = one.cause, one.label
        if one.id in self._covered:
            cause, label = TOGETHER, TOGETHER_LABEL
        return [Part(cause, label, None, _amounts(moved), others)]

    def _add(self, one: Result, moved: list[Moved]) -> tuple[str, ...]:
        self.changed += 1
        for name, change in _amounts(moved).items():
            _add(self._sums, name, change)
        parts = self._parts(one, moved)
        self.explained += parts[0].change is not None
        for part in parts:
            self._enter(one, part)
        causes = tuple(part.cause for part in parts)
        self._sets[frozenset(causes)] += 1
        return causes

    def _marks(self, cause: str) -> tuple[Mark, ...]:
        return self._marking.marks(cause) if self._marking is not None else ()

    def _enter(self, one: Result, part: Part) -> None:
        group = self._groups.get(part.cause)
        if group is None:
            group = self._groups[part.cause] = _Kept(part.label, one, part.change)
        group.count += 1
        group.keys[one.key] += 1
        group.others.update(part.others)
        if (one.size, one.id) < (group.smallest.size, group.smallest.id):
            group.smallest = one
        for name, amount in part.amounts.items():
            _add(group.sums, name, amount)

    def checked(self, gates: Gates, accepted: Iterable[Acceptance] = ()) -> Checked:
        """What was added, and which gates are broken.

        Args:
            gates: What may change.
            accepted: Causes that were accepted.
        """
        acceptances = {one.cause: one for one in accepted}
        totals = tuple(one.total(name) for name, one in sorted(self._sums.items()))
        main = _main(totals)
        groups = []
        for cause, kept in self._groups.items():
            group = kept.group(cause, self._marks(cause))
            given = acceptances.get(cause)
            if cause == TOGETHER:
                whole = together(acceptances.values())
                group = replace(group, accepted=whole, drift=drift(group, whole))
            elif given is not None:
                group = replace(group, accepted=given, drift=drift(group, given))
            groups.append(group)
        groups.sort(key=lambda one: (-abs(_moves(one, main)), -one.count, one.cause))
        passing = {one.cause for one in groups if one.passes}
        passed = sum(count for causes, count in self._sets.items() if causes <= passing)
        return Checked(
            matching=0, checked=self.same + self.failed + self.changed, same=self.same,
            changed=self.changed, accepted=passed, failed=self.failed, main=main,
            groups=tuple(groups), totals=totals, failures=tuple(self._failures),
            noise=tuple(
                Noise(field=name, count=count, example=self._noisy[name][0])
                for name, count in self._noise_counts.most_common()
            ),
            explained=self.explained,
            broken=tuple(_broken(gates, self.changed - passed, self.failed, groups)),
        )  # fmt: skip


def _proven(shares: Shares | None) -> Collection[str]:
    """The fields of a trace that are known to differ because of a change."""
    if shares is None or shares.refused is not None:
        return ()
    numbers = {name for name, amounts in shares.numbers.items() if any(amounts)}
    return numbers | {name for name, places in shares.others.items() if places}


def own_noise(result: Result, shares: Shares | None) -> frozenset[str]:
    """The fields of a trace that differ without a change, as its explanation has seen.

    What does not vary from run to run is only noise where nothing else is known to be another than
    when it was recorded: else an upgrade of a package, which changes results, would pass.
    """
    if shares is None or not shares.noise or shares.refused is not None:
        return frozenset()
    unproven = shares.unproven if result.surroundings else ()
    return frozenset(without_places(one) for one in shares.noise if one not in unproven)


def _add(sums: dict[str, Sum], name: str, change: Fraction) -> None:
    found = sums.get(name)
    if found is None:
        found = sums[name] = Sum()
    found.add(change)


def _amounts(moved: Iterable[Moved]) -> dict[str, Fraction]:
    """What a trace's fields moved by, those of all places of a list added up."""
    found: dict[str, Fraction] = {}
    for one in moved:
        if one.change is not None:
            name = without_places(one.field)
            found[name] = found[name] + one.change if name in found else one.change
    return found


def _shared(moved: list[Moved], shares: Shares | None) -> list[Part]:
    """What each cause has of a trace; nothing where the shares do not add up to what moved."""
    if shares is None or shares.refused is not None or not shares.changes:
        return []
    parts = [Part(one.id, label_of(one), one, {}, set()) for one in shares.changes]
    for it in moved:
        name = without_places(it.field)
        if it.change is None:
            for at in shares.others.get(it.field, ()):
                parts[at].others.add(name)
            continue
        amounts = shares.numbers.get(it.field)
        if not amounts or sum(amounts[1:], amounts[0]) != it.change:
            return []
        for part, amount in zip(parts, amounts, strict=True):
            if amount:
                before = part.amounts.get(name)
                part.amounts[name] = amount if before is None else before + amount
    return [part for part in parts if part.amounts or part.others]


def label_of(change: Change) -> str:
    """What a change is called: its units, and the file they are in."""
    names = [name.rpartition(":")[2] for name in change.units]
    said = " + ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{said} ({change.file})" if change.file and change.file not in names else said


def _main(totals: Iterable[Total]) -> str:
    """The field that most traces moved; of equals one of the result, none of a list's items."""
    found = max(
        totals,
        key=lambda one: (
            one.count,
            one.field.startswith("result"),
            "[]" not in one.field,
            abs(one.change),
            one.field,
        ),
        default=None,
    )
    return found.field if found is not None else ""


def _moves(group: Group, main: str) -> Fraction:
    return next((one.change for one in group.totals if one.field == main), Fraction(0))


def _broken(gates: Gates, changed: int, failed: int, groups: Iterable[Group]) -> Iterable[str]:
    if changed > gates.max_changed:
        verb = "differs" if changed == 1 else "differ"
        yield f"{counted(changed, 'trace')} {verb}, and at most {gates.max_changed:,} may"
    if failed:
        yield f"{counted(failed, 'trace')} could not be replayed"
    if gates.max_total is None:
        return
    sums: dict[str, Fraction] = {}
    for group in groups:
        if not group.passes:
            for one in group.totals:
                sums[one.field] = sums.get(one.field, Fraction(0)) + one.change
    for name, amount in sorted(sums.items()):
        if abs(amount) > gates.max_total:
            yield (
                f"{name} moves by {summed(amount)} in all, and may by at most "
                f"{summed(gates.max_total).removeprefix('+')}"
            )
