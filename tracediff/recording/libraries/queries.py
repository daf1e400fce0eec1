"""A statement that is run, or served, step by step: for drivers whose own cursors stay in place.

query = Query(reach, more, parent, asked)
if query.ran:
    with query:
        ...  # the driver runs it
    query.tells(said, columns)
else:
    query.settle()  # raises the recorded error
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from time import perf_counter_ns
from typing import Any, Self

from tracediff.recording.libraries.cursors import Known
from tracediff.recording.libraries.reach import Reach
from tracediff.recording.libraries.rows import Rows
from tracediff.recording.libraries.sealing import secret_names
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span
from tracediff.runtime import current

CANCELLED_AFTER = 60.0
"""Seconds that a replayed statement waits to be cancelled, as the recorded one was."""

BROKEN: dict[str, Any] = {"closed": True}
"""What is said of a statement after which the connection was closed."""


class Query(Rows):
    """One statement and its rows in one step, whose result begins with what the driver said of it.

    Args:
        reach: The input or output that the statement is.
        more: The input that rows are which the recording does not have.
        parent: What ``recorded_here`` gave.
        asked: The statement's arguments, as ``reach`` names them; the second is its text.
    """

    said: dict[str, Any] | None
    """What the driver said; None in a replay for an output that was not recorded."""

    def __init__(self, reach: Reach, more: Reach, parent: Span, asked: tuple[Any, ...]) -> None:
        self._open(reach, more, parent, asked)
        self._name(())
        self._broken = False
        self.said = None
        self.ran = parent.buffer.server is None
        if self.ran:
            return
        try:
            found = answer(self.span, items=True)
        except BaseException as error:
            raise self._failed(error)  # noqa: B904 - it is this error
        finally:
            self.span.end = perf_counter_ns()
        self.ran = found.live
        if found.live:
            self.span.end = 0  # what runs for real may reach out while its step is open
        else:
            self._take(found)
            self.said = next(self._served, None)

    def __enter__(self) -> Self:
        self._token = current.set(self.span)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.span.end = perf_counter_ns()
        current.reset(self._token)
        if error is not None:
            self.fails(error)

    def fails(self, error: BaseException) -> None:
        """Note what the driver raised."""
        self.span.end = perf_counter_ns()
        self.span.error = self.span.buffer.fault(error, self._parent)

    def breaks(self) -> None:
        """Note that the connection is closed since."""
        self._items.append(BROKEN)

    def tells(
        self, said: dict[str, Any], columns: Sequence[str] = (), statement: Known | None = None
    ) -> None:
        """Note what the driver says of the statement, and the names of its columns.

        Args:
            said: What it says.
            columns: The names.
            statement: What is known of its text.
        """
        self.said = said
        self._items.append(said)
        if not columns:
            return
        redactor = self.span.buffer.redactor
        if statement is not None and statement.harmless == (redactor, columns):
            return
        self._name(secret_names(redactor, self._asked[1], columns))
        if statement is not None and not self._secret:
            statement.harmless = (redactor, columns)

    def adds(self, rows: list[Any]) -> None:
        """Note rows that the job got."""
        self._keep(rows)
        self.span.end = perf_counter_ns()

    def ends(self) -> None:
        """Note that the job saw the end of the rows."""
        self._ends()

    @property
    def sql(self) -> str:
        """The statement, as it is shown."""
        return str(self._asked[1])

    @property
    def place(self) -> str:
        """The database, as the trace names it."""
        return str(self._asked[2])

    @property
    def error(self) -> BaseException | None:
        """What the recorded statement raised, before or after its rows."""
        return self._error

    @property
    def broke(self) -> bool:
        """Whether the recorded connection was closed by the statement."""
        return self._broken or (self.said is not None and "closed" in self.said)

    def settle(self) -> None:
        """Raise what the recorded statement raised before it gave anything."""
        if self._error is not None and (self.said is None or self.broke):
            raise self._failed(self._error)

    async def settled(self) -> None:
        """As ``settle``; what was cancelled waits for that."""
        try:
            self.settle()
        except asyncio.CancelledError:
            await asyncio.sleep(CANCELLED_AFTER)
            raise

    def sets(self) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """The result sets that are in a recording at once: what was said of each, and its rows."""
        said = self.said or {}
        rows: list[Any] = []
        for one in self._served:
            if type(one) is dict:
                yield said, rows
                said, rows = one, []
            elif one is not None:
                rows.append(one)
        yield said, rows

    def again(self) -> Any:
        """The next recorded row; None after the last."""
        row = self._again()
        if type(row) is dict:  # none of the rows
            self._broken = True
            row = self._again()
        return row
