"""The last check as a page, its causes, and what a page accepts and refuses to accept."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_network
from urllib.parse import quote

import pytest

from tracediff.check.causesfile import FILE, read_causes
from tracediff.check.keptcheck import kept_document
from tracediff.check.lastcheck import last_check
from tracediff.check.state import code_state
from tracediff.check.sums import Sum
from tracediff.checked import Change, Checked, Group, Mark, Moved, Ran, Result, TraceShare
from tracediff.cli import causes as cli
from tracediff.testing import make_trace

EVIL = "</code><script>alert(1)</script>\x1b[2J\u202e\"'><img src=x onerror=alert(1)>\n{{777*7777}}"
CAUSE, OTHER = "1a2b3c4d", "5b60a30e"


def total(field, changes):
    made = Sum()
    for one in changes:
        made.add(Fraction(one))
    return made.total(field)


def cause(id=CAUSE, *, changes=(-3, -2, -1), **more):
    names = [f"trace{at:04}" for at in range(len(changes))]
    shares = [
        TraceShare(id=name, key="price/one", meta=f"product={at}", change=Fraction(by), old="9",
                   new=f"{9 + by}")
        for at, (name, by) in enumerate(zip(names, changes, strict=True))
    ]  # fmt: skip
    given = {
        "cause": id, "label": "VAT (shop/vat.py)", "count": len(changes), "exact": True,
        "smallest": Result(id=names[-1], key="price/one", kind="changed", size=3,
                           moved=(Moved(field="result", old="9", new="8", change=Fraction(-1)),)),
        "change": Change(id=id, units=("shop.vat:VAT",), kind="constant", file="shop/vat.py",
                         line=4, hunk=("-VAT = 19", "+VAT = 20"), commit="640a5ac1b2c3d4"),
        "totals": (total("result", changes),), "keys": {"price/one": len(changes)},
        "marks": (Mark(attributes=("tag audio",), support=1.0, ratio=9.5, count=3),),
        "traces": tuple(sorted(shares, key=lambda one: -abs(one.change))),
    }  # fmt: skip
    return Group(**{**given, **more})


def told(id=OTHER, **more):
    """A cause that the comparison tells."""
    given = {"exact": False, "change": None, "label": "Rounding"}
    return cause(id, changes=(4,), **{**given, **more})


@pytest.fixture
def project(made):
    return made(make_trace("trace0000", key="price/one"))


@pytest.fixture
def keep(project):
    """A function that keeps a check of some causes as the project's last one."""

    def keep(*groups, **more):
        count = sum(one.count for one in groups)
        given = {
            "matching": 50, "checked": 50, "same": max(50 - count, 0), "changed": count,
            "main": "result",
            "groups": groups, "explained": count, "reproduced": (count, count), "seconds": 3.2,
            "totals": tuple(one for group in groups[:1] for one in group.totals),
            "broken": (f"{count} traces differ, and at most 0 may",) if count else (),
        }  # fmt: skip
        ran = Ran(at="2026-11-26T15:29:12+00:00", state=code_state(project.config.root),
                  commit="0370cd7792017582", dirty=False)  # fmt: skip
        path = last_check(project.config.root)
        path.parent.mkdir(exist_ok=True)
        document = kept_document(Checked(**{**given, **more}), ran)
        path.with_suffix(".new").write_text(json.dumps(document), "utf-8", "surrogatepass")
        path.with_suffix(".new").replace(path)

    return keep


@pytest.fixture(autouse=True)
def outside_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def pages(project, site, signed_in):
    return signed_in(site(project))


def words(response):
    return " ".join(re.sub("<[^>]+>", " ", response.text).split())


def fields(page, action):
    """What a form of a page sends."""
    form = re.search(rf'(?s)<form method="post" action="{action}".*?</form>', page.text)
    assert form is not None, page.text
    pairs = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form[0])
    return dict(pairs)


