"""Messages of protobuf: their fields that are set, by name; what a newer server put beside these.

A message is made again of the class that the program itself has loaded for its full name. Nothing
is imported for it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.leaves import InexactError
from tracediff.values.nodes import Redacted
from tracediff.values.nodeshapes import Shape, Shaper
from tracediff.values.placeholder import Placeholder, node_of

message: Any = import_module("google.protobuf.message")
pool: Any = import_module("google.protobuf.descriptor_pool")
factory: Any = import_module("google.protobuf.message_factory")
unknown_fields: Any = import_module("google.protobuf.unknown_fields")

_PREFIX: Final = "google:"
_UNKNOWN: Final = "(unknown)"
"""Beside the fields: what this program's definition does not know, as bytes."""

_WORD: Final = re.compile(r"redacted-([0-9a-f]{8})-([0-9a-f]{32})")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    if issubclass(cls, message.Message) and hasattr(cls, "DESCRIPTOR"):
        return _message
    return None


def _message(obj: Any) -> Shape:
    name = obj.DESCRIPTOR.full_name
    if pool.Default().FindMessageTypeByName(name) is not obj.DESCRIPTOR:
        raise InexactError("a message of a pool of its own")
    parts: dict[str, Any] = {}
    for field, value in obj.ListFields():
        key = f"[{field.full_name}]" if field.is_extension else field.name
        parts[key] = _value(field, value)
    if len(unknown_fields.UnknownFieldSet(obj)):
        rest = type(obj)()
        rest.CopyFrom(obj)
        for field, _ in obj.ListFields():
            _clear(rest, field)
        parts[_UNKNOWN] = rest.SerializeToString()
    return tags.LIBRARY, [f"{_PREFIX}{name}".encode(), parts]


def _value(field: Any, value: Any) -> Any:
    """A field's value; of several a list, and a map as a dict."""
    if _is_map(field):
        return {key: _sealed(value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_sealed(one) for one in value]
    return _sealed(value)


def _sealed(value: Any) -> Any:
    """What stands for a sealed value is that one again."""
    text = value.decode("latin-1") if type(value) is bytes and value[:9] == b"redacted-" else value
    found = _WORD.fullmatch(text) if type(text) is str and text[:9] == "redacted-" else None
    if found is None:
        return value
    kind = "builtins:bytes" if type(value) is bytes else "builtins:str"
    return Placeholder(Redacted(kind, found[1], bytes.fromhex(found[2])))


def _is_map(field: Any) -> bool:
    kind = field.message_type
    return bool(kind is not None and field.is_repeated and kind.GetOptions().map_entry)


def _clear(obj: Any, field: Any) -> None:
    if field.is_extension:
        obj.ClearExtension(field)
    else:
        obj.ClearField(field.name)


def _read(name: str, parts: Any) -> Any:
    """The message, of a class that the program has."""
    descriptor = pool.Default().FindMessageTypeByName(name)
    obj = factory.GetMessageClass(descriptor)()
    for key, value in parts.items():
        if key == _UNKNOWN:
            obj.MergeFromString(value)
        elif key[:1] == "[":
            field = pool.Default().FindExtensionByName(key[1:-1])
            _put(obj.Extensions[field] if field.is_repeated else None, obj, field, value)
        else:
            field = descriptor.fields_by_name[key]
            _put(getattr(obj, key), obj, field, value)
    return obj


def _put(held: Any, obj: Any, field: Any, value: Any) -> None:
    if type(value) is Placeholder:
        value = _instead(field, value)
    if _is_map(field):
        of_messages = field.message_type.fields_by_name["value"].message_type is not None
        for key, one in value.items():
            if of_messages:
                held[key].CopyFrom(one)
            else:
                held[key] = _instead(None, one) if type(one) is Placeholder else one
    elif field.is_repeated:
        held.extend(_instead(field, one) if type(one) is Placeholder else one for one in value)
    elif field.message_type is not None:
        (obj.Extensions[field] if field.is_extension else held).CopyFrom(value)
        (obj.Extensions[field] if field.is_extension else held).SetInParent()
    elif field.is_extension:
        obj.Extensions[field] = value
    else:
        setattr(obj, field.name, value)


def _instead(field: Any, secret: Placeholder) -> Any:
    """What stands for a value that was sealed: a word, where that fits in."""
    node = node_of(secret)
    digest = getattr(node, "digest", b"").hex()
    word = f"redacted-{getattr(node, 'key_id', '')}-{digest}"
    if field is None or field.cpp_type != field.CPPTYPE_STRING:
        return word if field is None else field.default_value
    return word if field.type == field.TYPE_STRING else word.encode()


class _Decoders:
    """What rebuilds a message, by the name of its kind, which is its own."""

    def get(self, key: str) -> Callable[[Any], Any]:
        """What rebuilds messages of this name, if the program has them."""
        return functools.partial(_read, key.removeprefix(_PREFIX))


DECODERS: Final = _Decoders()
"""Kind to what rebuilds it."""
