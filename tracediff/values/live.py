"""Canonical bytes to the very objects, for a replay. No constructor of the user's classes runs."""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Callable
from enum import Enum, Flag
from typing import Any, Final

from tracediff.errors import CodecError, ReplayError
from tracediff.model import MISSING, Value
from tracediff.values import nodes, registry, tags
from tracediff.values.allow import Allow
from tracediff.values.cycles import tie
from tracediff.values.decode import decode
from tracediff.values.factories import NATIVE_EXCEPTIONS
from tracediff.values.graphs import read
from tracediff.values.inert import (
    STDLIB_TREES,
    read_opaque,
    read_redacted,
    split_record,
)
from tracediff.values.leafread import (
    LEAF_READERS,
    live_zone,
    read_datetime,
    read_text,
    read_time,
    unreadable,
)
from tracediff.values.placeholder import Placeholder
from tracediff.values.rebuild import changed, rebuild, set_fields
from tracediff.values.refs import mro, namespace
from tracediff.values.shapes import BASES


def live(data: bytes | Value, allow: Allow) -> object:
    """Rebuild the very object; a fresh one at each call.

    Opaque and redacted values become placeholders that raise when they are used.

    Args:
        data: Canonical bytes.
        allow: The modules whose classes may be rebuilt; the standard kinds need no permission.

    Raises:
        CodecError: ``value-unreadable``; these bytes are no value.
        ReplayError: ``class-not-allowed``, ``class-missing`` or ``class-changed``.
    """
    if isinstance(data, Value):
        data = data.data
    builders = allow.builders
    if builders is None:
        builders = allow.builders = _Live(allow)
    if _MARK not in data:
        return read(functools.partial(decode, data, builders))
    return read(lambda: tie(decode(data, builders)))


class _Live:
    """The builders of the live decoder, for one allow-list."""

    def __init__(self, allow: Allow) -> None:
        self.allow = allow
        self.leaves = {
            **LEAF_READERS,
            tags.ZONEINFO: live_zone,
            tags.GLOBAL: self._global,
            tags.MODULE: self._module,
            tags.DEEP: lambda data: Placeholder(nodes.Deep(data.decode())),
            tags.PATH: _path,
        }
        self.trees = {
            **_TREES,
            tags.MEMBER: self._member,
            tags.RECORD: self._record,
        }

    def _global(self, data: bytes) -> Any:
        return self.allow.load(data.decode())

    def _module(self, data: bytes) -> Any:
        return self.allow.load(data.decode() + ":")

    def _member(self, parts: list[Any]) -> Any:
        ref, name, value = parts
        cls = self.allow.load_class(read_text(ref))
        if Enum not in mro(cls):
            raise changed(cls, "it is no enum any more")
        members = namespace(cls)["_member_map_"]
        if name is None:
            return _combination(cls, value)
        member = members.get(read_text(name))
        if member is not None:
            return member
        if Flag in mro(cls):
            return _combination(cls, value)
        raise changed(cls, f"it has no member {read_text(name)} any more")

    def _record(self, parts: list[Any]) -> Any:
        ref, kind, fields, base = split_record(parts)
        if kind == "registered":
            return self._registered(ref, base)
        library = _OF_LIBRARIES.get(kind)
        if library is not None:
            return _of_library(library, self.allow, kind, ref, fields, base)
        cls = self.allow.load_class(ref)
        try:
            return _BUILD[kind](cls, fields, base)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise changed(cls, str(error)) from error

    def _registered(self, ref: str, base: Any) -> Any:
        decoder = registry.decoder(ref)
        if decoder is None:
            self.allow.load(ref)
            decoder = registry.decoder(ref)
        if decoder is None:
            raise ReplayError(
                f"the trace needs {ref}, for which nothing is registered",
                slug="class-missing",
                hint="call tracediff.register for it where its module is imported",
            )
        try:
            return decoder(base)
        except Exception as error:
            raise ReplayError(
                f"what is registered to rebuild {ref} failed: {type(error).__name__}: {error}",
                slug="class-changed",
                hint="its decoder must accept what its encoder returned when this was recorded",
            ) from error


def _combination(cls: type, value: Any) -> Any:
    """Flags are combined from their members; Enum's own lookup makes the combination."""
    if Flag not in mro(cls) or type(value) is not int:
        raise changed(cls, f"it has no member of the value {value!r} any more")
    single = [member for member in namespace(cls)["_member_map_"].values() if member.value & value]
    if not single:
        return cls(value)
    combined = functools.reduce(operator.or_, single)
    return combined if combined.value == value else cls(value)


