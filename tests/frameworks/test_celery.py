"""Celery's tasks as jobs, in real workers with a real broker; replayed where neither is there."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from tracediff import values


def arguments(trace):
    return values.inert(trace.steps[0].args)


def result(trace):
    return values.inert(trace.steps[0].result)


def names(trace):
    return [step.name for step in trace.steps[1:]]


def test_a_task_is_a_job_with_its_name_and_the_arguments_of_its_signature(recorded):
    rows = recorded.rows("desk/tasks/price")
    assert len(rows) == 6  # sent once, five more by the task that composes
    with recorded.project() as project:
        trace = project.resolve(rows[0].id)
    given = arguments(trace)
    assert (given["order"], given["quantity"]) == (100, 2)
    assert isinstance(given["password"], values.Redacted)
    assert (result(trace), trace.state, trace.job) == (238, "success", "desk.tasks:price")
    assert names(trace) == ["celery send", "vat"]
    assert any(tag.startswith("task:") for tag in trace.tags)


def test_only_tasks_of_the_named_modules_are_jobs_and_only_if_no_rule_says_otherwise(recorded):
    keys = {row.key for row in recorded.rows()}
    assert {key for key in keys if not key.startswith("desk/tasks/")} == {"prices/named"}
    assert "desk/tasks/unwanted" not in keys


def test_a_bound_task_has_no_self_among_its_arguments_and_its_request_is_an_input(recorded):
    trace = recorded.trace("desk/tasks/bound")
    assert arguments(trace) == {"order": 5}
    assert names(trace) == ["vat", "celery request"]
    assert result(trace) == (5, 0, trace.context["task_id"])
    recorded.same(trace)


@pytest.mark.parametrize("key", ["tried", "autotried"])
def test_each_attempt_is_a_trace_and_one_that_is_made_again_a_warning(recorded, key):
    first, second = (recorded.trace(f"desk/tasks/{key}", attempt=n) for n in (1, 2))
    assert first.context["task_id"] == second.context["task_id"]
    assert first.state == "warning"
    assert second.state == ("success" if key == "tried" else "error")
    recorded.same(first)
    recorded.same(second)


def test_the_error_of_an_attempt_is_the_one_that_the_task_raised(recorded):
    error = recorded.trace("desk/tasks/autotried", attempt=1).steps[0].error
    assert error.type == "builtins:ValueError"
    assert "hunter2" not in error.message


@pytest.mark.parametrize(
    ("key", "state", "error"),
    [
        ("failing", "error", "builtins:LookupError"),
        ("slow", "error", "billiard.exceptions:SoftTimeLimitExceeded"),
        ("rejecting", "warning", "celery.exceptions:Reject"),
    ],
)
def test_what_a_task_raises_sets_the_state(recorded, key, state, error):
    trace = recorded.trace(f"desk/tasks/{key}")
    assert (trace.state, trace.steps[0].error.type) == (state, error)


def test_an_ignored_task_leaves_no_trace(recorded):
    assert recorded.rows("desk/tasks/ignoring") == []


def test_what_a_task_sends_is_an_output_and_a_nested_eager_task_a_step(recorded):
    trace = recorded.trace("desk/tasks/composed")
    kinds = [(step.kind, step.name) for step in trace.steps if step.parent == 0]
    sent = [("output", "celery send")] * 3 + [("output", "celery chord"), ("output", "celery send")]
    assert kinds == [*sent, *[("step", "desk/tasks/price")] * 2]
    assert result(trace) == 1 + 2
    recorded.same(trace)


def test_a_state_is_an_output_and_a_task_called_as_a_function_a_step(recorded):
    trace = recorded.trace("desk/tasks/telling")
    assert names(trace) == ["celery state", "desk/tasks/price", "celery send", "vat"]
    recorded.same(trace)


def test_a_task_that_is_a_class_is_a_job(recorded):
    trace = recorded.trace("desk/tasks/summed")
    assert (arguments(trace), result(trace)) == ({"numbers": (1, 2, 3)}, 6)
    recorded.same(trace)


def test_no_secret_of_a_task_is_in_the_store(recorded):
    assert b"hunter2" not in recorded.stored_text()
    assert b"desk/tasks/price" in recorded.stored_text()


@pytest.mark.slow
def test_a_changed_function_of_a_task_is_explained(recorded):
    (row,) = recorded.rows("desk/tasks/telling")
    path = recorded.directory / "desk/rates.py"
    before = path.read_text()
    path.write_text(before.replace("119", "107"))
    try:
        with recorded.project() as project:
            explained = project.explain(row.id)
    finally:
        path.write_text(before)
    names = [unit.name for cause in explained.causes for unit in cause.units]
    assert names == ["desk.rates:vat"]


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_no_trace_that_was_saved(
    service, redis, until, worker_command
):
    service.broker = redis.url
    worker = service.start(*worker_command, "-c", 2, "-Q", "kill")
    service.python(
        """
        from desk.tasks import surviving
        sent = [surviving.apply_async((n,), queue="kill") for n in range(40)]
        for one in sent:
            one.get(timeout=50)
        """
    )
    done = (service.directory / "survived").read_text().splitlines()
    until(lambda: len(service.rows()) == len(done), "the traces of what is done")
    service.python(
        "from desk.tasks import surviving\n"
        "for n in range(40, 400): surviving.apply_async((n,), queue='kill')"
    )
    until(lambda: len((service.directory / "survived").read_text().splitlines()) > 60)
    subprocess.run(["pkill", "-KILL", "-g", str(worker.pid)], check=True)
    worker.communicate()
    rows = service.rows()
    with service.project() as project:
        traces = [project.resolve(row.id) for row in rows]  # each can be read
    found = [arguments(trace)["number"] for trace in traces]
    assert len(found) == len(set(found))
    assert set(range(40)) <= set(found)


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools_record_too(service, redis, worker_command, pool):
    service.broker = redis.url
    worker = service.start(*worker_command, "-P", pool, "-c", 3, "-Q", pool)
    service.python(
        f"""
        from desk.tasks import telling
        sent = [telling.apply_async(queue="{pool}") for _ in range(6)]
        print([one.get(timeout=50) for one in sent])
        """
    )
    service.end(worker)
    rows = service.rows("desk/tasks/telling")
    assert len(rows) == 6
    for row in rows:
        with service.project() as project:
            assert names(project.resolve(row.id))[:2] == ["celery state", "desk/tasks/price"]


def test_a_task_runs_as_ever_where_nothing_can_be_recorded(service):
    out = service.python(
        """
        from desk.tasks import named, price
        print(named.apply().get(), named(), named.run())
        """,
        TRACEDIFF_STORE="/proc/nowhere",
    )
    assert "1 1 1" in out


def test_a_task_outside_of_a_worker_is_a_job_when_it_is_applied_and_none_when_it_is_called(service):
    service.python("from desk.tasks import named\nnamed()\nnamed.run()\nnamed.apply()")
    assert [row.key for row in service.rows()] == ["prices/named"]


def test_a_tampered_trace_names_no_task_outside_of_the_allow_list(service):
    service.python("from desk.tasks import named\nnamed.apply()")
    trace = service.trace("prices/named")
    with service.project() as project, pytest.raises(Exception) as caught:
        project.replay(replace(trace, job="celery.app.builtins:backend_cleanup", key="x"))
    assert caught.value.slug == "job-not-allowed"
