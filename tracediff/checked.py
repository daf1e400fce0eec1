"""The frozen values that a check is made of: many recorded jobs against the code as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

Scalar = str | int | float | bool | None
Kind = Literal["same", "changed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A field of one trace's outcome that differs; ``change`` is new - old, None for no numbers."""

    field: str
    old: str
    new: str
    change: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one trace.

    Of one that changed, ``cause`` and ``label`` are what the comparison makes of it (equal for
    equal causes), ``moved`` what differs, ``size`` how many steps were recorded. Of one that failed
    there are ``message``, ``slug`` and ``hint``. ``surroundings`` says which packages are not those
    of the recording, and whether Python is. ``attributes`` are kept of all that changed and of
    some that did not. ``ran`` names the set of code that ran, and ``units`` is that set where it is
    told for the first time.
    """

    id: str
    key: str
    kind: Kind
    meta: str = ""
    size: int = 0
    cause: str = ""
    label: str = ""
    moved: tuple[Moved, ...] = ()
    message: str = ""
    slug: str = ""
    hint: str = ""
    surroundings: str = ""
    attributes: tuple[tuple[str, Scalar], ...] = ()
    ran: str = ""
    units: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A changed piece of code or data, or some that cannot be told apart.

    ``id`` is equal for equal changes: it is made of what the units are called and of their code on
    both sides. ``hunk`` is of lines that begin with "-" and "+"; ``commit`` the one that brought
    it, "" for none or a change that is not committed.
    """

    id: str
    units: tuple[str, ...]
    kind: str
    file: str = ""
    line: int = 0
    hunk: tuple[str, ...] = ()
    commit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Why one of many traces changed: exact shares, which add up to its change field by field.

    ``numbers`` has, of each field that is a number on both sides, the share of each change;
    ``others`` the changes (by index) that had a part in any other field. ``noise`` are fields that
    differ without a change of the code; those of ``unproven`` do not vary from run to run, but the
    recorded code does not give them as it did. Where ``refused`` says why, there is nothing else.
    """

    id: str
    changes: tuple[Change, ...] = ()
    numbers: Mapping[str, tuple[Fraction, ...]] = field(default_factory=dict)
    others: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    noise: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Bin:
    """How many changes lie between two amounts, the lower one included."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A field's changes over many traces: how many, their sum, the least and the largest.

    ``up`` and ``down`` count those that rose and fell; ``bins`` is their distribution, in
    ascending order.
    """

    field: str
    count: int
    change: Fraction
    least: Fraction
    most: Fraction
    up: int
    down: int
    bins: tuple[Bin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Attributes of traces that a cause prefers, as ("input Main product.category = 'audio'",).

    ``support`` is the part of the cause's traces that have them; ``ratio`` how many times as often
    the cause is met among traces that have them as among those that have not (infinite where it is
    met nowhere else). ``count`` is how many of its traces have them.
    """

    attributes: tuple[str, ...]
    support: float
    ratio: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A cause that was accepted: why, by whom, when, and the drift that it stands for.

    ``fields`` says of each field in which directions it may move: "up", "down", "up and down", or
    "other" where it is no number.
    """

    cause: str
    label: str
    reason: str
    who: str = ""
    when: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceShare:
    """What one cause moved in one trace: its share of the check's main field, None for no number.

    ``old`` and ``new`` are what that field was and is, whatever causes moved it; "" where it is no
    single value, or does not differ.
    """

    id: str
    key: str
    meta: str = ""
    change: Fraction | None = None
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The traces that changed for one cause.

    Where ``exact``, the cause is a change of code or data, and ``totals`` are its shares of what
    moved; a trace with two causes counts in both. Else it is what the comparison makes of traces
    that were not explained, and ``totals`` are all that they moved by. Either way the totals of all
    groups add up to those of the check. ``smallest`` is the trace with the fewest steps,
    ``others`` counts the traces of fields that are no numbers. ``traces`` are those that it moved
    most, that first. ``drift`` says what an acceptance does not cover.
    """

    cause: str
    label: str
    count: int
    smallest: Result
    exact: bool = False
    change: Change | None = None
    totals: tuple[Total, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    traces: tuple[TraceShare, ...] = ()
    accepted: Acceptance | None = None
    drift: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether it was accepted as it is."""
        return self.accepted is not None and not self.drift


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A field that differs without a change of the code, in how many traces, and in which one."""

    field: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found.

    ``matching`` traces match the selection, ``checked`` of them were replayed, ``unaffected`` are
    known to run nothing that changed. ``changed`` counts those that differ, ``accepted`` those
    among them that accepted causes explain. ``groups`` come by how much they moved the ``main``
    field, ``totals`` are those of all groups together. ``reproduced`` says how many of how many
    recordings the recorded code was seen to reproduce. ``broken`` says which gates are, one
    sentence each: where there is one, the check fails.
    """

    matching: int
    checked: int
    same: int
    changed: int = 0
    accepted: int = 0
    failed: int = 0
    unaffected: int = 0
    main: str = ""
    groups: tuple[Group, ...] = ()
    totals: tuple[Total, ...] = ()
    failures: tuple[Result, ...] = ()
    noise: tuple[Noise, ...] = ()
    stale: tuple[Acceptance, ...] = ()
    explained: int = 0
    reproduced: tuple[int, int] = (0, 0)
    against: str = ""
    seconds: float = 0.0
    broken: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """When a check ran, in ISO 8601, and on which code.

    ``state`` is a digest of the project's files. ``commit`` is what was checked out, "" where that
    is unknown, and ``dirty`` whether files differed from it.
    """

    at: str
    state: str = ""
    commit: str = ""
    dirty: bool | None = None
