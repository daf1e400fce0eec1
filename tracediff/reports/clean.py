"""Makes recorded text harmless on a terminal.

A trace holds whatever its job was given, so a string in it may carry escape sequences that move
the cursor, change the title or hide what a report says. Nothing recorded is printed before it has
passed through here. Rich markup is a separate matter: reports build ``Text`` objects and never
parse markup, so brackets need no escape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Controls (C0, DEL, C1), line separators, bidirectional overrides and invisible format characters
# that can hide or reorder text, tag characters, and lone surrogates, which no stream can encode.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# Marks that a letter carries beyond eight, more than any script needs: they would cover the lines
# around it, and where they have no place above it make a word of any width.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f"
)
_PILED = re.compile(f"([{_MARKS}]{{8}})([{_MARKS}]+)")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _unpile(match: re.Match[str]) -> str:
    kept, over = match.groups()
    return kept + "".join(f"\\u{ord(char):04x}" for char in over)


def clean(text: str) -> str:
    """Return ``text`` on one line, with every character that could steer a terminal escaped."""
    if not text.isascii():
        text = _PILED.sub(_unpile, text)
    elif text.isprintable():  # most texts, and nothing in them is unsafe
        return text
    return _UNSAFE.sub(_escape, text)


def clean_lines(text: str) -> Iterator[str]:
    """Yield the lines of ``text``, cleaned; tabs become spaces, carriage returns are shown."""
    for line in text.removesuffix("\n").split("\n"):
        yield clean(line.removesuffix("\r").expandtabs(4))
