"""A trace file as a test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_tracediff.session import Session

ENDING = ".trace.json"
SNAPSHOTS = "snapshots"


def is_trace_test(path: Path, session: Session, arguments: Iterable[str]) -> bool:
    """Whether a file is collected: below the directory of traces, or named on the command line."""
    options = session.options
    if options.collect and path.is_relative_to(options.directory):
        return path.relative_to(options.directory).parts[0] != SNAPSHOTS
    here = session.config.invocation_params.dir
    return any((here / one.partition("::")[0]).resolve() == path for one in arguments)


class TraceFile(pytest.File):
    """A file with one trace. It is not read before its test runs."""

    def collect(self) -> Iterable[TraceItem]:
        """The one test."""
        yield TraceItem.from_parent(self, name="replay")


class TraceItem(pytest.Item):
    """Replays the trace and compares it with what was recorded."""

    request: Any = None
    """What was asked of the warm process, which may be ahead."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.add_marker("tracediff")

    def runtest(self) -> None:
        """Replay and compare; raises what ``repr_failure`` shows."""
        from pytest_tracediff.running import replay_item  # only where there are traces

        replay_item(self)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The difference, at the line of the step where it begins, or what is wrong."""
        from pytest_tracediff.running import shown  # as above

        found = shown(self, excinfo.value)
        return found if found is not None else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The file, and what the test is called in a report."""
        return self.path, 0, f"replay of {self.path.name}"
