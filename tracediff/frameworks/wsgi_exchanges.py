"""WSGI: one request and its response, followed as they go by, and made in a replay."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

from tracediff.frameworks.bodies import Received
from tracediff.frameworks.messages import (
    path_without_secrets,
    query_data,
    request_headers,
    with_length,
    with_scheme,
)
from tracediff.frameworks.rebuilding import sent_bytes, sent_headers, sent_query

Environ = dict[str, Any]
REPLAYED = "tracediff.replayed"
"""The environ's entry that marks the request of a replay."""


def request_data(environ: Environ, route: Mapping[str, Any]) -> dict[str, Any]:
    """A request's arguments; its body is known when it was read."""
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    headers = with_scheme(request_headers(_headers(environ)))
    return {
        "method": environ["REQUEST_METHOD"],
        "path": path_without_secrets(path, route),
        "route": dict(route),
        "query": query_data(environ.get("QUERY_STRING", "")),
        "body": None,
        "headers": with_length(headers, environ.get("CONTENT_LENGTH")),
    }


def _headers(environ: Environ) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").title(), value
        elif name == "CONTENT_TYPE" and value:
            yield "Content-Type", value


class Input:
    """A request's stream, and what is read from it."""

    def __init__(self, stream: Any, received: Received) -> None:
        self._stream = stream
        self._received = received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _told(self, data: bytes) -> bytes:
        if data:
            self._received.add(data)
        return data

    def read(self, *size: int) -> bytes:
        """Some bytes, or all."""
        return self._told(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        """The next line."""
        return self._told(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        """The lines that are left."""
        return [self._told(line) for line in self._stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(self._told, self._stream)


class _Unknown(io.RawIOBase):
    """A body that was not recorded: it stops the replay where it is read."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        str(self._data)
        return 0


def rebuilt_environ(given: Mapping[str, Any]) -> Environ:
    """The request that recorded arguments describe."""
    headers = sent_headers(given["headers"])
    data = sent_bytes(headers, given["body"])
    known = isinstance(data, bytes)
    environ: Environ = {
        "REQUEST_METHOD": given["method"],
        "PATH_INFO": str(given["path"]).encode().decode("latin-1"),
        "SCRIPT_NAME": "",
        "QUERY_STRING": sent_query(given["query"]),
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(data)) if known else "1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(data) if known else _Unknown(data),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": True,
        REPLAYED: True,
    }
    headers.pop("Content-Length", None)
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return environ
