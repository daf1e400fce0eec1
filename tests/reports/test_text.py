"""The reports as they look: golden files, and what holds whatever is in a trace."""

from __future__ import annotations

import os
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tracediff.compare import compare, value_changes
from tracediff.digests import row
from tracediff.model import Comparison, Miss, Page, ReplayInfo, Trace
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import Look, paint
from tracediff.reports.text.comparison import comparison_lines
from tracediff.reports.text.trace import page_lines, step_line, step_lines, trace_lines

GOLDEN = Path(__file__).parent / "golden"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def check(name: str, text: str) -> None:
    """Compare with the golden file; GOLDEN=write writes it instead."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", ["changed", "same", "fails", "other"])
def test_a_comparison_looks_as_it_did(
    name: str, width: int, comparison: Callable[[str], Comparison], look: Callable[..., Look]
) -> None:
    drawn = look(width=width)
    check(f"{name}-{width}", paint(comparison_lines(comparison(name), drawn), drawn))


def test_a_trace_and_its_steps_and_a_list_look_as_they_did(
    recorded: Trace, look: Callable[..., Look]
) -> None:
    drawn = look()
    check("trace", paint(trace_lines(recorded, drawn), drawn))
    check("step", paint(step_lines(recorded, 9, drawn), drawn))
    rows = (row(recorded), row(replace(recorded, state="error", duration=61 * 10**9)))
    check("list", paint(page_lines(Page(rows, "next"), drawn), drawn))


def test_misses_and_recordings_that_nobody_asked_for_are_told(
    builders: dict[str, Callable[..., Any]], look: Callable[..., Look]
) -> None:
    old = builders["trace"](builders["price"]("0.025"))
    asked = builders["value"]({"product_id": 43})
    miss = Miss(
        kind="input",
        name="Product",
        args=asked,
        path=("Loading",),
        nearest=((2, value_changes(old.steps[2].args, asked)),),
        hint="the nearest recording is shown; --on-miss nearest serves it",
    )
    info = ReplayInfo(of=old.id, misses=(miss,), unused=(2,), moved=(2,))
    new = builders["replayed"](builders["price"]("0.025")[:2], replay=info)
    found = compare(old, new)
    assert found.different
    drawn = look()
    check("misses", paint(comparison_lines(found, drawn), drawn))


def test_a_long_hint_is_told_in_full(
    builders: dict[str, Callable[..., Any]], look: Callable[..., Look]
) -> None:
    old = builders["trace"](builders["price"]("0.025"))
    hint = "record the trace again, or register a decoder that knows both forms; " * 3 + "the end"
    miss = Miss(kind="input", name="Product", args=None, path=(), hint=hint)
    info = ReplayInfo(of=old.id, misses=(miss,))
    new = builders["replayed"](builders["price"]("0.025")[:2], replay=info)
    drawn = look()
    told = paint(comparison_lines(compare(old, new), drawn), drawn)
    assert hint in " ".join(told.split())


def test_colours_add_nothing_but_colours(
    comparison: Callable[[str], Comparison], look: Callable[..., Look]
) -> None:
    for name in ("changed", "same", "fails"):
        plain = paint(comparison_lines(comparison(name), look()), look())
        drawn = look(colour=True)
        coloured = paint(comparison_lines(comparison(name), drawn), drawn)
        assert "\x1b[" in coloured
        assert [line.rstrip() for line in ANSI.sub("", coloured).splitlines()] == plain.splitlines()


@given(
    name=st.text(max_size=60),
    result=st.recursive(
        st.none() | st.text(max_size=200) | st.floats() | st.integers() | st.binary(max_size=40),
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=5),
        max_leaves=30,
    ),
    width=st.integers(10, 200),
)
def test_whatever_a_trace_holds_no_line_is_too_wide_or_controls_the_terminal(
    name: str, result: Any, width: int, builders: dict[str, Callable[..., Any]]
) -> None:
    price, step, trace = builders["price"], builders["step"], builders["trace"]
    steps = (*price("0.025"), step(0, name, result, product=name, **{f"{name} of": result}))
    other = (*price("0.037"), step(0, f"{name}!", [result], product=name))
    old, new = trace(steps, meta=name, tags=(name,)), builders["replayed"](other)
    look = Look(now=0, width=width)
    for lines in (
        comparison_lines(compare(old, new), look),
        trace_lines(old, look),
        page_lines(Page((row(old),), None), look),
    ):
        text = paint(lines, look)
        for line in text.split("\n"):
            assert cell_len(line) <= look.columns
            assert clean(line) == line


def test_a_long_report_ends_with_its_verdict(
    builders: dict[str, Callable[..., Any]], look: Callable[..., Look]
) -> None:
    price, step = builders["price"], builders["step"]
    old = (*price("0.025"), *(step(0, f"Step {at}", at, net=at) for at in range(500)))
    new = (*price("0.037"), *(step(0, f"Step {at}", -at, net=at) for at in range(500)))
    found = compare(builders["trace"](old), builders["replayed"](new), load=builders["read"])
    drawn = look()
    lines = paint(comparison_lines(found, drawn), drawn).splitlines()
    assert len(lines) < 90
    assert lines[-2].startswith("  ✗ 121.98 → 123.40 +1.42, first at Duty (shop/duty.py:4)")
    assert any("more steps and 1 note differ" in line for line in lines)


def test_changed_code_is_shown_with_the_step_that_shows_it(
    comparison: Callable[[str], Comparison], look: Callable[..., Look]
) -> None:
    text = paint(comparison_lines(comparison("changed"), look()), look())
    block = text[text.index("changed code") :].splitlines()
    assert block[1].split() == ["RATE", "shop/duty.py:1"]
    assert block[2] == '  - RATE = Decimal("0.025")'
    assert block[3] == '  + RATE = Decimal("0.037")'
    assert block[4].split()[1:3] == ["at", "Duty"]
    assert block[4].split()[-1] == "origin"
    assert "changed code" not in paint(comparison_lines(comparison("same"), look()), look())


def test_a_step_that_changed_its_arguments_says_so(
    recorded: Trace, look: Callable[..., Look]
) -> None:
    steps = list(recorded.steps)
    steps[9] = replace(steps[9], mutated=("net",))
    trace, drawn = replace(recorded, steps=tuple(steps)), look()
    assert "changed net" in paint(trace_lines(trace, drawn), drawn)
    assert "changed its own arguments: net" in paint(step_lines(trace, 9, drawn), drawn)
    assert "changed net" not in paint(trace_lines(recorded, drawn), drawn)


def test_rows_in_another_order_are_told_in_one_line(
    builders: dict[str, Callable[..., Any]], look: Callable[..., Look]
) -> None:
    rows = [{"sku": f"A{at}", "net": at, "tax": at * 2} for at in range(12)]
    step, price = builders["step"], builders["price"]
    old = builders["trace"]((*price("0.025"), step(0, "Rows", rows)))
    new = builders["replayed"](
        (*price("0.025"), step(0, "Rows", [*rows[6:], {**rows[0], "net": 9}, *rows[1:6]]))
    )
    drawn = look()
    lines = paint(comparison_lines(compare(old, new), drawn), drawn).splitlines()
    block = [line for line in lines if line.startswith("│ result")]
    at = lines.index(block[0])
    assert [line.strip("│ ") for line in lines[at : at + 2]] == [
        "result  [0].net: 0 → 9",
        "in another order",
    ]


def test_a_step_far_below_takes_no_more_memory_than_its_line(
    recorded: Trace, look: Callable[..., Look]
) -> None:
    drawn = look()
    tracemalloc.start()
    try:
        line = step_line(recorded, 1, recorded.steps[1], 10_000_000, 5, drawn)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert line.cell_len <= drawn.columns
    assert most < 1_000_000


def test_many_tags_take_lines_and_a_long_one_is_cut(
    recorded: Trace, look: Callable[..., Look]
) -> None:
    tags = (*(f"tag-{at:02}" for at in range(20)), "long" * 50)
    lines = paint(trace_lines(replace(recorded, tags=tags), look(width=80)), look()).split("\n")
    assert max(map(cell_len, lines)) <= 80
    assert all(any(tag in line for line in lines) for tag in tags[:-1])
