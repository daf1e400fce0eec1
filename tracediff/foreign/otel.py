"""OpenTelemetry's JSON to spans: OTLP/JSON, and what the SDK's console exporter prints.

OTLP/JSON is a request of ``resourceSpans``, as the Collector's file exporter writes one a line. It
is read as its specification has it (ids in hexadecimal, integers as text, numbers for enums), and
as protobuf's own JSON has it (ids in base64, names for enums, names as in the .proto files).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from tracediff.foreign.anyvalues import read_attributes
from tracediff.foreign.spans import KINDS, Event, Span

_HEX: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{16}|[0-9a-fA-F]{32})")
_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*(Z|[+-]\d\d:\d\d)?")
_EPOCH: Final = datetime(1970, 1, 1)
_LONGEST: Final = 500
"""Characters of what is written once and kept with each of many spans."""


def is_request(document: dict[str, Any]) -> bool:
    """Whether this is a request of spans in OTLP/JSON."""
    return any(name in document for name in ("resourceSpans", "resource_spans", "batches"))


def is_other_signal(document: dict[str, Any]) -> bool:
    """Whether this is a request of logs, metrics or profiles, which files hold between others."""
    return any(f"resource{signal}" in document for signal in ("Logs", "Metrics", "Profiles"))


def is_printed(document: dict[str, Any]) -> bool:
    """Whether this is a span as the console exporter prints it."""
    context = document.get("context")
    return isinstance(context, dict) and "trace_id" in context and "span_id" in context


def spans_of(request: dict[str, Any]) -> Iterator[Span]:
    """The spans of a request.

    Raises:
        ValueError: It is none; the message says what of it.
    """
    for group in _list(request, "resourceSpans", "resource_spans", "batches"):
        resource = _kept(read_attributes(_dict(group, "resource").get("attributes")))
        scopes = _list(
            group, "scopeSpans", "scope_spans", "instrumentationLibrarySpans",
            "instrumentation_library_spans",
        )  # fmt: skip
        for within in scopes:
            scope = _dict(within, "scope", "instrumentationLibrary").get("name", "")
            for one in _list(within, "spans"):
                yield _span(one, resource, _text(scope)[:_LONGEST])


def printed_span(document: dict[str, Any]) -> Span:
    """A span that the console exporter printed.

    Raises:
        ValueError: It is none; the message says what of it.
    """
    context, status = _dict(document, "context"), _dict(document, "status")
    parent = document.get("parent_id")
    return Span(
        trace_id=_id(context.get("trace_id"), 32, "trace_id"),
        span_id=_id(context.get("span_id"), 16, "span_id"),
        parent_id="" if not parent else _id(parent, 16, "parent_id"),
        name=_text(document.get("name")),
        kind=_kind(document.get("kind")),
        start=_iso(document.get("start_time")),
        end=_iso(document.get("end_time")),
        failed=_text(status.get("status_code")).endswith("ERROR"),
        message=_text(status.get("description")),
        attributes=_dict(document, "attributes"),
        events=tuple(
            Event(
                name=_text(one.get("name")),
                time=_iso(one.get("timestamp")),
                attributes=_dict(one, "attributes"),
            )
            for one in _list(document, "events")
        ),
        resource=_kept(_dict(_dict(document, "resource"), "attributes")),
    )


def _kept(resource: dict[str, Any]) -> dict[str, Any]:
    """What of a resource is used: a request has it once, and its spans are kept one by one."""
    return {"service.name": _text(resource.get("service.name"))[:_LONGEST]}


def _span(found: dict[str, Any], resource: dict[str, Any], scope: str) -> Span:
    status = _dict(found, "status")
    parent = _get(found, "parentSpanId", "parent_span_id")
    return Span(
        trace_id=_id(_get(found, "traceId", "trace_id"), 32, "traceId"),
        span_id=_id(_get(found, "spanId", "span_id"), 16, "spanId"),
        parent_id="" if not parent else _id(parent, 16, "parentSpanId"),
        name=_text(found.get("name")),
        kind=_kind(found.get("kind")),
        start=_nanoseconds(_get(found, "startTimeUnixNano", "start_time_unix_nano")),
        end=_nanoseconds(_get(found, "endTimeUnixNano", "end_time_unix_nano")),
        failed=status.get("code") in (2, "2", "STATUS_CODE_ERROR", "ERROR"),
        message=_text(status.get("message")),
        attributes=read_attributes(found.get("attributes")),
        events=tuple(
            Event(
                name=_text(one.get("name")),
                time=_nanoseconds(_get(one, "timeUnixNano", "time_unix_nano")),
                attributes=read_attributes(one.get("attributes")),
            )
            for one in _list(found, "events")
        ),
        resource=resource,
        scope=scope,
    )


def _get(found: dict[str, Any], *names: str) -> Any:
    return next((found[name] for name in names if name in found), None)


def _list(found: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    listed = _get(found, *names)
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ValueError(f"{names[0]} is no list of objects")
    return listed


def _dict(found: dict[str, Any], *names: str) -> dict[str, Any]:
    inner = _get(found, *names)
    if inner is None:
        return {}
    if not isinstance(inner, dict):
        raise ValueError(f"{names[0]} is no object")
    return inner


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _id(found: Any, digits: int, name: str) -> str:
    """An id in hexadecimal, or in base64 as protobuf writes bytes."""
    if isinstance(found, str) and len(found) <= 40:
        match = _HEX.fullmatch(found)
        if match and len(match[1]) == digits:
            return match[1].lower()
        try:
            data = base64.b64decode(found, validate=True)
        except (ValueError, binascii.Error):
            data = b""
        if len(data) * 2 == digits:
            return data.hex()
    raise ValueError(f"a span's {name} is {found!r:.60}, which is no id of {digits} digits")


def _kind(found: Any) -> str:
    if isinstance(found, int) and 0 <= found < len(KINDS):
        return KINDS[found]
    name = _text(found).rpartition(".")[2].removeprefix("SPAN_KIND_")
    return name if name in KINDS else "INTERNAL"


def _nanoseconds(found: Any) -> int | None:
    if isinstance(found, str) and len(found) <= 40 and found.isascii() and found.isdecimal():
        return int(found)
    return found if type(found) is int else None


def _iso(found: Any) -> int | None:
    """A time as the SDK prints it."""
    match = _ISO.fullmatch(found) if isinstance(found, str) and len(found) < 60 else None
    if match is None:
        return None
    try:
        since = datetime.fromisoformat(match[1]) - _EPOCH
    except ValueError:
        return None
    fraction = int((match[2] or "0").ljust(9, "0"))
    offset = match[3] or "Z"
    away = timedelta(0)
    if offset != "Z":
        away = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:])) * (
            -1 if offset[0] == "-" else 1
        )
    return (since - away) // timedelta(seconds=1) * 1_000_000_000 + fraction
