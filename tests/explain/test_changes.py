"""The line that makes two versions of a definition differ."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tracediff.explain.changes import changed_lines
from tracediff.explain.items import read_module


def lines(old: str, new: str) -> list[tuple[int | None, int | None]]:
    before, after = (read_module("m.py", dedent(one).encode()).items[0].node for one in (old, new))
    return changed_lines(before, after)


SUM = """\
def total(a, b):
    return (
        a  # net + tax, less what is off
        {}
        (
            b
        )
    )
"""


def test_an_operator_on_a_line_of_its_own() -> None:
    assert lines(SUM.format("+"), SUM.format("-")) == [(4, 4)]


def test_an_operator_before_a_bracket() -> None:
    text = "def total(a, b):\n    return a {} (\n        b\n    )\n"
    assert lines(text.format("*"), text.format("/")) == [(2, 2)]


@pytest.mark.parametrize(("old", "new"), [("and", "or"), ("<", "<="), ("is", "is not")])
def test_an_operator_before_its_operand(old: str, new: str) -> None:
    text = "def holds(größe, b):\n    return (\n        größe\n        {} b\n    )\n"
    assert lines(text.format(old), text.format(new)) == [(4, 4)]


def test_an_operator_of_windows_lines() -> None:
    text = "def total(a, b):\r\n    return (a +\r\n            b)\r\n"
    assert lines(text, text.replace("+", "-")) == [(2, 2)]


def test_what_is_gone_has_the_line_in_its_place() -> None:
    old = "def price(net):\n    if net < 0:\n        return 0\n    return net\n"
    assert lines(old, "def price(net):\n    return net\n") == [(2, 2)]
    assert lines("def run(a):\n    a()\n    a.b()\n", "def run(a):\n    a()\n") == [(3, 2)]


def test_two_changes_are_two_lines() -> None:
    text = "def price(net):\n    a = net * {}\n    b = net\n    return a + b - {}\n"
    assert lines(text.format(2, 1), text.format(3, 2)) == [(2, 2), (4, 4)]


def test_one_of_several_defaults() -> None:
    text = "def f(\n    a=0,\n    b={},\n    c=1,\n    d=0,\n):\n    return a\n"
    assert lines(text.format(0), text.format(1)) == [(3, 3)]
