"""Serving the recorded inputs of a trace to any code of this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter_ns

from tracediff import runtime, values
from tracediff.config import Config
from tracediff.model import Trace
from tracediff.recording.buffers import Buffer
from tracediff.recording.environment import environment
from tracediff.recording.jobs import Job
from tracediff.recording.libraries import install
from tracediff.recording.marks import Mark
from tracediff.recording.recorder import Recorder
from tracediff.recording.runs import Run
from tracediff.replay.clock import recorded_surroundings
from tracediff.replay.guard import guarded
from tracediff.replay.matching import OnMiss, RecordedServer
from tracediff.replay.permissions import parse_permissions


def _anything() -> None:
    """Stands for the job: whatever runs in the block."""


@contextlib.contextmanager
def served(
    trace: Trace, config: Config, *, on_miss: OnMiss = "fail"
) -> Iterator[Callable[[], Trace]]:
    """Answer inputs and outputs from a recording until the block ends, as a replay does.

    The clock, randomness and the network are those of a replay too; all are put back. What is
    called in other threads without this context is refused.

    Args:
        trace: The recording.
        config: The project's settings.
        on_miss: What to do about an input that was not recorded.

    Yields:
        A function that gives, after the block, what was called in it as a trace.
    """
    server = RecordedServer(trace, values.Allow(config.jobs), on_miss)
    mark = Mark("job", trace.key, _anything)
    job = Job(key=trace.key, unit=trace.job, function=_anything, mark=mark)
    before = runtime.guard, os.environ.get(runtime.REPLAYING)
    recorder = Recorder(config)
    install(config)
    with guarded(parse_permissions(config.replay_allow), server.reading):
        runtime.guard = server
        os.environ[runtime.REPLAYING] = trace.id
        server.begin()
        try:
            with recorded_surroundings(trace) as restart, values.reported(server.used):
                run = Run(
                    recorder,
                    job,
                    (),
                    {},
                    buffer=Buffer(recorder.redactor, trace.depth, server),
                    started_at=trace.started_at,
                    surroundings=environment(trace.environment.seed),
                )
                restart()
                try:
                    yield lambda: replace(run.trace(), replay=server.info())
                finally:
                    run.root.end = perf_counter_ns()
                    run.leave()
        finally:
            runtime.guard = before[0]
            os.environ.pop(runtime.REPLAYING, None)
            if before[1] is not None:
                os.environ[runtime.REPLAYING] = before[1]
