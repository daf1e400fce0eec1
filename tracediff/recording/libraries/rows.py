"""The rows of a query to a database, recorded and served as the job fetches them.

For every library whose cursors follow the DB-API. A query is recorded in two inputs: the query
itself, with what the library's cursor says of it, and its rows. Of a cursor that is read half, that
half is recorded. That the rows were read to their end is recorded as well, as a None after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from sys import getsizeof
from time import perf_counter_ns
from typing import Any

from tracediff import values
from tracediff.recording.buffers import Buffer, Items, Packed
from tracediff.recording.libraries.reach import Reach
from tracediff.recording.libraries.sealing import sealed, secret_names
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, new_span, open_span
from tracediff.runtime import Served, current

_is_scalar = values.SCALARS.issuperset
_is_tuple = frozenset({tuple}).issuperset
_TEXT = frozenset({str})
_KEPT = frozenset({str, Packed})
_FEW = 8
_CELL = 40
"""Bytes of a number or date, about."""


class RowsOf:
    """The inputs that the rows of one library are.

    Args:
        library: Its name, as it begins the names of the inputs.
        asked: A function whose parameters are what a query asks: their names are those in the
            trace, such as ``database``, ``sql`` and ``parameters``.
    """

    __slots__ = ("fetched", "more")

    def __init__(self, library: str, asked: Callable[..., None]) -> None:
        self.fetched = Reach("input", f"{library} rows", asked)
        self.more = Reach("input", f"{library} rows that were not fetched", asked)


class Rows:
    """The rows of one query: of the database while recording, of the recording in a replay.

    Args:
        of: The library's inputs.
        parent: What ``recorded_here`` gave where the first of them is fetched.
        asked: The arguments of the query, as ``of`` names them.
        ran: Whether the query ran for real, so that rows come of the real cursor.
        columns: Their names: what lies in one whose name is secret is sealed in the trace. A replay
            gets a placeholder for it, which may be passed on; NULL stays None.
        span: Where query and rows are one input: its span. None: the rows are one of their own.
        served: What the recording answers for that span, in a replay.
    """

    def __init__(
        self,
        of: RowsOf,
        parent: Span,
        asked: tuple[Any, ...],
        *,
        ran: bool,
        columns: Sequence[str] = (),
        span: Span | None = None,
        served: Served | None = None,
    ) -> None:
        self._open(of.fetched, of.more, parent, asked, span)
        self.ran = ran
        self._name(columns)
        if not ran:
            self._take(served or answer(self.span, items=True))

    def _open(
        self,
        reach: Reach,
        more: Reach,
        parent: Span,
        asked: tuple[Any, ...],
        span: Span | None = None,
    ) -> None:
        self.span = span or _opened(reach, parent, asked)
        self.span.result = self._items = Items()
        self.span.end = perf_counter_ns()
        self._more = more
        self._parent = parent
        self._asked = asked
        self._served: Iterator[Any] = iter(())
        self._error: BaseException | None = None

    def _name(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._secret = any(map(self.span.buffer.redactor.secret, columns))

    def _take(self, found: Served) -> None:
        self.span.result = Items(found.data)
        self._served, self._error = iter(found.result or ()), found.error

    def next(self, fetch: Callable[[], Any]) -> Any:
        """The next row, None when there are no more.

        Args:
            fetch: The real cursor's ``fetchone``; it is not called in a replay.
        """
        if not self.ran:
            return self._again()
        row = self._fetched(fetch)
        if row is None:
            self._ends()
        else:
            self._keep([row])
        return row

    def several(self, fetch: Callable[[], list[Any]], size: int | None = None) -> list[Any]:
        """The next rows as a list, which is empty when there are no more.

        Args:
            fetch: Gives them of the real cursor; it is not called in a replay.
            size: How many there are at most; None for all that are left.
        """
        if not self.ran:
            return self._several_again(size)
        rows = self._fetched(fetch)
        self._keep(rows)
        if size is None or len(rows) < size:
            self._ends()
        return rows  # type: ignore[no-any-return]  # the list of a cursor

    def _fetched(self, fetch: Callable[[], Any]) -> Any:
        try:
            return fetch()
        except Exception as error:
            self.span.error = self.span.buffer.fault(error, self._parent)
            raise
        finally:
            self.span.end = perf_counter_ns()

    def _keep(self, rows: list[Any]) -> None:
        """Note rows as they are now; tuples of what never changes by reference."""
        buffer = self.span.buffer
        if self._secret:
            self._items += [buffer.capture(sealed(buffer, self._columns, row)) for row in rows]
            return
        size = _size(rows) if _is_tuple(map(type, rows)) else None
        if size is None:
            self._items += map(buffer.capture, rows)
        else:
            buffer.bytes += size
            self._items += rows

    def _ends(self) -> None:
        if not self._items or self._items[-1] is not None:
            self._items.append(None)

    def _again(self) -> Any:
        for row in self._served:
            if row is None:
                self._served = iter((None,))  # however often it is asked for
            return row
        if self._error is not None:
            raise self._failed(self._error)
        return self._more(self._parent, *self._asked)  # there is none recorded

    def _several_again(self, size: int | None) -> list[Any]:
        found: list[Any] = []
        while (size is None or len(found) < size) and (row := self._again()) is not None:
            found.append(row)
        return found

    def _failed(self, error: BaseException) -> BaseException:
        self.span.error = self.span.buffer.fault(error, self._parent)
        return error


def _opened(reach: Reach, parent: Span, asked: tuple[Any, ...]) -> Span:
    buffer = parent.buffer
    if buffer.rooted:
        return open_span(reach.mark, buffer, parent, asked, {})
    captured = [one if type(one) in _KEPT else _captured(buffer, one) for one in asked]
    return new_span(reach.mark, buffer, parent, captured, {})


def _captured(buffer: Buffer, given: Any) -> Any:
    """Parameters as they are now; a dict or tuple of what never changes needs no look at it."""
    kind = type(given)
    if kind is dict and _is_scalar(map(type, given.values())):
        return dict(given)
    if kind is tuple and _is_scalar(map(type, given)):
        return given
    return buffer.capture(given)


def _size(rows: list[tuple[Any, ...]]) -> int | None:
    """About how many bytes rows take; None where they hold something that may change."""
    if len(rows) < _FEW:
        cells = [cell for row in rows for cell in row]
        return sum(map(getsizeof, cells)) if _is_scalar(map(type, cells)) else None
    size = 0
    for column in zip(*rows, strict=False):
        kinds = {*map(type, column)}
        if not _is_scalar(kinds):
            return None
        kinds.discard(type(None))
        if kinds == _TEXT:
            size += len("".join(filter(None, column)))
        elif bytes in kinds or str in kinds:
            size += sum(map(getsizeof, column))
        size += len(column) * _CELL
    return size


class Answer(Rows):
    """What a statement gives, in one step: what its cursor says of it, then the rows.

    The step's result is a list: first a dict with ``columns`` and whatever else the cursor says.

    Args:
        reach: The input or output that the statement is.
        more: The input that rows are which the recording does not have.
        parent: What ``recorded_here`` gave.
        asked: The statement's arguments, as ``reach`` names them.
        run: Runs the statement for real, and gives what the cursor says of it.
    """

    said: dict[str, Any] | None
    """What the cursor says; None in a replay for an output that was not recorded."""

    def __init__(
        self,
        reach: Reach,
        more: Reach,
        parent: Span,
        asked: tuple[Any, ...],
        run: Callable[[], dict[str, Any]],
    ) -> None:
        self._open(reach, more, parent, asked)
        self.ran = parent.buffer.server is None
        try:
            if not self.ran:
                found = answer(self.span, items=True)
                self.ran = found.live
                if not found.live:
                    self._take(found)
            if self.ran:
                token = current.set(self.span)
                try:
                    self.said = run()
                finally:
                    current.reset(token)
                self._items.append(self.said)  # which nobody changes
            else:
                self.said = next(self._served, None)
                if self.said is None and self._error is not None:
                    raise self._error
        except BaseException as error:
            raise self._failed(error)  # noqa: B904 - it is this error
        finally:
            self.span.end = perf_counter_ns()
        columns = (self.said or {}).get("columns") or ()
        if self.ran:
            columns = secret_names(parent.buffer.redactor, asked[1], columns)
        self._name(columns)

    def give(self, said: dict[str, Any], rows: list[Any]) -> None:
        """Have something else in the place of what is not recorded."""
        self.said = said
        self._served = iter((*rows, None))
