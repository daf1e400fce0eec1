"""``sqlalchemy``: what a statement reads is an input, what it writes an output, for every engine.

The seam is the connection that an engine takes from its pool: SQLAlchemy's own ``Connection`` works
on one of ours around it, in a replay on one of ours alone. So statements, their results, types and
errors go through SQLAlchemy as they always do, and neither pool nor driver is asked in a replay.
What an engine learns of its server when it first connects is an input of the job that uses it.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy
from sqlalchemy import util
from sqlalchemy.engine import Connection, Engine

from tracediff import runtime, values
from tracediff.config import Config
from tracediff.recording.libraries.alone import Alone
from tracediff.recording.libraries.cursors import Cursor
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.recording.spans import Span
from tracediff.runtime import current

NAME = "sqlalchemy"


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    return [
        Patch(Engine, "raw_connection", _raw_connection(Engine.raw_connection)),
        Patch(Connection, "get_isolation_level", _level(Connection.get_isolation_level)),
        *(
            Patch(sqlalchemy.MetaData, name, _unless_importing(getattr(sqlalchemy.MetaData, name)))
            for name in ("create_all", "drop_all")
        ),
    ]


def _connect(database: str, attempt: int) -> None:
    """Take a connection from an engine's pool: what is recorded is what the dialect knows."""


def _end(database: str) -> None:
    """Commit or roll back."""


CONNECT = Reach("input", f"{NAME} connect", _connect)
COMMIT = Reach("output", f"{NAME} commit", _end)
ROLLBACK = Reach("output", f"{NAME} rollback", _end)
ISOLATION = Reach("input", f"{NAME} isolation level", _end)


def _raw_connection(real: Callable[[Engine], Any]) -> Any:
    @functools.wraps(real)
    def raw_connection(self: Engine) -> Any:
        if sys._getframe(1).f_globals.get("__name__") != Connection.__module__:  # noqa: SLF001 - it alone says who asks
            return _of_driver(self, real)
        made = Wrapped(self, real)
        parent = recorded_here()
        if parent is None:
            if runtime.guard is None:
                made.open()
            return made
        return _connected(made, parent)

    return raw_connection


def _of_driver(engine: Engine, real: Callable[[Engine], Any]) -> Any:
    """The program works with the driver's connection itself, of which a replay has none."""
    guard = runtime.guard
    if guard is not None and guard.begun:
        guard.refuse("output", f"{NAME} raw_connection")
    return real(engine)


def _connected(made: Wrapped, parent: Span) -> Wrapped:
    """In a recorded or replayed job: a job's first use of an engine is an input, and failures.

    Others are not: how often new code takes a connection from the pool is no difference.
    """
    used = _Used.of(parent)
    label = used.label(made.engine)
    attempt = used.attempts[label] = used.attempts.get(label, 0) + 1
    if parent.buffer.server is None and label in used.known:
        try:
            used.shielded(made.open)
        except BaseException as error:  # raised again within the step
            failed = error
        else:
            return made
        CONNECT(parent, label, attempt, run=functools.partial(_again, failed))
    elif parent.buffer.server is None or used.asks(label, attempt):
        made.await_nothing()

        def run(database: str, attempt: int) -> dict[str, Any]:
            made.open()
            return _facts(made.engine.dialect)

        found = CONNECT(parent, label, attempt, run=run)
        used.known.add(label)
        if not made.is_open() and type(found) is dict:
            for name, value in found.items():
                setattr(made.engine.dialect, name, value)
    return made


def _again(error: BaseException, *args: Any) -> None:
    raise error


