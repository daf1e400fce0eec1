"""The process that runs mixtures: ``python -m tracediff.explain.hybridworker FD``.

It has the libraries of the project imported and none of the project's own modules. For each mixture
it forks a child, which imports the mixture, replays the job, says what came of it and ends; so one
leaves nothing to the next. Requests come on standard input, answers go to a descriptor.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ormsgpack

from tracediff import codec
from tracediff.config import load_config
from tracediff.errors import ReplayError, TracediffError
from tracediff.explain.assembly import Assembly
from tracediff.explain.batchworker import run_batches
from tracediff.explain.children import Child, Setup, end_all, enter, finder_of, peak, ready, start
from tracediff.explain.coverage import Coverage
from tracediff.explain.hybridimport import Finder, Project
from tracediff.explain.outcomes import recorded
from tracediff.explain.pairing import pair
from tracediff.explain.settling import settle_modules
from tracediff.model import Code
from tracediff.recording import Recorder
from tracediff.recording.codeversion import assume
from tracediff.replay import replay_here
from tracediff.replay.framing import HEAD, receive, send
from tracediff.replay.guard import guarded
from tracediff.replay.libraries import differing
from tracediff.replay.permissions import parse_permissions
from tracediff.replay.watching import Watch, Watching


def main(reply: int) -> None:
    """Answer requests until there are none."""
    requests = os.dup(0)
    os.set_inheritable(requests, False)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # an import that reads it takes no request
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    assume(Code())  # a mixture is nobody's commit
    try:
        setup = _set_up(receive(requests), requests)
    except TracediffError as error:
        send(reply, ["refused", error.message])
        return
    send(reply, ["ready"])
    try:
        with contextlib.suppress(EOFError):  # who asks is gone
            while True:
                _answer(setup, reply, *receive(requests))
    finally:
        end_all()


def _answer(setup: Setup, reply: int, kind: str, body: Any) -> None:
    if kind == "warm":
        _warm(setup, body)
    elif kind == "settle":
        _settle(setup, *body)
    elif kind == "plan":
        _plan(setup, *body)
    elif kind == "trace":
        setup.traces[body[0]] = codec.load(body[1])
    elif kind == "release":
        for number in body:
            setup.traces.pop(number, None)
    else:
        for answer in (run_batches if kind == "batch" else _run_all)(setup, body):
            send(reply, answer)


def _set_up(request: Any, requests: int) -> Setup:
    old, new, entries, libraries, traces = request
    config, then = load_config(Path(new)), load_config(Path(old))
    return Setup(
        config,
        then,
        Project(then.root, config.root, entries),
        {
            "old": Project(then.root, then.root, entries),
            "new": Project(config.root, config.root, entries),
        },
        differing([Path(one) for one in libraries]),
        {number: codec.load(one) for number, one in enumerate(traces)},
        requests,
    )


def _plan(setup: Setup, files: Sequence[str], strict: bool) -> None:
    """Get ready what the mixtures have in common, so that no child does it again."""
    with contextlib.suppress(SyntaxError, ValueError):  # who asked reads them too, and says it
        pairing = pair(*sources(setup.project, files), strict=strict)
        old, new = setup.project.old, setup.project.new
        setup.assembly = Assembly(pairing, old, new)
        setup.marked = Assembly(pairing, old, new, marked=True)
        Recorder(setup.config).redactor.encoder(lambda said: None)  # its patterns are compiled
        for file in files:
            setup.project.find(setup.project.module(file))
            if file not in pairing.modules:
                setup.project.code(file)


def _settle(setup: Setup, names: Sequence[str], differing: Sequence[str]) -> None:
    more = settle_modules(
        names,
        project=setup.project,
        config=setup.config,
        trace=setup.traces[min(setup.traces)],
        differing=differing,
        libraries=[module for one in setup.libraries for module in one.modules],
    )
    setup.settled = tuple(dict.fromkeys((*setup.settled, *more)))


def sources(
    project: Project, files: Sequence[str]
) -> tuple[dict[str, bytes], dict[str, bytes], dict[str, str]]:
    """The sources of both sides by path, and the dotted name of each path."""
    old = {one: path.read_bytes() for one in files if (path := project.old / one).is_file()}
    new = {one: path.read_bytes() for one in files if (path := project.new / one).is_file()}
    return old, new, {one: project.module(one) for one in files}


def _warm(setup: Setup, names: Sequence[str]) -> None:
    """Import what the mixtures will: nothing of the project's, and nothing that reaches out."""
    sys.meta_path.insert(0, _Away(setup))
    try:
        with guarded(parse_permissions(())):
            for name in names:
                with contextlib.suppress(Exception, SystemExit):  # a child will say what it is
                    importlib.import_module(name)
    finally:
        sys.meta_path.pop(0)
    gc.collect()
    gc.freeze()


