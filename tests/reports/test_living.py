"""How reports tell of jobs that still run, and of traces that were lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracediff.model import Page, Row, Step
from tracediff.reports import living
from tracediff.reports.json import row_document
from tracediff.reports.text.canvas import Look
from tracediff.reports.text.trace import page_lines, trace_lines
from tracediff.testing import make_trace
from tracediff.values import encode

SECOND = 10**9
START = 1_795_640_000 * SECOND
LOOK = Look(now=START + 30 * SECOND)

RUNNING = Row(
    id="abc", key="shop/import", state="running", started_at=START, duration=20 * SECOND, steps=3,
    parts=3, meta="store=3",
)  # fmt: skip
STEPS = (
    Step(parent=-1, kind="job", name="import", state="running", open=True),
    Step(parent=0, kind="step", name="fetch", state="running", open=True, start=12 * SECOND),
    Step(parent=1, kind="step", name="page 1", start=13 * SECOND, duration=SECOND),
)
TRACE = make_trace(
    "abc", key="shop/import", state="running", started_at=START, duration=20 * SECOND, steps=STEPS
)


def listed(row, look=LOOK):
    return list(page_lines(Page((row,)), look))[1].plain


def shown(trace, look=LOOK, **given):
    return "\n".join(line.plain.rstrip() for line in trace_lines(trace, look, **given))


def test_a_running_row_says_how_long_so_far_and_when_it_was_heard_of():
    line = listed(RUNNING)
    assert line.startswith("◌ abc")
    assert "30.0 s" in line
    assert "shop/import(store=3)  so far, heard of 10 s ago" in line
    later = listed(RUNNING, replace(LOOK, now=START + 7220 * SECOND))
    assert "20.0 s" in later  # nobody knows whether it ran any longer
    assert "not heard of for 2 h" in later
    assert "so far" not in later


def test_a_long_name_gives_way_to_when_a_job_was_heard_of():
    line = listed(replace(RUNNING, meta="x" * 200))
    assert line.endswith("…  so far, heard of 10 s ago")
    assert len(line) <= LOOK.columns


def test_a_narrow_page_cuts_neither_when_a_job_was_heard_of_nor_that_it_was_lost():
    narrow = replace(LOOK, width=80)
    row = replace(RUNNING, id="1m8cps8sttrvn837zfyg", tags=("nightly",))
    _, first, second = (line.plain for line in page_lines(Page((row,)), narrow))
    assert first.endswith("shop/import(store=3)")
    assert second.strip() == "so far, heard of 10 s ago"
    assert max(len(first), len(second)) <= narrow.columns
    lost = listed(replace(row, state="lost"), narrow)
    assert lost.endswith("shop/import(store=…  lost")


def test_tags_give_way_to_when_a_job_was_heard_of():
    line = listed(replace(RUNNING, tags=("x" * 200,)))
    assert "shop/import(store=3)  so far, heard of 10 s ago  xx" in line
    assert len(line) <= LOOK.columns
    tight = listed(replace(RUNNING, id="1m8cps8sttrvn837zfyg", meta="x" * 99, tags=("night",)))
    assert tight.endswith("…  so far, heard of 10 s ago")


def test_arguments_give_way_to_how_long_a_step_is_open():
    steps = (STEPS[0], replace(STEPS[1], args=encode(("x" * 90,))))
    text = shown(replace(TRACE, state="lost", steps=steps), replace(LOOK, width=80))
    assert "… ◌ open for 8.00 s when it was lost" in text


def test_a_lost_row_says_so_and_how_long_it_was_heard_of():
    line = listed(replace(RUNNING, state="lost"), replace(LOOK, now=START + 7220 * SECOND))
    assert line.startswith("⊘ abc")
    assert line.endswith("shop/import(store=3)  lost")
    assert "20.0 s" in line


def test_how_long_is_long_depends_on_how_far_parts_are_apart():
    now = START + 200 * SECOND
    assert living.is_quiet(RUNNING, now)
    assert not living.is_quiet(RUNNING, now, living.quiet_after([0.5, 60]))
    assert living.quiet_after([0.5]) == living.QUIET


def test_a_running_trace_shows_that_it_runs_and_which_steps_are_open():
    text = shown(TRACE, parts=3)
    assert "◌ running for 30.0 s so far; last heard of 10 s ago, part 2" in text
    assert "1  fetch ◌ running for 8.00 s so far" in text
    assert "2    page 1\n" in text + "\n"
    assert "took" not in text


def test_a_lost_trace_says_after_how_long_and_what_was_open_then():
    text = shown(replace(TRACE, state="lost"), replace(LOOK, now=START + 7220 * SECOND), parts=3)
    said = "its process ended before its job did; last heard of 2 h ago, part 2"
    assert f"⊘ lost after 20.0 s: {said}" in text
    assert "1  fetch ◌ open for 8.00 s when it was lost" in text


def test_a_step_that_was_never_closed_of_a_job_that_ended_is_not_running():
    assert "so far" not in shown(replace(TRACE, state="success"))


@pytest.mark.parametrize(("state", "heard"), [("running", START + 20 * SECOND), ("error", None)])
def test_a_row_in_json_says_when_it_was_heard_of_while_it_runs(state, heard):
    document = row_document(replace(RUNNING, state=state))
    assert document["parts"] == 3
    assert document["heard_at"] == heard
