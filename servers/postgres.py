"""A PostgreSQL of this machine's packages, with a database directory of its own.

    with Postgres(directory) as postgres:
        postgres.create_database("shop")
        ...  # postgres.url("shop")

``kill`` ends it as ``kill -9`` does; ``start`` brings it back, on its port and with its data.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from servers.processes import Server, ServerError, free_port, launch

USER = "postgres"
"""Who asks it, with a password; and who runs it where the caller is root, whom it refuses."""


def binary(name: str) -> str:
    """The path of one of its programs, of the newest version there is.

    Raises:
        ServerError: It is not installed.
    """
    debian = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4])
    )
    found = str(debian[-1]) if debian else shutil.which(name)
    if found is None:
        raise ServerError(
            f"there is no {name}: install PostgreSQL with `make setup`, or the package postgresql"
        )
    return found


class Postgres(Server):
    """A PostgreSQL server; its data lie in a directory of their own, and go with the block."""

    name = "PostgreSQL"
    program = "postgres"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self._user = USER if os.getuid() == 0 else None
        self._place: Path | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """Its address, with the password, as psycopg and Django's settings take it."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """End it in order, without waiting for its clients (SIGINT), if it runs."""
        self._end(signal.SIGINT)

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Make a database, a copy of another one if that is named; its address."""
        with self.connect() as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template or "template1")
            )
            connection.execute(statement)
        return self.url(name)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of psycopg's own, without transactions; close it."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)

    def _launch(self) -> subprocess.Popen[bytes]:
        data = self._data()
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "",
            "fsync": "off", "shared_buffers": "32MB", "max_connections": 60,
        }  # fmt: skip
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [binary("postgres"), "-D", str(data), *options]
        return launch(command, self.log, directory=data, user=self._user)

    def _data(self) -> Path:
        """Its data, which lie where its own user can read them: no other may be above."""
        if self._place is not None:
            return self._place / "data"
        self._place = place = Path(tempfile.mkdtemp(prefix="postgres-"))
        (place / "password").write_text(self.password, encoding="ascii")
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            for path in (place, place / "password"):
                os.chown(path, account.pw_uid, account.pw_gid)
        command = [
            binary("initdb"), "-D", str(place / "data"), "-U", USER, "--no-sync",
            "--auth=scram-sha-256", "--pwfile", str(place / "password"),
            "--encoding=UTF8", "--locale=C.UTF-8",
        ]  # fmt: skip
        if launch(command, self.log, directory=place, user=self._user).wait(60) != 0:
            raise ServerError(f"initdb failed:\n{self._said()}")
        return place / "data"

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:  # it still starts
            return False
        return True
