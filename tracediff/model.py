"""The frozen values that the parts of tracediff pass to each other. No I/O, no behaviour.

Times are integers in nanoseconds: ``started_at`` since the Unix epoch, a step's ``start`` since its
trace's start, durations as they are.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["job", "step", "input", "output", "note", "artifact"]
State = Literal["running", "success", "warning", "error", "lost"]
Depth = Literal["inputs", "steps", "full"]
Mode = Literal["deferred", "live"]

STATES: tuple[State, ...] = ("running", "success", "warning", "error", "lost")
"""In this order for ever: stores keep their numbers. Only traces are lost, never steps."""
FROM_OTEL = "<otel>"
FROM_TRIFLE = "<trifle>"
FOREIGN: tuple[str, ...] = (FROM_OTEL, FROM_TRIFLE)
"""What stands for the job of traces of other tools: nothing can be run again, or checked."""
UNFINISHED: tuple[State, ...] = ("running", "lost")
"""States of traces whose end is not recorded: they are shown, but not compared or replayed."""
MODES: tuple[Mode, ...] = ("deferred", "live")
DEPTHS: tuple[Depth, ...] = ("inputs", "steps", "full")


@dataclass(frozen=True, slots=True)
class Value:
    """One recorded Python value in its canonical exact form.

    Two values are the same, type and bits, exactly when their bytes are equal.
    ``tracediff.values`` turns it into something to look at (``inert``) or the object (``live``).
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Source:
    """Where a step's code is: ``unit`` is "module:qualname".

    For a decorated function that is its definition, for a ``with`` block or a note the line itself.
    """

    file: str
    line: int
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """A recorded exception.

    ``type`` is "module:qualname"; ``bases`` its base classes, nearest first; ``value`` the exact
    ``(args, attributes)`` it can be rebuilt from, or None; ``members`` those of an exception group.
    """

    type: str
    message: str
    bases: tuple[str, ...] = ()
    traceback: str = ""
    value: Value | None = None
    cause: ErrorInfo | None = None
    context: ErrorInfo | None = None
    members: tuple[ErrorInfo, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node of a trace's tree. ``parent`` indexes ``Trace.steps``; the job itself has -1.

    ``args`` is a dict of parameter name to value. ``key`` is what the user says identifies this
    call among its siblings (and, for an input, among its recordings); None means the arguments do.
    A note's text is its name. ``mutated`` names the arguments the step changed. ``concurrent``
    marks a step whose order among its siblings was decided by a scheduler. ``open`` marks one that
    was never closed.
    """

    parent: int
    kind: Kind
    name: str
    state: State = "success"
    args: Value | None = None
    key: Value | None = None
    result: Value | None = None
    error: ErrorInfo | None = None
    start: int = 0
    duration: int = 0
    source: Source | None = None
    mutated: tuple[str, ...] = ()
    head: bool = False
    open: bool = False
    concurrent: bool = False


class _StepDraft:
    """A step that is being made: writing to it is cheap. Then it becomes a frozen ``Step``."""

    __slots__ = Step.__slots__


def make_step(  # noqa: PLR0913 - the fields of a step
    *, parent: int, kind: Kind, name: str, state: State = "success", args: Value | None = None,
    key: Value | None = None, result: Value | None = None, error: ErrorInfo | None = None,
    start: int = 0, duration: int = 0, source: Source | None = None, mutated: tuple[str, ...] = (),
    head: bool = False, open: bool = False, concurrent: bool = False,
) -> Step:  # fmt: skip
    """As ``Step(...)`` in a sixth of its time, for where traces are made of many."""
    draft: Any = _StepDraft()
    draft.parent = parent
    draft.kind = kind
    draft.name = name
    draft.state = state
    draft.args = args
    draft.key = key
    draft.result = result
    draft.error = error
    draft.start = start
    draft.duration = duration
    draft.source = source
    draft.mutated = mutated
    draft.head = head
    draft.open = open
    draft.concurrent = concurrent
    draft.__class__ = Step
    step: Step = draft
    return step


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file kept with a trace. ``data`` is None when the bytes live in the store's blobs."""

    name: str
    sha256: str
    size: int
    media_type: str = "application/octet-stream"
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The code a trace ran: git blob ids by file (relative to the project), and what surrounds it.

    ``dirty`` is None where nobody could tell.
    """

    commit: str | None = None
    dirty: bool | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    distributions: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the job could see of its surroundings; a replay puts it back."""

    timezone: str = "UTC"
    locale: str = "C"
    decimal_prec: int = 28
    decimal_rounding: str = "ROUND_HALF_EVEN"
    seed: int = 0


CutBy = Literal["calls", "steps", "depth", "duration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Calls of one autotraced function that are no steps, and which limit that is due to.

    ``unit`` is "module:qualname". ``duration`` is what they took in all, known only of those that
    took too little time; the others are not timed.
    """

    unit: str
    by: CutBy
    calls: int
    duration: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Autotracing:
    """Which functions became steps of a trace with no annotation, and which of their calls did not.

    ``patterns`` are those of the setting ``autotrace``, ``values`` and the limits those of the
    settings beside it. Of a trace of depth ``full`` without it nobody can tell.
    """

    patterns: tuple[str, ...] = ()
    values: bool = True
    max_depth: int = 0
    max_steps: int = 0
    max_calls: int = 0
    min_duration: int = 0
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A replayed call that no recording answers; ``nearest`` are (step index, field changes)."""

    kind: Kind
    name: str
    args: Value | None
    path: tuple[str, ...]
    nearest: tuple[tuple[int, tuple[FieldChange, ...]], ...] = ()
    hint: str | None = None
    served: Literal["failed", "nearest", "stub", "live"] = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayInfo:
    """How a replayed trace got its inputs.

    ``served`` pairs (recorded step index, replayed step index); ``unused`` are recorded inputs and
    outputs nobody asked for; ``moved`` those that were served at another place of the tree.
    """

    of: str
    served: tuple[tuple[int, int], ...] = ()
    misses: tuple[Miss, ...] = ()
    unused: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One recorded execution of a job. ``steps[0]`` is the job; the others come in call order."""

    id: str
    key: str
    job: str
    steps: tuple[Step, ...]
    state: State = "success"
    depth: Depth = "steps"
    started_at: int = 0
    duration: int = 0
    tags: tuple[str, ...] = ()
    meta: str = ""
    context: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    code: Code = field(default_factory=Code)
    environment: Environment = field(default_factory=Environment)
    artifacts: tuple[Artifact, ...] = ()
    warnings: tuple[str, ...] = ()
    retention: int | None = None
    autotracing: Autotracing | None = None
    replay: ReplayInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What an index knows of a trace: enough to list, search, compare outcomes and find its bytes.

    ``location`` is (blob key, offset, length). ``expires_at`` is in nanoseconds, None for never.
    ``parts`` counts the parts of a live trace that are known, the location is that of the last one;
    it is 0 for a trace that was written at once. What runs or is lost was last heard of
    ``duration`` after its start.
    """

    id: str
    key: str
    state: State
    started_at: int
    duration: int
    steps: int
    tags: tuple[str, ...] = ()
    meta: str = ""
    context: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    depth: Depth = "steps"
    job: str = ""
    outcome: bytes = b""
    path_signature: bytes = b""
    commit: str | None = None
    error: str | None = None
    expires_at: int | None = None
    location: tuple[str, int, int] = ("", 0, 0)
    parts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a live trace wrote since the part before: number 0 is written when its job starts.

    ``trace`` says what is known of the whole now, its steps and artifacts are those that are new or
    have changed. ``places`` are these steps' places in the whole trace, which their parents name
    too: they rise in the order in which the steps opened, and the job's is 0. A place that no part
    fills is that of no step: the whole trace has its steps in the order of their places, without
    gaps. ``concurrent`` are places of steps in earlier parts that have turned out to be concurrent.
    ``row`` is what an index shows now, its location left empty.
    """

    number: int
    trace: Trace
    places: tuple[int, ...]
    row: Row
    concurrent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search, newest first. ``tags`` means any of them; ``key`` a prefix of whole path segments.

    ``since`` and ``until`` bound ``started_at`` (nanoseconds, since inclusive, until exclusive).
    ``cursor`` is the opaque text a Page returned.
    """

    key: str | None = None
    tags: tuple[str, ...] = ()
    state: State | None = None
    since: int | None = None
    until: int | None = None
    context: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    path_signature: bytes | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one search page and the cursor of the next, None when there is none."""

    rows: tuple[Row, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How exactly one place must match; ``path`` is a glob over step names and field names.

    ``rel`` and ``abs`` are independent bounds (either one suffices), ``ulp`` counts floats between
    the two, ``quantum`` is the minor unit both are rounded to. ``types`` lists accepted type
    changes as (old, new) names. ``key`` are the columns that tell the rows of a frame apart.
    """

    path: str = "**"
    rel: float | None = None
    abs: float | None = None
    ulp: int | None = None
    quantum: str | None = None
    unordered: bool = False
    ignore: bool = False
    types: tuple[tuple[str, str], ...] = ()
    key: tuple[str, ...] = ()


class Missing(enum.Enum):
    """The side of a change that has no value."""

    MISSING = "missing"


MISSING = Missing.MISSING


ChangeKind = Literal["changed", "added", "removed", "type", "order", "moved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One difference inside a value. ``old`` and ``new`` are inert objects, or MISSING.

    ``path`` is () for the value itself, else keys, attribute names and indexes from outside in.
    ``delta`` is new - old where both are numbers of one family (exact: int, Fraction, Decimal or
    float; timedelta for times). ``within`` marks drift that a tolerance accepts.
    """

    path: tuple[str | int, ...]
    kind: ChangeKind
    old: Any = MISSING
    new: Any = MISSING
    delta: Any = None
    within: bool = False


class _ChangeDraft:
    __slots__ = FieldChange.__slots__


def make_change(
    *, path: tuple[str | int, ...], kind: ChangeKind, old: Any, new: Any, delta: Any, within: bool
) -> FieldChange:
    """As ``FieldChange(...)``, sooner: see ``make_step``."""
    draft: Any = _ChangeDraft()
    draft.path = path
    draft.kind = kind
    draft.old = old
    draft.new = new
    draft.delta = delta
    draft.within = within
    draft.__class__ = FieldChange
    change: FieldChange = draft
    return change


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameChange:
    """What the differences of two frames come to; the first of them are field changes.

    ``old`` and ``new`` are the shapes, rows and columns. ``matched`` says how rows were paired, as
    "index", "column sku" or "position". ``cells_changed`` lie beyond tolerance, in
    ``rows_changed`` rows that both have; ``cells_within`` are accepted; ``cells_listed`` of those
    changed are field changes, whose path ends in the column and the row. ``remark`` says what was
    asked for and could not be done.
    """

    path: tuple[str | int, ...]
    kind: str
    old: tuple[int, int]
    new: tuple[int, int]
    matched: str
    rows_added: int = 0
    rows_removed: int = 0
    rows_changed: int = 0
    cells_changed: int = 0
    cells_within: int = 0
    cells_listed: int = 0
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChange:
    """One definition whose code differs, and the lines that do (at most a dozen each).

    ``file`` and ``line`` (from 1) say where it is now. For a library ``file`` is empty and ``name``
    holds its two versions.
    """

    file: str
    line: int
    name: str
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


Label = Literal["origin", "propagated", "mixed", "absorbed", "hidden input", "clock", "unproven"]
Flag = Literal["moved", "renamed", "reordered"]
DivergenceKind = Literal["added", "removed", "changed", "moved", "renamed", "reordered"]
Aspect = Literal["name", "args", "result", "error", "state", "kind", "key", "place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """One difference between two traces: a step added, removed, changed, moved or renamed.

    ``old`` and ``new`` index the traces' steps; None where that side has no such step.
    ``changes`` maps each aspect whose value differs to its field changes. ``within`` means that
    every difference lies inside a tolerance. ``code`` names the definitions behind the step that
    differ: none, or None where nobody can tell. ``frames`` sums up the frames of an aspect that
    differ.
    """

    kind: DivergenceKind
    old: int | None
    new: int | None
    label: Label = "unproven"
    aspects: tuple[Aspect, ...] = ()
    changes: Mapping[Aspect, tuple[FieldChange, ...]] = field(default_factory=dict)
    also: tuple[Flag, ...] = ()
    within: bool = False
    code: tuple[CodeChange, ...] | None = None
    frames: Mapping[Aspect, tuple[FrameChange, ...]] = field(default_factory=dict)


class _DivergenceDraft:
    __slots__ = Divergence.__slots__


def make_divergence(  # noqa: PLR0913 - the fields of a divergence
    *, kind: DivergenceKind, old: int | None, new: int | None, label: Label,
    aspects: tuple[Aspect, ...], changes: Mapping[Aspect, tuple[FieldChange, ...]],
    also: tuple[Flag, ...], within: bool, code: tuple[CodeChange, ...] | None,
    frames: Mapping[Aspect, tuple[FrameChange, ...]],
) -> Divergence:  # fmt: skip
    """As ``Divergence(...)``, sooner: see ``make_step``."""
    draft: Any = _DivergenceDraft()
    draft.kind = kind
    draft.old = old
    draft.new = new
    draft.label = label
    draft.aspects = aspects
    draft.changes = changes
    draft.also = also
    draft.within = within
    draft.code = code
    draft.frames = frames
    draft.__class__ = Divergence
    divergence: Divergence = draft
    return divergence


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two traces laid against each other.

    ``pairs`` aligns the steps in execution order as (old index, new index), None on the side that
    has no partner; ``divergences`` follow that order and ``first`` is the one that is earliest in
    execution (the innermost changed step rather than the parents that contain it).
    ``different`` is the verdict: result, error, state or outputs differ beyond tolerance (or any
    step, when compared strictly). ``drift`` counts differences a tolerance accepted. ``remarks``
    say what was given up: bounded alignment, depths cut, too little in common.
    """

    old: Trace
    new: Trace
    pairs: tuple[tuple[int | None, int | None], ...]
    divergences: tuple[Divergence, ...]
    different: bool
    first: Divergence | None = None
    drift: int = 0
    unchanged: int = 0
    remarks: tuple[str, ...] = ()
