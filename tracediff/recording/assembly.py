"""From a finished buffer to a frozen Trace. Runs after the job, on the writer's thread."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracediff import values
from tracediff.model import Artifact, Source, State, Step, Value, make_step
from tracediff.recording.buffers import FIXED, UNSET, Buffer, Items, Later, Packed
from tracediff.recording.concurrency import concurrent
from tracediff.recording.marks import Mark
from tracediff.recording.spans import Span

MAX_NAME = 4_000
"""Characters of a note, or of the name of a step, that are kept."""

_PACKAGE = f"{Path(__file__).resolve().parents[1]}{os.sep}"
_CELL = re.compile(r".*[/\\]ipykernel_\d+[/\\](\d+)\.py")
"""A cell's file name in a Jupyter kernel: the process's id, and a digest of the cell's text."""


def steps_of(buffer: Buffer, root: str = "") -> tuple[Step, ...]:
    """The buffer's spans as steps, parents before children, in the order they opened.

    They are shown as they were when the job ended: what a thread or an event loop did afterwards
    depends on when somebody looks.

    Args:
        buffer: What the job wrote.
        root: The project's directory with a separator at its end; files below are named from it.
    """
    root_end = buffer.spans[0].end
    spans = [  # a thread may go on
        span for span in list(buffer.spans) if getattr(span, "start", root_end + 1) <= root_end
    ]
    if buffer.tracing is not None:
        spans = buffer.tracing.without_short(spans, root_end)
    index = {id(span): at for at, span in enumerate(spans)}
    parents = [-1 if span.parent is None else index.get(id(span.parent), 0) for span in spans]
    loose = concurrent(spans, parents)
    make = Making(buffer, root).step
    return tuple(
        [
            make(span, parent, at in loose, root_end)
            for at, (span, parent) in enumerate(zip(spans, parents, strict=True))
        ]
    )


class Making:
    """Makes steps of the spans of one buffer.

    Args:
        buffer: What the job wrote.
        root: The project's directory with a separator at its end.
    """

    def __init__(self, buffer: Buffer, root: str) -> None:
        self._buffer = buffer
        self._root = root
        self._begun = buffer.spans[0].start
        self._plain = buffer.plain
        self._sources: dict[Mark, Source] = {}

    def step(
        self, span: Span, parent: int, loose: bool, until: int, *, settled: bool = True
    ) -> Step:
        """One span as a step.

        Args:
            span: The span.
            parent: The index of its parent.
            loose: Whether a scheduler decided its order among its siblings.
            until: A span that ends after that is shown as open.
            settled: Whether nothing of it changes any more: what grows is left out else.
        """
        mark, start, end, result = span.mark, span.start, span.end, span.result
        args: Value | None
        if isinstance(mark, Mark):
            source = self._sources.get(mark) or self._look_at(mark)
            args = None if span.args is UNSET else Value(arguments(span, mark, settled=settled))
            name, head = mark.name, False
        else:
            source = self._named(mark.source())
            args, name, head = None, self._buffer.scrub(mark.name)[:MAX_NAME], mark.head
        is_open = not 0 < end <= until
        grows = type(result) is Items or isinstance(result, Later)
        if is_open:
            end = start
            result = result if grows else UNSET  # a replay hands it out again
        if grows and not settled:
            result = UNSET
        return make_step(
            parent=parent,
            kind=mark.kind,
            name=name,
            state="running" if is_open else state_of(span),
            args=args,
            key=None if span.key is UNSET else self._value(span.key),
            result=None if result is UNSET else self._value(result),
            error=None if is_open else span.error,
            start=start - self._begun if start > self._begun else 0,
            duration=end - start if end > start else 0,
            source=source,
            mutated=span.mutated,
            head=head,
            open=is_open,
            concurrent=loose,
        )

    def _look_at(self, mark: Mark) -> Source:
        """Where a function is written; looked at once for each."""
        if mark.unknown:
            names = ", ".join(mark.unknown)
            self._buffer.warn(f"{mark.name!r} has no parameter {names}, which it is to ignore")
        source = self._sources[mark] = self._named(mark.source)
        return source

    def _named(self, source: Source) -> Source:
        """A place with its file named from the project."""
        cell = _CELL.fullmatch(source.file)
        file = f"<notebook cell {cell[1]}>" if cell else source.file.removeprefix(self._root)
        if source.file.startswith(_PACKAGE):  # of a library: it tells nobody anything
            return replace(source, file="", line=0)
        return replace(source, file=file)

    def _value(self, captured: Any) -> Value:
        if type(captured) in self._plain:
            return Value(values.encode_number(captured))
        return Value(_packed(captured, self._buffer))


