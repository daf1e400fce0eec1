"""Trace to readable JSON and back: what ``pull`` writes and people commit (``*.trace.json``).

One field a line, in a stable order, so that a changed trace is a readable diff; as exact as the
binary form.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Final

from tracediff import traceform
from tracediff.errors import CodecError
from tracediff.formkinds import Form, read_plain_text
from tracediff.model import ErrorInfo, Step, Trace
from tracediff.traceform import (
    read_step,
    read_trace,
    unreadable,
    write_step,
    write_trace,
)
from tracediff.values import encode, inert
from tracediff.values.tagged import from_json, to_json

SCHEMA: Final = 1
_WIDTH: Final = 96
_INLINE: Final = 8


def _write_bytes(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read_bytes(found: Any) -> bytes:
    return base64.b64decode(found, validate=True)


def _write_text(found: str) -> Any:
    if found.isascii() or not _PAIR.search(found):
        return found
    return {"$text": to_json(encode(found))}


def _read_text(found: Any) -> str:
    """A str. JSON joins neighbouring lone surrogates: such a str is written as a value."""
    if type(found) is dict and list(found) == ["$text"]:
        return read_plain_text(inert(from_json(found["$text"])))
    return read_plain_text(found)


_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_FORM: Final = Form(
    write_value=to_json,
    read_value=from_json,
    write_bytes=_write_bytes,
    read_bytes=_read_bytes,
    write_text=_write_text,
    read_text=_read_text,
)


def dumps(trace: Trace) -> str:
    """The trace as text; ``loads`` gives the same trace, to the bit."""
    steps = [write_step(step, _FORM) for step in trace.steps]
    doc = {"tracediff": SCHEMA, **write_trace(trace, steps, _FORM)}
    lines: list[str] = []
    _layout(doc, "", "", lines)
    lines.append("")
    return "\n".join(lines)


def loads(text: str) -> Trace:
    """The trace of a trace file's text.

    Raises:
        CodecError: ``trace-unreadable`` or ``value-unreadable`` when the text is no trace,
            ``schema-newer`` when a newer tracediff wrote it.
    """
    try:
        doc = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise unreadable(f"it is no JSON ({str(error)[:200]})") from error
    if type(doc) is not dict or type(doc.get("tracediff")) is not int:
        raise unreadable("it does not begin like one")
    if doc["tracediff"] > SCHEMA:
        raise CodecError(
            f"the trace file has schema {doc['tracediff']}; this tracediff reads up to {SCHEMA}",
            slug="schema-newer",
            hint="upgrade tracediff here to at least the version that wrote the file",
        )
    try:
        return read_trace(doc, _steps(doc.get("steps")), _FORM)
    except (LookupError, RecursionError) as error:
        raise unreadable(str(error)[:200]) from error


def write_error(error: ErrorInfo) -> Any:
    """One recorded exception as it is written in a trace file."""
    return traceform.write_error(error, _FORM)


def read_error(found: Any) -> ErrorInfo:
    """The exception that ``write_error`` wrote; raises TypeError, ValueError or CodecError."""
    return traceform.read_error(found, _FORM)


def _steps(found: Any) -> tuple[Step, ...]:
    if type(found) is not list:
        raise unreadable("it has no steps")
    steps = []
    for index, doc in enumerate(found):
        try:
            steps.append(read_step(doc, _FORM))
        except (TypeError, ValueError) as error:
            raise unreadable(f"step {index}: {error}") from error
        except CodecError as error:
            raise CodecError(
                f"{error.message} (step {index})", slug=error.slug, hint=error.hint
            ) from error
    return tuple(steps)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _layout(item: Any, head: str, indent: str, lines: list[str]) -> None:
    """Append an item behind ``head``: on one line if it is short, else one field a line."""
    short = _short(item, _WIDTH - len(head))
    if short is not None:
        lines.append(head + short)
        return
    inner = indent + " "
    if type(item) is dict:
        if _is_tag(item):
            ((name, value),) = item.items()
            _layout(value, f"{head}{{{_text(name)}: ", indent, lines)
            lines[-1] += "}"
            return
        lines.append(head + "{")
        for name, value in item.items():
            _layout(value, f"{inner}{_text(name)}: ", inner, lines)
            lines[-1] += ","
        lines[-1] = lines[-1][:-1]
        lines.append(indent + "}")
        return
    lines.append(head + "[")
    for value in item:
        _layout(value, inner, inner, lines)
        lines[-1] += ","
    lines[-1] = lines[-1][:-1]
    lines.append(indent + "]")


def _short(item: Any, room: int) -> str | None:
    """The item on one line, if it is a scalar, a tag of one, or a short list of such."""
    if type(item) is dict:
        if not item:
            return "{}"
        if not _is_tag(item):
            return None
        ((name, value),) = item.items()
        inner = _short(value, room - len(name) - 6)
        return None if inner is None else f"{{{_text(name)}: {inner}}}"
    if type(item) is not list:
        return _text(item)
    if len(item) > _INLINE:
        return None
    parts = []
    for value in item:
        part = _short(value, room)
        if part is None:
            return None
        room -= len(part) + 2
        if room < 0:
            return None
        parts.append(part)
    return f"[{', '.join(parts)}]"


def _is_tag(item: dict[str, Any]) -> bool:
    return len(item) == 1 and next(iter(item)).startswith("$")


def _text(item: Any) -> str:
    return json.dumps(item, ensure_ascii=_odd(item))


def _odd(item: Any) -> bool:
    """Lone surrogates and separators that editors take for line ends are written as escapes."""
    return type(item) is str and _ESCAPED.search(item) is not None


_ESCAPED: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
