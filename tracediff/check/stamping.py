"""Code that notes each of its functions that is called, at next to no cost.

A profile or trace function makes Python 3.11 run all code unspecialised, twice as slowly or worse.
So each function begins with a call that adds a number to a set, put into its bytecode: eleven code
units behind its RESUME. Jumps are relative and none crosses that place; the tables of lines and of
exceptions are told. Python 3.12 brought ``sys.monitoring``, which tells of a function's first call
with its code left as it is. Where that is not to be had, who asks must take every function of a
module for called.
"""

from __future__ import annotations

import dis
import opcode
import sys
from types import CodeType
from typing import Any

from tracediff.check.codeunits import is_function

_CAN = sys.version_info[:2] == (3, 11)
_NAME = "tracediff check"
_TOOLS = (4, 3)
"""The numbers of tools that have no meaning to others."""
_READERS = frozenset(
    {"numba", "pony", "executing", "varname", "icecream", "taichi", "torch", "bytecode", "dis"}
)
"""Modules that make something of bytecode: code that mentions one is left as it is."""
_SAME_LINE = 13 << 3 | 0x80
"""An entry of the table of lines: no columns, and the line of the entry before."""


class Stamps:
    """Stamps the code of modules, and knows which of its functions were called."""

    def __init__(self) -> None:
        self.called: set[int] = set()
        """The ``id`` of the original code of each function that was called."""
        self._original: dict[int, CodeType] = {}
        self._kept: list[CodeType] = []  # an id is nobody else's while its object is there

    def original(self, code: CodeType) -> CodeType | None:
        """What a stamped code object was made of; None of one that is not stamped."""
        return self._original.get(id(code))

    def stamped(self, module: CodeType) -> CodeType:
        """A module's code with its functions stamped; itself where that cannot be done."""
        if sys.version_info >= (3, 12):
            self._watch(module)
            return module
        if not _CAN or _mentions_readers(module):
            return module
        try:
            return self._stamped(module, stamp=False)
        except (ValueError, IndexError, StopIteration):  # bytecode of another form
            return module

    def _stamped(self, code: CodeType, *, stamp: bool) -> CodeType:
        consts = tuple(
            self._stamped(one, stamp=is_function(one)) if isinstance(one, CodeType) else one
            for one in code.co_consts
        )
        made = code.replace(co_consts=consts)
        if stamp:
            made = _with_call(made, self.called.add, id(code))
        self._original[id(made)] = code
        self._kept += (code, made)
        return made

    def _watch(self, module: CodeType) -> None:
        """Be told of the first call of each of a module's functions."""
        tool = _tool()
        if tool is None:
            return
        waiting = [module]
        for code in waiting:
            waiting += (one for one in code.co_consts if isinstance(one, CodeType))
            self._original[id(code)] = code
            self._kept.append(code)
            if is_function(code):
                _watched[id(code)] = self.called
                _monitoring.set_local_events(tool, code, _monitoring.events.PY_START)


_monitoring: Any = getattr(sys, "monitoring", None)
_watched: dict[int, set[int]] = {}
"""Where a call of the code with that ``id`` is noted."""


def _tool() -> int | None:
    """The number under which the interpreter tells of calls; None where others have them all."""
    for tool in _TOOLS:
        if _monitoring.get_tool(tool) == _NAME:
            return tool
        if _monitoring.get_tool(tool) is None:
            _monitoring.use_tool_id(tool, _NAME)
            _monitoring.register_callback(tool, _monitoring.events.PY_START, _began)
            return tool
    return None


def _began(code: CodeType, offset: int) -> object:
    called = _watched.get(id(code))
    if called is not None:
        called.add(id(code))
    return _monitoring.DISABLE


def _mentions_readers(code: CodeType) -> bool:
    if not _READERS.isdisjoint(code.co_names):
        return True
    return any(_mentions_readers(one) for one in code.co_consts if isinstance(one, CodeType))


def _with_call(code: CodeType, function: Any, number: int) -> CodeType:
    """The code with ``function(number)`` as the first thing that it does."""
    place = _behind_resume(code.co_code)
    at = len(code.co_consts)
    call = b"".join([
        _instruction("PUSH_NULL"), _instruction("LOAD_CONST", at),
        _instruction("LOAD_CONST", at + 1), _instruction("PRECALL", 1), _instruction("CALL", 1),
        _instruction("POP_TOP"),
    ])  # fmt: skip
    return code.replace(
        co_code=code.co_code[:place] + call + code.co_code[place:],
        co_consts=(*code.co_consts, function, number),
        co_stacksize=code.co_stacksize + 3,
        co_linetable=_lines(code.co_linetable, place // 2, len(call) // 2),
        co_exceptiontable=_exceptions(code, place, len(call)),
    )


def _behind_resume(data: bytes) -> int:
    resume = dis.opmap["RESUME"]
    return next(at for at in range(0, len(data), 2) if data[at] == resume) + 2


def _instruction(name: str, argument: int = 0) -> bytes:
    op = dis.opmap[name]
    found = bytes([op, argument & 255])
    while argument := argument >> 8:
        found = bytes([dis.EXTENDED_ARG, argument & 255]) + found
    return found + bytes(2 * opcode._inline_cache_entries[op])  # type: ignore[attr-defined]  # noqa: SLF001 - of this version's own


def _lines(table: bytes, place: int, count: int) -> bytes:
    """The table of lines with more units at a place, on the line of what is before them."""
    units = at = 0
    while units < place:
        units += (table[at] & 7) + 1
        at += 1
        while at < len(table) and not table[at] & 0x80:
            at += 1
    if units != place:
        raise ValueError("one entry for what is before and behind")
    more = b""
    while count:
        part = min(count, 8)
        more += bytes([_SAME_LINE | part - 1, 0])
        count -= part
    return table[:at] + more + table[at:]


def _exceptions(code: CodeType, place: int, size: int) -> bytes:
    """The table of exceptions with all behind a place moved on."""
    found = b""
    for one in dis._parse_exception_table(code):  # type: ignore[attr-defined]  # noqa: SLF001 - of this version's own
        start, end, target = (
            at + size if at >= place else at for at in (one.start, one.end, one.target)
        )
        found += _number(start // 2, first=True) + _number((end - start) // 2)
        found += _number(target // 2) + _number(one.depth << 1 | one.lasti)
    return found


def _number(value: int, *, first: bool = False) -> bytes:
    parts = [value & 63]
    while value := value >> 6:
        parts.append(value & 63 | 64)
    if first:
        parts[-1] |= 128
    return bytes(reversed(parts))
