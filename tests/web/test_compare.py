"""The comparison page: two stored traces, a trace and its replay, and what each says."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tracediff import values
from tracediff.api import Project
from tracediff.model import ErrorInfo, Step, Value
from tracediff.reports.text.canvas import Look, paint
from tracediff.reports.text.comparison import comparison_lines
from tracediff.testing import make_trace
from tracediff.web.running import Subject


def value(thing):
    return Value(values.encode(thing))


class Said(HTMLParser):
    """The texts of a page, and its elements."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.elements = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def said(answer):
    assert answer.status_code == 200, answer.text[-3000:]
    return Said(answer.text).text


@pytest.fixture
def two(made, site, signed_in):
    """A client of two traces ``old`` and ``new``: the same but for what is given of the new one."""

    def two(old=None, **given):
        old = old or make_trace("old", key="price/one")
        new = replace(old, id="new", started_at=old.started_at + 60_000_000_000, **given)
        return signed_in(site(made(old, new)))

    return two


@pytest.fixture(scope="session")
def stored(demo_project):
    """The ids of two traces of the demo: the last, and another one."""
    first, second, *_ = demo_project.search(_query(demo_project)).rows
    return second.id, first.id


def _query(project):
    from tracediff.model import Query

    return Query(limit=5)


def test_equal_traces_are_said_to_be_the_same_at_once(two):
    page = two().get("/compare/old/new")
    text = said(page)
    assert "✓ same 3 steps unchanged" in text
    assert "first divergence" not in text
    assert 'data-folded="1"' in page.text


def test_the_verdict_has_the_words_of_the_terminal(two):
    steps = make_trace(result=21).steps
    client = two(steps=steps)
    page = client.get("/compare/old/new")
    assert "✗ different result 19 → 21 +2 +10.53%" in said(page)
    assert 'href="/explain/old?other=new"' in page.text


def test_what_a_page_says_of_two_traces_the_terminal_says(demo_project, client, stored):
    comparison = demo_project.compare(*(demo_project.resolve(one) for one in stored))
    shown = paint(
        comparison_lines(comparison, Look(now=time.time_ns(), width=160)), Look(now=0, width=160)
    )
    text = said(client.get("/compare/{}/{}".format(*stored)))
    meaning = re.search(r"(same|its own|it was|only|the new) [^│]*[^│ ]", shown).group()
    assert meaning in text
    verdict = next(line for line in shown.splitlines() if "✗ different" in line)
    assert " ".join(verdict.split()) in text


def test_one_side_that_ends_in_an_error_shows_it(two):
    steps = make_trace().steps
    error = ErrorInfo(type="shop:NoRateError", message="no rate for SK")
    broken = (replace(steps[0], error=error, result=None, state="error"), *steps[1:])
    text = said(two(steps=broken, state="error").get("/compare/old/new"))
    assert "✗ different how it ends" in text
    assert "NoRateError: no rate for SK" in text


def test_traces_of_two_jobs_show_both_keys(two):
    text = said(two(key="tax/other", job="tax:work").get("/compare/old/new"))
    assert "price/one(store_id=7, product_id=42) tax/other(store_id=7, product_id=42)" in text


def test_what_is_tolerated_is_told_with_the_rule_that_did(made, site, signed_in, tmp_path):
    def rated(rate):
        steps = make_trace().steps
        return (steps[0], replace(steps[1], result=value(rate)), *steps[2:])

    project = made(make_trace("old", steps=rated(100.0)), make_trace("new", steps=rated(100.5)))
    settings = project.config.root / "pyproject.toml"
    settings.write_text(
        '[tool.tracediff]\n[[tool.tracediff.tolerance]]\npath = "rate/**"\nrel = 0.01\n'
        '[[tool.tracediff.tolerance]]\npath = "guard"\nignore = true\n'
    )
    from tracediff.api import open_project

    with open_project(start=project.config.root) as project:
        page = signed_in(site(project)).get("/compare/old/new")
    text = said(page)
    assert "1 difference lies within a tolerance" in text
    assert "rate/** rel 0.01 1 field within tolerance, worst 0.5 of its limit" in text
    assert "guard ignore whatever is there, uncounted" in text
    assert 'data-filter="within-tolerance"' in page.text


def test_a_pair_shows_both_sides_in_full(two):
    steps = make_trace().steps
    other = (steps[0], replace(steps[1], args=value({"c": "CZ"}), result=value(0.21)), *steps[2:])
    client = two(steps=other)
    text = said(client.get("/compare/old/new/pair/1"))
    assert "args c ' SK ' ' CZ '" in text
    assert "result 0.2 0.21 +0.01 +5.00%" in text
    assert client.get("/compare/old/new/pair/99").status_code == 404


