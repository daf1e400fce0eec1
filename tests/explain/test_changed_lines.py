"""The lines that make two versions of a definition differ."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.explain.changes import changed_lines


def lines(old: str, new: str) -> list[tuple[int | None, int | None]]:
    return changed_lines(*(ast.parse(dedent(one)).body[0] for one in (old, new)))


CASES = {
    "nothing": ("def f():\n    return 1", "def f():\n    # more\n    return (1)", []),
    "annotations around it": (
        "def f(\n    a\n):\n    x = 1\n    return a",
        "def f(\n    a: int\n) -> int:\n    x: int = 2\n    return a",
        [(4, 4)],
    ),
    "one number": (
        "def f():\n    x = 1\n    return x",
        "def f():\n    x = 2\n    return x",
        [(2, 2)],
    ),
    "lines above": (
        "def f():\n    x = 1\n    return x",
        "def f():\n    '''Text.'''\n\n    x = 2\n    return x",
        [(2, 4)],
    ),
    "inside of an expression of many lines": (
        "def f():\n    return g(\n        1,\n        2,\n        3,\n    )",
        "def f():\n    return g(\n        1,\n        2,\n        4,\n    )",
        [(5, 5)],
    ),
    "inside of a nested block": (
        "def f():\n    for a in b:\n        if a:\n            c(a)\n            d(a)",
        "def f():\n    for a in b:\n        if a:\n            c(a)\n            d(-a)",
        [(5, 5)],
    ),
    "an entry of a table": (
        "T = {\n    'a': 1,\n    'b': 2,\n    'c': 3,\n}",
        "T = {\n    'a': 1,\n    'b': 4,\n    'c': 3,\n}",
        [(3, 3)],
    ),
    "an operator": ("def f(a, b):\n    return a + b", "def f(a, b):\n    return a - b", [(2, 2)]),
    "a comparison": (
        "def f(a):\n    if a < 1:\n        g()",
        "def f(a):\n    if a <= 1:\n        g()",
        [(2, 2)],
    ),
    "a name": (
        "def f(a):\n    b = g(a)\n    return b",
        "def f(a):\n    b = h(a)\n    return b",
        [(2, 2)],
    ),
    "swapped arguments": (
        "def f(a, b):\n    c = 1\n    return g(a, b)",
        "def f(a, b):\n    c = 1\n    return g(b, a)",
        [(None, 3), (3, 3)],
    ),
    "a default": (
        "def f(\n    a,\n    b=1,\n):\n    return a + b",
        "def f(\n    a,\n    b=2,\n):\n    return a + b",
        [(3, 3)],
    ),
    "two places": (
        "def f():\n    a = 1\n    b = 2\n    return a + b",
        "def f():\n    a = 3\n    b = 2\n    return a - b",
        [(2, 2), (4, 4)],
    ),
    "another sort of statement": ("def f():\n    return 1", "def f():\n    raise E", [(2, 2)]),
    "an attribute": ("def f(a):\n    return a.b", "def f(a):\n    return a.c", [(2, 2)]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_innermost_lines_that_differ(name: str) -> None:
    old, new, wanted = CASES[name]
    assert lines(old, new) == wanted
    if name != "swapped arguments":  # which of the two stays is as good one way as the other
        assert lines(new, old) == [(there, here) for here, there in wanted]


def test_statements_that_one_side_has_not() -> None:
    old, new = "def f(a):\n    if a:\n        return 0\n    return a", "def f(a):\n    return a"
    assert any(one[0] in (2, 3) for one in lines(old, new))
    assert all(one[0] in (2, 3) for one in lines(old, new))
    assert all(one[1] in (2, 3) for one in lines(new, old))


STATEMENT = st.sampled_from(["a = 1", "b = a", "c(a)", "if a:\n        d()", "return a"])


@given(st.lists(STATEMENT, min_size=1, max_size=5, unique=True), st.data())
def test_a_changed_statement_is_found_whatever_is_around_it(
    body: list[str], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    changed = [*body[:at], "unheard(1)", *body[at + 1 :]]
    texts = ["def f():\n" + "".join(f"    {one}\n" for one in side) for side in (body, changed)]
    line = 2 + sum(one.count("\n") + 1 for one in body[:at])
    found = lines(*texts)
    assert [new for _, new in found if new is not None] == [line]
    assert lines(texts[0], texts[0]) == []
