"""What goes on, on stderr, when it takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def phases() -> Iterator[Callable[[str], None]]:
    """Give a function that names the phase; it is shown once a second has passed."""
    if not sys.stderr.isatty():
        yield lambda phase: None
        return
    from rich.console import Console  # only a terminal that waits needs it
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    task = bar.add_task("")
    timer = threading.Timer(1.0, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda phase: bar.update(task, description=phase)
    finally:
        timer.cancel()
        bar.stop()
