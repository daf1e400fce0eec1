"""boto3's clients: made when first needed, one a process, and asked in one place."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from tracediff import runtime
from tracediff.errors import StoreError
from tracediff.stores.failures import closed
from tracediff.stores.s3.address import Address
from tracediff.stores.s3.failures import code_of, inherited, no_client, store_error
from tracediff.stores.s3.layout import is_days

CONNECT_SECONDS = 3.0
READ_SECONDS = 15.0
ATTEMPTS = 3
CONNECTIONS = 16
T = TypeVar("T")


class ExpectedError(Exception):
    """An answer that the caller said it would handle; ``code`` is the server's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Clients:
    """The client of this process.

    Args:
        address: Where to, and how.
        client: A client, or a function that makes one; None to make one from the address.
        connect_seconds: How long to wait for a connection.
        read_seconds: How long to wait for the next bytes of an answer.
        attempts: How often the client tries, the first time included.
    """

    def __init__(
        self,
        address: Address,
        client: Any = None,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._address = address
        self._given = client
        self._settings: dict[str, Any] = {
            "connect_timeout": connect_seconds,
            "read_timeout": read_seconds,
            "retries": {"mode": "standard", "total_max_attempts": attempts},
        }
        self._pid = self._home = os.getpid()
        self._lock = threading.Lock()
        self._client: Any = None
        self._inherited: list[Any] = []
        self._closed = False

    def ask(
        self, operation: str, doing: str, *, expecting: Collection[str] = (), **arguments: Any
    ) -> dict[str, Any]:
        """What the server answers.

        Args:
            operation: The client's method.
            doing: What is done and to what, for the error's message.
            expecting: Error codes that are raised as ``ExpectedError``.
            **arguments: The method's arguments.

        Raises:
            ExpectedError: The server answered with one of the expected codes.
            StoreError: What ``failures`` says of anything else.
        """
        client = self._of_this_process(doing)
        ask: Callable[..., dict[str, Any]] = getattr(client, operation)
        return translated(doing, lambda: ask(**arguments), expecting)

    def pages(self, operation: str, doing: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """The answers of an operation that answers in pages."""
        client = self._of_this_process(doing)
        pages: Iterator[dict[str, Any]] = iter(
            client.get_paginator(operation).paginate(**arguments)
        )
        while (page := translated(doing, lambda: next(pages, None))) is not None:
            yield page

    def classes(self, bucket: str, prefix: str = "") -> list[str]:
        """The retention classes, of those that end, that have objects and begin so."""
        found = []
        for page in self.pages(
            "list_objects_v2", f"list bucket {bucket}", Bucket=bucket, Prefix=prefix, Delimiter="/"
        ):
            names = (one["Prefix"].rstrip("/") for one in page.get("CommonPrefixes", ()))
            found += [name for name in names if is_days(name)]
        return found

    def connect(self) -> None:
        """Make the client of this process; no server is asked."""
        self._of_this_process("connect")

    def close(self) -> None:
        """Let go of the connections, of a client that was made here; a second call does nothing."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None and client is not self._given and self._pid == os.getpid():
            client.close()

    def _of_this_process(self, doing: str) -> Any:
        if self._closed:
            raise closed(f"cannot {doing}")
        if self._pid != os.getpid():
            # The lock may have been held by a thread that did not come along. The parent's client
            # is kept, unused: ending it here would say goodbye on the parent's connections.
            self._lock = threading.Lock()
            self._inherited.append(self._client)
            self._client = None
            self._pid = os.getpid()
        client = self._client
        if client is None:
            with self._lock:
                client = self._client = self._client or self._made(doing)
        return client

    def _made(self, doing: str) -> Any:
        if callable(self._given):
            return self._given()
        if self._given is not None:
            if self._home != os.getpid():
                raise inherited()
            return self._given
        return translated(doing, lambda: _make(self._address, self._settings))


def translated(doing: str, call: Callable[[], T], expecting: Collection[str] = ()) -> T:
    """What ``call`` returns; what boto3 raises becomes ExpectedError or StoreError, without cause.

    The cause would show the server's text, which may quote access keys and signatures.
    """
    from botocore.exceptions import (  # type: ignore[import-untyped]  # it ships no types
        BotoCoreError,
        ClientError,
    )
    from urllib3.exceptions import HTTPError

    problem: ExpectedError | StoreError
    try:
        with runtime.aside():  # a job may record what it asks by the same library
            return call()
    except (BotoCoreError, ClientError, HTTPError, OSError) as error:
        code = code_of(error)
        problem = ExpectedError(code) if code in expecting else store_error(error, doing)
    raise problem  # out here, so that it has no context either


def _make(address: Address, settings: dict[str, Any]) -> Any:
    from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types

    config = Config(
        **settings,
        signature_version="s3v4",
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        # Checksums are sent and checked here; what others would add, many servers do not know.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if address.path_style else "auto"},
    )
    session = _session()
    # A region is part of every signature; servers other than Amazon's take any.
    region = address.region or session.region_name or ("us-east-1" if address.endpoint else None)
    return session.client("s3", endpoint_url=address.endpoint, region_name=region, config=config)


def _session() -> Any:
    """A session of boto3's, with what this process has read of its descriptions of services."""
    import boto3  # type: ignore[import-untyped]  # it ships no types
    import botocore.session  # type: ignore[import-untyped]  # the same

    core = botocore.session.get_session()
    core.register_component(
        "data_loader", _loaded.setdefault("", core.get_component("data_loader"))
    )
    return boto3.session.Session(botocore_session=core)


_loaded: dict[str, Any] = {}


def require() -> None:
    """Raise StoreError ``store-driver`` unless boto3 is installed."""
    from importlib.util import find_spec

    if find_spec("boto3") is None:
        raise no_client(ImportError("No module named 'boto3'"))
