"""``os.environ``: each variable the program reads, by name, and the names when it asks for all.

A value whose name says that it is secret is sealed; a replay that uses it stops and says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from tracediff.config import Config
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, asked_by_python, recorded_here

_PASSED = ("os", "collections.abc", "_collections_abc")
"""``os.getenv`` and the mapping's ``get``, ``items`` and ``in``, which all end here."""

_SERVED = frozenset(
    """arq asgiref billiard celery django dramatiq google grpc httpcore httpx huey kombu psycopg
    psycopg_pool pymongo redis requests rq sqlalchemy""".split()
)
"""What a replay answers for: what these read for themselves, some once a process, says only where
their servers, proxies and certificates are."""


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    kind = type(os.environ)
    return [
        Patch(kind, "__getitem__", _item(kind.__getitem__)),
        Patch(kind, "__iter__", _names(kind.__iter__)),
    ]


def _item(real: Any) -> Any:
    def variable(name: str) -> str:
        return real(os.environ, name)  # type: ignore[no-any-return]  # a text

    reach = Reach("input", "os.environ", variable)

    def __getitem__(self: Any, key: Any) -> Any:  # noqa: N807 - it stands for that method
        parent = recorded_here()
        if self is not os.environ or parent is None or asked_by_python(_PASSED, _SERVED):
            return real(self, key)
        redactor = parent.buffer.redactor
        return reach(parent, key, secret=lambda value: redactor.names_secret(key, value))

    return __getitem__


def _names(real: Any) -> Any:
    def names() -> list[str]:
        return list(real(os.environ))

    reach = Reach("input", "names of os.environ", names)

    def __iter__(self: Any) -> Iterator[Any]:  # noqa: N807 - it stands for that method
        parent = recorded_here()
        if self is not os.environ or parent is None or asked_by_python(_PASSED, _SERVED):
            return real(self)  # type: ignore[no-any-return]  # an iterator
        return iter(reach(parent))

    return __iter__
