"""Importing, once for all mixtures, the modules of the project that are the same in all of them.

A module is when neither it nor anything that it imports differs. Whether that is so is tried out in
a child first, which leaves no trace: a module whose import reaches what differs, calls an input,
starts a thread or keeps a file open stays for each mixture to import.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tracediff import recording, runtime, values
from tracediff.config import Config
from tracediff.explain.hybridimport import Finder, Project
from tracediff.model import Trace
from tracediff.replay import RecordedServer
from tracediff.replay.guard import guarded
from tracediff.replay.permissions import parse_permissions

LONGEST = 60
"""Seconds that trying the imports may take."""


class _DiffersError(BaseException):
    """Something that differs is imported; no ``except ImportError`` catches it."""


class _Barrier:
    """Lets nothing be imported that mixtures choose."""

    def __init__(self, project: Project, files: Collection[str], tops: Collection[str]) -> None:
        self._project, self._files, self._tops = project, files, tops

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        found = self._project.find(name)
        if name.partition(".")[0] in self._tops or (found is not None and found[0] in self._files):
            raise _DiffersError(name)


def settle_modules(
    names: Sequence[str],
    *,
    project: Project,
    config: Config,
    trace: Trace,
    differing: Collection[str],
    libraries: Collection[str],
) -> tuple[str, ...]:
    """Import what can be, and return it.

    Args:
        names: The modules that both sides load, in the order in which they run.
        project: Where they are.
        config: The project's settings.
        trace: The recording whose job they are imported for.
        differing: The files that differ.
        libraries: The top-level modules of libraries that differ.
    """
    barrier = _Barrier(project, differing, libraries)
    with _as_in_a_replay(barrier, project, config, trace):
        done = [one for one in _tried(names, project) if _imported(one, project)]
    gc.collect()
    gc.freeze()
    return tuple(one for one in done if one in sys.modules)


@contextlib.contextmanager
def _as_in_a_replay(
    barrier: _Barrier, project: Project, config: Config, trace: Trace
) -> Iterator[None]:
    for path in (*config.pythonpath, config.root):
        if str(path) not in sys.path:
            sys.path.append(str(path))
    finder = Finder(project, {})
    sys.meta_path[:0] = [barrier, finder]
    here = Path.cwd()
    os.chdir(config.root)
    try:
        with guarded(parse_permissions(config.replay_allow)):
            runtime.guard = RecordedServer(trace, values.Allow(config.jobs), "fail")
            os.environ[runtime.REPLAYING] = trace.id
            yield
    finally:
        runtime.guard = None
        os.environ.pop(runtime.REPLAYING, None)
        sys.meta_path.remove(barrier)
        sys.meta_path.remove(finder)
        os.chdir(here)


def _tried(names: Sequence[str], project: Project) -> list[str]:
    """Those that a child can import."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            signal.alarm(LONGEST)  # an import that waits for what never comes
            found = "\n".join(_importable(names, project))
            with os.fdopen(writing, "w", encoding="utf-8") as stream:
                stream.write(found)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    return said.split()


def _importable(names: Sequence[str], project: Project) -> Iterator[str]:
    before = _held()
    for name in names:
        if not _imported(name, project):
            continue
        if _held() != before:
            return
        yield name


def _imported(name: str, project: Project) -> bool:
    """Import a module; where that fails, leave nothing behind of what it had imported."""
    before = set(sys.modules)
    try:
        importlib.import_module(name)
    except BaseException:  # noqa: BLE001 - whatever it is, a mixture will say it
        forget([one for one in set(sys.modules) - before if project.find(one) is not None])
        return False
    return True


def _held() -> tuple[int, int]:
    return threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir())


def forget(names: Collection[str]) -> None:
    """Let this process import these modules anew."""
    for name in names:
        sys.modules.pop(name, None)
    for known in recording.jobs.values():
        known[:] = [one for one in known if one.unit.partition(":")[0] not in names]
