"""How much of the tolerances two traces use up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tracediff.compare.tolerances import EXACT, Rules, ulps, within
from tracediff.model import Comparison, FieldChange, Tolerance
from tracediff.reports.paths import names
from tracediff.reports.wording import field_path

_NUMBERS = (int, float, Decimal, Fraction)


@dataclass(frozen=True, slots=True)
class Used:
    """How many fields lie within a tolerance, and the one that comes closest to its limit.

    ``worst`` is the share of the limit it uses, from 0 to 1; None where no bound has a size.
    """

    fields: int = 0
    worst: float | None = None
    place: str = ""

    def __add__(self, other: Used) -> Used:
        top = max((self, other), key=lambda one: -1.0 if one.worst is None else one.worst)
        return Used(self.fields + other.fields, top.worst, top.place)

    def __str__(self) -> str:
        """As a summary says it: "17 fields within tolerance, worst 0.8 of its limit"."""
        said = f"{self.fields:,} field{'' if self.fields == 1 else 's'} within tolerance"
        if self.worst is not None:
            said += f", worst {self.worst:.2g} of its limit"
        return said


def used(comparison: Comparison, tolerances: Sequence[Tolerance]) -> Used:
    """How much of the tolerances a comparison uses up; of changes beyond them nothing counts."""
    rules = Rules(tolerances)
    if not rules.any:
        return Used()
    total = Used()
    for where, change in _accepted(comparison):
        rule = rules.at((*where, *change.path))
        share = _share(change.old, change.new, rule)
        total += Used(1, share, _placed(where, change))
    return total


def used_by_rule(comparison: Comparison, tolerances: Sequence[Tolerance]) -> tuple[Used, ...]:
    """How much of each tolerance a comparison uses up, in their order.

    A field counts for the last one that accepts it alone; where bounds of several do it together,
    for the last one that matches its place.
    """
    single = [Rules([one]) for one in tolerances]
    found = [Used()] * len(single)
    for where, change in _accepted(comparison):
        path = (*where, *change.path)
        rules = [(at, rule) for at, one in enumerate(single) if (rule := one.at(path)) != EXACT]
        alone = [(at, rule) for at, rule in rules if within(change.old, change.new, rule)]
        for at, rule in (alone or rules)[-1:]:
            share = _share(change.old, change.new, rule)
            found[at] += Used(1, share, _placed(where, change))
    return tuple(found)


def used_in_words(
    comparison: Comparison, tolerances: Sequence[Tolerance]
) -> list[tuple[Tolerance, str]]:
    """Return each tolerance with how much of it a comparison uses up."""
    used = used_by_rule(comparison, tolerances) if tolerances else ()
    return [
        (one, "whatever is there, uncounted" if one.ignore else str(by))
        for one, by in zip(tolerances, used, strict=True)
    ]


def _placed(where: Sequence[str], change: FieldChange) -> str:
    return "/".join(where) + (f" {field_path(change.path)}" if change.path else "")


def _accepted(comparison: Comparison) -> Iterator[tuple[tuple[str, ...], FieldChange]]:
    for one in comparison.divergences:
        if one.old is None or one.label == "clock":
            continue
        path = names(comparison.old.steps, one.old)
        for aspect, changes in one.changes.items():
            yield from (((*path, aspect), change) for change in changes if change.within)


def _share(old: Any, new: Any, rule: Tolerance) -> float | None:
    """The least share of a bound: the bounds are independent, one suffices."""
    try:
        return min(_shares(old, new, rule), default=None)
    except (ArithmeticError, TypeError, ValueError):  # not finite, or of two kinds
        return None


def _shares(old: Any, new: Any, rule: Tolerance) -> Iterable[float]:
    if isinstance(old, datetime | timedelta) and rule.abs:
        yield abs((new - old) / timedelta(seconds=1)) / rule.abs
    if not isinstance(old, _NUMBERS) or not isinstance(new, _NUMBERS):
        return
    before, after = Fraction(old), Fraction(new)
    apart, size = abs(after - before), max(abs(before), abs(after))
    if rule.abs:
        yield float(apart / Fraction(rule.abs))
    if rule.rel and size:
        yield float(apart / (Fraction(rule.rel) * size))
    if rule.ulp and isinstance(old, float) and isinstance(new, float):
        yield ulps(old, new) / rule.ulp
