"""Which units two sides of a project give, and what is no unit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tracediff.explain.assembly import Assembly
from tracediff.explain.hybrids import Covered
from tracediff.explain.pairing import pair
from tracediff.explain.players import that_ran
from tracediff.explain.slots import Pairing, Slot, members

Texts = str | Mapping[str, str]
NAMES = {"shop/__init__.py": "shop"}


def paired(old: Texts, new: Texts, *, strict: bool = False) -> Pairing:
    """Two sides laid against each other; a text alone is that of ``shop/m.py``."""
    sides = [
        {
            f"shop/{name}.py": dedent(text).encode()
            for name, text in ({"m": one} if isinstance(one, str) else one).items()
        }
        for one in (old, new)
    ]
    names = {file: file[:-3].replace("/", ".") for file in {*sides[0], *sides[1]}}
    return pair(sides[0], sides[1], names | NAMES, strict=strict)


def units(old: Texts, new: Texts, *, strict: bool = False) -> list[tuple[str, str]]:
    found = paired(old, new, strict=strict).units
    return sorted((one.kind, one.name.removeprefix("shop.")) for one in found)


def slots(found: Pairing) -> dict[str, Slot]:
    return {
        slot.qualname: slot for plan in found.modules.values() for slot, _ in members(plan.body)
    }


NO_UNITS: dict[str, tuple[Texts, Texts]] = {
    "nothing": ("x = 1", "x = 1"),
    "comments and layout": (
        "def f(a, b):\n    return (a +\n        b)  # sum",
        "# more\ndef f( a,b ):\n\n    return a + b",
    ),
    "quotes and digits": ("X = 'a', 1_000, 0x10", 'X = ("a", 1000, 16)'),
    "docstrings": (
        '"""One."""\ndef f():\n    """One."""\n    return 1\nclass A:\n    """One."""\n    x = 1',
        '"""Two."""\ndef f():\n    return 1\nclass A:\n    """Two."""\n    x = 1',
    ),
    "a docstring that was all": ("def f():\n    'one'", "def f():\n    pass"),
    "annotations": (
        "def f(a, *b, c=1, **d):\n    x = a\n    return x\nY = 1",
        ("def f(a: int, *b: int, c: int = 1, **d: int) -> int:\n    x: int = a\n    return x\n"
         "Y: int = 1"),
    ),
    "annotations under a plain decorator": (
        "import tracediff as td\n@td.step('x')\ndef f(a): return a",
        "import tracediff as td\n@td.step('x')\ndef f(a: int) -> int: return a",
    ),
    "what only a type checker reads": (
        "from typing import TYPE_CHECKING\nX = 1",
        ("import typing\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os\n"
         "if typing.TYPE_CHECKING:\n    import sys\nX = 1"),
    ),
    "what only a script runs": ("X = 1", "X = 1\nif __name__ == '__main__':\n    print(X)"),
    "a function with another name": (
        "def f(n):\n    return f(n - 1) if n else 0\ndef g():\n    return f(2)",
        "def h(n):\n    return h(n - 1) if n else 0\ndef g():\n    return h(2)",
    ),
    "a constant with another name": (
        "X = 1\ndef g():\n    return X",
        "Y = 1\ndef g():\n    return Y",
    ),
    "a class with another name": (
        "class A:\n    def f(self):\n        return A\ndef g():\n    return A()",
        "class B:\n    def f(self):\n        return B\ndef g():\n    return B()",
    ),
    "a method with another name": (
        "class A:\n    def f(self):\n        return 1\ndef g(a):\n    return a.f()",
        "class A:\n    def h(self):\n        return 1\ndef g(a):\n    return a.h()",
    ),
    "a function in another place": (
        {"m": "def f():\n    return 1\nY = 2", "n": "Z = 1"},
        {"m": "Y = 2", "n": "Z = 1\ndef f():\n    return 1"},
    ),
    "a function in another place, and who imports it": (
        {"m": "def f():\n    return 1", "n": "from shop.m import f\nX = f()", "o": ""},
        {"m": "", "n": "from shop.o import f\nX = f()", "o": "def f():\n    return 1"},
    ),
    "a function in another place, imported where it was": (
        {"m": "def f():\n    return 1\nX = f()", "o": ""},
        {"m": "from shop.o import f\nX = f()", "o": "def f():\n    return 1"},
    ),
    "a relative import of the same": (
        {"m": "from shop.o import f", "o": "def f(): return 1"},
        {"m": "from .o import f", "o": "def f(): return 1"},
    ),
    "an import by way of another module": (
        {"m": "from shop.o import f", "n": "X = 1", "o": "def f(): return 1"},
        {"m": "from shop.n import f", "n": "from shop.o import f\nX = 1", "o": "def f(): return 1"},
    ),
    "a module with another name": (
        {"m": "from shop import old\nX = old.f()", "old": "def f():\n    return 1\nY = 1"},
        {"m": "from shop import new\nX = new.f()", "new": "def f():\n    return 1\nY = 1"},
    ),
    "another order of functions": (
        "def f():\n    return 1\ndef g():\n    return 2\nX = 1",
        "X = 1\ndef g():\n    return 2\ndef f():\n    return 1",
    ),
    "another order of imports": ("import os\nimport sys", "import sys\nimport os"),
    "imports together": ("from os import path, sep\nX = sep", "from os import sep\nX = sep"),
    "a helper that was added": (
        "X = 1\ndef unused():\n    return helper()\ndef helper():\n    return 1",
        ("X = 1\ndef unused():\n    return helper()\ndef helper():\n    return 1\n"
         "from os import sep"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_UNITS)
def test_is_no_unit(name: str) -> None:
    old, new = NO_UNITS[name]
    assert units(old, new) == []
    assert units(new, old) == []


UNITS: dict[str, tuple[Texts, Texts, list[tuple[str, str]]]] = {
    "a body": ("def f(): return 1", "def f(): return 2", [("function", "m:f")]),
    "a signature": ("def f(a): pass", "def f(a, b=1): pass", [("function", "m:f")]),
    "a default": ("def f(a=1): pass", "def f(a=2): pass", [("function", "m:f")]),
    "async": ("def f(): pass", "async def f(): pass", [("function", "m:f")]),
    "a decorator": (
        "import functools\ndef f(): return 1",
        "import functools\n@functools.cache\ndef f(): return 1",
        [("decorator", "m:f")],
    ),
    "a decorator's arguments and the body": (
        "@d(1)\ndef f(): return 1",
        "@d(2)\ndef f(): return 2",
        [("decorator", "m:f"), ("function", "m:f")],
    ),
    "annotations that a decorator reads": (
        "@route\ndef f(a: int): return a",
        "@route\ndef f(a: str): return a",
        [("function", "m:f")],
    ),
    "a constant": ("X = 1", "X = 2", [("constant", "m:X")]),
    "several at once": ("A, B = 1, 2", "A, B = 1, 3", [("constant", "m:A, B")]),
    "an item": ("T = {}\nT['a'] = 1", "T = {}\nT['a'] = 2", [("statement", "m:T['a']")]),
    "an addition": ("T = 1\nT += 1", "T = 1\nT += 2", [("statement", "m:T")]),
    "a call": ("x = []\nx.append(1)", "x = []\nx.append(2)", [("statement", "m:x.append(…)")]),
    "the second of two calls": (
        "x = []\nx.append(1)\nx.append(2)",
        "x = []\nx.append(1)\nx.append(3)",
        [("statement", "m:x.append(…)#1")],
    ),
    "a conditional": (
        "if A:\n    X = 1\nelse:\n    X = 2",
        "if A:\n    X = 1\nelse:\n    X = 3",
        [("statement", "m:X")],
    ),
    "class attribute, method, property": (
        "class A:\n    x = 1\n    def f(self): return 1\n    @property\n    def p(self): return 1",
        "class A:\n    x = 2\n    def f(self): return 2\n    @property\n    def p(self): return 2",
        [("class attribute", "m:A.x"), ("method", "m:A.f"), ("property", "m:A.p")],
    ),
    "bases and decorator of a class": (
        "class A(B): x = 1",
        "@d\nclass A(C, metaclass=M): x = 1",
        [("bases", "m:A"), ("decorator", "m:A")],
    ),
    "a class in a class": (
        "class A:\n    class B:\n        x = 1",
        "class A:\n    class B:\n        x = 2",
        [("class attribute", "m:A.B.x")],
    ),
    "a dataclass field": (
        "@dataclass\nclass A:\n    x: int = 1",
        "@dataclass\nclass A:\n    x: int = 2",
        [("dataclass field", "m:A.x")],
    ),
    "the annotation of a dataclass field": (
        "@dataclass\nclass A:\n    x: int",
        "@dataclass\nclass A:\n    x: str",
        [("dataclass field", "m:A.x")],
    ),
    "an enum member": (
        "class A(enum.Enum):\n    x = 1",
        "class A(enum.Enum):\n    x = 2",
        [("enum member", "m:A.x")],
    ),
    "a named tuple's field": (
        "class A(NamedTuple):\n    x: int = 1",
        "class A(NamedTuple):\n    x: int = 2",
        [("namedtuple field", "m:A.x")],
    ),
    "the setter only": (
        ("class A:\n    @property\n    def p(self): return 1\n    @p.setter\n"
         "    def p(self, x): pass"),
        ("class A:\n    @property\n    def p(self): return 1\n    @p.setter\n"
         "    def p(self, x): self.x = x"),
        [("property", "m:A.p")],
    ),
    "an added override": (
        "class A:\n    def f(self): return 1\nclass B(A):\n    x = 1",
        "class A:\n    def f(self): return 1\nclass B(A):\n    x = 1\n    def f(self): return 2",
        [("method", "m:B.f")],
    ),
    "a removed override": (
        "class A:\n    def f(self): return 1\nclass B(A):\n    x = 1\n    def f(self): return 2",
        "class A:\n    def f(self): return 1\nclass B(A):\n    x = 1",
        [("method", "m:B.f")],
    ),
    "an added special method": (
        "class A:\n    x = 1",
        "class A:\n    x = 1\n    def __add__(self, other): return 2",
        [("method", "m:A.__add__")],
    ),
    "what is registered": (
        "def f(): return 1",
        "def f(): return 1\n@register\ndef g(): return 2",
        [("function", "m:g")],
    ),
    "what hides a builtin": (
        "def f(): return round(1.5)",
        "def round(x): return 0\ndef f(): return round(1.5)",
        [("function", "m:round")],
    ),
    "an import of something else": (
        "from math import floor as f",
        "from math import ceil as f",
        [("import", "m:f")],
    ),
    "an import of another definition": (
        {"m": "from shop.a import f", "a": "def f(): return 1", "b": "def f(): return 2"},
        {"m": "from shop.b import f", "a": "def f(): return 1", "b": "def f(): return 2"},
        [("import", "m:f")],
    ),
    "an added statement": ("x = []", "x = []\nx.append(1)", [("statement", "m:x.append(…)")]),
    "the order of statements": (
        "x = []\nx.append(1)\nx.extend([2])",
        "x = []\nx.extend([2])\nx.append(1)",
        [("order", "m:(order)")],
    ),
    "the order of members": (
        "class A(enum.Enum):\n    x = auto()\n    y = auto()",
        "class A(enum.Enum):\n    y = auto()\n    x = auto()",
        [("order", "m:A.(order)")],
    ),
    "a function that becomes a class": (
        "def f(): return 1",
        "class f: pass",
        [("class", "m:f")],
    ),
    "a moved function that changed too": (
        {"m": "def f():\n    return 1\nY = 2", "n": ""},
        {"m": "Y = 2", "n": "def f():\n    return 2"},
        [("function", "n:f")],
    ),
    "a star import": ("from os import *", "from os.path import *",
                      [("import", "m:import * from os"), ("import", "m:import * from os.path")]),
    "a comprehension's variable is bound by nobody": (
        "x = 1\nif x:\n    y = [z for z in ()]",
        "x = 1\nif x:\n    y = [z for z in (1,)]",
        [("statement", "m:y, z")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNITS)
def test_is_a_unit(name: str) -> None:
    old, new, wanted = UNITS[name]
    assert units(old, new) == wanted


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_has_its_lines_on_the_sides_that_have_it(name: str) -> None:
    old, new, _ = UNITS[name]
    for one in paired(old, new).units:
        if one.kind == "order":
            assert (one.old, one.new) == (None, None)
            continue
        assert one.old is not None or one.new is not None
        for span, texts in ((one.old, old), (one.new, new)):
            if span is not None:
                text = texts if isinstance(texts, str) else texts[span.file[5:-3]]
                assert 1 <= span.first <= span.last <= len(text.splitlines())


def test_spans_begin_at_the_decorator() -> None:
    text = "X = 1\n\n@d(\n    1,\n)\ndef f():\n    return {}\n"
    (one,) = paired(text.format(1), text.format("(\n 2)")).units
    assert one.old is not None
    assert one.new is not None
    assert (one.old.first, one.old.last, one.new.first, one.new.last) == (3, 7, 3, 8)


def test_strictly_everything_that_differs_is_a_unit() -> None:
    old = {"m": "def f():\n    return 1\ndef g():\n    return f()", "n": "X = 1"}
    new = {"m": "from shop.n import h\ndef g():\n    return h()",
           "n": "X = 1\ndef h():\n    return 1"}  # fmt: skip
    assert units(old, new) == []
    assert units(old, new, strict=True) == [
        ("function", "m:f"),
        ("function", "m:g"),
        ("function", "n:h"),
        ("import", "m:h"),
    ]
    assert units("X = 1", "# more\nX = 1", strict=True) == []


def test_helpers_are_support_as_far_as_something_mentions_them() -> None:
    found = paired(
        "def f():\n    return a()\ndef a():\n    return 1\ndef gone():\n    return 1\nG = 1",
        "def f():\n    return b()\ndef b():\n    return C + 1\nC = 2\ndef alone():\n    return 2",
    )
    known = slots(found)
    assert {name for name, one in known.items() if one.support} == {"a", "b", "C"}
    names = sorted(one.name for one in found.units)
    assert names == ["shop.m:G", "shop.m:alone", "shop.m:f", "shop.m:gone"]


def test_what_other_modules_mention_is_support_too() -> None:
    old = {"m": "X = 1", "user": "from shop import m\ndef f():\n    return m.helper()"}
    new = {**old, "m": "X = 1\ndef helper():\n    return 1"}
    found = paired(old, new)
    assert found.units == []
    assert slots(found)["helper"].support


def test_what_moved_leaves_its_old_name() -> None:
    found = paired(
        {"m": "def f():\n    return 1\ndef u():\n    return f()", "n": "Z = 1"},
        {"m": "def u():\n    return 2", "n": "Z = 1\ndef g():\n    return 1"},
    )
    alias = slots(found)["f"].alias
    assert alias is not None
    assert (alias.module, alias.name, alias.bound) == ("shop.n", "g", "f")
    assert slots(found)["g"].home == "shop/m.py"


def test_two_that_look_alike_are_not_taken_for_one() -> None:
    old = (
        "def a():\n    return 1\ndef b():\n    return 1\n@register\ndef u():\n    return a() + b()"
    )
    new = (
        "def c():\n    return 1\ndef d():\n    return 1\n@register\ndef u():\n    return c() * d()"
    )
    assert units(old, new) == [("function", "m:u")]
    assert not any(one.alias for one in slots(paired(old, new)).values())


def test_two_that_look_alike_are_told_apart_by_their_callers() -> None:
    old = "def a():\n    return 1\ndef b():\n    return 1\ndef u():\n    return a() + b()"
    new = "def c():\n    return 1\ndef d():\n    return 2\ndef u():\n    return c() + d()"
    assert units(old, new) == [("function", "m:d")]


def test_modules_of_one_side_are_there_as_they_are() -> None:
    found = paired({"m": "X = 1"}, {"m": "X = 2", "n": "def f(): return 1\n@register\nclass A: 1"})
    assert [one.name for one in found.units] == ["shop.m:X"]
    assert all(one.fixed for name, one in slots(found).items() if name != "X")


def test_the_order_of_files_and_words_gives_the_same_units() -> None:
    old = {"b": "X = 1\ndef f(): return X", "a": "Y = 1", "c": "Z = 3"}
    new = {"b": "X = 2\ndef f(): return X + 1", "a": "Y = 2", "c": "Z = 4"}
    found = paired(old, new).units
    turned = paired(dict(reversed(old.items())), dict(reversed(new.items()))).units
    assert found == turned


def work(run: Callable[[], Any]) -> int:
    """How many lines of the package run, each turn of a loop being one."""
    count = 0

    def traced(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        if "/tracediff/" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return traced

    sys.settrace(traced)
    try:
        run()
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize(
    "text",
    [
        "def f{at}(x):\n    return x + {side}\nC{at} = f{at}({side})\n",
        "def f{at}(x):\n    return s{side}{at}(x)\ndef s{side}{at}(x):\n    return {at} + {side}\n",
        "def f{at}(x):\n    return s{side}{at}(x)\ndef s{side}{at}(x):\n    return {at}\n",
        "class A{at}:\n    x = {side}\n    def f(self):\n        return {side}\n",
        "from os import path as p{side}{at}\nX{at} = p{side}{at}\n",
    ],
    ids=["functions", "helpers", "renames", "classes", "imports"],
)
def test_twice_the_module_is_twice_the_work(text: str) -> None:
    def all_of(count: int) -> None:
        old, new = ("".join(text.format(at=at, side=side) for at in range(count)) for side in "ab")
        found = paired(old, new)
        assembly = Assembly(found, Path("/old"), Path("/new"))
        for choice in (0, 1):
            assembly.modules(choice)
        ran = frozenset(
            (side, "shop/m.py", line) for side in ("old", "new") for line in range(1, 2 * count)
        )
        covered = Covered(0, 0, (("shop.m", "shop/m.py"),), (), ran, ())
        that_ran(found, covered, covered)

    assert work(lambda: all_of(120)) < 3 * work(lambda: all_of(60))
