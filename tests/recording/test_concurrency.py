"""Steps of threads and tasks find their parents, and say when a scheduler decided their order."""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tracediff as td
from tracediff.model import Trace


@td.step("leaf")
def leaf(x: Any) -> Any:
    return x


@td.step("branch")
def branch(x: Any, barrier: threading.Barrier | None = None) -> Any:
    if barrier is not None:
        barrier.wait(30)
    return leaf(x)


@td.step("fetch")
async def fetch(x: Any) -> Any:
    await asyncio.sleep(0)
    leaf(x)
    await asyncio.sleep(0)
    return await inner(x)


@td.input("inner")
async def inner(x: Any) -> Any:
    await asyncio.sleep(0)
    return x


def families(trace: Trace, args: Any) -> list[tuple[str, Any]]:
    """Each step whose argument is not its parent's, of the steps below the first level."""
    return [
        (step.name, args(step)["x"])
        for step in trace.steps[1:]
        if step.parent > 0 and args(step)["x"] != args(trace.steps[step.parent])["x"]
    ]


def test_pool_threads_with_propagate_nest_under_the_step_that_handed_work_out(recording, args):
    barrier = threading.Barrier(4)

    def work() -> None:
        with td.step("fan out"), ThreadPoolExecutor(4) as pool:
            run = td.propagate(branch)
            list(pool.map(run, range(4), [barrier] * 4))

    trace = recording.run(work)
    branches = [step for step in trace.steps if step.name == "branch"]
    assert len(trace.steps) == 10
    assert [trace.steps[step.parent].name for step in branches] == ["fan out"] * 4
    assert all(step.concurrent for step in branches)
    assert not any(step.concurrent for step in trace.steps if step.name != "branch")
    leaves = [step for step in trace.steps if step.name == "leaf"]
    assert {args(step)["x"] for step in leaves} == {0, 1, 2, 3}
    for step in leaves:
        assert args(step)["x"] == args(trace.steps[step.parent])["x"]


def test_steps_on_another_thread_are_concurrent_though_they_did_not_overlap(recording):
    def work() -> None:
        with ThreadPoolExecutor(1) as pool:
            for n in (1, 2):
                pool.submit(td.propagate(leaf), n).result()
        leaf(3)

    trace = recording.run(work)
    assert [step.concurrent for step in trace.steps[1:]] == [True, True, False]


def test_a_plain_thread_belongs_to_no_trace_and_a_propagated_one_does(recording):
    def work() -> None:
        for target in (leaf, td.propagate(leaf)):
            thread = threading.Thread(target=target, args=(1,))
            thread.start()
            thread.join()

    assert [step.name for step in recording.run(work).steps] == ["run", "leaf"]


def test_a_propagated_function_keeps_its_name_result_and_errors():
    def named(x: int) -> int:
        return 1 // x

    run = td.propagate(named)
    assert (run.__name__, run(1)) == ("named", 1)
    with pytest.raises(ZeroDivisionError):
        run(0)


def test_a_propagated_function_reaches_another_process_without_its_trace(recording):
    recording.run(lambda: pickle.dumps(td.propagate(branch)))
    run = pickle.loads(pickle.dumps(td.propagate(branch)))
    assert run(5) == 5


def test_jobs_on_many_threads_at_once_are_traces_of_their_own(recording, args, result):
    barrier = threading.Barrier(8)

    @td.job("many")
    def many(x: int) -> int:
        barrier.wait(30)
        return branch(x)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(many, range(64))) == list(range(64))
    traces = recording.traces()
    assert sorted(result(trace.steps[0]) for trace in traces) == list(range(64))
    for trace in traces:
        assert [step.name for step in trace.steps] == ["many", "branch", "leaf"]
        assert {args(step)["x"] for step in trace.steps} == {result(trace.steps[0])}


def test_a_thread_that_outlives_its_job_hurts_nothing(recording):
    go, done = threading.Event(), threading.Event()

    def straggler() -> None:
        with td.step("late"):
            go.wait(30)
            for x in range(300):
                leaf(x)
        done.set()

    def work() -> None:
        threading.Thread(target=td.propagate(straggler)).start()

    trace = recording.run(work)
    assert [(step.name, step.open, step.state) for step in trace.steps[1:2]] in (
        [],
        [("late", True, "running")],
    )
    go.set()
    for _ in range(5):
        recording.run(work)
    assert done.wait(30)


