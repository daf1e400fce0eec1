"""Stamped code does what it did, and tells which of its functions were called."""

from __future__ import annotations

import dis
import random
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tracediff.check.codeunits import ModuleCode
from tracediff.check.stamping import Stamps

WATCHED = sys.version_info >= (3, 12)
"""Whether the interpreter tells of calls, and no code is changed for it."""

SOURCE = '''
import asyncio
import contextlib


def loops(n):
    """Begins with a loop."""
    while True:
        n -= 1
        if n < 0:
            return n


def guarded(n):
    try:
        return 1 / n
    except ZeroDivisionError as error:
        return str(error)
    finally:
        n = 0


def within(n):
    with contextlib.suppress(KeyError):
        raise KeyError(n)
    return [m for m in range(n) if (lambda x: x % 2)(m)]


def yields(n):
    total = 0
    try:
        while n:
            total += yield n
            n -= 1
    except ValueError:
        yield "thrown"
    return total


def outer(n):
    def inner():
        nonlocal n
        n += 1
        return n

    def unused():
        return n

    return inner() + inner()


class Thing:
    value: int = 3

    def __init__(self, n, *args, sure=True, **more):
        self.n = n

    @property
    def double(self):
        return self.n * 2

    def __init_subclass__(cls):
        super().__init_subclass__()
        cls.made = True


class Other(Thing):
    def double_of(self):
        return super().double + __class__.value


async def waits(n):
    await asyncio.sleep(0)
    async with contextlib.AsyncExitStack():
        return [one async for one in many(n)]


async def many(n):
    for at in range(n):
        yield at


def matches(n):
    match n:
        case {"x": x, **rest}:
            return x, rest
        case [first, *_]:
            return first
        case _:
            return None


def deep(n):
    return deep(n - 1) if n else 0


def everything():
    found = yields(3)
    said = [next(found), found.send(2), found.send(3), found.throw(ValueError)]
    return [
        loops(3), guarded(0), guarded(2), within(5), said, outer(1), Other(2).double_of(),
        asyncio.run(waits(3)), matches({"x": 1, "y": 2}), matches([4, 5]), matches(0), deep(50),
    ]
'''


def run(code: CodeType) -> Any:
    scope: dict[str, Any] = {"__name__": "stamped"}
    exec(code, scope)
    return scope["everything"]()


def test_stamped_code_does_the_same_and_tells_what_was_called() -> None:
    code = compile(SOURCE, "stamped.py", "exec")
    stamps = Stamps()
    stamped = stamps.stamped(code)
    assert (stamped is code) == WATCHED
    assert run(stamped) == run(compile(SOURCE, "stamped.py", "exec"))
    module = ModuleCode(code)
    called = {module.names[one] for one in stamps.called}
    assert set(module.bodies) - called == {"", "outer.<locals>.unused"}


def test_a_line_that_fails_is_the_line_it_was() -> None:
    source = "def f(x):\n\n    y = x\n    return y / 0\n"
    scope: dict[str, Any] = {}
    exec(Stamps().stamped(compile(source, "f.py", "exec")), scope)
    with pytest.raises(ZeroDivisionError) as caught:
        scope["f"](1)
    assert caught.tb.tb_next.tb_lineno == 4


def test_code_that_reads_bytecode_is_left_as_it_is() -> None:
    code = compile("import numba\n\ndef f():\n    pass\n", "f.py", "exec")
    assert Stamps().stamped(code) is code


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from codes(one)


def shown(code: CodeType) -> list[tuple[str, Any, Any]]:
    return [
        (one.opname, 0 if one.opname == "LOAD_CONST" else one.arg, one.positions)
        for one in dis.get_instructions(code)
        if one.opname != "EXTENDED_ARG"
    ]


def guards(code: CodeType) -> list[tuple[int, int, bool]]:
    return [(one.end - one.start, one.depth, one.lasti) for one in dis._parse_exception_table(code)]


def test_nothing_else_of_the_standard_library_changes_when_it_is_stamped() -> None:
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    functions = 0
    for path in random.Random(1).sample(files, 40):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        stamps = Stamps()
        for old, new in zip(codes(code), codes(stamps.stamped(code)), strict=False):
            before, after = shown(old), shown(new)
            assert (old is new) or not WATCHED
            if len(before) != len(after):
                at = [one[0] for one in after].index("RESUME") + 1
                assert {line.positions.lineno for line in dis.get_instructions(new)} == {
                    line.positions.lineno for line in dis.get_instructions(old)
                }
                after = after[:at] + after[at + 6 :]
                functions += 1
            assert (after, guards(new)) == (before, guards(old)), (path, old.co_qualname)
    assert (functions > 300) != WATCHED
