"""A result is explained in a real browser: from its trace to the causes, and on to the steps."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has none

from tracediff.model import Query

pytestmark = [pytest.mark.in_turn, pytest.mark.slow]

PATIENCE = 180_000
WIDER = "document.documentElement.scrollWidth - innerWidth"


def serious(page):
    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found
            if one["impact"] in {"serious", "critical"}]  # fmt: skip


def test_a_result_is_explained_from_its_trace(visit, demo_project):
    newest = demo_project.search(Query(limit=1)).rows[0].id
    page = visit(f"/trace/{newest}", width=1440)
    page.get_by_role("link", name="Explain").click()
    page.get_by_role("button", name="Explain").click()

    # It says what it does, and gives way to what it found.
    page.get_by_role("progressbar").wait_for()
    page.locator(".waterfall").wait_for(timeout=PATIENCE)
    names = page.locator(".waterfall tbody a").all_inner_texts()
    assert set(names) == {"DUTY_RATES", "VOLUMETRIC_DIVISOR", "to_cents"}
    assert page.locator(".guilty").count() == 3

    # The bars are drawn: each begins where the one above it ends.
    bars = [one.bounding_box() for one in page.locator(".drawn rect").all()]
    assert len(bars) == 5
    assert all(one["width"] > 1 and one["height"] > 5 for one in bars)
    ends = {round(bars[0]["x"] + bars[0]["width"]), round(bars[1]["x"])}
    assert max(ends) - min(ends) <= 1

    # Anybody can use it, on any screen.
    assert serious(page) == []
    page.emulate_media(color_scheme="dark")
    for width in (360, 768, 2560, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(WIDER) <= 0, width
    assert serious(page) == []
    page.set_viewport_size({"width": 1440, "height": 800})

    # A cause that is folded opens when the picture leads to it.
    page.locator(".guilty > summary").nth(2).click()
    assert page.locator(".guilty").nth(2).get_attribute("open") is None
    page.locator(".waterfall tbody a").nth(2).click()
    assert page.locator(".guilty").nth(2).get_attribute("open") == ""

    # Another field is drawn at once, and a step leads to its line on both sides.
    page.get_by_role("link", name=re.compile(r"\.vat$")).click()
    assert "--field" in page.locator(".commands").inner_text()
    step = page.locator(".chain a").first
    wanted = step.inner_text()
    step.click()
    line = page.locator(".line.current, .line:focus").first
    line.wait_for()
    assert wanted in line.inner_text()


def test_a_run_is_stopped_by_who_started_it(visit, demo_project):
    newest = demo_project.search(Query(limit=2)).rows[1].id
    page = visit(f"/explain/{newest}", width=390)
    page.get_by_role("button", name="Explain").click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("It was stopped before it was done.").wait_for()
    assert page.get_by_role("button", name="Try again").is_visible()