def _plain(cls: type, fields: dict[str, Any], base: Any) -> Any:
    return set_fields(object.__new__(cls), fields)


def _namedtuple(cls: type, fields: dict[str, Any], base: Any) -> Any:
    names = cls._fields  # type: ignore[attr-defined]  # a namedtuple
    if set(names) != set(fields):
        raise changed(cls, f"its fields are {', '.join(names)} now")
    obj: Any = tuple.__new__(cls, [fields[name] for name in names])
    return obj if base is MISSING else set_fields(obj, base)


def _exception(cls: type, fields: dict[str, Any], base: Any) -> Any:
    """Only the builtin exception underneath is initialised, for what it keeps outside ``args``."""
    native = next(one for one in mro(cls) if one in NATIVE_EXCEPTIONS)
    obj: Any = native.__new__(cls, *base)
    try:
        native.__init__(obj, *base)
    except TypeError:
        BaseException.__init__(obj, *base)
    if native not in _GROUPS and not issubclass(native, OSError):
        obj.args = base
    return set_fields(obj, fields)


def _subclass(cls: type, fields: dict[str, Any], base: Any) -> Any:
    kind = type(base)
    if kind not in BASES or kind not in mro(cls):
        raise changed(cls, f"it is no {kind.__name__} any more")
    obj = rebuild(cls, base)
    return set_fields(obj, fields)


def _path(data: bytes) -> Any:
    found = LEAF_READERS[tags.PATH](data)
    if isinstance(found, nodes.Record):
        raise ReplayError(
            f"a recorded {found.type} cannot exist on this system",
            slug="class-missing",
            hint="replay the trace on the system it was recorded on",
        )
    return found


def _defaultdict(parts: list[Any]) -> Any:
    factory, inner = parts
    if not (factory is None or callable(factory)) or type(inner) is not dict:
        raise unreadable("a defaultdict without a factory")
    return defaultdict(factory, inner)


def _library(parts: list[Any]) -> Any:
    key = read_text(parts[0])
    decoder = registry.library_decoder(key)
    if decoder is None:
        raise unreadable(f"a value of an unknown library: {key}")
    try:
        return decoder(parts[1])
    except ImportError as error:
        raise ReplayError(
            f"the trace holds a value of {key.partition(':')[0]}, which cannot be imported",
            slug="class-missing",
            hint="install that library where you replay",
        ) from error
    except Exception as error:
        raise unreadable(f"a value of {key} ({type(error).__name__})") from error


def _of_library(name: str, *recorded: Any) -> Any:
    try:
        return registry.rebuilder(name)(*recorded)
    except ImportError as error:
        raise ReplayError(
            f"the trace holds an object of {name}, which cannot be imported",
            slug="class-missing",
            hint="install that library where you replay",
        ) from error


def _strict(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The live decoder has no use for what stands in for a set or dict."""

    def built(parts: Any) -> Any:
        found = build(parts)
        if type(found) in _STAND_INS:
            raise CodecError(
                "a recorded set or dict holds members that are equal, or that cannot be hashed",
                slug="value-unreadable",
                hint="its members' class compares differently than when the trace was recorded",
            )
        return found

    return built


_MARK: Final = bytes((0xD6, tags.REFERENCE))
"""How a reference begins on the wire; where these bytes are something else, tying does nothing."""
_STAND_INS: Final = frozenset({nodes.Members, nodes.Pairs, nodes.Record})
_OF_LIBRARIES: Final = {"sqlalchemy": "sqlalchemy", "django": "django", "queryset": "django"}
"""The library whose kind of record it is, by the kind."""
_GROUPS: Final = frozenset({BaseExceptionGroup, ExceptionGroup})
_BUILD: Final[dict[str, Callable[[type, dict[str, Any], Any], Any]]] = {
    "dataclass": _plain,
    "attrs": _plain,
    "pydantic": _plain,
    "namedtuple": _namedtuple,
    "exception": _exception,
    "subclass": _subclass,
}
_TREES: Final[dict[int, Callable[[Any], Any]]] = {
    **{tag: _strict(build) for tag, build in STDLIB_TREES.items() if tag != tags.NESTED},
    tags.NESTED: STDLIB_TREES[tags.NESTED],
    tags.AWARE_DATETIME: lambda parts: read_datetime(*parts),
    tags.AWARE_TIME: lambda parts: read_time(*parts),
    tags.DEFAULTDICT: _defaultdict,
    tags.OPAQUE: lambda parts: Placeholder(read_opaque(parts)),
    tags.REDACTED: lambda parts: Placeholder(read_redacted(parts)),
    tags.LIBRARY: _library,
}
