"""A job's errors are recorded and raised unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import tracediff as td
from tracediff import values


class PriceError(ValueError):
    def __init__(self, code: int, product: str) -> None:
        super().__init__(code, product)
        self.product = product


@td.step("raising")
def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    "error",
    [PriceError(3, "x"), KeyError(), SystemExit(4), KeyboardInterrupt(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_very_error_is_raised_again(recording, error: BaseException, asynchronous: bool):
    note = "seen before"
    error.__notes__ = [note]

    @td.job("failing")
    def failing() -> None:
        with td.step("block"):
            raising(error)

    @td.job("failing")
    async def afailing() -> None:
        with td.step("block"):
            raising(error)

    def run() -> None:
        failing() if not asynchronous else drive(afailing())

    with pytest.raises(type(error)) as caught:
        run()
    assert caught.value is error
    assert error.__notes__ == [note]
    assert error.__context__ is None
    [trace] = recording.traces()
    assert [step.state for step in trace.steps] == ["error"] * 3
    assert {step.error.type.partition(":")[2] for step in trace.steps} == {type(error).__name__}
    assert all(not step.open and step.result is None for step in trace.steps)


def value(error: Any) -> Any:
    return values.inert(error.value)


def drive(coroutine: Any) -> None:
    """Run a coroutine that never waits; a loop would handle SystemExit in its own way."""
    coroutine.send(None)


def test_type_message_bases_and_what_rebuilds_it_are_recorded(recording):
    error = recording.run(lambda: raising(PriceError(3, "x"))).steps[0].error
    assert error.type == f"{__name__}:PriceError"
    assert error.bases[:2] == ("builtins:ValueError", "builtins:Exception")
    assert error.message == "(3, 'x')"
    assert values.inert(error.value) == ((3, "x"), {"product": "x"})
    assert f'File "{__file__}"' in error.traceback
    assert "raise error" in error.traceback


def test_cause_and_context_are_recorded_unless_suppressed(recording):
    def chained(how: str) -> None:
        try:
            raise KeyError("first")
        except KeyError as first:
            if how == "cause":
                raise ValueError("second") from first
            if how == "none":
                raise ValueError("second") from None
            raise ValueError("second")  # noqa: B904 - the context is the subject

    found = {}
    for how in ("cause", "none", ""):
        found[how] = recording.run(functools.partial(chained, how)).steps[0].error
    assert found["cause"].cause.message == "'first'"
    assert (found["none"].cause, found["none"].context) == (None, None)
    assert (found[""].cause, found[""].context.type) == (None, "builtins:KeyError")


def test_groups_are_recorded_with_their_members(recording):
    group = ExceptionGroup("several", [KeyError("a"), ExceptionGroup("inner", [ValueError("b")])])
    error = recording.run(lambda: raising(group)).steps[0].error
    assert error.message == "several (2 sub-exceptions)"
    assert [member.type for member in error.members] == [
        "builtins:KeyError", "builtins:ExceptionGroup",
    ]  # fmt: skip
    assert error.members[1].members[0].message == "b"


def test_a_cycle_of_causes_ends(recording):
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    error = recording.run(lambda: raising(first)).steps[0].error
    assert (error.cause.message, error.cause.cause) == ("2", None)


def test_a_caught_error_stays_with_its_step(recording):
    def work() -> None:
        with pytest.raises(ValueError):
            raising(ValueError("x"))
        with pytest.raises(KeyError), td.step("block"):
            raise KeyError("y")

    trace = recording.run(work)
    assert [step.state for step in trace.steps] == ["success", "error", "error"]
    assert [step.error and step.error.message for step in trace.steps] == [None, "x", "'y'"]


def test_an_error_without_arguments_is_not_taken_for_another_at_its_address(recording):
    class First(Exception):
        pass

    def once(error: Callable[[], BaseException]) -> str:
        try:
            raising(error())
        except (First, LookupError, ValueError) as caught:
            return type(caught).__name__
        return ""

    raised = []

    def work() -> None:
        for error in (First, KeyError, First, ValueError):
            raised.append(once(error))
        with contextlib.suppress(First):
            raising(First())
        raise ValueError

    trace = recording.run(work)
    names = [step.error.type.rpartition(".")[2].rpartition(":")[2] for step in trace.steps[1:]]
    assert names == [*raised, "First"]
    assert trace.steps[0].error.type == "builtins:ValueError"
    assert "raise ValueError" in trace.steps[0].error.traceback


def test_a_note_added_on_the_way_up_is_recorded_above(recording):
    @td.step("outer")
    def outer() -> None:
        try:
            raising(ValueError("x"))
        except ValueError as error:
            error.add_note("on the way")
            raise

    steps = recording.run(outer).steps
    kept = [value(step.error)[1].get("__notes__") for step in steps]
    assert kept == [["on the way"], ["on the way"], None]


def test_a_recorded_error_does_not_keep_its_frames_alive(recording):
    class Held:
        alive = 0

        def __init__(self) -> None:
            Held.alive += 1

        def __del__(self) -> None:
            Held.alive -= 1

    @td.step("holding")
    def holding() -> None:
        held = Held()
        raise ValueError(id(held))

    counted = []

    def work() -> None:
        with contextlib.suppress(ValueError):
            holding()
        counted.append(Held.alive)

    recording.run(work)
    assert counted == [0]


def test_a_wrong_call_raises_what_python_would_and_is_the_callers_error(recording):
    def plain(a, b):
        return None

    for decorated in (td.step("two")(plain), td.input("two")(plain)):
        two: Any = decorated
        for call in (lambda f: f(1), lambda f: f(1, 2, 3), lambda f: f(1, 2, c=4)):
            with pytest.raises(TypeError) as expected:
                call(plain)
            trace = recording.run(lambda: call(two))  # noqa: B023 - it is called at once
            assert trace.steps[0].error.message == str(expected.value)


def test_a_wrong_call_of_what_takes_any_arguments_is_recorded(recording, args):
    some: Any = td.step("some")(lambda a, b, *rest: None)
    trace = recording.run(lambda: some(1))
    assert "missing 1 required positional argument" in trace.steps[1].error.message
    assert args(trace.steps[1]) == {"a": 1, "rest": ()}


def test_a_cancelled_task_is_recorded_as_cancelled(recording):
    begun = asyncio.Event()

    @td.input("waiting")
    async def waiting() -> None:
        begun.set()
        await asyncio.sleep(60)

    @td.job("cancelled")
    async def cancelled() -> None:
        await waiting()

    async def main() -> None:
        task = asyncio.create_task(cancelled())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    [trace] = recording.traces()
    assert [step.error.type for step in trace.steps] == ["asyncio.exceptions:CancelledError"] * 2


def test_a_timeout_inside_a_job_is_the_step_s_only(recording):
    @td.step("slow")
    async def slow() -> None:
        await asyncio.sleep(60)

    async def main() -> str:
        try:
            async with asyncio.timeout(0.01):
                await slow()
        except TimeoutError:
            return "late"
        return ""

    trace = recording.run(lambda: asyncio.run(main()))
    assert [step.state for step in trace.steps] == ["success", "error"]


def test_the_job_s_traceback_is_the_same_with_and_without_recording(recording):
    @td.job("deep")
    def deep() -> None:
        raising(ValueError("x"))

    def frames() -> list[tuple[str, str]]:
        try:
            deep()
        except ValueError:
            return [(f.filename, f.name) for f in traceback.extract_tb(sys.exc_info()[2])]
        return []

    recorded = frames()
    td.configure(enabled=False)
    assert frames() == recorded
