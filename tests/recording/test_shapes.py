"""Whatever shape a function has, it stays what it was and becomes a step."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import traceback
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest

import tracediff as td


@td.step("plain")
def plain(a: int, b: int = 2, /, c: int = 3, *rest: int, d: int = 4, **more: int) -> int:
    """What it does."""
    return a + b + c + sum(rest) + d + sum(more.values())


bare: Any = inspect.unwrap(plain)


bare: Any = inspect.unwrap(plain)


class Shop:
    rate = Decimal("0.2")

    @td.step("method")
    def method(self, x: int) -> Decimal:
        return x * self.rate

    @td.step("class outside")
    @classmethod
    def outside(cls, x: int) -> str:
        return f"{cls.__name__}{x}"

    @classmethod
    @td.step("class inside")
    def inside(cls, x: int) -> str:
        return f"{cls.__name__}{x}"

    @td.step("static outside")
    @staticmethod
    def static_outside(x: int) -> int:
        return x

    @staticmethod
    @td.step("static inside")
    def static_inside(x: int) -> int:
        return x

    @td.step("property outside")
    @property
    def p_outside(self) -> int:
        """Its text."""
        return 5

    @property
    @td.step("property inside")
    def p_inside(self) -> int:
        return 6

    @td.step
    @functools.cached_property
    def cached(self) -> int:
        return 7

    @td.input
    async def fetch(self, x: int) -> int:
        await asyncio.sleep(0)
        return x


class Callable:
    def __call__(self, x: int) -> int:
        return x + 1


class AsyncCallable:
    async def __call__(self, x: int) -> int:
        return x + 1


def test_a_wrapper_looks_like_its_function():
    assert plain.__name__ == "plain"
    assert plain.__qualname__ == "plain"
    assert plain.__doc__ == "What it does."
    assert plain.__module__ == __name__
    assert list(inspect.signature(plain).parameters) == ["a", "b", "c", "rest", "d", "more"]
    assert inspect.unwrap(plain) is bare
    assert bare is not plain
    assert inspect.getsource(plain).lstrip().startswith("@td.step")
    assert isinstance(inspect.getattr_static(Shop, "outside"), classmethod)
    assert isinstance(inspect.getattr_static(Shop, "p_outside"), property)
    assert Shop.p_outside.__doc__ == "Its text."


@pytest.mark.parametrize("mark", [td.step, td.input, td.output, td.job], ids=lambda m: m.__name__)
def test_inspect_tells_the_kind_of_a_wrapped_function(mark: Any):
    async def coroutine() -> None: ...

    def generator() -> Any:
        yield 1

    async def async_generator() -> Any:
        yield 1

    for named in (mark, mark("a name")):
        assert inspect.iscoroutinefunction(named(coroutine))
        assert inspect.isgeneratorfunction(named(generator))
        assert inspect.isasyncgenfunction(named(async_generator))
        assert not inspect.iscoroutinefunction(named(plain))


@pytest.mark.parametrize("mark", [td.step, td.input, td.output, td.job], ids=lambda m: m.__name__)
def test_outside_a_recorded_job_a_wrapped_function_does_what_it_did(mark: Any):
    def both(x: int, *, y: int = 1) -> int:
        return x * y

    assert mark(both)(3, y=4) == 12
    assert mark("named")(both)(x=3) == 3
    with pytest.raises(TypeError, match="both"):
        mark(both)(1, 2, 3)


def test_arguments_are_recorded_by_parameter_with_defaults(recording, args, result):
    trace = recording.run(lambda: (plain(1), plain(1, 5, 6, 7, 8, d=9, e=10, a=11)))
    first, second = trace.steps[1:]
    assert args(first) == {"a": 1, "b": 2, "c": 3, "rest": (), "d": 4, "more": {}}
    assert args(second) == {
        "a": 1, "b": 5, "c": 6, "rest": (7, 8), "d": 9, "more": {"e": 10, "a": 11},
    }  # fmt: skip
    assert list(args(second)) == ["a", "b", "c", "rest", "d", "more"]
    assert (result(first), result(second)) == (10, 57)


def test_a_step_says_where_its_function_is_and_a_block_where_it_stands(recording):
    def work() -> None:
        plain(1)
        with td.step("block") as block:
            block.result = 1
        td.note("note")

    line = inspect.getsourcelines(work)[1]
    steps = recording.run(work).steps
    assert (steps[1].source.unit, steps[1].source.line) == (
        f"{__name__}:plain",
        bare.__code__.co_firstlineno,
    )
    assert [step.source.line for step in steps[2:]] == [line + 2, line + 4]
    assert steps[2].source.unit.endswith("work")
    assert steps[1].source.file.endswith("tests/recording/test_shapes.py")


def test_methods_and_properties_are_steps_without_their_receiver(recording, args, result):
    shop = Shop()

    def work() -> None:
        shop.method(x=10)
        Shop.outside(1)
        shop.outside(2)
        Shop.inside(3)
        shop.static_outside(4)
        Shop.static_inside(5)
        assert (shop.p_outside, shop.p_inside) == (5, 6)
        assert (shop.cached, shop.cached) == (7, 7)

    steps = recording.run(work).steps[1:]
    assert [(step.name, args(step), result(step)) for step in steps] == [
        ("method", {"x": 10}, Decimal("2.0")),
        ("class outside", {"x": 1}, "Shop1"),
        ("class outside", {"x": 2}, "Shop2"),
        ("class inside", {"x": 3}, "Shop3"),
        ("static outside", {"x": 4}, 4),
        ("static inside", {"x": 5}, 5),
        ("property outside", {}, 5),
        ("property inside", {}, 6),
        ("cached", {}, 7),
    ]
    assert steps[0].source.unit == f"{__name__}:Shop.method"
    assert steps[6].source.unit == f"{__name__}:Shop.p_outside"


def test_partials_and_callable_objects_are_named_after_what_they_call(recording, args):
    half = td.step(functools.partial(bare, 1, d=0))
    called = td.step(Callable())
    cached = td.step("cached")(functools.lru_cache(lambda n: n))
    trace = recording.run(lambda: (half(5), called(1), cached(2), cached(2)))
    assert [step.name for step in trace.steps[1:]] == ["plain", "Callable", "cached", "cached"]
    assert args(trace.steps[1])["b"] == 5
    assert trace.steps[1].source.unit == f"{__name__}:plain"
    assert trace.steps[2].source.unit == f"{__name__}:Callable.__call__"
    assert trace.steps[2].source.line == Callable.__call__.__code__.co_firstlineno


def test_recursion_nests(recording, tree):
    @td.step("fib")
    def fib(n: int) -> int:
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert tree(recording.run(lambda: fib(3))) == [
        "fib", "  fib", "    fib", "    fib", "  fib",
    ]  # fmt: skip


def test_a_job_in_a_job_is_a_step(recording, tree, args, result):
    @td.job("inner/job")
    def inner(x: int) -> int:
        plain(x)
        return x

    trace = recording.run(lambda: inner(4))
    assert tree(trace) == ["inner/job", "  plain"]
    assert trace.steps[1].kind == "step"
    assert (args(trace.steps[1]), result(trace.steps[1])) == ({"x": 4}, 4)
    inner(5)
    assert [one.key for one in recording.traces()] == ["run", "inner/job"]


def test_ignored_arguments_and_keys(recording, args):
    @td.step("a", ignore=["session", "rest", "more"], key=lambda session, x, *r, **m: ("k", x))
    def a(session: object, x: int, *rest: int, **more: int) -> None: ...

    @td.step("b", ignore="session")
    def b(*, session: object = object()) -> None: ...

    def work() -> None:
        a(object(), 1, 2, 3, y=4)
        b(session=object())
        for product in (7, 8):
            with td.step("loop", key=product):
                pass

    steps = recording.run(work).steps[1:]
    assert [args(step) for step in steps[:2]] == [{"x": 1}, {}]
    assert [td_key(step) for step in steps] == [("k", 1), None, 7, 8]


def td_key(step: Any) -> Any:
    from tracediff import values

    return None if step.key is None else values.inert(step.key)


def test_a_block_may_be_named_by_a_str_enum_used_twice_and_entered_in_itself(recording, tree):
    class Names(StrEnum):
        VAT = "vat"

    def work() -> None:
        block = td.step(Names.VAT)
        with block as first:
            first.result = 1
            with block:
                plain(1)
            plain(2)
        with block:
            plain(3)
        plain(4)

    trace = recording.run(work)
    assert tree(trace) == ["vat", "  vat", "    plain", "  plain", "vat", "  plain", "plain"]
    assert [step.open for step in trace.steps] == [False] * 8


def test_a_block_outlives_a_job_that_begins_and_ends_in_it(recording):
    block = td.step("shared")
    with block:
        trace = recording.run(lambda: block.__enter__().__exit__(None, None, None))
    assert [step.name for step in trace.steps] == ["run", "shared"]


# -- generators


@td.step("numbers")
def numbers(n: int) -> Any:
    received = []
    for number in range(n):
        plain(number)
        with td.step("held"):
            received.append((yield number))
            plain(number)
    return received


def test_a_generator_is_current_only_while_it_runs(recording, tree, result):
    def work() -> None:
        for _ in numbers(2):
            with td.step("caller"):
                pass

    trace = recording.run(work)
    assert tree(trace) == [
        "numbers", "  plain", "  held", "caller", "    plain", "  plain", "  held", "caller",
        "    plain",
    ]  # fmt: skip
    assert result(trace.steps[1]) == [0, 1]


@pytest.mark.parametrize("active", [False, True], ids=["off", "recorded"])
def test_generators_can_be_sent_to_thrown_into_and_closed(recording, active: bool):
    seen = []

    @td.step("echo")
    def echo() -> Any:
        try:
            while True:
                try:
                    seen.append((yield len(seen)))
                except KeyError as error:
                    seen.append(error)
        finally:
            plain(1)
            seen.append("closed")
        return None

    def work() -> None:
        error = KeyError("x")
        running = echo()
        assert (next(running), running.send("a"), running.throw(error)) == (0, 1, 2)
        running.close()
        assert seen == ["a", error, "closed"]
        delegate()

    def delegate() -> None:
        def outer() -> Any:
            returned = yield from numbers(2)
            yield returned

        running = outer()
        assert next(running) == 0
        assert running.send("x") == 1
        assert running.send("y") == ["x", "y"]

    if active:
        trace = recording.run(work)
        assert trace.steps[1].name == "echo"
        closing = next(step for step in trace.steps if step.name == "plain")
        assert trace.steps[closing.parent].name == "echo"
        assert [step.state for step in trace.steps] == ["success"] * len(trace.steps)
    else:
        work()


@pytest.mark.parametrize("active", [False, True], ids=["off", "recorded"])
def test_async_generators_can_be_sent_to_thrown_into_and_closed(recording, active: bool):
    seen: list[Any] = []

    @td.step("echo")
    async def echo() -> Any:
        try:
            while True:
                try:
                    seen.append((yield len(seen)))
                except KeyError as error:
                    seen.append(error)
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    @contextlib.asynccontextmanager
    @td.step("managed")
    async def managed() -> Any:
        try:
            yield 1
        except ValueError:
            seen.append("swallowed")

    async def main() -> None:
        error = KeyError("x")
        running = echo()
        assert await anext(running) == 0
        assert await running.asend("a") == 1
        assert await running.athrow(error) == 2
        await running.aclose()
        assert seen == ["a", error, "closed"]
        async with managed():
            raise ValueError
        assert seen[-1] == "swallowed"

    if active:
        trace = recording.run(lambda: asyncio.run(main()))
        assert [step.name for step in trace.steps] == ["run", "echo", "managed"]
        assert [step.state for step in trace.steps] == ["success"] * 3
    else:
        asyncio.run(main())


def test_an_error_in_a_generator_is_recorded_and_raised(recording):
    error = ValueError("bad")

    @td.step("bad")
    def bad() -> Any:
        yield 1
        raise error

    def work() -> None:
        with pytest.raises(ValueError) as caught:
            list(bad())
        assert caught.value is error

    step = recording.run(work).steps[1]
    assert (step.state, step.error.message) == ("error", "bad")


def test_generators_are_jobs(recording, tree, result):
    @td.job("generated")
    def generated(n: int) -> Any:
        for number in range(n):
            plain(number)
            yield number
        return "end"

    @td.job("async/generated")
    async def async_generated(n: int) -> Any:
        for number in range(n):
            plain(number)
            yield number

    def outer() -> Any:
        got = yield from generated(2)
        yield got

    async def collect() -> list[int]:
        return [item async for item in async_generated(2)]

    running = outer()
    assert next(running) == 0
    plain(99)  # belongs to no trace
    assert list(running) == [1, "end"]
    assert asyncio.run(collect()) == [0, 1]
    closed = generated(3)
    next(closed)
    closed.close()
    traces = recording.traces()
    assert [trace.key for trace in traces] == ["generated", "async/generated", "generated"]
    assert [tree(trace) for trace in traces] == [["plain", "plain"]] * 2 + [["plain"]]
    assert [result(trace.steps[0]) for trace in traces] == [[0, 1], [0, 1], [0]]
    nested = recording.run(lambda: list(generated(1)))
    assert tree(nested) == ["generated", "  plain"]


def test_methods_of_every_kind_are_jobs(recording, result):
    class Work:
        @td.job("method")
        def method(self, x: int) -> int:
            return x

        @td.job("class")
        @classmethod
        def klass(cls, x: int) -> int:
            return x

        @td.job("static")
        @staticmethod
        def static(x: int) -> int:
            return x

    Work().method(1)
    Work.klass(2)
    Work.static(3)
    traces = recording.traces()
    assert [(trace.key, result(trace.steps[0])) for trace in traces] == [
        ("method", 1), ("class", 2), ("static", 3),
    ]  # fmt: skip
    assert [trace.meta for trace in traces] == ["x=1", "x=2", "x=3"]


# -- coroutines


def test_coroutines_and_async_callables_are_awaited(recording, tree, result):
    called = td.step("called")(AsyncCallable())

    @td.job("async")
    async def work() -> int:
        with td.step("block"):
            await Shop().fetch(1)
        return await called(4)

    assert asyncio.run(work()) == 5
    [trace] = recording.traces()
    assert tree(trace) == ["block", "  fetch", "called"]
    assert (trace.steps[2].kind, result(trace.steps[3])) == ("input", 5)


def test_a_traceback_has_one_more_frame_a_step(recording):
    @td.step("inner")
    def inner() -> None:
        raise ValueError

    @td.step("outer")
    def outer() -> None:
        inner()

    def frames() -> list[str]:
        try:
            outer()
        except ValueError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        return []

    found = []
    recording.run(lambda: found.extend(frames()))
    assert found == frames() == ["frames", "wrapper", "outer", "wrapper", "inner"]
