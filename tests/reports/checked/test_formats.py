"""A check as JUnit XML, for GitHub and for GitLab: valid by their own schemas, and inert."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tracediff.checked import Checked
from tracediff.reports.clean import clean
from tracediff.reports.github import MOST, placed, workflow_commands
from tracediff.reports.gitlab import code_quality
from tracediff.reports.junit import junit_xml
from tracediff.reports.markdown import LIMIT, check_markdown

GOLDEN = Path(__file__).parents[1] / "golden"
SCHEMAS = Path(__file__).parent / "schemas"
Checks = Callable[[str], Checked]


def same_as(name: str, text: str) -> None:
    """Compare with the golden file; GOLDEN=write writes it instead."""
    file = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def junit() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd"))


def cases(text: str) -> dict[str, ET.Element]:
    found = ET.fromstring(text).findall("testsuite/testcase")
    named = {f"{one.get('classname')} {one.get('name')}": one for one in found}
    assert len(named) == len(found)
    return named


def test_junit_keeps_to_jenkins_schema(any_check: Checked, junit: xmlschema.XMLSchema) -> None:
    text = junit_xml(any_check)
    assert text.isascii()
    junit.validate(text)
    suite = ET.fromstring(text).find("testsuite")
    assert suite is not None
    tests = suite.findall("testcase")
    assert int(suite.get("tests", "")) == len(tests) > 0
    for kind in ("failure", "error"):
        count = sum(one.find(kind) is not None for one in tests)
        assert int(suite.get(f"{kind}s", "")) == count


def test_what_is_no_junit_is_told(checked: Checks, junit: xmlschema.XMLSchema) -> None:
    text = junit_xml(checked("pricing"))
    for wrong in (text.replace(' tests="', ' test="'), text.replace("<failure", "<failed")):
        assert not junit.is_valid(wrong.replace("</failure", "</failed") if "failed" in wrong
                                  else wrong)  # fmt: skip


def test_junit_has_a_test_a_cause_a_gate_and_a_failure(checked: Checks) -> None:
    text = junit_xml(checked("everything"))
    same_as("check-everything.junit.xml", text)
    found = cases(text)
    names = list(found)
    assert names[0].startswith("pricing.weights VOLUMETRIC_DIVISOR [")
    failure = found[names[0]].find("failure")
    assert failure is not None
    assert "-75.25" in failure.get("message", "")
    assert "+VOLUMETRIC_DIVISOR = Decimal(6000)" in (failure.text or "")
    assert found[names[1]].find("failure") is None
    assert "the customs tariff" in found[names[1]].findtext("system-out", "")
    assert "tracediff check N traces differ, and at most N may" in found
    error = found["commodity/calculate/one replay of 1m8b2xrnf00000000001"].find("error")
    assert error is not None
    assert error.get("message") == "the replay took longer than 60 s"


def test_junit_fails_only_where_the_check_does(checked: Checks) -> None:
    for name in ("passing", "accepted"):
        assert "<failure" not in junit_xml(checked(name))
    assert "<failure" not in junit_xml(replace(checked("pricing"), broken=()))
    assert list(cases(junit_xml(checked("passing")))) == ["tracediff check gates"]


def test_failures_that_are_not_listed_count_in_junit(checked: Checks) -> None:
    found = replace(checked("everything"), failed=250)
    assert "247 more traces could not be replayed" in junit_xml(found)


ISSUES = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "additionalProperties": False,
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "additionalProperties": False,
                "properties": {
                    "path": {"type": "string", "pattern": "^(?!/|\\./|\\.\\./)."},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "additionalProperties": False,
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}
"""What GitLab's documentation asks of a code quality report, whose own schema is not published."""


def test_gitlab_gets_what_it_asks_for(any_check: Checked) -> None:
    issues = code_quality(any_check)
    jsonschema.Draft202012Validator(ISSUES).validate(json.loads(json.dumps(issues)))
    prints = [one["fingerprint"] for one in issues]
    assert len(set(prints)) == len(prints)


def test_gitlab_knows_a_cause_again_wherever_it_is(checked: Checks) -> None:
    found = checked("everything")
    same_as("check-everything.gitlab.json", json.dumps(code_quality(found), indent=1) + "\n")
    first = found.groups[0]
    assert first.change is not None
    moved = replace(first, change=replace(first.change, line=99), count=1)
    again = code_quality(replace(found, groups=(moved, *found.groups[1:])))
    before = code_quality(found)
    assert [one["fingerprint"] for one in again] == [one["fingerprint"] for one in before]
    assert again[0]["location"]["lines"]["begin"] == 99
    assert [one["severity"] for one in before[:3]] == ["major", "info", "major"]


COMMAND = re.compile(r"::(error|warning|notice) ((?:\w+=[^,:\r\n]+,?)+)::([^\r\n]*)")