class _Used:
    """The databases that a job has used so far.

    A database is named as its engine's URL does, without user and password. Where the one of a
    replay has another name than the recorded one, it takes that: the only one, or the next.
    """

    def __init__(self, parent: Span) -> None:
        self.known: set[str] = set()
        self._shield = below = Span()
        below.mark, below.buffer, below.parent = CONNECT.mark, parent.buffer, parent
        self._labels: dict[Engine, str] = {}
        self.attempts: dict[str, int] = {}
        self._names: dict[str, str] = {}
        server = parent.buffer.server
        self._recorded: list[tuple[str, int]] = []
        if server is not None:
            found: list[Any] = [values.inert(data) for data in server.recorded(CONNECT.mark.name)]
            self._recorded = [(one["database"], one["attempt"]) for one in found]

    @classmethod
    def of(cls, parent: Span) -> _Used:
        reached = parent.buffer.reached
        found: _Used | None = reached.get(NAME)
        if found is None:
            found = reached.setdefault(NAME, cls(parent))
        return found

    def label(self, engine: Engine) -> str:
        """The name of an engine's database in this trace."""
        found = self._labels.get(engine)
        if found is not None:
            return found
        own = _label(engine)
        name = self._names.get(own)
        if name is None:
            recorded = dict.fromkeys(name for name, _ in self._recorded)
            left = [one for one in recorded if one not in self._names.values()]
            name = own if own in recorded or not left else left[0]
            self._names[own] = name
        self._labels[engine] = name
        return name

    def shielded(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what reads for itself: a file, or through another library that is recorded."""
        token = current.set(self._shield)
        try:
            return call(*args, **kwargs)
        finally:
            current.reset(token)

    def asks(self, label: str, attempt: int) -> bool:
        """Whether a replay has something to say of a connection."""
        return attempt == 1 or (label, attempt) in self._recorded


def _label(engine: Engine) -> str:
    """Where an engine's database is, without who asks it."""
    url = engine.url
    host = "" if url.host is None else f"[{url.host}]" if ":" in url.host else url.host
    port = "" if url.port is None else f":{url.port}"
    return f"{url.get_backend_name()}://{host}{port}/{url.database or ''}"


def _facts(dialect: Any) -> dict[str, Any]:
    """What a dialect has learned of its server."""
    known = vars(dialect)
    return {name: known[name] for name in _learned(dialect.__class__) if _is_plain(known.get(name))}


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return type(value) in (bool, int, str)


@functools.cache
def _learned(dialect: Any) -> tuple[str, ...]:
    """The attributes that ``initialize`` of a dialect sets, with the methods it calls."""
    found: dict[str, None] = {}
    for kind in dialect.__mro__:
        initialize = vars(kind).get("initialize")
        code = getattr(initialize, "__code__", None)
        if code is None:
            continue
        called = (getattr(getattr(dialect, name, None), "__code__", None) for name in code.co_names)
        for one in (code, *called):
            if one is not None:
                steps = dis.get_instructions(one)
                found.update((step.argval, None) for step in steps if step.opname == "STORE_ATTR")
    return tuple(found)


class Wrapped:
    """What SQLAlchemy's ``Connection`` works on: a connection of the pool, or none in a replay.

    Args:
        engine: Whose it is.
        take: Takes one from the pool.
    """

    library = NAME

    def __init__(self, engine: Engine, take: Callable[[Engine], Any]) -> None:
        self.engine = engine
        self.changed = False
        self._take = take
        self._fairy: Any = None
        self._stand_in: Alone | None = None

    def is_open(self) -> bool:
        """Whether there is a connection of the pool."""
        return self._fairy is not None

    def open(self) -> None:
        """Take a connection from the pool."""
        self._fairy = self._take(self.engine)

    def real(self) -> Any:
        """The connection of the pool, which is taken now if there was none."""
        if self._fairy is None:
            self.open()
        return self._fairy

    def database(self, parent: Span) -> str:
        """The name of the database in this trace."""
        return _Used.of(parent).label(self.engine)

    def served(self) -> None:
        """A recording answers."""
        self.await_nothing()

    def await_nothing(self) -> None:
        """An asyncio engine must see something awaited, or it takes the driver for another kind."""
        parent = recorded_here()
        if parent is None or parent.buffer.server is None or not self.engine.dialect.is_async:
            return
        util.await_only(_nothing())

    def cursor(self, *args: Any, **kwargs: Any) -> Cursor:
        """A cursor that records."""
        return Cursor(self, lambda: self.real().cursor(*args, **kwargs))

    def commit(self) -> None:
        """End the transaction: an output where something was written in it."""
        self._end(COMMIT, "commit")

    def rollback(self) -> None:
        """Undo the transaction: an output where something was written in it."""
        self._end(ROLLBACK, "rollback")

    def _end(self, reach: Reach, how: str) -> None:
        parent = recorded_here()
        changed, self.changed = self.changed, False
        if parent is None or not changed:
            if self._fairy is not None:
                self._really(how)
            return
        reach(parent, self.database(parent), run=lambda _: getattr(self.real(), how)())
        if parent.buffer.server is not None and self._fairy is not None:
            self._fairy.rollback()  # what was read for real

    def _really(self, how: str, *args: Any, **kwargs: Any) -> None:
        parent, call = recorded_here(), getattr(self._fairy, how)
        if parent is None:
            call(*args, **kwargs)
        else:
            _Used.of(parent).shielded(call, *args, **kwargs)

    def close(self) -> None:
        """Give it back to the pool."""
        if self._fairy is not None:
            self._really("close")

    def _close_special(self, transaction_reset: bool = False) -> None:
        if self._fairy is not None:
            self._really("_close_special", transaction_reset=transaction_reset)

    @property
    def dbapi_connection(self) -> Any:
        """The driver's connection; in a replay one that only takes its settings."""
        return self._alone if self._is_alone() else self.real().dbapi_connection

    @property
    def driver_connection(self) -> Any:
        """The driver's connection, of an asyncio driver that itself."""
        return self._alone if self._is_alone() else self.real().driver_connection

    @property
    def _alone(self) -> Alone:
        if self._stand_in is None:
            self._stand_in = Alone()
        return self._stand_in

    def _is_alone(self) -> bool:
        return self._fairy is None and runtime.guard is not None

    @property
    def is_valid(self) -> bool:
        """Whether it can be used."""
        return True if self._is_alone() else self.real().is_valid

    def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """Mark it as broken."""
        if self._fairy is not None:
            self._really("invalidate", *args, **kwargs)

    def detach(self) -> None:
        """Take it out of the pool."""
        if self._fairy is not None:
            self._really("detach")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._alone if self._is_alone() else self.real(), name)


async def _nothing() -> None:
    return None


def _level(real: Any) -> Any:
    @functools.wraps(real)
    def get_isolation_level(self: Connection) -> Any:
        parent = recorded_here()
        connection: Any = self.connection
        if parent is None or not isinstance(connection, Wrapped):
            return real(self)
        return ISOLATION(parent, connection.database(parent), run=lambda _: real(self))

    return get_isolation_level


def _unless_importing(real: Any) -> Any:
    """Making tables while a module is imported, which in a replay would be for real."""

    @functools.wraps(real)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        guard = runtime.guard
        if guard is not None and not guard.begun and current.get() is None:
            return None
        return real(*args, **kwargs)

    return wrapper
