"""The explanation page: what is to be done, then who has which part, of a real run of the demo."""

from __future__ import annotations

import re
import time

import pytest

from tracediff.testing import make_trace
from tracediff.web.running import Subject

PLAIN = (("against", ""), ("other", ""))


def csrf(client):
    return client.get("/").text.partition('name="csrf" content="')[2].partition('"')[0]


def over(run):
    """The run, once nothing more will come of it."""
    deadline = time.monotonic() + 120
    while not run.over and time.monotonic() < deadline:
        time.sleep(0.02)
    assert run.over
    return run


def text(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page))


@pytest.fixture(scope="module")
def pages(demo_project, site):
    found = site(demo_project)
    yield found
    found.close()


@pytest.fixture(scope="module")
def visitor(pages, signed_in):
    return signed_in(pages)


@pytest.fixture(scope="module")
def newest(demo_project):
    return demo_project.resolve("@last").id


@pytest.fixture(scope="module")
def explained(pages, visitor, newest):
    """The page of the newest trace, explained."""
    before = visitor.get(f"/explain/{newest}").text
    assert "Explain</button>" in before
    assert f"tracediff explain {newest}" in before
    assert pages.runs.latest(Subject(kind="explain", id=newest, options=PLAIN)) is None
    answer = visitor.post(f"/explain/{newest}/run", data={"csrf": csrf(visitor)})
    assert answer.url.path == f"/explain/{newest}"
    run = over(pages.runs.latest(Subject(kind="explain", id=newest, options=PLAIN)))
    assert run.standing == "done", run.message
    return visitor.get(f"/explain/{newest}").text


def test_a_run_is_shown_while_it_runs_and_what_it_gave_then(explained):
    said = text(explained)
    assert "✗ different result" in said
    assert re.search(r"✓ \d+/\d+ steps reproduced at", said)
    assert "The code is another one now" not in said


def test_the_shares_add_up_on_the_page(explained):
    parts = re.search(r'<p class="sum">(.*?)</p>', explained, re.DOTALL)[1]
    numbers = [round(float(one) * 100) for one in re.findall(r">([+-][\d.]+)<", parts)]
    whole = re.search(r"= ([+-][\d.]+) =", text(parts))[1]
    assert len(numbers) == 3
    assert sum(numbers) == round(float(whole) * 100)


def test_each_cause_has_its_lines_its_commit_and_its_way(explained):
    said = text(explained)
    for name in ("DUTY_RATES", "VOLUMETRIC_DIVISOR", "to_cents"):
        assert name in said
    assert '+ "8518": Decimal("0.037"),' in said or "0.037" in said
    assert "Raise the duty on audio to 3.7 %" in said
    assert "1 changed unit ran and changed nothing" in said


def test_a_step_leads_to_its_line_side_by_side(explained, visitor):
    link = re.search(r'href="(/compare/[^"#]+)#line-(\d+)"', explained)
    beside = visitor.get(link[1], params={"from": link[2]})
    assert beside.status_code == 200
    assert f'id="line-{link[2]}"' in beside.text


def test_another_field_is_drawn_without_another_run(explained, visitor, newest, pages):
    count = pages.runs.latest(Subject(kind="explain", id=newest, options=PLAIN))
    links = re.findall(rf'href="(/explain/{newest}\?field=[^"]+)"', explained)
    drawn = visitor.get(next(one for one in links if one.endswith(".vat")))
    assert "✗ different output." in text(drawn.text)
    assert "--field" in drawn.text
    assert pages.runs.latest(Subject(kind="explain", id=newest, options=PLAIN)) is count
    assert visitor.get(f"/explain/{newest}?field=none").status_code == 404


def test_the_page_has_nothing_that_its_policy_refuses(explained):
    assert not re.search(r"<style|<script(?! src)|\sstyle=|\son\w+=", explained)


def test_edited_code_is_told_and_starts_another_run(
    own_demo, site, signed_in, explained, pages, newest
):
    mine = site(own_demo)
    client = signed_in(mine)
    first = pages.runs.latest(Subject(kind="explain", id=newest, options=PLAIN))
    mine.runs.start(first.subject, first.code, f"/explain/{newest}", lambda say: first.result)
    over(mine.runs.latest(first.subject))
    assert "The code is another one now" not in text(client.get(f"/explain/{newest}").text)
    job = own_demo.config.root / "pricing" / "job.py"
    job.write_text(job.read_text() + "\n# edited\n")
    assert "The code is another one now" in text(client.get(f"/explain/{newest}").text)
    mine.close()


@pytest.mark.parametrize("against", ["no-such-branch", "--output=x"])
def test_a_revision_that_is_none_is_told_where_it_was_asked(pages, visitor, newest, against):
    where = f"/explain/{newest}/run"
    visitor.post(where, params={"against": against}, data={"csrf": csrf(visitor)})
    options = (("against", against), ("other", ""))
    run = over(pages.runs.latest(Subject(kind="explain", id=newest, options=options)))
    assert run.standing == "failed"
    said = text(visitor.get(f"/explain/{newest}", params={"against": against}).text)
    assert "failed" in said
    assert "Try again" in said


def test_what_is_no_text_of_a_revision_is_refused(visitor, newest):
    for against in ("a\nb", "x" * 201, "a\x00"):
        assert visitor.get(f"/explain/{newest}", params={"against": against}).status_code == 400
    both = {"against": "HEAD", "other": newest}
    assert visitor.get(f"/explain/{newest}", params=both).status_code == 400


def test_pages_that_are_read_only_show_the_command_instead(made, site, signed_in):
    found = site(made(make_trace("abc", key="price/two")), writable=False)
    client = signed_in(found)
    page = client.get("/explain/abc?against=main").text
    assert "tracediff explain abc --against main" in page
    assert "read-only and runs no code" in page
    assert client.post("/explain/abc/run", data={"csrf": csrf(client)}).status_code == 403
    found.close()
