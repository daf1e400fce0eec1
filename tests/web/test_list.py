"""The list: what its address asks for, its rows, paging, what it offers, what comes meanwhile."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from tracediff.api import open_project
from tracediff.recording.ids import new_id
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace

SECOND = 10**9
NOW = time.time_ns()


def ids(answer):
    """The traces of a page, in order."""
    return re.findall(r'<tr id="t-(\w+)"', answer.text)


def links(answer, text):
    """Where links with this text lead, without those of rows."""
    found = re.findall(r'<a [^>]*?href="([^"]+)"[^>]*>([^<]*)</a>', answer.text)
    return [unescape(href) for href, says in found if unescape(says) == text]


def offered(answer):
    """What the search box offers, as (text, address or what it fills in)."""
    return [
        (unescape(text), unescape(then))
        for then, text in re.findall(
            r'data-(?:href|fill)="([^"]+)">.*?<span class="text">(.*?)</span>', answer.text
        )
    ]


@pytest.fixture(scope="module")
def some():
    """Traces of two keys, a second apart, the newest last."""
    return [
        make_trace(
            new_id(), key=f"shop/{'price' if n % 2 else 'tax'}/one", meta=f"id={n % 3}",
            started_at=NOW - (120 - n) * SECOND, tags=(f"ri:{n}", f"even:{n % 2 == 0}"),
            context={"store": n % 4, "name": f"n {n}"},
            state="error" if n % 10 == 0 else "success",
        )
        for n in range(1, 121)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def shop(some, site, signed_in, tmp_path_factory):
    """A client of the pages of those traces."""
    directory = tmp_path_factory.mktemp("list")
    (directory / "pyproject.toml").write_text("[tool.tracediff]\n")
    store = LocalStore(directory / ".tracediff")
    store.save(some)
    store.close()
    with open_project(start=directory) as project:
        yield signed_in(site(project))


def of(some, wanted):
    return [one.id for one in reversed(some) if wanted(one)]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", lambda one: True),
        ("key=shop", lambda one: True),
        ("key=shop/tax", lambda one: one.key == "shop/tax/one"),
        ("key=sho", lambda one: False),
        ("tag=ri:7&tag=ri:9", lambda one: {"ri:7", "ri:9"} & set(one.tags)),
        ("state=error", lambda one: one.state == "error"),
        ("context=store%3D3", lambda one: one.context["store"] == 3),
        ("context=store%3D3&context=name%3Dn+7", lambda one: one.context["name"] == "n 7"),
        ('context=store%3D"3"', lambda one: False),
        ("since=20s", lambda one: one.started_at >= NOW - 15 * SECOND),
        ("key=shop/price&state=error", lambda one: False),
    ],
)
def test_a_query_finds_what_matches_newest_first(shop, some, query, wanted):
    found = ids(shop.get(f"/?{query}"))
    expected = of(some, wanted)[:50]
    assert found[: len(expected)] == expected[: len(found)]
    if "since" not in query:
        assert found == expected


def test_a_segment_of_a_key_narrows_to_it_and_keeps_the_other_filters(shop):
    answer = shop.get("/?state=success&tag=even:False")
    assert "/?key=shop%2Fprice&tag=even%3AFalse&state=success" in links(answer, "price")


def test_each_filter_has_a_chip_that_takes_it_off(shop):
    answer = shop.get("/?key=shop/tax&tag=ri:2&tag=ri:4&context=store%3D2&state=success")
    off = dict(re.findall(r'class="off" href="([^"]+)" aria-label="Without ([^"]+)"', answer.text))
    named = {unescape(name): parse_qs(urlsplit(unescape(href)).query) for href, name in off.items()}
    assert named["key tax"]["key"] == ["shop"]
    assert "key" not in named["key shop"]
    assert named["tag ri:2"]["tag"] == ["ri:4"]
    assert "context" not in named["context store=2"]
    assert all(one["state"] == ["success"] for one in named.values())


def test_pages_follow_each_other_without_a_gap_and_lead_back(shop, some):
    seen, address = [], "/?since=1h&tag=even:True&tag=even:False"
    while address:
        answer = shop.get(address)
        seen += ids(answer)
        address = (links(answer, "older →") or [None])[0]
    assert seen == of(some, lambda one: True)
    assert "data-live" not in answer.text
    assert links(answer, "← newest")
    assert ids(shop.get(links(answer, "← newest")[0])) == seen[:50]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("since=yesterday", "'yesterday' is no time"),
        ("until=2026-13-01", "'2026-13-01' is no time"),
        ("since=1h&until=2h", "this is not after the beginning"),
        ("context=oops", "'oops' is not NAME=VALUE"),
        ("state=gone", "there is no state 'gone'"),
        ("q=no+such+thing", "nothing is called"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(shop, query, said):
    answer = shop.get(f"/?key=shop&{query}")
    assert answer.status_code == 400
    assert said in unescape(answer.text)
    for value in (one for values in parse_qs(query).values() for one in values):
        assert value in unescape(answer.text)
    assert "Without key shop" in answer.text
    assert ids(answer) == []


def test_a_cursor_of_another_search_is_refused_with_the_way_back(shop):
    older = urlsplit(links(shop.get("/"), "older →")[0])
    answer = shop.get(f"/?{older.query}&state=error")
    assert answer.status_code == 400
    assert links(answer, "Try again") == ["/?state=error"]


@pytest.mark.parametrize(
    ("typed", "then"),
    [
        ("shop/tax", "/?key=shop%2Ftax"),
        ("#ri:7", "/?tag=ri%3A7"),
        ("ri:7", "/?tag=ri%3A7"),
        ("store=3", "/?context=store%3D3"),
    ],
)
def test_the_box_works_as_a_plain_form(shop, typed, then):
    answer = shop.get("/", params={"q": typed}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, then)


def test_a_part_of_a_key_means_the_one_below_the_key_that_is_asked_for(shop):
    answer = shop.get("/?key=shop&state=error&q=tax", follow_redirects=False)
    assert answer.headers["location"] == "/?key=shop%2Ftax&state=error"


def test_an_id_leads_to_its_trace(shop, some):
    answer = shop.get("/", params={"q": some[3].id}, follow_redirects=False)
    assert answer.headers["location"] == f"/trace/{some[3].id}"


@pytest.mark.parametrize(
    ("address", "first"),
    [
        ("?q=", ("shop", "/?key=shop")),
        ("?key=shop&q=", ("shop/price", "/?key=shop%2Fprice")),
        ("?q=ta", ("shop/tax", "/?key=shop%2Ftax")),
        ("?q=%23even", ("even:False", "/?tag=even%3AFalse")),
        ("?q=stor", ("store=", "store=")),
        ("?q=store%3D&state=error", ("store=0", "/?context=store%3D0&state=error")),
        ("?q=ri:3", ("ri:3", "/?tag=ri%3A3")),
        ("?q=nothing", None),
    ],
)
def test_the_box_offers_what_goes_on(shop, address, first):
    answer = shop.get(f"/list/complete{address}")
    found = offered(answer)
    assert (found[0] if found else None) == first
    assert "From the newest " in answer.text


def test_the_box_offers_traces_by_the_beginning_of_their_id(shop, some):
    assert f"/trace/{some[5].id}" in [
        then for _, then in offered(shop.get(f"/list/complete?q={some[5].id[:17]}"))
    ]


def test_a_tag_beyond_the_sample_is_offered_when_typed_whole(made, site, signed_in):
    old = make_trace(new_id(), key="old/one", tags=("ri:old",), started_at=NOW - 3600 * SECOND)
    new = [make_trace(new_id(), key="new", started_at=NOW - n) for n in range(510)]
    client = signed_in(site(made(old, *new)))
    assert ("ri:old", "/?tag=ri%3Aold") in offered(client.get("/list/complete?q=ri:old"))
    assert ("old/one", "/?key=old%2Fone") in offered(client.get("/list/complete?q=old/one"))
    assert offered(client.get("/list/complete?q=ri:ol")) == []


def test_what_came_since_is_sent_with_what_comes_late(shop, some):
    newest = some[99]
    rows = ids(shop.get(f"/list/new?newest={newest.started_at}"))
    assert rows == of(some, lambda one: one.started_at >= newest.started_at - 60 * SECOND)
    tax = ids(shop.get(f"/list/new?key=shop/tax&newest={newest.started_at}"))
    assert tax == [one for one in rows if one in of(some, lambda one: one.key == "shop/tax/one")]


def test_a_running_trace_is_sent_as_it_is_now(made, site, signed_in):
    project = made()
    running = make_trace(new_id(), key="live", state="running", started_at=NOW - 10**13)
    project.store.save([running])
    client = signed_in(site(project))
    address = f"/list/new?newest={NOW}&id={running.id}&id=../x&id="
    assert 'data-state="running"' in client.get(address).text
    project.store.delete([running.id])
    project.store.save([replace(running, state="error")])
    answer = client.get(address)
    assert ids(answer) == [running.id]
    assert 'data-state="error"' in answer.text


def test_more_new_rows_than_are_sent_are_told(made, site, signed_in):
    client = signed_in(site(made(*(make_trace(new_id(), started_at=NOW - n) for n in range(201)))))
    assert 'id="more"' in client.get(f"/list/new?newest={NOW}").text
    assert 'id="more"' not in client.get(f"/list/new?newest={NOW}&key=none").text


def test_a_page_of_the_past_waits_for_nothing(shop):
    assert "data-live" in shop.get("/?since=1h").text
    assert "data-live" not in shop.get("/?until=1s").text


def test_a_trace_is_compared_with_the_one_before_of_the_same_arguments(shop, some):
    answer = shop.get(f"/list/before/{some[50].id}", follow_redirects=False)
    same = [one for one in some[:50] if (one.key, one.meta) == (some[50].key, some[50].meta)]
    assert answer.headers["location"] == f"/compare/{same[-1].id}/{some[50].id}"
    assert shop.get(f"/list/before/{some[0].id}").status_code == 404


def test_nothing_that_matches_names_the_filter_that_is_too_much(shop):
    answer = shop.get("/?key=shop&tag=ri:7&state=error")
    assert "No trace matches" in answer.text
    assert links(answer, "tag ri:7") == ["/?key=shop&state=error"]
    assert links(answer, "state error") == ["/?key=shop&tag=ri%3A7"]
    assert links(answer, "key shop") == []


def test_no_traces_at_all_says_how_to_record_one(made, site, signed_in):
    answer = signed_in(site(made())).get("/")
    assert "No traces yet" in answer.text
    assert "@td.job" in unescape(answer.text)


def test_a_store_that_cannot_be_read_keeps_the_search(tmp_path, site, stranger, token):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.tracediff]\nstore = "gone"\n[tool.tracediff.stores.gone]\n'
        'index = "mongodb://127.0.0.1:9/x?serverSelectionTimeoutMS=100"\nblobs = "blobs"\n'
    )
    with open_project(start=tmp_path) as project:
        client = stranger(site(project))
        client.post("/sign-in", data={"token": token})
        answer = client.get("/?tag=a&state=error")
    assert answer.status_code == 503
    assert 'class="empty" role="alert"' in answer.text
    assert links(answer, "Try again") == ["/?tag=a&state=error"]
    assert "Without tag a" in answer.text


def test_recorded_text_is_inert_in_every_place(made, site, signed_in):
    evil = '"><script>alert(1)</script>\u202e\0\udcff'
    trace = make_trace(
        new_id(), key=f"a/{evil}/b", meta=evil, tags=(evil, "x" * 9000),
        context={"n": evil}, started_at=NOW,
    )  # fmt: skip
    client = signed_in(site(made(trace)))
    for address in (
        "/",
        "/list/overview",
        "/list/complete?q=",
        "/list/complete?q=n%3D",
        "/list/new",
    ):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "\u202e" not in answer.text


def test_who_looks_for_running_traces_is_told_why_there_are_none(client):
    assert "if it records live" in client.get("/?state=running").text
    assert "recorded live and whose process ended" in client.get("/?state=lost").text
    assert "still runs" not in client.get("/?key=no/such").text
