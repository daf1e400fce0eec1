"""A Redis of this machine's packages, which keeps nothing on disk.

    with Redis(directory) as redis:
        ...  # redis.url

``kill`` ends it as ``kill -9`` does; ``start`` brings it back, empty, on the port it had.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from servers.processes import Server, ServerError, free_port, launch


def binary() -> str:
    """The path of redis-server.

    Raises:
        ServerError: It is not installed.
    """
    found = shutil.which("redis-server")
    if found is None:
        raise ServerError(
            "there is no redis-server: install it with `make setup`, or the package redis-server"
        )
    return found


class Redis(Server):
    """A Redis server."""

    name = "Redis"
    program = "redis"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = free_port()

    @property
    def url(self) -> str:
        """Its address, as Celery takes it for a broker."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _launch(self) -> subprocess.Popen[bytes]:
        command = [
            binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory),
            "--save", "", "--appendonly", "no",
        ]  # fmt: skip
        return launch(command, self.log, directory=self.directory)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:  # it still starts
            return False
