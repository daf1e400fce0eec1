"""The page of a trace, its pieces, steps and search."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tracediff import values
from tracediff.model import Autotracing, Code, Cut, ErrorInfo, Miss, ReplayInfo, Step, Value
from tracediff.reports.pages import pieces, traceview
from tracediff.testing import make_trace


def value(obj):
    return Value(values.encode(obj))


def job(**fields):
    return Step(parent=-1, kind="job", name="price", result=value(19), duration=9_000, **fields)


def long_trace(count):
    steps = (job(), *(
        Step(parent=0, kind="step", name=f"rule {at}", result=value(at), start=at, duration=90)
        for at in range(1, count)
    ))  # fmt: skip
    return make_trace("long", steps=steps)


@pytest.fixture
def shown(made, site, signed_in):
    """A function that signs in to a site that holds the given traces."""
    return lambda *traces: signed_in(site(made(*traces)))


def test_a_page_says_what_ran_when_on_which_code_with_which_outcome(shown):
    trace = make_trace(
        "abc", key="commodity/calculate/one", meta="store_id=3", tags=("ri:1 2",),
        context={"tenant": "acme"}, warnings=("an argument was too large",), result=661.83,
        code=Code(commit="c0ffee1234", dirty=True, files={}),
    )  # fmt: skip
    page = shown(trace).get("/trace/abc").text
    assert '<a href="/?key=commodity">commodity</a>' in page
    assert '<a href="/?key=commodity%2Fcalculate%2Fone">one</a>' in page
    assert 'href="/?tag=ri%3A1%202"' in page
    assert 'href="/?context=tenant%3Dacme"' in page
    for said in ("store_id=3", "661.83", "2023-11-14 22:13:20 UTC", "c0ffee1 + uncommitted changes",
                 "an argument was too large", "tracediff compare abc"):  # fmt: skip
        assert said in page
    assert 'href="/compare/abc"' in page
    assert 'href="/explain/abc"' in page


def test_the_trace_before_is_of_the_very_same_key(shown):
    traces = [
        make_trace(name, key=key, started_at=at)
        for name, key, at in (("a", "k", 1), ("b", "k/x", 2), ("c", "k", 3), ("d", "k", 4))
    ]
    page = shown(*traces).get("/trace/c").text
    assert 'href="/compare/a/c"' in page
    assert 'href="/trace/a"' in page


def test_the_trace_before_is_of_the_same_arguments_if_one_is(shown):
    client = shown(*(
        make_trace(name, key="k", meta=f"id={product}", started_at=at)
        for name, product, at in (("a", 1, 1), ("b", 2, 2), ("c", 1, 3), ("d", 3, 4))
    ))  # fmt: skip
    page = client.get("/trace/c").text
    assert 'href="/compare/a/c"' in page
    assert "(same arguments)" in page
    page = client.get("/trace/d").text
    assert 'href="/compare/c/d"' in page
    assert "(other arguments)" in page


@pytest.mark.parametrize(
    ("path", "title", "around"),
    [
        ("/trace/abc", "store_id=3 · shop/price", ()),
        ("/compare/abc", "Compare store_id=3 with its replay · shop/price", ("trace", "explain")),
        ("/explain/abc", "Explain store_id=3 · shop/price", ("trace", "compare")),
    ],
)
def test_a_tab_tells_the_trace_and_the_project_and_the_page_leads_to_its_others(
    made, site, signed_in, path, title, around
):
    project = made(make_trace("abc", key="shop/price", meta="store_id=3"))
    page = signed_in(site(project)).get(path).text
    name = project.config.root.name
    assert f"<title>{title} · {name} · tracediff</title>" in page
    assert f"{name}/.tracediff</span>" in page
    for part in ("shop", "shop%2Fprice"):
        assert f'<a href="/?key={part}">' in page
    for other in around:
        assert f'<a href="/{other}/abc">' in page


def test_each_line_is_numbered_indented_and_linked_as_it_happened(shown):
    page = shown(make_trace("abc")).get("/trace/abc").text
    assert re.findall(r'id="line-(\d+)"', page) == ["0", "1", "2", "3", "4"]
    assert re.findall(r'data-indent="(\d+)"', page) == ["0", "0", "0", "1", "0"]
    assert re.findall(r'class="name">([^<]*)<', page) == [
        "price", "rate", "guard", "no VAT \\ud800", "save",
    ]  # fmt: skip
    assert page.count("⇠") == page.count("⇢") == 1


def test_the_lines_of_a_section_lie_below_its_head_and_look_as_before():
    def note(name, parent=0, *, head=True):
        return Step(parent=parent, kind="note", name=name, head=head)

    steps = (
        job(), note("A"), note("one", head=False), note("B"),
        Step(parent=0, kind="step", name="s"), note("inner", 4), note("two", 4, head=False),
        note("last", head=False),
    )  # fmt: skip
    found = traceview.layout(make_trace(steps=steps))
    assert found.indents == (0, 0, 0, 0, 0, 1, 1, 0)
    assert found.shape.depths == (0, 0, 1, 0, 1, 2, 3, 1)


def test_a_page_holds_the_first_pieces_and_says_of_the_others_what_folds_and_filters_need(shown):
    client = shown(long_trace(1_000))
    page = client.get("/trace/long").text
    assert page.count('class="line ') == 2 * pieces.SIZE
    assert page.count('class="piece"') == 5
    assert [int(one) for one in re.findall(r'data-first="(\d+)"', page)] == [0, 200, 400, 600, 800]
    depths = ",".join(re.findall(r'data-depths="([^"]*)"', page)).split(",")
    assert len(depths) == 1_000
    later = client.get("/trace/long?from=900").text
    assert 'id="line-999"' in later
    assert 'id="line-1"' not in later


def test_a_piece_is_the_lines_that_its_address_names(shown):
    client = shown(long_trace(450))
    piece = client.get("/trace/long/lines?from=400").text
    assert re.findall(r'id="line-(\d+)"', piece) == [str(at) for at in range(400, 450)]
    assert "<html" not in piece
    for odd in ("-1", "x", "9" * 30, "١"):
        assert client.get("/trace/long/lines", params={"from": odd}).status_code == 400


def test_errors_are_where_next_leads_and_filters_name_the_lines_of_each_kind(shown):
    page = shown(make_trace("abc")).get("/trace/abc").text
    assert 'data-changes="2"' in page
    assert 'data-labels="input:1 error:2 output:4 mutated:4"' in page
    assert re.findall(r'data-filter="(\w+)"', page) == ["error", "input", "output", "mutated"]


def test_a_search_finds_names_and_values_anywhere(shown):
    steps = list(long_trace(3_000).steps)
    steps[2_500] = dataclasses.replace(steps[2_500], args=value({"product": "Ünïque"}))
    steps[2_600] = dataclasses.replace(
        steps[2_600], result=value({"deep": ["x" * 5_000, "needle"]})
    )
    client = shown(make_trace("long", steps=tuple(steps)))

    def find(text):
        return client.get("/trace/long/find", params={"q": text}).json()

    assert find("RULE 1234") == {"lines": [1234], "said": "", "more": False}
    assert find("ünïque")["lines"] == [2500]
    assert find("needle")["lines"] == [2600]
    assert find("") == {"lines": [], "said": "", "more": False}
    assert find("nowhere")["lines"] == []


def test_a_search_that_takes_too_long_says_where_it_ended_and_goes_on(monkeypatch, shown):
    monkeypatch.setattr("tracediff.web.traces._SECONDS", -1)
    client = shown(long_trace(3))
    first = client.get("/trace/long/find?q=2").json()
    assert first == {"lines": [2], "said": "values only up to line 0", "more": True}
    client.get("/trace/long/find?q=2")
    assert client.get("/trace/long/find?q=2").json() == {"lines": [2], "said": "", "more": False}


def test_a_step_shows_its_values_its_source_and_its_time(shown):
    client = shown(make_trace("abc"))
    step = client.get("/trace/abc/step/0").text
    for said in ("store_id", "product_id", "pricing.py:12", "pricing.price", "took"):
        assert said in step
    assert client.get("/trace/abc/step/5").status_code == 404


def test_an_error_shows_what_led_to_it_with_far_frames_folded(shown):
    frames = "".join(
        f'  File "/a/m{at}.py", line {at}, in f{at}\n    go({at})\n' for at in range(8)
    )
    cause = ErrorInfo(type="builtins:KeyError", message="'VAT'", bases=("builtins:LookupError",))
    error = ErrorInfo(type="shop:NoRate", message="none\nfor SK", traceback=frames, cause=cause,
                      members=(ErrorInfo(type="shop:Inner", message="m"),))  # fmt: skip
    steps = (job(), Step(parent=0, kind="step", name="s", state="error", error=error))
    step = shown(make_trace("abc", steps=steps)).get("/trace/abc/step/1").text
    order = ["NoRate", "none\nfor SK", "5 earlier frames", "/a/m0.py:0", "/a/m7.py:7", "go(7)",
             "caused by", "KeyError", "LookupError", "member 1 of the group", "Inner"]  # fmt: skip
    places = [step.index(said) for said in order]
    assert places == sorted(places)


def test_a_running_trace_shows_what_there_is_and_says_so(shown):
    page = shown(make_trace("abc", state="running")).get("/trace/abc").text
    assert "running for" in page
    assert "/explain/abc" not in page
    assert 'id="line-4"' in page


def test_what_autotracing_left_out_and_what_a_replay_missed_is_told(shown):
    miss = Miss(
        kind="input", name="rate", args=value({"c": "SK"}), path=("guard",), hint="record it"
    )
    cut = Cut(unit="pricing:fast", by="duration", calls=1_200, duration=40_000)
    trace = make_trace(
        "abc", depth="full", autotracing=Autotracing(patterns=("pricing.*",), cuts=(cut,)),
        replay=ReplayInfo(of="old", served=((1, 1),), unused=(4,), misses=(miss,)),
    )  # fmt: skip
    page = shown(trace).get("/trace/abc").text
    for said in ("Functions of pricing.* became steps", "1,200 calls are no step", "too short",
                 'href="/trace/old"', "1 call has no recording", "input rate(c=&#39;SK&#39;)",
                 "1 recording no longer asked for", "record it"):  # fmt: skip
        assert said in page


def test_sections_are_as_wide_as_the_time_they_took(shown):
    steps = (
        job(),
        *(Step(parent=0, kind="note", name=name, head=True, start=at)
          for name, at in (("Loading", 0), ("Prices", 3_000))),
    )  # fmt: skip
    page = shown(make_trace("abc", steps=steps, duration=9_000)).get("/trace/abc").text
    drawn = re.findall(r'<svg x="([\d.]+)%" width="([\d.]+)%"', page)
    assert drawn == [("0.000", "33.333"), ("33.333", "66.667")]
    assert 'href="#line-2"' in page


def test_a_long_trace_has_a_small_map(shown):
    page = shown(long_trace(5_000)).get("/trace/long").text
    strip = page[page.index('<div class="minimap"') :]
    assert 'class="view"' in strip
    assert strip.count("<rect") < 700
    assert 'class="minimap"' not in shown(make_trace("abc")).get("/trace/abc").text


def test_ids_and_steps_that_are_none_are_not_found(shown):
    client = shown(make_trace("abc"))
    for path in ("/trace/ab", "/trace/..%2fabc", "/trace/abc/step/99", "/trace/abc/artifact/9",
                 "/trace/abc/value/1/kind", "/trace/abc/value/3/args"):  # fmt: skip
        assert client.get(path).status_code == 404, path
    for path in ("step/x", "value/1/args?path=%5B1.5%5D", "value/1/args?path=%7B%7D",
                 "value/1/args?path=%5B7%5D"):  # fmt: skip
        assert client.get(f"/trace/abc/{path}").status_code == 400, path