def form(client, cause=CAUSE, what="accept"):
    return fields(client.get(f"/check/{cause}"), f"/check/{cause}/{what}")


def accept(client, sent, reason="as agreed", cause=CAUSE, **how):
    return client.post(
        f"/check/{cause}/accept", data={**sent, "reason": reason}, follow_redirects=False, **how
    )


# What is shown ----------------------------------------------------------------


def test_without_a_check_the_page_says_how_to_run_one(pages):
    answer = pages.get("/check")
    assert answer.status_code == 200
    assert "No check was run in this project yet" in words(answer)
    assert "tracediff check --last 100" in words(answer)
    assert 'action="/check/run"' in answer.text


def test_a_check_is_shown_with_all_that_it_found(pages, keep):
    keep(cause(), told(), failed=1, unaffected=7, remarks=("one thing",), failures=(
        Result(id="trace0000", key="k", kind="failed", message="it died", hint="run it alone"),
    ))  # fmt: skip
    answer = pages.get("/check")
    said = words(answer)
    for part in (
        "✗ failed", "50 traces replayed: 46 the same, 4 changed", "4 traces differ", "in 3.20 s",
        "Ran 2026-11-26 15:29:12 UTC, on 0370cd7", "The code has not changed since.",
        "VAT shop/vat.py:4 -6", "marks tag audio (100% of these, 9.5 times as likely)",
        "result 9 → 8", "-VAT = 19 +VAT = 20", "it died (run it alone)", "one thing",
    ):  # fmt: skip
        assert part in said, part
    assert "do not add up" in said  # the totals are of the first cause alone
    assert f'href="/check/{CAUSE}"' in answer.text
    assert 'href="/trace/trace0000"' in answer.text
    assert 'class="histogram"' in answer.text
    assert "tracediff accept" not in said


def test_changed_code_is_told(pages, keep, project):
    keep(cause())
    (project.config.root / "more.py").write_text("x = 1\n")
    assert "The code has changed since." in words(pages.get("/check"))


def test_a_cause_is_shown_with_its_traces_the_most_moved_first(pages, keep):
    keep(cause(), told())
    answer = pages.get(f"/check/{CAUSE}")
    said = words(answer)
    for part in ("VAT -6 result", "3 of 4 that changed", "-VAT = 19", "It covers result down",
                 "1 product=0 -3 9 6", "3 product=2 -1 9 8"):  # fmt: skip
        assert part in said, part
    for page in ("trace", "compare", "explain"):
        links = re.findall(f'href="/{page}/(trace\\d+)"', answer.text)
        assert links == ["trace0000", "trace0001", "trace0002"], page
    assert f'href="/check/{OTHER}" rel="next"' in answer.text


def test_many_traces_of_a_cause_come_in_pages(pages, keep):
    keep(cause(changes=[Fraction(-at) for at in range(120, 0, -1)]))
    seen = []
    for start in (0, 50, 100):
        answer = pages.get(f"/check/{CAUSE}", params={"from": start})
        seen += re.findall(r'href="/trace/trace(\d+)"', answer.text)
        assert ('rel="prev"' in answer.text, 'rel="next"' in answer.text) == (
            start > 0, start < 100,
        )  # fmt: skip
    assert [*map(int, seen)] == list(range(120))
    assert pages.get(f"/check/{CAUSE}", params={"from": 10**9}).status_code == 200
    assert pages.get(f"/check/{CAUSE}", params={"from": "-1"}).status_code == 400


@pytest.mark.parametrize("name", ["ffffffff", "%2e%2e%2flast.json", "a" * 3000, EVIL])
def test_what_is_no_cause_is_not_found(pages, keep, name):
    keep(cause())
    assert pages.get(f"/check/{quote(name, safe='%')}").status_code == 404


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"schema":"tracediff/check/1"}'])
def test_a_kept_check_that_is_none_is_told(pages, keep, project, data):
    keep(cause())
    assert pages.get("/check").status_code == 200
    last_check(project.config.root).write_bytes(data)
    answer = pages.get("/check")
    assert answer.status_code == 422
    assert "run the check again" in words(answer)


