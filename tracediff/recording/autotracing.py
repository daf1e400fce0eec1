"""Autotrace: the functions and methods of whole modules become steps, with no annotation.

Modules are imported as ever; later what they define is made a step in place, so that decorators,
dataclasses and enums saw the plain functions. It does not matter what was imported first.

A lambda, a nested function, a special method (capturing a value may call one) and what an object
of another type stands for, as a function in an ``lru_cache``, are no steps.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, Final

from tracediff import values
from tracediff.recording.inplace import is_traced, trace_in_place
from tracediff.runtime import current

log = logging.getLogger("tracediff")
MOST_WRAPPED: Final = 100
_OTHERS: Final = frozenset(
    {"tracediff", "pytest_tracediff", *sys.stdlib_module_names} - {"__main__"}
)
"""No pattern reaches these: what records would record itself."""

claimed: set[str] = set()
"""Functions, "module:qualname", that become jobs once their module is imported."""


class Autotrace:
    """An import hook that makes steps of what the modules define.

    Args:
        patterns: As those of the setting ``jobs``.
        at_once: Whether to make them when a module is imported. Otherwise they are made when the
            next job begins that wants them: importing costs nothing, nor do calls until then.
    """

    def __init__(self, patterns: Sequence[str], *, at_once: bool = False) -> None:
        self.patterns = tuple(patterns)
        self._allow = values.Allow(patterns)
        self._at_once = at_once
        self._waiting: list[ModuleType] = []

    def permits(self, module: str) -> bool:
        """Whether the functions of a module become steps."""
        return module.partition(".")[0] not in _OTHERS and self._allow.permits(module)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as the other finders find it, with what it defines made steps afterwards."""
        if not self.permits(name):
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if isinstance(finder, Autotrace) or find is None:
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
        if "exec_module" in getattr(spec.loader, "__dict__", {}):
            return  # one loader for many modules, as that of an archive

        def exec_module(module: ModuleType) -> None:
            run(module)
            if self.permits(module.__name__):
                self._take(module)

        with contextlib.suppress(AttributeError):  # a loader with slots: its module stays plain
            setattr(spec.loader, "exec_module", exec_module)  # noqa: B010 - a loader of any class

    def take_loaded(self) -> None:
        """Make steps of what the modules define that are loaded already."""
        loaded: dict[str, Any] = dict(sys.modules)  # anybody may put anything there
        for name, module in loaded.items():
            if isinstance(module, ModuleType) and self.permits(values.module_name(name)):
                self._take(module)

    def _take(self, module: ModuleType) -> None:
        if self._at_once or current.get() is not None:
            self.trace(module)
            if not _is_begun(module):
                return
        self._waiting.append(module)

    def finish(self) -> None:
        """Trace the modules that wait for a job; those that are being imported wait on."""
        if not self._waiting:
            return
        with _process.lock:  # another thread's job waits until they are traced
            for module in list(self._waiting):
                self.trace(module)
                if not _is_begun(module):
                    self._waiting.remove(module)

    def trace(self, module: ModuleType) -> None:
        """Make steps of the functions and methods that a module defines; never raises."""
        try:
            with _process.lock:  # nothing is imported in there
                for function, name, drop in functions_of(module):
                    trace_in_place(function, name, drop)
        except Exception:
            log.exception("tracediff could not autotrace all of the module %s", module.__name__)


