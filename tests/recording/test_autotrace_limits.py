"""Which calls of autotraced functions are steps, and how traces compare that lack some."""

from __future__ import annotations

from typing import Any

import pytest

from tracediff.codec import dump, load
from tracediff.compare import compare
from tracediff.errors import ConfigError
from tracediff.model import Autotracing, Cut, Trace
from tracediff.tracefile import dumps, loads


def names(trace: Trace) -> list[str]:
    return [step.name for step in trace.steps[1:]]


LIMITED = """
    def hot(n): return n
    def cold(n): return hot(n)
    def loop(n):
        for one in range(n):
            hot(one)
        return cold(n)
    """


def test_a_hot_function_is_a_step_no_more_and_the_trace_says_so(
    recording: Any, traced: Any, module: Any
) -> None:
    traced(autotrace_calls=10)
    found = module(LIMITED)
    trace = recording.run(lambda: found.loop(50))
    assert names(trace) == ["loop", *["hot"] * 10, "cold"]
    assert trace.warnings == (
        "41 calls are no steps: of one function the first 10 are: hot (41)",
    )  # fmt: skip
    cut = Cut(unit=f"{found.__name__}:hot", by="calls", calls=41)
    assert trace.autotracing == Autotracing(
        patterns=("traced_*",), max_depth=100, max_steps=20_000, max_calls=10, cuts=(cut,)
    )
    assert load(dump(trace)) == trace
    assert loads(dumps(trace)) == trace
    again = recording.run(lambda: found.loop(3))
    assert names(again) == ["loop", *["hot"] * 3, "cold", "hot"], "each trace counts for itself"
    assert not again.warnings


def test_steps_and_levels_end_and_the_trace_says_so(
    recording: Any, traced: Any, module: Any
) -> None:
    traced(autotrace_steps=5)
    found = module(LIMITED)
    trace = recording.run(lambda: found.loop(50))
    assert len(trace.steps) == 5
    assert trace.warnings == (
        "49 calls are no steps: a deep trace ends at 5 steps: hot (48), cold (1)",
    )  # fmt: skip
    traced(autotrace_depth=3)
    shallow = recording.run(lambda: found.loop(2))
    assert names(shallow) == ["loop", "hot", "hot", "cold"]
    assert shallow.warnings == (
        "1 calls are no steps: a deep trace ends at 3 levels: hot (1)",
    )  # fmt: skip


TIMED = """
    import tracediff as td
    def leaf(n): return n
    def two(n): return leaf(n) + leaf(n + 1)
    def failing(): raise ValueError("no")
    def caught():
        try: failing()
        except ValueError: return leaf(0)
    @td.input("rate")
    def rate(): return 3
    def reading(): return rate()
    def noted(): td.note("seen")
    def warned(): td.warn()
    def generated(): yield 1
    def all_of(): return [two(1), caught(), reading(), noted(), warned(), list(generated())]
    """


def test_short_calls_are_left_out_when_the_job_ends(
    recording: Any, traced: Any, module: Any, tree: Any
) -> None:
    traced(autotrace_min_duration=3600)
    found = module(TIMED)
    trace = recording.run(found.all_of)
    assert tree(trace) == [
        "all_of", "  caught", "    failing", "  reading", "    rate", "  noted", "    seen",
        "  warned",
    ]  # fmt: skip
    assert trace.autotracing.min_duration == 3600 * 10**9
    cuts = {one.unit.partition(":")[2]: one for one in trace.autotracing.cuts}
    assert {name: (one.by, one.calls) for name, one in cuts.items()} == {
        "leaf": ("duration", 3), "two": ("duration", 1), "generated": ("duration", 1)
    }  # fmt: skip
    assert all(one.duration > 0 for one in cuts.values())
    (said,) = trace.warnings
    assert said.startswith("5 calls are no steps: they took less than 3600 s each: leaf (3, ")
    traced(autotrace_min_duration=1e-9)
    whole = recording.run(found.all_of)
    assert len(whole.steps) == len(trace.steps) + 5
    assert not whole.warnings
    found_by = compare(trace, whole)
    assert not found_by.divergences
    (remark,) = found_by.remarks
    assert remark.startswith("3 steps, with what is in them, are left out: the other side says")
    assert remark.endswith("(generated, leaf, two)")


def test_what_a_limit_took_out_is_no_difference_and_what_it_left_is_compared(
    recording: Any, traced: Any, module: Any
) -> None:
    found = module("""
        import tracediff as td
        @td.input("rate")
        def rate(n): return n
        def hot(n): return rate(n)
        def loop(numbers): return sum(hot(one) for one in numbers)
        """)
    traced()
    whole = recording.run(lambda: found.loop(range(9)))
    for limit in ({"autotrace_calls": 3}, {"autotrace_depth": 2}, {"autotrace_steps": 8}):
        traced(**limit)
        less = recording.run(lambda: found.loop(range(9)))
        assert len(less.steps) < len(whole.steps)
        for one, other in ((whole, less), (less, whole)):
            compared = compare(one, other, strict_steps=True)
            assert not compared.divergences, limit
            assert not compared.different
            assert "lacks calls of their functions (hot" in compared.remarks[-1]
    traced(autotrace_calls=3)
    three = recording.run(lambda: found.loop(range(9)))
    changed = recording.run(lambda: found.loop([0, 7, 2, *range(3, 9)]))
    compared = compare(three, changed)
    assert [(one.kind, three.steps[one.old].name) for one in compared.divergences if one.old] == [
        ("changed", "loop"),
        ("changed", "hot"),
        ("changed", "rate"),
    ]
    fewer = recording.run(lambda: found.loop([7, 2]))
    compared = compare(three, fewer)
    assert [one.kind for one in compared.divergences if three.steps[one.old].name == "hot"] == [
        "removed", "removed"
    ], "by their name alone these two may be the one that is new, or another"  # fmt: skip


def test_traces_of_other_functions_are_compared_by_those_that_both_have(
    recording: Any, traced: Any, module: Any
) -> None:
    leaves = module("def leaf(n): return n * 2\n")
    found = module(f"import {leaves.__name__} as leaves\ndef top(n): return leaves.leaf(n) + 1\n")
    traced(found.__name__)
    one = recording.run(lambda: found.top(1))
    traced(found.__name__, leaves.__name__)
    both = recording.run(lambda: found.top(1))
    assert names(both) == ["top", "leaf"]
    for old, new in ((one, both), (both, one)):
        compared = compare(old, new)
        assert not compared.divergences
        (remark,) = compared.remarks
        assert remark.startswith("other functions were autotraced (")
        assert "the 1 steps that only one side could have are left out" in remark
    traced(found.__name__, leaves.__name__, autotrace_values=False)
    bare = recording.run(lambda: found.top(1))
    compared = compare(both, bare)
    assert not compared.divergences
    assert "recorded arguments and results" in compared.remarks[0]
    traced(depth="steps")
    less = recording.run(lambda: found.top(1))
    assert not compare(both, less).divergences


@pytest.mark.parametrize("setting", ["autotrace_calls", "autotrace_depth", "autotrace_steps"])
def test_limits_are_whole_numbers(setting: str, recording: Any) -> None:
    with pytest.raises(ConfigError, match=setting):
        recording.configure(**{setting: "many"})
