"""What makes two traces different, and which difference is named first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tracediff.compare import compare
from tracediff.model import Comparison, ErrorInfo, Miss, ReplayInfo, Step, Tolerance, Trace, Value
from tracediff.values import encode

Make = Callable[..., Any]
BOOM = ErrorInfo(type="m:Boom", message="at 0x7f01")


def first_name(found: Comparison) -> str | None:
    one = found.first
    if one is None:
        return None
    side, index = (found.new, one.new) if one.new is not None else (found.old, one.old)
    return side.steps[index or 0].name


@pytest.fixture
def base(node: Make) -> list[Any]:
    """Steps of a job: an input, a calculation with a part, a note, an output."""
    return [
        node("read", kind="input", args={"id": 1}, result="row"),
        node("vat", node("rate", args={}, result=19), args={"x": 1}, result=2),
        node("a line", kind="note"),
        node("save", kind="output", args={"price": 10}, result=None),
    ]


@pytest.mark.parametrize(
    "job",
    [
        {"result": 11},
        {"result": 10, "state": "warning"},
        {"error": BOOM, "state": "error"},
        {"result": 10, "error": BOOM},
        {},
    ],
)
def test_the_jobs_result_error_and_state_decide(
    trace: Make, base: list[Any], job: dict[str, Any]
) -> None:
    old = trace(*base, result=10)
    assert compare(old, trace(*base, **job)).different
    assert compare(trace(*base, **job), old).different


def test_the_jobs_arguments_do_not_decide(trace: Make, base: list[Any]) -> None:
    old, new = (trace(*base, args={"id": i}, result=1) for i in (1, 2))
    assert not compare(old, new).different
    assert compare(old, new, strict_steps=True).different


@pytest.mark.parametrize("at", [0, 1])
def test_steps_on_the_way_decide_only_when_strict(
    trace: Make, node: Make, base: list[Any], at: int
) -> None:
    changed = [*base]
    changed[at] = node("vat", args={"x": 1}, result=3)
    old, new = trace(*base, result=1), trace(*changed, result=1)
    found = compare(old, new)
    assert found.divergences
    assert not found.different
    assert compare(old, new, strict_steps=True).different


def test_notes_never_decide(trace: Make, node: Make, base: list[Any]) -> None:
    other = [*base[:2], node("another line", kind="note"), node("x", kind="note"), base[3]]
    old, new = trace(*base, result=1), trace(*other, result=1)
    assert compare(old, new).divergences
    assert not compare(old, new, strict_steps=True).different


@pytest.mark.parametrize(
    ("output", "different"),
    [
        ({"args": {"price": 11}, "result": None}, True),
        ({"args": {"price": 10}, "result": None, "error": BOOM}, True),
        ({"args": {"price": 10}, "result": None, "state": "error"}, True),
        ({"args": {"price": 10}, "result": "row id"}, False),
    ],
)
def test_what_an_output_wrote_decides(
    trace: Make, node: Make, base: list[Any], output: dict[str, Any], different: bool
) -> None:
    new = trace(*base[:3], node("save", kind="output", **output), result=1)
    assert compare(trace(*base, result=1), new).different is different


def test_outputs_that_came_or_went_decide(trace: Make, base: list[Any]) -> None:
    old, new = trace(*base, result=1), trace(*base[:3], result=1)
    assert compare(old, new).different
    assert compare(new, old).different


def test_also_inside_of_a_step_that_came_or_went(trace: Make, node: Make, base: list[Any]) -> None:
    block = node("publish", node("deep", base[3]))
    old, new = trace(*base[:3], block, result=1), trace(*base[:3], result=1)
    assert [one.kind for one in compare(old, new).divergences] == ["removed"]
    assert compare(old, new).different
    assert compare(new, old).different
    quiet = [Tolerance(path="publish/**", ignore=True)]
    assert not compare(old, new, tolerances=quiet).different


def test_an_output_may_move_but_not_pass_another(trace: Make, node: Make) -> None:
    a, b = (node(n, kind="output", args={"n": n}, result=None) for n in "ab")
    x, y = (node(n, args={"n": n}, result=n) for n in "xy")
    old = trace(x, a, b, y, result=1)
    assert not compare(old, trace(node("block", x, a), b, y, result=1)).different
    assert not compare(old, trace(a, x, b, y, result=1)).different
    assert compare(old, trace(x, b, a, y, result=1)).different
    assert compare(old, trace(node("block", b), x, a, y, result=1)).different
    assert compare(old, trace(x, a, y, result=1)).different


def test_outputs_a_scheduler_ordered_have_no_order(trace: Make, node: Make) -> None:
    def saves(order: str) -> Any:
        steps = (
            node(n, node("save", kind="output", args={"n": n}, result=None), concurrent=True)
            for n in order
        )
        return trace(*steps, result=1)

    assert not compare(saves("abc"), saves("cab")).different
    assert compare(saves("abc"), saves("ab")).different


def test_a_miss_makes_it_different(trace: Make, base: list[Any]) -> None:
    old = trace(*base, result=1)
    miss = Miss(kind="input", name="read", args=None, path=(), served="nearest")
    new = replace(old, replay=ReplayInfo(of="t", misses=(miss,)))
    found = compare(old, new)
    assert (found.different, found.divergences) == (True, ())
    assert not compare(old, replace(old, replay=ReplayInfo(of="t"))).different


def test_within_tolerance_is_the_same(trace: Make, node: Make) -> None:
    def job(z: float) -> Any:
        return trace(
            node("f", args={"z": z}, result=z),
            node("save", kind="output", args={"z": z}, result=None),
            result=z,
        )

    found = compare(job(1.0), job(1.0 + 1e-12), tolerances=[Tolerance(rel=1e-9)])
    assert not found.different
    assert [one.within for one in found.divergences] == [True] * 3
    assert (found.drift, found.unchanged) == (4, 0)
    assert compare(job(1.0), job(1.1), tolerances=[Tolerance(rel=1e-9)]).different
    partly = [Tolerance(path="f/**", rel=1), Tolerance(path="save/**", rel=1)]
    assert compare(job(1.0), job(1.1), tolerances=partly).different
    assert not compare(job(1.0), job(1.1), tolerances=[*partly, Tolerance(path="result", abs=1)]
                       ).different  # fmt: skip


def test_ignored_places_are_no_divergence(trace: Make, node: Make, base: list[Any]) -> None:
    old = trace(*base, node("log", args={"t": 1}, result=1), result=1)
    new = trace(node("log", args={"t": 2}, result=2), *base, result=1)
    quiet = [Tolerance(path="**/log", ignore=True)]
    assert compare(old, new).divergences
    assert compare(old, new, tolerances=quiet).divergences == ()
    assert compare(old, trace(*base, result=1), tolerances=quiet).divergences == ()
    assert compare(trace(*base, result=1), old, tolerances=quiet).divergences == ()


@pytest.mark.parametrize(
    ("path", "left"),
    [("f/error/message", 0), ("f/error", 0), ("f/error/type", 1), ("**/message", 0)],
)
def test_an_errors_message_can_be_ignored(trace: Make, node: Make, path: str, left: int) -> None:
    other = replace(BOOM, message="at 0x8a02")
    old, new = (trace(node("f", error=error, state="error")) for error in (BOOM, other))
    found = compare(old, new, tolerances=[Tolerance(path=path, ignore=True)])
    assert len(found.divergences) == left


def test_a_state_can_be_ignored(trace: Make, node: Make) -> None:
    old, new = (trace(node("f", state=state)) for state in ("success", "warning"))
    assert len(compare(old, new).divergences) == 1
    assert compare(old, new, tolerances=[Tolerance(path="f/state", ignore=True)]).divergences == ()


def test_the_first_divergence_is_the_cause_not_what_it_is_inside_of(
    trace: Make, node: Make
) -> None:
    def job(rate: int, note: str) -> Any:
        inner = node("rate", node(note, kind="note"), args={}, result=rate)
        return trace(
            node("before", args={}, result=0),
            node("vat", node("lookup", inner), args={"x": 1}, result=rate * 2),
            node("total", args={"vat": rate * 2}, result=rate * 3),
            result=rate * 3,
        )

    assert first_name(compare(job(19, "19 %"), job(20, "20 %"))) == "rate"
    assert first_name(compare(job(19, "19 %"), job(19, "nineteen"))) == "nineteen"


def test_a_cosmetic_difference_is_first_only_alone(trace: Make, node: Make) -> None:
    def job(name: str, result: float, gone: bool = False) -> Any:
        some = [] if gone else [node("late", args={}, result=result)]
        return trace(node(name, args={"x": 1}, result=1), *some, result=1)

    assert first_name(compare(job("a", 1), job("b", 1))) == "b"
    assert first_name(compare(job("a", 1), job("b", 2))) == "late"
    assert first_name(compare(job("a", 1), job("b", 1, gone=True))) == "late"
    close = [Tolerance(path="late/**", abs=1)]
    assert first_name(compare(job("a", 1), job("b", 2), tolerances=close)) == "b"
    assert first_name(compare(job("a", 1), job("a", 2), tolerances=close)) == "late"


def test_a_note_that_came_is_first_only_alone(trace: Make, node: Make) -> None:
    def job(name: str, *notes: str) -> Any:
        return trace(
            *(node(note, kind="note") for note in notes), node(name, args={"x": 1}, result=1)
        )

    assert first_name(compare(job("a"), job("a", "new line"))) == "new line"
    assert first_name(compare(job("a"), job("b", "new line"))) == "b"
    assert first_name(compare(job("a", "gone"), job("b"))) == "b"


def test_more_differences_than_are_listed_are_remarked(trace: Make, node: Make) -> None:
    old, new = (trace(node("f", args={}, result=[i + add for i in range(2_000)]))
                for add in (0, 10_000))  # fmt: skip
    found = compare(old, new)
    assert [remark for remark in found.remarks if "'f'" in remark]
    assert len(found.divergences[0].changes["result"]) == 1_000


def depths(base: list[Any], trace: Make) -> tuple[Trace, Trace]:
    steps = trace(*base, result=1)
    inputs = trace(*(one for one in base if one.name in ("read", "save")), result=1)
    return replace(steps, depth="steps"), replace(inputs, depth="inputs")


def test_depths_are_cut_to_the_lesser_with_a_remark(trace: Make, base: list[Any]) -> None:
    steps, inputs = depths(base, trace)
    for old, new in ((steps, inputs), (inputs, steps)):
        found = compare(old, new)
        assert found.divergences == ()
        assert not found.different
        assert [step.name for step in found.old.steps] == ["job", "read", "save"]
        (remark,) = found.remarks
        assert "compared at 'inputs'" in remark
    full = replace(steps, depth="full")
    assert compare(full, steps).divergences == ()
    assert "'full' and 'steps'" in compare(full, steps).remarks[0]


def test_a_cut_keeps_what_is_nested_below_its_nearest_kept_step(trace: Make, node: Make) -> None:
    deep = node("a", node("b", node("read", kind="input", args={}, result=1)))
    old = replace(trace(deep, result=1), depth="steps")
    new = replace(trace(node("read", kind="input", args={}, result=2), result=1), depth="inputs")
    found = compare(old, new)
    assert [(one.kind, one.old, one.new) for one in found.divergences] == [("changed", 1, 1)]


def test_a_cut_renumbers_what_a_replay_says_of_steps(trace: Make, base: list[Any]) -> None:
    steps, inputs = depths([*base[1:3], base[0], base[3]], trace)
    at = {step.name: index for index, step in enumerate(steps.steps)}
    miss = Miss(kind="input", name="read", args=None, path=(), nearest=((at["read"], ()),))
    said = ReplayInfo(
        of="t", served=((at["save"], 2),), unused=(at["read"],), moved=(at["save"],), misses=(miss,)
    )
    found = compare(steps, replace(inputs, replay=said))
    replay = found.new.replay
    assert replay is not None
    assert found.old.steps[replay.unused[0]].name == "read"
    assert [found.old.steps[a].name for a, _ in replay.served] == ["save"]
    assert [found.new.steps[b].name for _, b in replay.served] == ["save"]
    assert found.old.steps[replay.moved[0]].name == "save"
    assert found.old.steps[replay.misses[0].nearest[0][0]].name == "read"


def test_a_comparison_counts_what_is_unchanged(trace: Make, node: Make, base: list[Any]) -> None:
    new = [*base]
    new[1] = node("vat", node("rate", args={}, result=20), args={"x": 1}, result=2)
    found = compare(trace(*base, result=1), trace(*new, result=1))
    assert (found.unchanged, len(found.divergences)) == (5, 1)


def test_a_job_alone_is_compared(trace: Make) -> None:
    assert not compare(trace(result=1), trace(result=1)).different
    assert compare(trace(result=1), trace(result=2)).different
    empty = Step(parent=-1, kind="job", name="job", result=Value(encode(1)))
    assert not compare(trace(result=1), replace(trace(), steps=(empty,))).different
