"""The process that replays one trace after the other: ``python -m …warmworker FD``.

It imports the jobs' modules, replays nothing itself, and forks a *runner* that answers requests
until it is told to make way for a fresh one: in a few milliseconds, with everything imported. So a
trace can be replayed where no other was before it, and a job that ends its process costs no more.

Requests come on standard input, one at a time, each behind its length; answers go to a descriptor
of their own, so that a job that prints cannot spoil them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracediff import codec, runtime, values
from tracediff.compare import compare
from tracediff.config import Config, load_config
from tracediff.digests import outcome_digest, tree_digest
from tracediff.errors import TracediffError
from tracediff.expectations.limits import used
from tracediff.expectations.reading import read_trace
from tracediff.expectations.rules import unpacked
from tracediff.model import Step, Tolerance, Trace
from tracediff.recording.codeversion import git_commit
from tracediff.recording.libraries import install
from tracediff.replay import RecordedServer, WhatIf, replay_here
from tracediff.replay.bytecode import drop_stale_bytecode
from tracediff.replay.finding import find_job
from tracediff.replay.framing import receive, send
from tracediff.replay.guard import guarded
from tracediff.replay.permissions import parse_permissions

RENEW = 75
"""The exit code of a runner that makes way for a fresh one."""

LARGE = 1 << 20
"""Bytes of a trace above which what differs is told by the one who asks, who needs it anyway."""

POLLED = 50
"""Milliseconds between two looks at a runner, where the system cannot tell of its end."""

OUTSIDE_INPUTS = frozenset({"job", "step", "note", "artifact"})


def main(reply: int) -> None:
    """Answer requests until standard input ends."""
    requests = os.dup(0)
    os.set_inheritable(requests, False)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    drop_stale_bytecode()
    with contextlib.suppress(EOFError):  # who asks is gone: this ends too
        config = configured(*receive(requests))
        ask_git_once(config)
        while True:
            first = receive(requests)
            if not _is_large(first):  # reading it twice would cost more than the import
                _import(first, config)
            if not _run(first, config, requests, reply):
                return


def configured(root: str, given: dict[str, list[str]]) -> Config:
    """The settings of a project's files, with those that were given to who asks."""
    return replace(
        load_config(Path(root)),
        jobs=tuple(given["jobs"]),
        pythonpath=tuple(map(Path, given["pythonpath"])),
        redact=tuple(given["redact"]),
        replay_allow=tuple(given["replay_allow"]),
    )


def ask_git_once(config: Config) -> None:
    """Every runner has a recorder of its own, which would ask git again."""
    commit, dirty = git_commit(config.root)
    if commit is not None:
        os.environ.setdefault("TRACEDIFF_CODE_VERSION", commit + ("+dirty" if dirty else ""))


def _is_large(request: dict[str, Any]) -> bool:
    if "trace" in request:
        return len(request["trace"]) > LARGE
    try:
        return Path(request["file"]).stat().st_size > LARGE
    except OSError:
        return False


def _import(request: dict[str, Any], config: Config) -> None:
    """Import what a trace's job needs, as its replay would; what fails, fails again there."""
    try:
        trace = _recorded(request)
    except TracediffError:
        return
    import_job(trace, config)


def import_job(trace: Trace, config: Config) -> None:
    """Import what a trace's job needs, as its replay would; what fails, fails again there."""
    _on_the_path(config)
    try:
        install(config)  # as in a replay: what modules take while they are imported is in place
        server = RecordedServer(trace, values.Allow(config.jobs))
        with guarded(parse_permissions(config.replay_allow)):
            runtime.guard = server
            os.environ[runtime.REPLAYING] = trace.id
            find_job(trace, config)
    except (Exception, runtime.ReplayAbort, SystemExit):  # noqa: BLE001 - a module runs any code
        return
    finally:
        runtime.guard = None
        os.environ.pop(runtime.REPLAYING, None)


def _on_the_path(config: Config) -> None:
    for path in reversed(config.pythonpath):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))


