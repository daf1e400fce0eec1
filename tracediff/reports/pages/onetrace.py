"""A trace as a page in one file: its lines, and the details of as many as the file has room for."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tracediff.model import Artifact, Step, Trace
from tracediff.reports import excerpt
from tracediff.reports.clean import clean
from tracediff.reports.markup import Markup
from tracediff.reports.pages import (
    artifactview,
    packed,
    stepview,
    tracefront,
    traceview,
    valuetree,
)
from tracediff.reports.pages.onefile import one_file
from tracediff.reports.pages.templating import render

_VALUE: Final = 100
_ARTIFACTS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An artifact in a file: as it is listed, and what is in it, None where the file lacks that."""

    listed: artifactview.Listed
    look: artifactview.Looked | None
    address: Markup | None = None
    why: str = ""


def trace_html(trace: Trace, *, now: int) -> str:
    """Return a trace as a page in one file.

    Args:
        trace: The trace.
        now: The time that ages are counted from, in nanoseconds since the epoch.
    """
    found = traceview.layout(trace)
    held = packed.details(
        _ranks(trace.steps, found.shape.changes), lambda at: _step(trace, at), _shows(trace)
    )
    lines, islands = packed.filled(
        found.pieces, lambda span: traceview.rows(trace, found, span, held), f"Lines of {trace.key}"
    )
    return one_file(
        "trace.html",
        linked=False,
        live=False,
        front=tracefront.front(trace, now, None),
        artifacts=tuple(_artifacts(trace.artifacts[: artifactview.LISTED])),
        more_artifacts=max(len(trace.artifacts) - artifactview.LISTED, 0),
        found=found,
        lines=lines,
        left=held.left,
        map=found.minimap,
        islands=(*islands, *held.islands),
    )


def _ranks(steps: Sequence[Step], marked: Sequence[int]) -> tuple[list[int], list[int]]:
    """The steps that failed or warn, with those that they are in, and all others."""
    first = {0}
    for one in marked:
        at = one
        while at > 0 and at not in first:
            first.add(at)
            at = min(steps[at].parent, at - 1)
    shown = [at for at, step in enumerate(steps) if step.kind != "note"]
    return [at for at in shown if at in first], [at for at in shown if at not in first]


def _shows(trace: Trace) -> Callable[[int], str]:
    name = shlex.quote(clean(trace.id))
    return lambda at: f"tracediff show {name} --step {at}"


def _step(trace: Trace, at: int) -> str:
    step = trace.steps[at]

    def seen(aspect: stepview.AspectName) -> object:
        value = stepview.value_of(step, aspect)
        return None if value is None else excerpt.seen(value)

    view = stepview.step_view(trace, at, seen, budget=_VALUE)
    whole = all(valuetree.complete(one.node) for one in view.values)
    return render("tracestep.html", view=view, whole="" if whole else _shows(trace)(at))


def _artifacts(artifacts: Sequence[Artifact]) -> Iterator[Kept]:
    left = _ARTIFACTS
    for at, one in enumerate(artifacts):
        listed = artifactview.listed(at, one)
        data = one.data
        if data is None:
            yield Kept(listed=listed, look=None, why="its bytes are not at hand")
            continue
        if hashlib.sha256(data).hexdigest() != one.sha256:
            yield Kept(listed=listed, look=None, why="its bytes are not those that were recorded")
            continue
        look = artifactview.look(at, one.name, data)
        size = len(data) if look.image else len(look.text or look.dump or "")
        if size > left:
            yield Kept(listed=listed, look=None, why="too large for this file")
            continue
        left -= size
        address = None
        if look.image:
            packed_image = base64.b64encode(data).decode()
            address = Markup(f"data:{artifactview.safe_type(data)};base64,{packed_image}")
        yield Kept(listed=listed, look=look, address=address)
