"""What a job says about its own trace, and what of a job is recorded."""

from __future__ import annotations

import hashlib
import random
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

import tracediff as td
from tracediff.recording.ids import timestamp


@td.step("step")
def step(x: Any = None) -> Any:
    return x


@td.input("input")
def read(x: Any = None) -> Any:
    return x


@td.output("output")
def write(x: Any = None) -> Any:
    return x


def test_notes_are_lines_among_the_steps(recording, tree):
    def work() -> None:
        td.note("Evaluating guards", head=True)
        with td.step("guard"):
            td.note(42)
        td.note("x" * 9_000)

    trace = recording.run(work)
    assert tree(trace)[:3] == ["Evaluating guards", "guard", "  42"]
    assert [(one.kind, one.head) for one in trace.steps[1:4]] == [
        ("note", True), ("step", False), ("note", False),
    ]  # fmt: skip
    assert trace.steps[4].name == "x" * 4_000
    assert all(one.duration == 0 and not one.open for one in trace.steps if one.kind == "note")


def test_tags_are_kept_once_and_in_order(recording):
    @td.job("tagged", tags=["fixed"])
    def tagged() -> None:
        td.tag("ri:1", "b")
        td.tag("ri:1", 7)

    tagged()
    assert recording.traces()[0].tags == ("fixed", "ri:1", "b", "7")


def test_artifacts_are_read_at_once(recording, tmp_path):
    file = tmp_path / "page.html"
    file.write_bytes(b"<p>")

    def work() -> None:
        td.artifact("page.html", file)
        td.artifact("same", str(file), "text/x")
        td.artifact("raw", bytearray(b"\x00"))
        td.artifact("missing.txt", tmp_path / "nope")
        td.artifact("folder", tmp_path)
        td.artifact("wrong", 5)
        file.write_bytes(b"changed")

    trace = recording.run(work)
    assert [(one.name, one.size, one.media_type) for one in trace.artifacts] == [
        ("page.html", 3, "text/html"),
        ("same", 3, "text/x"),
        ("raw", 1, "application/octet-stream"),
    ]  # fmt: skip
    assert trace.artifacts[0].sha256 == hashlib.sha256(b"<p>").hexdigest()
    assert [one.kind for one in trace.steps[1:]] == ["artifact"] * 3
    assert [warning.split(" cannot")[0] for warning in trace.warnings] == [
        "artifact 'missing.txt'", "artifact 'folder'", "artifact 'wrong'",
    ]  # fmt: skip


def test_the_worst_state_a_job_states_is_the_trace_s(recording):
    def work() -> None:
        td.warn()
        with td.step("a"):
            td.warn()
        with td.step("b"):
            td.fail()
            td.warn()
        td.warn()

    trace = recording.run(work)
    assert [one.state for one in trace.steps] == ["error", "warning", "error"]
    assert trace.state == "error"
    assert recording.run(td.warn).state == "warning"
    assert recording.run(lambda: None).state == "success"


def test_an_ignored_trace_is_not_kept(recording):
    td.job("ignored")(td.ignore)()
    assert recording.traces() == []


def test_clock_randomness_and_ids_are_inputs(recording, result):
    def work() -> tuple[Any, ...]:
        return td.now(), td.now(UTC), td.random(), td.uuid4()

    trace = recording.run(work)
    found = result(trace.steps[0])
    assert [one.kind for one in trace.steps[1:]] == ["input"] * 4
    assert [result(one) for one in trace.steps[1:]] == list(found)
    assert isinstance(found[0], datetime)
    assert isinstance(found[3], uuid.UUID)
    assert 0 <= found[2] < 1
    assert found[1].tzinfo is UTC


def test_outside_a_job_remarks_do_nothing(recording):
    td.note("x")
    td.tag("x")
    td.artifact("x", b"x")
    td.warn()
    td.fail()
    td.ignore()
    assert td.now() <= datetime.now()
    assert recording.traces() == []


