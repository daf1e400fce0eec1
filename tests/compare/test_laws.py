"""Laws of comparing that hold for any traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.compare import compare
from tracediff.compare.trees import cut
from tracediff.digests import outcome_digest, tree_digest
from tracediff.model import Comparison, Divergence, Step, Trace, Value
from tracediff.values import encode

Made = Callable[[], Trace]
NAMES = st.sampled_from(["a", "b", "c", "vat", "rate"])
KINDS = st.sampled_from(["step", "step", "step", "input", "output", "note"])
SMALL = st.none() | st.integers(0, 2).map(lambda n: Value(encode(n)))
GIVEN = st.none() | st.integers(0, 2).map(lambda n: Value(encode({"x": n})))


@st.composite
def traces(draw: st.DrawFn, concurrent: bool = True) -> Trace:
    """A trace of up to twenty steps with few names, so that many are alike."""
    steps = [Step(parent=-1, kind="job", name="job", result=draw(SMALL))]
    inside = [0]
    for index in range(1, draw(st.integers(1, 20))):
        kind: Any = draw(KINDS)
        parent = draw(st.sampled_from(inside))
        note = kind == "note"
        steps.append(
            Step(
                parent=parent,
                kind=kind,
                name=draw(NAMES),
                args=None if note else draw(GIVEN),
                key=None if note else draw(st.none() | SMALL),
                result=None if note else draw(SMALL),
                state="success" if note else draw(st.sampled_from(["success", "warning"])),
                concurrent=concurrent and draw(st.booleans()),
            )
        )
        if not note:
            inside.append(index)
        # A step's parent is one of those it is inside of: steps come in the order they began.
        while inside[-1] != parent and inside[-1] != index:
            inside.pop()
    return ordered(Trace(id="t", key="k", job="m:f", steps=tuple(steps)))


def ordered(trace: Trace) -> Trace:
    """The same tree with its steps in the order of a walk through it."""
    below: dict[int, list[int]] = {}
    for index, step in enumerate(trace.steps):
        below.setdefault(step.parent, []).append(index)
    steps: list[Step] = []

    def add(index: int, parent: int) -> None:
        own = len(steps)
        steps.append(replace(trace.steps[index], parent=parent))
        for child in below.get(index, ()):
            add(child, own)

    add(0, -1)
    return replace(trace, steps=tuple(steps))


@st.composite
def unlike(draw: st.DrawFn) -> Trace:
    """A trace in which every step has a name and a value of its own."""
    made = draw(traces(concurrent=False))
    steps = (
        replace(
            step,
            kind="job" if not index else "step",
            name=f"n{index}",
            args=Value(encode({"i": index})),
            key=None,
            result=Value(encode(f"r{index}")),
        )
        for index, step in enumerate(made.steps)
    )
    return replace(made, steps=tuple(steps))


def sequence(trace: Trace) -> list[tuple[str, str | None]]:
    """Every step's name with its parent's, in the order of execution."""
    return [
        (step.name, trace.steps[step.parent].name if step.parent >= 0 else None)
        for step in trace.steps
    ]


def unsure(found: Comparison) -> set[tuple[int | None, int | None]]:
    return {(one.old, one.new) for one in found.divergences}


@given(traces())
def test_a_trace_does_not_differ_from_itself(one: Trace) -> None:
    found = compare(one, replace(one, id="other"))
    assert (found.divergences, found.different, found.remarks) == ((), False, ())
    assert found.unchanged == len(found.pairs) == len(one.steps)


@given(traces(), traces())
def test_each_step_is_in_exactly_one_pair(old: Trace, new: Trace) -> None:
    found = compare(old, new)
    before = [i for i, _ in found.pairs if i is not None]
    after = [j for _, j in found.pairs if j is not None]
    assert sorted(before) == list(range(len(old.steps)))
    assert sorted(after) == list(range(len(new.steps)))
    assert after == sorted(after)


@given(traces(), traces())
def test_both_directions_come_to_the_same_verdict(old: Trace, new: Trace) -> None:
    there, back = compare(old, new), compare(new, old)
    assert there.different == back.different
    assert bool(there.divergences) == bool(back.divergences)


@given(unlike(), st.data())
def test_counts_are_symmetric_where_nothing_is_ambiguous(old: Trace, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(1, max(1, len(old.steps) - 1))))
    new = without(old, gone)
    there, back = compare(old, new), compare(new, old)
    turned = {"added": "removed", "removed": "added"}
    assert Counter(one.kind for one in there.divergences) == Counter(
        turned.get(one.kind, one.kind) for one in back.divergences
    )
    assert there.unchanged == back.unchanged


def without(trace: Trace, gone: set[int]) -> Trace:
    """The trace without some steps and what is in them."""
    kept: dict[int, int] = {-1: -1}
    steps: list[Step] = []
    for index, step in enumerate(trace.steps):
        if index not in gone and step.parent in kept:
            kept[index] = len(steps)
            steps.append(replace(step, parent=kept[step.parent]))
    return replace(trace, steps=tuple(steps))


@given(traces(), traces())
def test_the_reported_edits_turn_the_old_tree_into_the_new(old: Trace, new: Trace) -> None:
    found = compare(old, new)
    partner = {i: j for i, j in found.pairs if i is not None and j is not None}
    told = unsure(found)
    by_pair = {(one.old, one.new): one for one in found.divergences}
    for i, j in partner.items():
        before, after = old.steps[i], new.steps[j]
        one = by_pair.get((i, j))
        edits = set() if one is None else {one.kind, *one.also}
        assert ("renamed" in edits) == (before.name != after.name)
        assert ("moved" in edits) == (partner.get(before.parent, -1) != after.parent)
    for i, step in enumerate(old.steps):
        if i not in partner:
            assert ((i, None) in told) == (step.parent in partner)
    for j, step in enumerate(new.steps):
        if j not in partner.values():
            assert ((None, j) in told) == (step.parent in partner.values())
    assert sequence(rebuilt(found)) == sequence(new)


def rebuilt(found: Comparison) -> Trace:
    """The new tree from the old steps' names, the pairs and the reported edits alone."""
    edited = {one.new: {one.kind, *one.also} for one in found.divergences if one.new is not None}
    back = {j: i for i, j in found.pairs if i is not None and j is not None}
    forth = {i: j for j, i in back.items()}
    steps = []
    for j, after in enumerate(found.new.steps):
        i = back.get(j)
        if i is None:
            steps.append(after)
            continue
        before = found.old.steps[i]
        edits = edited.get(j, set())
        name = after.name if "renamed" in edits else before.name
        parent = after.parent if "moved" in edits else forth.get(before.parent, -1)
        steps.append(replace(before, name=name, parent=parent))
    return replace(found.new, steps=tuple(steps))


