"""The connections of psycopg: where they lead, what is open on them, and what stands for them.

In a replay ``connect`` and the pools give psycopg's own connections around a stand-in for libpq's.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, cast

import psycopg
from psycopg import conninfo

from tracediff import runtime
from tracediff.recording.libraries.databases import Driver, address
from tracediff.recording.libraries.psycopg_served import Result, StandIn
from tracediff.recording.libraries.queries import CANCELLED_AFTER, Query
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.recording.libraries.statements import subject
from tracediff.recording.spans import Span
from tracediff.runtime import current

NAME = "psycopg"
DRIVER = Driver(NAME)
_LABEL = "_tracediff_database"
_BEFORE = "_tracediff_before"
PREPARED = "_tracediff_prepared"
_CHANGED = "_tracediff_changed"
_ENDS = {b"COMMIT": "commit", b"ROLLBACK": "rollback"}
_STEPS = (b"SAVEPOINT", b"RELEASE", b"ROLLBACK", b"PREPARE", b"COMMIT", b"MOVE")
_ASKED = (
    "server_version server_encoding client_encoding DateStyle IntervalStyle TimeZone"
    " integer_datetimes standard_conforming_strings application_name"
).split()

_real: list[Any] = []
"""What ``Connection.connect`` was."""


def real_connect(cls: Any, dsn: str, **options: Any) -> Any:
    """Connect for real."""
    return _real[0](cls, dsn, **options)


def _end(database: str) -> None:
    """Commit or roll back."""


def _step(sql: str, database: str) -> None:
    """Set a savepoint, or go back to one."""


ENDS = {name: Reach("output", f"{NAME} {name}", _end) for name in _ENDS.values()}


@functools.lru_cache(maxsize=64)
def _reach(name: str) -> Reach:
    return Reach("output", f"{NAME} {name}", _step)


def changes(connection: Any) -> None:
    """Note that a statement writes, so that the end of the transaction is an output."""
    vars(connection)[_CHANGED] = True


def database(connection: Any, parent: Span) -> str:
    """The name of a connection's database in this trace, which the job reaches now."""
    held_by = vars(connection)
    before = held_by.get(_BEFORE)
    if before is not None and before[0] is parent.buffer.tags:
        found: str = before[1]
        return found
    name = _database(connection, parent)
    held_by[_BEFORE] = (parent.buffer.tags, name)  # one object of this trace, and a small one
    return name


def _database(connection: Any, parent: Span) -> str:
    own = vars(connection).get(_LABEL)
    if own is None:
        own = vars(connection)[_LABEL] = _address(connection.pgconn)
    known = DRIVER.of(parent)
    name = known.name(own)
    held = connection.pgconn
    found = known.facts(name, parent, lambda: _facts(held, parent))
    if type(held) is StandIn and not held.facts and type(found) is dict:
        held.facts = found
    return name


def _address(held: Any) -> str:
    if type(held) is StandIn:
        return named(held.address)
    return address("postgresql", held.host, held.port, held.db)


def named(given: dict[str, Any]) -> str:
    """The name of the database that these parameters lead to."""
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST")
    port = given.get("port") or os.environ.get("PGPORT")
    base = given.get("dbname") or os.environ.get("PGDATABASE") or given.get("user")
    return address("postgresql", host, port, base)


def _facts(held: Any, parent: Span) -> dict[str, Any]:
    """What a server says of itself, which costs no query."""
    if parent.buffer.server is None:
        parent.buffer.learn((held.password or b"").decode(errors="replace"))
    found = {name: held.parameter_status(name.encode()) for name in _ASKED}
    return {
        "server_version": held.server_version,
        "backend_pid": held.backend_pid,
        "parameters": {name: one.decode() for name, one in found.items() if one is not None},
    }


