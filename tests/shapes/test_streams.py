"""Generators, and arguments that a look would use up: iterators, files, queues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tracediff.digests import tree_digest

SHAPES = {
    "generators": """
        @td.step("Counted")
        def counted(n):
            total = 0
            for one in range(n):
                got = yield tax(one)
                total += got or 1
            return total

        @td.step("Chained")
        def chained(n):
            total = yield from counted(n)
            yield total
            try:
                yield "last"
            finally:
                tax(100)

        @td.step("Squares")
        def squares(source):
            return (one * one for one in source)

        @td.step("Never run")
        def never():
            yield tax(1)

        @td.step("Row", key=lambda row: row)
        def row(row):
            return row + 1

        @td.job("shop/generators")
        def job(n):
            never()
            running = chained(n)
            found = [next(running), running.send(5)]
            found.extend(row(one) for one in running)
            left = chained(1)
            next(left)
            left.close()
            pairs = [a + b for a, b in zip(counted(2), counted(2))]
            return found[:2], pairs, sum(squares(net(one) for one in range(2)))

        def row(one):
            return one

        def main():
            job(2)
        """,
    "held_open": """
        @td.step("Held")
        def held(n):
            with td.step("Inside"):
                yield n
                yield tax(n)
            yield n + 2

        @td.job("shop/held_open")
        def job():
            one, two = held(1), held(2)
            with td.step("Caller"):
                found = [next(one), next(two), next(one)]
            tax(50)
            found += [next(two), next(one)]
            two.close()
            with td.step("After"):
                found += list(one)
            return found

        def main():
            job()
        """,
    "job_generator": """
        @td.job("shop/job_generator")
        def job(n):
            for one in range(n):
                with td.step("Each", key=one):
                    yield tax(net(one))

        def main():
            for _ in job(3):
                tax(99)
        """,
    "broken_off": """
        import asyncio

        @td.input("Rows")
        def rows(n):
            yield from range(n)
            raise LookupError("no more")

        @td.input("Async rows")
        async def async_rows(n):
            for one in range(n):
                yield one
            raise LookupError("no more")

        @td.step("Read")
        def read(n):
            found = []
            try:
                for one in rows(n):
                    found.append(tax(one))
            except LookupError as error:
                found.append(str(error))
            return found

        async def async_read(n):
            try:
                return [one async for one in async_rows(n)]
            except LookupError as error:
                return str(error)

        @td.job("shop/broken_off")
        async def job(n):
            return read(n), await async_read(n)

        def main():
            asyncio.run(job(3))
        """,
    "async_generators": """
        import asyncio
        import contextlib

        @td.input("Pages")
        async def pages(n):
            for one in range(n):
                await asyncio.sleep(0)
                yield [one, one + 1]

        @td.step("Taxed")
        async def taxed(source):
            async for page in source:
                for one in page:
                    yield tax(one)

        @contextlib.asynccontextmanager
        @td.step("Session")
        async def session(n):
            await asyncio.sleep(0)
            yield n
            tax(0)

        class Cursor:
            def __init__(self, n):
                self.left = n

            def __aiter__(self):
                return self

            @td.step("Fetch next")
            async def __anext__(self):
                if not self.left:
                    raise StopAsyncIteration
                self.left -= 1
                return self.left

        @td.job("shop/async_generators")
        async def job(n):
            async with session(n) as m:
                found = [one async for one in taxed(pages(m))]
            found += [one async for one in Cursor(2)]
            stopped = taxed(pages(5))
            found.append(await anext(stopped))
            await stopped.aclose()
            return found

        def main():
            asyncio.run(job(2))
        """,
    "job_async_generator": """
        import asyncio

        @td.job("shop/job_async_generator")
        async def job(n):
            for one in range(n):
                await asyncio.sleep(0)
                yield tax(one)

        async def consume():
            return [one async for one in job(3)]

        def main():
            asyncio.run(consume())
        """,
    "arguments": """
        import io
        import itertools
        import pathlib
        import queue

        class Reader:
            def __init__(self):
                self.read = 0

            def __iter__(self):
                return self

            def __next__(self):
                self.read += 1
                if self.read > 3:
                    raise StopIteration
                return self.read

        @td.step("Rest")
        def rest(source):
            return list(source)

        @td.step("Passed on")
        def passed_on(source, *others, **named):
            return source

        @td.step("Text")
        def text(stream):
            return stream.read()

        @td.step("Lines")
        def lines(stream):
            return [line.strip() for line in stream]

        @td.job("shop/arguments")
        def job(name):
            numbers = (tax(one) for one in range(3))
            stream = io.StringIO("abc")
            stream.read(1)
            found = [
                rest(passed_on(numbers, numbers, more=numbers)),
                rest(passed_on(iter([1, 2]))),
                rest(passed_on(map(str, range(2)))),
                rest(passed_on(zip("ab", [1, 2]))),
                rest(passed_on(Reader())),
                rest(itertools.islice(passed_on(itertools.count(5)), 2)),
                rest(passed_on({"a": 1}.items())),
                text(passed_on(stream)),
                text(passed_on(io.BytesIO(b"bytes"))),
            ]
            waiting = queue.Queue()
            waiting.put(1)
            with open(passed_on(pathlib.Path(name)), encoding="utf-8") as file:
                found += [lines(passed_on(file)), passed_on(waiting).get()]
            with open(name, "rb") as file:
                file.seek(4)
                found += [text(passed_on(file)), file.tell()]
            return found

        def main():
            job("pyproject.toml")
            assert job.__wrapped__("pyproject.toml") == job("pyproject.toml")
        """,
}

DRAWN = {
    "generators": [
        "Chained", "  Counted", "    Tax", "    Tax", "  Tax", "Chained", "  Counted", "    Tax",
        "Counted", "  Tax", "Counted", "  Tax", "  Tax", "  Tax", "Squares", "Net", "Net",
    ],
    "held_open": [
        "Caller", "  Held", "    Inside", "  Held", "    Inside", "      Tax", "Tax", "      Tax",
        "After",
    ],
    "job_generator": ["Each", "  Net", "  Tax"] * 3,
    "broken_off": ["Read", "  Rows", "  Tax", "  Tax", "  Tax", "Async rows"],
    "async_generators": [
        "Session", "Taxed", "  Pages", "  Tax", "  Tax", "  Tax", "  Tax", "  Tax", "Fetch next",
        "Fetch next", "Fetch next", "Taxed", "  Pages", "  Tax",
    ],
    "job_async_generator": ["Tax"] * 3,
}  # fmt: skip

FIRST = {
    "generators": ("Chained", "Counted", "Tax"),
    "held_open": ("Caller", "Held", "Inside", "Tax"),
    "job_generator": ("Each", "Tax"),
    "broken_off": ("Read", "Tax"),
    "async_generators": ("Taxed", "Tax"),
    "job_async_generator": ("Tax",),
}


@pytest.fixture(scope="module")
def shapes(recorded: Callable[..., Any]) -> Any:
    return recorded(SHAPES)


@pytest.mark.parametrize("shape", DRAWN)
def test_a_replay_of_unchanged_code_is_its_recording(shapes, tree, shape: str):
    assert tree(shapes.unchanged(f"shop/{shape}")) == DRAWN[shape]


@pytest.mark.parametrize("shape", FIRST)
def test_a_changed_constant_shows_at_the_step_that_uses_it(shapes, shape: str):
    assert shapes.first(f"shop/{shape}") == FIRST[shape]


def test_a_generator_left_open_shows_what_it_had_yielded_when_the_job_ended(shapes, result):
    trace = shapes.trace("shop/async_generators")
    [left] = [at for at, step in enumerate(trace.steps) if step.open]
    assert (trace.steps[left].name, trace.steps[left].state) == ("Pages", "running")
    assert result(trace, left) == [[0, 1]]


def test_arguments_are_not_used_up_by_being_recorded(shapes, result):
    """The program itself checks that the job's result is the function's."""
    [first, _] = shapes.recorded["shop/arguments"]
    assert result(first)[:4] == [[0, 20, 40], [1, 2], ["0", "1"], [("a", 1), ("b", 2)]]
    opened = first.steps[1:]
    assert [step.name for step in opened].count("Passed on") == 13


def test_what_cannot_be_looked_at_is_opaque_and_the_same_again(shapes):
    [first, _] = shapes.recorded["shop/arguments"]
    assert not first.warnings
    new = shapes.project.replay(first)
    assert new.steps[0].result == first.steps[0].result
    assert tree_digest(new) == tree_digest(first)
