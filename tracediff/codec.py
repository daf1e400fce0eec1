"""Trace to bytes and back: one header, one MessagePack document, steps by columns.

    4 bytes  magic             1 byte  schema version
    8 bytes  xxh3-64 of the document that follows

A part of a live trace is a document of its own kind, with the steps that it is about in the same
form: ``{"number": 2, "places": […], "trace": …}``.

Columns keep a trace small and fast to write: a value that hardly any step has (an error, a key)
costs nothing on the others. Segments compress; this does not. Unknown fields and columns are
ignored, so an older tracediff reads what a newer one adds; what it could not understand gets a new
schema version, which it refuses.
"""

from __future__ import annotations

from typing import Any, Final

from ormsgpack import Ext, packb, unpackb
from xxhash import xxh3_64_digest

from tracediff.errors import CodecError
from tracediff.formkinds import Form, read_plain_text
from tracediff.model import STATES, Part, Row, Source, Step, Trace, Value, make_step
from tracediff.traceform import (
    KINDS,
    read_error,
    read_trace,
    unreadable,
    write_error,
    write_trace,
)
from tracediff.values import tags
from tracediff.values.leaves import big_int, surrogates

SCHEMA: Final = 1
MAGIC: Final = b"\xf6TDT"
PART_MAGIC: Final = b"\xf6TDP"
MAX_BYTES: Final = 1 << 30
_HEADER: Final = len(MAGIC) + 1 + 8
_KIND_CODE: Final = {name: number for number, name in enumerate(KINDS)}
_STATE_CODE: Final = {name: number for number, name in enumerate(STATES)}
_FLAGS: Final = ("head", "open", "concurrent")


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise TypeError(f"{type(value).__name__} instead of bytes")
    return value


_FORM: Final = Form(
    write_value=_bytes,
    read_value=_bytes,
    write_bytes=_bytes,
    read_bytes=_bytes,
    write_text=str,
    read_text=read_plain_text,
)


def dump(trace: Trace) -> bytes:
    """The trace's bytes, uncompressed."""
    return _packed(MAGIC, write_trace(trace, _columns(trace.steps), _FORM))


def dump_part(part: Part) -> bytes:
    """The part's bytes, uncompressed; its row is kept apart from them."""
    steps = _columns(part.trace.steps)
    doc = {
        "number": part.number,
        "places": list(part.places),
        "trace": write_trace(part.trace, steps, _FORM),
    }
    if part.concurrent:
        doc["concurrent"] = list(part.concurrent)
    return _packed(PART_MAGIC, doc)


def _packed(magic: bytes, doc: dict[str, Any]) -> bytes:
    try:
        body = packb(doc, _big, tags.OPTIONS)
    except TypeError:
        body = packb(_without_surrogates(doc), _big, tags.OPTIONS)
    return b"".join((magic, bytes((SCHEMA,)), xxh3_64_digest(body), body))


def load(data: bytes, *, max_bytes: int = MAX_BYTES) -> Trace:
    """The trace of these bytes. Values stay undecoded.

    Args:
        data: What ``dump`` returned, now or in any release before.
        max_bytes: Refuse more than this.

    Raises:
        CodecError: ``trace-unreadable`` when the bytes are hurt or no trace, ``schema-newer`` when
            a newer tracediff wrote them, ``trace-too-large`` when they are more than ``max_bytes``.
    """
    body = _body(data, MAGIC, max_bytes)
    try:
        return _trace(unpackb(body, ext_hook=_extension))
    except (TypeError, ValueError, LookupError, RecursionError) as error:
        raise unreadable(str(error)[:200]) from error