def given(dsn: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a connection by name; none where psycopg will say that they are wrong."""
    plain = {name: one for name, one in options.items() if name not in _NOT_LIBPQ}
    try:
        return dict(conninfo.conninfo_to_dict(dsn or "", **plain))
    except Exception:  # psycopg raises it itself
        return {}


_NOT_LIBPQ = frozenset("autocommit prepare_threshold context row_factory cursor_factory".split())


# --- connecting ----------------------------------------------------------------------------------


def _pooled(depth: int = 2) -> bool:
    name: str = sys._getframe(depth).f_globals.get("__name__") or ""
    return name.startswith("psycopg_pool")


def is_prepared_here(connection: Any) -> bool:
    """Whether a pool prepares a connection, or takes it back, by functions of the program's.

    How often it does is no part of the job; in a replay nothing is asked then.
    """
    if DRIVER.is_at_work() or vars(connection).get(PREPARED) is False:
        return True
    if type(connection.pgconn) is not StandIn or recorded_here() is not None:
        return False
    frame: Any = sys._getframe(1)
    while frame is not None:
        if (frame.f_globals.get("__name__") or "").startswith("psycopg_pool"):
            return True
        frame = frame.f_back
    return False


def _is_plain(parent: Span | None, pooled: bool) -> bool:
    if runtime.guard is None:
        return parent is None or pooled
    return parent is None and current.get() is not None  # an input that runs for real


class _Connecting:
    """One explicit ``connect`` of a job."""

    def __init__(self, parent: Span, dsn: str, options: dict[str, Any]) -> None:
        found = given(dsn, options)
        if parent.buffer.server is None:
            parent.buffer.learn(str(found.get("password") or os.environ.get("PGPASSWORD") or ""))
        known = DRIVER.of(parent)
        self._known = known
        self.name = known.name(named(found))
        self.parent = parent
        reach = DRIVER.connect
        self.query = Query(reach, reach, parent, (self.name,))

    def connected(self, connection: Any) -> Any:
        """Note a connection that is real."""
        vars(connection)[_LABEL] = self.name
        facts = _facts(connection.pgconn, self.parent)
        self._known.connected(self.name, facts)
        self.query.tells(facts)
        return connection

    def served(self, cls: Any, dsn: str, options: dict[str, Any]) -> Any:
        """A connection that stands for the recorded one."""
        if self.query.ran:
            with self.query:
                real = real_connect(psycopg.Connection, dsn, **_portable(options))
            facts = _facts(real.pgconn, self.parent)
            self.query.tells(facts)
        else:
            real, facts = None, self.query.said or {}
        made = stand_in(cls, dsn, options)
        made.pgconn.real, made.pgconn.facts = real, facts
        self._known.connected(self.name, facts)
        return made


def connecting(real: Any) -> Any:
    """``Connection.connect``."""
    _real[:] = [real]

    @functools.wraps(real)
    def connect(cls: Any, conninfo: str = "", **options: Any) -> Any:
        parent, pooled = recorded_here(), _pooled()
        if _is_plain(parent, pooled):
            return _of_pool(real(cls, conninfo, **options), pooled)
        if parent is None or pooled:
            return _of_pool(stand_in(cls, conninfo, options), pooled)
        asked = _Connecting(parent, conninfo, options)
        if runtime.guard is not None:
            asked.query.settle()
            return asked.served(cls, conninfo, options)
        with asked.query:
            made = real(cls, conninfo, **options)
        return asked.connected(made)

    return classmethod(cast("Any", connect))


def connecting_async(real: Any) -> Any:
    """``AsyncConnection.connect``."""

    @functools.wraps(real)
    async def connect(cls: Any, conninfo: str = "", **options: Any) -> Any:
        parent, pooled = recorded_here(), _pooled()
        if _is_plain(parent, pooled):
            return _of_pool(await real(cls, conninfo, **options), pooled)
        if parent is None or pooled:
            return _of_pool(stand_in(cls, conninfo, options), pooled)
        asked = _Connecting(parent, conninfo, options)
        if runtime.guard is not None:
            await asked.query.settled()
            return asked.served(cls, conninfo, options)
        with asked.query:
            made = await real(cls, conninfo, **options)
        return asked.connected(made)

    return classmethod(cast("Any", connect))


def _of_pool(connection: Any, pooled: bool) -> Any:
    if pooled:
        vars(connection)[PREPARED] = False  # until it is taken
    return connection


def _portable(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an asynchronous connection that one which blocks takes too."""
    return {
        name: one
        for name, one in options.items()
        if name not in ("context", "row_factory", "cursor_factory")
    }


def stand_in(cls: Any, dsn: str, options: dict[str, Any]) -> Any:
    """A connection of psycopg without a server."""
    held: Any = StandIn((dsn, _portable(options)), given(dsn, options))
    made = cls(held)
    made._autocommit = bool(options.get("autocommit"))
    for name in ("row_factory", "cursor_factory"):
        if options.get(name):
            setattr(made, name, options[name])
    if options.get("context") is not None:
        made._adapters = psycopg.adapt.AdaptersMap(options["context"].adapters)
    made.prepare_threshold = options.get("prepare_threshold", 5)
    own = named(held.address)
    waits = _run_async if isinstance(made, psycopg.AsyncConnection) else _run
    vars(made).update(
        wait=waits, cancel=_nothing, notifies=_refusing("notifies", own),
        pipeline=_refusing("pipeline", own),
        cancel_safe=_nothing_async if waits is _run_async else _nothing, _try_cancel=_nothing,
    )  # fmt: skip
    return made


def _run(generator: Any, *args: Any, **kwargs: Any) -> Any:
    """Run one of psycopg's generators, which has nothing to wait for."""
    try:
        next(generator)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a replay has no server to wait for")


async def _run_async(generator: Any, *args: Any, **kwargs: Any) -> Any:
    import asyncio  # the program uses it

    try:
        return _run(generator)
    except asyncio.CancelledError:
        await asyncio.sleep(CANCELLED_AFTER)
        raise


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


async def _nothing_async(*args: Any, **kwargs: Any) -> None:
    return None


@functools.lru_cache(maxsize=8)
def _unrecorded(name: str) -> Reach:
    return Reach("input", f"{NAME} {name}", _end)


def _refusing(name: str, own: str) -> Callable[..., NoReturn]:
    def refused(*args: Any, **kwargs: Any) -> NoReturn:
        parent, guard = recorded_here(), runtime.guard
        if parent is not None:
            _unrecorded(name)(parent, own)
        elif guard is not None:
            guard.refuse("output", f"{NAME} {name}")
        raise RuntimeError(f"a replay has no {name} of psycopg")

    return refused


def warning_of(name: str, real: Any) -> Any:
    """A method that is a plain call, of which the trace says so."""

    @functools.wraps(real)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        if parent is not None:
            parent.buffer.warn(f"{NAME}: what {name!r} does is not recorded: a replay stops there")
        return real(self, *args, **kwargs)

    return method


# --- transactions --------------------------------------------------------------------------------


def commanding(real: Any) -> Any:
    """What psycopg sends for itself: the ends of transactions, savepoints."""

    @functools.wraps(real)
    def _exec_command(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        held = self.pgconn
        parent = recorded_here()
        served = type(held) is StandIn
        if parent is None and not served:
            return (yield from real(self, command, *args, **kwargs))
        text = command if isinstance(command, bytes) else _text(command)
        query = None
        if parent is not None and self._pipeline is None and text.startswith(_STEPS):
            query = _command(self, parent, text)
        if not served:
            if query is None:
                return (yield from real(self, command, *args, **kwargs))
            try:
                found = yield from real(self, command, *args, **kwargs)
            except BaseException as error:
                query.fails(error)
                if self.closed:
                    query.breaks()
                raise
            query.tells({})
            return found
        held.ends(text.decode())
        if query is not None:
            if query.broke:
                held.finish()
            query.settle()
        return Result({"rowcount": -1})

    return _exec_command


def _text(command: Any) -> bytes:
    return (command if type(command) is str else str(command.as_string(None))).encode()


def _command(connection: Any, parent: Span, text: bytes) -> Query | None:
    """The output that a command is; none where nothing was written that it could end."""
    end = _ENDS.get(text)
    if end is None:
        sql = text.decode()
        return _query(_reach(subject(sql)), parent, (sql, database(connection, parent)))
    if not vars(connection).pop(_CHANGED, False):
        return None
    return _query(ENDS[end], parent, (database(connection, parent),))


def _query(reach: Reach, parent: Span, asked: tuple[Any, ...]) -> Query:
    return Query(reach, reach, parent, asked)
