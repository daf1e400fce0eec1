"""The process that replays for ``doctor --replayability``: ``python -m …replaying FD``.

It imports the jobs' modules, replays nothing itself, and forks a child for each replay, so that
each begins where a process of its own would, with the hash seed that this one was started with.
"""

from __future__ import annotations

import contextlib
import locale
import os
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

import ormsgpack

from tracediff import codec
from tracediff.check.processes import Control, end_children
from tracediff.config import Config
from tracediff.errors import TracediffError
from tracediff.expectations.warmworker import ask_git_once, configured, import_job
from tracediff.model import Trace
from tracediff.recording.distributions import distributions
from tracediff.recording.jobs import jobs
from tracediff.replay import replay_here
from tracediff.replay.bytecode import drop_stale_bytecode
from tracediff.replay.clock import clock_library
from tracediff.replay.engine import put_on_path
from tracediff.replay.framing import receive, send
from tracediff.replay.libraries import serve_told
from tracediff.replay.placing import imports_placed, placed
from tracediff.replay.starting import DIED
from tracediff.replay.watching import Watch, Watching
from tracediff.replayability.clients import clients
from tracediff.replayability.evidence import Reading
from tracediff.replayability.noticing import Noticing
from tracediff.replayability.stack import Stacks

LONGEST: Final = 60.0
"""Seconds a replay may take where ``replay_timeout`` says nothing."""
SLOWER: Final = 4
"""How many times the limit a replay gets that is watched, or deep."""


def main(reply: int) -> None:
    """Answer requests until standard input ends."""
    requests = os.dup(0)
    for handle in (requests, reply):
        os.set_inheritable(handle, False)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    drop_stale_bytecode()
    serve_told(os.environ)
    Control().adopt()
    with contextlib.suppress(EOFError, BrokenPipeError):  # who asks is gone: this ends too
        root, tree, given = receive(requests)
        moved = placed(os.environ, Path(root))
        with imports_placed(moved) if moved is not None else contextlib.nullcontext():
            config = replace(configured(root, given), inputs=tuple(given["inputs"]))
            ask_git_once(config)
            put_on_path(config)
            clock_library()
            noticing = Noticing(Stacks((Path(root), Path(tree))))
            while True:
                data, asked = receive(requests)
                trace = codec.load(data)
                import_job(trace, config)
                distributions()  # read once, and not by each child
                send(reply, _replayed(trace, asked, config, noticing))


def _replayed(trace: Trace, asked: dict[str, Any], config: Config, noticing: Noticing) -> Any:
    """Replay in a child; what came of it, or how it ended."""
    answers, end = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # whatever an import put in their place
            stream.flush()
    child = os.fork()
    if not child:
        os.close(answers)
        _be_child(trace, asked, config, noticing, end)
    os.close(end)
    limit = asked["timeout"] or config.replay_timeout or LONGEST
    if asked["watched"] or asked["deep"]:
        limit *= SLOWER
    data = _read(answers, limit)
    os.close(answers)
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        os.kill(child, signal.SIGKILL)
    end_children()
    if data is None:
        said = [f"the replay took longer than {limit:g} s", "replay-timeout", ""]
        return {"error": said}
    if not data:
        return {"error": [f"the process that replayed {trace.id} ended", "replay-died", DIED]}
    return ormsgpack.unpackb(data)


def _read(handle: int, limit: float) -> bytes | None:
    """All that a child answers; None when its time is up."""
    parts: list[bytes] = []
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    deadline = time.monotonic() + limit
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        part = os.read(handle, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _be_child(
    trace: Trace, asked: dict[str, Any], config: Config, noticing: Noticing, end: int
) -> NoReturn:
    """Replay, answer, and end."""
    code = 1
    own = os.getpid()
    try:
        Control().die_with_parent()
        answer = _answer(trace, asked, config, noticing)
        if os.getpid() == own:  # else it is a child that the job forked
            data = ormsgpack.packb(answer)
            while data:
                data = data[os.write(end, data) :]
        code = 0
    finally:
        os._exit(code)


def _answer(
    trace: Trace, asked: dict[str, Any], config: Config, noticing: Noticing
) -> dict[str, Any]:
    if asked["seed"] is not None:
        trace = replace(trace, environment=replace(trace.environment, seed=asked["seed"]))
    watching = Watching(Watch(asked["unit"]), config) if asked["unit"] else None
    found: dict[str, Any] = {}
    try:
        if asked["twice"]:
            replay_here(trace, config)
        with noticing.watching(watched=asked["watched"]):
            new = replay_here(trace, config, deep=asked["deep"], watching=watching)
        found["trace"] = codec.dump(new)
    except TracediffError as error:
        found["error"] = [error.message, error.slug, error.hint or ""]
    except BaseException as error:  # noqa: BLE001 - a module or a factory runs any code
        said = f"the replay ended by {type(error).__name__}: {error}"[:1000]
        found["error"] = [said, "replay-died", DIED]
    readings = [*noticing.readings(), *_surroundings(trace)]
    if asked["watched"]:
        readings += clients(noticing.stacks)
    found["readings"] = [one.packed() for one in readings]
    found["seeded"] = any(one.seed for one in jobs.get(trace.key, ()))
    found["assigned"] = watching.packed() if watching is not None else []
    return found


def _surroundings(trace: Trace) -> list[Reading]:
    """What of the recorded surroundings this machine does not have."""
    found = []
    try:
        locale.setlocale(locale.LC_ALL, trace.environment.locale)
    except locale.Error:
        found.append(Reading(kind="locale", what=trace.environment.locale))
    zone = trace.environment.timezone
    if "/" in zone:
        try:
            ZoneInfo(zone)
        except (OSError, ValueError):
            found.append(Reading(kind="zone", what=zone))
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]))
