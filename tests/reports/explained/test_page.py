"""The page of an explanation: everything the terminal tells, and nothing that anybody can steer."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser

import pytest

from tracediff.reports.pages.explainview import explain_view
from tracediff.reports.pages.onefile import one_file
from tracediff.reports.text.canvas import Look
from tracediff.reports.text.explanation import explanation_lines

EMPTY = {"meta", "link", "br", "input", "path", "rect", "line"}


class Page(HTMLParser):
    """The elements of a page, what it says, and whether they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.said = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.said.append(" " if tag not in ("mark", "b") else "")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.said.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.said))


def page(found, **given):
    return Page(one_file("explain.html", scripted=False, view=explain_view(found, **given)))


def test_a_page_of_any_explanation_is_whole_and_carries_nothing_that_runs(any_explanation):
    found = page(any_explanation)
    names = {name for _, attributes in found.elements for name in attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}
    assert "script" not in {tag for tag, _ in found.elements}
    links = [of["href"] for tag, of in found.elements if tag == "a"]
    assert all(link.startswith("#cause-") for link in links)
    assert {f"#{of['id']}" for _, of in found.elements if "id" in of} >= set(links)


def test_a_page_says_what_the_terminal_says(any_explanation):
    said = page(any_explanation).text
    look = Look(now=0, width=10_000)
    for line in explanation_lines(any_explanation, look, every=True):
        for number in re.findall(r"[+-]\d+(?:\.\d+)?(?![\d.%])", line.plain):
            assert number in said, line.plain


def test_the_sum_stands_as_it_adds_up(explanation):
    assert "✓ +1.903 +0.512 -0.005 = +2.41 = 221.79 - 219.38" in page(explanation("pricing")).text


def test_a_sum_that_is_not_the_change_is_not_shown(explanation):
    found = explanation("pricing")
    wrong = replace(found.effects[0], shares=(Fraction(1), Fraction(1), Fraction(0)))
    said = page(replace(found, effects=(wrong,))).text
    assert "the shares do not add up to the change" in said
    assert "✓ +" not in said


def test_each_cause_has_its_code_commit_variable_and_way(explanation):
    said = page(explanation("pricing")).text
    for text in (
        '- "8518": Decimal("0.025"),', '+ "8518": Decimal("0.037"),', "pricing/duty.py:44",
        "4f1c09a Raise the duty on loudspeakers Ada Byron, 2024-05-02",
        "rounded: 3.115 → 3.12 pricing/rounding.py:16", "pricing.rounding:ROUND_HALF_EVEN",
        "Evaluating guards › Duty rate 0.025 → 0.037", "commodity/calculate/one 219.38 → 221.28",
    ):  # fmt: skip
        assert text in said


def test_what_cannot_run_apart_is_said_with_the_reason_and_its_parts(explanation):
    said = page(explanation("merged")).text
    assert "landed_cost passes an argument that only the new duty takes" in said
    assert "pricing.job:landed_cost function pricing/job.py:11" in said
    assert "10 more steps" in said
    assert "not committed yet" in said
    assert "reads something unrecorded: Clock" in said
    assert "noise result.at, output.Save.at" in said


def test_a_refusal_is_said_in_full_with_where_to_look(explanation):
    said = page(explanation("refused")).text
    assert "name what is random with td.input and record the trace again" in said
    assert "first divergence Duty rate '0.025' → '0.037'" in said
    assert "tracediff bisect" in said


def test_an_error_is_shared_out_in_parts_of_the_fact(explanation):
    said = page(explanation("indicator")).text
    assert "different error 219.38 → NoDuty: no duty for 8518" in said
    assert "✓ 67% 33% = 100%" in said
    assert "1 DUTY_RATES and 2 VOLUMETRIC_DIVISOR: +33.3% beyond each alone" in said


def test_every_field_has_a_row_with_the_part_of_each_cause(explanation):
    view = explain_view(explanation("fields"), choose=lambda field: f"?field={field}")
    assert [name for _, name in view.fields.columns] == [
        "DUTY_RATES", "VOLUMETRIC_DIVISOR", "to_cents", "LABEL",
    ]  # fmt: skip
    rows = {row.name: row for row in view.fields.rows}
    assert len(rows) == 16
    shipping = rows["result.shipping"]
    assert [(one.text, one.sign) for one in shipping.cells] == [
        ("·", ""), ("-1.50", "down"), ("·", ""), ("·", ""),
    ]  # fmt: skip
    assert shipping.link == "?field=result.shipping"
    assert rows["result.amount"].main
    assert rows["result.amount"].link is None


def test_a_step_leads_to_where_it_is_shown_if_it_is(explanation):
    view = explain_view(explanation("pricing"), link=lambda at: f"#{at}" if at == 21 else None)
    assert [one.link for one in view.causes[0].way] == [None, "#21", None, None, None]
    assert [one.last for one in view.causes[0].way] == [False, False, False, False, True]


def test_many_causes_are_all_there_and_few_are_open(explanation):
    view = explain_view(explanation("many"))
    assert len(view.causes) == 60
    assert sum(one.opened for one in view.causes) == 5
    assert len(view.picture.rows) == 32
    assert view.picture.rows[-2].name == "31 smaller causes"
    assert sum(len(one.hunks[0].lines) for one in view.causes) == 120


@pytest.mark.parametrize(
    "evil",
    ["</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\x1b[31m\u202eb\0c",
     "{{ 777*7777 }}{% raw %}", "\ud800\ufeff", "x" * 100_000, "&lt;b&gt;"],
)  # fmt: skip
def test_hostile_texts_are_inert_and_bounded(explaining, evil):
    text = one_file("explain.html", scripted=False, view=explain_view(explaining["hostile"](evil)))
    found = Page(text)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "img", "b&gt;"}
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800\ufeff]", text)
    assert "6042729" not in found.text
    assert len(text) < 400_000
