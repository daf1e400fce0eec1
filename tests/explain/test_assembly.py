"""Mixtures put together from pieces: what a module runs for a choice of units."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from textwrap import dedent
from types import CodeType, ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.explain.assembly import Assembly
from tracediff.explain.hybridimport import Finder, Project
from tracediff.explain.pairing import pair
from tracediff.explain.slots import Alias, Pairing

NUMBERS = count()
PACKAGE = "hybridpkg"


class Both:
    """Two sides of a package, written to directories of their own."""

    def __init__(
        self, directory: Path, old: Mapping[str, str], new: Mapping[str, str], *, strict: bool
    ) -> None:
        self.roots = {False: directory / "old", True: directory / "new"}
        sources: dict[bool, dict[str, bytes]] = {}
        for side, texts in ((False, old), (True, new)):
            given = {"__init__": "", **texts}
            sources[side] = {}
            for name, text in given.items():
                file = f"{PACKAGE}/{name}.py"
                sources[side][file] = dedent(text).encode()
                path = self.roots[side] / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(sources[side][file])
        self.project = Project(self.roots[False], self.roots[True], [""])
        names = {one: self.project.module(one) for one in {*sources[False], *sources[True]}}
        self.pairing: Pairing = pair(sources[False], sources[True], names, strict=strict)
        self.assembly = Assembly(self.pairing, self.roots[False], self.roots[True])

    @property
    def everything(self) -> int:
        return (1 << len(self.pairing.units)) - 1

    def chosen(self, *names: str) -> int:
        """The choice of the units of these names."""
        known = [one.name.partition(":")[2] for one in self.pairing.units]
        return sum(1 << known.index(name) for name in names)

    def space(self, module: str, choice: int) -> dict[str, Any]:
        """What a module binds in a mixture."""
        return self._run(Finder(self.project, self.assembly.modules(choice)), module)

    def plain(self, module: str, *, new: bool) -> dict[str, Any]:
        """What a module binds on one side as it is."""
        root = self.roots[new]
        return self._run(Finder(Project(root, root, [""]), {}), module)

    @staticmethod
    def _run(finder: Finder, module: str) -> dict[str, Any]:
        with imported(finder):
            return vars(importlib.import_module(f"{PACKAGE}.{module}"))


@contextlib.contextmanager
def imported(finder: Finder) -> Iterator[None]:
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [one for one in sys.modules if one.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


@pytest.fixture
def both(tmp_path: Path) -> Any:
    def make(
        old: str | Mapping[str, str], new: str | Mapping[str, str], *, strict: bool = False
    ) -> Both:
        sides = [{"m": one} if isinstance(one, str) else one for one in (old, new)]
        return Both(tmp_path / str(next(NUMBERS)), *sides, strict=strict)

    return make


def told(value: Any) -> Any:
    """What can be compared of what a module binds."""
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, type):  # an attribute that nothing mentions may be there or not
        made = value()
        return [one.__name__ for one in value.__mro__[1:]], made.m() if hasattr(made, "m") else 0
    if callable(value):
        try:
            return told(value())
        except (NameError, TypeError) as error:
            return repr(error)
    return [told(one) for one in value] if isinstance(value, list) else value


def public(space: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told(one) for name, one in space.items() if not name.startswith("__")}


NAMES = ("alpha", "beta", "gamma", "delta", "eps")
SHAPES = (
    "{name} = {n}",
    "def {name}():\n    return {n}",
    "def {name}(x={n}):\n    y = x  # {n}\n    return y + {n}",
    "@staticmethod\ndef {name}():\n    return {n}",
    "@twice\ndef {name}():\n    return {n}",
    "class {name}:\n    size = {n}\n    def m(self):\n        return self.size + 1",
    "class {name}(Base):\n    weight = {n}\n    def m(self):\n        return self.weight + {n}",
    "class {name}:\n    @property\n    def p(self): return {n}\n    def m(self): return self.p * 2",
    "if {n} > 1:\n    {name} = 'more'\nelse:\n    {name} = 'less'",
    "{name}: int = {n}",
    "{name} = lambda: {n}",
    "for {name} in range({n} + 1):\n    pass",
)
REFERRING = (
    "{name} = [{other}, {n}]",
    "def {name}():\n    return [str({other})[:1], {n}]",
    "def {name}(x={n}):\n    return type({other}).__name__",
    "class {name}:\n    def m(self):\n        return [str({other})[:1], {n}]",
)
HEAD = """
class Base:
    def m(self):
        return 0
def twice(function):
    return lambda: 2 * function()
