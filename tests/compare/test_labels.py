"""Why a step differs: told where it can be told without running anything again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tracediff.compare import compare
from tracediff.model import Code, Comparison, ErrorInfo, Source, Tolerance
from tracediff.runtime import ReplayAbort

Make = Callable[..., Any]
OLD = {"about": {"code": Code(files={"a.py": "1", "b.py": "1"})}}
NEW = {"about": {"code": Code(files={"a.py": "2", "b.py": "1"})}}
A, B = Source("a.py", 1, "a:f"), Source("b.py", 1, "b:g")


def labels(found: Comparison) -> dict[str, str]:
    return {
        found.new.steps[one.new].name: one.label
        for one in found.divergences
        if one.new is not None and one.old is not None
    }


def test_same_arguments_and_another_result_is_an_origin(trace: Make, node: Make) -> None:
    old, new = (
        trace(node("f", args={"x": 1}, result=result, source=A), **code)
        for code, result in ((OLD, 1), (NEW, 2))
    )
    assert labels(compare(old, new)) == {"f": "origin"}


@pytest.mark.parametrize(
    "outcome",
    [{"error": ErrorInfo(type="m:E", message="x"), "state": "error"}, {"state": "warning"}],
)
def test_another_error_or_state_is_an_outcome_too(
    trace: Make, node: Make, outcome: dict[str, Any]
) -> None:
    old = trace(node("f", args={"x": 1}, source=A), **OLD)
    new = trace(node("f", args={"x": 1}, source=A, **outcome), **NEW)
    assert labels(compare(old, new)) == {"f": "origin"}


def test_with_the_same_code_it_is_a_hidden_input(trace: Make, node: Make) -> None:
    old, new = (trace(node("f", args={"x": 1}, result=r, source=A), **OLD) for r in (1, 2))
    assert labels(compare(old, new)) == {"f": "hidden input"}


@pytest.mark.parametrize("file", ["<notebook cell 12345>", "<stdin>"])
def test_code_of_a_notebook_or_prompt_is_never_taken_for_the_same(
    trace: Make, node: Make, file: str
) -> None:
    old, new = (trace(node("f", args={"x": 1}, result=r), **OLD) for r in (1, 2))
    typed = replace(new.steps[0], source=Source(file, 1, "__main__:job"))
    new = replace(new, steps=(typed, *new.steps[1:]))
    assert labels(compare(old, new)) == {"f": "origin"}
    assert labels(compare(new, old)) == {"f": "origin"}


@pytest.mark.parametrize(
    ("old", "new", "label"),
    [
        ({"distributions": {"lib": "1"}}, {"distributions": {"lib": "2"}}, "origin"),
        ({"python": "3.11"}, {"python": "3.12"}, "origin"),
        ({"distributions": {"lib": "1"}}, {"distributions": {"click": "8"}}, "hidden input"),
        ({"distributions": {"tracediff-calc": "1"}}, {"distributions": {"tracediff-calc": "2"}},
         "hidden input"),
        ({"files": {"a.py": "1", "run.py": "1"}}, {}, "hidden input"),
        ({"files": {}}, {"files": {}}, "origin"),
    ],
)  # fmt: skip
def test_what_counts_as_the_same_code(
    trace: Make, node: Make, old: dict[str, Any], new: dict[str, Any], label: str
) -> None:
    before, after = (
        trace(node("f", args={"x": 1}, result=result), about={"code": Code(**{**files, **some})})
        for result, some in ((1, old), (2, new))
        for files in [{"files": {"a.py": "1"}}]
    )
    assert labels(compare(before, after)) == {"f": label}


def test_an_input_with_another_answer_is_the_outside_world(trace: Make, node: Make) -> None:
    def read(code: Any, result: int, source: Source, kind: str) -> Any:
        return trace(node("f", kind=kind, args={"x": 1}, result=result, source=source), **code)

    for kind in ("input", "output"):
        found = labels(compare(read(OLD, 1, B, kind), read(NEW, 2, B, kind)))
        assert found == {"f": "hidden input"}
        found = labels(compare(read(OLD, 1, A, kind), read(NEW, 2, A, kind)))
        assert found == {"f": "unproven"}


def test_an_input_that_a_replay_could_not_serve_read_nothing(trace: Make, node: Make) -> None:
    stopped = ErrorInfo(type=f"{ReplayAbort.__module__}:{ReplayAbort.__qualname__}", message="no")
    old = trace(node("f", kind="input", args={"x": 1}, result=1, source=B), **OLD)
    new = trace(node("f", kind="input", args={"x": 1}, error=stopped, source=B), **OLD)
    assert labels(compare(old, new)) == {"f": "unproven"}


def test_other_arguments_and_the_same_result_are_absorbed(trace: Make, node: Make) -> None:
    old, new = (trace(node("f", args={"x": x}, result=5), result=5) for x in (1, 2))
    assert labels(compare(old, new)) == {"f": "absorbed"}


def test_an_output_that_was_given_something_else(trace: Make, node: Make) -> None:
    old, new = (trace(node("save", kind="output", args={"x": x}, result=None)) for x in (1, 2))
    assert labels(compare(old, new)) == {"save": "propagated"}


def test_a_changed_argument_is_propagated_in_the_same_file_only(trace: Make, node: Make) -> None:
    def two(code: Any, x: int) -> Any:
        return trace(
            node("g", args={"x": x}, result=x, source=B),
            node("f", args={"x": x}, result=x, source=A),
            node("h", args={"x": x}, result=x),
            **code,
        )

    assert labels(compare(two(OLD, 1), two(NEW, 2))) == {
        "g": "propagated",
        "f": "unproven",
        "h": "unproven",
    }


def test_a_parent_is_an_origin_only_if_its_own_body_changed_the_result(
    trace: Make, node: Make
) -> None:
    def calls(code: Any, inner: int, outer: int, source: Source) -> Any:
        child = node("inner", args={"y": 1}, result=inner, source=A)
        return trace(node("outer", child, args={"x": 1}, result=outer, source=source), **code)

    assert labels(compare(calls(OLD, 1, 1, B), calls(NEW, 2, 2, B))) == {
        "outer": "propagated",
        "inner": "origin",
    }
    assert labels(compare(calls(OLD, 1, 1, A), calls(NEW, 2, 2, A)))["outer"] == "unproven"
    assert labels(compare(calls(OLD, 1, 1, A), calls(NEW, 1, 2, A))) == {"outer": "origin"}


def test_a_child_that_absorbed_its_arguments_leaves_the_parent_an_origin(
    trace: Make, node: Make
) -> None:
    def calls(code: Any, y: int, result: int) -> Any:
        child = node("inner", args={"y": y}, result=0, source=A)
        return trace(node("outer", child, args={"x": 1}, result=result, source=A), **code)

    assert labels(compare(calls(OLD, 1, 1), calls(NEW, 2, 2))) == {
        "outer": "origin",
        "inner": "absorbed",
    }


def test_a_child_that_came_or_went_leaves_the_parent_unproven(trace: Make, node: Make) -> None:
    child = node("inner", args={"y": 1}, result=0)
    old = trace(node("outer", child, args={"x": 1}, result=1, source=A), **OLD)
    new = trace(node("outer", args={"x": 1}, result=2, source=A), **NEW)
    assert labels(compare(old, new)) == {"outer": "unproven"}
    assert labels(compare(new, old)) == {"outer": "unproven"}


def test_drift_that_a_tolerance_accepts_still_carries(trace: Make, node: Make) -> None:
    def calls(code: Any, y: float, result: float) -> Any:
        child = node("inner", args={"y": 1}, result=y, source=A)
        return trace(node("outer", child, args={"x": 1}, result=result, source=A), **code)

    rules = [Tolerance(path="**/inner/result", abs=1)]
    found = compare(calls(OLD, 1.0, 1.0), calls(NEW, 1.1, 100.0), tolerances=rules)
    assert labels(found) == {"outer": "unproven", "inner": "unproven"}
    rules = [Tolerance(path="**/inner", ignore=True)]
    found = compare(calls(OLD, 1.0, 1.0), calls(NEW, 1.1, 100.0), tolerances=rules)
    assert labels(found) == {"outer": "unproven"}


def test_arguments_that_drifted_are_not_the_same(trace: Make, node: Make) -> None:
    old, new = (
        trace(node("f", args={"x": x}, result=r, source=A), **code)
        for code, x, r in ((OLD, 1.0, 1), (NEW, 1.1, 2))
    )
    rules = [Tolerance(path="f/args", abs=1)]
    assert labels(compare(old, new, tolerances=rules)) == {"f": "unproven"}


def test_a_block_sees_the_names_around_it(trace: Make, node: Make) -> None:
    def job(code: Any, rate: int, block: int, x: int = 1) -> Any:
        return trace(
            node(
                "f",
                node("rate", args={}, result=rate, source=A),
                node("section", node("block", result=block, source=A), source=A),
                args={"x": x},
                result=0,
                source=A,
            ),
            **code,
        )

    assert labels(compare(job(OLD, 1, 1), job(NEW, 1, 2))) == {"block": "origin"}
    assert labels(compare(job(OLD, 1, 1), job(NEW, 2, 2))) == {
        "rate": "origin",
        "block": "unproven",
    }
    assert labels(compare(job(OLD, 1, 1), job(NEW, 1, 2, x=2)))["block"] == "unproven"


def test_a_method_sees_its_object(trace: Make, node: Make) -> None:
    def job(code: Any, first: int, second: int, unit: str) -> Any:
        source = Source("a.py", 1, unit)
        return trace(
            node("first", args={"x": 1}, result=first, source=source),
            node("second", args={"x": 1}, result=second, source=source),
            **code,
        )

    for unit, label in (("a:Price.vat", "unproven"), ("a:vat", "origin")):
        found = labels(compare(job(OLD, 1, 1, unit), job(NEW, 2, 2, unit)))
        assert found == {"first": "origin", "second": label}
    inner = "a:Price.make.<locals>.vat"
    assert labels(compare(job(OLD, 1, 1, inner), job(NEW, 2, 2, inner)))["second"] == "origin"


NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def at(moment: datetime, code: Any = OLD) -> dict[str, Any]:
    nanoseconds = int(moment.timestamp()) * 10**9
    return {"about": {**code["about"], "started_at": nanoseconds, "duration": 10**9}}


def test_the_runs_own_clocks_are_no_difference(trace: Make, node: Make) -> None:
    later = NOON + timedelta(days=1)
    old = trace(node("f", args={}, result={"at": NOON}), result=NOON, **at(NOON))
    new = trace(node("f", args={}, result={"at": later}), result=later, **at(later))
    found = compare(old, new)
    assert labels(found) == {"f": "clock", "job": "clock"}
    assert all(one.within for one in found.divergences)
    assert (found.different, found.drift) == (False, 0)


@pytest.mark.parametrize(
    "moment",
    [
        NOON + timedelta(hours=1),
        NOON.replace(tzinfo=None),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
    ],
)
def test_other_instants_are(trace: Make, node: Make, moment: datetime) -> None:
    later = NOON + timedelta(days=1)
    old = trace(node("f", args={}, result=moment), **at(NOON))
    new = trace(node("f", args={}, result=later), **at(later))
    assert labels(compare(old, new)) == {"f": "hidden input"}


def test_a_clock_beside_a_real_difference_hides_nothing(trace: Make, node: Make) -> None:
    later = NOON + timedelta(days=1)
    old = trace(node("f", args={}, result=(NOON, 1)), **at(NOON))
    new = trace(node("f", args={}, result=(later, 2)), **at(later, NEW))
    assert labels(compare(old, new)) == {"f": "origin"}
    old = trace(node("f", args={}, result=(NOON, 1.0)), **at(NOON))
    new = trace(node("f", args={}, result=(later, 1.1)), **at(later, NEW))
    found = compare(old, new, tolerances=[Tolerance(abs=1)])
    assert (labels(found), found.drift) == ({"f": "unproven"}, 1)
