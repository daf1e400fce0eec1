"""arq's functions as jobs, in a real worker with a real Redis; replayed where neither is there."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.frameworks.conftest import Service, wait_for
from tracediff import values

FILES = {
    "pyproject.toml": """
        [tool.tracediff]
        inputs = ["redis", "uuid"]
        jobs = ["desk.*"]
        autotrace = ["desk.*"]
        depth = "full"
        pythonpath = ["."]
    """,
    "desk/__init__.py": "",
    "desk/tasks.py": """
        import asyncio
        import os
        from arq import Retry
        from arq.jobs import Job

        def vat(net):
            return net * 119 // 100

        async def price(ctx, order, quantity=1, *, password=None):
            await ctx["redis"].enqueue_job("log", order, password=password)
            await ctx["redis"].set("asked", order)
            return vat(order * quantity)

        async def log(ctx, order, password=None):
            return order

        async def gathered(ctx, order):
            return sum(await asyncio.gather(priced(1), priced(2))) + order

        async def priced(net):
            await asyncio.sleep(0.001)
            return vat(net * 100)

        async def failing(ctx, order):
            raise LookupError(order)

        async def tried(ctx, order):
            if ctx["job_try"] < 4:
                raise Retry(defer=0.01)
            return ctx["job_try"]

        async def slow(ctx):
            await asyncio.sleep(30)

        async def waiting(ctx):
            await asyncio.sleep(30)

        async def aborted(ctx):
            await asyncio.sleep(30)

        async def asking(ctx):
            ctx["seen"] = 1
            try:
                ctx["nothing"]
            except KeyError:
                return ctx["rate"] + ctx["seen"], ctx.get("other"), ctx["job_id"], "x" in ctx

        async def using(ctx):
            return ctx["client"].name

        async def composed(ctx):
            redis = ctx["redis"]
            sent = await redis.enqueue_job("log", 8, _defer_by=0.3)
            assert await redis.enqueue_job("log", 8, _job_id=sent.job_id) is None
            status = (await sent.status()).value
            found = await sent.result(timeout=20, poll_delay=0.05)
            return status, found, (await sent.result_info()).args, (await sent.info()).function

        async def forking(ctx):
            child = os.fork()
            if child == 0:
                vat(1)
                os._exit(0)
            os.waitpid(child, 0)
            return vat(100)

        async def surviving(ctx, number):
            with open("survived", "a") as file:
                file.write(f"{number}\\n")
            return number
    """,
    "desk/worker.py": """
        import os
        from arq import func
        from arq.connections import RedisSettings
        from desk import tasks as t

        async def start(ctx):
            ctx["rate"], ctx["client"] = 3, open(os.devnull)

        class WorkerSettings:
            functions = [
                t.price, t.log, t.gathered, t.failing, t.tried, func(t.slow, timeout=0.3),
                t.waiting, t.aborted, t.asking, t.using, func(t.composed, name="other name"),
                t.forking, t.surviving,
            ]
            on_startup = start
            allow_abort_jobs = True
            poll_delay = 0.05
            redis_settings = RedisSettings.from_dsn(os.environ["BROKER"])
    """,
    "send.py": """
        import asyncio
        from arq import create_pool
        from desk.worker import WorkerSettings

        async def main():
            pool = await create_pool(WorkerSettings.redis_settings)
            await pool.enqueue_job("price", 100, quantity=2, password="hunter2")
            for name in ("gathered", "failing", "tried"):
                await pool.enqueue_job(name, 3)
            for name in ("slow", "asking", "using", "other name", "forking", "waiting"):
                await pool.enqueue_job(name)
            job = await pool.enqueue_job("aborted")
            while (await job.status()).value != "in_progress":
                await asyncio.sleep(0.05)
            assert await job.abort(timeout=20)

        asyncio.run(main())
    """,
}


def worker(service: Service) -> subprocess.Popen[str]:
    return service.start(
        "-m", "tracediff", "record", "--", sys.executable, "-m", "arq", "desk.worker.WorkerSettings"
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, redis):
    """The project after a worker has run each of its functions; it has no Redis now."""
    service = Service(tmp_path_factory.mktemp("arq"), redis.url.replace("/0", "/6"))
    service.write(FILES)
    process = worker(service)
    service.run("send.py")
    wait_for(lambda: len(service.rows()) >= 15, "all")
    process.send_signal(signal.SIGTERM)  # `waiting` runs
    wait_for(lambda: service.rows("desk/tasks/waiting"), "what was cancelled")
    process.kill()  # arq goes on where the signal came while it asked Redis
    process.communicate()
    service.broker = "redis://127.0.0.1:1/0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BROKER", service.broker)
        yield service
    service.close()


def arguments(trace):
    return values.inert(trace.steps[0].args)


def result(trace):
    return values.inert(trace.steps[0].result)


def names(trace):
    return [step.name for step in trace.steps[1:]]


def every(recorded, key):
    with recorded.project() as project:
        return [project.resolve(row.id) for row in recorded.rows(f"desk/tasks/{key}")]


def test_a_function_is_a_job_with_its_name_and_its_arguments_without_ctx(recorded):
    trace = recorded.trace("desk/tasks/price")
    given = arguments(trace)
    assert (given["order"], given["quantity"], "ctx" in given) == (100, 2, False)
    assert isinstance(given["password"], values.Redacted)
    assert (result(trace), trace.state, trace.job) == (238, "success", "desk.tasks:price")
    assert names(trace) == ["arq enqueue", "redis SET", "vat"]
    context = trace.context
    assert (context["queue"], context["attempt"]) == ("arq:queue", 1)
    assert f"task:{context['task_id']}" in trace.tags
    recorded.same(trace)


@pytest.mark.parametrize(
    "key",
    [
        "asking",
        "composed",
        pytest.param("gathered", marks=pytest.mark.in_turn),
        pytest.param("forking", marks=pytest.mark.in_turn),
    ],
)
def test_a_replay_needs_no_redis(recorded, key):
    trace = recorded.trace(f"desk/tasks/{key}")
    assert trace.state == "success"
    assert not trace.warnings
    recorded.same(trace)


def test_what_a_job_reads_of_ctx_and_of_others_is_an_input(recorded):
    asked = recorded.trace("desk/tasks/asking")
    assert names(asked) == ["arq ctx"] * 4
    assert result(asked) == (4, None, asked.context["task_id"], False)
    composed = recorded.trace("desk/tasks/composed")
    assert names(composed) == ["arq enqueue", "arq enqueue", "arq status", "arq result",
                               "arq info", "arq info"]  # fmt: skip
    assert result(composed) == ("deferred", 8, (8,), "log")
    sent = values.inert(composed.steps[1].args)
    assert sent == {"function": "log", "args": [8], "kwargs": {}, "options": {"defer_by": 0.3}}


@pytest.mark.in_turn
def test_a_client_in_ctx_cannot_be_replayed_and_the_replay_says_so(recorded):
    trace = recorded.trace("desk/tasks/using")
    error = recorded.replayed(trace).steps[0].error
    assert "TextIOWrapper" in error.message
    assert "has no exact recording" in error.message


def test_each_attempt_is_a_trace_and_one_that_is_made_again_a_warning(recorded):
    traces = every(recorded, "tried")
    assert [one.context["attempt"] for one in traces] == [1, 2, 3, 4]
    assert [one.state for one in traces] == ["warning"] * 3 + ["success"]
    recorded.same(traces[0])


@pytest.mark.parametrize(
    ("key", "state", "error"),
    [
        ("failing", "error", "builtins:LookupError"),
        ("slow", "error", "asyncio.exceptions:CancelledError"),
        ("aborted", "error", "asyncio.exceptions:CancelledError"),
        ("waiting", "warning", "asyncio.exceptions:CancelledError"),  # the worker stopped
    ],
)
def test_what_a_function_raises_sets_the_state(recorded, key, state, error):
    trace = recorded.trace(f"desk/tasks/{key}")
    assert (trace.state, trace.steps[0].error.type) == (state, error)


def test_no_secret_is_in_the_store(recorded):
    assert b"hunter2" not in recorded.stored_text()
    assert b"desk/tasks/price" in recorded.stored_text()


def test_a_tampered_trace_names_no_function_of_other_modules(recorded):
    trace = recorded.trace("desk/tasks/failing")
    with recorded.project() as project, pytest.raises(Exception) as caught:
        project.replay(replace(trace, job="desk.tasks:asyncio.sleep", key="x"))
    assert caught.value.slug == "job-unknown"


@pytest.mark.in_turn
@pytest.mark.slow
def test_a_changed_function_is_explained(recorded):
    (row,) = recorded.rows("desk/tasks/gathered")
    path = recorded.directory / "desk/tasks.py"
    before = path.read_text()
    path.write_text(before.replace("119", "107"))
    try:
        with recorded.project() as project:
            explained = project.explain(row.id)
    finally:
        path.write_text(before)
    assert [unit.name for one in explained.causes for unit in one.units] == ["desk.tasks:vat"]


@pytest.mark.in_turn
def test_a_worker_that_is_killed_loses_no_trace_that_was_saved(tmp_path, redis):
    service = Service(tmp_path, redis.url.replace("/0", "/7"))
    service.write(FILES)
    send = """
        import asyncio
        from arq import create_pool
        from desk.worker import WorkerSettings

        async def main():
            pool = await create_pool(WorkerSettings.redis_settings)
            for n in range({}):
                await pool.enqueue_job("surviving", n)

        asyncio.run(main())
    """
    service.python(send.format(20))
    process = worker(service)
    wait_for(lambda: len(service.rows()) == 20, "the first traces")
    service.python(send.format("20, 200"))
    done = tmp_path / "survived"
    wait_for(lambda: len(done.read_text().splitlines()) > 30)
    subprocess.run(["pkill", "-KILL", "-g", str(process.pid)], check=True)
    process.communicate()
    found = [arguments(one)["number"] for one in every(service, "surviving")]
    assert len(found) == len(set(found))
    assert set(range(20)) <= set(found)
    assert process.returncode == -signal.SIGKILL
    service.close()
