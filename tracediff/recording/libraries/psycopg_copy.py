"""``COPY`` of psycopg: what is read is an input by blocks, what is written an output at its end.

The object that the program works with is psycopg's own, so that rows are parsed and formatted as
ever. In a replay it reads the recorded blocks, and keeps what it is to send.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
from psycopg import pq
from psycopg.pq.misc import PGresAttDesc

from tracediff.recording.faults import brief
from tracediff.recording.libraries.copied import Written
from tracediff.recording.libraries.psycopg_connection import NAME, database
from tracediff.recording.libraries.psycopg_cursor import Asking, asks, bare, give
from tracediff.recording.libraries.psycopg_served import StandIn, transformer
from tracediff.recording.libraries.queries import Query
from tracediff.recording.libraries.reach import Reach

_IN, _OUT = pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT


def _sent(data: Any, sql: str, database: str) -> None:
    """What was sent."""


SENT = Reach("output", f"{NAME} copied data", _sent)


class _Copied:
    """One COPY of a cursor, while it is recorded or served."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.cursor = asking.cursor
        self.sent = Written()
        self.copy: Any = None

    def begun(self, copy: Any) -> None:
        """Note what is read and written from now on."""
        try:
            self._begin(copy)
        except Exception as error:  # a recorder never breaks the job
            self.asking.parent.buffer.warn(f"psycopg: a COPY could not be recorded: {brief(error)}")

    def _begin(self, copy: Any) -> None:
        self.copy = copy
        result = self.cursor.pgresult
        self.asking.query.tells(
            {"copy": int(result.status), "binary": bool(result.binary_tuples),
             "columns": result.nfields}
        )  # fmt: skip
        if result.status == _OUT:
            copy._read_gen = functools.partial(self._reads, copy._read_gen)
        else:
            copy._write = self._writes_async(copy) if self._is_async() else self._writes(copy)
        finish = self._finishes_async if self._is_async() else self._finishes
        copy.finish = functools.partial(finish, copy.finish)

    def _is_async(self) -> bool:
        return isinstance(self.cursor, psycopg.AsyncCursor)

    def _reads(self, real: Any) -> Any:
        query = self.asking.query
        try:
            data = yield from real()
        except BaseException as error:
            query.fails(error)
            raise
        if data:
            query.adds([bytes(data)])
        else:
            query.ends()
        return data

    def _writes(self, copy: Any) -> Any:
        real, add = copy._write, self.sent.add

        def write(data: Any) -> None:
            add(data)
            real(data)

        return write

    def _writes_async(self, copy: Any) -> Any:
        real, add = copy._write, self.sent.add

        async def write(data: Any) -> None:
            add(data)
            await real(data)

        return write

    def _finishes(self, real: Any, error: BaseException | None) -> None:
        if self._has_left(error):
            real(error)
            return
        query = self._query()
        with query:
            real(error)
        self._told(query)

    async def _finishes_async(self, real: Any, error: BaseException | None) -> None:
        if self._has_left(error):
            await real(error)
            return
        query = self._query()
        with query:
            await real(error)
        self._told(query)

    def _has_left(self, error: BaseException | None) -> bool:
        """Whether nothing was written; what psycopg reads from now on, the job does not see."""
        reads = self.copy._direction == _OUT
        if reads:
            vars(self.copy).pop("_read_gen", None)
        return reads or error is not None

    def _query(self) -> Query:
        asking = self.asking
        where = database(self.cursor.connection, asking.parent)
        self.sent.where = (asking.query.sql, where)
        served = asking.parent.buffer.server is not None
        data = self.sent.data() if served else None
        query = Query(SENT, SENT, asking.parent, (data, *self.sent.where))
        if not served:
            query.span.args = self.sent  # more of it comes
        return query

    def _told(self, query: Query) -> None:
        results = self.cursor._results
        query.tells({"rowcount": results[0].command_tuples if results else -1})

    # --- in a replay

    def stand_in(self, writer: Any) -> Any:
        """Psycopg's object, on what is recorded."""
        query, cursor = self.asking.query, self.cursor
        said = query.said or {"copy": int(_IN), "binary": False, "columns": 0}
        direction = pq.ExecStatus(said["copy"])
        cursor._reset()
        result = _result(direction, said["columns"], said["binary"])
        cursor._results, cursor.pgresult = [result], result
        cursor._tx = transformer(cursor)
        cursor._tx.set_pgresult(result)
        make: Any = psycopg.AsyncCopy if self._is_async() else psycopg.Copy
        copy = make(cursor, writer=writer)
        self.copy = copy
        if direction == _OUT:
            copy._read_gen = self._served
        elif writer is None:
            copy._write = self._keeps_async if self._is_async() else self.sent.add
        copy.finish = self._ended_async if self._is_async() else self._ended
        return copy

    def _served(self) -> Any:
        yield from ()  # a generator, as psycopg's own is
        return self.asking.query.again() or b""

    async def _keeps_async(self, data: Any) -> None:
        self.sent.add(data)

    def _ended(self, error: BaseException | None) -> None:
        if self.copy._direction == _OUT or error is not None:
            return
        if data := self.copy.formatter.end():
            self.sent.add(data)
        query = self._query()
        if query.error is not None:
            self.cursor.connection.pgconn.fails(False)
        query.settle()
        said = query.said or {"rowcount": -1}
        give(self.cursor, [({**said, "status": f"COPY {said['rowcount']}"}, [])])

    async def _ended_async(self, error: BaseException | None) -> None:
        self._ended(error)


