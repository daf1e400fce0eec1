"""Jobs that a test runs, kept in the project's store under the test's name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import pytest

from pytest_tracediff.session import Session, session_of
from tracediff.config import Config, load_config
from tracediff.errors import TracediffError
from tracediff.frameworks.naming import key_of
from tracediff.model import Trace
from tracediff.recording import session as recording
from tracediff.recording.capturing import Captured, captured
from tracediff.recording.jobs import job
from tracediff.recording.marks import unit_of
from tracediff.recording.queued import Finished
from tracediff.recording.recorder import Recorder

P = ParamSpec("P")
R = TypeVar("R")

MAX_TAG = 200
"""Characters of a test's name in a tag."""


class RecordJob:
    """Makes a job of any function while a test runs, and holds the traces of the test's jobs.

    ``record_job(function)`` gives the job; further arguments are those of ``tracediff.job``, and
    ``key`` names it, by default as the setting ``keys`` or else the function's own name does.
    """

    def __init__(self, found: Captured, test: str) -> None:
        self._captured = found
        self._test = test
        self._traces: list[Trace] = []

    def __call__(
        self, function: Callable[P, R], /, *, key: str | None = None, **options: Any
    ) -> Callable[P, R]:
        """The function as a job; one that is a job already stays what it is."""
        if hasattr(function, "__tracediff_job__"):
            if key is not None or options:
                raise pytest.UsageError(
                    f"record_job: {function.__tracediff_job__.key!r} is a job already, by its "
                    "decorator: give it no key and no options here"
                )
            return function
        return job(key or key_of(unit_of(function)), **options)(function)

    @property
    def traces(self) -> list[Trace]:
        """The traces of all jobs that have finished in this test, oldest first."""
        self._traces += [_of_test(one, self._test) for one in self._captured.take()]
        return list(self._traces)

    @property
    def trace(self) -> Trace:
        """The trace of the job that finished last."""
        found = self.traces
        if not found:
            raise pytest.fail.Exception(
                "no job has finished in this test: call what record_job(function) gives",
                pytrace=False,
            )
        return found[-1]


def _of_test(trace: Trace, test: str) -> Trace:
    return replace(trace, tags=(*trace.tags, f"test:{test[:MAX_TAG]}"))


@contextlib.contextmanager
def recorded(item: pytest.Item, config: Config) -> Iterator[RecordJob]:
    """Record what a test's jobs do, and keep it when the test is over, however it ends."""
    run = session_of(item.config)
    recording.get_ready()  # what the setting `inputs` names is in place
    with captured(config) as found:
        jobs = RecordJob(found, item.nodeid)
        yield jobs
    traces = jobs.traces
    if traces and not run.options.ci:
        _keep(run, traces)


def _keep(run: Session, traces: list[Trace]) -> None:
    """Save traces as the jobs of a program are saved, where the project's own settings say."""
    try:
        writer = Recorder(load_config(run.bench.root)).writer
    except TracediffError as error:
        run.tally.remarks.append(f"traces were not kept: {error.message}")
        return
    for trace in traces:
        writer.submit(Finished(lambda trace=trace: trace, 0))  # type: ignore[misc]  # bound here
    kept = writer.flush()
    problem = writer.problem
    writer.retire()
    if kept and problem is None:
        run.tally.recorded += [one.id for one in traces]
    else:
        run.tally.remarks.append(f"traces were not kept: {problem or 'the store did not answer'}")