def _is_begun(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


Found = tuple[FunctionType, str, int | None]
"""A function, its step's name, and how many receivers it takes, None where it tells itself."""


def functions_of(module: ModuleType) -> Iterator[Found]:
    """The functions and methods that a module defines by hand, and that are no steps yet."""
    files = _files(module)
    for name, found in list(vars(module).items()):
        if isinstance(found, FunctionType):
            if _is_own(found, module.__name__, name, files):
                yield found, name, None
        elif isinstance(found, type) and _home(found) == (module.__name__, name):
            yield from _methods(found, module.__name__, name, files)


def _methods(owner: type, module: str, path: str, files: frozenset[object]) -> Iterator[Found]:
    for name, found in list(type.__getattribute__(owner, "__dict__").items()):
        qualname = f"{path}.{name}"
        if isinstance(found, type):
            if _home(found) == (module, qualname):
                yield from _methods(found, module, qualname, files)
            continue
        inner, drop = _inside(found)
        if isinstance(inner, FunctionType) and _is_own(inner, module, qualname, files):
            yield inner, qualname, drop


def _inside(found: Any) -> tuple[Any, int | None]:
    """The function that stands in a class, or in a descriptor there, and its receivers."""
    kind = type(found)
    if kind is property:
        return found.fget, 1
    if kind is functools.cached_property:
        return found.func, 1
    if kind is classmethod:
        return found.__func__, 1
    if kind is staticmethod:
        return found.__func__, 0
    return found, None


def _home(owner: type) -> tuple[object, object]:
    """Where a class says that it is defined; a metaclass may say anything."""
    return type.__getattribute__(owner, "__module__"), type.__getattribute__(owner, "__qualname__")


def _files(module: ModuleType) -> frozenset[object]:
    """Where a module's code is from: a mixture of two versions has two files."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return frozenset((vars(module).get("__file__"), *getattr(loader, "files", ())))


def _is_own(function: FunctionType, module: str, qualname: str, files: frozenset[object]) -> bool:
    """Whether the module defines the function there, by hand and with no mark on it yet."""
    if function.__module__ != module or function.__qualname__ != qualname:
        return False
    if f"{module}:{qualname}" in claimed:
        return False
    name = qualname.rpartition(".")[2]
    if not name.isidentifier():
        return False  # a lambda
    if name.startswith("__") and name.endswith("__") and name != "__call__":
        return False  # capturing a value may call it
    inner: Any = function
    for _ in range(MOST_WRAPPED):
        space = getattr(inner, "__dict__", {})
        if "__tracediff_job__" in space or is_traced(inner):
            return False
        if "__wrapped__" not in space:
            break
        inner = space["__wrapped__"]
    code = getattr(inner, "__code__", None)
    return code is not None and code.co_filename in files


class _Process:
    """What is autotraced in this process."""

    def __init__(self) -> None:
        self.hook: Autotrace | None = None
        self.named: tuple[str, ...] = ()
        self.limits: set[int] = set()
        self.lock = threading.RLock()


_process = _Process()


def _after_fork() -> None:
    _process.lock = threading.RLock()  # the inherited one may be held by a thread that is gone


os.register_at_fork(after_in_child=_after_fork)


def switch(patterns: Sequence[str]) -> None:
    """Autotrace these modules and those that ``autotrace`` has named, and no others from now on."""
    with _process.lock:
        wanted = (*patterns, *_process.named)
        before = _process.hook
        if before is not None:
            if before.patterns == wanted:
                return
            with contextlib.suppress(ValueError):
                sys.meta_path.remove(before)
        _process.hook = None
        if wanted:
            hook = _process.hook = Autotrace(wanted)
            sys.meta_path.insert(0, hook)
            hook.take_loaded()


def _raise_limit() -> None:
    """A call takes two frames where it took one: recursion gets as deep as before.

    A program may set the limit for a while and put back what was there: that was raised already.
    """
    limit = sys.getrecursionlimit()
    if limit not in _process.limits:
        _process.limits.add(2 * limit)
        sys.setrecursionlimit(2 * limit)


def is_on() -> bool:
    """Whether anything is autotraced; what waited for a job is traced now."""
    hook = _process.hook
    if hook is None:
        return False
    _raise_limit()
    hook.finish()
    return True


def patterns() -> tuple[str, ...]:
    """The modules that are autotraced in this process."""
    hook = _process.hook
    return () if hook is None else hook.patterns


def autotrace(*modules: str) -> None:
    """Make steps of the functions and methods of whole modules, in jobs of depth ``full``.

    They stay the objects they are, and it does not matter what was imported before.

    Args:
        *modules: Names of modules, each with all below it; or patterns, as in the setting
            ``autotrace``, such as ``"!pricing.vendor.*"``.
    """
    chosen = tuple(one if set(one) & set("*?[!") else f"{one}.*" for one in modules)
    with _process.lock:
        hook = _process.hook
        configured = hook.patterns[: len(hook.patterns) - len(_process.named)] if hook else ()
        _process.named = tuple(dict.fromkeys((*_process.named, *chosen)))
        switch(configured)
