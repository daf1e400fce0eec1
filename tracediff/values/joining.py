"""Containers of values that are encoded already, by concatenation; and secrets among them."""

from __future__ import annotations

from collections.abc import Sequence

from ormsgpack import packb

from tracediff.values import tags
from tracediff.values.encode import nestable
from tracediff.values.inert import inert
from tracediff.values.nodes import Redacted
from tracediff.values.redaction import Redaction
from tracediff.values.refs import type_ref


def encode_list(items: Sequence[bytes]) -> bytes:
    """The list of these values; equals encoding the list itself."""
    return tags.array_header(len(items)) + b"".join(map(nestable, items))


def encode_tuple(items: Sequence[bytes]) -> bytes:
    """The tuple of these values; equals encoding the tuple itself."""
    return tags.extension(tags.TUPLE, encode_list(items))


def seal(data: bytes, redaction: Redaction) -> bytes:
    """What is kept of a secret whose canonical bytes are ``data``: its type and a keyed digest."""
    value = inert(data)
    if isinstance(value, Redacted):
        return data  # sealed when it was recorded; a replay hands it on
    ref = getattr(value, "type", None)
    key_id, digest = redaction.seal(data)
    name = ref if isinstance(ref, str) else type_ref(type(value))
    return tags.extension(
        tags.REDACTED, packb([name.encode(), key_id.encode(), digest], None, tags.OPTIONS)
    )