@given(traces(concurrent=False), traces(concurrent=False))
def test_siblings_that_are_not_called_reordered_keep_their_order(old: Trace, new: Trace) -> None:
    found = compare(old, new)
    edited = {one.old: {one.kind, *one.also} for one in found.divergences}
    places: dict[int, list[int]] = {}
    pairs = sorted((i, j) for i, j in found.pairs if i is not None and j is not None)
    for i, j in pairs:
        if not edited.get(i, set()) & {"moved", "reordered"}:
            places.setdefault(old.steps[i].parent, []).append(j)
    assert all(some == sorted(some) for some in places.values())


@given(unlike(), st.data())
def test_renaming_one_step_is_that_one_edit(old: Trace, data: st.DataObject) -> None:
    if len(old.steps) == 1:
        return
    at = data.draw(st.integers(1, len(old.steps) - 1))
    steps = [*old.steps]
    steps[at] = replace(steps[at], name="another name")
    (one,) = compare(old, replace(old, steps=tuple(steps))).divergences
    assert (one.kind, one.old, one.new, one.also, one.changes) == ("renamed", at, at, (), {})


@given(unlike(), st.data())
def test_moving_one_step_is_that_one_edit(old: Trace, data: st.DataObject) -> None:
    if len(old.steps) < 3:
        return
    at = data.draw(st.integers(1, len(old.steps) - 1))
    inside = {at}
    for index, step in enumerate(old.steps):
        if step.parent in inside:
            inside.add(index)
    hosts = [i for i in range(len(old.steps)) if i not in inside and i != old.steps[at].parent]
    if not hosts:
        return
    moved = [*old.steps]
    moved[at] = replace(moved[at], parent=data.draw(st.sampled_from(hosts)))
    new = ordered(replace(old, steps=tuple(moved)))
    found = compare(old, new)
    (one,) = found.divergences
    assert (one.kind, one.old, one.also, one.changes) == ("moved", at, (), {})
    assert found.new.steps[one.new or 0].name == old.steps[at].name


