"""One recorded or replayed run of a job: from its call to its finished trace.

Nothing here raises into a job: what goes wrong in the recorder is logged once and the job runs
unrecorded; with ``strict`` recording it raises, for tests.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from tracediff import runtime, values
from tracediff.config import Config, load_config, override
from tracediff.errors import RecordingError
from tracediff.model import Depth, Environment, Trace, Value
from tracediff.recording import autotracing
from tracediff.recording.assembly import artifacts_of, steps_of
from tracediff.recording.buffers import MAX_TEXT, Buffer
from tracediff.recording.environment import environment
from tracediff.recording.faults import brief
from tracediff.recording.ids import new_id
from tracediff.recording.libraries import install
from tracediff.recording.recorder import Callbacks, Recorder
from tracediff.recording.spans import mutations, open_span
from tracediff.recording.tracing import tracing_of
from tracediff.recording.writer import FORK_DEADLINE, SPAN_BYTES, Finished
from tracediff.runtime import current

if TYPE_CHECKING:
    from tracediff.recording.jobs import Job

log = logging.getLogger("tracediff")
Retention = int | Callable[[Trace], int | None] | None
"""Days, or a function that gives them for a finished trace; None is for ever."""

MAX_META = 160
MAX_CONTEXT = 1_000


class Run:
    """One job that is being recorded."""

    __slots__ = ("args", "buffer", "environment", "id", "job", "kwargs", "meta", "recorder",
                 "retention", "root", "started_at", "token")  # fmt: skip

    def __init__(
        self,
        recorder: Recorder,
        job: Job,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        buffer: Buffer,
        started_at: int,
        surroundings: Environment,
        retention: Retention = None,
    ) -> None:
        self.id = new_id()
        self.recorder = recorder
        self.job = job
        self.args = args
        self.kwargs = kwargs
        self.buffer = buffer
        self.started_at = started_at
        self.environment = surroundings
        self.retention = retention
        buffer.tag(map(str, job.tags))
        self.meta = self._described()
        self.root = open_span(job.mark, buffer, None, args, kwargs)
        self.token = current.set(self.root)

    def _described(self) -> str | None:
        """What the job's ``meta`` and ``context`` functions say of the arguments."""
        job, buffer, meta = self.job, self.buffer, None
        try:
            if job.meta is not None:
                said = str(job.meta(*self.args, **self.kwargs))
                meta = buffer.scrub(said[:MAX_TEXT])[:MAX_META]
            if job.context is not None:
                add_context(buffer, job.context(*self.args, **self.kwargs))
        except (Exception, SystemExit) as error:  # no fault of the job's
            buffer.warn(f"meta or context of {job.key!r} raised {brief(error)}")
        return meta

    def succeeded(self, result: Any) -> None:
        """The job returned."""
        root = self.root
        root.end = perf_counter_ns()
        self.leave()
        try:
            root.result = self.buffer.capture(result)
            if root.packed:
                mutations(root, self.args, self.kwargs)
            self._submit()
        except Exception as error:
            _trouble(self.recorder, error)

    def failed(self, error: BaseException) -> None:
        """The job raised."""
        root = self.root
        root.end = perf_counter_ns()
        self.leave()
        try:
            root.error = self.buffer.fault(error, None)
            if root.packed:
                mutations(root, self.args, self.kwargs)
            self._submit()
        except Exception as problem:
            _trouble(self.recorder, problem)

    def finish(self) -> None:
        """The job was a generator, which has set its result or error itself."""
        try:
            self._submit()
        except Exception as problem:
            _trouble(self.recorder, problem)

    def leave(self) -> None:
        """Make the caller of the job the current span again."""
        try:
            current.reset(self.token)
        except ValueError:  # the job ended in another context than it began, as a closed generator
            current.set(None)

    def _submit(self) -> None:
        buffer, recorder = self.buffer, self.recorder
        if recorder.callbacks.on_end is not None:
            root = self.root
            state = buffer.state or root.state or ("success" if root.error is None else "error")
            recorder.call("on_end", self.id, self.job.key, state)
        if buffer.ignored or recorder.pid != os.getpid():
            return
        size = buffer.bytes + SPAN_BYTES * len(buffer.spans)
        self.args, self.kwargs, buffer.known = (), {}, {}
        if not recorder.config.strict:
            recorder.writer.submit(Finished(self.trace, size))
            return
        trace = self.trace()
        recorder.writer.submit(Finished(lambda: trace, size))
        problem = None if recorder.writer.flush() else recorder.writer.problem
        complaints = [*trace.warnings, *([problem] if problem else [])]
        if complaints:
            raise RecordingError(
                f"the trace of {self.job.key!r} is not whole: {'; '.join(complaints)}",
                slug="recording-incomplete",
                hint="without strict recording these are warnings on the trace, or in the log",
            )

    def trace(self) -> Trace:
        """The finished run as a trace."""
        buffer, root = self.buffer, self.root
        root.state = buffer.state or root.state
        steps = steps_of(buffer, f"{self.recorder.config.root}{os.sep}")
        retention = self.retention
        found = Trace(
            id=self.id,
            key=self.job.key,
            job=self.job.unit,
            steps=steps,
            state=steps[0].state,
            depth=buffer.depth,
            started_at=self.started_at,
            duration=steps[0].duration,
            tags=tuple(buffer.tags),
            meta=self.meta if self.meta is not None else described(steps[0].args),
            context=dict(buffer.context),
            code=self.recorder.code.current(),
            environment=self.environment,
            artifacts=artifacts_of(buffer),
            warnings=tuple(buffer.warnings),
            retention=None if callable(retention) else retention,
        )
        return self._kept(found, retention) if callable(retention) else found

    def _kept(self, trace: Trace, retention: Callable[[Trace], int | None]) -> Trace:
        """The trace with the days that the job's function gives it; a failing one is for ever."""
        try:
            days = retention(trace)
            if days is not None and (type(days) is not int or days < 0):
                raise TypeError(f"{days!r:.100} is no number of days")
        except Exception as error:
            self.recorder.call("on_error", error)
            said = f"the retention function of {self.job.key!r} raised {brief(error)}"
            return replace(trace, warnings=(*trace.warnings, self.buffer.scrub(said)))
        return replace(trace, retention=days)


