"""What a page says of a comparison above its lines: both sides, the verdict, where and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tracediff.model import (
    Aspect,
    Comparison,
    Divergence,
    FieldChange,
    Miss,
    Source,
    Step,
    Tolerance,
    Trace,
)
from tracediff.reports import excerpt, frames, wording
from tracediff.reports.clean import clean
from tracediff.reports.divergence import in_few_lines, meaning, within
from tracediff.reports.outcome import drifted, outcome
from tracediff.reports.pages.comparelayout import Layout
from tracediff.reports.pages.comparelines import Field, change_field
from tracediff.reports.pages.marked import Marked, marked
from tracediff.reports.text.canvas import ending
from tracediff.reports.text.causes import Cause, causes
from tracediff.reports.text.comparison import sides
from tracediff.reports.text.entries import changes_of, describe
from tracediff.reports.text.served import ANSWERS
from tracediff.reports.wording import many

_FIELDS: Final = 12
_FILES: Final = 12
_CAUSES: Final = 12
_PLACES: Final = 4
_MISSES: Final = 5
_NEAREST: Final = 2
_UNUSED: Final = 12
_REMARKS: Final = 20
_HINT: Final = 500
_ROOM: Final = 200
_PROVEN: Final = ("origin", "mixed", "hidden input")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of both traces; ``id`` is None for a replay, which is not stored."""

    head: str
    id: str | None
    key: str
    when: str
    ago: str
    version: str
    took: str
    steps: str
    state: str
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether both are the same, in the words of the terminal, and what of the result differs."""

    same: bool
    head: str
    said: str
    stop: str = ""
    whole: Field | None = None
    fields: tuple[Field, ...] = ()
    more: str = ""
    both: tuple[Marked, Marked] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first divergence: ``facts`` are (name, fields); ``line`` is where it stands."""

    name: str
    was: str
    kind: str
    label: str
    place: str
    where: str
    meaning: str
    line: int | None
    facts: tuple[tuple[str, tuple[Field, ...]], ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A step at which changed code shows."""

    name: str
    label: str
    line: int | None
    old: Marked
    new: Marked
    delta: str
    percent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A definition whose code differs, and the steps at which that shows."""

    name: str
    place: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    shows: tuple[Place, ...]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A tolerance in force, and how much drift it accepted."""

    path: str
    bounds: str
    accepted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A replayed call that no recording answers; the nearest ones with what differs in them."""

    kind: str
    call: str
    where: str
    answer: str
    nearest: tuple[tuple[int, str, tuple[Field, ...]], ...]
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How a replay got its inputs; ``unused`` are (number, kind, call)."""

    missed: tuple[Missed, ...] = ()
    misses: str = ""
    more_missed: str = ""
    unused: tuple[tuple[int, str, str], ...] = ()
    not_asked: str = ""
    more_unused: str = ""
    moved: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareView:
    """All that stands above the lines of a comparison; ``crumbs`` are (segment, key up to it)."""

    key: str
    crumbs: tuple[tuple[str, str], ...]
    call: str
    old: Side
    new: Side
    differs: tuple[str, ...]
    more_differs: str
    same_files: bool
    verdict: Verdict
    first: First | None
    changed: tuple[Changed, ...]
    more_changed: str
    rules: tuple[Rule, ...]
    drift: str
    served: Served
    remarks: tuple[str, ...]


def compare_view(
    found: Layout, *, now: int, accepted: Sequence[tuple[Tolerance, str]] = ()
) -> CompareView:
    """Return what a page says of a comparison.

    Args:
        found: The comparison with its lines.
        now: The time that ages are counted from, in nanoseconds since the epoch.
        accepted: The tolerances it was made with, and how much drift each accepted, in words.
    """
    comparison = found.aligned.comparison
    old, new = comparison.old, comparison.new
    differs = wording.code_changes(old.code, new.code)
    heads = sides(comparison)
    known = causes(comparison)
    remarks = (*comparison.remarks, *new.warnings)
    return CompareView(
        key=clean(old.key[:_HINT]),
        crumbs=tuple(_crumbs(old.key)),
        call=_call(old),
        old=_side(old, heads[0], now),
        new=_side(new, heads[1], now),
        differs=differs[:_FILES],
        more_differs=_left(len(differs), _FILES, "more"),
        same_files=not differs and bool(old.code.files) and bool(new.code.files),
        verdict=_verdict(comparison),
        first=_first(found, comparison.first) if comparison.first is not None else None,
        changed=tuple(_changed(found, known[:_CAUSES])),
        more_changed=_left(len(known), _CAUSES, "more definition"),
        rules=tuple(_rule(one, said) for one, said in accepted),
        drift=drifted(comparison),
        served=_served(comparison),
        remarks=(
            *(excerpt.cut(clean(remark), _HINT) for remark in remarks[:_REMARKS]),
            *filter(None, [_left(len(remarks), _REMARKS, "more remark")]),
        ),
    )


def _crumbs(key: str) -> Iterator[tuple[str, str]]:
    """The segments of a key, each with the key up to it."""
    parts = key[:_HINT].split("/")
    for at, part in enumerate(parts, 1):
        yield part, "/".join(parts[:at])


def _left(count: int, shown: int, noun: str) -> str:
    """How many of a list are not shown; nothing when all are."""
    if count <= shown:
        return ""
    return f"and {count - shown:,} more" if noun == "more" else f"… {many(count - shown, noun)}"


def _call(trace: Trace) -> str:
    call = excerpt.arguments(trace.steps[0].args, _ROOM) if trace.steps else ""
    return call or excerpt.cut(clean(trace.meta), _ROOM)


def _side(trace: Trace, head: str, now: int) -> Side:
    replayed = trace.replay is not None
    steps = sum(step.kind not in ("job", "note") for step in trace.steps)
    return Side(
        head=head, id=None if replayed else trace.id, key=clean(trace.key[:_HINT]),
        when="replayed just now" if replayed else wording.moment(trace.started_at),
        ago="" if replayed else wording.age(trace.started_at, now),
        version=wording.version(trace.code), took=wording.lasted(trace.duration),
        steps=many(steps, "step"), state=trace.state, call=_call(trace),
    )  # fmt: skip


def _verdict(comparison: Comparison) -> Verdict:
    told = outcome(comparison)
    fields = tuple(change_field(one) for one in told.changes[:_FIELDS])
    whole = fields[0] if len(told.changes) == 1 and not told.changes[0].path else None
    return Verdict(
        same=told.head != "different", head=told.head, said=told.said,
        stop=clean(told.stop.name[:_HINT]) if told.stop is not None else "",
        whole=whole, fields=() if whole else fields,
        more=_left(len(told.changes), _FIELDS, "more field"),
        both=marked(*told.both, 400) if told.both is not None else None,
    )  # fmt: skip


def _first(found: Layout, one: Divergence) -> First:
    comparison = found.aligned.comparison
    before = None if one.old is None else comparison.old.steps[one.old]
    after = None if one.new is None else comparison.new.steps[one.new]
    step = after or before or comparison.old.steps[0]
    renamed = before is not None and after is not None and before.name != after.name
    few: list[str] = []
    changes = changes_of(one, "result")
    if before is not None and after is not None and "error" not in one.aspects:
        few = in_few_lines(before, after, one, changes, _FIELDS)
    return First(
        name=excerpt.cut(clean(step.name), _ROOM),
        was=excerpt.cut(clean(before.name), _ROOM) if renamed and before is not None else "",
        kind="" if step.kind in ("step", "job") else step.kind,
        label=one.label if one.label != "unproven" else "",
        place=_spots(before, after),
        where=ending(within(comparison, one), _HINT),
        meaning=meaning(one),
        line=_line(found, one),
        facts=tuple(_facts(before, after, one, step, told=bool(few))),
        remarks=tuple(few),
    )


def _line(found: Layout, one: Divergence) -> int | None:
    at = found.aligned.line_of(one.old, one.new)
    return None if at is None else found.line[at]


def _spots(before: Step | None, after: Step | None) -> str:
    source = (after and after.source) or (before and before.source) or None
    if source is None or not source.file:
        return ""
    was = before.source if before else None
    if was is not None and after is not None and was.file != source.file:
        return f"{_spot(was)} → {_spot(source)}"
    return _spot(source)


def _spot(source: Source) -> str:
    return clean(f"{source.file[:_HINT]}:{source.line}")


def _facts(
    before: Step | None, after: Step | None, one: Divergence, step: Step, *, told: bool
) -> Iterator[tuple[str, tuple[Field, ...]]]:
    given = changes_of(one, "args")
    if given:
        yield "args", (*_summed(one, "args"), *_listed(given))
    elif call := excerpt.arguments(step.args, _ROOM):
        yield "args", (Field(title=call),)
    if before is None or after is None:
        ending = excerpt.outcome(step, _ROOM)
        if ending:
            yield "raised" if step.error else "result", (Field(title=ending),)
        return
    changes = changes_of(one, "result")
    if "error" in one.aspects or ("result" in one.aspects and not changes):
        name = "ends in" if "error" in one.aspects else "result"
        endings = [excerpt.outcome(side, 2000) or "—" for side in (before, after)]
        old, new = marked(endings[0], endings[1], _ROOM)
        yield name, (Field(title="", old=old, new=new),)
    elif changes and not told:
        yield "result", (*_summed(one, "result"), *_listed(changes))
    elif not changes and (unchanged := excerpt.outcome(after, _ROOM)):
        yield "result", (Field(title=unchanged, detail="unchanged"),)
    if "state" in one.aspects and "error" not in one.aspects:
        old, new = marked(before.state, after.state)
        yield "state", (Field(title="", old=old, new=new),)


def _summed(one: Divergence, aspect: Aspect) -> tuple[Field, ...]:
    return tuple(Field(title=line) for line in frames.told(one, aspect))


def _listed(changes: Sequence[FieldChange]) -> tuple[Field, ...]:
    found = [change_field(one) for one in changes[:_FIELDS]]
    if left := _left(len(changes), _FIELDS, "more field"):
        found.append(Field(title=left))
    return tuple(found)


def _changed(found: Layout, known: Sequence[Cause]) -> Iterator[Changed]:
    for cause in known:
        change = cause.change
        steps = sorted(cause.steps, key=lambda one: one.label not in _PROVEN)
        yield Changed(
            name=clean(change.name[:_HINT]),
            place=clean(f"{change.file[:_HINT]}:{change.line}") if change.file else "",
            removed=tuple(excerpt.cut(clean(line.rstrip()), _HINT) for line in change.removed),
            added=tuple(excerpt.cut(clean(line.rstrip()), _HINT) for line in change.added),
            shows=tuple(_place(found, one) for one in steps[:_PLACES]),
            more=f"and at {many(len(steps) - _PLACES, 'more step')}"
            if len(steps) > _PLACES
            else "",
        )


def _place(found: Layout, one: Divergence) -> Place:
    said = describe(found.aligned.comparison, one.old, one.new, one, 0)
    old, new = marked(said.old or "", said.new or "", 60)
    return Place(
        name=excerpt.cut(f"{said.title} {said.detail}".strip(), _ROOM), label=said.label,
        line=_line(found, one), old=old, new=new, delta=said.delta,
        percent=said.percent,
    )  # fmt: skip


def _rule(one: Tolerance, accepted: str) -> Rule:
    bounds = [f"{name} {getattr(one, name)}" for name in ("rel", "abs", "ulp", "quantum")
              if getattr(one, name) is not None]  # fmt: skip
    bounds += [name for name in ("unordered", "ignore") if getattr(one, name)]
    bounds += [f"{old} may become {new}" for old, new in one.types]
    return Rule(path=clean(one.path), bounds=clean(", ".join(bounds)), accepted=accepted)


def _served(comparison: Comparison) -> Served:
    replay, recorded = comparison.new.replay, comparison.old
    if replay is None:
        return Served()
    known = [index for index in replay.unused if 0 <= index < len(recorded.steps)]
    missed, moved = len(replay.misses), len(replay.moved)
    return Served(
        missed=tuple(_missed(recorded, miss) for miss in replay.misses[:_MISSES]),
        misses=many(missed, "call has no recording", "calls have no recording") if missed else "",
        more_missed=_left(missed, _MISSES, "more"),
        unused=tuple((at, recorded.steps[at].kind, _called(recorded.steps[at]))
                     for at in known[:_UNUSED]),
        not_asked=f"{many(len(known), 'recording')} no longer asked for" if known else "",
        more_unused=_left(len(known), _UNUSED, "more"),
        moved=f"{many(moved, 'recording')} served at another place" if moved else "",
    )  # fmt: skip


def _missed(recorded: Trace, miss: Miss) -> Missed:
    nearest = [(at, changes) for at, changes in miss.nearest if 0 <= at < len(recorded.steps)]
    return Missed(
        kind=miss.kind,
        call=clean(f"{miss.name[:_HINT]}({excerpt.arguments(miss.args, _ROOM)})"),
        where=excerpt.cut(" › ".join(map(clean, miss.path)), _HINT),
        answer=ANSWERS[miss.served],
        nearest=tuple((at, _called(recorded.steps[at]), _listed(changes))
                      for at, changes in nearest[:_NEAREST]),
        hint=excerpt.cut(clean(miss.hint or ""), _HINT),
    )  # fmt: skip


def _called(step: Step) -> str:
    return f"{clean(step.name[:_HINT])}({excerpt.arguments(step.args, _ROOM)})"
