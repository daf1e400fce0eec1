"""Statistics on a terminal: from when to when, which bar is when, and what a rebuild did."""

from __future__ import annotations

import pytest

from tracediff.model import Page, Row
from tracediff.reports.text.canvas import Look
from tracediff.reports.text.statistics import rebuilt_lines, summary_lines
from tracediff.reports.text.trace import page_lines
from tracediff.statistics.buckets import Bucket, Tally, merged
from tracediff.statistics.checking import Rebuilt
from tracediff.statistics.places import WIDTHS
from tracediff.statistics.summary import Span, Summary

DAY = 20_783 * 1440  # 2026-11-26, in minutes
LOOK = Look(now=0, width=80)


def drawn(by, first, end, *counted):
    width = WIDTHS[by]
    spans = tuple(
        Span(at, at + width, Bucket(tallies={state: Tally(count=many)}))
        for at, state, many in counted
    )
    total = merged(one.bucket for one in spans)
    summary = Summary(first=first, end=end, by=by, spans=spans, total=total)
    lines = [line.plain.rstrip() for line in summary_lines(summary, LOOK, tags=0)]
    assert all(len(line) <= LOOK.columns for line in lines)
    return lines


@pytest.mark.parametrize(("first", "end", "said"), [
    (DAY + 1194, DAY + 1196, "2026-11-26 19:54 to 19:56 UTC"),
    (DAY - 1440, DAY + 1196, "2026-11-25 00:00 to 2026-11-26 19:56 UTC"),
])  # fmt: skip
def test_the_head_says_from_when_to_when_in_whole(first, end, said):
    assert drawn("hour", first, end, (first, "success", 1))[0].endswith(f" {said} ━━")


def test_each_bar_stands_above_its_time_and_failures_stand_below():
    lines = drawn(
        "minute", DAY - 2, DAY + 2, (DAY - 2, "success", 4), (DAY - 1, "lost", 1), (DAY, "error", 2)
    )
    at = next(i for i, line in enumerate(lines) if line.startswith("traces by minute"))
    assert lines[at + 1 : at + 5] == [
        "  ███████ ▃▃▃▃▃▃▃ ▅▅▅▅▅▅▅",
        "          ▅▅▅▅▅▅▅ ███████",
        "  2026-11-25 23:58        2026-11-26 00:01",
        "  lower row: errors and lost, up to 2",
    ]


def test_days_are_named_without_a_time():
    lines = drawn("day", DAY - 9 * 1440, DAY, *((DAY - n * 1440, "success", n) for n in (9, 1)))
    assert "  2026-11-17      2026-11-19      2026-11-21      2026-11-23      2026-11-25" in lines


def test_states_have_the_marks_that_ls_gives_them():
    lines = drawn("day", DAY, DAY + 1440, *((DAY, one, 1) for one in ("warning", "error", "lost")))
    for state in ("warning", "error", "lost"):
        (row,) = list(
            page_lines(
                Page((Row(id="a", key="k", state=state, started_at=0, duration=0, steps=1),)), LOOK
            )
        )[1:]
        assert any(line.startswith(f"{row.plain[0]} {state}") for line in lines)


@pytest.mark.parametrize(("written", "said"), [
    (0, "counted 8 traces of 1 day: all was right"),
    (1, "counted 8 traces of 1 day: 1 bucket put right"),
])  # fmt: skip
def test_a_rebuild_says_whether_anything_was_wrong(written, said):
    assert [one.plain for one in rebuilt_lines(Rebuilt(days=1, rows=8, written=written), LOOK)] == [
        said
    ]
