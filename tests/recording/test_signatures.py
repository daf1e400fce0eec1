"""A step's wrapper takes what its function takes, and is in nobody's way."""

from __future__ import annotations

import inspect
import traceback
from typing import Any

import pytest

import tracediff as td
from tracediff import values


def nothing():
    return ()


def one(a):
    return (a,)


def two(parent, function=2):
    return (parent, function)


def three(a, /, b, c=3):
    return (a, b, c)


def four(self, buffer, span, result="r"):
    return (self, buffer, span, result)


def five(a, b, c, d, e):
    return (a, b, c, d, e)


def rest(a, *more):
    return (a, more)


def named(a, *, b=2):
    return (a, b)


def extra(a, **more):
    return (a, more)


CALLS: list[tuple[Any, tuple[Any, ...], dict[str, Any], dict[str, Any]]] = [
    (nothing, (), {}, {}),
    (one, (1,), {}, {"a": 1}),
    (one, (), {"a": 1}, {"a": 1}),
    (two, (1,), {}, {"parent": 1, "function": 2}),
    (two, (), {"function": 5, "parent": 4}, {"parent": 4, "function": 5}),
    (three, (1, 2), {}, {"a": 1, "b": 2, "c": 3}),
    (three, (1,), {"c": 9, "b": 2}, {"a": 1, "b": 2, "c": 9}),
    (four, (1, 2, 3), {}, {"self": 1, "buffer": 2, "span": 3, "result": "r"}),
    (four, (1,), {"span": 3, "buffer": 2}, {"self": 1, "buffer": 2, "span": 3, "result": "r"}),
    (five, (1, 2, 3), {"e": 5, "d": 4}, {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}),
    (rest, (1, 2, 3), {}, {"a": 1, "more": (2, 3)}),
    (named, (1,), {"b": 3}, {"a": 1, "b": 3}),
    (extra, (1,), {"b": 3}, {"a": 1, "more": {"b": 3}}),
]


@pytest.mark.parametrize(("function", "given", "keywords", "shown"), CALLS)
def test_a_call_gives_what_the_function_gives_and_shows_its_arguments(
    recording, args, result, function, given, keywords, shown
):
    step = td.step(function)
    assert step(*given, **keywords) == function(*given, **keywords)
    trace = recording.run(lambda: step(*given, **keywords))
    assert args(trace.steps[1]) == shown
    assert values.live(trace.steps[1].result, values.Allow(())) == function(*given, **keywords)


@pytest.mark.parametrize("function", [call[0] for call in CALLS])
def test_a_step_looks_like_its_function(function):
    step = td.step(function)
    assert inspect.signature(step) == inspect.signature(function)
    assert (step.__name__, step.__qualname__, step.__module__, step.__doc__, step.__wrapped__) == (
        function.__name__, function.__qualname__, function.__module__, function.__doc__, function
    )  # fmt: skip


@pytest.mark.parametrize("function", [call[0] for call in CALLS])
def test_a_wrong_call_says_what_the_function_would_say(function):
    def said(call, given, keywords):
        try:
            return call(*given, **keywords)
        except TypeError as error:
            return str(error)

    step = td.step(function)
    for given, keywords in (((), {}), (tuple(range(9)), {}), ((1,), {"nobody": 1}), ((), {"a": 1})):
        assert said(step, given, keywords) == said(function, given, keywords)


@pytest.mark.parametrize("count", range(6))
def test_one_frame_of_the_recorder_stands_in_a_traceback(recording, count):
    def fail(*given):
        raise ValueError(given)

    functions = [
        lambda: fail(),  # noqa: PLW0108 - what it takes is what is tested
        lambda a: fail(a),  # noqa: PLW0108 - the same
        lambda a, b: fail(a, b),  # noqa: PLW0108 - the same
        lambda a, b, c: fail(a, b, c),  # noqa: PLW0108 - the same
        lambda a, b, c, d: fail(a, b, c, d),  # noqa: PLW0108 - the same
        lambda a, b, c, d, e: fail(a, b, c, d, e),  # noqa: PLW0108 - the same
    ]
    step: Any = td.step("fails")(functions[count])
    frames: list[int] = []

    def call():
        try:
            step(*range(count))
        except ValueError as error:
            found = traceback.extract_tb(error.__traceback__)
            frames.append(sum("/tracediff/recording/" in one.filename for one in found))

    call()
    for depth in ("steps", "inputs"):
        recording.configure(depth=depth)
        recording.run(call)
    assert frames == [1, 1, 1]


def test_receivers_are_not_captured_and_defaults_are_the_functions_own(recording, args):
    default = [1]

    class Cart:
        @td.step("total")
        def total(self, lines=default):
            assert lines is default
            lines.append(2)

        @classmethod
        @td.step("make")
        def make(cls, n):
            return n

    def job():
        Cart().total()
        Cart.make(3)

    trace = recording.run(job)
    assert [args(one) for one in trace.steps[1:]] == [{"lines": [1]}, {"n": 3}]
    assert trace.steps[1].mutated == ("lines",)


def test_a_decorator_that_shows_another_signature_keeps_its_own(recording, args):
    def connected(function):
        def inner(*, a):
            return function("connection", a)

        inner.__wrapped__ = function
        return inner

    @td.step("query")
    @connected
    def query(connection, a):
        return (connection, a)

    trace = recording.run(lambda: query(a=1))
    assert values.live(trace.steps[1].result, values.Allow(())) == ("connection", 1)


def test_a_key_is_asked_with_the_call_as_it_is_written(recording):
    step = td.step("line", key=lambda a: a)(lambda a, b=2: b)
    assert recording.run(lambda: step(7)).warnings == ()


def test_each_step_calls_its_own_function():
    steps = [td.step(f"{at}")(lambda a, at=at: (at, a)) for at in range(50)]
    for _ in range(20):
        assert [step(1) for step in steps] == [(at, 1) for at in range(50)]
