"""A trace of very many steps or tags is cut, and says so."""

from __future__ import annotations

import asyncio

import pytest

import tracediff as td
from tracediff.recording import buffers


@pytest.fixture(autouse=True)
def _low(monkeypatch):
    monkeypatch.setattr(buffers, "MAX_STEPS", 10)
    monkeypatch.setattr(buffers, "MAX_SPANS", 20)


@td.step("line")
def line(number):
    return number


@td.step("empty")
def empty():
    return None


@td.step("any")
def any_arguments(*numbers, **named):
    return read(0) if named else None


@td.step("items")
def items():
    yield 1


@td.step("later")
async def later():
    return 1


@td.input("read")
def read(number):
    return number


@td.input("items read")
def items_read():
    yield 1


@td.output("written")
async def written(number):
    return number


def test_steps_after_the_bound_run_unrecorded_and_are_counted(recording):
    def job():
        for number in range(9):
            line(number)
        assert line(1) == 1
        assert empty() is None
        assert any_arguments(1, a=2) == 0
        assert list(items()) == [1]
        assert asyncio.run(later()) == 1
        with td.step("block") as block:
            block.result = 1
        td.note("text")
        return read(7)

    trace = recording.run(job)
    names = [one.name for one in trace.steps]
    assert names == ["run", *["line"] * 9, "read", "read"]
    assert trace.warnings == (
        "steps after the first 10 were left out, except inputs and outputs: 7",
    )
    assert {one.parent for one in trace.steps[1:]} == {0}


def test_a_trace_within_the_bound_has_no_warning(recording):
    trace = recording.run(lambda: [line(number) for number in range(9)])
    assert (len(trace.steps), trace.warnings) == (10, ())


def test_inputs_after_the_second_bound_are_left_out_and_the_trace_says_so(recording):
    def job():
        found = [read(number) for number in range(22)]
        found += [*items_read(), asyncio.run(written(4))]
        line(0)
        return found

    trace = recording.run(job)
    assert len(trace.steps) == 20
    assert trace.steps[0].result is not None
    assert trace.warnings == (
        (
            "inputs and outputs after the first 20 steps were left out, "
            "and this trace cannot be replayed: 5"
        ),
        "steps after the first 10 were left out, except inputs and outputs: 1",
    )


def test_steps_that_a_depth_leaves_out_are_no_warning(recording):
    recording.configure(depth="inputs")
    assert recording.run(lambda: [line(number) for number in range(30)]).warnings == ()


def test_a_bound_is_told_before_all_other_warnings(recording):
    def job():
        for number in range(300):
            td.artifact(f"missing {number}", f"/nowhere/{number}")
            line(number)

    warnings = recording.run(job).warnings
    assert warnings[0] == "steps after the first 10 were left out, except inputs and outputs: 291"
    assert len(warnings) == 101


def test_a_trace_has_so_many_tags_and_no_more(recording):
    def job():
        for _ in range(3):
            td.tag(*(f"line:{number}" for number in range(buffers.MAX_TAGS)))
        td.tag("one:more", "two:more", "line:1")
        td.tag("x" * 1000)

    trace = recording.run(job)
    assert trace.tags == tuple(f"line:{number}" for number in range(buffers.MAX_TAGS))
    assert trace.warnings == ("tags after the first 100 were left out: 3",)


def test_a_tag_has_so_many_characters_and_no_more(recording):
    assert recording.run(lambda: td.tag("x" * 1000)).tags == ("x" * buffers.MAX_TAG,)