def _result(direction: pq.ExecStatus, columns: int, binary: bool) -> Any:
    """A result of libpq that was never sent, by whose columns psycopg parses rows."""
    make: Any = pq.PGconn
    held = make(None) if pq.__impl__ == "python" else make()
    result = held.make_empty_result(direction)
    result.set_attributes([PGresAttDesc(b"", 0, 0, int(binary), 0, -1, -1)] * columns)
    return result


def copying(real: Any) -> Any:
    """``copy`` of a cursor."""

    @functools.wraps(real)
    @contextlib.contextmanager
    def copy(self: Any, statement: Any, params: Any = None, *, writer: Any = None) -> Iterator[Any]:
        asking = _asks(self, statement, params)
        if asking is None:
            with real(self, statement, params, writer=writer) as plain:
                yield plain
            return
        copied = _Copied(asking)
        if type(self.connection.pgconn) is StandIn:
            _begin(asking)
            asking.query.settle()
            with copied.stand_in(writer) as served:
                yield served
            return
        with _started(asking, real(self, statement, params, writer=writer)) as made:
            copied.begun(made)
            yield made

    return copy


def copying_async(real: Any) -> Any:
    """``copy`` of an asynchronous cursor."""

    @functools.wraps(real)
    @contextlib.asynccontextmanager
    async def copy(
        self: Any, statement: Any, params: Any = None, *, writer: Any = None
    ) -> AsyncIterator[Any]:
        asking = _asks(self, statement, params)
        if asking is None:
            async with real(self, statement, params, writer=writer) as plain:
                yield plain
            return
        copied = _Copied(asking)
        if type(self.connection.pgconn) is StandIn:
            _begin(asking)
            await asking.query.settled()
            async with copied.stand_in(writer) as served:
                yield served
            return
        async with _started_async(asking, real(self, statement, params, writer=writer)) as made:
            copied.begun(made)
            yield made

    return copy


def _asks(cursor: Any, statement: Any, params: Any) -> Asking | None:
    bare(cursor)
    return asks(cursor, statement, params)


def _begin(asking: Asking) -> None:
    held = asking.cursor.connection.pgconn
    if asking.query.ran:
        asking.parent.buffer.warn(f"{NAME}: a COPY does not run for real in a replay")
        asking.query.ran = False
    if asking.query.error is not None and (asking.query.said is None or asking.query.broke):
        held.fails(asking.query.broke)
    elif not asking.cursor.connection.autocommit:
        held.ends("BEGIN")


class _started:  # noqa: N801 - reads as a function
    """The start of a COPY, which is the statement's own step."""

    def __init__(self, asking: Asking, inner: Any) -> None:
        self._asking = asking
        self._inner = inner

    def __enter__(self) -> Any:
        try:
            with self._asking.query:
                return self._inner.__enter__()
        except BaseException:
            self._asking.failed()
            raise

    def __exit__(self, *error: object) -> Any:
        return self._inner.__exit__(*error)


class _started_async:  # noqa: N801 - as above
    def __init__(self, asking: Asking, inner: Any) -> None:
        self._asking = asking
        self._inner = inner

    async def __aenter__(self) -> Any:
        try:
            with self._asking.query:
                return await self._inner.__aenter__()
        except BaseException:
            self._asking.failed()
            raise

    async def __aexit__(self, *error: object) -> Any:
        return await self._inner.__aexit__(*error)
