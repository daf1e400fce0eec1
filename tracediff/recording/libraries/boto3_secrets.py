"""Parameters and answers of AWS services without their secrets.

The model of a service says which members are sensitive; names say it of the others. A secret that
is a JSON document keeps its fields, each sealed by itself, so that a replayed job can read it.
"""

from __future__ import annotations

import json
from typing import Any

from tracediff import values
from tracediff.recording.buffers import Buffer
from tracediff.recording.libraries.http.asked import told_body
from tracediff.recording.libraries.http.masking import Masks, sealed_text, stand_in

_PLAIN = frozenset({"String", "StringList"})
"""Types of a parameter of Systems Manager that are no secrets, whatever its model says."""


class _Secret:
    """A value of an answer that is sensitive."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Body:
    """A body that is sent, whose secrets are told by the names in it.

    Args:
        content: Its bytes.
        kind: Its type, as in HTTP; "" where it is not known.
    """

    __slots__ = ("content", "kind")

    def __init__(self, content: bytes, kind: str) -> None:
        self.content = content
        self.kind = kind


def copied(buffer: Buffer, value: Any, shape: Any, *, secret: bool = False) -> Any:
    """A value as it is now, with its secrets marked.

    Args:
        buffer: The trace.
        value: Parameters or an answer, or a part of these.
        shape: What the service's model says of it; None where it says nothing.
        secret: Whether it is below something that is sensitive.
    """
    kind = type(value)
    if shape is not None and not secret:
        secret = bool(shape.metadata.get("sensitive"))
    if kind is dict:
        members = getattr(shape, "members", None) or {}
        every = getattr(shape, "value", None)
        plain = value.get("Type") in _PLAIN and "Value" in members
        return {
            name: copied(
                buffer,
                one,
                None if plain and name == "Value" else members.get(name, every),
                secret=secret or (type(name) is str and buffer.redactor.secret(name)),
            )
            for name, one in value.items()
        }
    if kind is list or kind is tuple:
        member = getattr(shape, "member", None)
        return [copied(buffer, one, member, secret=secret) for one in value]
    if secret and value is not None and kind is not bool and kind is not Body:
        if kind is str:
            buffer.hide(value)
        return _Secret(value)
    return bytes(value) if kind is bytearray else value


def packed(value: Any, buffer: Buffer, masks: Masks, path: tuple[str | int, ...]) -> bytes:
    """The canonical bytes of what was copied, its secrets sealed."""
    kind = type(value)
    rule = buffer.redactor.path_rule
    if rule is not None and rule(path):
        return masks.sealed(values.encode(_without_marks(value)))
    if kind is dict:
        return values.encode_map(
            [(str(name), packed(one, buffer, masks, (*path, str(name))))
             for name, one in value.items()]
        )  # fmt: skip
    if kind is list:
        return values.encode_list(
            [packed(one, buffer, masks, (*path, at)) for at, one in enumerate(value)]
        )
    if kind is _Secret:
        return _sealed(value.value, masks)
    if kind is Body:
        return buffer.encoder("params")(told_body(value.content, value.kind, masks))
    return buffer.encode(masks.url(value) if kind is str else value)


def _sealed(value: Any, masks: Masks) -> bytes:
    if type(value) is not str:
        return masks.sealed(values.encode(value))
    masks.remember(value)
    try:
        found = json.loads(value) if value[:1] == "{" else None
    except (ValueError, RecursionError):  # it is sealed as one
        found = None
    if type(found) is dict:
        return values.encode(json.dumps(_sealed_leaves(found, masks)))
    text = masks.resealed({"secret": value})["secret"]
    if type(text) is values.Placeholder:  # a stand-in that the job passes on
        return values.encode(text)
    return masks.sealed(values.encode(value))


def _sealed_leaves(value: Any, masks: Masks) -> Any:
    if type(value) is dict:
        return {name: _sealed_leaves(one, masks) for name, one in value.items()}
    if type(value) is list:
        return [_sealed_leaves(one, masks) for one in value]
    if value is None or type(value) is bool:
        return value
    if type(value) is str:
        masks.remember(value)
    return sealed_text(str(value), masks.redactor)


def _without_marks(value: Any) -> Any:
    if type(value) is dict:
        return {name: _without_marks(one) for name, one in value.items()}
    if type(value) is list:
        return [_without_marks(one) for one in value]
    if type(value) is Body:
        return value.content
    return value.value if type(value) is _Secret else value


def unsealed(value: Any, shape: Any) -> Any:
    """A recorded answer with words in the places of its secrets, of the types that they had."""
    kind = type(value)
    if kind is dict:
        members = getattr(shape, "members", None) or {}
        every = getattr(shape, "value", None)
        return {name: unsealed(one, members.get(name, every)) for name, one in value.items()}
    if kind is list:
        member = getattr(shape, "member", None)
        return [unsealed(one, member) for one in value]
    if kind is not values.Placeholder:
        return value
    word = stand_in(value)
    is_bytes = getattr(shape, "type_name", "") == "blob"
    return word.encode() if is_bytes and type(word) is str else word
