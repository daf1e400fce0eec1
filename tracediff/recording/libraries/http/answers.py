"""The answer to a request as the result of a step, and a client's answer made of that again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tracediff import values
from tracediff.recording.buffers import Buffer, Later
from tracediff.recording.libraries.http import bodies
from tracediff.recording.libraries.http.encodings import (
    CannotDecodeError,
    decoded,
    encoded,
    named,
)
from tracediff.recording.libraries.http.frames import unframed
from tracediff.recording.libraries.http.masking import MARK, Masks, stand_in

MAX_BODY = 64 << 20
"""Bytes of a body that is recorded, and of what it is when it has been decoded."""

PIECE = 64 << 10
"""Bytes of a piece of a body whose pieces are not known."""

BODYLESS = frozenset({204, 304})
"""The statuses that no body comes with."""


class Answer(Later):
    """The answer to a request, whose body comes piece by piece.

    Args:
        method: That of the request.
        status: Its status.
        reason: The words beside it.
        version: ``HTTP/1.1``.
        headers: Its headers, in their order: a mapping that stays as it is, or pairs.

    ``framed`` says that the pieces are in the frames of HTTP/1.1; ``taken`` that they are what the
    job took at once, ``decoded`` that their encodings are off. ``opened`` are those of a chunk of
    the server's that goes on with the next.
    """

    __slots__ = (
        "decoded", "dropped", "ended", "framed", "headers", "method", "opened", "parts", "reason",
        "size", "status", "taken", "version",
    )  # fmt: skip

    def __init__(self, method: str, status: int, reason: str, version: str, headers: Any) -> None:
        super().__init__()
        self.method = method
        self.status = status
        self.reason = reason
        self.version = version
        self.headers = headers
        self.parts: list[bytes] = []
        self.size = 0
        self.ended = False
        self.framed = False
        self.taken = False
        self.decoded = False
        self.opened: list[int] | None = None
        self.dropped = False

    def add(self, piece: bytes) -> bool:
        """Keep a piece; False where that is over."""
        if self.dropped:
            return False
        self.size += len(piece)
        if self.size > MAX_BODY:
            self.dropped = True
            self.parts.clear()
        else:
            self.parts.append(piece)
        return True

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the result."""
        masks = Masks.of(buffer)
        pairs = paired(self.headers)
        by_name = {name.lower(): value for name, value in pairs}
        pieces, state = self._pieces(by_name)
        found = [("status", values.encode(self.status))]
        if pieces:
            names = () if self.decoded else named(by_name.get("content-encoding", ""))
            found += _body(pieces, names, by_name, buffer, masks, streamed=self._streamed(by_name))
            if self.opened:
                found.append(("opened", values.encode(self.opened)))
        found += [(name, values.encode(True)) for name in state]
        found += [
            ("headers", _headers(pairs, buffer, masks)),
            ("reason", buffer.encode(self.reason)),
            ("version", values.encode(self.version)),
        ]
        return values.encode_map(found)

    def _pieces(self, headers: dict[str, str]) -> tuple[list[bytes], list[str]]:
        """The pieces of the body, and whether it was not read to its end or ended too early."""
        pieces, ended = list(self.parts), self.ended
        if self.dropped:
            return [], ["unread"]
        if self.method == "HEAD" or self.status in BODYLESS or self.status < 200:
            return pieces, []
        length = headers.get("content-length", "")
        if self.taken:
            whole = ended
        elif self.framed:
            pieces, whole = unframed(b"".join(pieces))
        else:
            whole = length.isdigit() and sum(map(len, pieces)) >= int(length)
            whole = whole or (ended and not length.isdigit())
        if whole:
            return pieces, []
        if not ended:
            return pieces, ["unread"]
        return pieces, ["cut"]

    def _streamed(self, headers: dict[str, str]) -> bool:
        """Whether the pieces say something: otherwise they are the network's."""
        return self.taken or self.framed or "content-length" not in headers


def _headers(pairs: Sequence[tuple[str, str]], buffer: Buffer, masks: Masks) -> bytes:
    """Headers by name, several of one in a list; of cookies only the values are sealed."""
    found: dict[str, list[bytes]] = {}
    rule = buffer.redactor.path_rule
    for name, value in pairs:
        if name.lower() == "set-cookie":
            data = _cookie(value, masks)
        else:
            data = buffer.encode(masks.url(value))
            if masks.is_secret(name) or (rule is not None and rule(("headers", name))):
                data = masks.sealed(values.encode(value))
        found.setdefault(name, []).append(data)
    return values.encode_map(
        [
            (name, one[0] if len(one) == 1 else values.encode_list(one))
            for name, one in found.items()
        ]
    )


def _cookie(text: str, masks: Masks) -> bytes:
    pair, semicolon, rest = text.partition(";")
    name, _, value = pair.partition("=")
    masks.remember(value.strip())
    return values.encode_map(
        [
            ("name", values.encode(name.strip())),
            ("value", masks.sealed(values.encode(value.strip()))),
            ("attributes", values.encode(semicolon + rest)),
        ]
    )


def _body(
    pieces: list[bytes],
    names: Sequence[str],
    headers: dict[str, str],
    buffer: Buffer,
    masks: Masks,
    *,
    streamed: bool,
) -> list[tuple[str, bytes]]:
    """A body that has pieces: its value, how that is written, and where it was divided."""
    raw = False
    if names:
        try:
            pieces = decoded(pieces, names, MAX_BODY)
        except CannotDecodeError:  # kept as it came, and said so
            raw = True
    content = b"".join(pieces)
    value, said = content, None
    if not raw:
        value, said = told_body(content, headers.get("content-type", ""), masks)
    found = [("body", buffer.encoder("body")(value))]
    if raw:
        said = "encoded"
    if said is not None:
        found.append(("written", values.encode(said)))
    if streamed and len(pieces) > 1:
        found.append(("pieces", values.encode([len(piece) for piece in pieces])))
    return found


