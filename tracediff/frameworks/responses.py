"""A Django response as plain data: what a view's job has as its result."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import async_to_sync

from tracediff.frameworks.texts import address, cleaned, cleaned_bytes
from tracediff.recording.spans import leave
from tracediff.runtime import current

MAX_BODY = 1 << 20
"""Bytes of a body that are recorded, of a streaming one as well."""

_LEFT_OUT = frozenset("content-length date expires last-modified set-cookie vary".split())
_CSRF = re.compile(r"""(name=["']csrfmiddlewaretoken["']\s+value=["'])[^"']{1,200}""")
_TEXT = ("text/", "application/xml", "application/javascript")


def response_data(response: Any, streamed: bytes | None = None) -> dict[str, Any]:
    """The status, the headers and the body of a response."""
    content = streamed if response.streaming else response.content
    return {**head_data(response), "body": body_data(response, content or b"")}


def head_data(response: Any) -> dict[str, Any]:
    """The status and the headers, as they are now: middleware adds to them later."""
    headers = {
        name: address(str(value))
        for name, value in response.items()
        if name.lower() not in _LEFT_OUT
    }
    return {"status": response.status_code, "headers": headers}


def body_data(response: Any, content: bytes) -> Any:
    """A response's body, decoded where its type says how."""
    kind = (response.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        if len(content) > MAX_BODY:
            return cleaned_bytes(content[:MAX_BODY])
        try:
            return json.loads(content)
        except ValueError:  # no JSON, whatever its head says
            return cleaned_bytes(content)
    content = content[:MAX_BODY]
    if kind.startswith(_TEXT) or kind.endswith("+xml"):
        try:
            text = content.decode(response.charset or "utf-8")
        except (UnicodeError, LookupError):  # no text of the encoding it names
            return content
        # Of a page, which may be large, nothing but the token is looked for.
        return _CSRF.sub(r"\1[redacted]", text) if kind == "text/html" else cleaned(text)
    return content


class Streaming:
    """The content of a streaming response, with the job current while it is made.

    Args:
        root: The job's span.
        done: Called with what was sent, at most ``MAX_BODY`` bytes, and the error if there was one.
    """

    def __init__(self, root: Any, done: Any) -> None:
        self._root = root
        self._done = done
        self._kept = bytearray()

    def over(self, content: Any) -> Iterator[Any]:
        """The parts, as they are asked for."""
        parts = iter(content)
        with self._told():
            while True:
                with self._within():
                    part = next(parts, None)
                if part is None:
                    return
                self._keep(part)
                yield part

    async def over_async(self, content: Any) -> AsyncIterator[Any]:
        """The same, of an async iterator."""
        parts = aiter(content)
        with self._told():
            while True:
                with self._within():
                    part = await anext(parts, None)
                if part is None:
                    return
                self._keep(part)
                yield part

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say at the end what was sent; a client that goes away is no error."""
        error: BaseException | None = None
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._done(bytes(self._kept), error)

    @contextlib.contextmanager
    def _within(self) -> Iterator[None]:
        token = current.set(self._root)
        try:
            yield
        finally:
            leave(token)

    def _keep(self, part: Any) -> None:
        if len(self._kept) < MAX_BODY:
            data = part if isinstance(part, bytes) else str(part).encode()
            self._kept += data[: MAX_BODY - len(self._kept)]


def drained(response: Any) -> bytes:
    """What a streaming response sends, up to the bound; for a replay."""
    if getattr(response, "is_async", False):
        return bytes(async_to_sync(_drained)(response))
    kept = bytearray()
    for part in response:
        kept += part
        if len(kept) >= MAX_BODY:
            break
    return bytes(kept[:MAX_BODY])


async def _drained(response: Any) -> bytes:
    kept = bytearray()
    async for part in response:
        kept += part
        if len(kept) >= MAX_BODY:
            break
    return bytes(kept[:MAX_BODY])
