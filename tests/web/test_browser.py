"""What holds on every page in a real browser, also for who has no pointer, light or scripts."""

from __future__ import annotations

import asyncio

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has none

from servers.chromium import too_wide
from tracediff.model import Query

pytestmark = pytest.mark.slow

PAGES = ("list", "trace", "compare", "replay", "explain", "check", "refusal", "sign-in")
WIDTHS = (360, 390, 768, 1440, 2560)
MOST_STOPS = 300

# Axe looks at each element by itself, which takes a minute where there are hundreds of lines.
ALIKE = [[".line:nth-child(n+40)"], [".entry:nth-child(n+20)"]]

# The element that has the focus: what it is, and whether that is seen.
FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  e.dataset.stop ??= String(document.querySelectorAll("[data-stop]").length);
  return {
    stop: Number(e.dataset.stop), what: e.outerHTML.slice(0, 120),
    shown: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
      || style.boxShadow !== "none",
    inside: box.width > 0 && box.right > 0 && box.left < innerWidth
      && box.bottom > 0 && box.top < innerHeight,
  };
}"""


@pytest.fixture
def at(visit, demo_project):
    """A function that tells where a page is, and gets it there."""
    old, new = [row.id for row in demo_project.search(Query(limit=2)).rows[:2]]

    def at(name):
        if name in {"refusal", "sign-in"}:
            visit.expected.append("404" if name == "refusal" else "401")
        return {
            "list": "/",
            "trace": f"/trace/{old}",
            "compare": f"/compare/{old}/{new}",
            "replay": f"/compare/{old}",
            "explain": f"/explain/{old}",
            "check": "/check",
            "refusal": "/trace/none",
            "sign-in": "/",
        }[name]

    return at


def opened(visit, at, name, **how):
    page = visit(at(name), **how)
    if name == "sign-in":
        page.context.clear_cookies()
        page.reload()
    return page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_suits_any_window_and_anyone(name, visit, at):
    page = opened(visit, at, name)
    assert serious(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    assert serious(page) == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert too_wide(page) == [], width


def serious(page):
    """What axe finds that keeps somebody from using the page."""
    return [
        (
            one["id"],
            one["help"],
            [(node["html"][:200], node["failureSummary"]) for node in one["nodes"][:3]],
        )
        for one in Axe().run(page, context={"exclude": ALIKE}).response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("name", PAGES[:-1])
def test_a_page_is_used_by_keyboard(name, visit, at):
    page = opened(visit, at, name)
    page.keyboard.press("Tab")
    first = page.evaluate(FOCUS)
    assert "Skip to the content" in first["what"]
    assert first["inside"]
    seen = [first]
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS)
        if stop is None or stop["stop"] < len(seen):
            break
        seen.append(stop)
    else:
        pytest.fail(f"the focus never comes round: {seen[-3:]}")
    assert [one for one in seen if not (one["shown"] and one["inside"])] == []
    page.locator("a.skip").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = page.evaluate("document.activeElement.closest('main') !== null")
    assert inside or page.locator("main").locator("a, button, input, select").count() == 0


def test_pages_are_read_without_scripts(visit, at):
    page = visit("/", script=False)
    rows = page.locator("tr.entry")
    assert rows.count() > 20
    page.get_by_role("navigation", name="State").get_by_role("link", name="warning").click()
    assert 0 < rows.count() < 20
    page.get_by_role("searchbox").or_(page.get_by_role("combobox")).fill("#store:3")
    page.get_by_role("button", name="Search").click()
    page.goto(visit.origin)
    rows.first.locator(".go").click()
    lines = page.locator(".line")
    assert lines.count() > 100
    assert lines.nth(1).is_visible()
    assert "Loading" in lines.nth(1).inner_text()
    page.get_by_text("Commands and facts").click()
    assert page.locator("details.about code").first.is_visible()
    page.goto(visit.origin + at("compare"))
    assert lines.nth(1).is_visible()
    page.goto(visit.origin + at("check"))
    assert page.get_by_role("heading", level=1).is_visible()


async def answer():
    return 1


def test_others_use_asyncio_between_the_tests_of_a_browser(browser):
    assert asyncio.run(answer()) == 1
