"""``requests``: what its adapter sends is recorded, below the session.

Redirects, cookies, authentication, hooks and decoding are the session's, which runs in a replay as
well. Adapters of a program's own that send by other means stay plain.
"""

from __future__ import annotations

import functools
import http.client
from collections.abc import Iterable
from typing import Any

import requests
import requests.adapters
import urllib3

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.libraries.http.answers import Told
from tracediff.recording.libraries.http.asked import Asked, Sent
from tracediff.recording.libraries.http.exchanges import Exchange, Rules
from tracediff.recording.libraries.http.wire import Noted, received
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import recorded_here


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    adapter = requests.adapters.HTTPAdapter
    yield Patch(adapter, "send", _sending(adapter.send, Rules("requests", config)))


def _sending(real: Any, rules: Rules) -> Any:
    @functools.wraps(real)
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            if runtime.guard is None:
                return real(self, request, *args, **kwargs)
            with rules.plainly(request.method, request.url):
                return real(self, request, *args, **kwargs)
        body = request.body
        given = _given(body)
        asked = Asked(request.method, request.url, request.headers, given)
        exchange = Exchange(parent, rules, asked)
        if exchange.replayed:
            told = _served(exchange, request, given)
            if told is not None:
                return self.build_response(request, _raw(exchange, told, request, self))
        if type(given) is Sent:
            again = iter([given.whole()]) if exchange.replayed else body  # it was taken from it
            request.body = _Sending(again, given)
        try:
            with exchange:
                response = real(self, request, *args, **kwargs)
        finally:
            request.body = body
        try:
            _note(exchange, response)
        except Exception as error:  # an adapter of the program's own may give anything
            exchange.unnoted(error)
        return response

    return send


def _given(body: Any) -> Any:
    """What a request sends, or what will note the pieces of it."""
    if body is None or isinstance(body, str | bytes):
        return body
    try:
        return bytes(memoryview(body))
    except TypeError:  # a file or an iterable: seen as it is read
        return Sent()


def _served(exchange: Exchange, request: Any, given: Any) -> Told | None:
    """What a recording answers; a recorded error is raised with this request."""
    if type(given) is Sent:
        _send_nowhere(request.body, given)
    try:
        return exchange.served()
    except requests.RequestException as error:
        error.request, error.response = request, None
        raise


def _send_nowhere(body: Any, sent: Sent) -> None:
    """Take what would be sent."""
    if hasattr(body, "read"):
        while piece := body.read(1 << 16):
            sent.add(piece)
    else:
        for piece in body:
            sent.add(piece)


def _note(exchange: Exchange, response: Any) -> None:
    """Record an answer: its head now, its body as the job reads it."""
    raw = response.raw
    original = getattr(raw, "_original_response", None)
    head = getattr(original, "headers", None) or response.headers
    version = getattr(raw, "version", 11)
    answer = exchange.answered(
        response.status_code,
        str(response.reason or ""),
        f"HTTP/{version // 10}.{version % 10}" if isinstance(version, int) else "HTTP/1.1",
        head,
    )
    if isinstance(original, http.client.HTTPResponse):
        answer.framed = bool(original.chunked)
        if original.fp is not None:
            noted: Any = Noted(original.fp, exchange)
            original.fp = noted
    else:
        exchange.span.buffer.warn("the body of an answer that http.client did not read is not kept")


def _raw(exchange: Exchange, told: Told, request: Any, adapter: Any) -> Any:
    """A recorded answer as urllib3's, which the adapter makes the session's of."""
    original = received(told, exchange.pieces(told), request.method)
    raw = urllib3.HTTPResponse(
        body=original,
        headers=urllib3.HTTPHeaderDict(told.headers),
        status=told.status,
        version=original.version,
        reason=told.reason,
        preload_content=False,
        decode_content=False,
        original_response=original,
        retries=adapter.max_retries,
        enforce_content_length=told.cut,
        request_method=request.method,
        request_url=request.path_url,
    )
    raw.version_string = told.version
    return raw


class _Sending:
    """The body of a request, which is recorded as it is sent."""

    def __init__(self, inner: Any, sent: Sent) -> None:
        self._inner = inner
        self._sent = sent
        if hasattr(inner, "read"):
            self.read = self._read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __iter__(self) -> Any:
        for piece in self._inner:
            self._sent.add(piece)
            yield piece

    def _read(self, *args: Any) -> Any:
        piece = self._inner.read(*args)
        if type(piece) is str:  # as urllib3 does for a file of text
            piece = piece.encode()
        if piece:
            self._sent.add(piece)
        return piece

    def seek(self, *args: Any) -> Any:
        """Go back, as urllib3 does to send it again."""
        self._sent.restart()
        return self._inner.seek(*args)
