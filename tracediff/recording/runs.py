"""One run of a job: from its call to its finished trace.

Nothing here raises into a job: what goes wrong in the recorder is logged once and the job runs
unrecorded; with ``strict`` recording it raises, for tests.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from tracediff import values
from tracediff.errors import RecordingError
from tracediff.model import Autotracing, Environment, State, Step, Trace, Value
from tracediff.recording.assembly import artifacts_of, state_of, steps_of
from tracediff.recording.beside.sentry import remember
from tracediff.recording.buffers import MAX_TEXT, Buffer, Later
from tracediff.recording.faults import brief
from tracediff.recording.ids import new_id
from tracediff.recording.live import Live
from tracediff.recording.queued import SPAN_BYTES, Finished
from tracediff.recording.recorder import Recorder
from tracediff.recording.spans import mutations, open_span
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

    __slots__ = ("args", "buffer", "environment", "id", "job", "kwargs", "live", "meta", "recorder",
                 "retention", "root", "started_at", "token")  # fmt: skip

    def __init__(
        self,
        recorder: Recorder,
        job: Job,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        buffer: Buffer,
        started_at: int | None = None,
        surroundings: Environment,
        retention: Retention = None,
    ) -> None:
        self.id = new_id()
        self.recorder = recorder
        self.job = job
        self.args = args
        self.kwargs = kwargs
        self.buffer = buffer
        self.environment = surroundings
        self.retention = retention
        self.live: Live | None = None
        buffer.tag(map(str, job.tags))
        self.meta = self._described()
        self.root = open_span(job.mark, buffer, None, args, kwargs)
        # Now, not before the arguments were captured: what time it is in the job lies in its span.
        self.started_at = time.time_ns() if started_at is None else started_at
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

    def lives(self, every: float) -> Live:
        """Have it written in parts, so many seconds apart, while it runs."""
        self.live = Live(self, every, self.recorder.prefix)
        return self.live

    def succeeded(self, result: Any) -> None:
        """The job returned; what is put into its form later is kept as it is."""
        root = self.root
        root.end = perf_counter_ns()
        self.leave()
        try:
            later = issubclass(type(result), Later)  # isinstance would ask an object's __class__
            root.result = result if later else self.buffer.capture(result)
            if root.packed:
                mutations(root, self.args, self.kwargs)
            self._submit()
        except Exception as error:
            trouble(self.recorder, error)

    def failed(self, error: BaseException) -> None:
        """The job raised."""
        root = self.root
        root.end = perf_counter_ns()
        self.leave()
        try:
            root.error = self.buffer.fault(error, None)
            remember(error, self.buffer)
            if root.packed:
                mutations(root, self.args, self.kwargs)
            self._submit()
        except Exception as problem:
            trouble(self.recorder, problem)

    def abandoned(self) -> None:
        """Nobody asks for the rest of what the job began."""
        self.root.end = perf_counter_ns()
        self.finish()

    def finish(self) -> None:
        """The job was a generator, which has set its result or error itself."""
        try:
            self._submit()
        except Exception as problem:
            trouble(self.recorder, problem)

    def leave(self) -> None:
        """Make the caller of the job the current span again."""
        try:
            current.reset(self.token)
        except ValueError:  # the job ended in another context than it began, as a closed generator
            current.set(None)
        except RuntimeError:  # it was left before
            return

    def _submit(self) -> None:
        buffer, recorder = self.buffer, self.recorder
        if recorder.callbacks.on_end is not None:
            root = self.root
            root.state = buffer.state or root.state
            state = state_of(root)
            recorder.call("on_end", self.id, self.job.key, state)
        if recorder.pid != os.getpid():
            return
        self.args, self.kwargs, buffer.known = (), {}, {}
        if self.live is not None:
            finished = self.live.finished()
        elif buffer.ignored:
            return
        else:
            size = buffer.bytes + SPAN_BYTES * len(buffer.spans)
            finished = Finished(self.trace, size)
        if not recorder.config.strict:
            recorder.writer.submit(finished)
            return
        made = finished.build() if self.live is None else None
        recorder.writer.submit(finished if made is None else Finished(lambda: made, finished.size))
        problem = None if recorder.writer.flush() else recorder.writer.problem
        complaints = [*buffer.told(), *([problem] if problem else [])]
        if complaints and not buffer.ignored:
            raise RecordingError(
                f"the trace of {self.job.key!r} is not whole: {'; '.join(complaints)}",
                slug="recording-incomplete",
                hint="without strict recording these are warnings on the trace, or in the log",
            )

    def trace(self) -> Trace:
        """The finished run as a trace."""
        buffer, root = self.buffer, self.root
        root.state = buffer.state or root.state
        steps = steps_of(buffer, self.recorder.prefix)
        return self.facts(steps, steps[0].state, steps[0].duration)

    def facts(
        self, steps: tuple[Step, ...], state: State, duration: int, artifacts: int | None = None
    ) -> Trace:
        """What is known of the run now.

        Args:
            steps: Its steps; of a live trace those that are new or have changed.
            state: The trace's state.
            duration: The nanoseconds it took, or has taken so far.
            artifacts: How many of the buffer's; all by default.
        """
        buffer, retention = self.buffer, self.retention
        if self.meta is None:
            self.meta = described(steps[0].args)
        found = Trace(
            id=self.id,
            key=self.job.key,
            job=self.job.unit,
            steps=steps,
            state=state,
            depth=buffer.depth,
            started_at=self.started_at,
            duration=duration,
            tags=tuple(buffer.tags),
            meta=self.meta,
            context=dict(buffer.context),
            code=self.recorder.code.current(),
            environment=self.environment,
            artifacts=artifacts_of(buffer, artifacts),
            warnings=buffer.told(),
            retention=None if callable(retention) else retention,
            autotracing=_facts(buffer),
        )
        if callable(retention) and state != "running":
            return self._kept(found, retention)
        return found

    def _kept(self, trace: Trace, retention: Callable[[Trace], int | None]) -> Trace:
        """The trace with the days that the job's function gives it; a failing one is for ever."""
        try:
            days = retention(trace)
            if days is not None and (type(days) is not int or days < 0):
                raise TypeError(f"{days!r:.100} is no number of days")
        except Exception as error:
            self.recorder.call("on_error", error)
            said = f"the retention function of {self.job.key!r} raised {brief(error)}"
            self.buffer.warn(said)
            return replace(trace, warnings=self.buffer.told())
        return replace(trace, retention=days)


def _facts(buffer: Buffer) -> Autotracing | None:
    """How a trace was autotraced; at a lesser depth none is."""
    if buffer.tracing is not None:
        return buffer.tracing.facts()
    return Autotracing() if buffer.depth == "full" else None


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


def trouble(recorder: Recorder, error: Exception) -> None:
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
