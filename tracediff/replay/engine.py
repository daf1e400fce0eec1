"""Running a trace's job again: in a process of its own, or here, one at a time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO

import ormsgpack

from tracediff import codec, runtime, values
from tracediff.config import Config
from tracediff.errors import CodecError, ReplayError
from tracediff.model import Trace
from tracediff.recording import Job, run
from tracediff.recording.libraries import install, loaded
from tracediff.replay.clock import recorded_surroundings
from tracediff.replay.deep import deepened, tracing_for
from tracediff.replay.ending import end_group, when_ended
from tracediff.replay.finding import bind, find_job, on_its_class
from tracediff.replay.guard import guarded
from tracediff.replay.matching import OnMiss, RecordedServer
from tracediff.replay.permissions import parse_permissions
from tracediff.replay.starting import died, started
from tracediff.replay.watching import Watching
from tracediff.replay.whatif import WhatIf
from tracediff.runtime import ReplayAbort

MAX_OUTPUT = 1 << 20
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay's new trace, and what the job printed (at most a megabyte each).

    Of one beside the work tree, ``opened`` are the files that it opened there, relative to the
    repository, and ``strayed`` those of the work tree that it opened all the same.
    """

    trace: Trace
    stdout: str = ""
    stderr: str = ""
    opened: tuple[str, ...] = ()
    strayed: tuple[str, ...] = ()


def replay(
    trace: Trace,
    config: Config,
    *,
    on_miss: OnMiss = "fail",
    what_ifs: Sequence[WhatIf] = (),
    timeout: float | None = None,
    python: str | None = None,
    environment: Mapping[str, str] | None = None,
    deep: bool = False,
) -> Replayed:
    """Run a trace's job again in a process of its own, with its recorded inputs.

    Args:
        trace: The recording.
        config: The project's settings.
        on_miss: What to do about an input that was not recorded.
        what_ifs: Calls to answer otherwise; the new trace's warnings name them.
        timeout: Seconds the job may take; the configured ``replay_timeout`` by default.
        python: The interpreter; the configured one, else this one.
        environment: Variables to set for the process, on top of this one's.
        deep: Make steps of the functions of the job's own modules; see ``replay.deep``.

    Raises:
        ReplayError: The job cannot be found or called, died, or took too long.
    """
    import tempfile  # the process that replays does without

    request = ormsgpack.packb(
        [str(config.root), on_miss, [one.packed() for one in what_ifs], codec.dump(trace), deep]
    )
    limit = timeout if timeout is not None else config.replay_timeout
    with tempfile.TemporaryFile() as reply, tempfile.TemporaryFile() as out, \
            tempfile.TemporaryFile() as err:  # fmt: skip
        theirs, ours = os.pipe()
        try:
            process = started("tracediff.replay.worker", config, [reply.fileno(), theirs],
                              out=out, errors=err, told=environment, python=python)  # fmt: skip
            _finish(process, request, limit)
        finally:
            os.close(theirs)
            os.close(ours)
        stdout, stderr = _text(out), _text(err)
        reply.seek(0)
        data = reply.read()
    if not data:
        raise died(f"the process that replayed {trace.id}", process.returncode, stderr)
    new, opened, strayed = _read_reply(data)
    return Replayed(new, stdout, stderr, opened, strayed)


def _finish(process: subprocess.Popen[bytes], request: bytes, limit: float | None) -> None:
    taken_back = when_ended(lambda: end_group(process.pid))
    try:
        process.communicate(request, timeout=limit)
    except subprocess.TimeoutExpired:
        raise ReplayError(
            f"the replay took longer than {limit:g} s",
            slug="replay-timeout",
            hint="raise replay_timeout in [tool.tracediff]",
        ) from None
    finally:
        end_group(process.pid)  # forked workers of the job outlive it
        process.wait()
        taken_back()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MAX_OUTPUT).decode("utf-8", "replace")


def _read_reply(data: bytes) -> tuple[Trace, tuple[str, ...], tuple[str, ...]]:
    try:
        kind, body, *more = ormsgpack.unpackb(data)
        if kind == "trace":
            opened, strayed = more
            return codec.load(body), tuple(opened), tuple(strayed)
        message, slug, hint = body
    except (ValueError, TypeError, CodecError) as error:
        raise ReplayError(
            f"the replay's answer cannot be read: {error}",
            slug="replay-died",
            hint="the job may have written into the replay's own files",
        ) from None
    raise ReplayError(message, slug=slug, hint=hint)


def replay_here(
    trace: Trace,
    config: Config,
    *,
    on_miss: OnMiss = "fail",
    what_ifs: Sequence[WhatIf] = (),
    deep: bool = False,
    watching: Watching | None = None,
) -> Trace:
    """Run a trace's job again in this process, one at a time.

    Raises:
        ReplayError: The job cannot be found or called.
    """
    put_on_path(config)
    allow = values.Allow(config.jobs)
    server = RecordedServer(trace, allow, on_miss, what_ifs)
    permissions = parse_permissions(config.replay_allow)
    with _one_at_a_time, guarded(permissions, server.reading) as refused, \
            contextlib.ExitStack() as entered:  # fmt: skip
        install(config)
        runtime.guard = server  # importing the job reaches nothing either
        os.environ[runtime.REPLAYING] = trace.id
        try:
            tracing = tracing_for(trace, config, deep=deep)
            if tracing is not None:
                entered.enter_context(deepened(trace, config))
            job = on_its_class(find_job(trace, config))
            args, kwargs = bind(job, trace, allow)
            loaded()
            server.begin()
            restart = entered.enter_context(recorded_surroundings(trace))
            entered.enter_context(values.reported(server.used))
            with watching or contextlib.nullcontext():
                done = run(
                    _with_receiver(job),
                    args,
                    kwargs,
                    config=config,
                    server=server,
                    depth="full" if deep else trace.depth,
                    started_at=trace.started_at,
                    seed=trace.environment.seed,
                    tracing=tracing,
                    begin=restart,
                )
        finally:
            runtime.guard = None
            os.environ.pop(runtime.REPLAYING, None)
    new = done.trace()
    said = [f"the replay was refused {what}" for what in refused]
    return replace(new, replay=server.info(), warnings=(*new.warnings, *server.notes(), *said))


def put_on_path(config: Config) -> None:
    """Let the project's modules be imported, from where its settings say first."""
    for path in reversed(config.pythonpath):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    if str(config.root) not in sys.path:
        sys.path.append(str(config.root))


def _with_receiver(job: Job) -> Job:
    """The job with its receiver made, if it is a method."""
    if not job.method or job.factory is None:
        return job
    try:
        receiver = job.factory()
    except (Exception, ReplayAbort) as error:
        raise ReplayError(
            f"the factory of the job {job.key!r} failed: {type(error).__name__}: {error}",
            slug="job-factory-failed",
            hint="it makes the object that the method is called on, outside of the recording",
        ) from error
    return replace(job, factory=lambda: receiver)