"""


@st.composite
def sides(draw: st.DrawFn) -> dict[str, str]:
    """Modules a and b, where b imports from a, and m, which mentions all that there is.

    A name is always of the same module, and never has the form of another one: what was moved and
    renamed at once is not always found again, and then everything that differs is a unit.
    """
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    texts = {"a": HEAD, "b": f"from {PACKAGE}.a import Base, twice\n"}
    homes: dict[str, str] = {}
    for name in names:
        home = "ab"[NAMES.index(name) % 2]
        others = [one for one, where in homes.items() if home in (where, "b")]
        shape = draw(st.sampled_from(SHAPES + REFERRING * bool(others)))
        other = draw(st.sampled_from(others)) if "{other}" in shape else ""
        if other and homes[other] != home:
            texts[home] += f"from {PACKAGE}.a import {other}\n"
        number = 4 * NAMES.index(name) + draw(st.integers(0, 3))
        texts[home] += shape.format(name=name, n=number, other=other) + "\n"
        homes[name] = home
    lines = [f"from {PACKAGE}.{home} import {name}\n" for name, home in homes.items()]
    if draw(st.booleans()):
        lines.sort()
    texts["m"] = "".join(lines) + f"def main():\n    return [{', '.join(sorted(homes))}]\n"
    return texts


@pytest.mark.parametrize("strict", [False, True])
@given(old=sides(), new=sides())
def test_nothing_is_the_old_side_and_everything_the_new(
    tmp_path_factory: pytest.TempPathFactory,
    strict: bool,
    old: dict[str, str],
    new: dict[str, str],
) -> None:
    made = Both(tmp_path_factory.mktemp("sides"), old, new, strict=strict)
    for choice, side in ((0, False), (made.everything, True)):
        for module in ("a", "b", "m"):
            wanted = public(made.plain(module, new=side))
            found = public(made.space(module, choice))
            # What nothing mentions any more need not be there.
            shared = wanted.keys() if strict else wanted.keys() & found.keys()
            assert {one: found[one] for one in shared} == {one: wanted[one] for one in shared}
            assert not strict or found.keys() == wanted.keys()
        assert "main" in found


MOVED = [
    pytest.param(
        {"a": "RATE = 2\nPRICE = RATE * 3", "m": "from hybridpkg.a import PRICE as x"},
        {"a": "RATE = 2", "b": "PRICE = 7", "m": "from hybridpkg.b import PRICE as x"},
        6, 7, id="a constant, made of one that stayed",
    ),
    pytest.param(
        {"a": "RATE = 2\ndef f():\n    return RATE", "m": "from hybridpkg.a import f\nx = f()"},
        {"a": "RATE = 2", "b": "def f():\n    return 5", "m": "from hybridpkg.b import f\nx = f()"},
        2, 5, id="a function, mentioning a constant that stayed",
    ),
    pytest.param(
        {"a": "def f():\n    return 2", "b": "from hybridpkg.a import f\nx = f()",
         "m": "from hybridpkg.b import x"},
        {"b": "def f():\n    return 3\nx = f()", "m": "from hybridpkg.b import x"},
        2, 3, id="a function, to where it was imported",
    ),
    pytest.param(
        {"a": "def f():\n    return 2", "c": "def f():\n    return 9",
         "b": "from hybridpkg.c import f", "m": "from hybridpkg import a, b\nx = a.f() + b.f()"},
        {"c": "def f():\n    return 9", "a": "", "b": "def f():\n    return 2",
         "m": "from hybridpkg import b\nx = b.f()"},
        11, 2, id="a function, over an import of something else",
    ),
    pytest.param(
        {"a": "def f(x=3):\n    return x + 1",
         "b": "if True:\n    def g(x=5):\n        return x + 1",
         "m": "from hybridpkg import a, b\nx = a.f() + b.g()"},
        {"a": "", "b": "def g(x=3):\n    return x + 1", "m": "from hybridpkg import b\nx = b.g()"},
        10, 4, id="a function, over a conditional definition",
    ),
    pytest.param(
        {"m": "class A:\n    def old(self):\n        return 4\nx = A().old()"},
        {"m": "class A:\n    def new(self):\n        return 4\nx = A().new() + 1"},
        4, 5, id="a method that has another name",
    ),
    pytest.param(
        {"m": "def old():\n    return 4\nx = old()\ny = x"},
        {"m": "def new():\n    return 4\nx = new() + 1\ny = x"},
        4, 5, id="a function that has another name, called by an import",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "before", "after"), MOVED)
def test_what_moved_is_found_on_either_side(
    both: Any, old: Any, new: Any, before: int, after: int
) -> None:
    made = both(old, new)
    assert made.space("m", 0)["x"] == before
    assert made.space("m", made.everything)["x"] == after


def test_a_class_takes_each_member_from_its_own_side(both: Any) -> None:
    made = both(
        """
        class Base: tag = "base"
        def loud(kind): kind.loud = True; return kind
        class A:
            rate = 1
            def price(self): return self.rate * 10
            @property
            def tag(self): return "old"
        """,
        """
        class Base: tag = "base"
        def loud(kind): kind.loud = True; return kind
        @loud
        class A(Base):
            rate = 2
            def price(self): return self.rate * 100
            @property
            def tag(self): return "new"
            @tag.setter
            def tag(self, value): pass
        """,
    )
    units = [(one.kind, one.name) for one in made.pairing.units]
    assert units == [
        ("bases", "hybridpkg.m:A"),
        ("decorator", "hybridpkg.m:A"),
        ("class attribute", "hybridpkg.m:A.rate"),
        ("method", "hybridpkg.m:A.price"),
        ("property", "hybridpkg.m:A.tag"),
        ("property", "hybridpkg.m:A.tag"),
    ]
    for choice in range(1 << len(units)):
        kind = made.space("m", choice)["A"]
        new = [bool(choice >> at & 1) for at in range(len(units))]
        assert (kind.__bases__[0].__name__ == "Base") == new[0]
        assert getattr(kind, "loud", False) == new[1]
        assert kind().price() == (2 if new[2] else 1) * (100 if new[3] else 10)
        assert kind().tag == ("new" if new[4] else "old")
        assert (vars(kind)["tag"].fset is not None) == new[5]


def test_decorators_and_bodies_are_chosen_apart(both: Any) -> None:
    made = both(
        "def twice(f): return lambda: 2 * f()\n@twice\ndef f():\n    return 1",
        "def twice(f): return lambda: 2 * f()\ndef f():\n    return 5",
    )
    kinds = [one.kind for one in made.pairing.units]
    body, decorator = kinds.index("function"), kinds.index("decorator")
    found = [
        made.space("m", one << body | other << decorator)["f"]()
        for one in (0, 1)
        for other in (0, 1)
    ]
    assert found == [2, 1, 10, 5]


def test_the_order_of_statements_is_a_choice(both: Any) -> None:
    made = both("x = []\nx.append(1)\nx.extend([2])", "x = []\nx.extend([2])\nx.append(1)")
    assert [one.kind for one in made.pairing.units] == ["order"]
    assert [made.space("m", one)["x"] for one in (0, 1)] == [[1, 2], [2, 1]]


def test_the_order_in_a_class_is_a_choice(both: Any) -> None:
    text = "import enum\nclass A(enum.Enum):\n    x = enum.auto()\n    y = enum.auto()\n"
    made = both(text, text.replace("x =", "z =").replace("y =", "x =").replace("z =", "y ="))
    units = [(one.kind, one.name) for one in made.pairing.units]
    assert units == [("order", "hybridpkg.m:A.(order)")]
    assert [made.space("m", one)["A"].x.value for one in (0, 1)] == [1, 2]


def test_a_helper_is_there_when_what_mentions_it_is(both: Any) -> None:
    made = both(
        "def f():\n    return gone()\ndef gone():\n    return 1\ndef g():\n    return 2",
        "def f():\n    return added()\ndef added():\n    return more()\n"
        "def more():\n    return 3\ndef g():\n    return 4",
    )
    f, g = made.chosen("f"), made.chosen("g")
    for choice in (0, f, g, f | g):
        space = made.space("m", choice)
        helpers = {"gone", "added", "more"} & space.keys()
        assert helpers == ({"added", "more"} if choice & f else {"gone"})
        assert (space["f"](), space["g"]()) == (3 if choice & f else 1, 4 if choice & g else 2)


def pieces(made: Both, choice: int) -> Sequence[CodeType]:
    found = made.assembly.modules(choice)[f"{PACKAGE}/m.py"].pieces
    return [one for one in found if not isinstance(one, Alias)]


def test_code_says_which_side_it_is_from_and_keeps_its_lines(both: Any) -> None:
    made = both(
        "def f():\n    return 1\nX = 1\n",
        "# more\n\n\ndef f():\n    raise ValueError\nX = 2\n",
    )
    old, new = (str(made.roots[side] / PACKAGE / "m.py") for side in (False, True))
    f, x = made.chosen("f"), made.chosen("X")
    for choice in (0, f, x, f | x):
        lines = {
            piece.co_names[0]: (piece.co_filename, max(line or 0 for *_, line in piece.co_lines()))
            for piece in pieces(made, choice)
        }
        assert lines["f"] == ((new, 4) if choice & f else (old, 1))
        assert lines["X"] == ((new, 6) if choice & x else (old, 3))
    with pytest.raises(ValueError) as caught:
        made.space("m", f)["f"]()
    last = caught.tb
    while last.tb_next is not None:
        last = last.tb_next
    assert (last.tb_frame.f_code.co_filename, last.tb_lineno) == (new, 5)


def test_future_features_are_those_of_the_side_it_is_from(both: Any) -> None:
    future = "from __future__ import annotations\n"
    made = both(
        "def f(x: int = 1): return x\nA = 1\n",
        f"{future}def f(x: int = 2): return x\nA = 2\n",
    )
    for choice in range(4):
        space = made.space("m", choice)
        new = bool(choice & made.chosen("f"))
        assert space["f"].__annotations__ == {"x": "int" if new else int}


def test_what_is_compiled_is_kept(both: Any) -> None:
    lines = "".join(f"def f{at}(): return {{side}} + {at}\n" for at in range(8))
    made = both(lines.format(side=1), lines.format(side=2))
    seen = {id(one): one for choice in range(256) for one in pieces(made, choice)}
    assert len(seen) == 16
