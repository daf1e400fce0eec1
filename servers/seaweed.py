"""A real S3 server: SeaweedFS in one process.

    with Seaweed(directory) as weed:
        client = weed.client("admin")

Every port it listens on is free together with that port plus 10,000, which it takes too. ``kill``
ends it as ``kill -9`` does; ``start`` brings it back on the same ports and the same directory, in
a second or, when its parts miss each other at first, in six.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.processes import Server, ServerError, launch

VARIABLE = "TRACEDIFF_TEST_S3"
"""The endpoint of an S3 to test against instead; its credentials come from boto3's own chain."""

PORTS = ("master.port", "volume.port", "filer.port", "s3.port", "admin.port")
_SECOND = 10_000
_OFF = (
    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-metricsPort=0", "-webdav=false"),
    *("-admin.ui=false", "-master.telemetry=false", "-s3.autoCreateBucket=false"),
    *("-master.electionTimeout=1s", "-volume.preStopSeconds=0"),  # it is alone: no need to wait
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who may do what: ``Admin``, ``Read``, ``Write``, ``List``, or in one bucket ``Read:NAME``.

    ``Read:NAME/PREFIX*`` is for the objects of a bucket whose keys begin so.
    """

    name: str
    actions: tuple[str, ...]
    access_key: str = field(default_factory=lambda: secrets.token_hex(10))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20))

    def as_json(self) -> dict[str, Any]:
        """As the server's configuration has it."""
        keys = {"accessKey": self.access_key, "secretKey": self.secret_key}
        return {"name": self.name, "credentials": [keys], "actions": list(self.actions)}

    def environment(self) -> dict[str, str]:
        """The variables by which a client finds these credentials."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


def identities(*buckets: str) -> tuple[Identity, ...]:
    """An admin, a recorder that only writes and a reader that only reads, in these buckets.

    ``acme`` reads what is that tenant's alone, below the prefix ``shops``.
    """
    own = [f"{one}/shops/{kept}tenants/acme/*" for one, kept in (("30d", ""), ("keep", "keep/"))]
    return (
        Identity(name="admin", actions=("Admin", "Read", "List", "Tagging", "Write")),
        Identity(name="recorder", actions=tuple(f"Write:{bucket}" for bucket in buckets)),
        Identity(
            name="reader",
            actions=tuple(f"{what}:{one}" for one in buckets for what in ("Read", "List")),
        ),
        Identity(
            name="acme",
            actions=tuple(f"Read:{bucket}/{prefix}" for bucket in buckets for prefix in own),
        ),
    )


class Seaweed(Server):
    """SeaweedFS on free ports of this machine.

    Args:
        directory: Where it keeps everything; made when it is missing.
        known: Who may do what; ``admin``, ``recorder`` and ``reader`` of ``buckets`` by default.
        buckets: Buckets that are there when it has started.
    """

    name = program = "weed"
    to_start, to_end = 60.0, 10.0

    def __init__(
        self,
        directory: Path,
        known: Sequence[Identity] | None = None,
        buckets: Sequence[str] = ("traces-a", "traces-b"),
    ) -> None:
        super().__init__(directory)
        self.buckets = tuple(buckets)
        self.identities = {one.name: one for one in known or identities(*buckets)}
        self._ports: dict[str, int] = {}
        self._session: Any = None
        self._asking: Any = None

    @property
    def endpoint(self) -> str:
        """The URL it is reached at; the same after ``kill`` and ``start``."""
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it and wait until it takes a put, into a bucket of its own, ``ready``.

        Raises:
            ServerError: There is no ``weed``, or it does not get ready.
        """
        data = self.directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        config = {"identities": [one.as_json() for one in self.identities.values()]}
        (self.directory / "s3.json").write_text(json.dumps(config), encoding="utf-8")
        first = not self._ports
        for left in (2, 1, 0):  # another process may take a port that was free a moment ago
            self._ports = self._ports or dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
            try:
                super().start()
            except ServerError:
                if first:
                    self._ports = {}
                if not left:
                    raise
            else:
                return

    def client(self, name: str = "admin", **config: Any) -> Any:
        """A plain boto3 client with this identity; ``config`` is botocore's."""
        import boto3  # type: ignore[import-untyped]  # it ships no types
        from botocore.config import Config  # type: ignore[import-untyped]  # the same

        self._session = self._session or boto3.session.Session()
        who = self.identities[name]
        config = {"s3": {"addressing_style": "path"}, "signature_version": "s3v4", **config}
        return self._session.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key,
            config=Config(**config),
        )

    def _launch(self) -> subprocess.Popen[bytes]:
        ports = [f"-{name}={port}" for name, port in self._ports.items()]
        command = [_weed(), "-logtostderr=true", "mini", "-dir=data", "-ip=127.0.0.1"]
        command += ["-ip.bind=127.0.0.1", *ports, *_OFF, "-s3.config=s3.json"]
        # Its sockets have short names beside its data: the system's limit is 107 bytes.
        command += ["-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"]
        return launch(command, self.log, directory=self.directory)

    def _wait(self) -> None:
        waits = {"connect_timeout": 1, "read_timeout": 1, "retries": {"total_max_attempts": 1}}
        self._asking = self.client(**waits)
        try:
            super()._wait()
        finally:
            self._asking.close()

    def _answers(self) -> bool:
        from botocore.exceptions import (  # type: ignore[import-untyped]  # it ships no types
            BotoCoreError,
            ClientError,
        )

        try:
            _make(self._asking, ("ready", *self.buckets))
            self._asking.put_object(Bucket="ready", Key="ready", Body=b"ready")
        except (BotoCoreError, ClientError):  # it is not ready yet
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        super()._end(how)
        for port in self._ports.values():  # what it leaves where it listened
            for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + _SECOND}.sock"):
                left.unlink(missing_ok=True)


def free_ports(count: int) -> list[int]:
    """Ports that are free, and so are they plus 10,000; below those that clients get."""
    found: list[int] = []
    dice = random.SystemRandom()
    while len(found) < count:
        port = dice.randrange(11_000, 22_000)
        if port not in found and _is_free(port) and _is_free(port + _SECOND):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:  # somebody has it
            return False
    return True


def _make(client: Any, buckets: Sequence[str]) -> None:
    there = {one["Name"] for one in client.list_buckets()["Buckets"]}
    for bucket in buckets:
        if bucket not in there:
            client.create_bucket(Bucket=bucket)


def _weed() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("weed")
    if found is None:
        raise ServerError(
            "there is no `weed` beside this Python nor on the PATH: run `make setup`, or install "
            "what servers/requirements.txt lists"
        )
    return found