def test_whatever_a_check_holds_is_text(pages, keep):
    evil = replace(
        cause().change, units=(EVIL,), kind=EVIL, file=EVIL, hunk=(EVIL, f"+{EVIL}"), commit=EVIL
    )
    share = TraceShare(id=EVIL, key=EVIL, meta=EVIL, change=Fraction(1), old=EVIL, new=EVIL)
    keep(
        cause(
            change=evil, label=EVIL, keys={EVIL: 1, "b": 2}, traces=(share,), drift=(EVIL,),
            others={EVIL: 2}, smallest=Result(id=f"../{EVIL}", key=EVIL, kind="changed"),
            marks=(Mark(attributes=(EVIL,), support=1.0, ratio=2.0, count=1),),
        ),
        broken=(EVIL,), remarks=(EVIL,), main=EVIL, against=EVIL,
        failures=(Result(id=EVIL, key=EVIL, kind="failed", message=EVIL, hint=EVIL),), failed=1,
    )  # fmt: skip
    for page in ("/check", f"/check/{CAUSE}"):
        answer = pages.get(page)
        assert answer.status_code == 200
        assert "&lt;script&gt;" in answer.text
        for part in ("<script>", "<img", "\x1b", "\u202e", "6042729", "/../"):
            assert part not in answer.text.split("<main", 1)[1], part


# What is accepted -------------------------------------------------------------


def test_a_page_writes_what_the_command_writes(pages, keep, project, tmp_path, capsys):
    keep(cause(), told())
    root = project.config.root
    other = tmp_path / "other"
    shutil.copytree(root, other)
    assert cli.accept(other, [CAUSE], "as <agreed> 漢", None, "text") == 0

    answer = accept(pages, form(pages), "  as <agreed> 漢 ")
    assert (answer.status_code, answer.headers["location"]) == (
        303, f"/check/{CAUSE}#acceptance",
    )  # fmt: skip
    when = re.compile(r'"when": "[^"]*"')
    assert when.sub("", (root / FILE).read_text()) == when.sub("", (other / FILE).read_text())

    page = pages.get(f"/check/{CAUSE}")
    assert "as <agreed> 漢 (" in words(page).replace("&lt;", "<").replace("&gt;", ">")
    said = words(pages.get("/check"))
    assert "1 of 2 causes that it fails for is accepted since: the next check passes it." in said
    assert "accepted (" not in said
    assert cli.drop(other, [CAUSE], "text") == 0
    answer = pages.post(
        f"/check/{CAUSE}/drop", data=form(pages, what="drop"), follow_redirects=False
    )
    assert answer.status_code == 303
    assert (root / FILE).read_bytes() == (other / FILE).read_bytes()
    assert "accepted since" not in words(pages.get("/check"))


