"""What is known of an instrumented function before it is called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from enum import Enum
from types import FunctionType
from typing import Any

from tracediff import values
from tracediff.model import Kind, Source


class Mark:
    """What is known of an instrumented function before it is called."""

    __slots__ = (
        "autotraced", "defaults", "drop", "ignore", "key", "kind", "keywords", "known", "name",
        "names", "order", "rest", "source", "special", "unknown", "volatile",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        name: str,
        function: Callable[..., Any],
        key: Callable[..., Any] | None = None,
        ignore: Iterable[str] = (),
        drop: int | None = None,
    ) -> None:
        self.autotraced = False
        self.kind = kind
        self.name = name
        self.key = key
        self.ignore = frozenset([ignore] if isinstance(ignore, str) else ignore)
        self.source = source_of(function)
        self.defaults: dict[str, Any] = {}
        self.rest: str | None = None
        self.keywords: str | None = None
        names: list[str] = []
        only: set[str | None] = set()
        found = parameters(function)
        for parameter in found:
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.rest = parameter.name
            elif parameter.kind is parameter.VAR_KEYWORD:
                self.keywords = parameter.name
            elif parameter.kind is not parameter.KEYWORD_ONLY:
                names.append(parameter.name)
            if parameter.kind is parameter.POSITIONAL_ONLY:
                only.add(parameter.name)
            if parameter.default is not parameter.empty:
                self.defaults[parameter.name] = parameter.default
        self.drop = takes_self(function, names) if drop is None else drop
        self.names = tuple(names[self.drop :])
        self.order = tuple(one.name for one in found)[self.drop :]
        self.known = frozenset(self.order) - {self.rest, self.keywords} - only
        self.volatile = tuple(
            name
            for name, default in self.defaults.items()
            if name in self.known - self.ignore and may_change(default)
        )
        self.special = bool(self.ignore or self.volatile)
        open_ended = self.keywords is not None or not found
        self.unknown = () if open_ended else tuple(sorted(self.ignore.difference(self.order)))

    def place(self, at: int) -> str:
        """The name of the parameter that takes the positional argument at an index."""
        return self.names[at] if at < len(self.names) else self.rest or ""


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a callable; none when Python cannot tell (some C functions)."""
    try:
        return list(inspect.signature(function).parameters.values())
    except Exception:  # a callable may have any attribute, and a signature that raises
        return []


def may_change(default: Any) -> bool:
    """Whether a default value could be another one when the call is over."""
    if type(default) in (tuple, frozenset):
        return any(map(may_change, default))
    fixed = type(default) in values.SCALARS or isinstance(default, type | FunctionType | Enum)
    return not fixed


def takes_self(function: Callable[..., Any], names: list[str]) -> int:
    """1 when the first parameter is the receiver of a method, which is never captured."""
    qualname = getattr(function, "__qualname__", "")
    owner = qualname.rpartition(".")[0]
    in_class = bool(owner) and not owner.endswith("<locals>")
    return int(in_class and names[:1] in (["self"], ["cls"]))


def source_of(function: Callable[..., Any]) -> Source:
    """Where a function is defined, with its unit "module:qualname"."""
    inner = called(inspect.unwrap(function))
    unit = unit_of(inner)
    code = getattr(inner, "__code__", None)
    if code is None:
        return Source("", 0, unit)
    return Source(code.co_filename, code.co_firstlineno, unit)


def called(function: Any) -> Any:
    """The function that runs when a partial or an object with ``__call__`` is called."""
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__code__") and not isinstance(function, type):
        own = inspect.getattr_static(type(function), "__call__", None)
        return own if isinstance(own, FunctionType) else function
    return function


def unit_of(function: Any) -> str:
    """The name "module:qualname" of a function or class; ``__main__`` by its real name."""
    module = values.module_name(getattr(function, "__module__", None) or "?")
    return f"{module}:{getattr(function, '__qualname__', type(function).__qualname__)}"
