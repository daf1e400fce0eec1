"""Runs the pages' server until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from tracediff.errors import UsageError

HEAD_WITHIN: Final = 10.0
"""Seconds in which the head of a request must come."""

FINISH_WITHIN: Final = 10
"""Seconds that running requests get to finish."""

_BACKLOG: Final = 128
_CONNECTIONS: Final = 500
_LARGEST_HEAD: Final = 32 * 1024


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes a free one.

    Raises:
        UsageError: ``ui-address-unknown``, ``ui-address-taken`` or ``ui-address-refused``.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"there is no host {host!r}: {getattr(error, 'strerror', None) or error}",
            slug="ui-address-unknown",
            hint="--host takes an address of this machine, such as 127.0.0.1 or 0.0.0.0",
        ) from None
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise _refused(host, port, error) from None
    return listening


def _refused(host: str, port: int, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"port {port} is taken at {host}",
            slug="ui-address-taken",
            hint="--port 0 takes a free one",
        )
    privileged = isinstance(error, PermissionError)
    return UsageError(
        f"the server cannot listen at {host}, port {port}: {error.strerror or error}",
        slug="ui-address-refused",
        hint="ports below 1024 are the system's: take a higher one"
        if privileged
        else "--host takes an address of this machine, such as 127.0.0.1 or 0.0.0.0",
    )


def reached_by_others(listening: socket.socket) -> bool:
    """Whether other machines reach what listens there."""
    return not ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def listens_anywhere(listening: socket.socket) -> bool:
    """Whether it listens on all addresses."""
    return ip_address(listening.getsockname()[0].partition("%")[0]).is_unspecified


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until interrupted or told to end; requests that run then are finished.

    Raises:
        KeyboardInterrupt: It was interrupted.
    """
    running = server(app)
    running.run(sockets=[listening])
    if running.interrupted:
        raise KeyboardInterrupt


def server(app: ASGIApp) -> Server:
    """The server of an application, not yet started."""
    return Server(uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,  # who is believed is decided by the gate, from the real peer
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=FINISH_WITHIN,
        h11_max_incomplete_event_size=_LARGEST_HEAD,
    ))  # fmt: skip


class Server(uvicorn.Server):
    """Ends by itself after a signal, where uvicorn would let the signal end the process."""

    interrupted = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that end the process, while it runs."""
        if threading.current_thread() is not threading.main_thread():
            yield  # no other thread may
            return
        before = {one: signal.signal(one, self._ended) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def _ended(self, number: int, frame: Any) -> None:
        self.interrupted = self.interrupted or number == signal.SIGINT
        self.handle_exit(number, frame)


class Impatient(H11Protocol):
    """Closes a connection on which the head of a request is begun and does not end."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def on_response_complete(self) -> None:
        """Wait for the next one."""
        super().on_response_complete()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        if self._head is not None:
            self._head.cancel()

    def _await_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
        self._head = self.loop.call_later(HEAD_WITHIN, self._late)

    def _late(self) -> None:
        running: Any = self.cycle  # None before the first request
        if running is None or running.response_complete:
            self.transport.close()
