"""The list in a real browser: it completes what one types, and shows what comes meanwhile."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from tracediff.recording.ids import new_id
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace

pytestmark = [pytest.mark.in_turn, pytest.mark.slow]

SECOND = 10**9


def made(ago, **fields):
    fields = {"key": "shop/price", "tags": ("ri:7",), "context": {"store": 4}} | fields
    return make_trace(new_id(), started_at=time.time_ns() - ago * SECOND, **fields)


@pytest.fixture
def shop(tmp_path):
    """A project's directory and its store, which holds a page and a half of traces."""
    (tmp_path / "pyproject.toml").write_text("[tool.tracediff]\n")
    store = LocalStore(tmp_path / ".tracediff")
    store.save([made(100 + n, key=f"shop/{'tax' if n % 3 else 'price'}") for n in range(75)])
    yield tmp_path, store
    store.close()


def test_what_comes_is_shown_where_it_belongs_and_moves_nobody(browse, shop):
    directory, store = shop
    page = browse(directory)("/")
    running = made(50, state="running", tags=("still:running",))
    store.save([running])
    first = page.locator("tr.entry").first
    expect(first).to_contain_text("still:running")
    late, new = made(70), made(1)
    store.save([new, late])
    expect(first).to_have_id(f"t-{new.id}")
    order = [f"t-{one.id}" for one in (new, running, late)]
    expect(page.locator("tr.entry").nth(2)).to_have_id(order[2])
    assert page.locator("tr.entry").evaluate_all("all => all.slice(0, 3).map(e => e.id)") == order
    expect(page.locator("#live-said")).to_have_text(re.compile("new trace"))

    store.delete([running.id])
    store.save([replace(running, state="error")])
    expect(page.locator(f"#t-{running.id}")).to_have_attribute("data-state", "error")

    page.locator("tr.entry").nth(40).scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 400)")  # at once: a wheel goes on turning
    page.wait_for_function("() => scrollY > 300")
    top = page.evaluate("document.querySelectorAll('tr.entry')[40].getBoundingClientRect().top")
    newer = [made(0), made(0)]
    store.save(newer)
    expect(page.locator("#fresh")).to_have_text("2 new")
    assert page.locator(f"#t-{newer[0].id}").count() == 0
    now = page.evaluate("document.querySelectorAll('tr.entry')[40].getBoundingClientRect().top")
    assert now == top
    page.locator("#fresh").click()
    expect(page.locator(f"#t-{newer[0].id}")).to_be_in_viewport()
    ids = page.locator("tr.entry").evaluate_all("all => all.map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_what_comes_is_shown_by_itself_however_many_came_in_the_last_minute(browse, shop):
    directory, store = shop
    store.save([made(2 + n // 10) for n in range(250)])
    page = browse(directory)("/")
    for _ in range(2):
        new = [made(0) for _ in range(40)]
        store.save(new)
        for one in new:
            expect(page.locator(f"#t-{one.id}")).to_have_count(1)
    assert page.locator("#fresh").is_hidden()


def test_a_pause_stops_it(browse, shop):
    directory, store = shop
    page = browse(directory)("/")
    page.keyboard.press("p")
    expect(page.locator("#pause")).to_have_text("Paused")
    with page.expect_response(lambda one: "/list/new" in one.url) as asked:
        store.save([made(0, tags=("after:pause",))])
        page.keyboard.press("p")
    assert asked.value.ok
    expect(page.locator("tr.entry").first).to_contain_text("after:pause")


def test_the_box_is_used_by_keys_alone(browse, shop):
    page = browse(shop[0])("/")
    page.keyboard.press("/")
    box = page.get_by_role("combobox")
    expect(box).to_be_focused()
    page.keyboard.type("pri")
    expect(page.get_by_role("option").first).to_contain_text("shop/price")
    page.keyboard.press("ArrowDown")
    chosen = box.get_attribute("aria-activedescendant")
    expect(page.locator(f"#{chosen}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(box).to_have_value("pri")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?key=shop%2Fprice")

    page.keyboard.press("/")
    page.keyboard.type("sto")
    page.get_by_role("option", name="store=").click()
    expect(page.get_by_role("combobox")).to_have_value("store=")
    page.get_by_role("option", name="store=4").click()
    page.wait_for_url("**/?key=shop%2Fprice&context=store%3D4")
    page.go_back()
    page.wait_for_url("**/?key=shop%2Fprice")
    page.keyboard.press("j")
    page.keyboard.press("j")
    wanted = page.locator("tr.entry").nth(1).get_attribute("id")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/trace/{wanted[2:]}")


def test_who_comes_back_from_a_trace_goes_on_at_its_row(browse, shop):
    page = browse(shop[0])("/")
    for key in ("j", "j", "j"):
        page.keyboard.press(key)
    row = page.locator("tr.current").get_attribute("id")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trace/*")
    page.go_back()
    expect(page.locator("tr.current")).to_have_id(row)
    expect(page.locator("tr.current .go")).to_be_focused()


def test_the_pictures_come_and_a_bar_narrows_the_range(browse, shop):
    page = browse(shop[0])("/")
    bar = page.locator("svg.bars a").filter(has=page.locator("rect.success, rect.error")).first
    expect(page.get_by_text("75 traces, all read")).to_be_visible()
    bar.click()
    page.wait_for_url("**/?since=*")
    expect(page.locator("tr.entry").first).to_be_visible()


def test_the_list_works_without_script(browse, shop):
    page = browse(shop[0])("/", script=False)
    page.get_by_role("combobox").fill("shop")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".chip")).to_have_text([re.compile("shop")])
