"""A trace as a page shows it: what is up front, and its lines as they happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tracediff.model import UNFINISHED, Step, Trace
from tracediff.reports import excerpt, wording
from tracediff.reports.markup import Markup
from tracediff.reports.pages.minimap import minimap
from tracediff.reports.pages.packed import Details
from tracediff.reports.pages.pieces import Piece, Shape, known, spans
from tracediff.reports.pages.templating import render
from tracediff.reports.paths import depths

MARKS: Final = {"input": "⇠", "output": "⇢", "artifact": "▤"}
GLYPHS: Final = {"success": "●", "warning": "▲", "error": "✗", "running": "◌", "lost": "⊘"}
_SPOKEN: Final = {"input": "input", "output": "output", "artifact": "artifact", "note": "note"}
_BARS: Final = 20
_ARGUMENTS: Final = 100
_OUTCOME: Final = 160
_NAME: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is worked out once for a trace's lines: their tree, their filters, how they are told."""

    indents: tuple[int, ...]
    shape: Shape
    levels: int
    counts: tuple[tuple[str, str, int], ...]
    minimap: Markup | None
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. ``bar`` is how much of the trace's time it took, in twentieths.

    ``open`` is when a step began that is open in a trace without an end, in milliseconds.
    """

    number: int
    level: int
    indent: int
    kind: str
    state: str
    head: bool
    mark: str
    spoken: str
    name: str
    arguments: str = ""
    flag: str = ""
    outcome: str = ""
    failed: bool = False
    took: str = ""
    bar: int = 0
    open: str = ""


def layout(trace: Trace) -> Layout:
    """Work out how a trace's lines nest. The lines of a section lie below its head."""
    steps = trace.steps
    indents = tuple(max(depth - 1, 0) for depth in depths(steps))
    levels = tuple(_nested(steps, indents))
    labels: dict[str, list[int]] = {}
    failed: list[int] = []
    heads: list[int] = []
    for index, step in enumerate(steps[1:], 1):
        if step.kind in ("input", "output", "artifact"):
            labels.setdefault(step.kind, []).append(index)
        elif step.kind == "note":
            (heads if step.head else labels.setdefault("note", [])).append(index)
        if step.state in ("error", "warning"):
            labels.setdefault(step.state, []).append(index)
            failed.append(index)
        if step.mutated:
            labels.setdefault("mutated", []).append(index)
    shown = (("error", "errors"), ("warning", "warnings"), ("input", "inputs"),
             ("output", "outputs"), ("artifact", "artifacts"), ("mutated", "mutated"),
             ("note", "notes"))  # fmt: skip
    counts = tuple((name, text, len(labels[name])) for name, text in shown if name in labels)
    shape = Shape(depths=levels, labels=labels, changes=failed)
    marks = {name: labels.get(name, []) for name in ("error", "warning", "output", "input")}
    return Layout(
        indents=indents,
        shape=shape,
        levels=max(levels) + 1,
        counts=counts,
        pieces=tuple(
            Piece(
                first=span.start,
                count=len(span),
                source=f"/trace/{trace.id}/lines?from={span.start}",
                plain=f"/trace/{trace.id}?from={span.start}",
                **known(shape, span),
            )
            for span in spans(shape.total)
        ),
        minimap=minimap(indents, marks, heads),
    )


def _nested(steps: Sequence[Step], indents: Sequence[int]) -> Iterator[int]:
    """Depths with the sections: below a head, until the next one of its depth or the end of it."""
    heads: list[int] = []
    for index, step in enumerate(steps):
        if index == 0:
            yield 0
            continue
        indent = indents[index]
        while heads and (indent < heads[-1] or (step.head and indent == heads[-1])):
            heads.pop()
        yield indent + len(heads)
        if step.head:
            heads.append(indent)


def rows(trace: Trace, found: Layout, span: Sequence[int], held: Details | None = None) -> Markup:
    """Return some of a trace's lines as markup.

    Args:
        trace: The trace.
        found: How its lines nest.
        span: The lines.
        held: The details that a file holds; None where the server has those of all lines.
    """
    lines = [_line(trace, found, index) for index in span]
    return Markup(render("tracelines.html", lines=lines, trace=trace.id, held=held))


def _line(trace: Trace, found: Layout, index: int) -> Line:
    step = trace.steps[index]
    mark = MARKS.get(step.kind, "")
    is_open = step.open and trace.state in UNFINISHED
    flags = [GLYPHS[step.state]] if step.state != "success" and index else []
    if is_open and index:
        flags = [f"{GLYPHS['running']} running" if trace.state == "running" else "⊘ open when lost"]
    if step.mutated:
        flags.append(excerpt.cut(f"changed {', '.join(step.mutated)}", _NAME))
    timed = step.kind not in ("note", "artifact")
    lasted = max(trace.duration - step.start, 0) if is_open else step.duration
    bar = round(_BARS * lasted / trace.duration) if timed and trace.duration > 0 else 0
    took = wording.lasted(lasted) if timed else ""
    if step.head:
        took = f"at {wording.lasted(step.start)}"
    return Line(
        number=index,
        level=found.shape.depths[index] + 1,
        indent=found.indents[index],
        kind=step.kind,
        state="lost" if is_open and trace.state == "lost" else step.state,
        head=step.head,
        mark=mark,
        spoken=_SPOKEN.get(step.kind, ""),
        name=excerpt.cut(step.name, _NAME),
        arguments="" if step.kind == "note" else excerpt.arguments(step.args, _ARGUMENTS),
        flag=" ".join(flags),
        outcome=excerpt.outcome(step, _OUTCOME),
        failed=step.error is not None,
        took=took,
        bar=min(max(bar, 0), _BARS),
        open=str(step.start // 10**6) if is_open and trace.state == "running" else "",
    )
