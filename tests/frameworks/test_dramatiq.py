"""Dramatiq's actors as jobs, in real workers with a real Redis; replayed where neither is there."""

from __future__ import annotations

import subprocess
import sys

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
    "desk/broker.py": """
        import os
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker
        from dramatiq.middleware import AsyncIO, CurrentMessage, GroupCallbacks, TimeLimit
        from dramatiq.rate_limits.backends import RedisBackend as Limits
        from dramatiq.results import Results
        from dramatiq.results.backends import RedisBackend

        url = os.environ["BROKER"]
        broker = RedisBroker(url=url)
        broker.add_middleware(Results(backend=RedisBackend(url=url), store_results=True))
        broker.add_middleware(CurrentMessage())
        broker.add_middleware(AsyncIO())
        broker.add_middleware(GroupCallbacks(Limits(url=url)))
        for one in broker.middleware:
            if isinstance(one, TimeLimit):
                one.manager.interval = 0.1
        dramatiq.set_broker(broker)
    """,
    "desk/tasks.py": """
        import asyncio
        import os
        import time
        import desk.broker
        import dramatiq
        from dramatiq import Retry, group, pipeline
        from dramatiq.middleware import CurrentMessage

        def vat(net):
            return net * 119 // 100

        @dramatiq.actor
        def log(order, password=None):
            return order

        @dramatiq.actor(actor_name="costs")
        def price(order, quantity=1, *, password=None):
            log.send(order, password)
            return vat(order * quantity)

        @dramatiq.actor
        async def awaited(order):
            await asyncio.sleep(0)
            log.send(order)
            first, second = await asyncio.gather(priced(1), priced(2))
            return first + second + order

        async def priced(net):
            await asyncio.sleep(0.001)
            return vat(net * 100)

        @dramatiq.actor(max_retries=0)
        def failing(order):
            raise LookupError(order)

        @dramatiq.actor(max_retries=3, min_backoff=1, max_backoff=2)
        def tried(order):
            raise ValueError(f"no price for {order}, password=hunter2")

        @dramatiq.actor(min_backoff=1)
        def retried(order):
            done = CurrentMessage.get_current_message().options.get("retries", 0)
            if done < 1:
                raise Retry(delay=1)
            return done

        @dramatiq.actor(throws=(KeyError,))
        def thrown():
            raise KeyError("no")

        @dramatiq.actor(time_limit=300, max_retries=0)
        def slow():
            while True:
                time.sleep(0.01)

        @dramatiq.actor(time_limit=300, max_retries=0)
        async def slow_async():
            await asyncio.sleep(30)

        @dramatiq.actor
        def composed():
            log.send_with_options(args=(1,), delay=10)
            pipeline([log.message(2), price.message(quantity=3)]).run()
            all_of_them = group([log.message(4), log.message(5)])
            all_of_them.add_completion_callback(log.message(6, password="hunter2"))
            all_of_them.run()
            return log(7)

        @dramatiq.actor
        def reading():
            sent = log.send(8)
            return sent.get_result(block=True, timeout=20_000)

        @dramatiq.actor
        def forking():
            child = os.fork()
            if child == 0:
                vat(1)
                os._exit(0)
            os.waitpid(child, 0)
            return vat(100)

        @dramatiq.actor
        def surviving(number):
            with open("survived", "a") as file:
                file.write(f"{number}\\n")
            return number
    """,
    "send.py": """
        from desk import tasks as t
        t.slow.send()
        t.slow_async.send()
        t.price.send(100, quantity=2, password="hunter2")
        for one in (t.awaited, t.failing, t.tried, t.retried):
            one.send(3)
        for one in (t.thrown, t.composed, t.reading, t.forking):
            one.send()
    """,
}  # fmt: skip


def worker(service: Service) -> subprocess.Popen[str]:
    return service.start(
        "-m", "tracediff", "record", "--", sys.executable, "-m", "dramatiq", "desk.tasks",
        "--processes", "2", "--threads", "2",
    )  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, redis):
    """The project after a worker has run each of its actors; it has no Redis now."""
    service = Service(tmp_path_factory.mktemp("dramatiq"), redis.url.replace("/0", "/4"))
    service.write(FILES)
    service.run("send.py")
    process = worker(service)
    ends = {"tried": 4, "retried": 2, "slow": 1, "slow_async": 1, "reading": 1, "forking": 1,
            "awaited": 1, "composed": 1, "costs": 2, "log": 9}  # fmt: skip
    wait_for(
        lambda: all(len(service.rows(f"desk/tasks/{one}")) >= n for one, n in ends.items()), "all"
    )
    service.end(process)
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