def test_the_values_of_a_pair_open_level_by_level(two):
    steps = make_trace().steps
    wide = {"rows": [{"nth": at} for at in range(1_000)]}
    other = (steps[0], replace(steps[1], result=value(wide)), *steps[2:])
    client = two(steps=other)
    page = client.get("/compare/old/new/pair/1").text
    sources = re.findall(r'data-src="([^"]*)"', page)
    level = client.get(sources[0].replace("&amp;", "&"))
    assert "nth" in said(level)
    assert "more item" in said(level)
    at = "/compare/old/new/pair/1"
    assert client.get(f"{at}/old/result?path=[0]").status_code == 400
    for path in ("/new/nothing", "/other/result", "/old/key"):
        assert client.get(f"{at}{path}").status_code == 404
    assert client.get("/compare/old/new/pair/99/old/result").status_code == 404


def test_numbers_of_a_trace_that_was_cut_lead_nowhere(made, site, signed_in):
    whole = make_trace("a", depth="steps")
    lone = tuple(replace(one, parent=min(one.parent, 0))
                 for one in whole.steps if one.kind in ("job", "input", "output"))  # fmt: skip
    client = signed_in(site(made(whole, make_trace("b", steps=lone, depth="inputs"))))
    assert "compared at 'inputs'" in said(client.get("/compare/a/b"))
    page = client.get("/compare/a/b/pair/2").text
    assert "/trace/b#line-2" in page
    assert "/trace/a#" not in page


def test_lines_come_in_pieces_and_leave_none_out(made, site, signed_in):
    def wide(result):
        job = make_trace().steps[0]
        return (job, *(Step(parent=0, kind="step", name=f"s{at}", result=value(at * result))
                       for at in range(1_000)))  # fmt: skip

    client = signed_in(site(made(make_trace("a", steps=wide(1)), make_trace("b", steps=wide(2)))))
    page = client.get("/compare/a/b").text
    pieces = [given for _, given in Said(page).elements if "data-first" in given]
    assert [int(one["data-first"]) for one in pieces] == [0, 200, 400, 600, 800, 1000]
    assert "s398" in page
    assert ">s700<" not in page
    numbers = []
    for one in pieces:
        lines = re.findall(r'id="line-(\d+)"', client.get(one["data-src"]).text)
        assert len(lines) == int(one["data-count"])
        numbers += map(int, lines)
    assert numbers == list(range(1_001))
    assert client.get("/compare/a/b/lines?from=x").status_code == 400
    assert client.get("/compare/a/b", params={"from": 700}).text.count(">s700<") == 2


def test_a_search_finds_names_arguments_and_results(two):
    client = two(steps=make_trace(result=21).steps)
    assert client.get("/compare/old/new/find", params={"q": "RATE"}).json()["lines"]
    assert client.get("/compare/old/new/find", params={"q": "21"}).json()["lines"]
    assert client.get("/compare/old/new/find", params={"q": "nothing such"}).json() == {
        "lines": [], "said": "",
    }  # fmt: skip


