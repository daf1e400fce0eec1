"""Running one choice of code for many recordings, in the process that runs mixtures.

A child imports the choice once and replays one recording after the other; each answer is sent as it
is there. What ends the child, or may have come of an earlier recording, is tried once more as the
first of another child; so it costs one recording a second run, and the others nothing.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType, ModuleType
from typing import Any

import ormsgpack

from tracediff import runtime, values
from tracediff.config import Config
from tracediff.errors import ReplayError
from tracediff.explain.assembly import MARK
from tracediff.explain.children import MOST_ANSWER, Child, Setup, enter, finder_of, ready, start
from tracediff.explain.coverage import Coverage
from tracediff.explain.hybridimport import Finder
from tracediff.explain.outcomes import recorded
from tracediff.model import Trace
from tracediff.replay import RecordedServer, replay_here
from tracediff.replay.finding import find_job
from tracediff.replay.framing import HEAD, send, size_of
from tracediff.replay.guard import guarded
from tracediff.replay.permissions import parse_permissions

MOST_HUNG = 2
"""So many recordings have to come to no end before the same is taken for granted of the others."""
AGAIN = "again"
_CACHE = type(functools.lru_cache(lambda: None))
_DEEPEST = 10

Told = list[Any]
"""The number of a task, that of a recording, the kind of answer, and what it is."""


@dataclass(slots=True)
class _Batch:
    """A task, the recordings that are still to be run, and how many its child has answered."""

    number: int
    task: Mapping[str, Any]
    finder: Finder
    left: deque[int]
    child: Child
    answered: int = 0
    hung: int = 0

    def messages(self) -> Iterator[list[Any]]:
        """Those that have arrived whole."""
        data = self.child.data
        while len(data) >= HEAD and len(data) >= HEAD + size_of(data):
            end = HEAD + size_of(data)
            yield ormsgpack.unpackb(bytes(data[HEAD:end]))
            del data[:end]

    def is_broken(self) -> bool:
        """Whether what arrives is no answer."""
        return len(self.child.data) >= HEAD and size_of(self.child.data) > MOST_ANSWER

    def lost(self, kind: str) -> Iterator[Told]:
        """The child is gone: the answers that this is for recordings that were left."""
        if not self.left or (self.answered and not self.task["apart"]):
            return
        yield [self.number, self.left.popleft(), kind, ""]
        self.hung += kind == "timeout"
        while self.left and self.hung >= MOST_HUNG:
            yield [self.number, self.left.popleft(), kind, ""]


def run_batches(setup: Setup, tasks: Sequence[Mapping[str, Any]]) -> Iterator[Told]:
    """Answers in the order in which they come; as many children at once as there are processors."""
    waiting = deque(enumerate(tasks))
    running: dict[int, _Batch] = {}
    most = min(len(os.sched_getaffinity(0)), 8)
    try:
        while waiting or running:
            while waiting and len(running) < most:
                number, task = waiting.popleft()
                if task["traces"]:
                    _add(running, _begun(setup, number, task))
            if not running:
                return
            soonest = min(one.child.deadline for one in running.values())
            for pipe in ready(setup, list(running), soonest):
                yield from _read(setup, running, pipe)
            for one in list(running.values()):
                if time.monotonic() > one.child.deadline:
                    yield from _ended(setup, running, one, "timeout")
    finally:  # who asked has gone
        for one in running.values():
            one.child.kill()


def _add(running: dict[int, _Batch], batch: _Batch) -> None:
    running[batch.child.pipe] = batch


def _begun(setup: Setup, number: int, task: Mapping[str, Any]) -> _Batch:
    finder, left = finder_of(setup, task), deque(task["traces"])
    return _Batch(number, task, finder, left, _child(setup, number, task, finder, left))


def _child(
    setup: Setup, number: int, task: Mapping[str, Any], finder: Finder, left: Collection[int]
) -> Child:
    return start(number, task["limit"], lambda end: _Running(setup, task, finder, end).all(left))


def _read(setup: Setup, running: dict[int, _Batch], pipe: int) -> Iterator[Told]:
    batch = running[pipe]
    part = os.read(pipe, 1 << 16)
    batch.child.data += part
    for trace, kind, body in batch.messages():
        if kind == AGAIN or not batch.left or trace != batch.left[0]:
            yield from _ended(setup, running, batch, "died")
            return
        batch.left.popleft()
        batch.answered += 1
        batch.child.deadline = time.monotonic() + batch.task["limit"]
        yield [batch.number, trace, kind, body]
    if not part or not batch.left or batch.is_broken():
        yield from _ended(setup, running, batch, "died")


def _ended(setup: Setup, running: dict[int, _Batch], batch: _Batch, kind: str) -> Iterator[Told]:
    """A child is done or gone: what is left goes to another."""
    del running[batch.child.pipe]
    batch.child.kill()
    yield from batch.lost(kind)
    if batch.left:
        batch.answered = 0
        batch.child = _child(setup, batch.number, batch.task, batch.finder, batch.left)
        _add(running, batch)


@dataclass(slots=True)
class _Seen:
    """What was already told of what runs in a child, and what ran when modules were imported."""

    modules: int = 0
    opened: int = 0
    loaded: int = 0
    marks: set[tuple[str, str, int]] = field(default_factory=set)


class _Running:
    """The life of a child."""

    def __init__(self, setup: Setup, task: Mapping[str, Any], finder: Finder, end: int) -> None:
        self.setup, self.task, self.finder, self.end = setup, task, finder, end
        self.known = set(sys.modules)
        self.config = enter(setup, task, finder)
        self.here, self.environ = os.getcwd(), dict(os.environ)  # noqa: PTH109 - as text
        self.own, self.place = os.getpid(), os.fstat(end)
        self.marks: set[tuple[str, str, int]] = set()
        self.seen = _Seen()
        self.coverage: Coverage | None = None
        self.caches: list[Any] = []
        self.cached = -1

    def all(self, numbers: Collection[int]) -> None:
        """Replay each, and send what came of it."""
        with contextlib.ExitStack() as entered:
            if self.task["marked"]:
                setattr(builtins, MARK, self.marks.add)
                base = [self.task["base"]] if self.task["base"] else []
                project = self.setup.project
                self.coverage = Coverage(project.old, project.new, *base, calls=False)
                entered.enter_context(self.coverage)
            for nth, number in enumerate(list(numbers)):
                trace = replace(self.setup.traces[number], depth="inputs")
                if not nth:
                    _import_job(trace, self.config)
                    self.seen.marks |= self.marks
                if not (self._apart(number, trace) if self.task["apart"] else
                        self._next(number, trace, first=not nth)):  # fmt: skip
                    return
                self._restore()

    def _apart(self, number: int, trace: Trace) -> bool:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                self.own = os.getpid()
                code = 0 if self._next(number, trace, first=True, last=True) else 1
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def _next(self, number: int, trace: Trace, *, first: bool, last: bool = False) -> bool:
        """Replay one; whether another may be replayed after it."""
        self.marks.clear()
        threads = threading.active_count()
        begun = time.perf_counter()
        kind, body = self._replayed(trace)
        if os.getpid() != self.own or not os.path.samestat(os.fstat(self.end), self.place):
            os._exit(0)  # a child that the job forked, or a job that closed what is not its own
        spoiled = kind in ("memory", "died") or _is_out_of_memory(body)
        if spoiled and not first:
            send(self.end, [number, AGAIN, None])
            return False
        if kind == "ran" and self.task["marked"]:
            body |= self._told(time.perf_counter() - begun)
        send(self.end, [number, kind, body])
        return last or not (spoiled or threading.active_count() > threads)

    def _replayed(self, trace: Trace) -> tuple[str, Any]:
        try:
            new = replay_here(trace, self.config)
        except ReplayError as error:
            return "refused", error.message
        except MemoryError:
            return "memory", ""
        except Exception as error:  # noqa: BLE001 - told, where it would end the child
            return "died", f"{type(error).__name__}: {error}"
        return "ran", {"outcome": recorded(new).packed(), "trace": b"", "locals": []}

    def _told(self, seconds: float) -> dict[str, Any]:
        """What ran for this one; of modules and files what has not been told yet."""
        seen = self.seen
        modules = self.finder.ran[seen.modules :]
        if modules and seen.modules:  # imported by the job itself, and not by the next one
            seen.marks |= self.marks
        opened = self.coverage.opened() if self.coverage is not None else []
        libraries = []
        if len(sys.modules) != seen.loaded:
            libraries = [one for one in sys.modules if one not in self.known]
            libraries = [one for one in libraries if self.setup.is_library(one)]
            self.known.update(libraries)
        told = {
            "seconds": seconds,
            "memory": 0,
            "modules": modules,
            "libraries": libraries,
            "ran": list(seen.marks | self.marks),
            "opened": opened[seen.opened :],
        }
        seen.modules, seen.opened, seen.loaded = len(self.finder.ran), len(opened), len(sys.modules)
        return told

    def _restore(self) -> None:
        """As it was before the job, as far as that is cheap: the rest is found by comparing."""
        os.chdir(self.here)
        if os.environ != self.environ:
            os.environ.clear()
            os.environ.update(self.environ)
        if self.cached != len(self.finder.ran):
            self.cached = len(self.finder.ran)
            names = (*self.setup.settled, *(name for name, _ in self.finder.ran))
            self.caches = list(_caches(names))
        for one in self.caches:
            one.cache_clear()


def _is_out_of_memory(body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    error = body["outcome"][1]
    return error is not None and error[0] == "builtins:MemoryError"


def _import_job(trace: Trace, config: Config) -> None:
    """Import what a job needs, as its replay would; what fails, fails again there."""
    for path in (*config.pythonpath, config.root):
        if str(path) not in sys.path:
            sys.path.append(str(path))
    try:
        with guarded(parse_permissions(config.replay_allow)):
            runtime.guard = RecordedServer(trace, values.Allow(config.jobs), "fail")
            os.environ[runtime.REPLAYING] = trace.id
            find_job(trace, config)
    except (Exception, runtime.ReplayAbort, SystemExit):  # noqa: BLE001 - a module runs any code
        return
    finally:
        runtime.guard = None
        os.environ.pop(runtime.REPLAYING, None)


def _caches(names: Collection[str]) -> Iterator[Any]:
    """The ``functools`` caches of modules and classes: a process of its own has them empty."""
    found: dict[int, Any] = {}
    for name in names:
        module = sys.modules.get(name)
        if not isinstance(module, ModuleType):
            continue
        for value in list(vars(module).values()):
            inner = list(vars(value).values()) if type(value) is type else [value]
            for one in inner:
                cache = _cache(one)
                if cache is not None:
                    found[id(cache)] = cache
    yield from found.values()


def _cache(value: Any) -> Any:
    """The cache that a function is, or is wrapped around."""
    for _ in range(_DEEPEST):
        if isinstance(value, _CACHE):
            return value
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        elif isinstance(value, FunctionType) and "__wrapped__" in vars(value):
            value = vars(value)["__wrapped__"]
        else:
            return None
    return None
