"""The children of the process that runs mixtures: forked for a choice of code."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracediff.config import Config
from tracediff.explain.assembly import Assembly
from tracediff.explain.hybridimport import Finder, Project
from tracediff.explain.settling import forget
from tracediff.model import Trace
from tracediff.replay.framing import HEAD, size_of
from tracediff.replay.libraries import Library, LibraryFinder

MOST_ANSWER = 256 * 1024 * 1024
_living: dict[int, Child] = {}


@dataclass(slots=True)
class Setup:
    """What all mixtures of a worker have in common; ``ends`` are the two sides as they are.

    ``traces`` are by number. ``marked`` has each function that can be chosen say that it runs.
    ``settled`` are the modules of the project that are imported already, ``requests`` is where
    requests come from: while one is answered, only the end of them.
    """

    config: Config
    then: Config
    project: Project
    ends: dict[str, Project]
    libraries: tuple[Library, ...]
    traces: dict[int, Trace]
    requests: int
    assembly: Assembly | None = None
    marked: Assembly | None = None
    settled: tuple[str, ...] = ()

    def is_library(self, name: str) -> bool:
        """Whether a module is none of the project's."""
        return self.project.find(name) is None


@dataclass(slots=True)
class Child:
    """A process that runs something: the pipe its answer comes through, when its time is up."""

    number: int
    pid: int
    pipe: int
    deadline: float
    data: bytearray = field(default_factory=bytearray)

    def is_whole(self) -> bool:
        """Whether an answer has arrived."""
        if len(self.data) < HEAD:
            return False
        wanted = size_of(self.data)
        return len(self.data) >= HEAD + wanted or wanted > MOST_ANSWER

    def kill(self) -> None:
        """End it and what it started."""
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended already
                kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # somebody waited for it
            os.waitpid(self.pid, 0)
        if _living.pop(self.pid, None) is not None:
            os.close(self.pipe)


def start(number: int, limit: float, work: Callable[[int], None]) -> Child:
    """Fork a child that does something with the pipe that its answers go to, and ends."""
    pipe, end = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until it can be ended
    pid = os.fork()
    if pid:
        child = _living[pid] = Child(number, pid, pipe, time.monotonic() + limit)
        os.close(end)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return child
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(pipe)
        with Path(os.devnull).open("r+b", buffering=0) as nothing:
            for standard in (0, 1, 2):
                os.dup2(nothing.fileno(), standard)
        work(end)
    finally:
        os._exit(0)


def ready(setup: Setup, pipes: Iterable[int], deadline: float) -> list[int]:
    """The pipes of children that can be read, as soon as there are some or time is up.

    Raises:
        EOFError: Who asked is gone.
    """
    pause = max(0.0, deadline - time.monotonic())
    found, _, _ = select.select([*pipes, setup.requests], [], [], pause)
    if setup.requests in found:
        raise EOFError
    return found


def end_all() -> None:
    """End all children that are left."""
    for child in list(_living.values()):
        child.kill()


def finder_of(setup: Setup, task: Mapping[str, Any]) -> Finder:
    """The import hook of one end, or of a mixture, which is put together where it is kept."""
    if task["side"]:
        return Finder(setup.ends[task["side"]], {})
    mixed = {}
    assembly = setup.marked if task["marked"] else setup.assembly
    if assembly is not None:
        mixed = dict(assembly.modules(int.from_bytes(task["choice"], "little")))
    return Finder(setup.project, mixed, Path(task["base"]) if task["base"] else None)


def enter(setup: Setup, task: Mapping[str, Any], finder: Finder) -> Config:
    """Make this child import what a task says; the settings of its side."""
    if task["deep"] or task["anew"] or task["side"]:
        forget(setup.settled)
    chosen = [one for one in setup.libraries if one.name in task["libraries"]]
    sys.meta_path[:0] = [finder, LibraryFinder(chosen)]
    config = setup.then if task["side"] == "old" else setup.config
    os.chdir(task["base"] or config.root)
    if task["memory"]:
        resource.setrlimit(resource.RLIMIT_AS, (task["memory"], task["memory"]))
    return config


def peak() -> int:
    """The most address space that this process had, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmPeak:"):
            return int(line.split()[1]) * 1024
    return 0
