"""Deep replay: the functions of the job's own modules become steps, with no annotation.

So does a replay of a trace that autotraced functions are steps of.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from tracediff.config import Config
from tracediff.model import Trace
from tracediff.recording.autotracing import Autotrace
from tracediff.recording.tracing import Tracing, tracing_of

MAX_STEPS = 20_000
MAX_DEPTH = 100


def patterns_of(trace: Trace, config: Config) -> tuple[str, ...]:
    """The modules whose functions become steps: the configured ones, else the job's own package."""
    if config.autotrace:
        return config.autotrace
    top = trace.job.partition(":")[0].partition(".")[0]
    return (top, f"{top}.*")


def tracing_for(trace: Trace, config: Config, *, deep: bool) -> Tracing | None:
    """Which calls become steps of a replay, None for those that are marked alone.

    A trace of depth ``full`` was autotraced if the settings said so as they do now, and is replayed
    within the same limits. Otherwise all calls of a function are steps of a deep replay.
    """
    if trace.depth == "full" and config.autotrace:
        return tracing_of(config)
    return Tracing(MAX_DEPTH, MAX_STEPS, MAX_STEPS) if deep else None


@contextlib.contextmanager
def deepened(trace: Trace, config: Config) -> Iterator[None]:
    """While this lasts, what is imported of the job's modules is made steps."""
    hook = Autotrace(patterns_of(trace, config), at_once=True)
    sys.meta_path.insert(0, hook)
    try:
        hook.take_loaded()
        yield
    finally:
        sys.meta_path.remove(hook)