def test_an_actor_is_a_job_with_its_name_and_the_arguments_of_its_signature(recorded):
    trace = next(one for one in every(recorded, "costs") if arguments(one)["quantity"] == 2)
    given = arguments(trace)
    assert given["order"] == 100
    assert isinstance(given["password"], values.Redacted)
    assert (result(trace), trace.state, trace.job) == (238, "success", "desk.tasks:price")
    assert names(trace) == ["dramatiq send", "vat"]
    context = trace.context
    assert (context["queue"], context["attempt"]) == ("default", 1)
    assert f"task:{context['task_id']}" in trace.tags
    recorded.same(trace)


def every(recorded, key):
    with recorded.project() as project:
        return [project.resolve(row.id) for row in recorded.rows(f"desk/tasks/{key}")]


@pytest.mark.parametrize(
    "key", ["awaited", "composed", pytest.param("reading", marks=pytest.mark.in_turn)]
)
def test_a_replay_needs_no_broker(recorded, key):
    trace = recorded.trace(f"desk/tasks/{key}")
    assert trace.state == "success"
    assert not trace.warnings
    recorded.same(trace)


def test_what_a_job_sends_is_an_output_without_made_up_ids(recorded):
    trace = recorded.trace("desk/tasks/composed")
    sent = [values.inert(step.args) for step in trace.steps[1:]]
    kinds = ["dramatiq send"] * 2 + ["dramatiq barrier"] + ["dramatiq send"] * 2
    assert names(trace) == [*kinds, "desk/tasks/log"]
    assert (sent[0]["actor"], sent[0]["kwargs"], sent[0]["delay"]) == ("log", {"order": 1}, 10)
    assert sent[1]["options"]["pipe_target"]["actor"] == "costs"
    assert list(sent[3]["options"]) == ["group_completion_callbacks"]
    assert trace.context["task_id"].encode() not in repr(sent).encode()


def test_each_attempt_is_a_trace_and_one_that_is_made_again_a_warning(recorded):
    traces = every(recorded, "tried")
    assert [one.context["attempt"] for one in traces] == [1, 2, 3, 4]
    assert [one.state for one in traces] == ["warning"] * 3 + ["error"]
    assert len({one.context["task_id"] for one in traces}) == 1
    first, second = every(recorded, "retried")
    assert (first.state, second.state, result(second)) == ("warning", "success", 1)
    assert names(second) == ["dramatiq message"]
    recorded.same(first)
    recorded.same(second)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("failing", "builtins:LookupError"),
        ("thrown", "builtins:KeyError"),
        ("slow", "dramatiq.middleware.time_limit:TimeLimitExceeded"),
        ("slow_async", "dramatiq.middleware.time_limit:TimeLimitExceeded"),
    ],
)
def test_what_an_actor_raises_is_an_error_a_time_limit_too(recorded, key, error):
    trace = recorded.trace(f"desk/tasks/{key}")
    assert (trace.state, trace.steps[0].error.type) == ("error", error)


def test_no_secret_is_in_the_store(recorded):
    assert b"hunter2" not in recorded.stored_text()
    assert b"desk/tasks/costs" in recorded.stored_text()


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
def test_a_worker_that_is_killed_loses_no_trace_that_was_saved(tmp_path, redis):
    service = Service(tmp_path, redis.url.replace("/0", "/5"))
    service.write(FILES)
    send = "from desk.tasks import surviving\nfor n in range({}): surviving.send(n)"
    service.python(send.format(20))
    process = worker(service)
    wait_for(lambda: len(service.rows()) == 20, "the first traces")
    service.python(send.format("20, 300"))
    done = tmp_path / "survived"
    wait_for(lambda: len(done.read_text().splitlines()) > 30)
    subprocess.run(["pkill", "-KILL", "-g", str(process.pid)], check=True)
    process.communicate()
    found = [arguments(one)["number"] for one in every(service, "surviving")]
    assert len(found) == len(set(found))
    assert set(range(20)) <= set(found)
    service.close()


@pytest.mark.in_turn
def test_one_line_in_the_program_and_a_broker_in_memory(tmp_path):
    service = Service(tmp_path, "")
    service.write({**FILES, "desk/broker.py": """
        import dramatiq
        from dramatiq.brokers.stub import StubBroker

        broker = StubBroker()
        dramatiq.set_broker(broker)
    """})  # fmt: skip
    service.python(
        "from desk import tasks\nimport tracediff.dramatiq\nfrom dramatiq import Worker\n"
        "from desk.broker import broker\nw = Worker(broker, worker_timeout=100)\nw.start()\n"
        "tasks.price.send(1)\ntasks.forking()\n"
        "broker.join('default')\nw.stop()"
    )
    rows = service.rows()
    assert sorted(row.key for row in rows) == ["desk/tasks/costs", "desk/tasks/log"]
    service.close()
