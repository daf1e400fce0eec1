"""How a job can end: errors, exits and interrupts; and how deep and wide it can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tracediff.compare import compare
from tracediff.model import ErrorInfo

RAISING = """
    class PriceError(ValueError):
        def __init__(self, code, *, net):
            super().__init__(f"no price: {code} at {net}")
            self.code, self.net = code, net

    @td.step("Fails")
    def fails(kind):
        taxed = tax(7)
        if kind == "cause":
            try:
                {}["missing"]
            except KeyError as error:
                raise PriceError(3, net=taxed) from error
        if kind == "context":
            try:
                [][taxed]
            except IndexError:
                raise PriceError(4, net=taxed)
        if kind == "none":
            try:
                int("x")
            except ValueError:
                raise PriceError(5, net=taxed) from None
        if kind == "group":
            raise ExceptionGroup("both", [PriceError(6, net=taxed), OSError(2, "gone", "a.txt"),
                                          ExceptionGroup("inner", [KeyError(taxed)])])
        if kind == "noted":
            error = PriceError(7, net=taxed)
            error.add_note(f"while it was {taxed}")
            raise error
        if kind == "exit":
            raise SystemExit(taxed)
        if kind == "interrupt":
            raise KeyboardInterrupt
        if kind == "stop":
            raise StopIteration(taxed)
        if kind == "closed":
            raise GeneratorExit

    @td.step("Cleans")
    def cleans(n):
        return tax(n)
"""

SHAPES = {
    "raising": RAISING
    + """
    @td.job("shop/raising")
    def job(kind):
        try:
            fails(kind)
        finally:
            cleans(1)

    def main():
        for kind in ("cause", "context", "none", "group", "noted", "exit", "interrupt", "stop",
                     "closed"):
            try:
                job(kind)
            except BaseException:
                pass
    """,
    "caught": RAISING
    + """
    @td.job("shop/caught")
    def job(*kinds):
        found = []
        for kind in kinds:
            try:
                fails(kind)
            except* PriceError as caught:
                found.append([one.code for one in leaves(caught)])
            except* BaseException as caught:
                found.append([type(one).__name__ for one in leaves(caught)])
        try:
            with td.step("Outer"), td.step("Inner"):
                raise LookupError(cleans(2))
        except LookupError as error:
            found.append(str(error))
        return found

    def leaves(group):
        for one in group.exceptions:
            yield from leaves(one) if isinstance(one, BaseExceptionGroup) else [one]

    def main():
        job("cause", "exit", "interrupt")
    """,
    "deep": """
        import sys

        @td.step("Link")
        def link(n):
            return tax(1) if n == 0 else link(n - 1)

        @td.step("Item", key=lambda n: n)
        def item(n):
            return n

        @td.job("shop/deep")
        def job(n):
            sys.setrecursionlimit(max(sys.getrecursionlimit(), 3 * n))
            return link(n)

        @td.job("shop/wide")
        def wide(n):
            return sum(map(item, range(n))) + tax(1)

        def main():
            job(5000)
            wide(5000)
        """,
}

KINDS = [
    "cause", "context", "none", "group", "noted", "exit", "interrupt", "stop", "closed",
]  # fmt: skip


@pytest.fixture(scope="module")
def shapes(recorded: Callable[..., Any]) -> Any:
    return recorded(SHAPES)


def chain(error: ErrorInfo | None) -> Any:
    """An error's type with those of its cause, context and members."""
    if error is None:
        return None
    name = error.type.rpartition(":")[2]
    members = [chain(one) for one in error.members]
    below = [one for one in (chain(error.cause), chain(error.context), members) if one]
    return [name, *below] if below else name


EXPECTED = {
    # Whoever raises `from` something has it as context too.
    "cause": ["PriceError", "KeyError"],
    "context": ["PriceError", "IndexError"],
    "none": "PriceError",
    "group": [
        "ExceptionGroup",
        ["PriceError", "FileNotFoundError", ["ExceptionGroup", ["KeyError"]]],
    ],
    "noted": "PriceError",
    "exit": "SystemExit",
    "interrupt": "KeyboardInterrupt",
    "stop": "StopIteration",
    "closed": "GeneratorExit",
}  # fmt: skip


@pytest.mark.parametrize("at", range(len(KINDS)), ids=KINDS)
def test_a_job_that_raises_raises_the_same_in_a_replay(shapes, tree, at: int):
    trace = shapes.recorded["shop/raising"][at]
    new = shapes.project.replay(trace)
    assert chain(trace.steps[0].error) == EXPECTED[KINDS[at]]
    assert tree(new) == tree(trace) == ["Fails", "  Tax", "Cleans", "  Tax"]
    assert [step.state for step in new.steps] == ["error", "error", "success"] + ["success"] * 2
    assert not compare(trace, new).divergences


def test_a_changed_constant_shows_in_the_step_and_not_only_in_the_error(shapes):
    trace = shapes.recorded["shop/raising"][0]
    found = compare(trace, shapes.other.replay(trace))
    assert found.different
    assert found.first is not None
    assert trace.steps[found.first.old or 0].name == "Tax"
    changed = {trace.steps[one.old or 0].name: one.aspects for one in found.divergences}
    assert changed["Fails"] == changed["shop/raising"] == ("error",)


def test_caught_errors_stay_with_their_steps(shapes, tree, result):
    trace = shapes.unchanged("shop/caught")
    assert tree(trace) == ["Fails", "  Tax"] * 3 + ["Outer", "  Inner", "    Cleans", "      Tax"]
    assert result(trace) == [[3], ["SystemExit"], ["KeyboardInterrupt"], "40"]
    assert shapes.first("shop/caught") == ("Fails", "Tax")


@pytest.mark.slow
@pytest.mark.parametrize(("key", "depth"), [("shop/deep", 5001), ("shop/wide", 0)])
def test_five_thousand_steps_deep_or_wide_are_the_same_again(shapes, key: str, depth: int):
    trace = shapes.unchanged(key)
    assert len(trace.steps) >= 5002
    assert shapes.first(key) == ("Link",) * depth + ("Tax",)
