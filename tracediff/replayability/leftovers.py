"""What a job changes in the modules of the project, and so leaves behind for the next one."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

from tracediff.replayability.evidence import Reading
from tracediff.replayability.loaded import attributes, layers, modules
from tracediff.replayability.stack import Stacks, place_in
from tracediff.replayable import Place

MOST_ITEMS: Final = 1_000
_CACHE = type(functools.lru_cache(lambda: None))
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_CONTAINERS = (list, dict, set, bytearray, tuple)


class Leftovers:
    """Compares the global variables of the project's modules, and its caches, with those before.

    Args:
        stacks: Tells which modules are the project's.
    """

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks
        self._before: dict[tuple[str, str], Any] = {}
        self._caches: dict[CodeType, tuple[str, str]] = {}
        self._containers: set[tuple[str, str]] = set()
        self._own: frozenset[str] = frozenset()

    def begin(self) -> None:
        """Remember how things are."""
        self._before = dict(self._all())

    def holding(self, codes: Iterable[CodeType]) -> str:
        """What may have held an answer in the nearest function of a stack that has such: its name.

        A ``functools`` cache around it, or a container of its module that it uses; "" for none.
        """
        self._note_caches()
        for code in codes:
            if code in self._caches:
                return self._caches[code][1]
            for name in code.co_names:
                if (code.co_filename, name) in self._containers:
                    return name
        return ""

    def changed(self) -> Iterator[Reading]:
        """What is otherwise now."""
        for (module, name), now in self._all():
            key = (module, name)
            if key not in self._before or self._before[key] == now:
                continue
            kind = "cache" if isinstance(now, _Cache) else "global"
            place = self._reader(module, name) or self._place(module, name)
            yield Reading(kind=kind, what=name, place=place, more=module)

    def _all(self) -> Iterator[tuple[tuple[str, str], Any]]:
        found = [(name, module) for name, module, _ in modules(self._stacks)]
        self._own = frozenset(name for name, _ in found)
        for name, module in found:
            for one, value in list(vars(module).items()):
                if one.startswith("__"):
                    continue
                yield from self._of(name, one, value)
                if type(value) is type and value.__module__ == name:
                    for inner, part in list(vars(value).items()):
                        if not inner.startswith("__"):
                            yield from self._of(name, f"{one}.{inner}", part)

    def _of(self, module: str, name: str, value: Any) -> Iterator[tuple[tuple[str, str], Any]]:
        if isinstance(value, _PLAIN):
            yield (module, name), value
        elif type(value) in _CONTAINERS:
            yield (module, name), _shape(value)
        else:
            cache = _cache(value)
            if cache is not None:
                yield (module, name), _Cache(cache.cache_info().currsize)
            elif type(value).__module__ in self._own and (own := attributes(value)) is not None:
                yield (module, name), _shape(own)

    def _note_caches(self) -> None:
        if self._caches:
            return
        for name, module, _ in modules(self._stacks):
            for one, value in list(vars(module).items()):
                cache = _cache(value)
                code = getattr(getattr(cache, "__wrapped__", None), "__code__", None)
                if code is not None:
                    self._caches[code] = (name, one)
                if isinstance(value, dict | list | set) and not one.startswith("__"):
                    self._containers.add((str(vars(module).get("__file__")), one))

    def _reader(self, module: str, name: str) -> Place | None:
        """The one function of the module that uses a global variable; None for several."""
        top = name.partition(".")[0]
        codes: dict[CodeType, None] = {}
        for value in vars(sys.modules[module]).values():
            *_, function = layers(value)
            if (
                type(function) is FunctionType
                and function.__module__ == module
                and top in function.__code__.co_names
            ):
                codes[function.__code__] = None
        if len(codes) != 1:
            return None
        (code,) = codes
        relative = self._stacks.relative(code.co_filename)
        if relative is None:
            return None
        used = (line for _, _, line in code.co_lines() if line and line > code.co_firstlineno)
        return place_in(code, next(used, code.co_firstlineno), module, relative)

    def _place(self, module: str, name: str) -> Place | None:
        file = vars(sys.modules[module]).get("__file__") or ""
        relative = self._stacks.relative(file)
        if relative is None:
            return None
        line, text = _defined(file, name.partition(".")[0])
        return Place(relative, line, f"{module}:{name}", line, text)


class _Cache(int):
    """How many results a cache holds."""

    __slots__ = ()


def _shape(value: Any, depth: int = 2) -> Any:
    """What of a container is compared: its plain items, and of others which objects they are."""
    if type(value) not in _CONTAINERS:
        return value if isinstance(value, _PLAIN) else id(value)
    if depth == 0:
        return len(value)
    items = list(value.items() if type(value) is dict else value)[:MOST_ITEMS]
    shown = [_shape(one, depth if type(value) is dict else depth - 1) for one in items]
    return type(value).__name__, len(value), shown


def _cache(value: Any) -> Any:
    return next((one for one in layers(value) if isinstance(one, _CACHE)), None)


@functools.lru_cache(maxsize=64)
def _tree(file: str) -> tuple[ast.Module, tuple[str, ...]]:
    text = Path(file).read_text(encoding="utf-8")
    return ast.parse(text), tuple(text.splitlines())


def _defined(file: str, name: str) -> tuple[int, str]:
    """The line on which a module binds a name first, and its text."""
    try:
        tree, lines = _tree(file)
    except (OSError, ValueError, SyntaxError):  # a place without its line
        return 1, ""
    for node in tree.body:
        own = getattr(node, "name", None) == name
        bound = isinstance(node, ast.Assign | ast.AnnAssign) and any(
            isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Store)
            for one in ast.walk(node)
        )
        if own or bound:
            line = node.lineno
            return line, lines[line - 1].strip()
    return 1, ""
