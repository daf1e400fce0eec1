"""A page in one file: it asks nobody for anything, and holds what its lines say and open."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from dataclasses import replace

import pytest

from tracediff.model import Artifact, ErrorInfo
from tracediff.reports.pages import packed
from tracediff.reports.pages.onecomparison import comparison_html
from tracediff.reports.pages.onetrace import trace_html

NOW = 1_800_000_000 * 10**9
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


def islands(page):
    """The islands of a page by their ids, unpacked."""
    found = re.findall(
        r'<script type="text/plain" id="([a-z]+-\d+)">([A-Za-z0-9+/=]*)</script>', page
    )
    return {name: zlib.decompress(base64.b64decode(text)).decode() for name, text in found}


def rows(page):
    """The markup of each line, filled or packed, in order."""
    found = {}
    for markup in (page, *islands(page).values()):
        for number, row in re.findall(
            r'id="line-(\d+)" (.*?)(?=<div class="line|</section>|\Z)', markup, re.DOTALL
        ):
            found[int(number)] = row
    return [found[number] for number in sorted(found)]


def details(page, row):
    """What a line opens, None where it says that the file lacks it."""
    island = re.search(r'data-open-island="(\S+?)" data-of="(\d+)"', row)
    if island is None:
        return None
    name, of = island.groups()
    return re.search(
        rf'<section data-of="{of}">(.*?)(?=<section data-of=|\Z)', islands(page)[name], re.DOTALL
    )[1]


@pytest.fixture
def long(builders):
    """A trace of 1,500 steps that each have a value."""
    step = builders["step"]
    first = step(-1, "job/long", 1, "job")
    many = (step(0, f"Step {at}", {"net": at}, product=at) for at in range(1, 1500))
    return builders["trace"]((first, *many), key="job/long")


def test_a_file_asks_for_nothing_and_runs_and_styles_nothing_but_its_own(recorded, comparison):
    pages = [trace_html(recorded, now=NOW), comparison_html(comparison("changed"), now=NOW)]
    for page in pages:
        assert page.isascii()
        assert re.search(r'(?:href|src|action)="(?!#|data:)', page) is None
        assert re.search(r"data-(?:src|open|more|find)=", page) is None
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
        assert "default-src 'none'" in policy
        for kind in ("style", "script"):
            (own,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy


def test_the_same_trace_gives_the_same_file_at_any_time(recorded, comparison):
    assert trace_html(recorded, now=NOW) == trace_html(recorded, now=NOW * 2)
    one = comparison("changed")
    assert comparison_html(one, now=NOW) == comparison_html(one, now=NOW * 2)


def test_all_lines_of_a_long_trace_are_there_the_first_without_a_script(long):
    page = trace_html(long, now=NOW)
    found = rows(page)
    assert len(found) == 1500
    assert all(f"Step {at}<" in row for at, row in enumerate(found) if at)
    assert "Step 399<" in page
    assert "Step 400<" not in page
    assert len(page) < 600_000


def test_a_line_opens_its_values(long):
    page = trace_html(long, now=NOW)
    for at in (1, 750, 1499):
        opened = details(page, rows(page)[at])
        assert (
            f'<span class="label" data-role="key">net</span> <span class="value number">{at}<'
            in opened
        )
        assert "Cut for this file" not in opened


def test_what_failed_is_opened_before_all_else_where_the_file_has_no_room(long, monkeypatch):
    monkeypatch.setattr(packed, "WORK", 40_000)
    error = ErrorInfo(type="builtins:ValueError", message="no rate")
    inner = replace(long.steps[1400], parent=1300, state="error", error=error, result=None)
    steps = (*long.steps[:1400], inner, *long.steps[1401:])
    page = trace_html(replace(long, steps=steps), now=NOW)
    found = rows(page)
    assert "no rate" in details(page, found[1400])
    assert details(page, found[1300]) is not None
    assert details(page, found[1200]) is None
    assert f'data-shown-by="tracediff show {long.id} --step 1200"' in found[1200]
    left = sum("data-shown-by" in row for row in found)
    assert f"The details of {left:,} lines are not in this file" in page


def test_a_value_that_is_cut_names_the_command_that_shows_it(builders):
    step = builders["step"]
    found = builders["trace"]((step(-1, "job", 1, "job"), step(0, "Long", list(range(5000)))))
    page = trace_html(found, now=NOW)
    opened = details(page, rows(page)[1])
    assert "4,900 more items" in opened
    assert f"<code>tracediff show {found.id} --step 1</code> shows all of it" in opened
    assert len(page) < 200_000


def test_both_sides_of_a_pair_are_opened_those_that_differ_first(comparison, monkeypatch):
    page = comparison_html(comparison("changed"), now=NOW)
    duty = next(row for row in rows(page) if ">Duty<" in row)
    opened = details(page, duty)
    assert "2.50000" in opened
    assert "3.70000" in opened
    monkeypatch.setattr(packed, "WORK", 1)
    monkeypatch.setattr(packed, "BATCH", 4)
    page = comparison_html(comparison("changed"), now=NOW)
    held = [row for row in rows(page) if details(page, row) is not None]
    assert held
    assert not [row for row in held if 'class="same"' in row]
    assert any(">Duty<" in row for row in held)
    product = next(row for row in rows(page) if ">Product<" in row)
    assert 'data-shown-by="tracediff show 1m8a4t9p5fyvc278jm1f --step 2"' in product


def test_small_images_are_in_the_file_by_what_they_are(recorded):
    def artifact(name, data, media_type="image/png"):
        digest = hashlib.sha256(data).hexdigest()
        return Artifact(name=name, sha256=digest, size=len(data), media_type=media_type, data=data)

    artifacts = (
        artifact("page.png", PNG),
        artifact("page.html", b"<script>alert(1)</script>"),
        artifact("huge.png", PNG + b"\0" * 2_000_000),
        replace(artifact("hurt.png", PNG), sha256="0" * 64),
    )
    page = trace_html(replace(recorded, artifacts=artifacts), now=NOW)
    assert page.count("<img") == 1
    assert f'src="data:image/png;base64,{base64.b64encode(PNG).decode()}"' in page
    assert "&lt;script&gt;alert(1)" in page
    assert "too large for this file" in page
    assert "not those that were recorded" in page


def test_nothing_that_was_recorded_is_markup(builders):
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\ud800"
    step = builders["step"]
    steps = (
        step(-1, attack, attack, "job", a=attack),
        *(step(0, attack, attack) for _ in range(500)),
    )
    steps = (*steps, step(0, attack, kind="note"))
    one = builders["trace"](steps, key=attack, meta=attack, tags=(attack,), id="a b'c")
    other = builders["trace"]((*steps, step(0, "more", 1)), key=attack, id="other")
    from tracediff.compare import compare

    for page in (trace_html(one, now=NOW), comparison_html(compare(one, other), now=NOW)):
        for markup in (page, *islands(page).values()):
            assert "<img" not in markup
            assert "alert(1)</script>" not in markup
            assert "\u202e" not in markup
        assert len(re.findall(r"<script(?! type=\"text/plain\")", page)) == 1
        assert page.count("</script>") == len(islands(page)) + 1
