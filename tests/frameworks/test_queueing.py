"""What the task queues have in common: calls that go on whatever happens, named arguments."""

from __future__ import annotations

import asyncio
import functools
import itertools
from contextlib import suppress

import pytest

import tracediff as td
from tests.frameworks.conftest import Service
from tracediff.frameworks.arq_context import Context
from tracediff.frameworks.awaiting import through_async
from tracediff.frameworks.queueing import Back, named, put, through
from tracediff.model import Query
from tracediff.recording import session
from tracediff.recording.libraries.reach import Reach
from tracediff.runtime import current
from tracediff.stores import open_store


def _ask(number):
    """Asks."""


_numbers = itertools.count()
REACH = Reach("input", "asked", _ask)


@pytest.fixture
def traces():
    url = f"memory:queueing-tests-{next(_numbers)}"
    td.configure(store=url)

    def found():
        assert td.flush(30)
        store = open_store(url)
        return [store.load(row) for row in store.search(Query(limit=10)).rows]

    yield found
    td.configure(enabled=False)
    session._process.recorder, session._process.ready = None, False


def test_a_time_limit_within_the_recorder_leaves_no_job_behind_in_the_thread():
    with suppress(KeyboardInterrupt), Back():
        current.set(object())
        raise KeyboardInterrupt  # as a time limit raises in a thread, anywhere
    assert current.get() is None


@pytest.mark.parametrize("told", [lambda: 1 / 0, lambda: (2,)])
@pytest.mark.parametrize("awaited", [False, True])
def test_what_cannot_be_looked_at_is_a_warning_and_the_call_goes_on(traces, told, awaited):
    async def three():
        return 3

    async def call():
        return await through_async(REACH, three, told, kept=lambda _: {}["a"])

    @td.job("asking")
    def job():
        if awaited:
            return asyncio.run(call())
        return through(REACH, lambda: 3, told, kept=lambda _: {}["a"])

    assert job() == 3
    (trace,) = traces()
    assert [step.name for step in trace.steps[1:]] == ["asked"]
    assert "what a task queue was given could not be recorded: KeyError: 'a'" in trace.warnings


def test_what_a_library_raises_is_the_jobs_own(traces):
    @td.job("asking")
    def job():
        return through(REACH, functools.partial(int, "x"), lambda: (1,))

    with pytest.raises(ValueError, match="invalid literal"):
        job()
    (trace,) = traces()
    assert (trace.state, trace.warnings) == ("error", ())


def test_arguments_are_named_and_sealed_as_those_of_a_call(traces):
    def task(order, password="", *more, flag=False):
        """A task."""

    @td.job("naming")
    def job():
        args, kwargs = named(task, (1, "hunter2", 2), {"flag": True})
        assert (args, kwargs["order"], kwargs["flag"]) == ([2], 1, True)
        assert kwargs["password"] == "hunter2"  # by its name it is sealed in the trace
        assert named(task, (1,), {"order": 2}) == ([1], {"order": 2})  # the task will refuse it
        assert named(None, (1,), {}) == ([1], {})
        assert named(int, ("1",), {})[0] or True  # a callable of C

    job()
    (trace,) = traces()
    assert trace.state == "success"


def test_a_method_that_another_version_lacks_is_left_out():
    class Library:
        def send(self):
            return 1

    put(Library, "send", lambda real: lambda self: real(self) + 1)
    put(Library, "send", lambda real: lambda self: real(self) + 1)
    put(Library, "gone", lambda real: real)
    put(None, "gone", lambda real: real)
    assert Library().send() == 2
    assert not hasattr(Library, "gone")


def test_what_a_job_changes_of_ctx_is_changed_in_arqs_own():
    real = {"a": 1, "b": 2}
    ctx = Context(real)
    ctx |= {"c": 3}
    ctx.update(d=4)
    assert isinstance(ctx, Context)
    assert ctx.popitem() == ("d", 4)
    assert real == dict(ctx) == {"a": 1, "b": 2, "c": 3}
    ctx.clear()
    assert real == dict(ctx) == {}
    with pytest.raises(KeyError):
        ctx.popitem()


PLAIN = {
    "pyproject.toml": """
        [tool.tracediff]
        jobs = ["desk.*"]
        pythonpath = ["."]
    """,
    "desk/__init__.py": "",
    "desk/plain.py": """
        def price(order):
            return order * 2

        async def awaited(ctx, order):
            return order * 2
    """,
    "desk/limited.py": """
        from rq.timeouts import JobTimeoutException

        print("imported")
        raise JobTimeoutException("as a limit that ends while this is imported")
    """,
}
RQ = """
    import tracediff.rq
    import redis
    from rq.job import Job

    print(Job.create("desk.{}", (4,), connection=redis.Redis(port=1))._execute())
"""
ARQ = """
    import asyncio
    import tracediff.arq
    from arq.worker import Worker
    from desk import plain

    async def main():
        function = Worker([plain.awaited]).functions["awaited"]
        return await function.coroutine({"job_id": "1", "job_try": 1}, 4)

    print(asyncio.run(main()))
"""


@pytest.mark.in_turn
@pytest.mark.parametrize("program", [RQ.format("plain.price"), ARQ], ids=["rq", "arq"])
def test_a_function_of_a_module_without_the_library_is_replayed_and_nothing_is_logged(
    tmp_path, program
):
    service = Service(tmp_path, "redis://127.0.0.1:1/0")
    service.write(PLAIN)
    assert service.python(program).strip() == "8"
    said = service.run("-m", "tracediff", "replay", "@last")
    assert "success  8" in said
    assert "Traceback" not in said
    service.close()


@pytest.mark.in_turn
def test_a_time_limit_while_a_module_is_imported_ends_the_job(tmp_path):
    service = Service(tmp_path, "redis://127.0.0.1:1/0")
    service.write(PLAIN)
    said = service.python("""
        import tracediff.rq
        import redis
        from rq.job import Job
        from rq.timeouts import JobTimeoutException

        try:
            Job.create("desk.limited.price", connection=redis.Redis(port=1))._execute()
        except JobTimeoutException:
            print("ended")
    """)
    assert said.split() == ["imported", "ended"]
    service.close()
