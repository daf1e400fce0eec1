"""A trace as plain dicts, lists and scalars: the shape the binary codec and the trace file share.

A field that has its default is left out, one that is unknown is ignored, one that is not what it
should be is a CodecError that says where. How a value and raw bytes are written is up to the form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, fields
from typing import Any, Final

from tracediff.errors import CodecError
from tracediff.model import (
    DEPTHS,
    STATES,
    Artifact,
    Code,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one of the two formats writes what the other writes differently."""

    write_value: Callable[[bytes], Any]
    read_value: Callable[[Any], bytes]
    write_bytes: Callable[[bytes], Any]
    read_bytes: Callable[[Any], bytes]
    write_text: Callable[[str], Any]
    read_text: Callable[[Any], str]


def read_plain_text(value: Any) -> str:
    """A str as it is; raises TypeError for anything else."""
    if type(value) is not str:
        raise TypeError(f"{type(value).__name__} instead of str")
    return value


def unreadable(what: str, slug: str = "trace-unreadable") -> CodecError:
    """The error for something that is not a trace."""
    return CodecError(
        f"This is not a trace: {what}",
        slug=slug,
        hint="It was damaged or changed after it was written; pull the trace again",
    )


Write = Callable[[Any, Form], Any]
Read = Callable[[Any, Form], Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    write: Write
    read: Read


def _same(value: Any, form: Form) -> Any:
    return value


def _scalar(*kinds: type) -> _Kind:
    def read(value: Any, form: Form) -> Any:
        if type(value) not in kinds:
            raise TypeError(f"{type(value).__name__} instead of {kinds[0].__name__}")
        return value

    return _Kind(_same, read)


def _choice(*names: str) -> _Kind:
    def read(value: Any, form: Form) -> Any:
        if type(value) is not str or value not in names:
            raise TypeError(f"{str(value)[:50]!r} instead of one of {', '.join(names)}")
        return value

    return _Kind(_same, read)


def _optional(kind: _Kind) -> _Kind:
    return _Kind(
        lambda value, form: None if value is None else kind.write(value, form),
        lambda value, form: None if value is None else kind.read(value, form),
    )


def _many(kind: _Kind) -> _Kind:
    def read(value: Any, form: Form) -> Any:
        if type(value) is not list:
            raise TypeError(f"{type(value).__name__} instead of a list")
        return tuple(kind.read(item, form) for item in value)

    return _Kind(lambda value, form: [kind.write(item, form) for item in value], read)


def _row(*kinds: _Kind) -> _Kind:
    def write(value: Any, form: Form) -> Any:
        return [kind.write(item, form) for kind, item in zip(kinds, value, strict=True)]

    def read(value: Any, form: Form) -> Any:
        if type(value) is not list or len(value) != len(kinds):
            raise TypeError(f"not a list of {len(kinds)}")
        return tuple(kind.read(item, form) for kind, item in zip(kinds, value, strict=True))

    return _Kind(write, read)


def _table(kind: _Kind) -> _Kind:
    def read(value: Any, form: Form) -> Any:
        if type(value) is not dict or not all(type(name) is str for name in value):
            raise TypeError("not a table of names")
        return {name: kind.read(item, form) for name, item in value.items()}

    def write(value: Mapping[str, Any], form: Form) -> Any:
        return {name: kind.write(item, form) for name, item in value.items()}

    return _Kind(write, read)


def _object(cls: type, kinds: dict[str, _Kind]) -> _Kind:
    """A dataclass as a dict of the fields that differ from their defaults."""
    plans = [(name, kinds[name], *_default(cls, name)) for name in kinds]
    kinds_of = {name: type(default) for name, _, _, default in plans}

    def write(value: Any, form: Form) -> Any:
        found = {}
        for name, kind, required, default in plans:
            item = getattr(value, name)
            if required or not (item is default or (type(item) is kinds_of[name] and item == default)):
                found[name] = kind.write(item, form)
        return found

    def read(value: Any, form: Form) -> Any:
        if type(value) is not dict:
            raise TypeError(f"{type(value).__name__} instead of {cls.__name__}")
        found = {}
        for name, kind, required, _ in plans:
            if name in value:
                try:
                    found[name] = kind.read(value[name], form)
                except (TypeError, ValueError, KeyError, IndexError) as error:
                    raise ValueError(f"{name}: {error}") from error
            elif required:
                raise ValueError(f"{cls.__name__} without {name}")
        return cls(**found)

    return _Kind(write, read)


def _default(cls: type, name: str) -> tuple[bool, Any]:
    found = next(one for one in fields(cls) if one.name == name)
    if found.default is not NO_DEFAULT:
        return False, found.default
    if found.default_factory is not NO_DEFAULT:
        return False, found.default_factory()
    return True, None


def _write_any(value: Any, form: Form) -> Any:
    return form.write_value(encode(value))


def _read_any(value: Any, form: Form) -> Any:
    return inert(form.read_value(value))


def _write_error(error: ErrorInfo, form: Form) -> Any:
    """Nested where the chain is short; a long one is flat, so that nothing has to recurse."""
    if _is_short(error):
        return _ERROR.write(error, form)
    table: list[dict[str, Any]] = []
    pending: list[tuple[ErrorInfo, int, str]] = [(error, -1, "")]
    while pending:
        one, above, role = pending.pop()
        own = _ERROR_FIELDS.write(one, form)
        if above >= 0:
            own["of"], own["role"] = above, role
        table.append(own)
        place = len(table) - 1
        pending += [(member, place, "members") for member in reversed(one.members)]
        pending += [
            (inner, place, name)
            for name, inner in (("context", one.context), ("cause", one.cause))
            if inner is not None
        ]
    return {"chain": table}


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
    table = value["chain"]
    if type(table) is not list or not table:
        raise TypeError("not a chain of errors")
    inner: list[dict[str, Any]] = [{"members": []} for _ in table]
    for place in range(len(table) - 1, -1, -1):
        own: ErrorInfo = _ERROR_FIELDS.read(table[place], form)
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
        above, role = table[place].get("of"), table[place].get("role")
        if type(above) is not int or not 0 <= above < place or role not in _ROLES:
            raise ValueError("an error that belongs to none")
        if role == "members":
            inner[above]["members"].append(made)
        else:
            inner[above][role] = made
    raise ValueError("a chain of errors without a first one")


_ROLES: Final = ("cause", "context", "members")
_STR: Final = _Kind(
    lambda value, form: form.write_text(value), lambda value, form: form.read_text(value)
)
_INT: Final = _scalar(int)
_BOOL: Final = _scalar(bool)
_NAME: Final = _optional(_STR)
_VALUE: Final = _optional(
    _Kind(
        lambda value, form: form.write_value(value.data),
        lambda value, form: Value(form.read_value(value)),
    )
)
_BYTES: Final = _optional(
    _Kind(
        lambda value, form: form.write_bytes(value), lambda value, form: form.read_bytes(value)
    )
)
_ANY: Final = _Kind(_write_any, _read_any)
_ERROR_PLAIN: Final = {
    "type": _STR,
    "message": _STR,
    "bases": _many(_STR),
    "value": _VALUE,
    "traceback": _STR,
}
_ERROR_ITSELF: Final = _Kind(_write_error, _read_error)
_ERROR_FIELDS: Final = _object(ErrorInfo, _ERROR_PLAIN)
_ERROR: Final = _object(
    ErrorInfo,
    {
        **_ERROR_PLAIN,
        "cause": _optional(_ERROR_ITSELF),
        "context": _optional(_ERROR_ITSELF),
        "members": _many(_ERROR_ITSELF),
    },
)
_CHANGE: Final = _object(
    FieldChange,
    {
        "path": _many(_scalar(str, int)),
        "kind": _choice(*_CHANGES),
        "old": _ANY,
        "new": _ANY,
        "delta": _ANY,
        "within": _BOOL,
    },
)
_MISS: Final = _object(
    Miss,
    {
        "kind": _choice(*KINDS),
        "name": _STR,
        "args": _VALUE,
        "path": _many(_STR),
        "nearest": _many(_row(_INT, _many(_CHANGE))),
        "hint": _NAME,
        "served": _choice(*_SERVED),
    },
)
_REPLAY: Final = _object(
    ReplayInfo,
    {
        "of": _STR,
        "served": _many(_row(_INT, _INT)),
        "misses": _many(_MISS),
        "unused": _many(_INT),
        "moved": _many(_INT),
    },
)
_CODE: Final = _object(
    Code,
    {
        "commit": _NAME,
        "dirty": _optional(_BOOL),
        "files": _table(_STR),
        "distributions": _table(_STR),
        "python": _STR,
        "platform": _STR,
    },
)
_ENVIRONMENT: Final = _object(
    Environment,
    {
        "timezone": _STR,
        "locale": _STR,
        "decimal_prec": _INT,
        "decimal_rounding": _STR,
        "seed": _INT,
    },
)
_ARTIFACT: Final = _object(
    Artifact,
    {"name": _STR, "sha256": _STR, "size": _INT, "media_type": _STR, "data": _BYTES},
)
_SOURCE: Final = _row(_STR, _INT, _STR)
_STEP: Final = _object(
    Step,
    {
        "parent": _INT,
        "kind": _choice(*KINDS),
        "name": _STR,
        "state": _choice(*STATES),
        "args": _VALUE,
        "key": _VALUE,
        "result": _VALUE,
        "error": _optional(_ERROR_ITSELF),
        "start": _INT,
        "duration": _INT,
        "source": _optional(
            _Kind(
                lambda value, form: [value.file, value.line, value.unit],
                lambda value, form: Source(*_SOURCE.read(value, form)),
            )
        ),
        "mutated": _many(_STR),
        "head": _BOOL,
        "open": _BOOL,
        "concurrent": _BOOL,
    },
)
_HEAD: Final = {
    "id": _STR,
    "key": _STR,
    "job": _STR,
    "state": _choice(*STATES),
    "depth": _choice(*DEPTHS),
    "started_at": _INT,
    "duration": _INT,
    "tags": _many(_STR),
    "meta": _STR,
    "context": _table(_scalar(str, int, float, bool)),
    "code": _CODE,
    "environment": _ENVIRONMENT,
    "artifacts": _many(_ARTIFACT),
    "warnings": _many(_STR),
    "retention": _optional(_INT),
    "replay": _optional(_REPLAY),
}


def _raw_steps(value: Any, form: Form) -> Any:
    return value


_STEPS: Final = _Kind(_raw_steps, _raw_steps)
_TRACE: Final = _object(Trace, {**_HEAD, "steps": _STEPS})


def write_trace(trace: Trace, steps: Any, form: Form) -> dict[str, Any]:
    """All of a trace but its steps, which come in the form they are already written in."""
    found: dict[str, Any] = _TRACE.write(trace, form)
    del found["steps"]
    found["steps"] = steps
    return found


def read_trace(doc: Any, steps: tuple[Step, ...], form: Form) -> Trace:
    """The trace of a dict that ``write_trace`` made; raises CodecError ``trace-unreadable``."""
    if type(doc) is not dict:
        raise unreadable(f"{type(doc).__name__} instead of a trace")
    try:
        trace: Trace = _TRACE.read({**doc, "steps": steps}, form)
    except (TypeError, ValueError) as error:
        raise unreadable(str(error)) from error
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

