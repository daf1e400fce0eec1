"""Bodies of requests and responses, kept as they go by, up to a bound."""

from __future__ import annotations

from typing import Any

from tracediff.frameworks.forms import form_data, is_form
from tracediff.frameworks.messages import (
    MAX_BODY,
    Left,
    answered_body,
    judge,
    media_type,
    response_head,
    sent_body,
    without_quoted,
)
from tracediff.recording.buffers import Buffer, Later
from tracediff.recording.runs import Run


def named_headers(raw: Any) -> dict[str, str]:
    """Headers by their name as it is commonly written; repeated ones joined."""
    found: dict[str, str] = {}
    for name, value in raw:
        known = name.decode("latin-1").title()
        text = value.decode("latin-1")
        if known in found:
            text = f"{found[known]}{'; ' if known == 'Cookie' else ', '}{text}"
        found[known] = text
    return found


class Received:
    """What is read of a request's body."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._size = 0
        self.form: dict[str, Any] | None = None  # one that was taken apart before

    def add(self, data: bytes) -> None:
        """A piece was read."""
        self._size += len(data)
        if self._size <= MAX_BODY:
            self._kept += data

    def size(self) -> int:
        """How many bytes are kept."""
        return len(self._kept)

    def told(self, content_type: str) -> Any:
        """The body as far as it was read; None where there was none."""
        if self.form is not None:
            return self.form
        if not self._size:
            return None
        if self._size > MAX_BODY:
            return Left(self._size)
        data = bytes(self._kept)
        if is_form(content_type):
            found = form_data(content_type, data)
            return Left(self._size) if found is None else found
        return sent_body(media_type(content_type), None, data)


class Answer:
    """A response as it is sent."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.raw: list[Any] = []  # headers as ASGI has them
        self.headers: dict[str, str] = {}
        self.whole = False
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        """A piece was sent."""
        room = MAX_BODY + 1 - len(self._kept)
        if room > 0:
            self._kept += data[:room]

    def judge(self, buffer: Buffer) -> None:
        """Set the state that its status says; one that is not whole is a warning."""
        if not self.whole:
            buffer.warn("the response was not sent to its end: the client went away")
            buffer.state = buffer.state or "warning"
        if self.status is not None:
            judge(buffer, self.status)

    def size(self) -> int:
        """How many bytes are kept."""
        return len(self._kept)

    def told(self) -> dict[str, Any] | None:
        """The response as far as it was sent; None where none was."""
        if self.status is None:
            return None
        headers = self.headers or named_headers(self.raw)
        kind = media_type(headers.get("Content-Type", ""))
        body = answered_body(kind, None, bytes(self._kept))
        return {
            **response_head(self.status, headers.items()),
            "body": without_quoted(body),
        }


class _Body(Later):
    """A request's body, taken apart when the trace is made."""

    __slots__ = ("_content_type", "_received")

    def __init__(self, received: Received, content_type: str) -> None:
        super().__init__()
        self._received = received
        self._content_type = content_type

    def made(self, buffer: Buffer) -> bytes:
        """The canonical bytes."""
        return buffer.encoder("body")(self._received.told(self._content_type))


class _Response(Later):
    """A response, taken apart when the trace is made."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def made(self, buffer: Buffer) -> bytes:
        """The canonical bytes."""
        return buffer.encode(self._answer.told())


def ended(begun: Run, received: Received, answer: Answer) -> None:
    """The job of a request has answered."""
    keep_body(begun, received)
    answer.judge(begun.buffer)
    begun.buffer.bytes += answer.size()
    begun.succeeded(_Response(answer) if answer.status is not None else None)


def keep_body(begun: Run, received: Received) -> None:
    """Enter the body, which is known only when it was read, among the arguments."""
    headers = begun.kwargs.get("headers", {})
    body = _Body(received, headers.get("Content-Type", ""))
    begun.buffer.bytes += received.size()
    begun.kwargs["body"] = begun.root.kwargs["body"] = body
