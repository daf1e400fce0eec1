"""A live trace, put together, is the trace that deferred recording gives of the same job."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from dataclasses import replace
from typing import Any

import pytest

import tracediff as td
from tracediff.model import Trace
from tracediff.recording import buffers, live, writer

SECRET = "open sesame"
NAMES = ("alpha", "beta", "gamma")


class Shape:
    """A made-up job: what it does is drawn once, and is the same each time it runs."""

    def __init__(self, seed: int, *, lanes: bool = True, flushes: bool = True) -> None:
        self.seed = seed
        self.flushes = flushes
        self.lanes = lanes

    def run(self) -> int:
        """The job, on threads and in tasks as well."""
        self.dice = random.Random(self.seed)
        self.kept: list[Any] = []
        for _ in range(3):
            self.some(0)
        self.kept.clear()
        return self.dice.randrange(9)

    def some(self, depth: int) -> None:
        for _ in range(self.dice.randrange(1, 5)):
            getattr(self, self.dice.choice(WHAT if self.lanes else PLAIN))(depth + 1)
            if self.flushes and self.dice.random() < 0.4:
                td.flush()

    def below(self, depth: int) -> None:
        if depth < 4:
            self.some(depth)

    def value(self) -> Any:
        number = self.dice.randrange(1000)
        return self.dice.choice([number, str(number), [number, {"a": number}], {"b": [number]}])

    def step(self, depth: int) -> None:
        stepped(self, depth, self.value())

    def mutating(self, depth: int) -> None:
        mutated(self, depth, [1, {"x": 2}], more={"y": self.value()})

    def reading(self, depth: int) -> None:
        read(self.dice.choice(NAMES), self.value())

    def writing(self, depth: int) -> None:
        written(self.value())

    def failing(self, depth: int) -> None:
        with contextlib.suppress(ValueError):
            failed(self, depth, self.value())

    def keeping_an_error(self, depth: int) -> None:
        try:
            failed(self, depth, self.value())
        except ValueError as error:
            self.kept.append(error)

    def block(self, depth: int) -> None:
        with td.step(self.dice.choice(NAMES), key=self.value()) as block:
            self.below(depth)
            block.result = self.value()
            if self.dice.random() < 0.2:
                self.dice.choice([td.warn, td.fail])()

    def telling_while_captured(self, depth: int) -> None:
        told(Telling())

    def noting(self, depth: int) -> None:
        td.note(f"note {self.dice.randrange(5)}", head=self.dice.random() < 0.2)

    def telling(self, depth: int) -> None:
        td.tag(f"t{self.dice.randrange(150)}")
        td.artifact(f"{self.dice.randrange(9)}.txt", self.dice.randbytes(20))

    def items(self, depth: int) -> None:
        for _ in yielded(self, depth, self.dice.randrange(4)):
            self.below(depth)

    def some_items(self, depth: int) -> None:
        running = yielded(self, depth, 3)
        next(running)
        self.below(depth)
        if self.dice.random() < 0.5:
            running.close()
        else:
            self.kept.append(running)

    def thread(self, depth: int) -> None:
        thread = threading.Thread(target=td.propagate(lambda: self.below(depth)))
        thread.start()
        thread.join()

    def threads(self, depth: int) -> None:
        """Two at once, which take turns: what is traced does not depend on the scheduler."""
        turns = [threading.Semaphore(1), threading.Semaphore(0)]

        def work(me: int) -> None:
            for _ in range(3):
                turns[me].acquire()
                with td.step(f"turn {me}"):
                    read("turn", me)
                    turns[1 - me].release()
                    turns[me].acquire()
                turns[1 - me].release()
            turns[1 - me].release()

        pair = [threading.Thread(target=td.propagate(work), args=(me,)) for me in (0, 1)]
        for one in pair:
            one.start()
        for one in pair:
            one.join()

    def tasks(self, depth: int) -> None:
        async def task(number: int) -> None:
            await slept(number)
            read("in a task", number)
            if number % 2:
                td.flush()
            await slept(number)

        async def main() -> None:
            if self.dice.random() < 0.5:
                await task(7)
            await begun()
            td.flush()
            await asyncio.gather(*(task(n) for n in range(self.dice.randrange(1, 4))))

        with contextlib.suppress(RuntimeError):  # there is a loop
            asyncio.run(main())


PLAIN = [
    "step", "telling_while_captured", "mutating", "reading", "writing", "failing",
    "keeping_an_error", "block", "noting", "telling", "items", "some_items",
]  # fmt: skip
WHAT = [*PLAIN, "thread", "threads", "tasks"]


@td.step("stepped", ignore=["shape"])
def stepped(shape: Shape, depth: int, value: Any) -> Any:
    shape.below(depth)
    return value


@td.step("mutated", ignore=["shape"])
def mutated(shape: Shape, depth: int, value: list[Any], *, more: dict[str, Any]) -> int:
    shape.below(depth)
    if shape.dice.random() < 0.7:
        value[1]["x"] = 3
    more.clear()
    return depth


@td.step("failed", ignore=["shape"])
def failed(shape: Shape, depth: int, value: Any) -> None:
    shape.below(depth)
    raise ValueError(value)


@td.step("yielded", ignore=["shape"])
def yielded(shape: Shape, depth: int, count: int) -> Any:
    for number in range(count):
        shape.below(depth + 1)
        yield number


class Telling:
    """While its value is captured, a part is written."""


def _flushed(value: Telling) -> str:
    td.flush()
    return "told"


td.register(Telling, encode=_flushed, decode=lambda told: Telling())


@td.step("told")
def told(value: Telling) -> list[Any]:
    return [Telling(), 7]


kept_tasks: list[asyncio.Task[None]] = []


@td.step("begun")
async def begun() -> None:
    async def late() -> None:
        for number in range(3):
            await slept(number)
        td.warn()

    kept_tasks[:] = [asyncio.create_task(late())]


@td.step("slept")
async def slept(number: int) -> int:
    await asyncio.sleep(0)
    td.note(f"slept {number}")
    return number


@td.input("read", key=lambda name, value: name)
def read(name: str, value: Any) -> Any:
    return value


@td.output("written")
def written(value: Any) -> None:
    """Write it."""


def plain(trace: Trace) -> Trace:
    """A trace without its id and times."""
    steps = tuple(replace(step, start=0, duration=0) for step in trace.steps)
    return replace(trace, id="", started_at=0, duration=0, steps=steps, environment=None)


def both(recording: Any, watched: Any, job: Any, **settings: Any) -> tuple[Trace, Trace]:
    """The traces of a job: recorded deferred, and put together of its parts."""
    recording.configure(**settings)
    td.job("shape")(job)()
    [whole] = recording.traces()
    recording.store().delete([whole.id])
    found = watched(**settings)
    with contextlib.suppress(ValueError):
        td.job("shape", mode="live")(job)()
    assert td.flush(30)
    return whole, found.trace()


@pytest.mark.parametrize("seed", range(40))
def test_a_live_trace_is_that_of_deferred_recording(recording, watched, seed):
    depth = ["inputs", "steps", "full"][seed % 3]
    shape = Shape(seed)
    whole, parts = both(recording, watched, shape.run, depth=depth)
    assert plain(parts) == plain(whole)


@pytest.mark.parametrize("seed", range(5))
def test_parts_that_come_at_any_moment_give_the_same_trace(recording, watched, monkeypatch, seed):
    monkeypatch.setattr(live, "MOST_SPANS", 3)
    monkeypatch.setattr(live, "LOOK", 0.001)
    monkeypatch.setattr(writer, "LINGER", 0.0005)
    shape = Shape(seed, lanes=False, flushes=False)

    def job() -> None:
        for _ in range(4):
            shape.run()

    whole, parts = both(recording, watched, job, bump_every=0.05)
    assert plain(parts) == plain(whole)


@pytest.mark.parametrize("bound", ["spans", "steps"])
def test_the_bounds_of_a_trace_count_what_was_let_go(recording, watched, monkeypatch, bound):
    monkeypatch.setattr(buffers, "MAX_STEPS", 200)
    monkeypatch.setattr(buffers, "MAX_SPANS", 320)

    def job() -> None:
        for number in range(400):
            if bound == "steps" or number % 3:
                with td.step("in"):
                    read("a", number)
            else:
                td.note("line")
            if number % 37 == 0:
                td.flush()

    whole, parts = both(recording, watched, job)
    assert len(whole.steps) == 320
    assert len(whole.warnings) == 2
    assert plain(parts) == plain(whole)


TRACED = """
    import time
    import tracediff as td

    def leaf(number):
        return number

    def slow(number):
        deadline = time.perf_counter() + 0.004
        while time.perf_counter() < deadline:
            pass
        return leaf(number)

    def failing(number):
        leaf(number)
        if number % 3 == 0:
            raise ValueError(number)

    def deep(number):
        return leaf(number) if number == 0 else deep(number - 1)

    def flushing(number):
        leaf(number)
        td.flush()
        return leaf(number)

    @td.input("reading")
    def reading(number):
        return number

    def reads(number):
        return reading(leaf(number))

    def items(count):
        for number in range(count):
            leaf(number)
            yield number

    def work():
        for number in range(12):
            leaf(number)
            slow(number)
            try:
                failing(number)
            except ValueError:
                pass
            deep(number)
            flushing(number)
            reads(number)
            for _ in items(3):
                td.flush()
            td.flush()
