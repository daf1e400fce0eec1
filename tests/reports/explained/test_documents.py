"""An explanation as JSON and as SVG: one keeps to its schema, the other can be read by anyone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff import explained
from tracediff.explained import Explanation
from tracediff.reports.explanation import exact, explanation_document, explanation_schema
from tracediff.reports.svg import WIDTH, waterfall_svg

EVIL = "</svg><script>x</script>\"'&\x1b[2J\x00\u202egnp.\u200b\ud800\ufffe]]>\t\r\n漢" * 3
SVG = "{http://www.w3.org/2000/svg}"
TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
    "null": type(None),
}  # fmt: skip


def faults(
    found: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$"
) -> Iterator[str]:
    """Where a document breaks its schema, or has a field that the schema does not know."""
    if "$ref" in schema:
        yield from faults(found, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
        return
    if "anyOf" in schema:
        if all(list(faults(found, one, root, at)) for one in schema["anyOf"]):
            yield f"{at}: none of the alternatives"
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    right = any(isinstance(found, TYPES[one]) for one in kinds)
    if kinds and (not right or (isinstance(found, bool) and "boolean" not in kinds)):
        yield f"{at}: {found!r} is no {kinds}"
        return
    if "const" in schema and found != schema["const"]:
        yield f"{at}: {found!r}"
    if "enum" in schema and found not in schema["enum"]:
        yield f"{at}: {found!r}"
    if "pattern" in schema and not re.search(schema["pattern"], found):
        yield f"{at}: {found!r}"
    if found is not None and "minimum" in schema and found < schema["minimum"]:
        yield f"{at}: {found!r}"
    if isinstance(found, list):
        if not schema.get("minItems", 0) <= len(found) <= schema.get("maxItems", len(found)):
            yield f"{at}: {len(found)} items"
        for index, one in enumerate(found):
            yield from faults(one, schema.get("items", {}), root, f"{at}[{index}]")
    if isinstance(found, dict) and "properties" in schema:
        known = schema["properties"]
        yield from (f"{at}: no {name}" for name in schema["required"] if name not in found)
        if not at.endswith(".first"):  # a divergence has its own document
            yield from (f"{at}: {name} is unknown" for name in found if name not in known)
        for name, one in found.items():
            yield from faults(one, known.get(name, {}), root, f"{at}.{name}")


def valid(document: Any) -> None:
    schema = explanation_schema()
    assert list(faults(json.loads(json.dumps(document)), schema, schema)) == []


def test_every_document_keeps_to_the_schema(any_explanation: Explanation) -> None:
    valid(explanation_document(any_explanation))


def test_a_broken_document_does_not(explanation: Callable[[str], Explanation]) -> None:
    schema = explanation_schema()
    good = explanation_document(explanation("pricing"))
    for change in (
        {"different": 1}, {"schema": "tracediff/explain/2"}, {"idle": -1}, {"method": "guess"},
        {"more": 1}, {"data": [{"effect": 0, "data": "0.5", "code": "1/2"}]}, {"refused": 5},
        {"causes": [{**good["causes"][0], "line": {"file": "x"}}]},
    ):  # fmt: skip
        assert list(faults({**good, **change}, schema, schema)), change
    del good["causes"]
    assert list(faults(good, schema, schema)) == ["$: no causes"]


def test_the_schema_knows_every_kind_of_unit() -> None:
    schema = explanation_schema()
    assert schema["$defs"]["unit"]["properties"]["kind"]["enum"] == [*get_args(explained.UnitKind)]
    assert schema["properties"]["method"]["enum"] == [*get_args(explained.Method)]
    assert schema["properties"]["schema"]["const"] == "tracediff/explain/1"


def test_shares_are_exact_and_add_up(any_explanation: Explanation) -> None:
    document = explanation_document(any_explanation)
    for effect in document["effects"]:
        shares = [Fraction(one["exact"]) for one in effect["shares"]]
        assert sum(shares) == Fraction(effect["change"]["exact"])
        assert len(shares) == len(document["causes"])


def test_everything_of_a_cause_is_there(explanation: Callable[[str], Explanation]) -> None:
    document = explanation_document(explanation("merged"))
    first, second = document["causes"]
    assert first["merged"] == "landed_cost passes an argument that only the new duty takes"
    assert first["units"][0]["name"] == "pricing.duty:duty"
    assert first["commits"][0]["date"] == "2024-05-01T00:00:00+00:00"
    assert first["travelled"][2] == {
        "path": ["Shipping", "Leg 2", "Rate"], "old": "2.10", "new": "2.25", "step": 2,
    }  # fmt: skip
    assert second["commits"] == [
        {"line": 14, "commit": None, "author": "", "date": None, "subject": "uncommitted"}
    ]
    assert second["variable"]["new_source"]["line"] == 14
    assert second["hunks"][0]["old_path"] == "pricing/tax.py"
    assert document["certificate"]["unrecorded"] == [["Clock"]]
    assert document["noise"] == ["result.at", "output.Save.at"]
    assert document["old"]["id"] == "1m8a4t9p5fyvc278jm1f"
    data = explanation_document(explanation("fields"))["data"]
    assert data == [{"effect": 0, "data": "5117/10000", "code": "18983/10000"}]


def test_amounts_of_any_length_are_written() -> None:
    assert exact(Fraction(-5, 10)) == "-1/2"
    schema = explanation_schema()
    huge = exact(Fraction(-(10**5000), 7))
    assert re.search(schema["$defs"]["exact"]["pattern"], huge)
    top, bottom = huge.split("/")
    assert Fraction(int(top, 16), int(bottom, 16)) == Fraction(-(10**5000), 7)


@pytest.mark.parametrize("evil", [EVIL, "", "x" * 100_000])
def test_hostile_text_stays_data(evil: str, explaining: dict[str, Any]) -> None:
    document = explanation_document(explaining["hostile"](evil))
    valid(document)
    assert document["causes"][0]["units"][0]["name"] == evil


def picture(found: Explanation) -> ET.Element:
    text = waterfall_svg(found)
    assert text.isascii()
    return ET.fromstring(text)


def words(root: ET.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{SVG}text")]


def test_the_picture_is_accessible_and_self_contained(any_explanation: Explanation) -> None:
    text = waterfall_svg(any_explanation)
    root = picture(any_explanation)
    assert root.get("role") == "img"
    title, told = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert told is not None
    assert title.text
    assert told.text
    assert root.get("aria-labelledby") == f"{title.get('id')} {told.get('id')}"
    assert "prefers-color-scheme:dark" in text
    for forbidden in (
        "<script",
        "href",
        "@import",
        "@font-face",
        "<image",
        "<foreignObject",
        " on",
    ):
        assert forbidden not in re.sub(r">[^<]*<", "><", text)
    assert re.findall(r"url\(([^)]*)\)", text) in ([], *([f"#{root.get('class')}-down"] * n
                                                        for n in range(1, 20)))  # fmt: skip


def test_bars_lie_in_the_frame_and_meet(any_explanation: Explanation) -> None:
    root = picture(any_explanation)
    *_, height = map(float, root.get("viewBox", "").split())
    bars = [one for one in root.findall(f"{SVG}rect") if one.get("x")]
    spans = [(float(b.get("x", "")), float(b.get("x", "")) + float(b.get("width", "")))
             for b in bars]  # fmt: skip
    for (left, right), bar in zip(spans, bars, strict=True):
        assert 0 <= left < right <= WIDTH
        assert 0 < float(bar.get("y", "")) < height
    for one in root.iter(f"{SVG}text"):
        x, size = float(one.get("x", "")), len(one.text or "") * 6.6
        assert 0 <= x <= WIDTH
        assert 0 < float(one.get("y", "")) < height
        if one.get("text-anchor") is None:
            assert x + size <= WIDTH + 1
    if not any_explanation.effects:
        assert spans == []
        return
    at = spans[0][1] if any_explanation.effects[0].kind == "number" else spans[0][0]
    for left, right in spans[1:-1] if any_explanation.effects[0].kind == "number" else spans[:-1]:
        assert min(abs(left - at), abs(right - at)) <= 2
        at = right if abs(left - at) <= abs(right - at) else left
    assert abs(spans[-1][1] - at) <= 2


def test_bars_end_where_the_axis_says(explanation: Callable[[str], Explanation]) -> None:
    root = picture(explanation("pricing"))
    ticks = {
        Fraction(one.text or ""): float(one.get("x", ""))
        for one in root.iter(f"{SVG}text")
        if one.get("text-anchor") == "middle"
    }
    (low, left), *_, (high, right) = sorted(ticks.items())
    values = ["219.38", "221.2833", "221.795", "221.79", "221.79"]
    scale = (right - left) / float(high - low)
    ends = [left + float(Fraction(one) - low) * scale for one in values]
    bars = [one for one in root.findall(f"{SVG}rect") if one.get("x")]
    for bar, end in zip(bars, ends, strict=True):
        edge = float(bar.get("x", ""))
        if bar.get("class") != "down":
            edge += float(bar.get("width", ""))
        assert abs(edge - end) < 1


def test_the_picture_says_in_words_what_it_shows(
    explanation: Callable[[str], Explanation],
) -> None:
    root = picture(explanation("sampled"))
    title, told = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc") or ""
    assert title == "Why result changed from 219.38 to 221.79"
    assert "DUTY_RATES +1.903 (±0.021, 79.0%) at pricing/duty.py:44" in told
    assert "add up to +2.41" in told
    assert "the axis does not begin at zero" in words(root)
    assert "the axis does not begin at zero" not in words(picture(explanation("indicator")))


def test_pictures_on_one_page_do_not_disturb_each_other(
    explanation: Callable[[str], Explanation],
) -> None:
    first, second = (picture(explanation(name)).get("class") for name in ("pricing", "fields"))
    assert first != second
    rules = waterfall_svg(explanation("pricing")).partition("<style>")[2].partition("</style>")[0]
    for selector in re.findall(r"(?:^|[}{])([^{}@]+)\{", rules):
        assert all(part.startswith(f".{first}") for part in selector.strip().split(",")), selector


def test_a_picture_without_an_attribution_says_why(
    explanation: Callable[[str], Explanation],
) -> None:
    assert words(picture(explanation("refused")))[0] == "No attribution"
    assert "differs on every run" in words(picture(explanation("refused")))[1]
    assert words(picture(explanation("unchanged")))[0] == "There is no change to explain"


@pytest.mark.parametrize("evil", [EVIL, "", "x" * 1_000_000])
def test_hostile_text_stays_text(evil: str, explaining: dict[str, Any]) -> None:
    root = picture(explaining["hostile"](evil))
    tags = {one.tag.removeprefix(SVG) for one in root.iter()}
    assert tags == {"svg", "title", "desc", "style", "defs", "pattern", "rect", "path", "text"}


@settings(max_examples=25)
@given(evil=st.text(max_size=60))
def test_whatever_text_there_is_the_picture_is_xml(evil: str, explaining: dict[str, Any]) -> None:
    picture(explaining["hostile"](evil))
