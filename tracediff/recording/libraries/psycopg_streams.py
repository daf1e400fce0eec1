"""``stream`` of psycopg's cursors: rows that come one by one, recorded as they come."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tracediff.recording.libraries.psycopg_cursor import Asking, asks, said_of
from tracediff.recording.libraries.psycopg_served import StandIn


class _Noting:
    """The row factory of a stream, whose rows are recorded as they come."""

    def __init__(self, asking: Asking, factory: Any) -> None:
        self._asking = asking
        self.factory = factory

    def __call__(self, cursor: Any) -> Any:
        make, asking = self.factory(cursor), self._asking
        if cursor.pgresult is None:
            return make
        said = said_of(cursor, cursor.pgresult)
        columns = said.get("columns") or ()
        asking.query.tells({"columns": columns, "types": said.get("types")}, columns)

        def noting(cells: Any) -> Any:
            asking.query.adds([tuple(cells)])
            return make(cells)

        return noting


def streaming(real: Any) -> Any:
    """``stream`` of a cursor."""

    @functools.wraps(real)
    def stream(self: Any, query: Any, params: Any = None, **kwargs: Any) -> Iterator[Any]:
        asking = asks(self, query, params)
        if asking is None:
            yield from real(self, query, params, **kwargs)
            return
        if type(self.connection.pgconn) is StandIn:
            asking.serve()
            asking.query.settle()
            yield from _served(self)
            return
        factory, self._row_factory = self._row_factory, _Noting(asking, self._row_factory)
        rows = real(self, query, params, **kwargs)
        try:
            for row in rows:
                self._row_factory = factory
                yield row
        except GeneratorExit:
            raise
        except BaseException as error:
            asking.query.fails(error)
            asking.failed()
            raise
        else:
            _ended(asking)
        finally:
            self._row_factory = factory
            rows.close()

    return stream


def streaming_async(real: Any) -> Any:
    """``stream`` of an asynchronous cursor."""

    @functools.wraps(real)
    async def stream(
        self: Any, query: Any, params: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        asking = asks(self, query, params)
        if asking is None:
            async for row in real(self, query, params, **kwargs):
                yield row
            return
        if type(self.connection.pgconn) is StandIn:
            asking.serve()
            await asking.query.settled()
            for row in _served(self):
                yield row
            return
        factory, self._row_factory = self._row_factory, _Noting(asking, self._row_factory)
        rows = real(self, query, params, **kwargs)
        try:
            async for row in rows:
                self._row_factory = factory
                yield row
        except GeneratorExit:
            raise
        except BaseException as error:
            asking.query.fails(error)
            asking.failed()
            raise
        else:
            _ended(asking)
        finally:
            self._row_factory = factory
            await rows.aclose()

    return stream


def _ended(asking: Asking) -> None:
    if asking.query.said is None:
        asking.query.tells({})
    asking.query.ends()


def _served(cursor: Any) -> Iterator[Any]:
    at = 0
    while True:
        rows = cursor._tx.load_rows(at, at + 1, cursor._make_row)
        if not rows:
            return
        yield rows[0]
        at += 1
