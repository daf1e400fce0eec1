"""Bodies of HTTP as values that read well in a trace, and the very bytes they stand for.

JSON is kept as what it says, so that two of them are compared by field, with each number as it is
written; how it was spelled is kept beside it in a word or two. Text is kept as text, and only what
is neither as bytes.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate
from typing import Any
from urllib.parse import parse_qsl

_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
_INDENT = re.compile(r"[\[{]\n([ ]{1,8}|\t)(?=\S)")
_BRACKET = re.compile(r"[\[\]{}]")
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_MARK = "\ue000"
_MARKED = re.compile(rf'"(?:{_MARK}|\\ue000)([^"]*)"')
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/json-lines",
                    "application/jsonlines", "application/x-jsonlines"})  # fmt: skip
DEEPEST = 200
"""How deep JSON may be nested that is kept as a value."""

MOST_FIELDS = 10_000
"""Fields of a form above which it is kept as text."""


def media_type(header: str) -> str:
    """``text/html`` of ``text/html; charset=utf-8``."""
    return header.partition(";")[0].strip().lower()


def text_of(content: bytes, header: str) -> tuple[str, str] | None:
    """A body as text with the name of its encoding, from which it is made again; None if binary."""
    if _BINARY.search(content) is not None:
        return None
    found = _CHARSET.search(header)
    for name in ("utf-8", found[1].lower()) if found is not None else ("utf-8",):
        try:
            text = content.decode(name)
            if text.encode(name) == content:
                return text, name
        except (UnicodeError, LookupError):  # the next may fit
            continue
    return None


def read_json(text: str) -> Any:
    """What a JSON text says; fractions are decimals, with the digits they are written with.

    Raises:
        ValueError: It is none, or nested too deep.
    """
    if text.lstrip()[:1] not in ("{", "["):
        raise ValueError("no JSON document")
    try:
        found = json.loads(text, parse_float=_fraction)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if _seems_deep(text) and _depth(found) > DEEPEST:
        raise ValueError("nested too deep")
    return found


def _fraction(text: str) -> Decimal | float:
    return float(text) if "e" in text or "E" in text else Decimal(text)


def _seems_deep(text: str) -> bool:
    """Whether brackets lie too deep, those in its texts counted."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    steps = map(_STEPS.__getitem__, _BRACKET.findall(text))
    return max(accumulate(steps), default=0) > DEEPEST


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        depth += 1
        inner = [list(one.values()) if type(one) is dict else one for one in level
                 if type(one) in (dict, list)]  # fmt: skip
        level = [part for one in inner for part in one]
    return depth


def spelling(text: str, value: Any) -> str | None:
    """The words that say how a JSON text is written; None where there are no words for it."""
    if _MARK in text:
        return None
    words = []
    core = text.removesuffix("\n")
    found = _INDENT.match(core)
    if found is not None:
        layouts = ["tabs" if found[1] == "\t" else f"indent{len(found[1])}"]
    else:
        layouts = ["spaced", ""] if '": ' in core or ", " in core else ["", "spaced"]
    if "\\u" in core and core.isascii():
        words.append("ascii")
    if "\\/" in core:
        words.append("slashes")
    if "\\u003c" in core or "\\u003e" in core or "\\u0026" in core:
        words.append("html")
    if core is not text:
        words.append("newline")
    for layout in layouts:
        said = " ".join([*([layout] if layout else []), *words])
        try:
            if written(value, said) == text:
                return said
        except (ValueError, TypeError):  # in none of these ways
            return None
    return None


def written(value: Any, said: str, stand_in: Callable[[Any], Any] | None = None) -> str:
    """The JSON text of a value, spelled as the words say.

    Args:
        value: What it says.
        said: What ``spelling`` gave.
        stand_in: Gives what is written for an object that JSON does not have.
    """

    def other(one: Any) -> Any:
        if type(one) is Decimal:
            return f"{_MARK}{one}"
        if stand_in is None:
            raise TypeError("no JSON")
        return stand_in(one)

    words = said.split()
    indent = next((word for word in words if word.startswith("indent") or word == "tabs"), None)
    spaced = indent is not None or "spaced" in words
    digits = (indent or "")[6:]
    text = json.dumps(
        value,
        ensure_ascii="ascii" in words,
        indent=None if indent is None else "\t" if indent == "tabs" else min(int(digits or 2), 8),
        separators=("," if indent or not spaced else ", ", ": " if spaced else ":"),
        default=other,
    )
    if _MARK in text or "\\ue000" in text:
        text = _MARKED.sub(lambda found: found[1], text)
    if "slashes" in words:
        text = text.replace("/", "\\/")
    if "html" in words:
        for sign, escaped in _HTML.items():
            text = text.replace(sign, escaped)
    return text + "\n" if "newline" in words else text


def read_lines(text: str) -> tuple[list[Any], str] | None:
    """JSON documents, one a line, with how all are written; None where they are not so."""
    lines = text.split("\n")
    tail = " newline" if lines[-1] == "" and len(lines) > 1 else ""
    lines = lines[:-1] if tail else lines
    try:
        found = [read_json(line) for line in lines]
    except ValueError:  # some are no JSON: a text
        return None
    said = {spelling(line, one) for line, one in zip(lines, found, strict=True)}
    word = said.pop()
    return None if said or word is None else (found, f"{word}{tail}")


def written_lines(values: Any, said: str, stand_in: Callable[[Any], Any]) -> str:
    """The text of JSON documents, one a line."""
    words = [word for word in said.split() if word != "newline"]
    lines = [written(one, " ".join(words), stand_in) for one in values]
    return "\n".join(lines) + ("\n" if "newline" in said.split() else "")


def has_lines(header: str) -> bool:
    """Whether a content type says that there is a JSON document on each line."""
    return media_type(header) in _LINES


def form(text: str) -> dict[str, Any]:
    """The fields of a form or a query by their names, sorted; several of one in a list."""
    try:
        return fields(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:  # too many: one text
        return {"": text}


def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Pairs by their names, which are sorted; several of one name in a list."""
    found: dict[str, Any] = {}
    seen: dict[str, list[Any]] = {}
    for name, value in pairs:
        seen.setdefault(name, []).append(value)
    for name in sorted(seen):
        found[name] = seen[name][0] if len(seen[name]) == 1 else seen[name]
    return found


def multipart(content: bytes, header: str) -> dict[str, Any] | None:
    """The parts of a form with files by their names, without the boundary drawn for it."""
    head = b"Content-Type: " + header.encode("latin-1", "replace") + b"\r\n\r\n"
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content)
    if not parsed.is_multipart():
        return None
    found: list[tuple[str, Any]] = []
    for part in parsed.iter_parts():
        name = part.get_param("name", header="content-disposition")
        raw: Any = part.get_payload(decode=True) or b""
        kind = str(part.get("content-type") or "")
        told = text_of(raw, kind)
        value: Any = raw if told is None else told[0]
        if part.get_filename() is not None:
            value = {"filename": str(part.get_filename()), "type": kind, "content": value}
        found.append((str(name), value))
    return fields(found)
