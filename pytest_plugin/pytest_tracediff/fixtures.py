"""The fixtures. What they give is imported when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tracediff.items import TraceItem
from pytest_tracediff.session import session_of

if TYPE_CHECKING:
    from pytest_tracediff.recording import RecordJob
    from pytest_tracediff.replays import Inputs, Replays
    from pytest_tracediff.snapshots import TraceSnapshot
    from tracediff.config import Config
    from tracediff.model import Trace

FAILED: pytest.StashKey[bool] = pytest.StashKey()
HELD: pytest.StashKey[list[Any]] = pytest.StashKey()


@pytest.fixture
def tracediff_config(pytestconfig: pytest.Config) -> Config:
    """The settings that hold in this test; override the fixture to change them for some tests."""
    return session_of(pytestconfig).bench.config


@pytest.fixture
def recorded_trace(request: pytest.FixtureRequest) -> Trace:
    """The pinned trace this test runs for, chosen by the mark ``tracediff``."""
    path: Path | None = getattr(request, "param", None)
    if path is None:
        raise pytest.UsageError(
            f"{request.node.nodeid} asks for recorded_trace, which the mark gives: "
            '@pytest.mark.tracediff(key="…"), or id= or last='
        )
    from pytest_tracediff.replays import pinned_trace  # only where there is one

    return pinned_trace(request, path)


@pytest.fixture
def replay_trace(request: pytest.FixtureRequest, tracediff_config: Config) -> Iterator[Replays]:
    """Replay a trace; what comes of it is true, and equal to the trace, when it is the same."""
    from pytest_tracediff.replays import Replays  # only where it is used

    replays = Replays(request, tracediff_config)
    yield replays
    replays.close()


@pytest.fixture
def trace_snapshot(
    request: pytest.FixtureRequest, tracediff_config: Config
) -> Iterator[TraceSnapshot]:
    """Equal to what a job returned when it did, step by step, what was stored."""
    from pytest_tracediff.snapshots import snapshots  # only where it is used

    with snapshots(request, tracediff_config) as found:
        yield found


@pytest.fixture
def record_job(request: pytest.FixtureRequest, tracediff_config: Config) -> Iterator[RecordJob]:
    """Make a job of any function, and keep the traces of the jobs that the test runs."""
    from pytest_tracediff.recording import recorded  # only where it is used

    if "trace_snapshot" in request.fixturenames:
        raise pytest.UsageError(
            f"{request.node.nodeid} asks for record_job and trace_snapshot, which both take the "
            "traces of its jobs: use one of them"
        )
    with recorded(request.node, tracediff_config) as found:
        yield found


@pytest.fixture
def recorded_inputs(request: pytest.FixtureRequest, tracediff_config: Config) -> Inputs:
    """Serve the inputs of a trace to any code in a ``with`` block."""
    from pytest_tracediff.replays import Inputs  # only where it is used

    return Inputs(request, tracediff_config)


def hold(item: pytest.Item, writing: Any) -> None:
    """Keep something to be written until the test has passed."""
    item.stash.setdefault(HELD, []).append(writing)


NAMES = ("record_job", "recorded_inputs", "recorded_trace", "replay_trace", "trace_snapshot",
         "tracediff_config")  # fmt: skip

TAKING = frozenset({"record_job", "trace_snapshot"})
"""Those that take the traces of a test's jobs."""


def is_used_by(item: pytest.Item) -> bool:
    """Whether a test replays or compares traces."""
    return isinstance(item, TraceItem) or not set(NAMES).isdisjoint(
        getattr(item, "fixturenames", ())
    )


def is_recordable(item: pytest.Item) -> bool:
    """Whether ``--tracediff-record`` takes a test's jobs: nothing else does."""
    taken = TAKING.intersection(getattr(item, "fixturenames", ()))
    return not (isinstance(item, TraceItem) or taken)


def finish(item: pytest.Item, *, passed: bool) -> str | None:
    """Write what a test that passed made new, and nothing of one that failed; what went wrong."""
    held = item.stash.get(HELD, [])
    if not held:
        return None
    from tracediff.errors import TracediffError  # where something is held it is imported already

    item.stash[HELD] = []
    session = session_of(item.config)
    problem: str | None = None
    for path, trace in held:
        name = session.bench.name(path)
        if not passed:
            session.tally.discarded.append(name)
            continue
        try:
            change = session.bench.write(path, trace)
        except TracediffError as error:
            problem = f"{error.message}\n  hint: {error.hint}"
        else:
            session.wrote(change)
    return problem