def read(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as GitHub's runner reads it (ActionCommand.cs)."""
    found = COMMAND.fullmatch(line)
    assert found is not None, line
    properties = dict(one.split("=", 1) for one in found[2].split(","))
    for code, char in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        properties = {name: value.replace(code, char) for name, value in properties.items()}
    data = found[3]
    for code, char in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        data = data.replace(code, char)
    return found[1], properties, data


def test_github_reads_every_line_as_one_annotation(any_check: Checked) -> None:
    levels = [read(line) for line in workflow_commands(any_check)]
    for level in ("error", "warning", "notice"):
        assert sum(one[0] == level for one in levels) <= MOST
    for _, properties, data in levels:
        assert set(properties) <= {"file", "line", "title"}
        assert clean(properties["title"]) == properties["title"]
        assert all(clean(line) == line for line in data.split("\n"))


def test_annotations_stand_at_the_changed_lines(checked: Checks) -> None:
    lines = list(workflow_commands(checked("everything"), "services/pricing/"))
    same_as("check-everything.github.txt", "\n".join(lines) + "\n")
    found = [read(line) for line in lines]
    assert found[0][1] == {"title": "tracediff check: a gate is broken"}
    assert found[2][0] == "error"
    assert found[2][1]["file"] == "services/pricing/pricing/weights.py"
    assert found[2][1]["line"] == "13"
    assert "241.0% of all" in found[2][2]
    (notice,) = (one for one in found if one[0] == "notice")
    assert notice[1]["title"] == "accepted, DUTY_RATES +45.50"
    assert sum(one[0] == "warning" for one in found) == 2


def test_more_annotations_than_github_shows_are_counted(ten_thousand: Checked) -> None:
    lines = list(workflow_commands(ten_thousand))
    assert len(lines) == MOST
    assert "and 9,992 more: " in lines[-1]


def test_causes_that_gates_let_pass_are_notices(checked: Checks) -> None:
    found = replace(checked("pricing"), broken=())
    assert {read(line)[0] for line in workflow_commands(found)} == {"notice"}
    assert list(workflow_commands(checked("passing"))) == []


@pytest.mark.parametrize(
    ("file", "below", "path"),
    [("a/b.py", "", "a/b.py"), ("a/b.py", "x/", "x/a/b.py"), ("../b.py", "x/", "b.py"),
     ("../../b.py", "x/", ""), ("/etc/passwd", "", ""), ("", "x/", ""), ("..", "x/", "")],
)  # fmt: skip
def test_paths_are_from_the_repository(file: str, below: str, path: str) -> None:
    assert placed(file, below) == path


class Tags(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.given: set[tuple[str, str]] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.given |= {(tag, name) for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(text: str) -> Tags:
    page = Tags()
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    page.feed(reader.render(text))
    return page


SEEN = {
    "code", "details", "h2", "h3", "li", "p", "pre", "strong", "summary", "table", "tbody", "td",
    "th", "thead", "tr", "ul",
}  # fmt: skip


def inert(page: Tags) -> None:
    assert page.tags <= SEEN
    assert page.given <= {("code", "class"), ("td", "style"), ("th", "style")}


def test_markdown_is_nothing_but_what_it_is_meant_to_be(any_check: Checked) -> None:
    inert(rendered(check_markdown(any_check)))


def test_the_summary_looks_as_it_did(checked: Checks) -> None:
    text = check_markdown(checked("everything"))
    same_as("check-everything.md", text)
    page = rendered(text)
    for part in ("300 traces replayed: 77 the same", "result moves by -31.23", "DUTY_RATES",
                 "✅ accepted", "-75.25 +45.50 -1.25 -0.23 = -31.23", "pricing/weights.py:13",
                 "+VOLUMETRIC_DIVISOR = Decimal(6000)", "beyond what was accepted"):  # fmt: skip
        assert part in page.text, part


def test_no_line_ends_the_fence_that_it_stands_in(checking: dict[str, Any]) -> None:
    ticks = checking["change"]("m:f", "m.py", 1, "-```", "+`````", "`````` x", "</details>")
    found = checking["check"](
        (checking["group"](ticks, (checking["total"]("result", [1]),),
                           checking["changed"](1, "1", "2")),)
    )  # fmt: skip
    text = check_markdown(found)
    assert "```````diff\n" in text
    page = rendered(text)
    inert(page)
    assert "</details>" in page.text


def test_a_long_summary_is_cut_and_says_so(ten_thousand: Checked) -> None:
    whole, cut = (check_markdown(ten_thousand, limit) for limit in (LIMIT, 30_000))
    assert "… and 9,800 more causes" in whole
    assert len(whole.encode()) <= LIMIT
    assert len(cut.encode()) <= 30_000
    inert(rendered(cut))
    assert cut.endswith("`--format json` has all of it.\n")


def test_where_there_is_no_room_there_is_no_summary(checked: Checks) -> None:
    assert check_markdown(checked("pricing"), 10) == "\nThe rest "
    assert check_markdown(checked("pricing"), -5) == ""


@settings(max_examples=25)
@given(evil=st.text(max_size=60))
def test_whatever_text_there_is_every_format_is_valid(
    evil: str, checking: dict[str, Any], junit: xmlschema.XMLSchema
) -> None:
    found = checking["hostile"](evil)
    junit.validate(junit_xml(found))
    inert(rendered(check_markdown(found)))
    for line in workflow_commands(found):
        read(line)
    jsonschema.Draft202012Validator(ISSUES).validate(code_quality(found))


def test_long_texts_are_cut(checking: dict[str, Any]) -> None:
    found = checking["hostile"]("x" * 1_000_000)
    sizes = (
        len(junit_xml(found)),
        len(check_markdown(found)),
        len("".join(workflow_commands(found))),
    )
    assert max(sizes) < 200_000
