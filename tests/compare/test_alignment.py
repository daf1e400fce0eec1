"""Steps are paired as a person would pair them, and what was done to them is said."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tracediff.compare import compare
from tracediff.model import Comparison, Source, Trace

Make = Callable[..., Any]


def told(found: Comparison) -> list[tuple[Any, ...]]:
    """Each divergence as kind, old name, new name, and what else was done to it."""
    return [
        (
            one.kind,
            None if one.old is None else found.old.steps[one.old].name,
            None if one.new is None else found.new.steps[one.new].name,
            *one.also,
        )
        for one in found.divergences
    ]


def edits(old: Trace, new: Trace) -> list[tuple[Any, ...]]:
    return told(compare(old, new))


@pytest.fixture
def letters(node: Make) -> Callable[[str], list[Any]]:
    """A function that writes one step a letter."""
    return lambda text: [node(one, args={"of": one}, result=one * 2) for one in text]


def test_equal_traces_have_no_divergence(trace: Make, letters: Make) -> None:
    found = compare(trace(*letters("abc")), trace(*letters("abc")))
    assert (found.divergences, found.different, found.first) == ((), False, None)
    assert found.unchanged == len(found.pairs) == 4


def test_added_and_removed(trace: Make, letters: Make) -> None:
    assert edits(trace(*letters("abcd")), trace(*letters("abxcd"))) == [("added", None, "x")]
    assert edits(trace(*letters("abcd")), trace(*letters("acd"))) == [("removed", "b", None)]


def test_of_a_subtree_that_came_only_its_top_is_told(
    trace: Make, node: Make, letters: Make
) -> None:
    block = node("block", *letters("xyz"))
    found = compare(trace(*letters("ab")), trace(*letters("a"), block, *letters("b")))
    assert told(found) == [("added", None, "block")]
    assert found.unchanged == 3
    back = compare(trace(*letters("a"), block, *letters("b")), trace(*letters("ab")))
    assert told(back) == [("removed", "block", None)]
    assert back.unchanged == 3


@pytest.mark.parametrize(("old", "new", "moved"), [
    ("abcdef", "acdefb", "b"), ("abcdef", "abfcde", "f"), ("ab", "ba", None),
])  # fmt: skip
def test_one_step_in_another_order(
    trace: Make, letters: Make, old: str, new: str, moved: str | None
) -> None:
    ((kind, before, after),) = edits(trace(*letters(old)), trace(*letters(new)))
    assert kind == "reordered"
    assert before == after == (moved or before)


def test_moved_to_another_parent(trace: Make, node: Make, letters: Make) -> None:
    (x,) = letters("x")
    old = trace(node("p", x, *letters("ab")), node("q", *letters("cd")))
    new = trace(node("p", *letters("ab")), node("q", *letters("c"), x, *letters("d")))
    assert edits(old, new) == [("moved", "x", "x")]


def test_moved_and_changed(trace: Make, node: Make, letters: Make) -> None:
    old = trace(node("p", node("x", args={"a": 1}, result=1), *letters("ab")), node("q"))
    new = trace(node("p", *letters("ab")), node("q", node("x", args={"a": 1}, result=2)))
    assert edits(old, new) == [("changed", "x", "x", "moved")]


def test_renamed(trace: Make, node: Make, letters: Make) -> None:
    old, new = (
        trace(*letters("ab"), node(name, args={"v": 7}, result=8), *letters("cd"))
        for name in ("VAT", "Value added tax")
    )
    assert edits(old, new) == [("renamed", "VAT", "Value added tax")]


def test_renamed_with_all_that_is_in_it(trace: Make, node: Make, letters: Make) -> None:
    old, new = (
        trace(*letters("ab"), node(name, node("in", *letters("xy")), result=8), *letters("c"))
        for name in ("VAT", "Value added tax")
    )
    assert edits(old, new) == [("renamed", "VAT", "Value added tax")]


def test_a_renamed_block_in_which_something_changed(trace: Make, node: Make, letters: Make) -> None:
    old = trace(node("Taxes", node("x", args={"a": 1}, result=1), *letters("ab")))
    new = trace(node("All taxes", node("x", args={"a": 1}, result=2), *letters("ab")))
    assert edits(old, new) == [("renamed", "Taxes", "All taxes"), ("changed", "x", "x")]


def test_renamed_by_its_function_though_its_result_changed(trace: Make, node: Make) -> None:
    source = Source("p.py", 3, "p:vat")
    old = trace(node("VAT", args={"v": 7}, result=8, source=source), node("b", result=1))
    new = trace(node("Tax", args={"v": 7}, result=9, source=source), node("b", result=1))
    assert edits(old, new) == [("changed", "VAT", "Tax", "renamed")]


def test_moved_and_renamed(trace: Make, node: Make, letters: Make) -> None:
    old = trace(node("p", node("x", args={"a": 1}, result="r"), *letters("ab")), node("q"))
    new = trace(node("p", *letters("ab")), node("q", node("y", args={"a": 1}, result="r")))
    assert edits(old, new) == [("moved", "x", "y", "renamed")]


def test_renamed_and_reordered(trace: Make, node: Make, letters: Make) -> None:
    x, y = (node(name, args={"a": 1}, result="r") for name in "xy")
    old, new = trace(x, *letters("abcd")), trace(*letters("abcd"), y)
    assert edits(old, new) == [("renamed", "x", "y", "reordered")]


def test_equal_steps_renamed_under_two_parents_stay_where_they_are(trace: Make, node: Make) -> None:
    old, new = (
        trace(*(node(p, node(name, args={"a": 1}, result="r"), args={"p": p}) for p in "pq"))
        for name in ("VAT", "Value added tax")
    )
    assert edits(old, new) == [("renamed", "VAT", "Value added tax")] * 2


def test_equal_steps_move_together(trace: Make, node: Make, letters: Make) -> None:
    x = node("x", args={"a": 1}, result="r")
    old = trace(node("p", x, x, *letters("ab")), node("q", *letters("cd")))
    new = trace(node("p", *letters("ab")), node("q", *letters("cd"), x, x))
    assert edits(old, new) == [("moved", "x", "x")] * 2


def test_steps_that_say_nothing_are_not_taken_for_renamed(trace: Make, node: Make) -> None:
    assert edits(trace(node("a", result=None)), trace(node("b", result=None)))[0][0] != "moved"
    found = edits(trace(node("p", node("x")), node("q")), trace(node("p"), node("q", node("y"))))
    assert found == [("removed", "x", None), ("added", None, "y")]


def test_a_loop_is_paired_by_the_users_keys(trace: Make, node: Make) -> None:
    def lines(*ids: int, add: int = 0) -> Any:
        return trace(*(node("line", key=i, args={"n": i + add}, result=i + add) for i in ids))

    assert edits(lines(1, 2, 3), lines(1, 9, 2, 3)) == [("added", None, "line")]
    found = compare(lines(1, 2, 3), lines(1, 9, 2, 3, add=10))
    pairs = {(one.old, one.new): one.kind for one in found.divergences}
    assert pairs == {(1, 1): "changed", (None, 2): "added", (2, 3): "changed", (3, 4): "changed"}
    assert [one[0] for one in edits(lines(1, 2, 3), lines(1, 3, 2))] == ["reordered"]


def test_another_key_alone_is_told(trace: Make, node: Make) -> None:
    old, new = (trace(node("x", key=k, args={"a": 1}, result="r")) for k in (1, 2))
    (one,) = compare(old, new).divergences
    assert (one.kind, one.aspects, one.also) == ("changed", ("key",), ())


def test_duplicates_of_one_name_pair_by_their_calls(trace: Make, node: Make) -> None:
    def calls(*values: int) -> Any:
        return trace(*(node("to cents", args={"v": v}, result=v) for v in values))

    assert edits(calls(1, 2, 3, 4), calls(1, 3, 4)) == [("removed", "to cents", None)]
    found = compare(calls(1, 2, 2, 2, 3), calls(1, 2, 2, 7, 3))
    assert [(one.old, one.new) for one in found.divergences] == [(4, 4)]


def test_what_a_scheduler_ordered_is_a_multiset(trace: Make, node: Make) -> None:
    def tasks(order: str, **results: int) -> Any:
        return trace(
            *(
                node(one, node("in", result=one), args={}, result=results.get(one, 0),
                     concurrent=True)
                for one in order
            )
        )  # fmt: skip

    assert edits(tasks("abcde"), tasks("edcba")) == []
    assert edits(tasks("aabbc"), tasks("cbaba")) == []
    assert edits(tasks("abcde"), tasks("edcba", c=9)) == [("changed", "c", "c")]
    assert edits(tasks("abc"), tasks("dcba")) == [("added", None, "d")]


def test_a_loop_that_became_concurrent_is_paired(trace: Make, letters: Make, node: Make) -> None:
    loose = [node(one, args={"of": one}, result=one * 2, concurrent=True) for one in "abcd"]
    found = compare(trace(*letters("abcd")), trace(*loose))
    assert all(one.old is not None and one.new is not None for one in found.divergences)


def test_a_changed_note_is_one_and_the_last_to_come_first(trace: Make, node: Make) -> None:
    def told_at(rate: str, result: int) -> Any:
        return trace(
            node("a", result=1),
            node(f"rate {rate}", kind="note"),
            node("b", args={}, result=result),
        )

    assert edits(told_at("1", 1), told_at("2", 1)) == [("renamed", "rate 1", "rate 2")]
    found = compare(told_at("1", 1), told_at("2", 2))
    assert found.first is not None
    assert found.new.steps[found.first.new or 0].name == "b"
    more = trace(node("a", result=1), node("b", args={}, result=1))
    assert edits(told_at("1", 1), more) == [("removed", "rate 1", None)]
    assert not compare(told_at("1", 1), more, strict_steps=True).different


def siblings(trace: Make, node: Make, order: list[int], add: int = 0, name: str = "line") -> Any:
    steps = (node(name.format(i), args={"i": i + add}, result=i + add) for i in order)
    return trace(*steps)


@pytest.mark.parametrize("name", ["line", "line {}"])
def test_ten_thousand_changed_siblings_pair(trace: Make, node: Make, name: str) -> None:
    order = list(range(10_000))
    old = siblings(trace, node, order, name=name)
    found = compare(old, siblings(trace, node, order, add=10**6, name=name))
    assert [(one.old, one.new) for one in found.divergences] == [(i + 1, i + 1) for i in order]


def test_too_much_work_is_given_up_and_said(trace: Make, node: Make) -> None:
    draw = random.Random(1)
    old, new = ([draw.randrange(40) for _ in range(6_000)] for _ in range(2))
    found = compare(siblings(trace, node, old), siblings(trace, node, new))
    assert any("too many steps" in one for one in found.remarks)
    assert len(found.pairs) == 6_001


def test_too_little_in_common_is_said(trace: Make, node: Make) -> None:
    old = siblings(trace, node, list(range(30)), name="old {}")
    found = compare(old, siblings(trace, node, list(range(50, 80)), name="new {}"))
    assert {one.kind for one in found.divergences} == {"added", "removed"}
    assert any("only 0 of 30 and 30 steps" in one for one in found.remarks)
    some = siblings(trace, node, list(range(40)), name="old {}")
    assert compare(old, some).remarks == ()


def test_pairs_follow_the_order_of_execution(trace: Make, letters: Make) -> None:
    found = compare(trace(*letters("abcd")), trace(*letters("xbyd")))
    assert found.pairs == ((0, 0), (None, 1), (1, None), (2, 2), (None, 3), (3, None), (4, 4))
