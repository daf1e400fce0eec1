"""Tasks, threads and processes: the scheduler decides the order, the trees stay equal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

from tracediff.recording.spans import lane

SHAPES = {
    "gathered": """
        import asyncio
        import random

        @td.input("Fetch")
        async def fetch(n):
            await asyncio.sleep(random.random() / 100)
            return n

        @td.step("Leaf")
        async def leaf(n):
            return tax(await fetch(n))

        @td.step("Branch", key=lambda n: n)
        async def branch(n):
            return sum(await asyncio.gather(*(leaf(n * 10 + one) for one in range(3))))

        @td.job("shop/gathered")
        async def job(n):
            nested = await asyncio.gather(*map(branch, range(n)))
            async with asyncio.TaskGroup() as group:
                first = group.create_task(branch(7))
                second = group.create_task(asyncio.wait_for(leaf(8), 60))
            late = asyncio.create_task(leaf(9))
            done, _ = await asyncio.wait([late])
            ready = [await one for one in asyncio.as_completed([leaf(1), leaf(2)])]
            return nested, first.result(), second.result(), len(done), sorted(ready)

        def main():
            asyncio.run(job(3))
        """,
    "one_by_one": """
        import asyncio

        @td.step("Leaf")
        async def leaf(n):
            return tax(n)

        @td.job("shop/one_by_one")
        async def job(n):
            with td.step("Only tasks"):
                found = [await asyncio.wait_for(leaf(one), 60) for one in range(n)]
            found += [await asyncio.create_task(leaf(one)) for one in range(n)]
            found.append(await leaf(n))
            left = asyncio.create_task(left_running())
            await asyncio.sleep(0)
            return found, left.done(), await leaf(n)

        @td.step("Left running")
        async def left_running():
            with td.step("Inside"):
                await asyncio.Event().wait()

        def main():
            asyncio.run(job(20))
        """,
    "cancelled": """
        import asyncio

        @td.step("Forever")
        async def forever(n):
            tax(n)
            await asyncio.Event().wait()

        @td.step("Shielded")
        async def shielded(n):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return tax(n)

        @td.step("Fails")
        async def fails(n):
            await asyncio.sleep(0)
            raise ValueError(n)

        async def cancel(coroutine):
            task = asyncio.create_task(coroutine)
            await asyncio.sleep(0)
            task.cancel()
            return (await asyncio.gather(task, return_exceptions=True))[0]

        @td.job("shop/cancelled")
        async def job():
            found = [type(await cancel(forever(1))).__name__, await cancel(shielded(2))]
            try:
                await asyncio.wait_for(forever(3), 0.01)
            except TimeoutError:
                found.append("wait_for")
            try:
                async with asyncio.timeout(0.01):
                    with td.step("Within"):
                        await forever(4)
            except TimeoutError:
                found.append("timeout")
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(forever(5))
                    group.create_task(fails(6))
            except* ValueError as caught:
                found.append([str(one) for one in caught.exceptions])
            return found

        def main():
            asyncio.run(job())
        """,
    "cancelled_job": """
        import asyncio

        @td.job("shop/cancelled_job")
        async def job():
            tax(1)
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        def main():
            try:
                asyncio.run(job())
            except asyncio.CancelledError:
                pass
        """,
    "pooled": """
        import asyncio
        import threading
        from concurrent.futures import ThreadPoolExecutor

        @td.step("Line")
        def line(n):
            return tax(net(n))

        @td.step("Part")
        def part(pool, numbers):
            return sum(pool.map(td.propagate(line), numbers))

        @td.job("shop/pooled")
        def job(n):
            found = []
            with ThreadPoolExecutor(4) as pool:
                with td.step("All"):
                    handed = [pool.submit(td.propagate(line), one) for one in range(n)]
                    found.append(sum(one.result() for one in handed))
                found.append(part(pool, range(3)))
            threads = [threading.Thread(target=td.propagate(line), args=(n,)) for n in range(100)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return found + [asyncio.run(loop())]

        async def loop():
            running = asyncio.get_running_loop()
            return [await asyncio.to_thread(line, 1),
                    await running.run_in_executor(None, td.propagate(line), 2)]

        def main():
            job(5)
        """,
    "processes": """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        @td.step("Line")
        def line(n):
            return tax(n)

        @td.job("shop/processes")
        def job(n):
            found = []
            for how in ("fork", "spawn"):
                context = multiprocessing.get_context(how)
                with td.step("All"), ProcessPoolExecutor(1, context) as pool:
                    found.append(sum(pool.map(td.propagate(line), range(n))))
            return found + [line(n)]

        def main():
            job(3)
        """,
}

OTHER_PROCESSES = """
    import multiprocessing
    import pathlib
    from concurrent.futures import ProcessPoolExecutor

    @td.output("Save")
    def save(n):
        with pathlib.Path("saved").open("a") as stream:
            stream.write(str(n))
        return n

    @td.job("shop/elsewhere")
    def elsewhere(n):
        return n

    def outcome(call, n):
        try:
            return call(n).result()
        except BaseException as error:
            return f"{type(error).__name__}: {error}"

    @td.job("shop/other_processes")
    def job(n):
        found = []
        for how in ("fork", "spawn"):
            with ProcessPoolExecutor(1, multiprocessing.get_context(how)) as pool:
                calls = [lambda n, one=one: pool.submit(td.propagate(one), n)
                         for one in (save, net, elsewhere)]
                found.append([outcome(call, n) for call in calls])
        return found

    def main():
        job(1)
    """

COUNTED = {
    "gathered": {"Branch": 4, "Branch / Leaf": 12, "Leaf": 4, "Tax": 16, "Fetch": 16},
    "one_by_one": {"Only tasks": 1, "Only tasks / Leaf": 20, "Leaf": 22, "Tax": 42,
                   "Left running": 1, "Inside": 1},
    "cancelled": {"Forever": 3, "Within / Forever": 1, "Within": 1, "Shielded": 1, "Fails": 1,
                  "Tax": 5},
    "cancelled_job": {"Tax": 1},
    "pooled": {"All": 1, "All / Line": 5, "Part": 1, "Part / Line": 3, "Line": 102, "Tax": 110,
               "Net": 110},
    "processes": {"All": 2, "Line": 1, "Tax": 1},
}  # fmt: skip

FIRST = {
    "gathered": ("Branch", "Leaf", "Tax"),
    "one_by_one": ("Only tasks", "Leaf", "Tax"),
    "cancelled": ("Forever", "Tax"),
    "pooled": ("All", "Line", "Tax"),
}


@pytest.fixture(scope="module")
def shapes(recorded: Callable[..., Any]) -> Any:
    return recorded({**SHAPES, "other_processes": OTHER_PROCESSES})


def counted(trace: Any) -> dict[str, int]:
    """How often each step is found, a child by its parent where that is of these: who is whose."""
    found: Counter[str] = Counter()
    for step in trace.steps[1:]:
        above = trace.steps[step.parent].name
        named = above in ("Branch", "Only tasks", "Within", "All", "Part")
        found[f"{above} / {step.name}" if named else step.name] += 1
    return dict(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_replay_of_unchanged_code_is_its_recording(shapes, shape: str):
    assert counted(shapes.unchanged(f"shop/{shape}")) == COUNTED[shape]


@pytest.mark.parametrize("shape", FIRST)
def test_a_changed_constant_shows_at_the_step_that_uses_it(shapes, shape: str):
    assert shapes.first(f"shop/{shape}") == FIRST[shape]


def test_tasks_that_follow_one_another_are_told_apart_though_addresses_are_used_again():
    lanes = []

    async def note() -> None:
        lanes.append(lane(asyncio.get_running_loop()))

    async def main() -> None:
        for _ in range(50):
            await asyncio.wait_for(note(), 60)

    asyncio.run(main())
    assert not any(one == other for one, other in combinations(lanes, 2))


def test_tasks_one_after_another_are_concurrent_and_the_job_s_own_steps_are_not(shapes):
    steps = shapes.trace("shop/one_by_one").steps
    leaves = [step for step in steps if step.name == "Leaf"]
    assert [step.concurrent for step in leaves] == [True] * 40 + [False, True]


def test_what_runs_on_after_the_job_is_open(shapes):
    steps = shapes.trace("shop/one_by_one").steps
    assert [step.name for step in steps if step.open] == ["Left running", "Inside"]
    assert all(step.error is None for step in steps if step.open)


def test_no_process_that_a_replay_starts_reads_writes_or_records(shapes, result):
    """The job hands ``save``, ``net`` and another job to a process, and says what came of them."""
    project, trace = shapes.project, shapes.trace("shop/other_processes")
    assert result(trace) == [[1, 10, 1]] * 2
    assert len(shapes.recorded["shop/elsewhere"]) == 2
    saved = project.directory / "saved"
    assert saved.read_text() == "11"
    [forked, spawned] = result(project.replay(trace))
    refused = "ReplayAbort: the {} was reached in another process than the replay's"
    assert spawned == [refused.format("output 'Save'"), refused.format("input 'Net'"), 1]
    assert forked == [
        None, "ReplayAbort: the input 'Net' was not recorded", 1,
    ]  # fmt: skip
    assert saved.read_text() == "11"
    assert len(project.traces()) == sum(map(len, shapes.recorded.values()))
