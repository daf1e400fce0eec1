"""Digests are equal exactly when what they cover is equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tracediff.digests import (
    outcome_digest,
    path_signature,
    row,
    step_digest,
    subtree_digests,
    tree_digest,
)
from tracediff.model import Artifact, Code, ErrorInfo, Source, Step, Trace, Value
from tracediff.values import encode


def value(obj: Any) -> Value:
    return Value(encode(obj))


def step(parent: int, name: str, **fields: Any) -> Step:
    return Step(parent=parent, name=name, **{"kind": "step", **fields})


STEPS = (
    step(-1, "job", kind="job", args=value({"id": 1}), result=value(10)),
    step(0, "read", kind="input", args=value({"id": 1}), result=value("row")),
    step(0, "vat", args=value({"x": 1}), result=value(2)),
    step(2, "inner", result=value(3)),
    step(0, "save", kind="output", args=value({"price": 10}), result=value(None)),
    step(0, "a line", kind="note"),
)
TRACE = Trace(id="a", key="k", job="m:f", steps=STEPS)


def changed(index: int, **fields: Any) -> Trace:
    steps = list(STEPS)
    steps[index] = replace(steps[index], **fields)
    return replace(TRACE, steps=tuple(steps))


COUNTS: list[dict[str, Any]] = [
    {"name": "other"},
    {"kind": "input"},
    {"args": value({"x": 2})},
    {"args": None},
    {"result": value(3)},
    {"state": "warning"},
    {"error": ErrorInfo(type="a:B", message="x")},
    {"key": value(1)},
]


@pytest.mark.parametrize("fields", COUNTS, ids=lambda it: next(iter(it)))
def test_what_counts_in_a_step(fields: dict[str, Any]) -> None:
    assert step_digest(replace(STEPS[2], **fields)) != step_digest(STEPS[2])
    assert tree_digest(changed(2, **fields)) != tree_digest(TRACE)


@pytest.mark.parametrize(
    "fields", [{"start": 5}, {"duration": 5}, {"source": Source("f.py", 1, "m:f")}]
)
def test_what_does_not_count(fields: dict[str, Any]) -> None:
    assert step_digest(replace(STEPS[2], **fields)) == step_digest(STEPS[2])
    assert tree_digest(changed(2, **fields)) == tree_digest(TRACE)


def test_error_message_and_type_count_and_traceback_does_not() -> None:
    base = replace(STEPS[2], error=ErrorInfo(type="a:B", message="x"))
    same = replace(STEPS[2], error=ErrorInfo(type="a:B", message="x", traceback="File …"))
    assert step_digest(base) == step_digest(same)
    for error in (ErrorInfo(type="a:C", message="x"), ErrorInfo(type="a:B", message="y")):
        assert step_digest(base) != step_digest(replace(STEPS[2], error=error))


def test_a_none_result_is_not_no_result() -> None:
    assert step_digest(step(0, "a", result=value(None))) != step_digest(step(0, "a"))


def test_a_change_below_changes_all_above_and_nothing_beside() -> None:
    old, new = subtree_digests(TRACE), subtree_digests(changed(3, result=value(4)))
    assert [a == b for a, b in zip(old, new, strict=True)] == [
        False,
        True,
        False,
        False,
        True,
        True,
    ]


def test_notes_and_artifacts_count_in_the_tree() -> None:
    assert tree_digest(changed(5, name="another line")) != tree_digest(TRACE)
    one = replace(TRACE, artifacts=(Artifact(name="p", sha256="0", size=1),))
    assert tree_digest(one) != tree_digest(TRACE)


def test_nesting_counts() -> None:
    assert tree_digest(changed(3, parent=0)) != tree_digest(TRACE)


def family(order: list[str], concurrent: bool) -> Trace:
    kinds = {"kind": "input", "concurrent": concurrent}
    steps = [STEPS[0], *(step(0, name, result=value(name), **kinds) for name in order)]
    return replace(TRACE, steps=tuple(steps))


@pytest.mark.parametrize("of", [tree_digest, outcome_digest])
def test_concurrent_siblings_are_a_multiset(of: Callable[[Trace], bytes]) -> None:
    assert of(family(["a", "b", "c"], True)) == of(family(["c", "a", "b"], True))
    assert of(family(["a", "b"], False)) != of(family(["b", "a"], False))
    assert of(family(["a", "a", "b"], True)) != of(family(["a", "b", "b"], True))
    assert of(family(["a", "a"], True)) != of(family(["a"], True))
    assert of(family(["a", "b"], True)) != of(family(["a", "b"], False))


def below(order: list[str]) -> Trace:
    steps = [STEPS[0]]
    for name in order:
        steps.append(step(0, name, concurrent=True))
        steps.append(step(len(steps) - 1, f"read {name}", kind="input", result=value(name)))
    return replace(TRACE, steps=tuple(steps))


def test_inputs_below_concurrent_steps_are_a_multiset_too() -> None:
    assert outcome_digest(below(["a", "b"])) == outcome_digest(below(["b", "a"]))


def test_the_outcome_is_the_same_at_every_depth() -> None:
    lighter = replace(
        TRACE,
        depth="inputs",
        steps=(STEPS[0], STEPS[1], replace(STEPS[4], parent=0)),
    )
    assert outcome_digest(lighter) == outcome_digest(TRACE)
    assert tree_digest(lighter) != tree_digest(TRACE)


@pytest.mark.parametrize(
    ("index", "fields", "counts"),
    [
        (0, {"args": value({"id": 2})}, True),
        (0, {"result": value(11)}, True),
        (0, {"error": ErrorInfo(type="a:B", message="x")}, True),
        (1, {"result": value("other row")}, True),
        (1, {"args": value({"id": 2})}, True),
        (4, {"args": value({"price": 11})}, True),
        (4, {"result": value("saved")}, False),
        (2, {"result": value(99)}, False),
        (5, {"name": "another line"}, False),
    ],
)
def test_what_the_outcome_covers(index: int, fields: dict[str, Any], counts: bool) -> None:
    assert (outcome_digest(changed(index, **fields)) != outcome_digest(TRACE)) is counts


def test_the_state_is_part_of_the_outcome() -> None:
    assert outcome_digest(replace(TRACE, state="error")) != outcome_digest(TRACE)


def test_the_path_signature_is_about_which_steps_ran() -> None:
    assert path_signature(changed(2, result=value(99))) == path_signature(TRACE)
    assert path_signature(changed(2, name="no vat")) != path_signature(TRACE)
    again = replace(TRACE, steps=(*STEPS, step(2, "inner", result=value(5))))
    assert path_signature(again) == path_signature(TRACE)


def test_a_row_says_what_the_trace_says() -> None:
    trace = replace(
        changed(0, error=ErrorInfo(type="a:B", message="x")),
        code=Code(commit="abc"),
        tags=("t",),
        retention=3,
        started_at=5,
    )
    found = row(trace, ("blob", 1, 2))
    assert (found.id, found.key, found.steps, found.tags) == ("a", "k", 6, ("t",))
    assert (found.commit, found.error, found.location) == ("abc", "a:B", ("blob", 1, 2))
    assert found.outcome == outcome_digest(trace)
    assert found.path_signature == path_signature(trace)
    assert found.expires_at == 5 + 3 * 86_400 * 10**9


def test_no_two_lists_of_fields_run_into_each_other() -> None:
    digests = {
        step_digest(step(0, "ab", args=value("c"))),
        step_digest(step(0, "a", args=value("bc"))),
        step_digest(step(0, "a", key=value("bc"))),
        step_digest(step(0, "a", result=value("bc"))),
        step_digest(step(0, "a", error=ErrorInfo(type="b", message="c"))),
        step_digest(step(0, "a", error=ErrorInfo(type="", message="bc"))),
    }
    assert len(digests) == 6


def test_a_name_may_be_any_text() -> None:
    names = ["", "\ud800", "\udfff", "é", "e\u0301", "\x00"]
    assert len({step_digest(step(0, name)) for name in names}) == len(names)


def test_concurrent_families_are_told_apart_from_their_interleaving() -> None:
    """Two tasks whose parts swapped are no longer the same tasks."""
    first = below(["a", "b"])
    swapped = list(first.steps)
    swapped[2], swapped[4] = replace(swapped[4], parent=1), replace(swapped[2], parent=3)
    other = replace(first, steps=tuple(swapped))
    assert tree_digest(below(["b", "a"])) == tree_digest(first) != tree_digest(other)
    assert outcome_digest(other) == outcome_digest(first)


def test_a_trace_without_steps_has_digests() -> None:
    empty = replace(TRACE, steps=())
    assert len({outcome_digest(empty), tree_digest(empty)}) == 2
    assert subtree_digests(empty) == ()


def test_digests_stay_what_stored_rows_hold() -> None:
    """An index keeps them, so another release must come to the same ones."""
    assert outcome_digest(TRACE).hex() == "bebf6c717d21e0cdfd8f348acbe215d9"
    assert path_signature(TRACE).hex() == "ced82e37cad0437b89d85861fabd2a29"
    assert tree_digest(TRACE).hex() == "93481c21b79ab030bbe1438f75f9a36e"
