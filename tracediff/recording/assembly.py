"""From a finished buffer to a frozen Trace. Runs after the job, on the writer's thread."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tracediff import values
from tracediff.model import Artifact, Source, State, Step, Value, make_step
from tracediff.recording.buffers import FIXED, UNSET, Buffer, Items, Packed
from tracediff.recording.marks import Mark
from tracediff.recording.spans import Line, Span

MAX_NAME = 4_000
"""Characters of a note, or of the name of a step, that are kept."""

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
    buffer.warn_of_bounds()
    root_end = buffer.spans[0].end
    spans = [  # a thread may go on
        span for span in list(buffer.spans) if getattr(span, "start", root_end + 1) <= root_end
    ]
    index = {id(span): at for at, span in enumerate(spans)}
    parents = [-1 if span.parent is None else index.get(id(span.parent), 0) for span in spans]
    loose = concurrent(spans, parents)
    make = _Making(buffer, root).step
    return tuple(
        [
            make(span, parent, at in loose)
            for at, (span, parent) in enumerate(zip(spans, parents, strict=True))
        ]
    )


class _Making:
    """Makes steps of the spans of one buffer.

    Args:
        buffer: What the job wrote.
        root: The project's directory with a separator at its end.
    """

    def __init__(self, buffer: Buffer, root: str) -> None:
        self._buffer = buffer
        self._root = root
        self._begun, self._ended = buffer.spans[0].start, buffer.spans[0].end
        self._plain = buffer.plain
        self._sources: dict[Mark | Line, Source] = {}

    def step(self, span: Span, parent: int, loose: bool) -> Step:
        """One span as a step."""
        mark, start, end, result = span.mark, span.start, span.end, span.result
        source = self._sources.get(mark)
        if source is None:
            source = self._look_at(mark)
        args: Value | None
        if isinstance(mark, Mark):
            args = None if span.args is UNSET else Value(arguments(span, mark))
            name, head = mark.name, False
        else:
            args, name, head = None, self._buffer.scrub(mark.name)[:MAX_NAME], mark.head
        is_open = not 0 < end <= self._ended
        if is_open:
            end = start
            result = result if type(result) is Items else UNSET  # a replay hands it out again
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

    def _look_at(self, mark: Mark | Line) -> Source:
        """Where a step is written, its file named from the project; done once for each function."""
        if isinstance(mark, Mark) and mark.unknown:
            names = ", ".join(mark.unknown)
            self._buffer.warn(f"{mark.name!r} has no parameter {names}, which it is to ignore")
        source = mark.source if isinstance(mark, Mark) else mark.source()
        cell = _CELL.fullmatch(source.file)
        file = f"<notebook cell {cell[1]}>" if cell else source.file.removeprefix(self._root)
        source = replace(source, file=file)
        self._sources[mark] = source
        return source

    def _value(self, captured: Any) -> Value:
        if type(captured) in self._plain:
            return Value(values.encode_number(captured))
        return Value(_packed(captured, self._buffer))


def state_of(span: Span) -> State:
    """The state of a span that ended: an error wins, then what the job said, else success."""
    if span.error is not None:
        return "error"
    return span.state or "success"  # type: ignore[return-value]  # set by warn and fail only


def arguments(span: Span, mark: Mark) -> bytes:
    """The canonical dict of a call's arguments: in the order of the signature, defaults filled in.

    Secret ones are sealed here at the latest: nothing has left the process before.
    """
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


def concurrent(spans: Sequence[Span], parents: Sequence[int]) -> set[int]:
    """The spans whose order among their siblings a scheduler decided.

    That is so when two siblings overlap in time, when one runs on another thread than its parent,
    or when siblings run in different asyncio tasks.
    """
    lanes = [span.lane for span in spans]
    if lanes.count(lanes[0]) == len(lanes):
        return set()  # one thread and one task did it all
    children: dict[int, list[int]] = {}
    for at, parent in enumerate(parents):
        children.setdefault(parent, []).append(at)
    found: set[int] = set()
    for parent, group in children.items():
        if len(group) > 1 and parent >= 0:
            found.update(_overlapping(spans, group))
            found.update(_elsewhere(spans, spans[parent], group))
    return found


def _overlapping(spans: Sequence[Span], group: Iterable[int]) -> set[int]:
    found: set[int] = set()
    latest, holder = 0, -1
    root_end = spans[0].end
    for at in sorted(group, key=lambda at: spans[at].start):
        span = spans[at]
        if span.start < latest and span.lane != spans[holder].lane:
            found.update((at, holder))
        end = min(span.end or root_end, root_end)  # one that is open lasts as long as the job
        if end > latest:
            latest, holder = end, at
    return found


def _elsewhere(spans: Sequence[Span], parent: Span, group: Sequence[int]) -> set[int]:
    home = _thread(parent.lane)
    found = {at for at in group if _thread(spans[at].lane) != home}
    tasks = {at: spans[at].lane for at in group if type(spans[at].lane) is tuple}
    if len({id(task) for _, task in tasks.values()}) > 1:
        found.update(at for at, lane in tasks.items() if lane != parent.lane)
    return found


def _thread(lane: Any) -> int:
    return int(lane[0] if type(lane) is tuple else lane)


def artifacts_of(buffer: Buffer) -> tuple[Artifact, ...]:
    """The buffer's artifacts with their content addresses."""
    return tuple(
        Artifact(
            name=buffer.scrub(name),
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            media_type=media_type,
            data=data,
        )
        for name, data, media_type in buffer.artifacts
    )