def load_part(data: bytes, row: Row, *, max_bytes: int = MAX_BYTES) -> Part:
    """The part of these bytes, which lie beside ``row``. Values stay undecoded.

    How its places and parents fit those of the other parts is not looked at.

    Raises:
        CodecError: As ``load`` does.
    """
    body = _body(data, PART_MAGIC, max_bytes)
    try:
        doc = unpackb(body, ext_hook=_extension)
        if type(doc) is not dict:
            raise TypeError(f"{type(doc).__name__} instead of a part")
        trace = _trace(doc.get("trace"), whole=False)
        number, places, loose = doc.get("number"), doc.get("places"), doc.get("concurrent", [])
        if type(number) is not int or type(places) is not list or type(loose) is not list:
            raise TypeError("a part without a number or places")
        if len(_each(places, int)) != len(trace.steps) or len(set(places)) != len(places):
            raise ValueError("places that do not fit the steps")
        if number < 0 or (places and min(places) < 0):
            raise ValueError("a negative number or place")
        return Part(
            number=number,
            trace=trace,
            places=tuple(places),
            row=row,
            concurrent=tuple(_each(loose, int)),
        )
    except (TypeError, ValueError, LookupError, RecursionError) as error:
        raise unreadable(str(error)[:200]) from error


def _trace(doc: Any, *, whole: bool = True) -> Trace:
    if type(doc) is not dict:
        raise TypeError(f"{type(doc).__name__} instead of a trace")
    return read_trace(doc, _steps(doc.get("steps")), _FORM, whole=whole)


