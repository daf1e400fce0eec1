"""Deep replay: the functions of the job's own modules become steps, with no annotation.

The modules are imported as ever; then the functions and methods they define are replaced where
they stand, by the wrapper that ``@td.step`` makes. So decorators, dataclasses and enums saw the
plain functions, and a lambda, a nested function or what somebody aliased out of reach stays none.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tracediff import recording, values
from tracediff.config import Config
from tracediff.model import Trace
from tracediff.recording.marks import Mark, called
from tracediff.recording.wrappers import Descriptor, instrument, within
from tracediff.runtime import current

MAX_STEPS = 20_000
MAX_DEPTH = 100
_OWN = str(Path(recording.__file__).parent)


def patterns_of(trace: Trace, config: Config) -> tuple[str, ...]:
    """The modules whose functions become steps: the configured ones, else the job's own package."""
    if config.autotrace:
        return config.autotrace
    top = trace.job.partition(":")[0].partition(".")[0]
    return (top, f"{top}.*")


class Deepening:
    """An import hook that makes steps of what the modules define.

    Args:
        patterns: As those of the setting ``jobs``.
        max_steps: The number of steps of a trace from which on no call becomes one.
        max_depth: How deep the tree may be.
    """

    def __init__(
        self, patterns: Sequence[str], max_steps: int = MAX_STEPS, max_depth: int = MAX_DEPTH
    ) -> None:
        self._allow = values.Allow(patterns)
        self._max_steps, self._max_depth = max_steps, max_depth
        self._cut = {"steps": 0, "depth": 0}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as the other finders find it, with what it defines made steps afterwards."""
        if not self._allow.permits(name):
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: ModuleSpec | None = find(name, path, target)
            if spec is not None:
                self._follow(spec)
                return spec
        return None

    def _follow(self, spec: ModuleSpec) -> None:
        """Set on the one loader, which stays of its class: resources and sources are found."""
        run = getattr(spec.loader, "exec_module", None)
        if run is None or not (spec.origin or "").endswith(".py"):
            return

        def exec_module(module: ModuleType) -> None:
            run(module)
            self.deepen(module)

        with contextlib.suppress(AttributeError):
            setattr(spec.loader, "exec_module", exec_module)  # noqa: B010 - a loader of any class

    def deepen(self, module: ModuleType) -> None:
        """Make steps of the functions and methods that a module defines."""
        space = vars(module)
        files = _files(module)
        replaced: dict[int, Any] = {}
        kept: list[Any] = []  # their ids stay theirs
        for name, found in list(space.items()):
            if isinstance(found, FunctionType):
                made = self._stepped(found, module.__name__, name, files)
                if made is not None:
                    replaced[id(found)] = space[name] = made
                    kept.append(found)
            elif isinstance(found, type) and found.__module__ == module.__name__:
                self._deepen_class(found, module.__name__, files)
        for found in list(space.values()):
            _replace_within(found, replaced)

    def _deepen_class(self, owner: type, module: str, files: frozenset[object]) -> None:
        for name, found in list(vars(owner).items()):
            qualname = f"{owner.__qualname__}.{name}"
            if isinstance(found, type):
                if found.__module__ == module and found.__qualname__ == qualname:
                    self._deepen_class(found, module, files)
                continue
            made = self._member(found, module, qualname, files)
            if made is None:
                continue
            with contextlib.suppress(AttributeError, TypeError):
                type.__setattr__(owner, name, made)
                if isinstance(made, functools.cached_property):
                    made.__set_name__(owner, name)

    def _member(self, found: Any, module: str, qualname: str, files: frozenset[object]) -> Any:
        if qualname.rpartition(".")[2].startswith("__") and not qualname.endswith(".__call__"):
            return None  # capturing a value may call these
        if isinstance(found, FunctionType):
            return self._stepped(found, module, qualname, files)
        if not isinstance(found, Descriptor):
            return None
        inner = (
            found.fget if isinstance(found, property)
            else found.func if isinstance(found, functools.cached_property)
            else found.__func__
        )  # fmt: skip
        if not isinstance(inner, FunctionType) or not _is_own(inner, module, qualname, files):
            return None
        return within(found, lambda function, drop: self._step(function, qualname, drop))

    def _stepped(
        self, found: FunctionType, module: str, qualname: str, files: frozenset[object]
    ) -> Any:
        return self._step(found, qualname) if _is_own(found, module, qualname, files) else None

    def _step(self, function: Callable[..., Any], name: str, drop: int | None = None) -> Any:
        mark = Mark("step", name, function, drop=drop)
        stepped = instrument(mark, function)
        running = called(inspect.unwrap(function))
        if any(
            kind(running)
            for kind in (
                inspect.iscoroutinefunction,
                inspect.isgeneratorfunction,
                inspect.isasyncgenfunction,
            )
        ):
            return stepped

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if self._has_room(current.get()):
                return stepped(*args, **kwargs)
            return function(*args, **kwargs)

        return wrapper

    def _has_room(self, parent: Any) -> bool:
        if parent is None:
            return True
        if len(parent.buffer.spans) >= self._max_steps:
            self._cut["steps"] += 1
            return False
        depth = 0
        while parent is not None and depth < self._max_depth:
            parent, depth = parent.parent, depth + 1
        if depth < self._max_depth:
            return True
        self._cut["depth"] += 1
        return False

    def notes(self) -> list[str]:
        """What was left out, for the trace's warnings."""
        limits = {"steps": f"{self._max_steps} steps", "depth": f"{self._max_depth} levels"}
        return [
            f"{count} calls are no steps: a deep trace ends at {limits[what]}"
            for what, count in self._cut.items()
            if count
        ]


def _files(module: ModuleType) -> frozenset[object]:
    """Where a module's code is from: a mixture of two versions has two files."""
    loader = getattr(module.__spec__, "loader", None)
    return frozenset((vars(module).get("__file__"), *getattr(loader, "files", ())))


def _is_own(function: FunctionType, module: str, qualname: str, files: frozenset[object]) -> bool:
    """Whether the module defines the function there, by hand and with no mark on it yet."""
    if function.__module__ != module or function.__qualname__ != qualname:
        return False
    if not qualname.rpartition(".")[2].isidentifier():
        return False  # a lambda
    inner: Any = function
    for _ in range(100):
        if hasattr(inner, "__tracediff_job__") or _is_wrapper(inner):
            return False
        if not hasattr(inner, "__wrapped__"):
            break
        inner = inner.__wrapped__
    code = getattr(inner, "__code__", None)
    return code is not None and code.co_filename in files


def _is_wrapper(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(_OWN)


def _replace_within(found: Any, replaced: dict[int, Any]) -> None:
    """Tables of functions, such as a registry, hold the steps too."""
    if type(found) is dict:
        for key, value in list(found.items()):
            if id(value) in replaced:
                found[key] = replaced[id(value)]
    elif type(found) is list:
        found[:] = [replaced.get(id(value), value) for value in found]


@contextlib.contextmanager
def deepened(trace: Trace, config: Config) -> Iterator[Deepening]:
    """While this lasts, what is imported of the job's modules is made steps."""
    hook = Deepening(patterns_of(trace, config))
    sys.meta_path.insert(0, hook)
    try:
        yield hook
    finally:
        sys.meta_path.remove(hook)