def test_meta_context_retention_and_time_are_on_the_trace(recording):
    @td.job(
        "described",
        meta=lambda a, b: f"a is {a}",
        context=lambda a, b: {"a": a, "name": "n", "odd": [1]},
        retention=30,
    )
    def described(a: int, b: int) -> None: ...

    @td.job("plain")
    def plain(a: int, b: str = "x" * 300) -> None: ...

    described(1, b=2)
    plain(1)
    first, second = recording.traces()
    assert (first.meta, first.retention) == ("a is 1", 30)
    assert first.context == {"a": 1, "name": "n"}
    assert "'odd'" in first.warnings[0]
    assert second.meta.startswith("a=1, b='xxx")
    assert len(second.meta) <= 160
    assert second.retention is None
    assert first.duration >= 0
    assert abs(timestamp(first.id) - first.started_at // 10**6) < 5_000
    assert first.id < second.id


def test_configuration_rules_win_over_what_the_job_says(program):
    program.write("""
        @td.job("prices/one", depth="full", retention=9, sample=1)
        def one(): pass

        @td.job("prices/off")
        def off(): pass

        @td.job("other", retention=9)
        def other(): pass

        one(), off(), other()
    """)
    (program.directory / "pyproject.toml").write_text("""
        [tool.tracediff.job."prices/*"]
        depth = "inputs"
        retention = 3
        [tool.tracediff.job."prices/off"]
        enabled = false
    """)
    program.run()
    assert [(one.key, one.depth, one.retention) for one in program.traces()] == [
        ("prices/one", "inputs", 3), ("other", "steps", 9),
    ]  # fmt: skip


def test_sampling_decides_before_the_job_starts(recording):
    @td.job("sampled", sample=0.5)
    def sampled() -> bool:
        return bool(td.note("x")) or read(True)

    @td.job("never", sample=0)
    def never() -> Any:
        return step(read(5))

    random.seed(1)
    expected = [random.random() for _ in range(3)]
    random.seed(1)
    assert all(sampled() for _ in range(200))
    assert [random.random() for _ in range(3)] == expected  # the job's own numbers stay its own
    assert never() == 5
    assert 50 < len(recording.traces()) < 150
    assert {trace.key for trace in recording.traces()} == {"sampled"}


def test_the_depth_inputs_keeps_what_a_replay_needs(recording, tree):
    recording.configure(depth="inputs")

    def work() -> None:
        step(1)
        td.note("x")
        with td.step("block"):
            step(read(2))
        write(3)
        list(td.step(iter_)())
        td.tag("t")

    def iter_() -> Any:
        yield read(4)

    trace = recording.run(work)
    assert tree(trace) == ["input", "output", "input"]
    assert [one.parent for one in trace.steps] == [-1, 0, 0, 0]
    assert (trace.depth, trace.tags) == ("inputs", ("t",))


def test_a_seeded_job_draws_what_its_seed_says(recording):
    drawn = []

    @td.job("seeded", seed=True)
    def seeded() -> None:
        drawn.append(random.random())

    seeded()
    random.seed(recording.traces()[0].environment.seed)
    assert drawn == [random.random()]


# -- eager capture


def test_what_is_changed_later_is_recorded_as_it_was(recording, args, result):
    shared: list[Any] = [1]
    default: dict[str, int] = {}

    @td.step("taking")
    def taking(items: list[Any], *rest: Any, named: Any = None, kept: Any = default) -> Any:
        kept["n"] = len(items)
        return items

    @td.input("reading")
    def reading() -> list[Any]:
        return shared

    def work() -> list[Any]:
        taking(shared, {"a": shared}, named=(shared,))
        shared.append(2)
        reading()
        shared.append(3)
        return shared

    trace = recording.run(work)
    shared.append(4)
    job, first, second = trace.steps
    assert args(first) == {"items": [1], "rest": ({"a": [1]},), "named": ([1],), "kept": {}}
    assert (result(first), result(second), result(job)) == ([1], [1, 2], [1, 2, 3])


def test_arguments_that_a_step_changes_are_marked(recording):
    @td.step("changing")
    def changing(a: Any, b: Any, *rest: Any, c: Any, fail: bool = False) -> None:
        a.append(1)
        rest[1].add(1)
        c["x"] = b
        if fail:
            raise ValueError

    @td.job("top")
    def top(a: list[int]) -> None:
        a.append(1)

    def work() -> None:
        changing([], [2], [], set(), c={})
        step([1])

    steps = recording.run(work).steps
    assert [one.mutated for one in steps] == [(), ("a", "rest", "c"), ()]
    top([])
    assert recording.traces()[-1].steps[0].mutated == ("a",)


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1.10"), 0.1 + 0.2, -0.0, 10**40, True, None, "\udc80", b"\x00", 1j,
        datetime(2024, 10, 27, 2, 30, fold=1), (1, "a"), frozenset({1}), range(3),
    ],
    ids=repr,
)  # fmt: skip
def test_scalars_come_back_exactly(recording, args, result, value: Any):
    trace = recording.run(lambda: (step(value), read(x=value)))
    for one in trace.steps[1:]:
        for back in (args(one)["x"], result(one)):
            assert type(back) is type(value)
            assert repr(back) == repr(value)