def test_a_comparison_is_made_once_however_many_ask(two, monkeypatch):
    client, made = two(), []
    compare = Project.compare

    def counted(self, *given, **more):
        made.append(given)
        time.sleep(0.05)
        return compare(self, *given, **more)

    monkeypatch.setattr(Project, "compare", counted)
    answers = []

    def ask():
        answers.append(client.get("/compare/old/new").status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert answers == [200] * 4
    client.get("/compare/old/new/lines")
    assert len(made) == 1


def test_more_comparisons_at_once_than_there_is_room_for_are_refused(
    made, site, signed_in, monkeypatch
):
    client = signed_in(site(made(*(make_trace(f"t{at}") for at in range(4)))))
    compare, go = Project.compare, threading.Event()

    def slow(self, *given, **more):
        assert go.wait(60)
        return compare(self, *given, **more)

    monkeypatch.setattr(Project, "compare", slow)
    monkeypatch.setattr("tracediff.web.comparisons._PATIENCE", 0.05)
    answers = []
    threads = [
        threading.Thread(target=lambda at=at: answers.append(client.get(f"/compare/t0/t{at}")))
        for at in (1, 2, 3)
    ]
    for one in threads:
        one.start()
    deadline = time.monotonic() + 60
    while not answers and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [one.status_code for one in answers] == [503]
    assert "ask again" in answers[0].text
    go.set()
    for one in threads:
        one.join()
    assert sorted(one.status_code for one in answers) == [200, 200, 503]
    assert [client.get(f"/compare/t0/t{at}").status_code for at in (1, 2, 3)] == [200] * 3


GONE = ["old/none", "none/new", "none", "old/run-0", "old/none/lines"]


@pytest.mark.parametrize("path", GONE)
def test_what_is_not_there_is_not_found(two, path):
    assert two().get(f"/compare/{path}").status_code == 404


HOSTILE = "<script>alert(1)</script>\u202egnp\u2066\x1b[31m\"'><img src=x onerror=alert(1)>{{7*7}}"


def test_whatever_traces_hold_is_inert(made, site, signed_in):
    def hostile(result):
        error = ErrorInfo(type=HOSTILE, message=HOSTILE, traceback=HOSTILE)
        text = {HOSTILE: HOSTILE + str(result)}
        job = replace(make_trace().steps[0], name=HOSTILE, args=value(text), result=value(text))
        return (
            job,
            Step(parent=0, kind="step", name=HOSTILE + str(result), args=value(text), error=error),
            Step(parent=0, kind="note", name=HOSTILE + str(result)),
            Step(parent=0, kind="input", name=HOSTILE, result=value(text)),
        )

    more = {"key": f"a/{HOSTILE}", "meta": HOSTILE, "tags": (HOSTILE,), "warnings": (HOSTILE,)}
    project = made(*(make_trace(one, steps=hostile(one), **more) for one in "ab"))
    client = signed_in(site(project))
    pages = ["/compare/a/b", *(f"/compare/a/b/pair/{at}" for at in range(4)), "/compare/a"]
    for path in pages:
        text = client.get(path).text
        elements = Said(text).elements
        names = {name for _, given in elements for name in given}
        assert "img" not in {tag for tag, _ in elements}, path
        assert not any(one.startswith("on") or one == "style" for one in names), path
        assert all("src" in given for tag, given in elements if tag == "script"), path
        assert not re.search("[\u202e\u2066\x1b]", text), path
        assert "49" not in Said(text).text.replace("\\", "").split()


@pytest.mark.slow
def test_a_replay_is_shown_and_answers_for_its_own_run(own_demo, site, signed_in):
    pages = site(own_demo)
    client = signed_in(pages)
    trace = own_demo.resolve("@last").id
    start = client.get(f"/compare/{trace}")
    assert "Or compare it with another recording of this job" in said(start)
    csrf = re.search(r'name="csrf" value="([^"]*)"', start.text).group(1)
    client.post(f"/compare/{trace}/run", data={"csrf": csrf})
    subject = Subject(kind="compare", id=trace)
    deadline = time.monotonic() + 60
    while not pages.runs.latest(subject).over and time.monotonic() < deadline:
        time.sleep(0.02)
    page = client.get(f"/compare/{trace}")
    text = said(page)
    assert "replayed just now" in text
    assert "Changed code, and where it shows" in text
    assert "Replay again" in text
    assert "The code has changed" not in text
    sources = re.findall(r'data-src="([^"]*)"', page.text)
    assert sources
    assert all(client.get(one).status_code == 200 for one in sources)
    module = own_demo.config.root / "pricing" / "duty.py"
    module.write_text(module.read_text() + "\n# changed\n")
    assert "The code has changed since this replay" in said(client.get(f"/compare/{trace}"))
    pages.close()


@pytest.mark.slow
def test_a_replay_that_stopped_at_a_miss_names_the_call_and_the_nearest_recordings(
    own_demo, site, signed_in
):
    module = own_demo.config.root / "pricing" / "job.py"
    source = module.read_text()
    assert "inputs.product(product_id)" in source
    module.write_text(
        source.replace("inputs.product(product_id)", "inputs.product(product_id + 1)")
    )
    pages = site(own_demo)
    client = signed_in(pages)
    trace = own_demo.resolve("@last").id
    csrf = re.search(r'name="csrf" value="([^"]*)"', client.get(f"/compare/{trace}").text).group(1)
    client.post(f"/compare/{trace}/run", data={"csrf": csrf})
    deadline = time.monotonic() + 60
    while not pages.runs.latest(Subject(kind="compare", id=trace)).over:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    text = said(client.get(f"/compare/{trace}"))
    assert "✗ different the replay stopped at input Fetching product" in text
    assert "1 call has no recording" in text
    assert re.search(r"nearest, line \d+ Fetching product", text)
    assert re.search(r"product_id recorded \d+ asked \d+", text)
    assert "no longer asked for" in text
    assert "Answer misses with the nearest recording" in text
    pages.close()
