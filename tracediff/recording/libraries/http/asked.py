"""A request as the arguments of a step: where it goes and what it asks for, without credentials.

Of the headers only those are kept that choose what the answer is. The others differ with versions
of libraries and from run to run, and hold the credentials.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tracediff import values
from tracediff.recording.buffers import Buffer, Later
from tracediff.recording.libraries.http import bodies
from tracediff.recording.libraries.http.answers import MAX_BODY, paired
from tracediff.recording.libraries.http.encodings import CannotDecodeError, decoded, named
from tracediff.recording.libraries.http.masking import MARK, SIGNATURES, Masks
from tracediff.runtime import ReplayAbort

CHOOSING = frozenset(
    """accept accept-language range if-match if-none-match if-modified-since if-unmodified-since
    if-range prefer soapaction x-http-method-override""".split()
)
"""The headers that are kept, by their names in small letters."""

_PORTS = {"http": ":80", "https": ":443"}
_ANY = "*/*"


class Sent:
    """What was sent of a body that is handed over piece by piece."""

    __slots__ = ("dropped", "parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.dropped = False

    def add(self, piece: Any) -> None:
        """Keep a piece, unless there are too many."""
        data = piece.encode() if type(piece) is str else bytes(piece)
        self.size += len(data)
        if self.size > MAX_BODY:
            self.dropped = True
            self.parts.clear()
        else:
            self.parts.append(data)

    def whole(self) -> bytes:
        """All of what a replay took, to be sent for real after all."""
        if self.dropped:
            raise ReplayAbort(
                "a body that was sent piece by piece is too large to be sent again",
                slug="input-not-recorded",
                hint="record the job again",
            )
        return b"".join(self.parts)

    def restart(self) -> None:
        """It is sent from its beginning again."""
        self.parts.clear()
        self.size = 0
        self.dropped = False


class Asked(Later):
    """A request, as it was sent.

    Args:
        method: GET, POST …
        url: Whatever its text is the URL of.
        headers: Its headers: a mapping that stays as it is, or pairs of texts or bytes.
        body: What it sends: a text, bytes, None, or what notes the pieces.
    """

    __slots__ = ("body", "headers", "method", "target")
    url = "url"

    def __init__(self, method: str, url: Any, headers: Any, body: Any) -> None:
        super().__init__()
        self.method = method
        self.target = url
        self.headers = headers
        self.body = body

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the arguments."""
        masks = Masks.of(buffer)
        where, query = split(str(self.target))
        found: list[tuple[str, bytes]] = [("url", buffer.encode(masks.values(where)))]
        headers = {name.lower(): value for name, value in paired(self.headers)}
        for name, value in headers.items():
            if masks.is_secret(name) and "cookie" not in name:
                masks.remember(value.rpartition(" ")[2])
        if query:
            found.append(("query", self._query(query, buffer, masks)))
        kept = {
            name: masks.url(value)
            for name, value in sorted(headers.items())
            if name in CHOOSING and value != _ANY
        }
        if kept:
            found.append(("headers", buffer.encoder("headers")(kept)))
        content = self._content(headers.get("content-encoding", ""))
        if content:
            value = told_body(content, headers.get("content-type", ""), masks)
            found.append(("body", buffer.encoder("body")(value)))
        return values.encode_map(found)

    def _query(self, text: str, buffer: Buffer, masks: Masks) -> bytes:
        found = bodies.form(text)
        for name, value in found.items():
            if masks.in_url(name):
                masks.remember(str(value))
        value = masks.resealed(_masked(found, masks))
        return buffer.encoder("query")(
            {
                name: masks.node(one) if name.lower() in SIGNATURES else one
                for name, one in value.items()
            }
        )

    def _content(self, encoding: str) -> bytes:
        body = self.body
        if type(body) is Sent:
            if body.dropped:
                return f"{body.size} bytes".encode()
            body = b"".join(list(body.parts))
        if body is None:
            return b""
        content = body.encode() if isinstance(body, str) else bytes(body)
        names = named(encoding)
        if not names or len(content) > MAX_BODY:
            return content[:MAX_BODY]
        try:
            return b"".join(decoded([content], names, MAX_BODY))
        except CannotDecodeError:  # it is compared as it is sent
            return content


def told_body(content: bytes, kind: str, masks: Masks) -> Any:
    """The body of a request as a value; how it was spelled is nothing that counts."""
    media = bodies.media_type(kind)
    if media.startswith("multipart/"):
        found = bodies.multipart(content, kind)
        return content if found is None else masks.resealed(found)
    text = bodies.text_of(content, kind)
    if text is None:
        return content
    said = masks.url(text[0]) if media != "application/x-www-form-urlencoded" else text[0]
    if media == "application/x-www-form-urlencoded":
        return masks.resealed(_masked(bodies.form(said), masks))
    try:
        value = bodies.read_json(said)
    except ValueError:  # no JSON: a text
        return masks.text(said)
    masks.learn(said)
    return masks.resealed(value) if MARK in said else value


def split(url: str) -> tuple[str, str]:
    """A URL without its credentials, query and fragment; and its query."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:  # no URL; the client will say so
        head, _, query = url.partition("#")[0].partition("?")
        return head, query
    port = _PORTS.get(parts.scheme, "")
    if port and host.endswith(port):
        host = host.removesuffix(port)
    return f"{parts.scheme}://{host.lower()}{parts.path or '/'}", parts.query


def place(url: str) -> str:
    """A URL without its credentials, query and fragment."""
    return split(url)[0]


def _masked(found: dict[str, Any], masks: Masks) -> dict[str, Any]:
    return {
        name: one
        if masks.in_url(name)
        else [masks.url(part) for part in one]
        if type(one) is list
        else masks.url(one)
        for name, one in found.items()
    }
