"""Secrets in URLs, headers, cookies and texts of HTTP, and what stands in for them in a replay.

A stand-in is a word that holds no more than a sealed value does: which key it was sealed with, and
the digest. It fits wherever a secret stands, and when a replayed job sends it on, what is recorded
is the sealed value again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import unquote_plus

from tracediff import values
from tracediff.recording.buffers import Buffer
from tracediff.recording.redaction import HINTS, Redactor
from tracediff.values.placeholder import node_of

SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature"})
"""Parameters that make a URL a key to what it names."""

_USER = re.compile(r"(://)[^/@\s\"'<>?#]{1,400}@")
_PARAMETER = re.compile(
    r"""(?P<before>(?:[?&]|&amp;|^)(?P<name>[^=&?#;\s"'<>\\/]{1,100})=)(?P<value>[^&#\s"'<>\\]{1,8000})"""
)
_NAME = re.compile(r"""(?:[?&]|&amp;|^)([^=&?#;\s"'<>\\/]{1,100})=""")
_MEMBER = re.compile(
    r"""(?P<before>"(?P<name>[^"\\]{1,100})"\s{0,20}:\s{0,20})"(?P<value>(?:[^"\\]|\\.){1,8000})(?P<after>"|$)"""
)
_NAMED_TOKEN = re.compile(r'"([^"\\]{1,100})"\s{0,20}:\s{0,20}"([\w.~+/=-]{16,4000})"', re.ASCII)
_ELEMENT = re.compile(
    r"""(?P<before><(?:[\w.-]{1,60}:)?(?P<name>[\w.-]{1,100})(?:\s[^<>]{0,2000})?>)(?P<value>[^<]{1,8000})(?P<after></)"""
)
_TOKEN = re.compile(r"[\w.~+/=-]{16,4000}", re.ASCII)
STAND_IN = re.compile(r"redacted-(?:(\w{1,20})-)?([0-9a-f]{8})-([0-9a-f]{32})")
MARK = "redacted-"


def stand_in(secret: Any) -> Any:
    """The word that stands for a sealed value; None for one that was None."""
    node = node_of(secret)
    if not isinstance(node, values.Redacted):
        return f"{MARK}value"
    kind = node.type.removeprefix("builtins:")
    if kind == "NoneType":
        return None
    kind = "" if kind == "str" or not kind.isidentifier() else f"{kind}-"
    return f"{MARK}{kind}{node.key_id}-{node.digest.hex()}"


def sealed_text(text: str, redactor: Redactor) -> str:
    """The word that stands for a text."""
    if STAND_IN.fullmatch(text) is not None:
        return text
    key_id, digest = redactor.seal(values.encode(text))
    return f"{MARK}{key_id}-{digest.hex()}"


def resealed(value: Any, is_secret: Callable[[str], bool], under: bool = False) -> Any:
    """A value in which the stand-ins of fields with a secret name are sealed values again."""
    if type(value) is dict:
        return {name: resealed(one, is_secret, type(name) is str and is_secret(name))
                for name, one in value.items()}  # fmt: skip
    if type(value) is list:
        return [resealed(one, is_secret, under) for one in value]
    if not under or type(value) is not str:
        return value
    found = STAND_IN.fullmatch(value)
    if found is None:
        return value
    kind, key_id, digest = found.groups()
    node = values.Redacted(f"builtins:{kind or 'str'}", key_id, bytes.fromhex(digest))
    return values.Placeholder(node)


class Masks:
    """What is secret in the exchanges of one trace.

    Args:
        redactor: The rules of the configuration.
        known: Secrets that came in exchanges of this trace, by their text; added to.
    """

    def __init__(self, redactor: Redactor, known: dict[str, str]) -> None:
        self.redactor = redactor
        self.known = known

    @classmethod
    def of(cls, buffer: Buffer) -> Self:
        """Those of the trace that is written into a buffer."""
        return cls(buffer.redactor, buffer.reached.setdefault("http", {}))

    def is_secret(self, name: str) -> bool:
        """Whether a field, header or parameter of this name is secret."""
        return self.redactor.secret(name)

    def in_url(self, name: str) -> bool:
        """Whether a parameter of a URL is."""
        return name.lower() in SIGNATURES or self.redactor.secret(name)

    def url(self, text: str) -> str:
        """A text with the secrets taken out of the URLs in it, and those that are known."""
        if "://" in text and "@" in text:
            text = _USER.sub(r"\1redacted@", text)
        if "=" in text and any(map(self._names_secret, set(_NAME.findall(text)))):
            text = _PARAMETER.sub(self._parameter, text)
        return self.values(text)

    def values(self, text: str) -> str:
        """A text with those secrets taken out that came under their name before."""
        for secret, word in self.known.items():
            if secret in text:
                text = text.replace(secret, word)
        return text

    def text(self, text: str) -> str:
        """A text that is not JSON, or is only a part of it, without the secrets it names."""
        for pattern in (_MEMBER, _ELEMENT):
            text = pattern.sub(self._member, text)
        return text

    def learn(self, text: str) -> None:
        """Know the secrets in a JSON text again that look as if nothing else were spelled so."""
        lowered = text.lower()
        if not any(hint in lowered for hint in HINTS):
            return
        for name, value in _NAMED_TOKEN.findall(text):
            if self.redactor.secret(name):
                self.remember(value)

    def remember(self, secret: str) -> None:
        """Know a secret again, if it looks like one."""
        if len(self.known) < _MOST_KNOWN and MARK not in secret and _is_token(secret):
            self.known[secret] = sealed_text(secret, self.redactor)

    def resealed(self, value: Any) -> Any:
        """A value whose secret fields are sealed values where a stand-in was in them."""
        return resealed(value, self.in_url)

    def sealed(self, data: bytes) -> bytes:
        """Canonical bytes, sealed."""
        return values.seal(data, self.redactor)

    def node(self, value: Any) -> Any:
        """A value as its sealed one."""
        found = values.inert(self.sealed(values.encode(value)))
        return values.Placeholder(found) if isinstance(found, values.Redacted) else found

    def _names_secret(self, name: str) -> bool:
        return self.in_url(unquote_plus(name))

    def _parameter(self, found: re.Match[str]) -> str:
        if not self._names_secret(found["name"]):
            return found[0]
        return found["before"] + sealed_text(unquote_plus(found["value"]), self.redactor)

    def _member(self, found: re.Match[str]) -> str:
        if not self.redactor.secret(found["name"]):
            return found[0]
        word = sealed_text(found["value"], self.redactor)
        quote = '"' if found.re is _MEMBER else ""
        return f"{found['before']}{quote}{word}{found['after']}"


_MOST_KNOWN = 100


def _is_token(text: str) -> bool:
    """Whether a text is hardly a word or a number that stands elsewhere by chance."""
    digits = sum(sign.isdigit() for sign in text)
    return _TOKEN.fullmatch(text) is not None and 2 <= digits < len(text)
