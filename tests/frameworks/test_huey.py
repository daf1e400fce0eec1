"""Huey's tasks as jobs, in real consumers with a real Redis; replayed where neither is there."""

from __future__ import annotations

import signal
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
    "desk/app.py": """
        import os
        from huey import MemoryHuey, RedisHuey

        url = os.environ["BROKER"]
        huey = RedisHuey("desk", url=url) if url else MemoryHuey("desk", immediate=True)
    """,
    "desk/tasks.py": """
        import os
        import time
        from huey import CancelExecution, chord, group
        from huey.exceptions import RetryTask, TaskException
        from desk.app import huey

        def vat(net):
            return net * 119 // 100

        @huey.task()
        def log(order, password=None):
            return order

        @huey.task(name="costs")
        def price(order, quantity=1, *, password=None):
            log(order, password)
            return vat(order * quantity)

        @huey.task()
        def failing(order):
            raise LookupError(order, "password=hunter2")

        @huey.task(retries=3, context=True)
        def tried(order, task=None):
            raise ValueError(f"no price for {order}, {task.retries}, password=hunter2")

        @huey.task(context=True)
        def again(order, task=None):
            if not os.path.exists("again"):
                open("again", "w").close()
                raise RetryTask("later")
            return task.id

        @huey.task()
        def cancelled():
            raise CancelExecution("not today")

        @huey.task(timeout=1)
        def slow():
            time.sleep(30)

        @huey.task()
        def locked():
            with huey.lock_task("desk"):
                return vat(100), huey.is_locked("desk")

        @huey.task()
        def composed():
            log.schedule(args=(1,), delay=60)
            huey.enqueue(log.s(2).then(price, quantity=3))
            both = chord([log.s(4), log.s(5)], total)
            handle = huey.enqueue(both)
            many = log.map([6, 7])
            huey.put("seen", {"token": "hunter2", "n": 1})
            late = log.schedule(args=(8,), delay=60)
            late.revoke()
            return huey.get("seen", peek=True)["n"], late.is_revoked(), len(many)

        @huey.task()
        def total(found, password=None):
            return sum(found)

        @huey.task()
        def reading():
            bad = failing(9)
            found = log(8).get(blocking=True, timeout=20)
            try:
                bad.get(blocking=True, timeout=20)
            except TaskException as error:
                return found, error.metadata["error"].partition("(")[0]

        @huey.task()
        def forking():
            child = os.fork()
            if child == 0:
                vat(1)
                os._exit(0)
            os.waitpid(child, 0)
            return vat(100)

        @huey.task()
        def surviving(number):
            with open("survived", "a") as file:
                file.write(f"{number}\\n")
            return number
    """,
    "send.py": """
        from desk import tasks as t
        t.price(100, quantity=2, password="hunter2")
        for one in (t.failing, t.tried, t.again):
            one(3)
        for one in (t.slow, t.cancelled, t.locked, t.composed, t.reading, t.forking):
            one()
    """,
}


def consumer(service: Service, kind: str) -> subprocess.Popen[str]:
    return service.start(
        "-m", "tracediff", "record", "--", sys.executable, "-m", "huey.bin.huey_consumer",
        "desk.tasks.huey", "-k", kind, "-w", "3", "-d", "0.02", "-m", "0.1", "-n",
    )  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, redis):
    """The project after a consumer has run each of its tasks; it has no Redis now."""
    service = Service(tmp_path_factory.mktemp("huey"), redis.url.replace("/0", "/8"))
    service.write(FILES)
    process = consumer(service, "process")
    service.run("send.py")
    ends = {"tried": 4, "again": 2, "failing": 2, "slow": 1, "cancelled": 1, "locked": 1,
            "composed": 1, "costs": 2, "log": 7, "total": 1, "reading": 1,
            "forking": 1}  # fmt: skip
    wait_for(
        lambda: all(len(service.rows(f"desk/tasks/{one}")) >= n for one, n in ends.items()), "all"
    )
    service.end(process, signal.SIGINT)
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


def test_a_task_is_a_job_with_its_name_and_the_arguments_of_its_signature(recorded):
    trace = next(one for one in every(recorded, "costs") if arguments(one)["quantity"] == 2)
    given = arguments(trace)
    assert given["order"] == 100
    assert isinstance(given["password"], values.Redacted)
    assert (result(trace), trace.state, trace.job) == (238, "success", "desk.tasks:price")
    assert names(trace) == ["huey enqueue", "vat"]
    context = trace.context
    assert (context["queue"], context["attempt"]) == ("desk", 1)
    assert f"task:{context['task_id']}" in trace.tags
    recorded.same(trace)


