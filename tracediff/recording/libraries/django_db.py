"""``django.db``: queries are inputs, statements and the ends of transactions are outputs.

On the layer that all of Django's backends share, so that it is the same whatever the driver is. In
a replay there is no driver: a connection has a stand-in, on which Django's own transactions, hooks
and errors go on as they do on a real one. Connections that were open before are covered too.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Self

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.asyncio import async_unsafe

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.buffers import Buffer
from tracediff.recording.libraries import django_files, django_sealed
from tracediff.recording.libraries.django_cursor import Cursor, unserved
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import (
    Reach,
    recorded_here,
    refuse_input,
    refuse_output,
)
from tracediff.recording.spans import Span
from tracediff.values import _django


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    base = BaseDatabaseWrapper
    shapes: dict[str, Callable[[Any], Any]] = {
        "ensure_connection": _ensuring,
        "_cursor": _cursors,
        "_commit": functools.partial(_ending, COMMIT),
        "_rollback": functools.partial(_ending, ROLLBACK),
        "close": _closing,
        "close_if_unusable_or_obsolete": _checking,
    }
    yield from (Patch(base, name, shape(getattr(base, name))) for name, shape in shapes.items())
    yield Patch(_django, "answering", _answering)
    yield from django_files.patches()
    yield from django_sealed.patches()


def _answering() -> bool:
    parent = recorded_here()
    return parent is not None and parent.buffer.server is not None


def _using(using: str) -> None:
    """Which database."""


CONNECTION = Reach("input", "django.db connection", _using)
CHECK = Reach("input", "django.db connection given up", _using)
COMMIT = Reach("output", "django.db COMMIT", _using)
ROLLBACK = Reach("output", "django.db ROLLBACK", _using)


# --- connections ---------------------------------------------------------------------------------


def _ensuring(real: Any) -> Any:
    @functools.wraps(real)
    @async_unsafe  # type: ignore[untyped-decorator]  # Django has no types
    def ensure_connection(self: Any) -> None:
        parent = recorded_here()
        if parent is None:
            refuse_input(CONNECTION.mark.name)
            _give_up_stand_in(self)
            real(self)
        elif not _is_known(self, parent.buffer):
            if self.connection is None and self.in_atomic_block and self.closed_in_transaction:
                real(self)  # which raises
            _know(self, parent, real)

    return ensure_connection


def _is_known(wrapper: Any, buffer: Buffer) -> bool:
    """Whether the job has reached this connection already, which is open since."""
    return wrapper.connection is not None and vars(wrapper).get("_tracediff_of") is buffer.tags


def _know(wrapper: Any, parent: Span, real: Any) -> None:
    """A job reaches a connection for the first time: whether there is one is an input.

    So it does not matter whether it was open before the job began. In a replay it gets a stand-in.
    """

    def run(using: str) -> dict[str, Any]:
        if type(wrapper.connection) is StandIn:
            _give_up_stand_in(wrapper)
        real(wrapper)
        return _facts(wrapper)

    buffer = parent.buffer
    with contextlib.suppress(Exception):  # a recorder never breaks the job
        buffer.learn(str(wrapper.settings_dict.get("PASSWORD") or ""))
        _answer_for_sqlite(wrapper)
    with wrapper.wrap_database_errors:
        facts = CONNECTION(parent, wrapper.alias, run=run)
    if buffer.server is not None:
        _stand_in(wrapper, facts if type(facts) is dict else {})
    wrapper._tracediff_of = buffer.tags  # noqa: SLF001 - one object of this trace, and a small one


def _facts(wrapper: Any) -> dict[str, Any]:
    """What Django asks a server about itself, where that costs no query."""
    facts: dict[str, Any] = {"vendor": wrapper.vendor}
    if wrapper.vendor == "postgresql":
        facts["pg_version"] = wrapper.connection.info.server_version
    elif "mysql_server_data" in vars(wrapper):
        facts["mysql_server_data"] = wrapper.mysql_server_data
    return facts


@functools.cache
def _has_json() -> bool:
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        try:
            empty.execute("SELECT JSON('{}')")
        except sqlite3.OperationalError:  # a SQLite without JSON
            return False
    return True


def _answer_for_sqlite(wrapper: Any) -> None:
    """Django asks it once a process, by a statement that would be in one trace alone."""
    if wrapper.vendor == "sqlite":
        vars(wrapper.features).setdefault("supports_json_field", _has_json())


def _stand_in(wrapper: Any, facts: dict[str, Any]) -> None:
    """Do what ``connect`` does, without a driver."""
    if wrapper.connection is not None:
        with contextlib.suppress(Exception):  # one that the job's module opened
            wrapper._close()  # noqa: SLF001 - Django's own, for its backends
    with contextlib.suppress(Exception):  # it sets what the backend reads later
        wrapper.get_connection_params()
    vars(wrapper).update({name: one for name, one in facts.items() if name != "vendor"})
    wrapper.in_atomic_block = wrapper.needs_rollback = False
    wrapper.closed_in_transaction = wrapper.errors_occurred = False
    wrapper.savepoint_ids, wrapper.atomic_blocks, wrapper.run_on_commit = [], [], []
    wrapper.health_check_enabled, wrapper.health_check_done, wrapper.close_at = False, True, None
    wrapper.connection = StandIn(wrapper)
    wrapper.autocommit = wrapper.settings_dict["AUTOCOMMIT"]


def _give_up_stand_in(wrapper: Any) -> None:
    """A connection is used where no replay answers: by an input that runs for real, for one."""
    if type(wrapper.connection) is StandIn:
        wrapper.connection = None
        wrapper.closed_in_transaction = False


def _closing(real: Any) -> Any:
    @functools.wraps(real)
    @async_unsafe  # type: ignore[untyped-decorator]  # Django has no types
    def close(self: Any) -> None:
        if type(self.connection) is not StandIn:
            real(self)
            return
        self.validate_thread_sharing()
        self.run_on_commit = []
        if self.closed_in_transaction:
            return
        if self.in_atomic_block:
            self.closed_in_transaction = self.needs_rollback = True
        else:
            self.connection = None

    return close


def _checking(real: Any) -> Any:
    @functools.wraps(real)
    def close_if_unusable_or_obsolete(self: Any) -> None:
        parent = recorded_here()
        if parent is None:
            real(self)
            return

        def run(using: str) -> bool:
            was = self.connection
            real(self)
            return was is not None and self.connection is None

        closed = CHECK(parent, self.alias, run=run)
        if parent.buffer.server is not None and closed is True:
            self.close()

    return close_if_unusable_or_obsolete


# --- transactions and cursors --------------------------------------------------------------------


def _ending(reach: Reach, real: Any) -> Any:
    @functools.wraps(real)
    def end(self: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            if self.connection is not None:
                refuse_output(reach.mark.name)
            return real(self)
        if self.connection is None or parent.buffer.server is not None:
            return real(self)  # on the stand-in

        return reach(parent, self.alias, run=lambda using: real(self))

    return end


def _cursors(real: Any) -> Any:
    @functools.wraps(real)
    def _cursor(self: Any, name: Any = None) -> Any:
        parent = recorded_here()
        if parent is None and runtime.guard is None:
            _give_up_stand_in(self)
            return real(self, name)
        if parent is not None and parent.buffer.server is not None:
            self.ensure_connection()
            _refuse_closed(self)
            live = functools.partial(_live, self, name)
            return self._prepare_cursor(Cursor(self, None, live))
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            return self._prepare_cursor(Cursor(self, self.create_cursor(name)))

    return _cursor


def _refuse_closed(wrapper: Any) -> None:
    """Raise what a driver does where the job closed the connection inside of a transaction."""
    if wrapper.closed_in_transaction:
        known = {"postgresql": ("OperationalError", "the connection is closed")}
        other = ("ProgrammingError", "Cannot operate on a closed database.")
        kind, message = known.get(wrapper.vendor, other)
        with wrapper.wrap_database_errors:
            raise getattr(wrapper.Database, kind)(message)


def _live(wrapper: Any, name: Any) -> Any:
    """A driver's cursor for an input that runs for real in a replay."""
    real = vars(wrapper).get("_tracediff_live")
    if real is None:
        real = wrapper._tracediff_live = wrapper.copy()  # noqa: SLF001 - its own attribute
    real.ensure_connection()
    return real.create_cursor(name)


