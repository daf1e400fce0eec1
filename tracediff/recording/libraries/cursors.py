"""Cursors whose statements and rows are recorded while a job runs, around those of a driver.

They are for a library that gives the program's statements to any driver (PEP 249). What such a
cursor has beside that is the driver's own; a replay, which has no driver, has none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Protocol, Self

from tracediff import runtime
from tracediff.model import Kind
from tracediff.recording.buffers import Buffer
from tracediff.recording.libraries.madeup import made_up
from tracediff.recording.libraries.reach import Reach, recorded_here, refuse_input
from tracediff.recording.libraries.rows import Answer
from tracediff.recording.libraries.sealing import (
    column_names,
    named_parameters,
    names_secret,
    sealed_parameters,
    sealed_statement,
)
from tracediff.recording.libraries.statements import MAX_KEPT, changing, subject
from tracediff.recording.redaction import Redactor
from tracediff.recording.spans import Span

_PLAIN = frozenset({int, str})
_PLACED = frozenset({tuple, list})


class Connected(Protocol):
    """The connection that a cursor belongs to."""

    changed: bool
    """Whether a statement has written since the last commit or rollback."""

    @property
    def library(self) -> str:
        """The name of the library, which begins those of the steps."""
        ...

    def database(self, parent: Span) -> str:
        """The name of the database in this trace."""
        ...

    def real(self) -> Any:
        """The library's own connection; in a replay only where a statement runs for real."""
        ...

    def served(self) -> None:
        """Called where a recording answers in the place of the driver."""
        ...


def asked(parameters: Any, sql: str, database: str) -> None:
    """A statement: what is recorded are its columns and counts, and the rows as they are read."""


class Known:
    """What is known of the text of a statement."""

    __slots__ = ("changes", "clean", "harmless", "more", "names", "step")

    def __init__(self, library: str, sql: str) -> None:
        self.changes = changing(sql)
        kind: Kind = "output" if self.changes else "input"
        self.step, self.more = _steps(kind, f"{library} {subject(sql)}", library)
        self.clean: Redactor | None = None  # for whom there is no secret name in it
        self.harmless: Any = None  # for whom, and with which columns, no row holds a secret
        self.names = column_names(sql)

    def shown(self, buffer: Buffer, sql: str, parameters: Any, *, many: bool) -> tuple[Any, str]:
        """The parameters and the text, without secrets."""
        redactor = buffer.redactor
        if self.clean is redactor:
            return parameters, sql
        if not names_secret(redactor, sql):
            self.clean = redactor
            return parameters, sql
        shown = sealed_parameters(buffer, sql, parameters, many=many)
        return shown, sealed_statement(buffer, sql)

    def named(self, parameters: Any, text: str) -> Any:
        """The parameters of one run by name, where that is clear."""
        names = self.names
        if names is None or type(parameters) not in _PLACED or len(names) != len(parameters):
            return by_name(text, parameters)
        return dict(zip(names, parameters, strict=True))


_kept = lru_cache(maxsize=1024)(Known)


def known(library: str, sql: str) -> Known:
    """What is known of the text of a statement that is given to a library."""
    return (_kept if len(sql) < MAX_KEPT else Known)(library, sql)


@lru_cache(maxsize=1024)
def _steps(kind: Kind, name: str, library: str) -> tuple[Reach, Reach]:
    more = f"{library} rows that were not fetched"
    return Reach(kind, name, asked), Reach("input", more, asked)