def test_a_form_is_answered_in_place_where_scripts_run(pages, keep):
    keep(told())
    sent = form(pages, OTHER)
    answer = accept(pages, sent, cause=OTHER, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.text.startswith('<section id="acceptance"')
    assert "entered in tracediff-causes.json" in words(answer)
    assert "may cover more than one change" in words(answer)
    sent = fields(answer, f"/check/{OTHER}/drop")
    answer = pages.post(f"/check/{OTHER}/drop", data=sent, headers={"HX-Request": "true"})
    assert "taken out of tracediff-causes.json" in words(answer)
    assert accept(pages, fields(answer, f"/check/{OTHER}/accept"), cause=OTHER).status_code == 303


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("reason", ["", " \t", "x" * 2001])
def test_a_reason_is_needed(pages, keep, project, reason, scripts):
    keep(cause())
    how = {"headers": {"HX-Request": "true"}} if scripts else {}
    answer = accept(pages, form(pages), reason, **how)
    assert answer.status_code == 400
    assert ("say why it is right" in words(answer)) == (len(reason) < 5)
    assert ("<html" in answer.text) != scripts
    assert not (project.config.root / FILE).exists()


def test_who_accepts_is_whom_the_proxy_names(project, keep, site, stranger):
    keep(cause())
    client = stranger(
        site(project), header="x-user", proxies=(ip_network("10.0.0.5/32"),), peer="10.0.0.5"
    )
    client.headers["X-User"] = "Ada <ada@example.org>"
    assert accept(client, form(client)).status_code == 303
    assert [one.who for one in read_causes(project.config.root)] == ["Ada <ada@example.org>"]


def test_a_form_without_the_pages_token_writes_nothing(pages, keep, project):
    keep(cause())
    sent = {**form(pages), "csrf": "x"}
    assert accept(pages, sent).status_code == 403
    assert not (project.config.root / FILE).exists()


def test_pages_that_are_read_only_say_what_to_type(project, keep, site, signed_in):
    keep(cause())
    writing = signed_in(site(project))
    sent = form(writing)
    client = signed_in(site(project, writable=False))
    for page in ("/check", f"/check/{CAUSE}"):
        answer = client.get(page)
        assert "<form" not in answer.text.split("<main", 1)[1]
        assert "read-only" in words(answer)
    assert f"tracediff accept --cause {CAUSE} --reason WHY" in words(answer)
    for post in ("accept", "drop"):
        assert client.post(f"/check/{CAUSE}/{post}", data=sent).status_code == 403
    assert client.post("/check/run", data=sent).status_code == 403
    assert not (project.config.root / FILE).exists()


def test_nothing_is_accepted_in_ci_and_the_reason_is_not_lost(pages, keep, project, monkeypatch):
    keep(cause())
    sent = form(pages)
    monkeypatch.setenv("CI", "true")
    answer = accept(pages, sent)
    assert answer.status_code == 403
    assert "refused in continuous integration" in words(answer)
    assert 'value="as agreed"' in answer.text
    assert not (project.config.root / FILE).exists()


def test_of_two_who_accept_at_once_one_is_told_of_the_other(project, keep, site, signed_in):
    keep(cause(), told())
    clients = [signed_in(site(project)) for _ in range(4)]
    forms = [form(one) for one in clients]
    answers = {}

    def send(at):
        answers[at] = accept(clients[at], forms[at], f"reason {at}")

    threads = [threading.Thread(target=send, args=(at,)) for at in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert sorted(one.status_code for one in answers.values()) == [303, 409, 409, 409]
    (kept,) = read_causes(project.config.root)
    for at, answer in answers.items():
        if answer.status_code == 303:
            assert kept.reason == f"reason {at}"
        else:
            assert "was accepted by" in words(answer)
            assert kept.reason in words(answer)


def test_what_was_dropped_meanwhile_is_not_dropped_again(pages, keep, project):
    keep(cause())
    accept(pages, form(pages))
    sent = form(pages, what="drop")
    assert cli.drop(project.config.root, [CAUSE], "text") == 0
    answer = pages.post(f"/check/{CAUSE}/drop", data=sent)
    assert answer.status_code == 409
    assert "was dropped meanwhile" in words(answer)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_check_that_ran_again_is_accepted_only_as_it_was_shown(pages, keep, project, scripts):
    how = {"headers": {"HX-Request": "true"}} if scripts else {}
    keep(cause())
    sent = form(pages)
    keep(cause(changes=(-3, -2, 5)))
    answer = accept(pages, sent, "typed with care", **how)
    assert answer.status_code == 409
    assert "the check was run again meanwhile, and finds that it moves other" in words(answer)
    assert 'value="typed with care"' in answer.text
    assert "result up and down" in words(answer)
    keep(told())
    answer = accept(pages, sent, "typed with care", **how)
    assert answer.status_code == 409
    assert "does not find it any more" in words(answer)
    assert "What you had typed: typed with care" in words(answer)
    assert not (project.config.root / FILE).exists()
    keep(cause(), told(), remarks=("another check that found the same",))
    assert accept(pages, sent).status_code == 303


def test_a_cause_that_goes_beyond_what_was_accepted_is_accepted_again(pages, keep, project):
    keep(cause())
    accept(pages, form(pages))
    keep(cause(changes=(-3, -2, 5)))
    said = words(pages.get(f"/check/{CAUSE}"))
    assert "accepted to lower result, now also raises it in 1 trace" in said
    assert "beyond what was accepted" in words(pages.get("/check"))
    assert accept(pages, form(pages), "both ways").status_code == 303
    (kept,) = read_causes(project.config.root)
    assert (kept.reason, kept.fields) == ("both ways", {"result": "up and down"})


def test_a_file_that_cannot_be_read_or_written_is_told_and_left(pages, keep, project):
    keep(cause())
    sent = form(pages)
    (project.config.root / ".tracediff-tests").write_text("in the way")
    answer = accept(pages, sent, "typed with care")
    assert answer.status_code == 503
    assert "cannot be written" in words(answer)
    assert 'value="typed with care"' in answer.text
    (project.config.root / ".tracediff-tests").unlink()
    (project.config.root / FILE).write_text("<<<<<<< HEAD\n")
    assert "markers of a merge conflict" in words(pages.get("/check"))
    answer = accept(pages, sent, "typed with care")
    assert "markers of a merge conflict" in words(answer)
    assert (project.config.root / FILE).read_text() == "<<<<<<< HEAD\n"


def test_traces_that_were_not_told_apart_are_not_accepted(pages, keep):
    keep(cause(), told("accepted", label="accepted causes together"))
    assert "nothing is left to accept" in words(pages.get("/check/accepted"))
    assert accept(pages, form(pages), cause="accepted").status_code == 400


# What is run ------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent", [{"last": "0"}, {"last": "x"}, {"last": "9" * 9}, {"key": "k" * 501}]
)
def test_a_check_that_cannot_be_is_not_begun(pages, sent):
    csrf = fields(pages.get("/check"), "/check/run")
    assert pages.post("/check/run", data={**csrf, **sent}).status_code == 400


def test_a_check_that_failed_is_tried_again_as_it_was_asked_for(made, site, signed_in):
    client = signed_in(site(made()))
    sent = fields(client.get("/check"), "/check/run")
    answer = client.post("/check/run", data={**sent, "last": "6", "key": "price/it's"})
    deadline = time.monotonic() + 60
    while "no trace matches" not in words(answer) and time.monotonic() < deadline:
        time.sleep(0.05)
        answer = client.get(answer.url)
    assert "no trace matches, so nothing can be checked" in words(answer)
    assert 'action="/check/run?last=6&amp;key=price%2Fit%27s"' in answer.text
    assert "tracediff check --last 6 --key" in words(answer)


@pytest.mark.slow
def test_a_check_that_a_page_starts_is_what_the_page_shows_then(own_demo, site, signed_in):
    made = site(own_demo)
    client = signed_in(made)
    sent = fields(client.get("/check"), "/check/run")
    answer = client.post("/check/run", data={**sent, "last": "6", "key": "commodity"})
    assert 'aria-current="page">Check' in answer.text
    deadline = time.monotonic() + 120
    while answer.url.path == "/check/run" and time.monotonic() < deadline:
        time.sleep(0.1)
        answer = client.get(answer.url)
    assert "6 traces replayed" in words(answer)
    assert "failed" not in re.findall(r"<title>(.*?)</title>", answer.text) or "changed" in answer
    report = json.loads(last_check(own_demo.config.root).read_text())
    assert report["checked"] == 6
    done = subprocess.run(
        [sys.executable, "-m", "tracediff", "accept", "--list"], cwd=own_demo.config.root,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "no cause is accepted" in done.stderr
