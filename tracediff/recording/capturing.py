"""Jobs of this process recorded for the one who runs them, and for no store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from tracediff.config import Config, JobRule
from tracediff.model import Trace
from tracediff.recording.live import Live
from tracediff.recording.queued import Finished
from tracediff.recording.recorder import Recorder
from tracediff.recording.session import _process


class Captured:
    """The traces of the jobs that finished, oldest first, each given once."""

    problem: str | None = None
    """As a writer has it: nothing can hinder this one."""

    def __init__(self) -> None:
        self._finished: list[Finished] = []

    def take(self) -> list[Trace]:
        """The traces of the jobs that finished since the last call."""
        finished, self._finished = self._finished, []
        built = [one.build() for one in finished]
        return [one for one in built if isinstance(one, Trace)]

    def submit(self, finished: Finished) -> None:
        """Take over a finished job."""
        self._finished.append(finished)

    def watch(self, live: Live) -> None:
        """Its trace is taken when it has ended, as any other."""
        live.writes = False

    def wake(self) -> None:
        """Nothing waits."""

    def flush(self, deadline: float | None = None) -> bool:
        """Nothing has to be waited for."""
        return True

    def close(self) -> None:
        """Nothing is open."""


@contextlib.contextmanager
def captured(config: Config) -> Iterator[Captured]:
    """Record every job with these settings until the block ends, and save none.

    What recorded before goes on afterwards.

    Args:
        config: The settings; how many jobs are sampled does not count.
    """
    found = Captured()
    everything = JobRule(pattern="*", sample=1.0, enabled=True)
    recorder = Recorder(replace(config, strict=False, rules=(*config.rules, everything)))
    recorder.writer = found  # type: ignore[assignment]  # all that a run asks of a writer
    before = _process.recorder, _process.ready
    _process.recorder, _process.ready = recorder, True
    try:
        yield found
    finally:
        _process.recorder, _process.ready = before