def _body(data: bytes, magic: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise CodecError(
            f"the trace has {len(data):,} bytes, more than the {max_bytes:,} that are allowed",
            slug="trace-too-large",
            hint="raise the limit if you trust where the trace comes from",
        )
    data = bytes(data)
    if len(data) < _HEADER or not data.startswith(magic):
        raise unreadable("it does not begin like one")
    schema = data[len(MAGIC)]
    if schema > SCHEMA:
        raise CodecError(
            f"the trace has schema {schema}; this tracediff reads up to {SCHEMA}",
            slug="schema-newer",
            hint="upgrade tracediff here to at least the version that recorded the trace",
        )
    body = data[_HEADER:]
    if schema != SCHEMA or xxh3_64_digest(body) != data[len(MAGIC) + 1 : _HEADER]:
        raise unreadable("its checksum does not fit its bytes")
    return body


def _columns(steps: tuple[Step, ...]) -> dict[str, Any]:
    sources: dict[Source, int] = {}
    columns: dict[str, Any] = {
        "parent": [step.parent for step in steps],
        "kind": bytes([_KIND_CODE[step.kind] for step in steps]),
        "name": [step.name for step in steps],
        "state": bytes([_STATE_CODE[step.state] for step in steps]),
        "args": [one.data if (one := step.args) is not None else None for step in steps],
        "result": [two.data if (two := step.result) is not None else None for step in steps],
        "start": [step.start for step in steps],
        "duration": [step.duration for step in steps],
        "source": [
            sources.setdefault(at, len(sources)) if (at := step.source) is not None else -1
            for step in steps
        ],
        "sources": [[one.file, one.line, one.unit] for one in sources],
    }
    for index, step in enumerate(steps):
        if step.key is not None:
            columns.setdefault("key", []).append([index, step.key.data])
        if step.error is not None:
            columns.setdefault("error", []).append([index, write_error(step.error, _FORM)])
        if step.mutated:
            columns.setdefault("mutated", []).append([index, list(step.mutated)])
        if step.head or step.open or step.concurrent:
            for name in _FLAGS:
                if getattr(step, name):
                    columns.setdefault(name, []).append(index)
    return columns


def _steps(columns: Any) -> tuple[Step, ...]:
    if type(columns) is not dict:
        raise TypeError("no steps")
    size = len(_column(columns, "parent", list, None))
    parents = _each(_column(columns, "parent", list, size), int)
    kinds = [KINDS[code] for code in _column(columns, "kind", bytes, size)]
    names = _each(_column(columns, "name", list, size), str)
    states = [STATES[code] for code in _column(columns, "state", bytes, size)]
    args = [_value(one) for one in _column(columns, "args", list, size)]
    results = [_value(one) for one in _column(columns, "result", list, size)]
    starts = _each(_column(columns, "start", list, size), int)
    durations = _each(_column(columns, "duration", list, size), int)
    sources = _sources(columns, size)
    rest = _rest(columns, size)
    nothing: dict[str, Any] = {}
    return tuple(
        make_step(
            parent=parents[index],
            kind=kinds[index],  # type: ignore[arg-type]  # one of KINDS
            name=names[index],
            state=states[index],
            args=args[index],
            result=results[index],
            start=starts[index],
            duration=durations[index],
            source=sources[index],
            **rest.get(index, nothing),
        )
        for index in range(size)
    )


def _column(columns: dict[str, Any], name: str, kind: type, size: int | None) -> Any:
    column: Any = columns.get(name)
    if not isinstance(column, bytes if kind is bytes else list):
        raise TypeError(f"steps without {name}")
    if size is not None and len(column) != size:
        raise ValueError(f"{len(column)} of {size} steps have a {name}")
    return column


def _each(column: list[Any], kind: type) -> list[Any]:
    if not all(type(one) is kind for one in column):
        raise TypeError(f"a step with something else than {kind.__name__}")
    return column


def _value(data: Any) -> Value | None:
    return None if data is None else Value(_bytes(data))


def _sources(columns: dict[str, Any], size: int) -> list[Source | None]:
    table: list[Source | None] = []
    for row in _column(columns, "sources", list, None):
        file, line, unit = row
        _each([file, unit], str)
        _each([line], int)
        table.append(Source(file, line, unit))
    table.append(None)
    places = _each(_column(columns, "source", list, size), int)
    if places and not -1 <= min(places) <= max(places) < len(table) - 1:
        raise ValueError("a step with an unknown source")
    return [table[place] for place in places]


def _rest(columns: dict[str, Any], size: int) -> dict[int, dict[str, Any]]:
    """What only some steps have, by the index of the step."""
    rest: dict[int, dict[str, Any]] = {}

    def at(index: Any) -> dict[str, Any]:
        if type(index) is not int or not 0 <= index < size:
            raise ValueError("something belongs to no step")
        return rest.setdefault(index, {})

    for index, key in columns.get("key", ()):
        at(index)["key"] = _value(key)
    for index, error in columns.get("error", ()):
        at(index)["error"] = read_error(error, _FORM)
    for index, names in columns.get("mutated", ()):
        at(index)["mutated"] = tuple(_each(list(names), str))
    for name in _FLAGS:
        for index in columns.get(name, ()):
            at(index)[name] = True
    return rest


def _big(obj: Any) -> Ext:
    if type(obj) is int:
        return big_int(obj)
    raise TypeError(f"{type(obj).__name__} in a trace")


def _without_surrogates(doc: Any) -> Any:
    """The same document with each str that UTF-8 cannot hold as an extension."""
    if type(doc) is dict:
        if any(_odd(key) for key in doc):
            pairs = [_without_surrogates(side) for pair in doc.items() for side in pair]
            return Ext(tags.PAIRS, packb(pairs, _big, tags.OPTIONS))
        return {key: _without_surrogates(value) for key, value in doc.items()}
    if type(doc) is list:
        return [_without_surrogates(one) for one in doc]
    return surrogates(doc) if type(doc) is str and _odd(doc) else doc


def _odd(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _flat_extension(tag: int, payload: bytes) -> Any:
    """Only tables of names have odd keys, and they hold no tables."""
    if tag == tags.PAIRS:
        raise ValueError("a table inside a table")
    return _extension(tag, payload)


def _extension(tag: int, payload: bytes) -> Any:
    if tag == tags.SURROGATES:
        return payload.decode("utf-8", "surrogatepass")
    if tag == tags.BIG_INT:
        return int.from_bytes(payload, "big", signed=True)
    if tag == tags.PAIRS:
        flat = unpackb(payload, ext_hook=_flat_extension)
        return dict(zip(flat[::2], flat[1::2], strict=True))
    raise ValueError(f"an extension of unknown type {tag}")
