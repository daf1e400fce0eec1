"""The cursor below Django's own: of the driver while recording, of the recording in a replay.

Django's wrappers of cursors, its log of queries and ``execute_wrappers`` work on it as they do on a
driver's. A query and its rows are one input, named by its table. A statement is an output, whose
rows, those of ``RETURNING``, are read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter_ns
from typing import Any, NoReturn, Self

from tracediff import values
from tracediff.model import Kind
from tracediff.recording.buffers import Buffer, Packed
from tracediff.recording.libraries.django_sql import (
    Statement,
    failed,
    parameters,
    plain,
    read,
    returned,
    rows_of,
    text_of,
)
from tracediff.recording.libraries.reach import Reach, recorded_here, refuse_output
from tracediff.recording.libraries.rows import Rows, RowsOf
from tracediff.recording.libraries.sealing import sealed, sealed_statement, secret_names
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, open_span
from tracediff.runtime import current

_MOST_NAMES = 1_000
_CHANGED = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE"})
_SILENT = frozenset({"close", "closed", "connection", "itersize", "name"})
"""What a driver's cursor may be asked that does not reach the database."""


def _asked(params: Any, using: str, sql: str) -> None:
    """What is asked of which database."""


def _called(params: Any, using: str, name: str) -> None:
    """A procedure of which database."""


def _used(using: str) -> None:
    """What is not recorded."""


COLUMNS = Reach("input", "django.db columns", _asked)
COUNT = Reach("input", "django.db row count", _asked)
ROWS = RowsOf("django.db", _asked)
UNNAMED: dict[Kind, Reach] = {
    "input": Reach("input", "django.db query", _asked),
    "output": Reach("output", "django.db statement", _asked),
}
_reaches: dict[tuple[str, str], Reach] = {}


def _reach(kind: Kind, name: str, shape: Callable[..., None] = _asked) -> Reach:
    found = _reaches.get((kind, name))
    if found is None:
        if len(_reaches) >= _MOST_NAMES:
            return UNNAMED[kind]
        found = _reaches[kind, name] = Reach(kind, name, shape)
    return found


def unserved(using: str, what: str) -> NoReturn:
    """Stop a replay where the job needs of the database what is not recorded."""
    parent = recorded_here()
    if parent is not None:
        _reach("input", f"django.db {what}", _used)(parent, using)
    raise AttributeError(f"{what} is not recorded, and there is no database in a replay")