class StandIn:
    """In the place of a driver's connection while a job is replayed.

    Args:
        wrapper: Django's connection.
    """

    closed = True
    pgconn = row_factory = None
    is_there = True

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self.autocommit: Any = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "adapters":
            return self._wrapper.get_connection_params()["context"].adapters
        return unserved(self._wrapper.alias, f"connection.{name}")

    def __bool__(self) -> bool:
        return self.is_there

    def absent(self) -> StandIn:
        """As psycopg's cursors take it, which quote without a server when there is none."""
        found = StandIn(self._wrapper)
        found.is_there = False
        return found

    def commit(self) -> None:
        """End the transaction as it was recorded."""
        self._end(COMMIT)

    def rollback(self) -> None:
        """Undo the transaction as it was recorded."""
        self._end(ROLLBACK)

    def _end(self, reach: Reach) -> None:
        parent = recorded_here()
        if parent is not None:
            reach(parent, self._wrapper.alias)

    def close(self) -> None:
        """Nothing is open."""

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """What Django asks past its own cursors: is it alive, and how are parameters quoted."""
        return _Probe(self._wrapper)


class _Probe:
    """A cursor that answers what needs no database."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._row: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def execute(self, sql: str, params: Any = ()) -> _Probe:
        """Run it where it needs no tables."""
        if self._wrapper.vendor == "sqlite" and sql.startswith("SELECT QUOTE(?)"):
            with contextlib.closing(sqlite3.connect(":memory:")) as empty:
                self._row = empty.execute(sql, params).fetchone()
        elif sql == "SELECT 1":
            self._row = (1,)
        else:
            unserved(self._wrapper.alias, "connection.cursor")
        return self

    def fetchone(self) -> Any:
        """The row."""
        return self._row

    def close(self) -> None:
        """Nothing is open."""
