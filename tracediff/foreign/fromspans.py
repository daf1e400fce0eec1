"""The spans of one OpenTelemetry trace as a trace: listed, shown and compared, never replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from tracediff import tracefile
from tracediff.errors import CodecError
from tracediff.foreign.cleaning import Cleaning, made_id
from tracediff.foreign.spans import Event, Span, Tree, tree
from tracediff.model import FROM_OTEL, STATES, ErrorInfo, Kind, Source, State, Step, Trace
from tracediff.recording.runs import described

OWN: Final = "tracediff."
"""What the attributes begin with that an export of this tool writes."""

MAX_NOTES: Final = 100_000
"""Events of one trace that are kept."""

_EVENT: Final = "EVENT"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "QUERY"})
_READING: Final = frozenset({"SELECT", "GET", "MGET", "FIND", "QUERY", "SCAN", "SHOW", "EXPLAIN"})
_ENDED: Final = ("success", "warning", "error")
_KINDS: Final[tuple[Kind, ...]] = ("job", "step", "input", "output", "note", "artifact")
_LINE: Final = ("code.line.number", "code.lineno")
_FILE: Final = ("code.file.path", "code.filepath")
_FUNCTION: Final = ("code.function.name", "code.function")


def trace_of(spans: Sequence[Span], cleaning: Cleaning, key: str | None = None) -> Trace:
    """One trace of the spans of one OpenTelemetry trace.

    A span's attributes are its arguments, its kind says whether it is an input or an output, its
    events are notes; an ``exception`` event is its error.

    Args:
        spans: The spans, each id once, at least one.
        cleaning: Takes out secrets and counts oddities.
        key: The trace's key; the service's name and the root span's by default.
    """
    notes = list(islice(_events(spans), MAX_NOTES + 1))
    if len(notes) > MAX_NOTES:
        cleaning.warn(f"events after the first {MAX_NOTES:,} were left out")
    laid = tree([*spans, *notes[:MAX_NOTES]])
    _tell(laid, cleaning)
    began = [_time(one.start, cleaning) for one in laid.spans]
    started_at = min((time for time in began if time), default=0)
    tops = [place for place, parent in enumerate(laid.parents) if parent < 0]
    root = laid.spans[tops[0]]
    steps = [
        _step(span, parent, time - started_at if time else 0, cleaning)
        for span, parent, time in zip(laid.spans, laid.parents, began, strict=True)
    ]
    if len(tops) > 1:
        cleaning.warn(f"{len(tops):,} spans have no parent among these: they are below one job")
        steps = _below_one(steps, _service(root) or "trace")
    steps[0] = replace(steps[0], kind="job", parent=-1)
    context = _context(root, cleaning)
    named = key or _own(root, "key") or f"{_service(root)}/{root.name}"
    named = cleaning.key(named)
    return Trace(
        id=made_id(started_at, _digest(spans, named)),
        key=named,
        job=FROM_OTEL,
        steps=tuple(steps),
        state=_trace_state(root, steps[0]),
        started_at=started_at,
        duration=steps[0].duration,
        tags=cleaning.tags(_texts(root.attributes.get(f"{OWN}tags"))),
        meta=cleaning.text(_own(root, "meta"), 160) or described(steps[0].args),
        context=context,
        warnings=cleaning.told(),
    )


def _tell(laid: Tree, cleaning: Cleaning) -> None:
    if laid.orphans > 1:
        cleaning.warn(f"{laid.orphans:,} spans name a parent that is not among these")
    if laid.knots:
        cleaning.warn(f"{laid.knots:,} spans were below themselves: the earliest is at the top")


def _events(spans: Sequence[Span]) -> Iterator[Span]:
    """The events that are notes, as spans below theirs."""
    return (
        Span(
            trace_id=span.trace_id,
            span_id=f"{span.span_id}#{number}",
            parent_id=span.span_id,
            name=event.name,
            kind=_EVENT,
            start=event.time if event.time is not None else span.start,
            attributes=event.attributes,
        )
        for span in spans
        for number, event in enumerate(span.events)
        if not _is_exception(event)
    )


def _is_exception(event: Event) -> bool:
    return event.name == "exception" and f"{OWN}kind" not in event.attributes


def _step(span: Span, parent: int, start: int, cleaning: Cleaning) -> Step:
    kind = _kind(span)
    args, result, key = _arguments(span, cleaning)
    name = cleaning.text(_exact_name(span))
    if kind == "note" and args is not None and f"{OWN}kind" not in span.attributes:
        name, args = f"{name}: {described(args)}", None
    error = _error(span, cleaning)
    state: State = "error" if span.failed or error is not None else "success"
    if (said := _own(span, "state")) in STATES and said != "lost":
        state = said
    return Step(
        parent=parent,
        kind=kind,
        name=name,
        state=state,
        args=args,
        key=key,
        result=result,
        error=error,
        start=max(start, 0),
        duration=0 if kind in ("note", "artifact") else _duration(span, cleaning),
        source=_source(span, cleaning),
        mutated=tuple(_texts(span.attributes.get(f"{OWN}mutated"))),
        head=span.attributes.get(f"{OWN}head") is True,
        open=span.attributes.get(f"{OWN}open") is True,
        concurrent=span.attributes.get(f"{OWN}concurrent") is True,
    )


def _kind(span: Span) -> Kind:
    """What a span is: its own word for it where it was exported, else by what it reached.

    A client that reads is an input, one that writes an output, as is what sends a message.
    """
    said = _own(span, "kind")
    for known in _KINDS[1:]:
        if said == known:
            return known
    if span.kind == _EVENT:
        return "note"
    if said or span.kind not in ("CLIENT", "PRODUCER"):
        return "step"
    if span.kind == "PRODUCER":
        return "output"
    method = _first(span, "http.request.method", "http.method")
    done = _first(span, "db.operation.name", "db.operation")
    statement = _first(span, "db.query.text", "db.statement").lstrip(" (").split(" ", 1)[0]
    if method:
        return "input" if method.upper() in _SAFE_METHODS else "output"
    verb = (done or statement).upper()
    return "output" if verb and verb not in _READING else "input"


def _arguments(span: Span, cleaning: Cleaning) -> tuple[Any, Any, Any]:
    """Arguments, result and key of a step: exact ones of an export, else the attributes."""
    attributes = span.attributes
    exact = [
        cleaning.exact(attributes[name]) if name in attributes else None
        for name in (f"{OWN}args", f"{OWN}result", f"{OWN}key_value")
    ]
    others = {
        name: one
        for name, one in attributes.items()
        if not name.startswith(OWN) and not (f"{OWN}kind" in attributes and _is_ours(name))
    }
    if span.scope and f"{OWN}kind" not in attributes:
        others["otel.scope.name"] = span.scope
    if exact[0] is None and (others or f"{OWN}kind" not in attributes):
        exact[0] = cleaning.value(others) if others else None
    return exact[0], exact[1], exact[2]


def _is_ours(name: str) -> bool:
    return name in (*_LINE, *_FILE, *_FUNCTION)


def _error(span: Span, cleaning: Cleaning) -> ErrorInfo | None:
    event = next((one for one in reversed(span.events) if _is_exception(one)), None)
    if event is not None:
        return _exact_error(event, cleaning) or ErrorInfo(
            type=cleaning.text(_said(event, "exception.type") or "exception", 200),
            message=cleaning.text(_said(event, "exception.message")),
            traceback=cleaning.text(_said(event, "exception.stacktrace"), 60_000),
        )
    if span.failed and span.message:
        return ErrorInfo(type="error", message=cleaning.text(span.message))
    return None


def _exact_error(event: Event, cleaning: Cleaning) -> ErrorInfo | None:
    found = event.attributes.get(f"{OWN}error")
    if not isinstance(found, dict):
        return None
    try:
        return _cleaned(tracefile.read_error(found), cleaning)
    except (TypeError, ValueError, LookupError, RecursionError, CodecError):
        return None


def _cleaned(error: ErrorInfo, cleaning: Cleaning) -> ErrorInfo:
    return replace(
        error,
        message=cleaning.text(error.message),
        traceback=cleaning.text(error.traceback, 60_000),
        value=None if error.value is None else cleaning.again(error.value),
        cause=None if error.cause is None else _cleaned(error.cause, cleaning),
        context=None if error.context is None else _cleaned(error.context, cleaning),
        members=tuple(_cleaned(one, cleaning) for one in error.members),
    )


def _source(span: Span, cleaning: Cleaning) -> Source | None:
    file, unit = _first(span, *_FILE), _first(span, *_FUNCTION)
    line = next((span.attributes[name] for name in _LINE if name in span.attributes), 0)
    if not (file or unit):
        return None
    line = line if type(line) is int and 0 <= line < 1 << 31 else 0
    return Source(cleaning.text(file, 500), line, cleaning.text(unit, 500))


def _time(found: int | None, cleaning: Cleaning) -> int:
    return cleaning.time(found)


def _duration(span: Span, cleaning: Cleaning) -> int:
    if span.end is None or span.start is None:
        return 0
    start, end = cleaning.time(span.start), cleaning.time(span.end)
    if end < start:
        cleaning.warn("spans that ended before they began were given no duration")
    return max(end - start, 0) if start else 0


def _below_one(steps: list[Step], name: str) -> list[Step]:
    """The steps below one job that is made for them."""
    end = max(step.start + step.duration for step in steps)
    failed = any(step.state == "error" and step.parent < 0 for step in steps)
    job = Step(
        parent=-1, kind="job", name=name, duration=end, state="error" if failed else "success"
    )
    return [job, *(replace(step, parent=step.parent + 1) for step in steps)]


def _context(root: Span, cleaning: Cleaning) -> dict[str, str | int | float | bool]:
    given = root.attributes.get(f"{OWN}context")
    found: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    service = _service(root)
    if service and f"{OWN}key" not in root.attributes:
        found["service"] = service
    found["otel_trace_id"] = root.trace_id
    found["otel_span_id"] = root.span_id
    return cleaning.context(found)


def _trace_state(root: Span, job: Step) -> State:
    said = _own(root, "trace_state")
    return said if said in _ENDED else job.state  # type: ignore[return-value]  # one of them


def _service(root: Span) -> str:
    found = root.resource.get("service.name")
    return found if isinstance(found, str) else ""


def _own(span: Span, name: str) -> str:
    found = span.attributes.get(f"{OWN}{name}")
    return found if isinstance(found, str) else ""


def _exact_name(span: Span) -> str:
    found = span.attributes.get(f"{OWN}name")
    return found if isinstance(found, str) else span.name


def _said(event: Event, name: str) -> str:
    found = event.attributes.get(name)
    return found if isinstance(found, str) else ""


def _first(span: Span, *names: str) -> str:
    found = next((span.attributes[name] for name in names if name in span.attributes), "")
    return found if isinstance(found, str) else ""


def _texts(found: Any) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _digest(spans: Sequence[Span], key: str) -> bytes:
    """What tells this trace from others: which spans it has and when; never what they say."""
    places = sorted(f"{one.span_id} {one.parent_id} {one.start} {one.end}" for one in spans)
    text = "\n".join((FROM_OTEL, spans[0].trace_id, key, *places))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