def described(args: Value | None) -> str:
    """A job's arguments as one short line, "store_id=9, product_id=42"."""
    found = values.inert(args) if args is not None else {}
    if not isinstance(found, Mapping):
        return ""
    line = ", ".join(f"{name}={values.text(value, 40)}" for name, value in found.items())
    return line if len(line) <= MAX_META else line[: MAX_META - 1] + "…"


def add_context(buffer: Buffer, fields: Mapping[str, Any]) -> None:
    """Add searchable fields: texts, numbers and flags; texts are scrubbed, secrets left out."""
    for key, value in fields.items():
        name = str(key)
        if buffer.redactor.secret(name):
            buffer.warn(f"context field {name!r} was left out: its name says that it is secret")
        elif type(value) is str:
            buffer.context[name] = buffer.scrub(value[:MAX_TEXT])[:MAX_CONTEXT]
        elif type(value) in (int, float, bool):
            buffer.context[name] = value
        else:
            buffer.warn(f"context field {name!r} is a {type(value).__name__}, which is not indexed")


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


def begin(job: Job, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run | None:
    """Start recording a call of a job; None when it is not recorded. Never raises."""
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
        depth, retention = chosen
        buffer = Buffer(recorder.redactor, depth)
        if depth == "full" and autotracing.is_on():
            buffer.tracing = tracing_of(recorder.config)
        seed = int.from_bytes(os.urandom(4), "big")
        if job.seed:
            random.seed(seed)
        begun = Run(
            recorder,
            job,
            args,
            kwargs,
            buffer=buffer,
            started_at=time.time_ns(),
            surroundings=environment(seed),
            retention=retention,
        )
        if recorder.callbacks.on_start is not None:
            recorder.call("on_start", begun.id, job.key)
    except Exception as error:
        _trouble(recorder, error)
        return None
    return begun


def choose(recorder: Recorder, job: Job) -> tuple[Depth, Retention] | None:
    """How deep this call is recorded and how many days it is kept; None when it is not recorded.

    The configuration comes first, then what the job says.
    """
    config = recorder.config
    rule = config.rule_for(job.key) if config.rules else None
    if rule is not None and rule.enabled is False:
        return None
    sample = rule.sample if rule is not None and rule.sample is not None else job.sample
    if sample is None:
        sample = config.sample
    if sample < 1 and recorder.dice.random() >= sample:
        return None
    depth = (rule.depth if rule is not None else None) or job.depth or config.depth
    kept = rule.retention if rule is not None else None
    return depth, job.retention if kept is None else kept


def _trouble(recorder: Recorder, error: Exception) -> None:
    """Report a fault of the recorder itself; it must not become a fault of the job."""
    recorder.call("on_error", error)
    if recorder.config.strict:
        if isinstance(error, RecordingError):
            raise error
        raise RecordingError(
            f"the recorder failed: {brief(error)}",
            slug="recorder-failed",
            hint="without strict recording the job would have run on, unrecorded",
        ) from error
    log.error("tracediff could not record a job", exc_info=error)


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
    install(config if config.enabled else replace(config, inputs=()))
    previous = _process.recorder
    if previous is not None:
        previous.writer.close()
    told = Callbacks(
        on_start=on_start, on_end=on_end, on_ack=on_ack, on_loss=on_loss, on_error=on_error
    )
    autotracing.switch(config.autotrace if config.enabled else ())
    _process.recorder = Recorder(config, told) if config.enabled else None
    _process.ready = True


def flush(deadline: float | None = None, *, upload: bool = False) -> bool:
    """Wait until every finished trace is saved; False when some are not.

    Args:
        deadline: The seconds after which to give up; by default, when the store refuses.
        upload: Wait until they are in the store itself too, where they wait on this machine first.
    """
    recorder = _process.recorder
    return True if recorder is None else recorder.writer.flush(deadline, upload=upload)
