"""Jobs whose traces are written in parts while they run."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import tracediff as td
from tracediff.config import load_config
from tracediff.errors import ConfigError, RecordingError, StoreError
from tracediff.model import Query, Trace
from tracediff.recording import buffers, live, session, writer
from tracediff.recording.capturing import captured
from tracediff.runtime import current
from tracediff.stores.base import Capabilities


@td.step("line")
def line(number: int) -> int:
    return number


@td.input("read")
def read(value: Any) -> Any:
    return value


def until(met: Callable[[], Any]) -> Any:
    """What a condition gives, when it holds."""
    deadline = time.monotonic() + 30
    while not (found := met()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def rows(recording: Any) -> list[Any]:
    """All rows of the store."""
    return list(recording.store().search(Query(limit=1000)).rows)


@contextlib.contextmanager
def running(job: Callable[..., Any], *args: Any) -> Any:
    """A job on a thread of its own, which ends with the block at the latest."""
    thread = threading.Thread(target=job, args=args)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(30)
        assert not thread.is_alive()


# -- while a job runs


def test_a_job_is_found_with_its_arguments_before_it_has_done_anything(recording, watched, args):
    watched()
    go = threading.Event()

    @td.job("waiting", mode="live", tags=["t"])
    def job(number: int) -> int:
        go.wait(30)
        return number

    with running(job, 7):
        [row] = until(lambda: rows(recording))
        found = recording.store().load(row)
        go.set()
    assert (row.state, row.parts, row.steps, row.tags, row.meta) == (
        "running", 1, 1, ("t",), "number=7",
    )  # fmt: skip
    [step] = found.steps
    assert (found.state, step.state, step.open, args(step)) == (
        "running", "running", True, {"number": 7},
    )  # fmt: skip
    assert td.flush(30)
    [row] = rows(recording)
    assert (row.state, row.parts) == ("success", 2)


def test_parts_come_at_their_time_though_the_job_does_nothing(recording, watched):
    watched(bump_every=0.05)
    go = threading.Event()

    @td.job("waiting", mode="live")
    def job() -> None:
        with td.step("stuck"):
            go.wait(30)

    with running(job):
        [row] = until(lambda: [one for one in rows(recording) if one.parts >= 4])
        again = until(lambda: [one for one in rows(recording) if one.parts > row.parts])
        go.set()
    assert again[0].duration > row.duration
    names = [step.name for step in recording.store().load(row).steps]
    assert names == ["waiting", "stuck"]


def test_a_part_comes_early_when_there_is_much(recording, watched, monkeypatch):
    monkeypatch.setattr(live, "MOST_SPANS", 50)
    monkeypatch.setattr(live, "LOOK", 0.01)
    found = watched(bump_every=3600)

    @td.job("busy", mode="live")
    def job(value: Any, times: int) -> None:
        until(lambda: found.parts)
        for _ in range(times):
            read(value)
        until(lambda: len(found.parts) > 1)

    job(0, 60)
    assert td.flush(30)
    found.parts.clear()
    job("x" * (1 << 20), 2)


def test_a_job_that_is_over_before_it_is_looked_at_is_written_at_once(recording, watched):
    found = watched()

    @td.job("short", mode="live")
    def job() -> int:
        return line(1)

    for _ in range(50):
        job()
    assert td.flush(30)
    assert [row.parts for row in rows(recording)].count(0) > 40
    assert {row.state for row in rows(recording)} == {"success"}
    assert len(found.parts) <= 20


def test_what_is_written_is_let_go(recording, watched):
    watched()

    seen: list[int] = []

    @td.step("big")
    def big(number: int) -> bytes:
        return bytes(number)

    @td.job("long", mode="live")
    def job() -> None:
        buffer = current.get().buffer
        for _ in range(20):
            for number in range(100):
                big(number)
            td.artifact("a.txt", b"x" * 1000)
            td.flush()
            seen.append(len(buffer.spans))
            assert not buffer.artifacts
            assert buffer.bytes < 1000
            assert buffer.begun() == 1 + (len(seen)) * 101

    job()
    assert max(seen) <= buffers.LOOKED_AT + 1
    [trace] = recording.traces()
    assert (len(trace.steps), len(trace.artifacts)) == (1 + 20 * 101, 20)


def test_hundreds_of_jobs_at_once_need_one_thread(recording, watched):
    found = watched(bump_every=0.05)
    before = threading.active_count()

    @td.job("stream", mode="live")
    def job(number: int) -> Any:
        while True:
            yield line(number)

    jobs = [job(number) for number in range(300)]
    for one in jobs:
        assert next(one) >= 0
    until(lambda: [row.state for row in rows(recording)].count("running") == 300)
    until(lambda: len(found.parts) > 900)
    assert threading.active_count() <= before + 1
    for one in jobs:
        one.close()
    assert td.flush(30)
    found = rows(recording)
    assert [row.state for row in found] == ["success"] * 300
    assert {row.steps for row in found} == {2}


# -- what a job says of its trace


def test_a_job_that_wants_to_be_ignored_leaves_nothing(recording, watched):
    found = watched()

    @td.job("ignored", mode="live")
    def job(first: bool) -> None:
        if first:
            td.ignore()
        td.flush()
        line(1)
        td.flush()
        assert len(rows(recording)) == (not first)
        td.ignore()
        td.flush()
        line(2)
        td.flush()

    job(first=True)
    assert td.flush(30)
    assert (found.parts, found.ignored) == ([], [])
    job(first=False)
    assert td.flush(30)
    assert rows(recording) == []
    assert len(found.ignored) == 1
    assert sum(len(part.places) for part in found.parts) == 2


def test_a_job_that_is_ignored_is_forgotten_while_it_runs(recording, watched, monkeypatch):
    monkeypatch.setattr(live, "LOOK", 0.01)
    found = watched(bump_every=0.05)

    @td.job("ignored", mode="live")
    def job() -> None:
        buffer = current.get().buffer
        until(lambda: rows(recording))
        td.ignore()
        until(lambda: not rows(recording))
        for _ in range(30):
            read(b"x" * 100_000)
        td.artifact("a.txt", b"x")
        until(lambda: buffer.bytes < 1000 and not buffer.artifacts)
        assert len(buffer.spans) < 5

    job()
    assert td.flush(30)
    assert rows(recording) == []
    assert len(found.ignored) == 1


def test_what_is_said_later_is_in_the_next_part(recording, watched):
    found = watched()

    @td.job("saying", mode="live", context=lambda: {"shop": 1})
    def job() -> None:
        td.flush()
        td.tag("late")
        td.warn()
        td.flush()

    job()
    assert td.flush(30)
    assert [part.row.tags for part in found.parts] == [(), ("late",), ("late",)]
    assert [part.row.state for part in found.parts] == ["running", "running", "warning"]
    assert found.trace().context == {"shop": 1}


def test_a_function_of_retention_is_asked_when_the_job_has_ended(recording, watched):
    asked: list[str] = []

    def days(trace: Trace) -> int:
        asked.append(trace.state)
        return 30

    @td.job("kept", mode="live", retention=days)
    def job() -> None:
        td.flush()
        line(1)
        td.flush()

    found = watched()
    job()
    assert td.flush(30)
    assert asked == ["success"]
    assert [part.trace.retention for part in found.parts] == [None, None, 30]


@pytest.mark.parametrize("where", ["job", "setting", "rule"])
def test_the_write_mode_is_chosen_as_depth_is(recording, watched, where):
    rules = {"chosen*": {"mode": "live", "bump_every": 0.05}}
    watched(**{"job": {}, "setting": {"mode": "live"}, "rule": {"job": rules}}[where])
    seen = []

    @td.job("chosen", mode="live" if where == "job" else None)
    def job() -> None:
        td.flush()
        seen.extend(rows(recording))

    job()
    assert [row.state for row in seen] == ["running"]


def test_an_unknown_write_mode_is_refused_where_the_job_is_defined():
    with pytest.raises(ConfigError, match="mode must be one of deferred, live, not 'life'"):
        td.job("wrong", mode="life")(line)  # type: ignore[call-overload]


# -- stores that refuse


def test_parts_that_are_refused_are_tried_again_and_nothing_is_lost(recording, watched, tree):
    found = watched(bump_every=0.05)
    calls: list[int] = []

    def refuse(parts: Any) -> Exception | None:
        calls.append(parts[0].number)
        if len(calls) % 3:
            return StoreError("not now", slug="store-unreachable", hint="wait")
        return None

    found.refuse = refuse
    go = threading.Event()

    @td.job("refused", mode="live")
    def job() -> None:
        for number in range(300):
            line(number)
            if number % 100 == 50:
                td.flush(0.05)
        go.wait(30)

    with running(job):
        until(lambda: len(found.parts) > 2)
        go.set()
    assert td.flush(30)
    assert tree(found.trace()) == ["line"] * 300
    assert found.trace().warnings == ()
    assert calls[:3] == [0, 0, 0]


def test_while_a_store_refuses_one_part_waits_and_all_else_comes_with_the_next(
    recording, watched, monkeypatch
):
    monkeypatch.setattr(writer, "MAX_PAUSE", 0.02)
    found = watched(bump_every=0.05)
    tries: list[int] = []

    @td.job("away", mode="live")
    def job() -> None:
        until(lambda: found.parts)

        def refuse(parts: Any) -> Exception:
            tries.append(len(parts))
            return StoreError("away", slug="store-unreachable", hint="-")

        found.refuse = refuse
        until(lambda: line(1) and len(tries) > 20)
        found.refuse = lambda parts: None

    job()
    assert td.flush(30)
    assert set(tries) == {1}
    assert len(found.trace().steps) > 20


def test_a_part_that_is_refused_for_what_it_is_leaves_a_warning(recording, watched, caplog):
    found = watched()
    too_large = StoreError("too large", slug="trace-too-large", hint="-")
    found.refuse = lambda parts: too_large if any(len(one.places) > 5 for one in parts) else None

    @td.job("large", mode="live")
    def job() -> int:
        td.flush()
        line(1)
        td.flush()
        for number in range(10):
            line(number)
        td.flush()
        return line(2)

    with caplog.at_level(logging.ERROR, "tracediff"):
        job()
        assert td.flush(30)
    [row] = rows(recording)
    trace = recording.store().load(row)
    assert [step.name for step in trace.steps] == ["large", "line", "line"]
    assert trace.warnings == ("steps are missing: StoreError: too large",)
    assert trace.state == "success"
    assert row.parts in (4, 5)  # the first flush may find that its part is written already


def test_a_store_that_takes_no_parts_gets_whole_traces_and_one_warning(
    recording, watched, caplog, tree
):
    found = watched()
    found.capabilities = Capabilities(live=False)

    @td.job("deferred", mode="live")
    def job() -> None:
        line(1)
        td.flush()
        line(2)

    with caplog.at_level(logging.WARNING, "tracediff"):
        job()
        job()
        traces = recording.traces()
    assert [tree(trace) for trace in traces] == [["line", "line"]] * 2
    assert found.parts == []
    said = [one.getMessage() for one in caplog.records]
    assert [one for one in said if "live traces" in one] == [
        f"tracediff writes live traces to {found.url} when they end only"
    ]


def test_jobs_that_are_captured_for_somebody_are_given_whole(recording, monkeypatch):
    monkeypatch.setattr(live, "MOST_SPANS", 10)

    @td.job("captured", mode="live")
    def job() -> None:
        for number in range(100):
            line(number)

    with captured(load_config()) as found:
        job()
        [trace] = found.take()
    assert (trace.state, len(trace.steps)) == ("success", 101)


def test_what_finds_no_room_is_dropped_and_said(recording, watched, monkeypatch, tree):
    monkeypatch.setattr(writer, "MAX_BYTES", 200_000)
    monkeypatch.setattr(live, "LOOK", 0.01)
    monkeypatch.setattr(writer, "LOOK", 0.01)
    found = watched(bump_every=0.05)
    times: list[int] = []

    @td.job("held", mode="live")
    def job() -> None:
        line(0)
        td.flush()
        found.refuse = lambda parts: StoreError("away", slug="store-unreachable", hint="-")
        trace = current.get().buffer.live
        until(lambda: times.append(len(read(b"x" * 20_000))) or trace._left_out)
        found.refuse = lambda parts: None

    job()
    assert td.flush(30)
    trace = found.trace()
    names = tree(trace)
    assert names[:2] == ["line", "read"]
    [said] = trace.warnings
    assert said.startswith("steps are missing, since the store was too slow: ")
    assert int(said.rpartition(" ")[2].replace(",", "")) == len(times) + 1 - len(names)


def test_strict_recording_raises_what_a_live_trace_lacks(recording, watched):
    found = watched(strict=True)

    @td.job("strict", mode="live")
    def job(file: str) -> int:
        line(1)
        td.flush()
        td.artifact("a.txt", file)
        return 5

    assert job(__file__) == 5
    with pytest.raises(RecordingError, match="cannot be read"):
        job("/nowhere")
    found.refuse = lambda parts: StoreError("away", slug="store-unreachable", hint="-")
    with pytest.raises(RecordingError, match="away"):
        job(__file__)


def test_a_job_that_runs_when_recording_is_configured_anew_is_written_on(recording, watched):
    watched(bump_every=0.05)
    go = threading.Event()

    @td.job("long", mode="live")
    def job() -> None:
        line(1)
        go.wait(30)

    with running(job):
        until(lambda: rows(recording))
        retired = session._process.recorder.writer
        recording.configure(bump_every=3600)
        [row] = rows(recording)
        until(lambda: [one for one in rows(recording) if one.parts > row.parts + 1])
        go.set()
    [row] = rows(recording)
    assert (row.state, row.steps) == ("success", 2)
    until(lambda: retired._thread is None)


def test_a_live_trace_is_acknowledged_once_it_has_ended(recording, watched):
    acked: list[str] = []
    found = watched(on_ack=acked.append)
    seen = []

    @td.job("acked", mode="live")
    def job() -> None:
        td.flush()
        seen.extend([*acked, len(found.parts)])

    job()
    assert td.flush(30)
    assert seen == [1]
    assert acked == [found.trace().id]


def test_a_trace_that_cannot_be_cut_does_not_stop_the_others(recording, watched, monkeypatch):
    watched()
    real = live.Cutting.take

    def take(self: Any, spans: Any, *rest: Any) -> Any:
        if any(getattr(span.mark, "name", "") == "bad" for span in spans):
            raise RuntimeError("cannot be cut")
        return real(self, spans, *rest)

    monkeypatch.setattr(live.Cutting, "take", take)

    @td.job("cut", mode="live")
    def job(name: str) -> int:
        td.flush()
        with td.step(name):
            td.flush()
        return line(1)

    job("bad")
    job("good")
    assert td.flush(30)
    good, bad = (recording.store().load(row) for row in rows(recording))
    assert (good.state, [step.name for step in good.steps[1:]]) == ("success", ["good", "line"])
    assert (bad.state, [step.name for step in bad.steps]) == ("success", ["cut"])
    [said] = bad.warnings
    assert "a part could not be made" in said
    assert session._process.recorder.writer.failed == 0