"""


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"autotrace_steps": 60},
        {"autotrace_calls": 7},
        {"autotrace_depth": 4},
        {"autotrace_values": False},
        {"autotrace_min_duration": 0.003},
    ],
)
def test_autotraced_calls_and_their_limits_are_the_same(
    recording, watched, module, traced, monkeypatch, limits
):
    traced(**limits)
    found = module(TRACED)
    settings = {"autotrace": ["traced_*"], "depth": "full", **limits}
    monkeypatch.setattr(live, "MOST_SPANS", 20)
    whole, parts = both(recording, watched, found.work, **settings)
    if "autotrace_min_duration" in limits:  # what flushes takes its time in live recording alone
        whole, parts = [without_time(one) for one in (whole, parts)]
    assert plain(parts) == plain(whole)


def without_time(trace: Trace) -> Any:
    """What of a trace does not depend on how long its calls took, and its warnings."""
    assert trace.autotracing is not None
    kept = [step for step in trace.steps if step.name in ("work", "slow", "failing", "reads")]
    steps = tuple(replace(step, parent=0) for step in kept)
    return replace(trace, steps=steps, warnings=(), autotracing=None)


def test_a_secret_argument_of_a_step_that_was_let_go_is_in_no_error(recording, watched):
    @td.step("login")
    def login(password: str) -> int:
        return len(password)

    @td.step("next")
    def after(number: int) -> None:
        raise ValueError(f"hunter-{number} said {SECRET}")

    def job() -> None:
        login(SECRET)
        for number in range(20):
            td.note(f"{number}")
        td.flush()
        with contextlib.suppress(ValueError):
            after(1)

    whole, parts = both(recording, watched, job)
    error = parts.steps[-1].error
    assert error == whole.steps[-1].error
    assert error is not None
    assert "sesame" not in error.message
