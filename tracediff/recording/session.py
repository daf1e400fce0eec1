"""Whether and how this process records: which calls of jobs, where to and with what settings.

Nothing here raises into a job: what goes wrong in the recorder is logged once and the job runs
unrecorded; with ``strict`` recording it raises, for tests.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from tracediff import runtime
from tracediff.config import Config, JobRule, load_config, override
from tracediff.model import (
    Depth,
    Mode,
)
from tracediff.recording import autotracing
from tracediff.recording.beside import sentry
from tracediff.recording.beside.otelids import note_ids
from tracediff.recording.buffers import Buffer
from tracediff.recording.environment import environment
from tracediff.recording.faults import brief
from tracediff.recording.libraries import install
from tracediff.recording.recorder import Callbacks, Recorder
from tracediff.recording.runs import Retention, Run, trouble
from tracediff.recording.tracing import tracing_of
from tracediff.recording.writer import FORK_DEADLINE
from tracediff.runtime import current

if TYPE_CHECKING:
    from tracediff.recording.jobs import Job

log = logging.getLogger("tracediff")


class _Process:
    """The recorder of this process: not looked for yet, off, or on."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.ready = False
        self.lock = threading.RLock()
        self.looking = False
        self.replaying: Recorder | None = None

    def for_replays(self, config: Config) -> Recorder:
        """One recorder for all replays of a process, so that git is asked once."""
        install(config)
        known = self.replaying
        if known is None or known.config != config or known.pid != os.getpid():
            known = self.replaying = Recorder(config)
        return known

    def find(self) -> Recorder | None:
        with self.lock:
            if not self.ready and not self.looking:
                self.looking = True  # a rule's own module may hold jobs and call one
                try:
                    config = load_config()
                    if config.enabled:
                        install(config)
                        autotracing.switch(config.autotrace)
                        self.recorder = Recorder(config)
                except Exception as error:
                    hint = getattr(error, "hint", None)
                    log.error("tracediff records nothing: %s (%s)", brief(error), hint or "-")  # noqa: TRY400 - what to do is in the hint, not in frames
                self.looking, self.ready = False, True
        return self.recorder


_process = _Process()


_held: list[Any] = []


def _before_fork() -> None:
    """Wait until no thread reads the settings: a module it is importing would stay locked for ever.

    The interpreter frees its own locks in a child, but not those of single modules.
    """
    if _process.lock.acquire(timeout=FORK_DEADLINE):
        _held.append(_process.lock)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork() -> None:
    """A child is no part of its parent's traces: what it records are traces of its own."""
    _held.clear()
    _process.lock = threading.RLock()  # the inherited one may be held by a thread that is gone
    _process.looking = False
    span = current.get()
    if span is not None and span.buffer.server is None:
        current.set(None)


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork
)


def begin(
    job: Job,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    later: Callable[[], dict[str, Any]] | None = None,
) -> Run | None:
    """Start recording a call of a job; None when it is not recorded. Never raises.

    Args:
        job: The job.
        args: The call's positional arguments.
        kwargs: Its keyword arguments.
        later: Gives the latter instead, once it is clear that the call is recorded.
    """
    if runtime.guard is not None:
        return None  # a replay saves nothing, and its guard would stop what the recorder starts
    recorder = _process.recorder if _process.ready else _process.find()
    if recorder is None:
        return None
    if recorder.pid != os.getpid():
        recorder = _process.recorder = Recorder(recorder.config, recorder.callbacks)
    try:
        chosen = choose(recorder, job)
        if chosen is None:
            return None
        if later is not None:
            kwargs = later()
        buffer = _buffer(recorder, chosen.depth)
        seed = int.from_bytes(os.urandom(4), "big")
        if job.seed:
            random.seed(seed)
        begun = Run(
            recorder,
            job,
            args,
            kwargs,
            buffer=buffer,
            surroundings=environment(seed),
            retention=chosen.retention,
        )
        if recorder.config.sentry_tag:
            sentry.watch(buffer, begun.id)
        if chosen.mode == "live":
            recorder.writer.watch(begun.lives(chosen.bump_every))
        if recorder.callbacks.on_start is not None:
            recorder.call("on_start", begun.id, job.key)
    except Exception as error:
        trouble(recorder, error)
        return None
    return begun


