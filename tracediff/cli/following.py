"""``tracediff show --follow``: a trace as its job runs, a part at a time, until it has ended."""

from __future__ import annotations

import json
import os
import re
import select
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar

from tracediff.api import Project
from tracediff.cli import exits, options, streams
from tracediff.errors import StoreError, TraceReferenceError, UsageError
from tracediff.model import Row, Trace
from tracediff.stores.base import Store
from tracediff.stores.following import Growing

_OFTEN: Final = 0.5
_SELDOM: Final = 2.0
"""Seconds between two looks: while something comes, and when nothing has come for a while."""
_TROUBLED: Final = 30.0
"""At most so many seconds between two tries of a store that does not answer."""
_FATAL: Final = frozenset(
    {"trace-gone", "trace-hurt", "trace-too-large", "trace-unreadable", "query-invalid"}
)
_WAITED_FOR: Final = re.compile(r"(?:[\w.-]+:)?(?:[0-9a-z]{20}|.*@last)")
T = TypeVar("T")


class Printer(Protocol):
    """Shows what has come."""

    def grown(self, growing: Growing, trace: Trace, row: Row) -> bool:
        """Show what is new; False when nobody reads it any more."""

    def waiting(self, trace: Trace, row: Row) -> None:
        """Say that nothing has come, where that is seen."""

    def ended(self, trace: Trace, row: Row) -> None:
        """Say how it ended."""

    def clear(self) -> None:
        """Take away what is only for the moment."""


def follow(project: Project, reference: str, form: str) -> int:
    """Show a trace until its job has ended; the exit code.

    Args:
        project: The project.
        reference: What was typed; ``KEY@last`` is the newest trace, whether its job runs or not.
        form: "text" or "json".
    """
    printer: Printer
    if form == "json":
        printer = _Documents()
    else:
        from tracediff.cli.followed import Lines  # JSON needs no canvas

        printer = Lines(lambda: options.look(project.config))
    store, row = _awaited(project, reference)
    try:
        return _followed(Growing(store, row.id), store, row, printer)
    finally:
        printer.clear()


def _awaited(project: Project, reference: str) -> tuple[Store, Row]:
    """The trace to follow; one that is not there yet is waited for, if it can come."""
    said = False
    while True:
        try:
            found = project.find(reference, unfinished=True)
        except TraceReferenceError as error:
            if error.slug != "trace-unknown" or not _WAITED_FOR.fullmatch(reference):
                raise
            if not said:
                options.note(f"waiting for {reference} to begin; Ctrl-C ends this")
            said = True
            if not _pause(_OFTEN):
                raise
            continue
        if found is None:
            raise UsageError(
                f"{reference!r} is a file, which does not change",
                slug="usage",
                hint=f"`tracediff show {reference}` shows it",
            )
        return found


def _followed(growing: Growing, store: Store, row: Row, printer: Printer) -> int:
    patience, delay = _Patience(printer), _OFTEN
    while True:
        parts, known = growing.parts, growing.trace
        trace = patience.ask(partial(growing.look, row))
        if trace is not known or growing.parts != parts:
            delay = _OFTEN
            if not printer.grown(growing, trace, row):
                return exits.SAME
        else:
            delay = min(delay * 1.3, _SELDOM)
            printer.waiting(trace, row)
        if row.state != "running":
            printer.ended(trace, row)
            return exits.DIFFERENT if row.state in ("error", "lost") else exits.SAME
        if not _pause(delay):
            return exits.SAME
        row = patience.ask(partial(_row, store, growing.id))


def _row(store: Store, id: str) -> Row:
    for row in store.find(id, 2):
        if row.id == id:
            return row
    raise StoreError(
        f"the trace {id} is not in the store any more",
        slug="trace-gone",
        hint="its job called td.ignore(), or it was deleted",
    )


class _Patience:
    """Asks a store until it answers; what it says about that, it says once."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer

    def ask(self, question: Callable[[], T]) -> T:
        delay = 0.0
        while True:
            try:
                found = question()
            except StoreError as error:
                if error.slug in _FATAL:
                    raise
                if not delay:
                    self._say(f"{error.message}; trying again")
                delay = min(delay * 2 or 1.0, _TROUBLED)
                if not _pause(delay):
                    raise
                continue
            if delay:
                self._say("the store answers again")
            return found

    def _say(self, text: str) -> None:
        self._printer.clear()
        options.note(text)


def _pause(seconds: float) -> bool:
    """Wait; False as soon as nobody reads stdout any more, as ``tail -f`` notices too."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError, AttributeError):  # no file: a test's
        time.sleep(seconds)
        return True
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if poll.poll(left * 1000) and not os.isatty(sys.stdout.fileno()):
            streams.drop(sys.stdout)
            return False
    return True


class _Documents:
    """One JSON document a line: the trace, each step that is new or has changed, each part."""

    def __init__(self) -> None:
        self._seen = 0
        self._told = False

    def grown(self, growing: Growing, trace: Trace, row: Row) -> bool:
        from tracediff.reports.json import row_document, step_document

        events = [] if self._told else [("trace", row_document(row))]
        self._told = True
        lines = growing.since(self._seen)
        if lines is None:
            events.append(("renumbered", {}))
        for line in range(len(trace.steps)) if lines is None else lines:
            document = step_document(trace, line)
            events.append(("step", {key: document[key] for key in document if key != "schema"}))
        self._seen = growing.parts
        events.append(("part", {"number": max(growing.parts - 1, 0), **row_document(row)}))
        return all(self._write(name, document) for name, document in events)

    def waiting(self, trace: Trace, row: Row) -> None:
        """Nothing: a line would say that there is none."""

    def ended(self, trace: Trace, row: Row) -> None:
        from tracediff.reports.json import row_document

        self._write("ended", row_document(row))

    def clear(self) -> None:
        """Nothing: all of it stays."""

    def _write(self, name: str, document: dict[str, object]) -> bool:
        event = {"schema": "tracediff/follow/1", "event": name, **document}
        return streams.write(json.dumps(event, ensure_ascii=False) + "\n", "json")
