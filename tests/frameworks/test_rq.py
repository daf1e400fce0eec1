"""RQ's functions as jobs, in real workers with a real Redis; replayed where neither is there."""

from __future__ import annotations

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
    "desk/queue.py": """
        import os
        import redis
        from rq import Queue

        queue = Queue("desk", connection=redis.Redis.from_url(os.environ["BROKER"]))
    """,
    "desk/tasks.py": """
        import asyncio
        import os
        import time
        from dataclasses import dataclass
        from datetime import timedelta
        from rq import Queue, Retry, get_current_job
        from rq.job import Job
        from desk.queue import queue

        def vat(net):
            return net * 119 // 100

        def price(order, quantity=1, *, password=None):
            queue.enqueue(log, order, password)
            return vat(order * quantity)

        def log(order, password=None):
            return None

        async def awaited(order):
            await asyncio.sleep(0)
            return vat(order)

        def failing(order):
            raise LookupError(order, "password=hunter2")

        def tried(order):
            job = get_current_job()
            raise ValueError(f"no price for {order}, {job.retries_left}, password=hunter2")

        def returned(order):
            job = get_current_job()
            return Retry(max=2) if not job.number_of_retries else order

        def slow():
            time.sleep(30)

        def asking():
            job = get_current_job()
            job.meta["seen"] = job.meta["start"] + 1
            job.save_meta()
            job.connection.set("asked", job.origin)
            return job.id, job.meta, job.origin

        def composed():
            first = queue.enqueue(log, 1, retry=Retry(max=2), job_timeout=9)
            second = queue.enqueue("desk.tasks.log", 2, depends_on=first)
            queue.enqueue_in(timedelta(hours=1), log, 3)
            queue.enqueue_many([Queue.prepare_data(log, (4,)), Queue.prepare_data(log, (5,))])
            waiting = queue.count >= 0
            return first.get_status(refresh=False).value, second.id != first.id, waiting

        def reading(number, bad):
            text = Job.fetch(bad, connection=queue.connection).latest_result().exc_string
            assert "LookupError" in text
            job = Job.fetch(number, connection=queue.connection)
            kind = job.latest_result().type.name
            return job.return_value(), job.get_status().value, job.args, kind

        def forking():
            child = os.fork()
            if child == 0:
                vat(1)
                os._exit(0)
            os.waitpid(child, 0)
            return vat(100)

        def surviving(number):
            with open("survived", "a") as file:
                file.write(f"{number}\\n")
            return number

        @dataclass
        class Shop:
            rate: int

            def total(self, net):
                return net * self.rate
    """,
    "send.py": """
        from rq import Retry
        from desk import tasks as t
        from desk.queue import queue as q
        first = q.enqueue(t.price, 100, quantity=2, password="hunter2")
        bad = q.enqueue(t.failing, 6)
        sent = [
            first, q.enqueue(t.awaited, 3), bad,
            q.enqueue(t.tried, 4, retry=Retry(max=3)), q.enqueue(t.returned, 5),
            q.enqueue(t.slow, job_timeout=1),
            q.enqueue(t.asking, meta={"start": 1, "token": "hunter2"}),
            q.enqueue(t.composed), q.enqueue(t.reading, first.id, bad.id), q.enqueue(t.forking),
            q.enqueue(t.Shop(3).total, 4), q.enqueue(len, "none of ours"),
        ]
    """,
}  # fmt: skip


def worker(service: Service, *options: str) -> subprocess.Popen[str]:
    return service.start(
        "-m", "tracediff", "record", "--", sys.executable, "-m", "rq.cli", "worker", "-u",
        service.broker, "--quiet", *options, "desk",
    )  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, redis):
    """The project after a worker has run each of its functions; it has no Redis now."""
    service = Service(tmp_path_factory.mktemp("rq"), redis.url.replace("/0", "/1"))
    service.write(FILES)
    service.run("send.py")
    process = worker(service, "--burst")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    service.broker = "redis://127.0.0.1:1/1"
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


def test_a_function_is_a_job_with_its_name_and_the_arguments_of_its_signature(recorded):
    trace = recorded.trace("desk/tasks/price")
    given = arguments(trace)
    assert (given["order"], given["quantity"]) == (100, 2)
    assert isinstance(given["password"], values.Redacted)
    assert (result(trace), trace.state, trace.job) == (238, "success", "desk.tasks:price")
    assert names(trace) == ["rq enqueue", "vat"]
    context = trace.context
    assert (context["queue"], context["attempt"]) == ("desk", 1)
    assert f"task:{context['task_id']}" in trace.tags
    recorded.same(trace)


@pytest.mark.parametrize(
    "key",
    [
        "asking",
        "composed",
        pytest.param("awaited", marks=pytest.mark.in_turn),
        pytest.param("reading", marks=pytest.mark.in_turn),
        pytest.param("forking", marks=pytest.mark.in_turn),
    ],
)
def test_a_replay_needs_no_redis(recorded, key):
    trace = recorded.trace(f"desk/tasks/{key}")
    assert trace.state == "success"
    assert not trace.warnings
    recorded.same(trace)


