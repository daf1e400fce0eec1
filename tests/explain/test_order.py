"""The order in which pieces of both sides run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracediff.explain.items import read_module
from tracediff.explain.order import orders
from tracediff.explain.slots import Alias, Slot

STATEMENTS = ["a()", "b()", "c()", "d()"]
FUNCTIONS = ["def f(): pass", "def g(): pass", "import os"]


def laid(old: list[str], new: list[str]) -> tuple[list[Slot], list[Slot] | None]:
    """The orders for two sides, whose statements are slots by their key."""
    before = read_module("m.py", "\n".join(old).encode()).items
    after = read_module("m.py", "\n".join(new).encode()).items
    left = {one.key: one for one in before}
    slots = [Slot(one.key, left.pop(one.key, None), one) for one in after]
    return orders([*slots, *(Slot(one.key, one, None) for one in left.values())], before)


def keys(found: list[Slot] | None) -> list[str] | None:
    return None if found is None else [one.qualname.removesuffix("(…)") for one in found]


def test_one_order_is_enough_where_the_sides_agree() -> None:
    assert keys(laid(["a()", "b()"], ["a()", "b()"])[0]) == ["a", "b"]
    new, old = laid(["a()", "b()", "c()"], ["a()", "d()", "c()"])
    assert (keys(new), old) == (["a", "b", "d", "c"], None)


def test_what_only_one_side_has_follows_what_it_followed() -> None:
    new, old = laid(["b()", "a()", "c()"], ["a()", "d()"])
    assert (keys(new), old) == (["b", "a", "c", "d"], None)


def test_statements_in_another_order_give_two() -> None:
    new, old = laid(["a()", "b()", "c()"], ["c()", "a()", "d()", "b()"])
    assert keys(new) == ["c", "a", "d", "b"]
    assert keys(old) == ["a", "d", "b", "c"]


def test_functions_and_imports_may_stand_earlier() -> None:
    new, old = laid(["def f(): pass", "a()", "import os"], ["import os", "a()", "def f(): pass"])
    assert old is None
    assert (keys(new) or [])[-1] == "a"


def test_a_function_whose_default_runs_stays_where_it_is() -> None:
    given = ["def f(x=a()): pass", "b()"]
    assert keys(laid(given, given[::-1])[1]) == ["f", "b"]


def test_an_old_name_stands_right_behind_the_new_one() -> None:
    (item, other) = read_module("m.py", b"def new(): pass\nX = 1").items
    renamed, constant = Slot("new", item, item), Slot("X", other, other)
    alias = Slot("old", alias=Alias("m", "new", "old"), support=True)
    away = Slot("away", alias=Alias("n", "away", "away"), support=True)
    found, _ = orders([renamed, constant, away, alias], [item, other])
    assert found == [renamed, alias, constant, away]


SIDES = st.permutations(STATEMENTS + FUNCTIONS).flatmap(
    lambda all_of: st.integers(0, len(all_of)).map(lambda count: all_of[:count])
)


@given(old=SIDES, new=SIDES)
def test_each_order_keeps_that_of_its_side(old: list[str], new: list[str]) -> None:
    """All slots are in both, those of its own side in its order; only what runs late is moved."""
    found, other = laid(old, new)
    for order, side, wanted in (
        (found, "new", new),
        (found if other is None else other, "old", old),
    ):
        assert order is not None
        assert len({*order}) == len(order) == len({*old, *new})
        fixed = [one for one in wanted if one in STATEMENTS]
        has = [one.qualname for one in order if getattr(one, side) is not None]
        assert [f"{one.removesuffix('(…)')}()" for one in has if "(…)" in one] == fixed


@given(old=SIDES, new=SIDES)
def test_what_runs_late_is_there_when_either_side_needs_it(old: list[str], new: list[str]) -> None:
    """On its own side a function came before these statements; so it does in both orders."""
    for order in laid(old, new):
        if order is None:
            continue
        places = {one.qualname.replace("(…)", "()"): at for at, one in enumerate(order)}
        names = {"def f(): pass": "f", "def g(): pass": "g", "import os": "import os"}
        for side in (old, new):
            for at, one in enumerate(side):
                if one in names and one in old and one in new:
                    later = [two for two in side[at:] if two in STATEMENTS and two in old]
                    later = [two for two in later if two in new]
                    assert all(places[names[one]] < places[two] for two in later)
