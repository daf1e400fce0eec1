"""A trace as plain dicts, lists and scalars: the shape the binary codec and the trace file share.

A field that has its default is left out, one that is unknown is ignored, one that is not what it
should be is a CodecError that says where. How a value and raw bytes are written is up to the form.
"""

from __future__ import annotations

import math
from typing import Any, Final

from tracediff.errors import CodecError
from tracediff.formkinds import Form, Kind, choice, many, optional, record, row, scalar, table
from tracediff.model import (
    DEPTHS,
    STATES,
    Artifact,
    Autotracing,
    Code,
    Cut,
    Environment,
    ErrorInfo,
    FieldChange,
    Miss,
    ReplayInfo,
    Source,
    Step,
    Trace,
    Value,
)
from tracediff.values import encode, inert

KINDS: Final = ("job", "step", "input", "output", "note", "artifact")
_CHANGES: Final = ("changed", "added", "removed", "type", "order", "moved")
_SERVED: Final = ("failed", "nearest", "stub", "live")
_MAX_CHAIN: Final = 20


def unreadable(what: str, slug: str = "trace-unreadable") -> CodecError:
    """The error for something that is not a trace."""
    return CodecError(
        f"this is not a trace: {what}",
        slug=slug,
        hint="it was damaged or changed after it was written; pull the trace again",
    )


def _write_any(value: Any, form: Form) -> Any:
    return form.write_value(encode(value))


def _read_any(value: Any, form: Form) -> Any:
    return inert(form.read_value(value))


def _write_scalar(value: Any, form: Form) -> Any:
    if type(value) is str:
        return form.write_text(value)
    if type(value) is float and not math.isfinite(value):
        return {"$float": repr(value)}  # JSON has no such number
    return value


def _read_scalar(value: Any, form: Form) -> Any:
    if type(value) is dict and list(value) == ["$float"]:
        return _ENDLESS[value["$float"]]
    return value if type(value) in (int, float, bool) else form.read_text(value)


_ENDLESS: Final = {name: float(name) for name in ("inf", "-inf", "nan")}


def _write_error(error: ErrorInfo, form: Form) -> Any:
    """Nested where the chain is short; a long one is flat, so that nothing has to recurse."""
    if _is_short(error):
        return _ERROR.write(error, form)
    rows: list[dict[str, Any]] = []
    pending: list[tuple[ErrorInfo, int, str]] = [(error, -1, "")]
    while pending:
        one, above, role = pending.pop()
        own = _ERROR_FIELDS.write(one, form)
        if above >= 0:
            own["of"], own["role"] = above, role
        rows.append(own)
        place = len(rows) - 1
        pending += [(member, place, "members") for member in reversed(one.members)]
        pending += [
            (inner, place, name)
            for name, inner in (("context", one.context), ("cause", one.cause))
            if inner is not None
        ]
    return {"chain": rows}


def _is_short(error: ErrorInfo) -> bool:
    level = [error]
    for _ in range(_MAX_CHAIN):
        level = [inner for one in level for inner in _inner(one)]
        if not level:
            return True
    return False


def _inner(error: ErrorInfo) -> list[ErrorInfo]:
    found = (error.cause, error.context, *error.members)
    return [one for one in found if one is not None]


def _read_error(value: Any, form: Form) -> ErrorInfo:
    if type(value) is not dict or "chain" not in value:
        found: ErrorInfo = _ERROR.read(value, form)
        return found
    rows = value["chain"]
    if type(rows) is not list or not rows:
        raise TypeError("not a chain of errors")
    inner: list[dict[str, Any]] = [{"members": []} for _ in rows]
    for place in range(len(rows) - 1, -1, -1):
        own: ErrorInfo = _ERROR_FIELDS.read(rows[place], form)
        links = inner[place]
        made = ErrorInfo(
            type=own.type,
            message=own.message,
            bases=own.bases,
            traceback=own.traceback,
            value=own.value,
            cause=links.get("cause"),
            context=links.get("context"),
            members=tuple(reversed(links["members"])),
        )
        if place == 0:
            return made
        above, role = rows[place].get("of"), rows[place].get("role")
        if type(above) is not int or not 0 <= above < place or role not in _ROLES:
            raise ValueError("an error that belongs to none")
        if role == "members":
            inner[above]["members"].append(made)
        else:
            inner[above][role] = made
    raise ValueError("a chain of errors without a first one")


