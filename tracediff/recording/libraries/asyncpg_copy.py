"""``COPY`` of asyncpg: one step each, with what was read, or all that was sent."""

from __future__ import annotations

import asyncio
import functools
import os
from typing import Any, Self

from tracediff.recording.libraries.asyncpg_connection import NAME, changes, database
from tracediff.recording.libraries.asyncpg_served import StandIn
from tracediff.recording.libraries.asyncpg_statements import Asking, parent_of
from tracediff.recording.libraries.copied import Written
from tracediff.recording.libraries.queries import Query
from tracediff.recording.libraries.reach import Reach
from tracediff.recording.libraries.statements import subject
from tracediff.recording.spans import Span


def _sent(data: Any, sql: str, database: str) -> None:
    """What was sent."""


@functools.lru_cache(maxsize=256)
def _reach(name: str) -> Reach:
    return Reach("output", f"{NAME} {name}", _sent)


def reading(real: Any) -> Any:
    """What ``copy_from_table`` and ``copy_from_query`` go through."""

    @functools.wraps(real)
    async def _copy_out(self: Any, copy_stmt: str, output: Any, timeout: Any) -> Any:
        parent = parent_of(self, copy_stmt)
        if parent is None:
            return await real(self, copy_stmt, output, timeout)
        asking = Asking(self, parent, copy_stmt, None)
        query, blocks = asking.query, []

        async def noting(data: Any) -> None:
            blocks.append(bytes(data))
            await sink.write(data)

        async with _Sink(output) as sink:
            if type(self._protocol) is StandIn:
                await query.settled()
                for block in await asking.take(0):
                    await sink.write(block)
                return (query.said or {}).get("status", "COPY 0")
            status = await asking.run(lambda: real(self, copy_stmt, noting, timeout))
        query.tells({"status": status})
        query.adds(blocks)
        query.ends()
        return status

    return _copy_out


class _Sink:
    """Where a COPY is written to: a path, a file, or a function that is awaited."""

    def __init__(self, output: Any) -> None:
        self._output = output
        self._opened: Any = None

    async def __aenter__(self) -> Self:
        if isinstance(self._output, str | bytes | os.PathLike):
            self._output = self._opened = await asyncio.to_thread(open, self._output, "wb")
        return self

    async def write(self, data: Any) -> None:
        """Write some of it."""
        if hasattr(self._output, "write"):
            await asyncio.to_thread(self._output.write, data)
        else:
            await self._output(data)

    async def __aexit__(self, *error: object) -> None:
        if self._opened is not None:
            self._opened.close()


def writing(real: Any) -> Any:
    """What ``copy_to_table`` goes through."""

    @functools.wraps(real)
    async def _copy_in(self: Any, copy_stmt: str, source: Any, timeout: Any) -> Any:
        parent = parent_of(self, copy_stmt)
        if parent is None:
            return await real(self, copy_stmt, source, timeout)
        sent = Written()
        pieces = _pieces(source, sent)
        if type(self._protocol) is StandIn:
            try:
                async for _ in pieces:
                    pass
            except Exception as error:  # of the program's source, which was asked first then too
                _query(self, parent, copy_stmt, sent.data()).fails(error)
                raise
            return await _served(self, parent, copy_stmt, sent.data())
        query = _query(self, parent, copy_stmt, None)
        sent.where = (query.sql, query.place)
        query.span.args = sent  # more of it comes
        with query:
            status = await real(self, copy_stmt, pieces, timeout)
        query.tells({"status": status})
        return status

    return _copy_in


async def _pieces(source: Any, sent: Written) -> Any:
    """What is sent, piece by piece, which is noted."""
    opened = None
    if isinstance(source, str | os.PathLike):
        source = opened = await asyncio.to_thread(open, source, "rb")
    try:
        if hasattr(source, "read"):
            while piece := await asyncio.to_thread(source.read, 524288):
                sent.add(piece)
                yield piece
        elif hasattr(source, "__aiter__"):
            async for piece in source:
                sent.add(piece)
                yield piece
        else:
            sent.add(source)
            yield source
    finally:
        if opened is not None:
            opened.close()


def writing_records(real: Any) -> Any:
    """``copy_records_to_table``."""

    @functools.wraps(real)
    async def copy_records_to_table(
        self: Any, table_name: str, *, records: Any, **options: Any
    ) -> Any:
        columns, schema = options.get("columns"), options.get("schema_name")
        name = f"{schema}.{table_name}" if schema else table_name
        sql = f"COPY {name} ({', '.join(columns or '*')}) FROM STDIN (FORMAT binary)"
        parent = parent_of(self, sql)
        if parent is None:
            return await real(self, table_name, records=records, **options)
        if hasattr(records, "__aiter__"):
            rows = [tuple(row) async for row in records]
        else:
            rows = [tuple(row) for row in records]
        if type(self._protocol) is StandIn:
            return await _served(self, parent, sql, rows)
        query = _query(self, parent, sql, rows)
        with query:
            status = await real(self, table_name, records=rows, **options)
        query.tells({"status": status})
        return status

    return copy_records_to_table


def _query(connection: Any, parent: Span, sql: str, data: Any) -> Query:
    reach = _reach(subject(sql))
    where = database(connection, parent)
    changes(connection)
    return Query(reach, reach, parent, (data, sql, where))


async def _served(connection: Any, parent: Span, sql: str, data: Any) -> str:
    query = _query(connection, parent, sql, data)
    await query.settled()
    return str((query.said or {}).get("status", "COPY 0"))
