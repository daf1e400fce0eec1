"""The frozen values that a check is made of: many recorded jobs against the code as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A field of one trace's outcome that differs; ``change`` is new - old, None for no numbers."""

    field: str
    old: str
    new: str
    change: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A trace whose outcome differs beyond tolerance, and what it comes from.

    ``cause`` is a short id, equal for equal causes, ``label`` what it is called; ``size`` counts
    the recorded steps.
    """

    id: str
    key: str
    meta: str
    size: int
    cause: str
    label: str
    fields: tuple[Moved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A trace that could not be replayed."""

    id: str
    key: str
    message: str
    slug: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A field's changes over many traces: how many, their sum, the least and the largest.

    ``up`` and ``down`` count those that rose and fell.
    """

    field: str
    count: int
    change: Fraction
    least: Fraction
    most: Fraction
    up: int
    down: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The traces that changed for one cause; ``smallest`` is the one with the fewest steps."""

    cause: str
    label: str
    count: int
    smallest: Changed
    totals: tuple[Total, ...] = ()
    keys: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A cause of the traces that were explained: its units, and its exact shares added up.

    ``count`` is how many of them it has a share in; ``place`` where to look first.
    """

    names: tuple[str, ...]
    kind: str
    place: str
    count: int
    totals: tuple[Total, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found.

    ``groups`` come by how many traces they hold, ``totals`` are those of all groups together.
    ``broken`` says which gates are, one sentence each: where there is one, the check fails.
    ``reasons`` come of the ``explained`` traces, and their totals add up to what those moved by.
    """

    matching: int
    checked: int
    same: int
    groups: tuple[Group, ...] = ()
    totals: tuple[Total, ...] = ()
    failures: tuple[Failed, ...] = ()
    failed: int = 0
    reasons: tuple[Reason, ...] = ()
    explained: int = 0
    broken: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def changed(self) -> int:
        """How many traces differ."""
        return sum(one.count for one in self.groups)