_ROLES: Final = ("cause", "context", "members")
_STR: Final = Kind(
    lambda value, form: form.write_text(value), lambda value, form: form.read_text(value)
)
_INT: Final = scalar(int)
_BOOL: Final = scalar(bool)
_NAME: Final = optional(_STR)
_VALUE: Final = Kind(
    lambda value, form: form.write_value(value.data),
    lambda value, form: Value(form.read_value(value)),
)
"""A field without a value is left out: null is the value None."""
_BYTES: Final = optional(
    Kind(lambda value, form: form.write_bytes(value), lambda value, form: form.read_bytes(value))
)
_ANY: Final = Kind(_write_any, _read_any)
_ERROR_PLAIN: Final = {
    "type": _STR,
    "message": _STR,
    "bases": many(_STR),
    "value": _VALUE,
    "traceback": _STR,
}
_ERROR_ITSELF: Final = Kind(_write_error, _read_error)
_ERROR_FIELDS: Final = record(ErrorInfo, _ERROR_PLAIN)
_ERROR: Final = record(
    ErrorInfo,
    {
        **_ERROR_PLAIN,
        "cause": optional(_ERROR_ITSELF),
        "context": optional(_ERROR_ITSELF),
        "members": many(_ERROR_ITSELF),
    },
)
_CHANGE: Final = record(
    FieldChange,
    {
        "path": many(scalar(str, int)),
        "kind": choice(*_CHANGES),
        "old": _ANY,
        "new": _ANY,
        "delta": _ANY,
        "within": _BOOL,
    },
)
_MISS: Final = record(
    Miss,
    {
        "kind": choice(*KINDS),
        "name": _STR,
        "args": _VALUE,
        "path": many(_STR),
        "nearest": many(row(_INT, many(_CHANGE))),
        "hint": _NAME,
        "served": choice(*_SERVED),
    },
    absent=("args",),
)
_REPLAY: Final = record(
    ReplayInfo,
    {
        "of": _STR,
        "served": many(row(_INT, _INT)),
        "misses": many(_MISS),
        "unused": many(_INT),
        "moved": many(_INT),
    },
)
_CODE: Final = record(
    Code,
    {
        "commit": _NAME,
        "dirty": optional(_BOOL),
        "files": table(_STR),
        "distributions": table(_STR),
        "python": _STR,
        "platform": _STR,
    },
)
_ENVIRONMENT: Final = record(
    Environment,
    {
        "timezone": _STR,
        "locale": _STR,
        "decimal_prec": _INT,
        "decimal_rounding": _STR,
        "seed": _INT,
    },
)
_CUT: Final = record(
    Cut,
    {
        "unit": _STR,
        "by": choice("calls", "steps", "depth", "duration"),
        "calls": _INT,
        "duration": _INT,
    },
)
_AUTOTRACING: Final = record(
    Autotracing,
    {
        "patterns": many(_STR),
        "values": _BOOL,
        "max_depth": _INT,
        "max_steps": _INT,
        "max_calls": _INT,
        "min_duration": _INT,
        "cuts": many(_CUT),
    },
)
_ARTIFACT: Final = record(
    Artifact,
    {"name": _STR, "sha256": _STR, "size": _INT, "media_type": _STR, "data": _BYTES},
)
_SOURCE: Final = row(_STR, _INT, _STR)
_STEP: Final = record(
    Step,
    {
        "parent": _INT,
        "kind": choice(*KINDS),
        "name": _STR,
        "state": choice(*STATES),
        "args": _VALUE,
        "key": _VALUE,
        "result": _VALUE,
        "error": optional(_ERROR_ITSELF),
        "start": _INT,
        "duration": _INT,
        "source": optional(
            Kind(
                lambda value, form: [value.file, value.line, value.unit],
                lambda value, form: Source(*_SOURCE.read(value, form)),
            )
        ),
        "mutated": many(_STR),
        "head": _BOOL,
        "open": _BOOL,
        "concurrent": _BOOL,
    },
)
_HEAD: Final = {
    "id": _STR,
    "key": _STR,
    "job": _STR,
    "state": choice(*STATES),
    "depth": choice(*DEPTHS),
    "started_at": _INT,
    "duration": _INT,
    "tags": many(_STR),
    "meta": _STR,
    "context": table(Kind(_write_scalar, _read_scalar)),
    "code": _CODE,
    "environment": _ENVIRONMENT,
    "artifacts": many(_ARTIFACT),
    "warnings": many(_STR),
    "retention": optional(_INT),
    "autotracing": optional(_AUTOTRACING),
    "replay": optional(_REPLAY),
}


def _raw_steps(value: Any, form: Form) -> Any:
    return value


_STEPS: Final = Kind(_raw_steps, _raw_steps)
_TRACE: Final = record(Trace, {**_HEAD, "steps": _STEPS})


def write_trace(trace: Trace, steps: Any, form: Form) -> dict[str, Any]:
    """All of a trace but its steps, which come in the form they are already written in."""
    found: dict[str, Any] = _TRACE.write(trace, form)
    del found["steps"]
    found["steps"] = steps
    return found


def read_trace(doc: Any, steps: tuple[Step, ...], form: Form, *, whole: bool = True) -> Trace:
    """The trace of a dict that ``write_trace`` made; raises CodecError ``trace-unreadable``.

    Where ``steps`` are not the ``whole`` trace's, their parents are not looked at.
    """
    if type(doc) is not dict:
        raise unreadable(f"{type(doc).__name__} instead of a trace")
    try:
        trace: Trace = _TRACE.read({**doc, "steps": steps}, form)
    except (TypeError, ValueError) as error:
        raise unreadable(str(error)) from error
    if whole:
        check_parents([step.parent for step in steps])
    return trace


def check_parents(parents: list[int]) -> None:
    """Every step but the first lies below an earlier one."""
    for index, parent in enumerate(parents):
        if not -1 <= parent < index:
            raise unreadable(f"step {index} lies below step {parent}")


def write_step(step: Step, form: Form) -> dict[str, Any]:
    """One step as a dict."""
    found: dict[str, Any] = _STEP.write(step, form)
    return found


def read_step(doc: Any, form: Form) -> Step:
    """One step; raises TypeError or ValueError."""
    found: Step = _STEP.read(doc, form)
    return found


def write_error(error: ErrorInfo, form: Form) -> Any:
    """One recorded exception, with all that it holds."""
    return _write_error(error, form)


def read_error(doc: Any, form: Form) -> ErrorInfo:
    """One recorded exception; raises TypeError or ValueError."""
    return _read_error(doc, form)
