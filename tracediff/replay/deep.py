"""Deep replay: the functions of the job's own modules become steps, with no annotation.

So does a replay of a trace that autotraced functions are steps of.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace

from tracediff.config import Config
from tracediff.model import Trace
from tracediff.recording.autotracing import Autotrace
from tracediff.recording.tracing import Tracing, tracing_of

MAX_STEPS = 20_000
MAX_DEPTH = 100


def patterns_of(trace: Trace, config: Config) -> tuple[str, ...]:
    """The modules whose functions become steps: those that did when it was recorded.

    Else the configured ones, or the job's own package.
    """
    if trace.depth == "full" and trace.autotracing is not None and trace.autotracing.patterns:
        return trace.autotracing.patterns
    if config.autotrace:
        return config.autotrace
    top = trace.job.partition(":")[0].partition(".")[0]
    return (top, f"{top}.*")


def lacks_steps(trace: Trace, config: Config) -> bool:
    """Whether only a deep replay shows the way to the result.

    Only inputs were recorded, or the settings name modules and no step in them is marked.
    """
    if trace.depth == "full" or (trace.depth == "steps" and not config.autotrace):
        return False
    return trace.depth == "inputs" or all(step.kind != "step" for step in trace.steps)


def tracing_for(trace: Trace, config: Config, *, deep: bool) -> Tracing | None:
    """Which calls become steps of a replay, None for those that are marked alone.

    A trace of depth ``full`` says what was autotraced, and is replayed within the same limits; of
    an older one the settings may say it. Otherwise all calls of a function are steps of a deep
    replay. How long a call took is no limit here: a replay waits for nothing.
    """
    patterns, known = patterns_of(trace, config), trace.autotracing
    if trace.depth == "full" and known is not None and known.patterns:
        return Tracing(
            known.max_depth, known.max_steps, known.max_calls,
            values=known.values, patterns=patterns,
        )  # fmt: skip
    if trace.depth == "full" and known is None and config.autotrace:
        return tracing_of(replace(config, autotrace_min_duration=0.0), patterns)
    return Tracing(MAX_DEPTH, MAX_STEPS, MAX_STEPS, patterns=patterns) if deep else None


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