class Cursor:
    """A cursor of one Django connection.

    Args:
        wrapper: Django's connection.
        raw: The driver's cursor; None in a replay.
        live: Gives a cursor of a connection that is opened for real, for ``--on-miss live``.
    """

    def __init__(self, wrapper: Any, raw: Any, live: Callable[[], Any] | None = None) -> None:
        self.wrapper = wrapper
        self.raw = raw
        self.using: str = wrapper.alias
        self._live = live
        self._asked: tuple[Any, ...] | None = None
        self._rows: Rows | None = None
        self._kept: list[Any] | None = None
        self._count: int | None = None
        self._last: Any = None
        self._text: tuple[Any, Any] = (None, None)
        self._size = 1

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("_query", "query"):
            return self._composed() if self.raw is None else getattr(self.raw, name)
        if self.raw is None:
            return False if name == "closed" else unserved(self.using, f"cursor.{name}")
        parent = recorded_here()
        if parent is not None and name not in _SILENT:
            parent.buffer.warn(
                f"django.db: what a cursor's {name!r} does is not recorded: a replay stops there"
            )
        return getattr(self.raw, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- statements --------------------------------------------------------------------------

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Run a statement."""
        given = () if params is None else (params,)
        return self._run(
            query, params, False, lambda: self._real().execute(query, *given, **options)
        )

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> Any:
        """Run a statement for each of the parameters."""
        given = list(params_seq)
        return self._run(
            query, given, True, lambda: self._real().executemany(query, given, **options)
        )

    def callproc(self, procname: Any, params: Any = None, *more: Any) -> Any:
        """Call a procedure: an output, since it may write."""
        given = () if params is None else (params, *more)
        parent = recorded_here()

        def real() -> Any:
            return self._real().callproc(procname, *given)

        self._reset(None)
        if parent is None:
            refuse_output("django.db CALL")
            return real()
        name = str(getattr(procname, "_obj", procname))
        shown = None if params is None else plain(list(params))
        found: list[Any] = [params]

        def run(*asked: Any) -> Any:
            found[0] = real()
            return self._outcome(parent.buffer, insert=False)

        reach = _reach("output", f"django.db CALL {name}", _called)
        said = reach(parent, shown, self.using, name, run=run)
        if self.raw is None:
            self._take(said, rows=0, columns=0)
        return found[0]

    def _run(self, query: Any, params: Any, many: bool, real: Callable[[], Any]) -> Any:
        parent = recorded_here()
        self._reset((query, params))
        sql = text_of(query)
        statement = read(sql)
        changes = statement.changes or many
        if parent is None:
            if changes:
                refuse_output(statement.name)
            real()
            return self
        sql = statement.text
        if statement.savepoint is not None:
            sql = sql.replace(statement.savepoint, self._savepoint(parent.buffer, statement))
        shown = parameters(parent.buffer, sql, statement, params, many)
        asked = (shown, self.using, sealed_statement(parent.buffer, sql))
        self._asked = asked
        if not changes:
            self._ask(parent, statement, asked, real)
            return self

        def run(*_: Any) -> Any:
            try:
                real()
                return self._outcome(parent.buffer, insert=" INSERT" in statement.name)
            except Exception:
                failed(parent.buffer, asked[0])
                raise

        said = _reach("output", statement.name)(parent, *asked, run=run)
        if self.raw is None:
            changed = rows_of(asked[0]) if statement.name.split()[1] in _CHANGED else -1
            self._take(said, rows=changed, columns=0 if many else returned(sql))
        return self

    def _savepoint(self, buffer: Buffer, statement: Statement) -> str:
        """A savepoint's name without its thread and its connection's past."""
        of, names = vars(self.wrapper).get("_tracediff_savepoints", (None, {}))
        if of is not buffer.tags:  # which are this trace's own
            names = {}
            self.wrapper._tracediff_savepoints = (buffer.tags, names)  # noqa: SLF001 - tracediff's
        return str(names.setdefault(statement.savepoint, f"s{len(names) + 1}"))

    def _ask(self, parent: Span, statement: Statement, asked: Any, real: Any) -> None:
        """Run or serve a query; its span stays, and gets the rows as they are fetched."""
        buffer = parent.buffer
        span = open_span(_reach("input", statement.name).mark, buffer, parent, asked, {})
        token = current.set(span)
        try:
            served = None if buffer.server is None else answer(span, items=True)
            if served is not None and not served.live:
                if served.error is not None and not served.result:
                    raise served.error
                self._rows = Rows(ROWS, parent, asked, ran=False, span=span, served=served)
                return
            real()
        except BaseException as error:
            failed(buffer, asked[0])
            span.error = buffer.fault(error, parent)
            raise
        finally:
            span.end = perf_counter_ns()
            current.reset(token)
        names = _names(buffer, asked[2], self._real().description)
        self._rows = Rows(ROWS, parent, asked, ran=True, columns=names, span=span)

    def _outcome(self, buffer: Buffer, *, insert: bool) -> Any:
        """What a statement did, and its rows, which are kept for the job to fetch."""
        raw = self._real()
        self._count = raw.rowcount
        self._last = getattr(raw, "lastrowid", None) if insert else None
        found: dict[str, Any] = {"count": self._count}
        if self._last is not None:
            found["last"] = self._last
        if raw.description is None:
            return None if found == {"count": -1} else found
        self._kept = raw.fetchall()
        names = _names(buffer, text_of(self._text[0]), raw.description)
        rows = [buffer.packed(buffer.capture(sealed(buffer, names, row))) for row in self._kept]
        packed = [(name, buffer.packed(value)) for name, value in found.items()]
        return Packed(values.encode_map([*packed, ("rows", values.encode_list(rows))]))

    def _take(self, said: Any, rows: int, columns: int) -> None:
        """Take over what a statement did when it was recorded.

        Of one that was not recorded nobody knows more than that it may well have worked.
        """
        if type(said) is dict:
            self._count, self._last = said.get("count"), said.get("last")
            self._kept = said.get("rows")
            return
        self._count = rows
        self._kept = [_unknown(columns)] * rows if columns else None

    # --- rows ----------------------------------------------------------------------------------

    def fetchone(self) -> Any:
        """The next row, or None."""
        found = self._fetch(1, lambda: _one(self._real().fetchone()))
        return found[0] if found else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows, as many as asked for."""
        wanted = self.arraysize if size is None else size
        return self._fetch(wanted, lambda: self._real().fetchmany(wanted))

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return self._fetch(None, lambda: self._real().fetchall())

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def _fetch(self, size: int | None, real: Callable[[], list[Any]]) -> list[Any]:
        kept = self._kept
        if kept is not None:
            end = len(kept) if size is None else size
            found, self._kept = kept[:end], kept[end:]
            return found
        parent = recorded_here()
        if self._rows is not None and parent is not None:
            return self._rows.several(real, size)
        return real() if self.raw is not None else []

    def nextset(self) -> Any:
        """There is one set of rows."""
        return None if self.raw is None else self.raw.nextset()

    def close(self) -> None:
        """Close the driver's."""
        if self.raw is not None:
            self.raw.close()

    # --- what a cursor says ----------------------------------------------------------------------

    @property
    def connection(self) -> Any:
        """The driver's connection."""
        return self.wrapper.connection.absent() if self.raw is None else self.raw.connection

    @property
    def arraysize(self) -> int:
        """How many rows ``fetchmany`` gives by default."""
        return self._size if self.raw is None else int(self.raw.arraysize)

    @arraysize.setter
    def arraysize(self, size: int) -> None:
        self._size = size
        if self.raw is not None:
            self.raw.arraysize = size

    @property
    def rowcount(self) -> int:
        """How many rows a statement changed; of a query an input of its own."""
        if self._count is not None:
            return self._count
        found = self._said(COUNT, "rowcount")
        return -1 if found is None else int(found)

    @property
    def lastrowid(self) -> Any:
        """The id of the row that was inserted last."""
        return self._last if self.raw is None else getattr(self.raw, "lastrowid", None)

    @property
    def description(self) -> Any:
        """The columns, an input of their own, since few programs ask."""
        found = self._said(COLUMNS, "description")
        return found if found is None else [Column(one) for one in found]

    def _said(self, reach: Reach, name: str) -> Any:
        parent = recorded_here()
        if parent is None or self._asked is None:
            return None if self.raw is None else getattr(self.raw, name)

        def run(*asked: Any) -> Any:
            found = getattr(self._real(), name)
            if name != "description" or found is None:
                return found
            return [tuple(map(plain, one)) for one in found]

        return reach(parent, *self._asked, run=run)

    def _composed(self) -> Any:
        """What Django's log of queries asks psycopg for."""
        return _Composed(self.wrapper, *self._text)

    def _real(self) -> Any:
        if self.raw is None and self._live is not None:
            self.raw = self._live()
        return self.raw

    def _reset(self, text: Any) -> None:
        self._asked = self._rows = self._kept = self._count = self._last = None
        self._text = text or (None, None)


def _names(buffer: Buffer, sql: str, described: Any) -> Sequence[str]:
    """The names by which cells are secret."""
    return secret_names(buffer.redactor, sql, [column[0] for column in described or ()])


class Column(tuple[Any, ...]):
    """A column as drivers describe it: seven values, some of them by name."""

    __slots__ = ()

    name = property(lambda self: self[0])
    type_code = property(lambda self: self[1])
    display_size = property(lambda self: self[2])
    internal_size = property(lambda self: self[3])
    precision = property(lambda self: self[4])
    scale = property(lambda self: self[5])
    null_ok = property(lambda self: self[6])


class _Composed:
    """A statement with its parameters in it, as psycopg would have sent it."""

    def __init__(self, wrapper: Any, query: Any, params: Any) -> None:
        self._wrapper = wrapper
        self._given = query, params

    @property
    def query(self) -> bytes | None:
        """The text."""
        query, params = self._given
        if query is None:
            return None
        try:
            return str(self._wrapper.ops.compose_sql(query, params)).encode()
        except Exception:  # a log is no reason to stop
            return text_of(query).encode()


def _one(row: Any) -> list[Any]:
    return [] if row is None else [row]


def _unknown(columns: int) -> tuple[Any, ...]:
    """A row that a statement would have returned, which was not run."""
    said = "<what a statement returns that was not recorded>"
    return (values.Placeholder(values.Opaque("django.db:row", said)),) * columns
