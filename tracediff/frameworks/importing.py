"""Doing something when a module has been imported, however it is found."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from threading import get_ident
from types import ModuleType
from typing import Any

log = logging.getLogger("tracediff")
_ENDED = "_tracediff_ended"
Done = Callable[[ModuleType], object]


class Importing:
    """An import hook that calls functions with the modules they wait for."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Done]] = {}
        self._finding: set[tuple[int, str]] = set()

    def when(self, name: str, done: Done) -> None:
        """Call a function with a module now, if it is imported, and whenever it is again."""
        known = self._waiting.setdefault(name, [])
        if done not in known:
            known.append(done)
            if is_imported(name):
                self._tell(sys.modules[name], done)
        self.stand_first()

    def stand_first(self) -> None:
        """Look before all other finders, which others may have put before this one."""
        if not self._waiting or (sys.meta_path and sys.meta_path[0] is self):
            return
        with contextlib.suppress(ValueError):  # it stood nowhere yet
            sys.meta_path.remove(self)
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as the other finders find it."""
        here = get_ident(), name
        if name not in self._waiting or here in self._finding:
            return None  # another finder, which this one asked, asks all of them
        self._finding.add(here)
        try:
            for finder in sys.meta_path:
                find = getattr(finder, "find_spec", None)
                if finder is self or find is None:
                    continue
                spec: ModuleSpec | None = find(name, path, target)
                if spec is not None:
                    self._follow(spec)
                    return spec
        finally:
            self._finding.discard(here)
        return None

    def _follow(self, spec: ModuleSpec) -> None:
        if hasattr(spec.loader, "exec_module"):
            spec.loader = _Following(spec.loader, self.imported)  # type: ignore[assignment]  # is one

    def imported(self, module: ModuleType) -> None:
        """A module's code has run to its end."""
        spec = getattr(module, "__spec__", None)
        with contextlib.suppress(AttributeError):  # one of a loader's own, or none
            setattr(spec, _ENDED, True)  # which it says itself a moment later
        for done in self._waiting.get(module.__name__, ()):
            self._tell(module, done)

    def _tell(self, module: ModuleType, done: Done) -> None:
        try:
            done(module)
        except Exception:  # the import goes on; its functions run unrecorded
            log.exception("tracediff could not follow the module %s", module.__name__)


class _Following:
    """A loader in the place of another one, until it runs the module.

    The other one stays as it is: it may load other modules too, or hand on what is set on it.
    """

    def __init__(self, inner: Any, imported: Done) -> None:
        self._inner = inner
        self._imported = imported

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as the other one does."""
        create = getattr(self._inner, "create_module", None)
        made: ModuleType | None = create(spec) if create is not None else None
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own loader, run it, and say so."""
        spec: Any = module.__spec__
        if spec is not None and spec.loader is self:
            spec.loader = self._inner
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._inner
        self._inner.exec_module(module)
        self._imported(module)


def is_imported(name: str) -> bool:
    """Whether a module is imported, all of it; its code has run to the end."""
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType):
        return False
    spec = getattr(module, "__spec__", None)
    return getattr(spec, _ENDED, False) or not getattr(spec, "_initializing", False)


importing = Importing()
"""This process's."""