def test_what_a_job_reads_of_itself_and_of_others_is_an_input(recorded):
    asked = recorded.trace("desk/tasks/asking")
    assert names(asked) == ["rq job", "rq save meta", "redis SET"]
    assert result(asked)[0] == asked.context["task_id"]
    read = recorded.trace("desk/tasks/reading")
    assert names(read) == ["rq fetch", "rq result", "rq fetch", "rq result", "rq result",
                           "rq status"]  # fmt: skip
    assert result(read) == (238, "finished", (100,), "SUCCESSFUL")


def test_what_a_job_sends_is_an_output_without_made_up_ids(recorded):
    trace = recorded.trace("desk/tasks/composed")
    sent = [values.inert(step.args) for step in trace.steps[1:]]
    assert names(trace) == ["rq enqueue", "rq enqueue", "rq schedule", "rq enqueue many",
                            "redis LLEN"]  # fmt: skip
    assert sent[0]["function"] == "desk.tasks.log"
    assert sent[0]["kwargs"] == {"order": 1}
    assert sent[0]["options"]["retries_left"] == 2
    assert sent[1]["args"] == [2]
    assert sent[1]["options"]["depends_on"] == ["desk.tasks.log"]


def test_each_attempt_is_a_trace_and_one_that_is_made_again_a_warning(recorded):
    with recorded.project() as project:
        traces = [project.resolve(row.id) for row in recorded.rows("desk/tasks/tried")]
    assert [trace.context["retries_left"] for trace in traces if "retries_left" in trace.context]
    assert [trace.state for trace in traces] == ["warning"] * 3 + ["error"]
    assert len({trace.context["task_id"] for trace in traces}) == 1
    assert [trace.context.get("attempt") for trace in traces] == [1, None, None, None]
    recorded.same(traces[0])


@pytest.mark.in_turn
def test_an_attempt_that_returns_retry_is_a_warning(recorded):
    first, second = (recorded.trace("desk/tasks/returned", attempt=n) for n in (1, 2))
    assert (first.state, second.state, result(second)) == ("warning", "success", 5)
    recorded.same(first)


@pytest.mark.parametrize(
    ("key", "error"),
    [("failing", "builtins:LookupError"), ("slow", "rq.timeouts:JobTimeoutException")],
)
def test_what_a_function_raises_is_an_error_a_time_limit_too(recorded, key, error):
    trace = recorded.trace(f"desk/tasks/{key}")
    assert (trace.state, trace.steps[0].error.type) == ("error", error)


@pytest.mark.in_turn
def test_the_object_of_a_method_is_an_argument(recorded):
    trace = recorded.trace("desk/tasks/Shop/total")
    assert result(trace) == 12
    recorded.same(trace)


def test_only_functions_of_the_named_modules_are_jobs(recorded):
    assert all(row.key.startswith("desk/tasks/") for row in recorded.rows())


def test_no_secret_is_in_the_store(recorded):
    assert b"hunter2" not in recorded.stored_text()
    assert b"desk/tasks/price" in recorded.stored_text()


@pytest.mark.parametrize("place", ["os:system", "desk.tasks:os.system"])
def test_a_tampered_trace_names_no_function_of_other_modules(recorded, place):
    trace = replace(recorded.trace("desk/tasks/failing"), job=place, key="x")
    with recorded.project() as project, pytest.raises(Exception) as caught:
        project.replay(trace)
    assert caught.value.slug in ("job-not-allowed", "job-unknown")


@pytest.mark.in_turn
@pytest.mark.slow
def test_a_changed_function_is_explained(recorded):
    (row,) = recorded.rows("desk/tasks/forking")
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
def test_a_worker_that_is_killed_loses_no_trace_of_a_job_that_ended(tmp_path, redis):
    service = Service(tmp_path, redis.url.replace("/0", "/2"))
    service.write(FILES)
    service.python(
        "from desk.tasks import surviving\nfrom desk.queue import queue\n"
        "for n in range(30): queue.enqueue(surviving, n)"
    )
    process = worker(service)
    done = tmp_path / "survived"
    wait_for(lambda: done.exists() and len(done.read_text().splitlines()) > 5)
    subprocess.run(["pkill", "-KILL", "-g", str(process.pid)], check=True)
    process.communicate()
    ended = done.read_text().splitlines()
    found = [arguments(project_trace(service, row))["number"] for row in service.rows()]
    assert len(found) == len(set(found))
    assert set(map(int, ended[:-2])) <= set(found)  # the last one may not have ended
    service.close()


def project_trace(service, row):
    with service.project() as project:
        return project.resolve(row.id)


@pytest.mark.in_turn
def test_a_worker_that_does_not_fork_and_a_queue_that_runs_at_once(tmp_path, redis):
    service = Service(tmp_path, redis.url.replace("/0", "/3"))
    service.write(FILES)
    service.python(
        "import tracediff.rq\n"
        "from desk import tasks\nfrom rq import Queue, SimpleWorker\nfrom desk.queue import queue\n"
        "queue.enqueue(tasks.slow, job_timeout=1)\nqueue.enqueue(tasks.log, 1)\n"
        "SimpleWorker([queue], connection=queue.connection).work(burst=True)\n"
        "Queue('x', is_async=False, connection=queue.connection).enqueue(tasks.vat, 100)"
    )
    assert [row.key for row in service.rows()] == [
        "desk/tasks/slow", "desk/tasks/log", "desk/tasks/vat"]  # fmt: skip
    service.close()