@given(unlike(), st.data())
def test_reordering_one_step_is_one_edit(old: Trace, data: st.DataObject) -> None:
    families: dict[int, list[int]] = {}
    for index, step in enumerate(old.steps):
        families.setdefault(step.parent, []).append(index)
    big = [some for some in families.values() if len(some) > 1]
    if not big:
        return
    family = data.draw(st.sampled_from(big))
    here, there = data.draw(st.permutations(family).map(lambda some: some[:2]))
    order = [i for i in range(len(old.steps)) if i != here]
    place = order.index(there) + (there > here)
    order.insert(place, here)
    numbers = {index: at for at, index in enumerate(order)} | {-1: -1}
    steps = tuple(replace(old.steps[i], parent=numbers[old.steps[i].parent]) for i in order)
    new = in_tree_order(steps, old)
    (one,) = compare(old, new).divergences
    assert (one.kind, one.also, one.changes) == ("reordered", (), {})


def in_tree_order(steps: tuple[Step, ...], like: Trace) -> Trace:
    """Steps whose parents may come after them, as a trace."""
    below: dict[int, list[int]] = {}
    for index, step in enumerate(steps):
        below.setdefault(step.parent, []).append(index)
    walked: list[Step] = []

    def add(index: int, parent: int) -> None:
        own = len(walked)
        walked.append(replace(steps[index], parent=parent))
        for child in below.get(index, ()):
            add(child, own)

    add(below[-1][0], -1)
    return replace(like, steps=tuple(walked))


@given(unlike(), st.data())
def test_changing_one_result_is_that_one_change(old: Trace, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(old.steps) - 1))
    steps = [*old.steps]
    steps[at] = replace(steps[at], result=Value(encode("another")))
    found = compare(old, replace(old, steps=tuple(steps)))
    (one,) = found.divergences
    assert (one.kind, one.old, one.new, one.aspects) == ("changed", at, at, ("result",))
    assert found.first is one
    assert found.different == (at == 0)


@given(traces(), traces())
def test_equal_digests_are_no_divergence_and_others_are_one(old: Trace, new: Trace) -> None:
    found = compare(old, new)
    same = tree_digest(old) == tree_digest(new)
    if same:
        assert found.divergences == ()
    loose = {step.concurrent for step in (*old.steps, *new.steps)}
    if not same and loose == {False}:
        assert found.divergences != ()


@given(traces())
def test_a_cut_keeps_the_outcome_and_what_it_keeps(one: Trace) -> None:
    shorter, kept = cut(one, "inputs")
    assert outcome_digest(shorter) == outcome_digest(one)
    assert [one.steps[i].name for i in kept] == [step.name for step in shorter.steps]
    assert all(step.kind in ("job", "input", "output") for step in shorter.steps)
    found = compare(one, replace(shorter, id="shorter"))
    assert (found.divergences, found.different) == ((), False)


@given(traces(concurrent=False), traces(concurrent=False))
def test_equal_outcomes_are_not_different(old: Trace, new: Trace) -> None:
    if outcome_digest(old) == outcome_digest(new):
        assert not compare(old, new).different


def kind(found: Comparison, one: Divergence) -> str:
    step = found.old.steps[one.old] if one.old is not None else found.new.steps[one.new or 0]
    return step.kind


@pytest.mark.parametrize("strict", [True, False])
def test_a_verdict_names_a_divergence(strict: bool) -> None:
    @given(traces(), traces())
    def holds(old: Trace, new: Trace) -> None:
        found = compare(old, new, strict_steps=strict)
        if found.different:
            assert found.divergences
        assert (found.first is None) == (not found.divergences)
        if strict:
            kinds = {kind(found, one) for one in found.divergences}
            assert found.different == bool(kinds - {"note"})

    holds()
