"""The pools of psycopg: a connection that they do not give is an input."""

from __future__ import annotations

import functools
from typing import Any

from tracediff.recording.libraries.psycopg_connection import DRIVER, PREPARED, given, named
from tracediff.recording.libraries.reach import recorded_here
from tracediff.runtime import current


def _pool_address(pool: Any) -> str:
    dsn, options = pool.conninfo, pool.kwargs
    return named(
        given(dsn if isinstance(dsn, str) else "", options if isinstance(options, dict) else {})
    )


def _taken(connection: Any) -> Any:
    if connection is not None:
        vars(connection)[PREPARED] = True
    return connection


def taking(real: Any) -> Any:
    """``getconn`` of a pool, which is recorded where it fails."""

    @functools.wraps(real)
    def getconn(self: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            return _taken(real(self, *args, **kwargs))
        known = DRIVER.of(parent)
        name, number, failed = known.attempt(_pool_address(self))
        if failed:
            known.took_none(parent, name, number, None)
        token = known.enter_shield()
        try:
            return _taken(real(self, *args, **kwargs))
        except Exception as error:
            raised = error
        finally:
            current.reset(token)
        known.took_none(parent, name, number, raised)
        raise raised

    return getconn


def taking_async(real: Any) -> Any:
    """``getconn`` of an asynchronous pool."""

    @functools.wraps(real)
    async def getconn(self: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            return _taken(await real(self, *args, **kwargs))
        known = DRIVER.of(parent)
        name, number, failed = known.attempt(_pool_address(self))
        if failed:
            known.took_none(parent, name, number, None)
        token = known.enter_shield()
        try:
            return _taken(await real(self, *args, **kwargs))
        except Exception as error:
            raised = error
        finally:
            current.reset(token)
        known.took_none(parent, name, number, raised)
        raise raised

    return getconn