class Cursor:
    """A cursor.

    Args:
        connection: Where it comes from.
        opens: Opens the driver's cursor.
    """

    __slots__ = (
        "_answer", "_connection", "_opens", "_real", "_said", "arraysize", "description",
    )  # fmt: skip

    def __init__(self, connection: Connected, opens: Callable[[], Any]) -> None:
        put = object.__setattr__
        put(self, "_connection", connection)
        put(self, "_opens", opens)
        put(self, "_real", None)
        put(self, "_answer", None)
        put(self, "_said", None)
        put(self, "description", None)

    def _driver(self) -> Any:
        if self._real is None:
            object.__setattr__(self, "_real", self._opens())
        return self._real

    def execute(self, sql: Any, parameters: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Run a statement."""
        given = () if parameters is None else (parameters, *args)
        return self._run(sql, parameters, "execute", given, kwargs)

    def executemany(self, sql: Any, parameters: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a statement for each of the parameters."""
        many = parameters if isinstance(parameters, list | tuple) else list(parameters)
        return self._run(sql, many, "executemany", (many, *args), kwargs)

    def callproc(self, name: Any, *args: Any) -> Any:
        """Call a procedure: the driver's own, which a replay refuses."""
        if runtime.guard is not None:
            runtime.guard.refuse("output", f"{self._connection.library} callproc")
        return self._driver().callproc(name, *args)

    def fetchone(self) -> Any:
        """The next row, or None."""
        answer = self._fetching()
        return self._driver().fetchone() if answer is None else answer.next(self._fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        """The next rows, as many as asked for."""
        answer = self._fetching()
        if size is None:
            size = getattr(self, "arraysize", 1)
        if answer is None:
            return self._driver().fetchmany(size)
        return answer.several(lambda: self._real.fetchmany(size), size)

    def fetchall(self) -> Any:
        """The rows that are left."""
        answer = self._fetching()
        return self._driver().fetchall() if answer is None else answer.several(self._fetchall)

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        if self._real is not None:
            self._real.close()

    @property
    def rowcount(self) -> Any:
        """How many rows the statement changed, or gives."""
        if self._said is None:
            return -1 if self._real is None else self._real.rowcount
        return self._said.get("rowcount", -1)

    @property
    def lastrowid(self) -> Any:
        """The id of the row that was inserted last."""
        return self._driver().lastrowid if self._said is None else self._said.get("lastrowid")

    @property
    def connection(self) -> Any:
        """The connection."""
        return self._connection

    def setinputsizes(self, *args: Any, **kwargs: Any) -> None:
        """Tell the driver of the parameters' types."""
        if self._said is None and not self._is_served():
            self._driver().setinputsizes(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "arraysize":
            return 1 if self._real is None else self._real.arraysize
        if self._real is None and self._is_served():
            if name == "_async_soft_close":  # SQLAlchemy awaits it of the cursors it makes itself
                return _closed
            raise AttributeError(f"a replay has no {name!r} of the database driver's own cursor")
        return getattr(self._driver(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Cursor.__slots__:
            object.__setattr__(self, name, value)
        if self._real is not None or not self._is_served():
            setattr(self._driver(), name, value)

    def _is_served(self) -> bool:
        parent = recorded_here()
        return parent is not None and parent.buffer.server is not None

    def _fetching(self) -> Answer | None:
        """What gives the rows; None where the driver's cursor does."""
        answer: Answer | None = self._answer
        if answer is not None and answer.ran and recorded_here() is None:
            return None
        return answer

    def _fetchone(self) -> Any:
        return self._real.fetchone()

    def _fetchall(self) -> list[Any]:
        found: list[Any] = self._real.fetchall()
        return found if type(found) is list else list(found)

    def _run(self, sql: Any, parameters: Any, how: str, given: Any, kwargs: Any) -> Any:
        put = object.__setattr__
        put(self, "_answer", None)
        put(self, "_said", None)
        text = sql if type(sql) is str else _text(sql)
        connection = self._connection
        library = connection.library
        parent = recorded_here()
        if parent is None:
            return self._plainly(text, how, sql, given, kwargs)
        statement = known(library, text)
        many = how == "executemany"
        shown, sql_shown = statement.shown(
            parent.buffer, text, by_name(text, parameters, many=many), many=many
        )

        def run() -> dict[str, Any]:
            real = self._driver()
            getattr(real, how)(sql, *given, **kwargs)
            described = real.description
            put(self, "description", described)
            return _said(real, described)

        what = (shown, sql_shown, connection.database(parent))
        answer = Answer(statement.step, statement.more, parent, what, run)
        connection.changed = connection.changed or statement.changes
        if not answer.ran:
            connection.served()
        said = answer.said
        if said is None:
            said, rows = made_up(parent.buffer, text, shown, len(parameters) if many else 1)
            if rows is None:
                statement.more(parent, *what)  # there is none recorded
            answer.give(said, rows or [])
        put(self, "_answer", answer if said.get("columns") is not None else None)
        put(self, "_said", said)
        if not answer.ran:
            put(self, "description", _description(said))
        return self

    def _plainly(self, text: str, how: str, sql: Any, given: Any, kwargs: Any) -> Any:
        """Outside of a recorded job; in a replay what is imported may read."""
        if changing(text):
            if runtime.guard is not None:
                runtime.guard.refuse("output", f"{self._connection.library} {subject(text)}")
            self._connection.changed = True
        else:
            refuse_input(f"{self._connection.library} {subject(text)}")
        getattr(self._driver(), how)(sql, *given, **kwargs)
        object.__setattr__(self, "description", self._real.description)
        return self


def by_name(text: str, parameters: Any, *, many: bool = False) -> Any:
    """The parameters by name, and these in one order: some come in that of a set."""
    if many:
        return [by_name(text, one) for one in parameters]
    if type(parameters) is not dict:
        return named_parameters(text, parameters)
    return dict(sorted(parameters.items())) if len(parameters) > 1 else parameters


async def _closed() -> None:
    return None


def _text(sql: Any) -> str:
    """A statement that is no str: bytes, or what a driver composes."""
    if isinstance(sql, bytes | bytearray):
        return bytes(sql).decode(errors="replace")
    try:
        return str(sql)
    except Exception:  # foreign code
        return type(sql).__name__


def _said(real: Any, described: Any) -> dict[str, Any]:
    """What a driver's cursor says after a statement; what it does not have is left out."""
    said: dict[str, Any] = {}
    types: list[Any] = []
    if described is not None:
        # The columns of psycopg work out all of themselves when they are asked for one part.
        named = bool(described) and type(described[0]) is not tuple
        named = named and hasattr(described[0], "type_code")
        said["columns"] = [str(one.name if named else one[0]) for one in described]
        types = [one.type_code if named else one[1] for one in described]
    said["rowcount"] = real.rowcount
    last = getattr(real, "lastrowid", None)
    if type(last) in _PLAIN:
        said["lastrowid"] = last
    types = [one if type(one) in _PLAIN else None for one in types]
    if types.count(None) < len(types):
        said["types"] = types
    return said


def _description(said: dict[str, Any]) -> tuple[tuple[Any, ...], ...] | None:
    columns = said.get("columns")
    if columns is None:
        return None
    types = said.get("types") or [None] * len(columns)
    return tuple(
        (name, kind, None, None, None, None, None)
        for name, kind in zip(columns, types, strict=True)
    )
