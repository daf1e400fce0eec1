"""Everything that can be called: methods, properties, recursion, partials, stacked decorators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tracediff import values

SHAPES = {
    "methods": """
        import functools
        from dataclasses import dataclass, field

        class Cart:
            rate = property(td.step("Rate")(lambda self: tax(1)))

            def __init__(self, n):
                self.n = n

            @classmethod
            @td.step("Make")
            def make(cls, n):
                return cls(n).n

            @td.step("Split")
            @staticmethod
            def split(n):
                return [n, n + 1]

            @td.step("Net price")
            @property
            def net_price(self):
                return net(self.n)

            @functools.cached_property
            @td.step("Once")
            def once(self):
                return tax(self.n)

        @dataclass(frozen=True, slots=True)
        class Line:
            n: int
            tags: list = field(default_factory=list)

            @td.step("Line total")
            def total(self, factor=1):
                self.tags.append(factor)
                return tax(net(self.n)) * factor

        @td.job("shop/methods")
        def job(n):
            cart = Cart(Cart.make(n))
            found = [cart.net_price, cart.split(n), cart.rate, cart.once, cart.once]
            return found + [Line(n).total(2), Line(n).total(factor=3)]

        def main():
            job(3)
        """,
    "class_job": """
        class Outer:
            class Work:
                by = 2

                @classmethod
                @td.job("shop/class_job")
                def job(cls, n):
                    return cls.taxed(n) * cls.by

                @staticmethod
                def taxed(n):
                    return tax(net(n))

        def main():
            Outer.Work.job(2)
        """,
    "inheritance": """
        class Base:
            @td.step("Price")
            def price(self, n):
                return net(n)

            @td.step("Label")
            def label(self):
                return type(self).__name__

        class Taxed(Base):
            @td.step("Taxed price")
            def price(self, n):
                return super().price(n) + tax(n)

        class Quiet(Base):
            def price(self, n):
                return super().price(n)

        class Rule:
            apply = td.step("Rule")(lambda self, n: tax(n))
            every = [td.step(f"Rule {at}")(lambda n, at=at: n + at) for at in range(2)]

        def patched(n):
            return tax(n) + 1

        @td.job("shop/inheritance")
        def job(n):
            found = [kind().price(n) for kind in (Base, Taxed, Quiet)] + [Taxed().label()]
            found += [Rule().apply(n), [rule(n) for rule in Rule.every]]
            kept, Base.label = Base.label, td.step("Patched")(lambda self: patched(n))
            try:
                found.append(Base().label())
            finally:
                Base.label = kept
            return found + [Base().label()]

        def main():
            job(4)
        """,
    "recursion": """
        @td.step("Deep")
        def deep(n):
            return tax(1) if n == 0 else deep(n - 1) + 1

        @td.step("Even")
        def even(n):
            return True if n == 0 else odd(n - 1)

        @td.step("Odd")
        def odd(n):
            return tax(1) == 0 if n == 0 else even(n - 1)

        @td.job("shop/recursion")
        def job(n):
            return [even(7), even(8), deep(n)]

        def main():
            job(49)
        """,
    "callables": """
        import functools
        import operator

        class Scale:
            def __init__(self, by):
                self.by = by

            def __call__(self, n):
                return tax(n) * self.by

        @td.step("Scaled")
        def scaled(n, by, *, offset=0):
            return n * by + offset

        twice = td.step("Twice")(functools.partial(scaled, by=2))
        called = td.step("Called")(Scale(3))
        added = td.step("Added")(operator.add)
        method = td.step("Bound")(Scale(5).__call__)

        @functools.singledispatch
        def shown(value):
            return str(value)

        @shown.register
        @td.step("Shown int")
        def _(value: int):
            return f"{tax(value)}"

        @td.job("shop/callables")
        def job(n):
            later = functools.partial(scaled, by=3, offset=1)
            return [twice(n), twice(n, offset=9), later(n), called(n), added(n, 1), method(n),
                    shown(n), shown(None), list(map(called, [1, 2]))]

        def main():
            job(2)
        """,
    "nested": """
        @td.job("shop/inner")
        def inner(n):
            td.tag(f"inner:{n}")
            return tax(net(n))

        @td.job("shop/unrelated")
        def middle(n):
            return inner(n) + inner(n + 1)

        @td.job("shop/nested")
        def job(n):
            with td.step("Both"):
                return middle(n)

        def main():
            job(1)
            inner(5)
        """,
    "stacked": """
        import functools

        def doubled(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                return function(*args, **kwargs) * 2
            return wrapper

        def retried(times):
            def decorate(function):
                @functools.wraps(function)
                def wrapper(*args, **kwargs):
                    for left in reversed(range(times)):
                        try:
                            return function(*args, **kwargs)
                        except LookupError:
                            if not left:
                                raise
                return wrapper
            return decorate

        @td.step("Outside")
        @doubled
        def outside(n):
            return tax(n)

        @doubled
        @td.step("Inside")
        def inside(n):
            return tax(n)

        tries = []

        @retried(3)
        @td.step("Tried")
        def tried(n):
            tries.append(n)
            if len(tries) % 3:
                raise LookupError(n)
            return n

        @td.input("Cached")
        @functools.lru_cache
        def cached(n):
            return n * 7

        @td.step("Twice marked")
        @td.step("Once marked")
        def marked(n):
            return n

        @doubled
        @td.job("shop/stacked")
        @doubled
        def job(n):
            return [outside(n), inside(n), tried(n), cached(n), cached(n), marked(n)]

        def main():
            job(1)
        """,
    "blocks": """
        import contextlib

        @contextlib.contextmanager
        @td.step("Opened")
        def opened(n):
            yield net(n)
            tax(0)

        @td.step("Open too")
        @contextlib.contextmanager
        def open_too(n):
            yield n

        class Held:
            @td.step("Enter")
            def __enter__(self):
                return net(1)

            @td.step("Exit")
            def __exit__(self, kind, error, trace):
                return kind is KeyError

        @contextlib.contextmanager
        def section(name):
            with td.step(name) as block:
                yield block

        @td.job("shop/blocks")
        def job(n):
            with opened(n) as one, open_too(n) as two, Held() as three:
                with section("Section") as block:
                    block.result = tax(one) + two + three
                raise KeyError(n)
            with contextlib.ExitStack() as stack:
                stack.enter_context(section("Left by the stack"))
                stack.callback(tax, 3)
                tax(4)
            with contextlib.suppress(ZeroDivisionError), td.step("Fails"):
                1 / 0
            return block.result

        def main():
            job(2)
        """,
    "left_open": """
        @td.job("shop/left_open")
        def job(n):
            td.step("Left open").__enter__()
            return tax(n)

        @td.job("shop/afterwards")
        def afterwards(n):
            return tax(n)

        def main():
            job(2)
            afterwards(3)
        """,
    "extremes": """
        import sys

        @td.step("Many", key=lambda *args, **named: len(args))
        def many(*args, **named):
            return sum(args) + sum(named.values())

        @td.step("Only", ignore=["c"])
        def only(a, /, b=(), *, c=None, d: "int" = 4):
            b = [*b, tax(a)]
            return locals()

        names = ", ".join(f"p{at}={at}" for at in range(300))
        wide = td.step("Wide")(eval(f"lambda {names}: p299"))

        @td.job("shop/extremes")
        def job(n, *, deep):
            found = [many(*range(300)), many(**{f"k{at}": at for at in range(300)}), many()]
            return found + [only(1), only(n, [2], c=object(), d=5), wide(*range(7))]

        def main():
            value = []
            for _ in range(100):
                value = [value]
            job(3, deep=value)
        """,
}

DRAWN = {
    "methods": [
        "Make", "Net price", "  Net", "Split", "Rate", "  Tax", "Once", "  Tax",
        "Line total", "  Net", "  Tax", "Line total", "  Net", "  Tax",
    ],
    "class_job": ["Net", "Tax"],
    "inheritance": [
        "Price", "  Net", "Taxed price", "  Price", "    Net", "  Tax", "Price", "  Net", "Label",
        "Rule", "  Tax", "Rule 0", "Rule 1", "Patched", "  Tax", "Label",
    ],
    "recursion": [
        *("  " * n + ("Odd" if n % 2 else "Even") for n in range(8)), "  " * 8 + "Tax",
        *("  " * n + ("Odd" if n % 2 else "Even") for n in range(9)),
        *("  " * n + "Deep" for n in range(50)), "  " * 50 + "Tax",
    ],
    "callables": [
        "Twice", "  Scaled", "Twice", "  Scaled", "Scaled", "Called", "  Tax", "Added", "Bound",
        "  Tax", "Shown int", "  Tax", "Called", "  Tax", "Called", "  Tax",
    ],
    "nested": [
        "Both", "  shop/unrelated", "    shop/inner", "      Net", "      Tax", "    shop/inner",
        "      Net", "      Tax",
    ],
    "stacked": [
        "Outside", "  Tax", "Inside", "  Tax", "Tried", "Tried", "Tried", "Cached", "Cached",
        "Twice marked", "  Once marked",
    ],
    "left_open": ["Left open", "  Tax"],
    "extremes": ["Many", "Many", "Many", "Only", "  Tax", "Only", "  Tax", "Wide"],
    "blocks": [
        "Opened", "  Net", "Open too", "Enter", "  Net", "Section", "  Tax", "Exit", "  Tax",
        "Left by the stack", "  Tax", "  Tax", "Fails",
    ],
}  # fmt: skip

FIRST = {
    "methods": ("Rate", "Tax"),
    "class_job": ("Tax",),
    "inheritance": ("Taxed price", "Tax"),
    "recursion": ("Even",) + ("Odd", "Even") * 3 + ("Odd", "Tax"),
    "callables": ("Called", "Tax"),
    "nested": ("Both", "shop/unrelated", "shop/inner", "Tax"),
    "stacked": ("Outside", "Tax"),
    "left_open": ("Left open", "Tax"),
    "extremes": ("Only", "Tax"),
    "blocks": ("Section", "Tax"),
}


@pytest.fixture(scope="module")
def shapes(recorded: Callable[..., Any]) -> Any:
    return recorded(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_replay_of_unchanged_code_is_its_recording(shapes, tree, shape: str):
    assert tree(shapes.unchanged(f"shop/{shape}")) == DRAWN[shape]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_changed_constant_shows_at_the_step_that_uses_it(shapes, shape: str):
    assert shapes.first(f"shop/{shape}") == FIRST[shape]


def test_a_step_left_open_ends_with_its_job(shapes, tree):
    left = shapes.trace("shop/left_open")
    assert [step.open for step in left.steps] == [False, True, False]
    assert tree(shapes.unchanged("shop/afterwards")) == ["Tax"]


PLAIN_LOGIN = """\
import tracediff as td


@td.step("ask")
def ask(password, token=False):
    return "guest" if password is None and not token else "known"


@td.job("shop/login")
def login(user, password=None):
    return ask(password)
"""


def test_none_and_flags_are_no_secrets_so_a_replayed_job_may_look_at_them(
    new_project: Callable[[], Any],
):
    project = new_project()
    project.write("shop/login.py", PLAIN_LOGIN)
    project.run("-c", "from shop.login import login; login('ann'); login('bob', 'hunter2')")
    guest, known = sorted(project.traces(), key=lambda one: one.meta)
    assert values.inert(guest.steps[0].args) == {"user": "ann", "password": None}
    assert values.inert(guest.steps[1].args) == {"password": None, "token": False}
    assert isinstance(values.inert(known.steps[0].args)["password"], values.Redacted)
    assert values.inert(project.replay(guest).steps[0].result) == "guest"


SCRIPT = """\
import multiprocessing
import numpy as np
import tracediff as td

rng = np.random.default_rng()


@td.job("script/draw")
def draw(n):
    return n + float(np.random.random()) + (0 if n else float(rng.random()))


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    draw(0)
    child = context.Process(target=draw, args=(1,))
    child.start()
    child.join()
"""


def test_a_script_s_job_replays_whichever_process_of_multiprocessing_ran_it(
    new_project: Callable[[], Any],
):
    project = new_project()
    project.write("draw.py", SCRIPT)
    settings = '[tool.tracediff]\njobs = ["draw"]\ninputs = ["numpy.random"]\n'
    project.write("pyproject.toml", settings)
    project.run("draw.py")
    traces = project.traces()
    assert [trace.job for trace in traces] == ["draw:draw"] * 2
    for trace in traces:
        assert project.replay(trace).steps[0].result == trace.steps[0].result