def test_gathered_coroutines_nest_right(recording, args, tree):
    async def main() -> None:
        await asyncio.gather(*(fetch(x) for x in range(5)))
        await fetch(9)

    trace = recording.run(lambda: asyncio.run(main()))
    assert len(trace.steps) == 1 + 6 * 3
    assert families(trace, args) == []
    gathered = [step for step in trace.steps if step.name == "fetch"]
    assert [step.parent for step in gathered] == [0] * 6
    assert [step.concurrent for step in gathered[:5]] == [True] * 5
    inside = [step for step in trace.steps if step.name in ("leaf", "inner")]
    assert not any(step.concurrent for step in inside)


def test_task_groups_nest_right_also_when_one_task_fails(recording, args):
    @td.step("failing")
    async def failing(x: Any) -> None:
        await inner(x)
        raise ValueError

    async def spread() -> None:
        async with asyncio.TaskGroup() as group:
            for x in range(3):
                group.create_task(fetch(x))
            group.create_task(failing(7))
            group.create_task(forever(8))

    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            await spread()

    @td.step("forever")
    async def forever(x: Any) -> None:
        await asyncio.sleep(60)

    trace = recording.run(lambda: asyncio.run(main()))
    assert families(trace, args) == []
    states = {step.name: step.error and step.error.type for step in trace.steps}
    assert states["failing"] == "builtins:ValueError"
    assert states["forever"] == "asyncio.exceptions:CancelledError"
    assert trace.state == "success"


def test_plain_steps_of_different_tasks_are_concurrent(recording):
    async def task(x: int) -> None:
        leaf(x)
        await asyncio.sleep(0)
        leaf(x)

    async def main() -> None:
        await asyncio.gather(task(1), task(2))

    trace = recording.run(lambda: asyncio.run(main()))
    assert [step.concurrent for step in trace.steps[1:]] == [True] * 4


def test_steps_one_after_another_are_not_concurrent(recording):
    async def main() -> None:
        leaf(0)
        for x in range(3):
            await fetch(x)

    @td.job("async")
    async def job() -> None:
        await main()

    def threads() -> None:
        for x in range(3):
            leaf(x)

    for trace in (recording.run(lambda: asyncio.run(main())), recording.run(threads)):
        assert not any(step.concurrent for step in trace.steps)
    asyncio.run(job())
    assert not any(step.concurrent for step in recording.traces()[-1].steps)


def test_executors_of_a_loop_keep_the_context(recording, tree):
    async def main() -> None:
        with td.step("outer"):
            await asyncio.to_thread(branch, 1)

    assert tree(recording.run(lambda: asyncio.run(main()))) == ["outer", "  branch", "    leaf"]


def test_an_async_generator_closed_by_another_task_hurts_nothing(recording):
    @td.step("stream")
    async def stream() -> Any:
        with td.step("held"):
            yield 1
            yield 2

    async def main() -> None:
        running = stream()
        assert await anext(running) == 1
        await asyncio.create_task(running.aclose())
        leaf(1)

    trace = recording.run(lambda: asyncio.run(main()))
    assert [(step.name, step.parent, step.open) for step in trace.steps] == [
        ("run", -1, False), ("stream", 0, False), ("held", 1, False), ("leaf", 0, False),
    ]  # fmt: skip


def test_jobs_of_different_tasks_do_not_meet(recording, args):
    @td.job("concurrent")
    async def job(x: int) -> None:
        await fetch(x)

    async def main() -> None:
        await asyncio.gather(*(job(x) for x in range(5)))

    asyncio.run(main())
    traces = recording.traces()
    assert len(traces) == 5
    for trace in traces:
        assert [step.name for step in trace.steps] == ["concurrent", "fetch", "leaf", "inner"]
        assert len({args(step)["x"] for step in trace.steps}) == 1


def test_a_job_that_runs_while_another_thread_imports_asyncio_hurts_nobody(program):
    program.write("""
        import sys, threading

        @td.job("job")
        def job(): return 1

        job()
        assert td.flush(60) and "asyncio" not in sys.modules
        entered, go = threading.Event(), threading.Event()

        class Pause:
            def find_spec(self, name, path=None, target=None):
                if name == "asyncio.events":
                    entered.set()
                    assert go.wait(10)

        def imports():
            import asyncio
            assert asyncio.get_event_loop_policy()

        sys.meta_path.insert(0, Pause())
        thread = threading.Thread(target=imports)
        thread.start()
        assert entered.wait(60)
        assert job() == 1
        go.set()
        thread.join()
        import asyncio
        async def task():
            return job()
        assert asyncio.run(task()) == 1
    """)
    assert program.run().stderr == ""
    assert len(program.traces()) == 3