def told_body(content: bytes, kind: str, masks: Masks) -> tuple[Any, str | None]:
    """The body as a value, and the words that say how it is written."""
    read = bodies.text_of(content, kind)
    if read is None:
        return content, None
    text, charset = masks.url(read[0]), read[1]
    if charset == "utf-8":
        if bodies.has_lines(kind):
            lines = bodies.read_lines(text)
            if lines is not None:
                masks.learn(text)
                return _resealed(lines[0], text, masks), f"json lines {lines[1]}".strip()
        found = _json(text, masks)
        if found is not None:
            return found
    return masks.text(text), charset


def _json(text: str, masks: Masks) -> tuple[Any, str] | None:
    try:
        value = bodies.read_json(text)
    except ValueError:  # it is kept as text
        return None
    said = bodies.spelling(text, value)
    if said is None and masks.text(text) == text:
        return None  # exactly as text, since there is nothing in it to be sealed
    masks.learn(text)
    return _resealed(value, text, masks), f"json {said or ''}".strip()


def _resealed(value: Any, text: str, masks: Masks) -> Any:
    return masks.resealed(value) if MARK in text else value


class Told(NamedTuple):
    """A recorded answer, as a client takes it.

    ``pieces`` are those of the body as they come over the network, in its encodings. ``unread`` and
    ``cut`` say that there was more of it: the job did not read it, the server did not send it. In
    ``opened`` are the places of pieces after which a chunk of the server's goes on.
    """

    status: int
    reason: str
    version: str
    headers: list[tuple[str, str]]
    pieces: list[bytes]
    unread: bool
    cut: bool
    error: BaseException | None
    opened: frozenset[int] = frozenset()


def told(result: Any, error: BaseException | None, *, plain: bool = False) -> Told:
    """The answer that a recorded result stands for.

    What is no answer, from a what-if or None where there is none, is the JSON document of one. A
    trace is untrusted: whatever it says gives an answer.

    Args:
        result: What was recorded.
        error: What the body ended with, or what there was in its place.
        plain: Give the pieces without their encodings, and as one where they are not known.
    """
    if type(result) is not dict or "status" not in result:
        result = {"headers": {"Content-Type": "application/json"}, "body": result,
                  "written": "json", "status": 200, "reason": "OK"}  # fmt: skip
    status = result.get("status")
    headers = _pairs(result.get("headers"))
    by_name = {name.lower(): value for name, value in headers}
    unread, cut = result.get("unread") is True, result.get("cut") is True
    whole = not (unread or cut or error is not None)
    encoding = "" if plain else by_name.get("content-encoding", "")
    pieces = _served(result, encoding, whole) if "body" in result else []
    if plain and "pieces" not in result and pieces:
        pieces = [b"".join(pieces)]
    opened = result.get("opened")
    return Told(
        status if type(status) is int and 100 <= status <= 999 else 200,
        str(result.get("reason") or ""),
        str(result.get("version") or "HTTP/1.1"),
        headers,
        pieces,
        unread,
        cut,
        error,
        frozenset(one for one in opened if type(one) is int)
        if type(opened) is list
        else frozenset(),
    )


def _pairs(found: Any) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in found.items() if type(found) is dict else ():
        for one in value if type(value) is list else [value]:
            pairs.append((str(name), _header(one)))
    return pairs


def _header(value: Any) -> str:
    if type(value) is values.Placeholder:
        return str(stand_in(value))
    if type(value) is dict:
        of = {name: _header(value.get(name, "")) for name in ("name", "value", "attributes")}
        return f"{of['name']}={of['value']}{of['attributes']}"
    return str(value)


def _served(result: dict[str, Any], encoding: str, whole: bool) -> list[bytes]:
    pieces = _divided(content_of(result), result.get("pieces"))
    names = named(encoding)
    if not names or result.get("written") == "encoded":
        return pieces
    again = encoded(pieces, names, whole=whole)
    return pieces if again is None else again


def content_of(result: dict[str, Any]) -> bytes:
    """The bytes of the body in a recorded result."""
    try:
        return _content(result["body"], result.get("written")) if "body" in result else b""
    except (ValueError, TypeError, LookupError, RecursionError):  # of a forged trace
        return b""


def _content(body: Any, said: Any) -> bytes:
    """The bytes of a body."""
    if type(body) is bytes:
        return body
    if type(body) is values.Placeholder:
        return str(stand_in(body)).encode()
    words = said if type(said) is str else "json"
    if words == "json lines" or words.startswith("json lines "):
        return bodies.written_lines(body, words[len("json lines") :], stand_in).encode()
    if words == "json" or words.startswith("json "):
        return bodies.written(body, words[len("json") :], stand_in).encode()
    return str(body).encode(words, "replace")


def _divided(content: bytes, sizes: Any) -> list[bytes]:
    """A body in its pieces; in equal ones where they are not known, or are another body's."""
    known = type(sizes) is list and all(type(size) is int and size >= 0 for size in sizes)
    if known and sizes:
        pieces, at = [], 0
        for size in sizes[:-1]:
            pieces.append(content[at : at + size])
            at += size
        return [*pieces, content[at:]]
    return [content[at : at + PIECE] for at in range(0, max(len(content), 1), PIECE)]


def paired(headers: Any) -> list[tuple[str, str]]:
    """The names and values of headers, from a mapping or pairs of texts or bytes."""
    items = headers.items() if hasattr(headers, "items") else headers
    return [(_text(name), _text(value)) for name, value in items]


def _text(one: Any) -> str:
    return one.decode("latin-1") if isinstance(one, bytes) else str(one)