class _Away:
    """Keeps what mixtures choose from being imported where it would stay."""

    def __init__(self, setup: Setup) -> None:
        self._project = setup.project
        self._chosen = {module for one in setup.libraries for module in one.modules}

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in self._chosen or self._project.find(name) is not None:
            raise ImportError(name)


def _run_all(setup: Setup, tasks: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """Answers in the order in which they come; as many children at once as there are processors."""
    waiting = list(reversed(tasks))
    running: dict[int, Child] = {}
    most = min(len(os.sched_getaffinity(0)), 8)
    try:
        while waiting or running:
            while waiting and len(running) < most:
                child = _start(setup, waiting.pop())
                running[child.pipe] = child
            soonest = min(one.deadline for one in running.values())
            for pipe in ready(setup, list(running), soonest):
                child = running[pipe]
                part = os.read(pipe, 1 << 16)
                child.data += part
                if not part or child.is_whole():  # what it forked may hold the pipe open
                    del running[pipe]
                    yield [child.number, *_end(child)]
            for child in list(running.values()):
                if time.monotonic() > child.deadline:
                    del running[child.pipe]
                    child.kill()
                    yield [child.number, "timeout", ""]
    finally:  # who asked has gone
        for child in running.values():
            child.kill()


def _start(setup: Setup, task: Mapping[str, Any]) -> Child:
    """Fork a child for a mixture; what it runs is put together here, where it is kept."""
    finder = finder_of(setup, task)

    def answer(end: int) -> None:
        own, place = os.getpid(), os.fstat(end)
        found = _run(setup, task, finder)
        if os.getpid() == own and os.path.samestat(os.fstat(end), place):
            send(end, found)

    return start(task["number"], task["limit"], answer)


def _end(child: Child) -> list[Any]:
    child.kill()
    try:
        answer: list[Any] = ormsgpack.unpackb(bytes(child.data[HEAD:]))
    except ValueError:
        return ["died", ""]
    return answer


def _run(setup: Setup, task: Mapping[str, Any], finder: Finder) -> list[Any]:
    """Replay the job in this child."""
    config = enter(setup, task, finder)
    known = set(sys.modules)
    trace = setup.traces[task["trace"]]
    if not task["steps"]:
        trace = replace(trace, depth="inputs")
    watching = Watching(Watch(*task["watch"]), config) if task["watch"] else None
    begun = time.perf_counter()
    coverage = Coverage(setup.project.old, setup.project.new) if task["coverage"] else None
    try:
        with coverage or contextlib.nullcontext():
            new = replay_here(trace, config, deep=task["deep"], watching=watching)
    except ReplayError as error:
        return ["refused", error.message]
    except MemoryError:
        return ["memory", ""]
    except Exception as error:  # noqa: BLE001 - told, where it would end the child without a word
        return ["died", f"{type(error).__name__}: {error}"]
    answer: dict[str, Any] = {
        "outcome": recorded(new).packed(),
        "trace": codec.dump(new) if task["steps"] else b"",
        "locals": watching.packed() if watching is not None else [],
    }
    if coverage is not None:
        answer |= {
            "seconds": time.perf_counter() - begun,
            "memory": peak(),
            "modules": finder.ran,
            "libraries": [one for one in sys.modules if one not in known and setup.is_library(one)],
            "ran": coverage.ran(),
            "opened": coverage.opened(),
        }
    return ["ran", answer]


if __name__ == "__main__":
    main(int(sys.argv[1]))
