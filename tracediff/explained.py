"""The frozen values that an explanation is made of. No I/O, no behaviour beyond reading them.

Amounts are exact (``Fraction``); what is shown of them is rounded so that it still adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any, Literal

from tracediff.model import Comparison, Source, Trace

UnitKind = Literal[
    "function",
    "method",
    "property",
    "class",
    "bases",
    "decorator",
    "class attribute",
    "dataclass field",
    "enum member",
    "namedtuple field",
    "constant",
    "statement",
    "import",
    "order",
    "data file",
    "dependency",
    "input",
    "arguments",
]

Method = Literal["exact", "groups", "sampling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Lines of a file of one side, from 1; the last one belongs to it."""

    file: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A piece of code or data that differs and can be taken from the old or the new side.

    ``name`` is "module:qualname" for code, the path of a data file, "name 1.0 → 1.1" of a
    dependency, the name of an input. A side that does not have it is None; both are for what has
    no lines.
    """

    kind: UnitKind
    name: str
    old: Span | None = None
    new: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Who last touched a line. ``sha`` is None where it is not committed yet."""

    line: int
    sha: str | None
    author: str = ""
    date: datetime | None = None
    subject: str = "uncommitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """A change of a file: where it starts on both sides, and its lines with "-", "+" or " "."""

    old_path: str
    path: str
    old_line: int
    line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChange:
    """A local variable that differs first; ``old`` and ``new`` are one line of text each.

    ``name`` is ``(returned)`` for what the function returned; a side that never gave it is None.
    """

    name: str
    old: str | None
    new: str | None
    old_source: Source | None = None
    new_source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A step that a cause changed, by itself: its path, its result without and with the cause.

    ``index`` is that of the step in the new trace.
    """

    path: tuple[str, ...]
    old: str
    new: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One player of the attribution: a unit, or several that cannot run apart.

    ``line`` is where to look first; ``merged`` says why several units are one; ``travelled`` are
    the steps it changed, in execution order, the first being where it entered. ``kept`` names the
    added or removed definitions that come and go with it.
    """

    units: tuple[Unit, ...]
    line: Source | None = None
    merged: str | None = None
    hunks: tuple[Hunk, ...] = ()
    commits: tuple[Blame, ...] = ()
    variable: LineChange | None = None
    travelled: tuple[Passed, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """How much two causes do together beyond what each does; both index ``Explanation.causes``."""

    first: int
    second: int
    amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One field of the outcome that changed, and what each cause has to do with it.

    ``path`` begins with "result", "error", "state" or "output". ``old`` and ``new`` are inert
    values, or MISSING. For a ``number``, ``change`` is new - old; for an ``indicator`` it is 1, and
    a share says how much of the fact that it changed is the cause's. ``shares`` has one entry for
    each of ``Explanation.causes``, and their sum is ``change``, exactly. ``shown`` are the shares
    rounded by largest remainder, which add up to ``shown_change``. ``margins`` are the half-widths
    of 95 % confidence intervals where the shares were sampled, else empty.
    """

    path: tuple[str | int, ...]
    kind: Literal["number", "indicator"]
    old: Any
    new: Any
    change: Fraction
    shares: tuple[Fraction, ...]
    shown_change: str
    shown: tuple[str, ...]
    margins: tuple[Fraction, ...] = ()
    interactions: tuple[Interaction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How much of a trace its own code reproduces.

    ``unreproduced`` are the paths of the steps that do not, the job's own being (); ``unrecorded``
    those of them that differ by themselves: they read something that was not recorded.
    ``certified`` is false when the recorded code could not be run; ``remarks`` say what stays open.
    """

    commit: str | None
    certified: bool
    reproduced: int
    total: int
    unreproduced: tuple[tuple[str, ...], ...] = ()
    unrecorded: tuple[tuple[str, ...], ...] = ()
    remarks: tuple[str, ...] = ()
    replayed: Trace | None = None

    @property
    def whole(self) -> bool:
        """Whether every step was reproduced by the very code that was recorded."""
        return self.certified and self.reproduced == self.total

    @property
    def noise(self) -> frozenset[tuple[str, ...]]:
        """The paths whose differences are no effect of a change."""
        return frozenset(self.unreproduced)

    def __str__(self) -> str:
        """One line: ``212/212 steps reproduced at 1a2b3c4``."""
        where = f" at {self.commit[:7]}" if self.commit else ""
        if not self.certified:
            return f"not certified{where}"
        return f"{self.reproduced}/{self.total} steps reproduced{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Who has which part of a change.

    ``causes`` come by the size of their share in the effect ``main`` (an index of ``effects``),
    largest first; none of them has a share of zero in every effect. ``innocent`` are the units that
    differ and ran, and changed nothing; ``idle`` counts those that differ and never ran.
    ``hybrids`` is how many mixtures of old and new code were run. ``noise`` names the fields of
    which no difference is the effect of a change. ``refused`` says why there is no attribution
    where there is none; then ``causes`` and ``effects`` are empty.
    """

    causes: tuple[Cause, ...] = ()
    effects: tuple[Effect, ...] = ()
    main: int | None = None
    method: Method = "exact"
    hybrids: int = 0
    innocent: tuple[Unit, ...] = ()
    idle: int = 0
    noise: tuple[str, ...] = ()
    refused: str | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Attribution):
    """Why a result changed: an attribution, and what it is of.

    ``data`` holds, when inputs were refreshed, the parts of each effect's change that data and code
    have, by effect.
    """

    old: Trace
    new: Trace
    comparison: Comparison
    certificate: Certificate
    data: Mapping[int, tuple[Fraction, Fraction]] = field(default_factory=dict)