def _run(first: dict[str, Any], config: Config, requests: int, reply: int) -> bool:
    """Fork a runner that begins with a request; whether it made way for another."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(ended(child, requests))
        if code == RENEW:
            return True
        if code < 0:
            os.kill(os.getpid(), -code)  # whoever asks sees how the job ended
        os._exit(code)
    code = 1
    try:
        code = _answer_all(first, config, requests, reply)
    except (EOFError, BrokenPipeError):
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(child: int, requests: int) -> int:
    """Wait for a runner; when nobody asks any more, as after kill -9, end it and what it started.

    A runner that is deep in a job would not notice the end of the pipe.
    """
    poll = select.poll()
    poll.register(requests, 0)  # the hang-up alone, which is always reported
    handle = os.pidfd_open(child) if sys.platform == "linux" else None
    if handle is not None:
        poll.register(handle, select.POLLIN)
    while True:
        found = dict(poll.poll(None if handle is not None else POLLED))
        if requests in found and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        if requests in found or handle in found:
            status = os.waitpid(child, 0)[1]
            break
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
    if handle is not None:
        os.close(handle)
    return status


def _answer_all(first: dict[str, Any], config: Config, requests: int, reply: int) -> int:
    request: dict[str, Any] | None = first
    own, fresh = os.getpid(), True
    while request is not None:
        start = _printed()
        answer = _answer(request, config)
        if os.getpid() != own:  # a child that the job forked and that ran to the job's end
            return 0
        send(reply, [fresh, [start, _printed()], *answer])
        fresh = False
        request = receive(requests)
    return RENEW


def _printed() -> int:
    """How much was printed so far: standard output is a file, unless the job replaced it."""
    with contextlib.suppress(Exception):  # whatever the job put in their place
        sys.stdout.flush()
        sys.stderr.flush()
        return os.fstat(1).st_size
    return 0


def _answer(request: dict[str, Any], config: Config) -> list[Any]:
    try:
        old = _recorded(request)
        new = replay_here(
            _without_inputs(old) if request.get("refresh") else old,
            config,
            on_miss=request["on_miss"],
            what_ifs=[WhatIf.unpacked(one) for one in request.get("what_ifs", ())],
        )
    except TracediffError as error:
        return ["error", error.message, error.slug, error.hint]
    same = _same(old, new, unpacked(request["rules"]), bool(request["strict"]))
    if same is not None and request["whole"]:
        return ["whole", codec.dump(old), codec.dump(new)]
    if same is not None:
        return ["same", *same]
    return ["different", codec.dump(old), codec.dump(new)]


def _recorded(request: dict[str, Any]) -> Trace:
    """The trace of a request: a file's, or one that came with it."""
    if "file" in request:
        return read_trace(Path(request["file"]))
    return codec.load(request["trace"])


def _same(old: Trace, new: Trace, rules: list[Tolerance], strict: bool) -> list[Any] | None:
    """What a passed test has to say: id, key, steps, tolerance used; None where they differ."""
    replay = new.replay
    about = [old.id, old.key, len(old.steps)]
    quiet = replay is not None and not (replay.misses or replay.unused or replay.moved)
    if quiet and old.state == new.state and outcome_digest(old) == outcome_digest(new):
        equal = tree_digest(old) == tree_digest(new)
        if equal:
            return [*about, 0, None, ""]
    if sum(len(step.result.data) for step in old.steps if step.result is not None) > LARGE:
        return None
    comparison = compare(old, new, tolerances=rules, strict_steps=strict)
    if comparison.different:
        return None
    use = used(comparison, rules)
    return [*about, use.fields, use.worst, use.place]


def _without_inputs(trace: Trace) -> Trace:
    """The trace with nothing to serve, so that every input is read anew."""
    kept = [step.kind in OUTSIDE_INPUTS for step in trace.steps]
    numbers = {-1: -1}
    steps: list[Step] = []
    for index, step in enumerate(trace.steps):
        if kept[index] and step.parent in numbers:
            numbers[index] = len(steps)
            steps.append(replace(step, parent=numbers[step.parent]))
    return replace(trace, steps=tuple(steps))


if __name__ == "__main__":
    main(int(sys.argv[1]))
