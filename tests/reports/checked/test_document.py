"""A check as JSON keeps to the schema that is shipped, and its sums are exact."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jsonschema
import pytest

from tracediff.checked import Checked
from tracediff.reports.check import check_document, check_schema

Checks = Callable[[str], Checked]


def closed(schema: Any) -> Any:
    """The schema, with every field that it does not name forbidden: none may go undescribed."""
    if isinstance(schema, dict):
        made = {name: closed(one) for name, one in schema.items()}
        if "properties" in made and isinstance(made.get("required"), list):
            made["additionalProperties"] = False
        return made
    return [closed(one) for one in schema] if isinstance(schema, list) else schema


def faults(document: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(closed(check_schema()))
    plain = json.loads(json.dumps(document, allow_nan=False))
    return [f"{one.json_path}: {one.message[:200]}" for one in validator.iter_errors(plain)]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(check_schema())


def test_every_document_keeps_to_the_schema(any_check: Checked) -> None:
    assert faults(check_document(any_check)) == []


def test_a_broken_document_does_not(checked: Checks) -> None:
    good = check_document(checked("everything"))
    assert faults(good) == []
    for wrong in (
        {"schema": "tracediff/check/2"}, {"passed": 1}, {"same": -1}, {"more": 1}, {"main": None},
        {"totals": [{**good["totals"][0], "change": "1/2"}]}, {"noise": [{"field": "x"}]},
        {"groups": [{**good["groups"][0], "change": {"id": "x"}}]},
        {"totals": [{**good["totals"][0], "change": {"exact": "0.5", "decimal": "0.5"}}]},
    ):  # fmt: skip
        assert faults({**good, **wrong}), wrong
    del good["groups"]
    assert faults(good) == ["$: 'groups' is a required property"]


@pytest.mark.parametrize("name", ["pricing", "accepted", "everything", "many"])
def test_sums_are_exact_and_add_up(name: str, checked: Checks) -> None:
    document = check_document(checked(name))
    assert document["totals"]
    for one in document["totals"]:
        parts = [
            Fraction(it["change"]["exact"])
            for group in document["groups"]
            for it in group["totals"]
            if it["field"] == one["field"]
        ]
        assert sum(parts) == Fraction(one["change"]["exact"])


def test_a_decimal_stands_beside_each_exact_amount(checked: Checks) -> None:
    totals = check_document(checked("pricing"))["totals"]
    result = next(one for one in totals if one["field"] == "result")
    assert result["change"] == {"exact": "-1499/50", "decimal": "-29.98"}
    enormous = check_document(checked("enormous"))["groups"][0]["totals"][0]["change"]
    assert enormous["decimal"].startswith("1.428571")
    assert enormous["decimal"].endswith("E+4999")


def test_all_of_a_check_is_there(checked: Checks) -> None:
    document = check_document(checked("everything"))
    assert document["passed"] is False
    assert document["unaffected"] == 1700
    assert document["reproduced"] == {"count": 19, "of": 20}
    assert document["stale"][0]["reason"] == "the new margins"
    assert document["failures"][0]["hint"] == "run it alone"
    first, second, third = document["groups"][:3]
    assert first["change"]["hunk"] == ["-VOLUMETRIC_DIVISOR = Decimal(5000)",
                                       "+VOLUMETRIC_DIVISOR = Decimal(6000)"]  # fmt: skip
    assert second["accepted"]["who"] == "Ada Byron"
    assert (second["passes"], first["passes"]) == (True, False)
    assert second["marks"][1]["ratio"] is None
    assert (third["exact"], third["change"]) == (False, None)
    assert document["groups"][4]["drift"] == ["result.label moves, and that was not accepted"]


@pytest.mark.parametrize("evil", [None, "", "x" * 100_000])
def test_hostile_text_stays_data(evil: str | None, checking: dict[str, Any]) -> None:
    text = checking["EVIL"] if evil is None else evil
    document = check_document(checking["hostile"](text))
    assert faults(document) == []
    assert document["groups"][0]["change"]["units"] == [text, text]