def state_of(span: Span) -> State:
    """The state of a span that ended: an error wins, then what the job said, else success."""
    if span.error is not None:
        if span.parent is None and span.buffer.excused:
            return "warning"
        return "error"
    return span.state or "success"  # type: ignore[return-value]  # set by warn and fail only


def arguments(span: Span, mark: Mark, *, settled: bool = True) -> bytes:
    """The canonical dict of a call's arguments: in the order of the signature, defaults filled in.

    Secret ones are sealed here at the latest: nothing has left the process before.
    """
    if isinstance(span.args, Later):
        return span.args.packed(span.buffer) if settled else span.args.so_far(span.buffer)
    buffer, order, positional = span.buffer, mark.order, span.args or ()
    if span.kwargs or mark.special or not len(positional) == len(order) == len(mark.names):
        return values.encode_map(_by_name(span, mark, positional))
    encode, pack, seal, safe = buffer.encode, buffer.packed, buffer.seal, buffer.redactor.safe
    if buffer.plain.issuperset(map(type, positional)) and safe.issuperset(order):
        return values.encode_numbers(order, positional)
    packed = [encode(one) if type(one) in FIXED else pack(one) for one in positional]
    pairs = zip(order, packed, strict=True)
    return values.encode_map(
        [(name, data if name in safe else seal(name, data)) for name, data in pairs]
    )


def _by_name(span: Span, mark: Mark, positional: Sequence[Any]) -> list[tuple[str, bytes]]:
    """A call's arguments by the name of their parameter, however they were given."""
    buffer = span.buffer
    found: dict[str, Any] = {}
    for name, value in zip(mark.names, positional, strict=False):
        found[name] = value
    if mark.rest is not None:
        rest = [buffer.packed(value) for value in positional[len(mark.names) :]]
        found[mark.rest] = Packed(values.encode_tuple(rest))
    extra: list[tuple[str, bytes]] = []
    for name, value in (span.kwargs or {}).items():
        if name in mark.known:
            found[name] = value
        else:
            extra.append((name, _sealed(name, value, buffer)))
    if mark.keywords is not None:
        found[mark.keywords] = Packed(values.encode_map(extra))
    for name, value in mark.defaults.items():
        found.setdefault(name, value)  # what can be changed was captured by the call
    ordered = [name for name in mark.order if name in found and name not in mark.ignore]
    return [(name, _sealed(name, found[name], buffer)) for name in ordered]


def _packed(captured: Any, buffer: Buffer) -> bytes:
    """The canonical bytes of what was captured, whole or item by item."""
    if type(captured) is Items:
        if captured.data is not None:
            return captured.data
        return buffer.join([buffer.packed(item) for item in list(captured)])
    return buffer.packed(captured)


def _sealed(name: str, value: Any, buffer: Buffer) -> bytes:
    return buffer.seal(name, buffer.packed(value))


def artifacts_of(buffer: Buffer, count: int | None = None) -> tuple[Artifact, ...]:
    """The buffer's artifacts, or the first of them, with their content addresses."""
    return tuple(
        Artifact(
            name=buffer.scrub(name),
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            media_type=media_type,
            data=data,
        )
        for name, data, media_type in buffer.artifacts[:count]
    )
