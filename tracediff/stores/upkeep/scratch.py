"""A database in a temporary file, for what a run has to remember of a store of any size."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tracediff.stores.failures import sqlite_error


class Scratch:
    """Subclass it and use it as a context; the file goes with it.

    Args:
        tables: The SQL that makes its tables.
    """

    def __init__(self, tables: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="tracediff-")
        try:
            with self._errors():
                self._db = sqlite3.connect(
                    Path(self._directory.name) / "scratch.sqlite", isolation_level=None
                )
                self._db.execute("PRAGMA journal_mode = OFF")
                self._db.execute("PRAGMA synchronous = OFF")
                self._db.executescript(tables)
                self._db.execute("BEGIN")  # one for all: nobody needs it after a crash
        except BaseException:
            self._directory.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()
        self._directory.cleanup()

    def _do(self, sql: str, *values: object) -> None:
        with self._errors():
            self._db.execute(sql, values)

    def _do_each(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        with self._errors():
            self._db.executemany(sql, rows)

    def _one(self, sql: str, *values: object) -> tuple[int, ...] | None:
        with self._errors():
            found: tuple[int, ...] | None = self._db.execute(sql, values).fetchone()
        return found

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._db.execute(sql, values).fetchall()

    @staticmethod
    @contextlib.contextmanager
    def _errors() -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise sqlite_error(error, "keep notes in the temporary directory") from error
