"""The pages of jobs that run and of traces that were lost."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tracediff import values
from tracediff.model import Step, Value
from tracediff.reports.pages.onetrace import trace_html
from tracediff.testing import make_parts, make_trace

LINES = 900
STEPS = (
    Step(parent=-1, kind="job", name="import", duration=LINES, result=Value(values.encode(7))),
    *(Step(parent=0, kind="step", name=f"rule {at}", start=at) for at in range(1, LINES)),
)
WHOLE = make_trace("abc", key="shop/import", steps=STEPS, artifacts=(), duration=LINES)
PARTS = make_parts(WHOLE, 10)


@pytest.fixture
def shop(made, site, signed_in):
    """A project with an ended trace, and a client of its pages."""
    project = made(make_trace("old", key="shop/import", started_at=1))
    return project, signed_in(site(project))


def lines(answer):
    return [int(one) for one in re.findall(r'id="line-(\d+)"', answer.text)]


def told(answer):
    """What the page's script reads of it first."""
    return dict(re.findall(r'data-(parts|state|total|again)="(\w+)"', answer.text))


def test_the_page_of_a_running_trace_says_so_and_offers_what_it_can(shop):
    project, client = shop
    project.store.save_parts(PARTS[:1])
    page = client.get("/trace/abc").text
    assert '<span class="warn">running for 0 ns when last heard of; not heard of for' in page
    assert 'data-source="/trace/abc/growth" data-parts="1"' in page
    assert "/following.js" in page
    assert "tracediff show abc --follow" in page
    assert "/explain/abc" not in page
    assert "/compare/old/abc" not in page
    assert 'href="/trace/old"' in page


def test_what_has_grown_is_sent_and_only_new_parts_are_read(shop, monkeypatch):
    project, client = shop
    asked, load_parts = [], project.store.load_parts

    def noted(row, first=0):
        asked.append(first)
        return load_parts(row, first)

    monkeypatch.setattr(project.store, "load_parts", noted)
    monkeypatch.setattr(project.store, "load", None)  # nobody asks for the whole of it
    project.store.save_parts(PARTS[:2])
    assert client.get("/trace/abc").status_code == 200
    same = client.get("/trace/abc/growth?parts=2&lines=101")
    assert told(same) == {"parts": "2", "state": "running", "total": "101"}
    assert lines(same) == []
    assert 'class="piece"' not in same.text
    project.store.save_parts(PARTS[2:4])
    grown = client.get("/trace/abc/growth?parts=2&lines=101")
    assert told(grown)["total"] == "301"
    assert lines(grown) == list(range(101, 301))
    assert re.findall(r'data-first="(\d+)" data-count="(\d+)"', grown.text) == [
        ("0", "200"), ("200", "101"),
    ]  # fmt: skip
    assert asked == [0, 2]
    project.store.save_parts(PARTS[4:])
    far = client.get("/trace/abc/growth?parts=2&lines=101")
    assert told(far) == {"parts": "10", "state": "success", "total": str(LINES)}
    assert len(lines(far)) == 400
    assert "/explain/abc" in far.text
    assert asked == [0, 2, 4]


def test_lines_that_are_others_by_now_are_loaded_anew(shop):
    project, client = shop
    project.store.save_parts(PARTS[:2])
    assert told(client.get("/trace/abc/growth?parts=5&lines=900"))["again"] == "1"


def test_what_needs_the_end_of_a_trace_is_refused_with_what_to_do(shop):
    project, client = shop
    project.store.save_parts(PARTS[:2])
    for path in ("/compare/abc", "/compare/old/abc", "/explain/abc", "/list/before/abc"):
        answer = client.get(path)
        assert answer.status_code == 409
        assert "of a job that still runs" in answer.text
        assert "tracediff show abc --follow" in answer.text


def test_a_running_row_says_when_it_was_heard_of_and_goes_when_it_is_taken_back(shop):
    project, client = shop
    project.store.save_parts(PARTS[:2])
    listed = client.get("/?state=running").text
    assert 'data-state="running" data-parts="2"' in listed
    assert "not heard of for" in listed
    assert "/list/before/abc" not in listed
    assert 'id="t-abc"' in client.get("/list/new?id=abc&newest=1").text
    project.store.ignore(["abc"])
    assert 'id="t-abc"' not in client.get("/list/new?id=abc&newest=1").text
    assert client.get("/trace/abc/growth?parts=2&lines=101").status_code == 404


@pytest.mark.parametrize(
    ("state", "said"),
    [("running", "running for"), ("lost", "lost after 300 ns: its process ended before its job")],
)
def test_one_file_says_that_the_end_is_not_in_it(state, said):
    steps = (replace(STEPS[0], state="running", open=True, result=None), *STEPS[1:300])
    page = trace_html(replace(WHOLE, state=state, steps=steps, duration=300), now=10**18)
    assert said in page
    assert "This file holds what was recorded until then" in page
    assert "<script src" not in page
    assert "/explain/" not in page
