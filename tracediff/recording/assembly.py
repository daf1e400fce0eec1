"""From a finished buffer to a frozen Trace. Runs after the job, on the writer's thread."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tracediff import values
from tracediff.model import Artifact, Source, State, Step, Value
from tracediff.recording.marks import Mark
from tracediff.recording.spans import UNSET, Buffer, Items, Line, Packed, Span

MAX_NAME = 4_000
"""Characters of a note, or of the name of a step, that are kept."""


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
    index = {id(span): at for at, span in enumerate(spans)}
    parents = [-1 if span.parent is None else index.get(id(span.parent), 0) for span in spans]
    loose = concurrent(spans, parents)
    begun = spans[0].start
    sources: dict[Mark | Line, Source] = {}
    return tuple(
        _step(
            span,
            parents[at],
            begun,
            at in loose,
            _source(span.mark, root, sources),
            is_open=not 0 < span.end <= root_end,
        )
        for at, span in enumerate(spans)
    )


def _source(mark: Mark | Line, root: str, known: dict[Mark | Line, Source]) -> Source:
    """Where a step is written, its file named from the project; found once for each function."""
    source = known.get(mark)
    if source is None:
        source = mark.source if isinstance(mark, Mark) else mark.source()
        source = known[mark] = replace(source, file=source.file.removeprefix(root))
    return source


def _step(
    span: Span, parent: int, begun: int, loose: bool, source: Source, *, is_open: bool
) -> Step:
    mark, buffer = span.mark, span.buffer
    if isinstance(mark, Mark):
        args: Value | None = Value(values.encode_map(arguments(span, mark)))
        head = False
        if mark.unknown:
            names = ", ".join(mark.unknown)
            buffer.warn(f"{mark.name!r} has no parameter {names}, which it is to ignore")
    else:
        args, head = None, mark.head
    return Step(
        parent=parent,
        kind=mark.kind,
        name=mark.name if type(mark) is Mark else buffer.scrub(mark.name)[:MAX_NAME],
        state="running" if is_open else state_of(span),
        args=args,
        key=_value(span.key, buffer),
        result=_so_far(span) if is_open else _value(span.result, buffer),
        error=None if is_open else span.error,
        start=max(0, span.start - begun),
        duration=0 if is_open else max(0, span.end - span.start),
        source=source,
        mutated=span.mutated,
        head=head,
        open=is_open,
        concurrent=loose,
    )


def state_of(span: Span) -> State:
    """The state of a span that ended: an error wins, then what the job said, else success."""
    if span.error is not None:
        return "error"
    return span.state or "success"  # type: ignore[return-value]  # set by warn and fail only


def _value(captured: Any, buffer: Buffer) -> Value | None:
    if captured is UNSET:
        return None
    if type(captured) is Items:
        items = [_packed(item, buffer) for item in list(captured)]
        return Value(buffer.join(items) if captured.data is None else captured.data)
    return Value(_packed(captured, buffer))


def _so_far(span: Span) -> Value | None:
    """Of a generator that did not end, what it had yielded: a replay hands it out again."""
    return _value(span.result, span.buffer) if type(span.result) is Items else None


def arguments(span: Span, mark: Mark) -> list[tuple[str, bytes]]:
    """A call's arguments by parameter name, in the order of the signature, defaults filled in.

    Secret ones are sealed here at the latest: nothing has left the process before.
    """
    buffer = span.buffer
    positional = span.args or ()
    plain = not span.kwargs and not mark.special
    if plain and len(positional) == len(mark.order) == len(mark.names):
        encode, seal, safe = buffer.encode, buffer.seal, buffer.redactor.safe
        packed = [bytes(one) if type(one) is Packed else encode(one) for one in positional]
        pairs = zip(mark.order, packed, strict=True)
        return [(name, data if name in safe else seal(name, data)) for name, data in pairs]
    found: dict[str, Any] = {}
    for name, value in zip(mark.names, positional, strict=False):
        found[name] = value
    if mark.rest is not None:
        rest = [_packed(value, buffer) for value in positional[len(mark.names) :]]
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


def _packed(value: Any, buffer: Buffer) -> bytes:
    return bytes(value) if type(value) is Packed else buffer.encode(value)


def _sealed(name: str, value: Any, buffer: Buffer) -> bytes:
    return buffer.seal(name, _packed(value, buffer))


def concurrent(spans: Sequence[Span], parents: Sequence[int]) -> set[int]:
    """The spans whose order among their siblings a scheduler decided.

    That is so when two siblings overlap in time, when one runs on another thread than its parent,
    or when siblings run in different asyncio tasks.
    """
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
