"""A module's code as what its import runs, and the body of each function.

Digests are of bytecode without line numbers, so that comments and layout do not count. They are
made of the very code objects that ran, need no parsing, and are only compared where the same
Python compiles both sides.
"""

from __future__ import annotations

import inspect
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType
from typing import Final

import xxhash

IMPORT: Final = ""
"""The name of what a module's import runs: all but the bodies of functions."""

LINES: Final = "lines"
"""The name of a module's code with its line numbers."""

_LARGEST = 1 << 24
_INLINE = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
_ASKS_FOR_LINES = frozenset({"f_lineno", "tb_lineno", "lineno", "co_firstlineno", "co_lines"})
_FIELDS = (
    "co_name", "co_qualname", "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars",
    "co_flags", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_exceptiontable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Body:
    """A function's body, or what a module's import runs: what it is called, and its digest.

    ``lines`` says whether it asks for line numbers.
    """

    name: str
    digest: str
    lines: bool


class ModuleCode:
    """The code of a module in pieces, each digested when it is asked for.

    Args:
        code: What its import runs.
    """

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.names: dict[int, str] = {}
        self._codes: dict[str, CodeType] = {}
        self._bodies: dict[str, Body] = {}
        self._enter(IMPORT, code)

    def _enter(self, name: str, code: CodeType) -> None:
        while name in self._codes:
            name += "'"
        self._codes[name] = code
        self.names[id(code)] = name
        for inner, function in _functions(code, name):
            self._enter(inner, function)
        for part in _inline(code):
            self.names[id(part)] = name

    @property
    def bodies(self) -> list[str]:
        """What its pieces are called."""
        return list(self._codes)

    def body(self, name: str) -> Body | None:
        """A piece; None where there is none of this name."""
        code = self._codes.get(name)
        if code is None:
            return None
        if name not in self._bodies:
            digest = xxhash.xxh3_128()
            lines = _feed(digest, code, whole=False)
            self._bodies[name] = Body(name, digest.hexdigest(), lines)
        return self._bodies[name]

    def digest(self, name: str) -> str:
        """The digest of a piece, or of all with line numbers; "" where there is none."""
        if name == LINES:
            digest = xxhash.xxh3_128()
            _feed(digest, self.code, whole=True)
            return digest.hexdigest()
        body = self.body(name)
        return "" if body is None else body.digest


def read_module(path: Path) -> ModuleCode | None:
    """The code of a source file as it is now, from what Python compiled of it if that is newer.

    None where it cannot be read or compiled.
    """
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        if _is_compiled(path):
            code = SourceFileLoader(path.stem, str(path)).get_code(path.stem)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # said when it was run
                code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, ImportError, RecursionError,
            MemoryError):  # fmt: skip
        return None
    return None if code is None else ModuleCode(code)


def _is_compiled(path: Path) -> bool:
    try:
        compiled = Path(cache_from_source(path)).stat().st_mtime_ns
    except OSError:
        return False
    return compiled > path.stat().st_mtime_ns


def _constants(code: CodeType) -> Iterator[CodeType]:
    return (one for one in code.co_consts if isinstance(one, CodeType))


def is_function(code: CodeType) -> bool:
    """A class's body and a comprehension are no function: they belong to what they stand in."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and code.co_name not in _INLINE


def _inline(code: CodeType) -> Iterator[CodeType]:
    for one in _constants(code):
        if not is_function(one):
            yield one
            yield from _inline(one)


def _functions(code: CodeType, within: str) -> Iterator[tuple[str, CodeType]]:
    """The functions that a piece of code defines, each with a name of its own."""
    seen: Counter[str] = Counter()
    for part in (code, *_inline(code)):
        for one in _constants(part):
            if is_function(one):
                seen[one.co_qualname] += 1
                count = seen[one.co_qualname]
                name = one.co_qualname if count == 1 else f"{one.co_qualname}#{count}"
                # Two functions of one name may hold others that have one name as well.
                yield (f"{within}/{name}" if "#" in within else name), one


def _feed(digest: xxhash.xxh3_128, code: CodeType, *, whole: bool) -> bool:
    """Digest a piece of code; whether it asks for line numbers."""
    for name in _FIELDS:
        digest.update(f"{name}={getattr(code, name)!r};".encode("utf-8", "surrogatepass"))
    if whole:
        digest.update(f"{code.co_firstlineno}{code.co_linetable!r}".encode())
    lines = not _ASKS_FOR_LINES.isdisjoint(code.co_names)
    for one in code.co_consts:
        if not isinstance(one, CodeType):
            digest.update(_constant(one).encode("utf-8", "surrogatepass"))
        elif whole or not is_function(one):
            lines |= _feed(digest, one, whole=whole)
        else:
            digest.update(repr(_signature(one)).encode("utf-8", "surrogatepass"))
    digest.update(b"end")
    return lines


def _signature(code: CodeType) -> tuple[object, ...]:
    """What is seen of a function from outside, without what it does."""
    count = code.co_argcount + code.co_kwonlyargcount + (code.co_flags & 12).bit_count()
    text = code.co_consts[0] if code.co_consts and isinstance(code.co_consts[0], str) else None
    return (
        code.co_qualname, code.co_varnames[:count], code.co_argcount, code.co_posonlyargcount,
        code.co_kwonlyargcount, code.co_flags, code.co_freevars, text,
    )  # fmt: skip


def _constant(value: object) -> str:
    """A constant by type and content; equal ones of other types are others."""
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    if isinstance(value, frozenset):  # its order is another in every process
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    return f"{type(value).__name__}:{value!r};"
