"""What changed, added up: each trace's fields, the groups of one cause, and the gates."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import zip_longest

from tracediff import values
from tracediff.checked import Changed, Checked, Failed, Group, Moved, Total
from tracediff.compare import compare
from tracediff.compare.code import Load
from tracediff.expectations.causes import cause_of
from tracediff.explain.outcomes import differing, fields, number, recorded
from tracediff.explain.telling import field_name
from tracediff.model import MISSING, Tolerance, Trace
from tracediff.reports.wording import many as counted

MOST_FIELDS = 100
"""How many fields of one trace are kept."""
MOST_FAILURES = 100
MOST_DRAWN = 200
"""How many traces of a group may be explained."""
_INDEX = re.compile(r"\[\d+\]")


def changed(
    old: Trace, new: Trace, rules: Iterable[Tolerance], load: Load | None
) -> Changed | None:
    """What one trace has to say; None where nothing differs beyond tolerance.

    Args:
        old: The recording.
        new: Its replay.
        rules: What counts as the same.
        load: Reads source files, so that causes are told by their code.
    """
    comparison = compare(old, new, tolerances=tuple(rules), load=load)
    if not comparison.different:
        return None
    cause = cause_of(comparison)
    before, after = fields(recorded(old)), fields(recorded(new))
    moved = []
    for path in differing(before, after)[:MOST_FIELDS]:
        was, now = before.get(path, MISSING), after.get(path, MISSING)
        amounts = number(was), number(now)
        change = None if amounts[0] is None or amounts[1] is None else amounts[1] - amounts[0]
        moved.append(
            Moved(field=field_name(path), old=values.text(was), new=values.text(now), change=change)
        )
    return Changed(
        id=old.id, key=old.key, meta=old.meta, size=len(old.steps),
        cause=cause.id, label=cause.label, fields=tuple(moved),
    )  # fmt: skip


@dataclass(slots=True)
class Sum:
    """Changes of one field, added up."""

    count: int = 0
    change: Fraction = Fraction(0)
    least: Fraction | None = None
    most: Fraction | None = None
    up: int = 0
    down: int = 0

    def add(self, change: Fraction) -> None:
        """Add one."""
        self.count += 1
        self.change += change
        self.least = change if self.least is None else min(self.least, change)
        self.most = change if self.most is None else max(self.most, change)
        self.up += change > 0
        self.down += change < 0

    def total(self, name: str) -> Total:
        """What they come to."""
        zero = Fraction(0)
        return Total(
            field=name, count=self.count, change=self.change,
            least=self.least or zero, most=self.most or zero, up=self.up, down=self.down,
        )  # fmt: skip


def without_places(name: str) -> str:
    """A field's name for sums over traces: the third line of one is that of no other."""
    return _INDEX.sub("[]", name)


@dataclass(slots=True)
class _Kept:
    label: str
    smallest: Changed
    drawn: list[str] = field(default_factory=list)
    count: int = 0
    sums: dict[str, Sum] = field(default_factory=dict)
    keys: Counter[str] = field(default_factory=Counter)


class Tally:
    """Adds traces up, in memory that does not grow with them."""

    def __init__(self) -> None:
        self._dice = random.Random(0)  # noqa: S311 - no secret
        self.same = self.failed = 0
        self._groups: dict[str, _Kept] = {}
        self._sums: dict[str, Sum] = {}
        self._failures: list[Failed] = []

    @property
    def checked(self) -> int:
        """How many traces were added."""
        return self.same + self.failed + sum(one.count for one in self._groups.values())

    def add(self, one: Changed | Failed | None) -> None:
        """Add a trace that changed, that failed, or (None) that is the same."""
        if one is None:
            self.same += 1
        elif isinstance(one, Failed):
            self.failed += 1
            if len(self._failures) < MOST_FAILURES:
                self._failures.append(one)
        else:
            self._add(one)

    def _add(self, one: Changed) -> None:
        group = self._groups.setdefault(one.cause, _Kept(one.label, one))
        group.count += 1
        group.keys[one.key] += 1
        if len(group.drawn) < MOST_DRAWN:
            group.drawn.append(one.id)
        elif (at := self._dice.randrange(group.count)) < MOST_DRAWN:
            group.drawn[at] = one.id
        if (one.size, one.id) < (group.smallest.size, group.smallest.id):
            group.smallest = one
        for moved in one.fields:
            if moved.change is not None:
                name = without_places(moved.field)
                for sums in (group.sums, self._sums):
                    sums.setdefault(name, Sum()).add(moved.change)

    def drawn(self, most: int) -> list[str]:
        """Ids of traces that changed, to be explained: all while they are few, else of each group.

        The smallest of each group comes first, then those of all groups in turns.
        """
        groups = sorted(self._groups.values(), key=lambda one: -one.count)
        lines = [dict.fromkeys([one.smallest.id, *one.drawn]) for one in groups]
        turns = zip_longest(*lines)
        return [one for turn in turns for one in turn if one is not None][:most]

    def checked_against(
        self, matching: int, *, max_changed: int = 0, max_total: Fraction | None = None
    ) -> Checked:
        """What was added, and which gates are broken.

        Args:
            matching: How many traces match the selection.
            max_changed: How many traces may differ.
            max_total: How far the sum of any field may move, up or down.
        """
        groups = sorted(self._groups.items(), key=lambda one: (-one[1].count, one[0]))
        totals = tuple(one.total(name) for name, one in sorted(self._sums.items()))
        many = sum(one.count for one in self._groups.values())
        broken = []
        if many > max_changed:
            verb = "differs" if many == 1 else "differ"
            said = f"{counted(many, 'trace')} {verb}, and at most {max_changed:,} may"
            broken.append(said)
        if self.failed:
            broken.append(f"{counted(self.failed, 'trace')} could not be replayed")
        if max_total is not None:
            broken += [
                f"{one.field} moves by {float(one.change):+,.2f} in all, and may by at most "
                f"{float(max_total):,.2f}"
                for one in totals
                if abs(one.change) > max_total
            ]
        return Checked(
            matching=matching,
            checked=self.checked,
            same=self.same,
            groups=tuple(
                Group(
                    cause=name, label=one.label, count=one.count, smallest=one.smallest,
                    totals=tuple(total.total(at) for at, total in sorted(one.sums.items())),
                    keys=dict(one.keys.most_common()),
                )
                for name, one in groups
            ),
            totals=totals,
            failures=tuple(self._failures),
            failed=self.failed,
            broken=tuple(broken),
        )  # fmt: skip
