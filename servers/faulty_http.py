"""An HTTP proxy before a real server that fails as it is told, and else passes everything on.

    with FaultyHttp(weed.endpoint) as proxy:
        proxy.fail(2, answer=(503, "SlowDown"))
        proxy.fail(1, method="GET", cut=100)

The request's host is passed on as it came, so signatures stay valid.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

from servers.answering import Answering, Handler

_HOP = frozenset({"connection", "expect", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What happens to a request.

    Args:
        method: Only to requests of this method; to any by default.
        answer: It is not passed on; this status and S3's error code are the answer.
        headers: Headers of that answer, or in place of the server's.
        lost: It is passed on, and the connection is closed without an answer.
        cut: The answer's body ends after so many bytes, with the connection.
        flip_request: A byte of the request's body is another one when it is passed on.
        flip_answer: A byte of the answer's body is another one.
        hang: There is no answer, until the proxy ends.
    """

    method: str | None = None
    answer: tuple[int, str] | None = None
    headers: Mapping[str, str] | None = None
    lost: bool = False
    cut: int | None = None
    flip_request: bool = False
    flip_answer: bool = False
    hang: bool = False


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class FaultyHttp(Answering):
    """A proxy on a free port of this machine; a context manager.

    Args:
        target: The URL of the real server.
    """

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target).netloc
        self.requests: list[tuple[str, str]] = []
        self.ended = threading.Event()
        self._failures: list[Failure] = []
        self._lock = threading.Lock()
        super().__init__(_Handler)

    @property
    def endpoint(self) -> str:
        """The URL it is reached at."""
        return self.url

    def fail(self, times: int, **what: object) -> None:
        """Let the next so many requests of its method fail; ``what`` is as in ``Failure``."""
        with self._lock:
            self._failures += [Failure(**what)] * times  # type: ignore[arg-type]  # a test's words

    @property
    def pending(self) -> int:
        """Failures that no request has met yet."""
        with self._lock:
            return len(self._failures)

    def forget(self) -> None:
        """Fail no more, and forget the requests."""
        with self._lock:
            self._failures.clear()
            self.requests.clear()

    def next_failure(self, method: str, path: str) -> Failure:
        """What happens to this request."""
        with self._lock:
            self.requests.append((method, path))
            for number, failure in enumerate(self._failures):
                if failure.method in (None, method):
                    return self._failures.pop(number)
        return Failure()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.ended.set()
        super().__exit__(kind, error, traceback)


class _Handler(Handler):
    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy: FaultyHttp = self.server.of
        failure = proxy.next_failure(self.command, self.path)
        self.close_connection = failure.cut is not None or failure.lost or failure.hang
        if failure.hang:
            proxy.ended.wait(60)
            return
        if failure.answer is not None:
            self._send(_refusal(failure, self.command))
            return
        answer = self._passed_on(_flipped(body) if failure.flip_request else body)
        if failure.lost:
            return
        body = _flipped(answer.body) if failure.flip_answer else answer.body
        headers = {**answer.headers, **(failure.headers or {})}
        self._send(Answer(answer.status, headers, body), failure.cut)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - http.server's names

    def _passed_on(self, body: bytes) -> Answer:
        client = http.client.HTTPConnection(self.server.of.target, timeout=30)
        try:
            client.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, text in self.headers.items():
                if name.lower() not in _HOP:
                    client.putheader(name, text)
            if "Content-Length" in self.headers:
                client.putheader("Content-Length", str(len(body)))
            client.endheaders(body)
            got = client.getresponse()
            headers = {name: text for name, text in got.getheaders() if name.lower() not in _HOP}
            if self.command == "HEAD":
                headers["Content-Length"] = got.getheader("Content-Length") or "0"
            return Answer(got.status, headers, got.read())
        finally:
            client.close()

    def _send(self, answer: Answer, cut: int | None = None) -> None:
        self.send_response_only(answer.status)
        for name, text in answer.headers.items():
            self.send_header(name, text)
        if "Content-Length" not in answer.headers and answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body[:cut])


def _refusal(failure: Failure, method: str) -> Answer:
    status, code = failure.answer or (500, "InternalError")
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>scripted</Message></Error>"
    body = b"" if method == "HEAD" else text.encode()
    return Answer(status, {"Content-Type": "application/xml", **(failure.headers or {})}, body)


def _flipped(body: bytes) -> bytes:
    if not body:
        return body
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
