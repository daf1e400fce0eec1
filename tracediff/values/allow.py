"""Which classes and functions a trace may name: a trace names code, so it must not choose it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from tracediff.errors import ReplayError
from tracediff.values.factories import DECIMAL_EXCEPTIONS, EXCEPTIONS, FACTORIES, FUNCTIONS
from tracediff.values.refs import class_attribute, module_of, namespace, real_module

_BUILT_IN: Final[dict[str, Any]] = {
    **FACTORIES,
    **EXCEPTIONS,
    **DECIMAL_EXCEPTIONS,
    **FUNCTIONS,
}

_MOST_KNOWN = 1_000


class Allow:
    """The modules whose classes may be rebuilt.

    Args:
        patterns: Names of modules. "pricing.*" means ``pricing`` and all below it; any other
            pattern is matched against the whole name of the module. One that starts with "!" takes
            modules out again.
    """

    __slots__ = ("_but", "_patterns", "_permitted", "builders", "patterns")

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self.patterns = tuple(patterns)
        self._patterns = tuple(one for one in self.patterns if not one.startswith("!"))
        self.builders: Any = None
        self._permitted: dict[str, bool] = {}
        self._but = tuple(one[1:] for one in self.patterns if one.startswith("!"))

    def __repr__(self) -> str:
        return f"Allow({list(self.patterns)!r})"

    def permits(self, ref: str) -> bool:
        """Whether "module:qualname" lies in a module that matches."""
        module = ref.partition(":")[0]
        known = self._permitted.get(module)
        if known is None:
            known = any(_matches(module, pattern) for pattern in self._patterns)
            known = known and not any(_matches(module, pattern) for pattern in self._but)
            if len(self._permitted) < _MOST_KNOWN:  # a trace may name any number of them
                self._permitted[module] = known
        return known

    def load(self, ref: str) -> Any:
        """Import what "module:qualname" names.

        Raises:
            ReplayError: ``class-not-allowed`` when no pattern matches, or when the name leads to
                something that another module defines; ``class-missing`` when it leads nowhere.
        """
        known = _BUILT_IN.get(ref)
        if known is not None:
            return known
        if not self.permits(ref):
            raise _not_allowed(ref)
        module, _, qualname = ref.partition(":")
        found = _import(module, ref)
        if qualname.endswith("]") and qualname not in vars(found):
            return self._of_generic(module, qualname, ref)
        if not qualname:
            return found
        for part in qualname.split("."):
            found = _attribute(found, part, ref)
        home = module_of(found) if isinstance(found, type) else getattr(found, "__module__", None)
        if not isinstance(home, str) or not self.permits(real_module(home)):
            raise _not_allowed(ref)
        return found

    def _of_generic(self, module: str, qualname: str, ref: str) -> Any:
        """A generic model of pydantic with its arguments, which no name leads to until it is made.

        Its arguments are plain types, or classes of the same module.
        """
        origin, _, names = qualname[:-1].partition("[")
        found = self.load_class(f"{module}:{origin}")
        if class_attribute(found, "__pydantic_generic_metadata__") is None:
            raise _missing(ref)
        arguments = []
        for name in names.split(", "):
            known = [one for at, one in FACTORIES.items() if at.rpartition(":")[2] == name]
            arguments.append(known[0] if known else self.load_class(f"{module}:{name}"))
        made: Any = found
        try:
            return made[tuple(arguments)]
        except TypeError as error:
            raise _missing(ref) from error

    def load_class(self, ref: str) -> type:
        """Import the class that "module:qualname" names; raises ReplayError as ``load`` does."""
        found = self.load(ref)
        if not isinstance(found, type):
            raise ReplayError(
                f"{ref} is recorded as a class, and is none",
                slug="class-missing",
                hint="it was renamed or replaced since the trace was recorded",
            )
        return found


def _matches(module: str, pattern: str) -> bool:
    if pattern.endswith(".*") and module == pattern[:-2]:
        return True
    return fnmatchcase(module, pattern)


def _not_allowed(ref: str) -> ReplayError:
    return ReplayError(
        f"the trace needs {ref}, which may not be rebuilt",
        slug="class-not-allowed",
        hint="add its module to `jobs` or `replay_allow` in [tool.tracediff] if you trust it",
    )


def _missing(ref: str) -> ReplayError:
    return ReplayError(
        f"the trace needs {ref}, which is not there",
        slug="class-missing",
        hint="it was renamed or removed since the trace was recorded",
    )


def _import(module: str, ref: str) -> Any:
    main = sys.modules.get("__main__")
    if main is not None and module not in sys.modules and real_module("__main__") == module:
        return main
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise ReplayError(
            f"the trace needs {ref}, and importing {module} failed: "
            f"{type(error).__name__}: {error}",
            slug="class-missing",
            hint="set `pythonpath` in [tool.tracediff] so that the module can be found",
        ) from error


def _attribute(found: Any, part: str, ref: str) -> Any:
    """One step of a qualified name; only from the module into classes, never through a module."""
    space = namespace(found) if isinstance(found, type) else getattr(found, "__dict__", {})
    try:
        inner = space[part]
    except KeyError:
        raise _missing(ref) from None
    if type(inner) in {staticmethod, classmethod}:
        return inner.__func__
    return inner
