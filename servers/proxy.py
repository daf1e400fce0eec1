"""A TCP proxy that makes a server slow, silent or gone, as networks do.

    with Proxy("127.0.0.1", port) as proxy:
        connect(proxy.port)
        proxy.stall()

Each change holds for the connections that are open and for those to come.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

_PIECE = 16 * 1024


class Proxy:
    """Listens on a free port of this machine and passes everything on; a context manager.

    Args:
        host: Where to.
        port: And to which port.
        latency: Seconds that every piece waits, both ways.
        rate: The most bytes a second of each connection and way; no bound by default.
    """

    def __init__(
        self, host: str, port: int, *, latency: float = 0.0, rate: float | None = None
    ) -> None:
        self.latency = latency
        self.rate = rate
        self.accepted = 0
        self._target = (host, port)
        self._flowing = threading.Event()
        self._flowing.set()
        self._ended = threading.Event()
        self._refusing = False
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def stall(self) -> None:
        """Pass nothing on any more, and close nothing: a half-open connection."""
        self._flowing.clear()

    def resume(self) -> None:
        """Pass on what waits, and all that follows; take connections again."""
        self._refusing = False
        self._flowing.set()

    def cut(self) -> None:
        """Close every connection at once; new ones are taken."""
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            _close(one)

    def refuse(self) -> None:
        """Close every connection, and each new one as soon as it comes."""
        self._refusing = True
        self.cut()

    def close(self) -> None:
        """End, with all connections."""
        self._ended.set()
        self._flowing.set()
        _close(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]  # any callable
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                if self._refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(self._target, 10)
            except OSError:
                _close(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets |= {client, server}
            self._run(self._pass, client, server)
            self._run(self._pass, server, client)

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                self._ended.wait(self.latency + (len(piece) / self.rate if self.rate else 0.0))
                self._flowing.wait()
                sink.sendall(piece)
        _close(source)
        _close(sink)
        with self._lock:
            self._sockets -= {source, sink}


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