@pytest.mark.in_turn
def test_an_optional_secret_that_is_not_given_is_handed_on(recorded):
    trace = next(one for one in every(recorded, "costs") if arguments(one)["quantity"] == 3)
    recorded.same(trace)


@pytest.mark.parametrize(
    "key",
    [
        "composed",
        pytest.param("reading", marks=pytest.mark.in_turn),
        pytest.param("locked", marks=pytest.mark.in_turn),
    ],
)
def test_a_replay_needs_no_storage(recorded, key):
    trace = recorded.trace(f"desk/tasks/{key}")
    assert trace.state == "success"
    assert not trace.warnings
    recorded.same(trace)


def test_what_a_job_sends_is_an_output_without_made_up_ids(recorded):
    trace = recorded.trace("desk/tasks/composed")
    sent = [values.inert(step.args) for step in trace.steps[1:]]
    kinds = ["huey enqueue"] * 6 + ["huey put", "huey enqueue", "huey put", "huey get"]
    assert names(trace) == [*kinds, "huey revoked"]
    assert sent[0] == {
        "task": "desk.tasks.log", "args": [], "kwargs": {"order": 1}, "options": {"delay": 60},
    }  # fmt: skip
    assert sent[1]["options"]["on_complete"][0] == "desk.tasks.costs"
    assert sent[2]["options"]["chord"][0] == "desk.tasks.total"


def test_each_attempt_is_a_trace_and_one_that_is_made_again_a_warning(recorded):
    traces = every(recorded, "tried")
    assert [one.context["attempt"] for one in traces] == [1, 2, 3, 4]
    assert [one.state for one in traces] == ["warning"] * 3 + ["error"]
    assert "task" not in arguments(traces[0])
    recorded.same(traces[0])
    first, second = every(recorded, "again")
    assert (first.state, second.state) == ("warning", "success")
    assert result(second) == second.context["task_id"]


@pytest.mark.parametrize(
    ("key", "state", "error"),
    [
        ("failing", "error", "builtins:LookupError"),
        ("slow", "error", "huey.exceptions:TaskTimeout"),
        ("cancelled", "warning", "huey.exceptions:CancelExecution"),
    ],
)
def test_what_a_task_raises_sets_the_state(recorded, key, state, error):
    trace = every(recorded, key)[0]
    assert (trace.state, trace.steps[0].error.type) == (state, error)


def test_results_and_locks_are_inputs_and_outputs(recorded):
    read = recorded.trace("desk/tasks/reading")
    assert names(read) == ["huey enqueue"] * 2 + ["huey result"] * 2
    assert result(read) == (8, "LookupError")
    locked = recorded.trace("desk/tasks/locked")
    assert names(locked) == ["huey put if empty", "vat", "huey locked", "huey delete"]
    assert result(locked) == (119, True)


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


def test_immediate_mode_and_one_line_in_the_program(tmp_path):
    service = Service(tmp_path, "")
    service.write(FILES)
    service.python(
        "from desk import tasks\nimport tracediff.huey\n"
        "print(tasks.price(5).get(), tasks.forking.call_local())"
    )
    (trace,) = every(service, "costs")
    assert names(trace) == ["huey enqueue", "vat"]
    assert [row.key for row in service.rows()] == ["desk/tasks/costs"]
    service.close()


@pytest.mark.in_turn
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_consumer_that_is_killed_loses_no_trace_that_was_saved(tmp_path, redis, kind):
    service = Service(tmp_path, redis.url.replace("/0", "/9" if kind == "thread" else "/10"))
    service.write(FILES)
    send = "from desk.tasks import surviving\nfor n in range({}): surviving(n)"
    service.python(send.format(20))
    process = consumer(service, kind)
    wait_for(lambda: len(service.rows()) == 20, "the first traces")
    service.python(send.format("20, 200"))
    done = tmp_path / "survived"
    wait_for(lambda: len(done.read_text().splitlines()) > 30)
    subprocess.run(["pkill", "-KILL", "-g", str(process.pid)], check=True)
    process.communicate()
    found = [arguments(one)["number"] for one in every(service, "surviving")]
    assert len(found) == len(set(found))
    assert set(range(20)) <= set(found)
    service.close()
