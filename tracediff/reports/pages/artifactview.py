"""An artifact as a page shows it: by what its bytes are, never by what somebody called them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tracediff.model import Artifact
from tracediff.reports import excerpt
from tracediff.reports.pages.valuetree import hex_dump
from tracediff.reports.wording import many

TEXT: Final = 64 * 1024
"""Bytes of a text that are shown."""

LISTED: Final = 200
"""Artifacts that are listed up front; each has a line of its own besides."""

_DUMPED: Final = 1_024
_NAME: Final = 120
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
UNKNOWN: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An artifact in the list: ``number`` is its place in the trace; ``likely`` an image."""

    number: int
    name: str
    size: str
    type: str
    likely: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What is in an artifact: an image, the beginning of a text, or of its bytes."""

    number: int
    name: str
    image: bool = False
    text: str | None = None
    dump: str | None = None
    rest: str = ""


def listed(number: int, artifact: Artifact) -> Listed:
    """Return an artifact as it is listed, before its bytes are read."""
    return Listed(
        number=number,
        name=excerpt.cut(artifact.name, _NAME),
        size=excerpt.bytes_of(artifact.size),
        type=excerpt.cut(artifact.media_type, 80),
        likely=artifact.media_type.startswith("image/") and "svg" not in artifact.media_type,
    )


def safe_type(data: bytes) -> str:
    """Return the type under which a browser may be given bytes: an image it knows, or unknown."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return UNKNOWN


def file_name(name: str, *, plain: bool = True) -> str:
    """Return a name that is good for a file anywhere: the last part of it, letters and digits.

    Args:
        name: What somebody called it.
        plain: Whether it may hold letters of English alone.
    """
    last = name.replace("\\", "/").rpartition("/")[2]

    def good(one: str) -> bool:
        return (one.isalnum() and (one.isascii() or not plain)) or one in "-_. "

    return "".join(one if good(one) else "_" for one in last).strip(". ")[-_NAME:] or "artifact"


def look(number: int, name: str, data: bytes) -> Looked:
    """Return what is in an artifact."""
    name = excerpt.cut(name, _NAME)
    if safe_type(data) != UNKNOWN:
        return Looked(number=number, name=name, image=True)
    text = _text(data[:TEXT])
    if text is not None:
        left = len(data) - TEXT
        return Looked(number=number, name=name, text=text, rest=_rest(left))
    left = len(data) - _DUMPED
    dump = "\n".join(hex_dump(data[:_DUMPED], 0))
    return Looked(number=number, name=name, dump=dump, rest=_rest(left))


def _rest(left: int) -> str:
    return f"… {many(left, 'more byte')}" if left > 0 else ""


def _text(data: bytes) -> str | None:
    """The text that bytes are, None for none; its last character may be cut in two."""
    if b"\0" in data:
        return None
    for end in range(len(data), max(len(data) - 4, -1), -1):
        try:
            return data[:end].decode()
        except UnicodeDecodeError:  # not in this encoding; the next is tried
            continue
    return None
