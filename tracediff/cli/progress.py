"""What goes on, on stderr, when it takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

DELAY = 1.0
"""Seconds that a command may take before it says what it does."""


@contextlib.contextmanager
def phases(first: str = "") -> Iterator[Callable[[str], None]]:
    """Give a function that names the phase; it is shown once a second has passed.

    Nothing is shown where stderr is no terminal.

    Args:
        first: The name of the first phase.
    """
    if not sys.stderr.isatty():
        yield lambda phase: None
        return
    shown = _Shown(first)
    timer = threading.Timer(DELAY, shown.start)
    timer.daemon = True
    timer.start()
    try:
        yield shown.name
    finally:
        timer.cancel()
        timer.join()  # else it could start what was stopped already, and leave the cursor hidden
        shown.stop()


@contextlib.contextmanager
def counted() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that takes what is done, how many are done and of how many; shown as a bar.

    With the rate and the time that remains; nothing where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield lambda what, done, of: None
        return
    from rich.console import Console  # pipes need none of it
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    rate = TextColumn("{task.fields[rate]}")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of, rate="")
            task = tasks[what]
            speed = bar.tasks[task].speed or 0
            bar.update(task, completed=done, rate=f"{speed:,.1f}/s")

        yield tell


class _Shown:
    """The line on the terminal, drawn from a thread of its own."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._bar: Progress | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        from rich.console import Console  # what is done within the second needs none of it
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False)
        bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
        with self._lock:
            bar.add_task(self._phase)
            self._bar = bar
            bar.start()

    def name(self, phase: str) -> None:
        with self._lock:
            self._phase = phase
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], description=phase)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
