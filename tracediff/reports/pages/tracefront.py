"""What a trace's page says before its lines: what ran, when, on which code, with which outcome."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final
from urllib.parse import quote, urlencode

from tracediff.model import UNFINISHED, Autotracing, Row, Trace
from tracediff.reports import excerpt, living, wording
from tracediff.reports.clean import clean
from tracediff.reports.markup import Markup, element
from tracediff.reports.pages.listview import LONGEST
from tracediff.reports.pages.traceview import GLYPHS

_OUTCOME: Final = 1_000
_WARNINGS: Final = 50
_WARNING: Final = 2_000
_CHIPS: Final = 100  # tags, or context fields
_CHIP: Final = 200
_SEGMENTS: Final = 40
_TEXT: Final = 400
_CUTS: Final = 20
_MISSES: Final = 20
_SECTIONS: Final = 60
_HEIGHT: Final = 36
_LEGIBLE: Final = 0.045
_LIMITS: Final = {
    "calls": "too many calls of it", "steps": "too many steps in all", "depth": "too deep",
    "duration": "too short",
}  # fmt: skip
_ANSWERS: Final = {
    "failed": "the replay stopped here", "nearest": "answered with the nearest recording",
    "stub": "answered with a stand-in", "live": "called for real",
}  # fmt: skip

Attributes = dict[str, str | float]
Link = tuple[str, str]
"""What is shown, and where it leads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What is up front. Facts are (name, text, where it leads or "")."""

    id: str
    title: str
    crumbs: tuple[Link, ...]
    state: str
    glyph: str
    meta: str
    outcome: str
    failed: bool
    standing: str
    quiet: bool
    live: bool
    finished: bool
    when: str
    iso: str
    age: str
    took: str
    lines: int
    version: str
    commit: str
    tags: tuple[Link, ...]
    context: tuple[tuple[str, str, str], ...]
    more_chips: int
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    more_warnings: int
    autotracing: tuple[str, ...]
    cuts: tuple[tuple[str, str], ...]
    replay: tuple[str, ...]
    replay_of: str
    misses: tuple[tuple[str, str], ...]
    previous: str
    alike: bool
    commands: tuple[str, ...]
    timeline: Markup | None


def front(
    trace: Trace,
    now: int,
    previous: Row | None,
    *,
    parts: int = 0,
    quiet: int = living.QUIET,
) -> Front:
    """Return what a trace's page says up front.

    Args:
        trace: The trace.
        now: The time that ages are counted from, in nanoseconds since the epoch.
        previous: The trace of this key before it, one of the same arguments if there is any.
        parts: How many parts of a live trace it was read from.
        quiet: After how many nanoseconds of silence a running job is said to be quiet.
    """
    root = trace.steps[0]
    return Front(
        id=trace.id,
        title=title(trace.key, trace.meta or trace.id),
        crumbs=tuple(_crumbs(trace.key)),
        state=trace.state,
        glyph=GLYPHS[trace.state],
        meta=excerpt.cut(trace.meta, _OUTCOME),
        outcome=excerpt.outcome(root, _OUTCOME),
        failed=root.error is not None,
        standing=living.standing(trace, now, parts=parts, quiet=quiet),
        quiet=trace.state == "running" and living.is_quiet(trace, now, quiet),
        live=trace.state == "running",
        finished=trace.state not in UNFINISHED,
        when=wording.moment(trace.started_at),
        iso=wording.iso(trace.started_at) or "",
        age=wording.age(trace.started_at, now),
        took=wording.lasted(trace.duration),
        lines=len(trace.steps),
        version=wording.version(trace.code),
        commit=trace.code.commit or "",
        tags=tuple((excerpt.cut(one, _CHIP), listed(tag=one)) for one in trace.tags[:_CHIPS]),
        context=tuple(
            (
                excerpt.cut(name, _CHIP),
                excerpt.cut(str(value), _CHIP),
                listed(context=f"{name}={_told(value)}"),
            )
            for name, value in islice(trace.context.items(), _CHIPS)
        ),
        more_chips=sum(max(len(some) - _CHIPS, 0) for some in (trace.tags, trace.context)),
        facts=tuple(_facts(trace)),
        warnings=tuple(excerpt.cut(one, _WARNING) for one in trace.warnings[:_WARNINGS]),
        more_warnings=max(len(trace.warnings) - _WARNINGS, 0),
        autotracing=tuple(_autotracing(trace.autotracing)),
        cuts=tuple(_cuts(trace.autotracing)),
        replay=tuple(_replay(trace)),
        replay_of=excerpt.cut(trace.replay.of, _TEXT) if trace.replay else "",
        misses=tuple(_misses(trace)),
        previous=previous.id if previous else "",
        alike=previous is not None and previous.meta == trace.meta,
        commands=tuple(_commands(trace)),
        timeline=timeline(trace),
    )


def title(key: str, call: str) -> str:
    """What a tab shows of a trace: what tells it from others of its job comes first."""
    return f"{excerpt.cut(call, 100)} · {excerpt.cut(key, 100)}"


def listed(**filters: str) -> str:
    """Return the address of the list with some filters; without any where it would be too long."""
    found = f"/?{urlencode(filters, errors='surrogatepass', quote_via=quote)}"
    return found if len(found) <= LONGEST else "/"


def _told(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _crumbs(key: str) -> Iterator[Link]:
    parts = key.split("/", _SEGMENTS)
    for at, part in enumerate(parts, 1):
        yield excerpt.cut(part, _CHIP), listed(key="/".join(parts[:at]))


def _facts(trace: Trace) -> Iterator[tuple[str, str]]:
    yield "job", excerpt.cut(trace.job, _TEXT).replace(":", ".")
    yield "depth", trace.depth
    if trace.code.python:
        yield "Python", excerpt.cut(f"{trace.code.python}, {trace.code.platform}", _TEXT)
    env = trace.environment
    around = f"{env.timezone}, locale {env.locale}, seed {env.seed}"
    yield "surroundings", excerpt.cut(around, _TEXT)
    yield "decimals", excerpt.cut(f"{env.decimal_prec} digits, {env.decimal_rounding}", _TEXT)
    if trace.retention is not None:
        yield "kept for", wording.many(trace.retention, "day")
    if trace.code.files:
        yield "code", wording.many(len(trace.code.files), "file")


def _autotracing(found: Autotracing | None) -> Iterator[str]:
    if found is None:
        return
    patterns = excerpt.cut(", ".join(found.patterns), _WARNING) or "no modules"
    yield f"Functions of {patterns} became steps by themselves."
    if not found.values:
        yield "Their values were not kept."
    left = sum(cut.calls for cut in found.cuts)
    if left:
        yield f"{wording.many(left, 'call is', 'calls are')} no step:"


def _cuts(found: Autotracing | None) -> Iterator[tuple[str, str]]:
    cuts = sorted(found.cuts, key=lambda cut: -cut.calls) if found else []
    for cut in cuts[:_CUTS]:
        took = f", {wording.lasted(cut.duration)} in all" if cut.duration else ""
        calls = wording.many(cut.calls, "call")
        yield excerpt.cut(cut.unit, _TEXT).replace(":", "."), f"{calls}, {_LIMITS[cut.by]}{took}"
    if len(cuts) > _CUTS:
        yield "…", wording.many(len(cuts) - _CUTS, "more function")


def _replay(trace: Trace) -> Iterator[str]:
    found = trace.replay
    if found is None:
        return
    yield f"{wording.many(len(found.served), 'call')} got what was recorded."
    if found.misses:
        noun = ("call has no recording", "calls have no recording")
        yield f"{wording.many(len(found.misses), *noun)}."
    if found.unused:
        yield f"{wording.many(len(found.unused), 'recording')} no longer asked for."
    if found.moved:
        yield f"{wording.many(len(found.moved), 'recording')} served at another place."


def _misses(trace: Trace) -> Iterator[tuple[str, str]]:
    for miss in trace.replay.misses[:_MISSES] if trace.replay else ():
        where = f", in {excerpt.cut(' › '.join(miss.path), _TEXT)}" if miss.path else ""
        hint = f". {excerpt.cut(miss.hint, _TEXT)}" if miss.hint else ""
        name = excerpt.cut(miss.name, _TEXT)
        call = f"{miss.kind} {name}({excerpt.arguments(miss.args, 120)})"
        yield call, f"{_ANSWERS[miss.served]}{where}{hint}"


def _commands(trace: Trace) -> Iterator[str]:
    name = shlex.quote(clean(trace.id))
    if trace.state in UNFINISHED:
        yield f"tracediff show {name}{' --follow' if trace.state == 'running' else ''}"
        return
    yield f"tracediff compare {name}"
    yield f"tracediff explain {name}"
    yield f"tracediff replay {name}"
    yield f"tracediff pull {name}"


def timeline(trace: Trace) -> Markup | None:
    """Return the trace's sections side by side, as wide as the time each took; None for none.

    A section is what lies between two heads at the top of the tree.
    """
    heads = [at for at, step in enumerate(trace.steps) if step.head and step.parent <= 0]
    if not 2 <= len(heads) <= _SECTIONS or trace.duration <= 0:
        return None
    starts = [min(max(trace.steps[at].start, 0), trace.duration) for at in heads]
    ends = [*starts[1:], trace.duration]
    sections = [
        _section(at, trace.steps[at].name, nth, (start, max(end, start)), trace.duration)
        for nth, (at, start, end) in enumerate(zip(heads, starts, ends, strict=True))
    ]
    box: Attributes = {"class": "sections", "width": "100%", "height": _HEIGHT, "role": "group",
           "aria-label": "Sections by the time they took"}  # fmt: skip
    return element("svg", box, sections)


def _section(line: int, name: str, nth: int, span: tuple[int, int], whole: int) -> Markup:
    """Percentages, so that texts are not stretched with the picture."""
    start, end = span
    took = wording.lasted(end - start)
    said = f"{excerpt.cut(name, 80)}: {took}"
    box: Attributes = {
        "x": f"{100 * start / whole:.3f}%",
        "width": f"{100 * (end - start) / whole:.3f}%",
        "height": _HEIGHT,
    }
    whole_box: Attributes = {"width": "100%", "height": _HEIGHT, "class": f"section s{nth % 2}"}
    texts = (
        ()
        if (end - start) / whole < _LEGIBLE
        else (
            element("text", {"x": 6, "y": 15}, excerpt.cut(name, 80)),
            element("text", {"x": 6, "y": 30, "class": "soft"}, took),
        )
    )
    return element(
        "svg",
        box,
        element(
            "a",
            {"href": f"#line-{line}", "aria-label": said},
            element("title", None, said),
            element("rect", whole_box),
            texts,
        ),
    )