def recorder() -> Recorder | None:
    """What records in this process; None where nothing does, or nobody has looked yet."""
    return _process.recorder


def _buffer(recorder: Recorder, depth: Depth) -> Buffer:
    """What a trace is written into."""
    buffer = Buffer(recorder.redactor, depth)
    if recorder.config.otel_ids:
        note_ids(buffer)
    if depth == "full" and autotracing.is_on():
        buffer.tracing = tracing_of(recorder.config, autotracing.patterns())
    return buffer


def get_ready() -> None:
    """Read the settings and put the libraries in place now, as the first job would. Never raises.

    Before modules are imported that keep one of a library's functions where nobody finds it, as a
    model's field does with its default ``uuid.uuid4``.
    """
    if runtime.guard is None and _process.replaying is None and not _process.ready:
        _process.find()


def get_ready_for_children() -> None:
    """Load and read now what each child would by itself, where one is forked for each job.

    Never raises. Nothing is left open: what a child writes is written by itself.
    """
    get_ready()
    recorder = _process.recorder
    if recorder is not None and runtime.guard is None:
        try:
            recorder.rehearse()
        except Exception as error:  # each child meets it, and says so
            log.debug("tracediff cannot get ready for children: %s", brief(error))


class Chosen(NamedTuple):
    """How deep a call is recorded, how many days it is kept, and when it is written."""

    depth: Depth
    retention: Retention
    mode: Mode
    bump_every: float


def choose(recorder: Recorder, job: Job) -> Chosen | None:
    """How a call is recorded; None when it is not.

    The configuration comes first, then what the job says.
    """
    config = recorder.config
    if job.listed and not recorder.permits(job.unit):
        return None
    rule = config.rule_for(job.key) if config.rules else _NO_RULE
    if rule.enabled is False:
        return None
    sample = job.sample if rule.sample is None else rule.sample
    if sample is None:
        sample = config.sample
    if sample < 1 and recorder.dice.random() >= sample:
        return None
    return Chosen(
        rule.depth or job.depth or config.depth,
        job.retention if rule.retention is None else rule.retention,
        rule.mode or job.mode or config.mode,
        rule.bump_every or config.bump_every,
    )


_NO_RULE = JobRule(pattern="")


def configure(
    *,
    on_start: Callable[[str, str], None] | None = None,
    on_end: Callable[[str, str, str], None] | None = None,
    on_ack: Callable[[str], None] | None = None,
    on_loss: Callable[[int, int, str | None], None] | None = None,
    on_error: Callable[[Exception], None] | None = None,
    **settings: Any,
) -> None:
    """Switch recording on in this process, with settings that win over the configuration.

    What a callback raises is logged and goes no further.

    Args:
        on_start: Called with a trace's id and key when its job starts, on the job's thread.
        on_end: Called with id, key and state when the job has ended, on the job's thread.
        on_ack: Called with the id of each trace that was saved, on the writer's thread.
        on_loss: Called with the numbers of traces dropped and failed so far and what is wrong, or
            None, when any of these changes; on the writer's thread.
        on_error: Called with an exception of the recorder itself, on the thread it happened in.
        **settings: Any setting of ``[tool.tracediff]``; ``enabled=False`` switches recording off.

    Raises:
        ConfigError: An unknown setting, or a value that cannot be used.
    """
    config = override(load_config(), **settings)
    install(config if config.enabled else replace(config, inputs=(), notes=()))
    previous = _process.recorder
    if previous is not None:
        previous.writer.retire()
    told = Callbacks(
        on_start=on_start, on_end=on_end, on_ack=on_ack, on_loss=on_loss, on_error=on_error
    )
    autotracing.switch(config.autotrace if config.enabled else ())
    _process.recorder = Recorder(config, told) if config.enabled else None
    _process.ready = True


def flush(deadline: float | None = None, *, upload: bool = False) -> bool:
    """Wait until every finished trace is saved, and what live ones have so far; False when not.

    Args:
        deadline: The seconds after which to give up; by default, when the store refuses.
        upload: Wait until they are in the store itself too, where they wait on this machine first.
    """
    recorder = _process.recorder
    return True if recorder is None else recorder.writer.flush(deadline, upload=upload)
