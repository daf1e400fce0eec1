"""Texts of requests and responses that nothing takes apart, without the secrets that they name."""

from __future__ import annotations

import functools

from tracediff.frameworks import naming
from tracediff.recording.libraries.http.masking import STAND_IN, Masks
from tracediff.recording.redaction import REDACTED, Redactor


@functools.cache
def redactor() -> Redactor:
    """The rules of this process's settings; it has no key, so nothing is sealed with it."""
    config = naming.settings()
    return Redactor(config.redact if config is not None else (), bytes)


def address(text: str) -> str:
    """A header's value without secrets in the query of a URL."""
    if "?" not in text or "=" not in text:
        return text
    return STAND_IN.sub(REDACTED, Masks(redactor(), {}).url(text))


def cleaned(text: str) -> str:
    """A text without the values of members, elements and parameters whose names are secret."""
    masks = Masks(redactor(), {})
    return STAND_IN.sub(REDACTED, masks.text(masks.url(text)))


def cleaned_bytes(data: bytes) -> bytes:
    """The same of bytes, unless they are no text."""
    if b"\0" in data:
        return data
    return cleaned(data.decode("latin-1")).encode("latin-1")
