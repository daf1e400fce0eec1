"""The last check in a real browser: looked at, drilled down, accepted in place and without it."""

from __future__ import annotations

import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has none

from tracediff.api import open_project
from tracediff.check.causesfile import read_causes
from tracediff.check.selecting import Selection
from tracediff.checks import Wanted

pytestmark = [pytest.mark.in_turn, pytest.mark.slow]


@pytest.fixture(scope="session")
def checked_demo(demo_directory, tmp_path_factory):
    """A copy of the demo with a check of its last traces; not to be checked again."""
    directory = tmp_path_factory.mktemp("checked") / "project"
    shutil.copytree(demo_directory, directory)
    with open_project(start=directory) as project:
        found = project.check(Wanted(selection=Selection(last=12), explain=6))
    assert found.groups
    return directory


@pytest.fixture
def visitor(browse, checked_demo):
    return browse(checked_demo, CI="")


def suits(page):
    """Whether axe finds nothing that keeps somebody from using the page, and nothing sticks out."""
    found = [one for one in Axe().run(page).response["violations"]
             if one["impact"] in {"serious", "critical"}]  # fmt: skip
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [one["help"] for one in found] == [] and wide <= 0


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (360, True)])
def test_the_pages_of_a_check_suit_any_window_and_anyone(visitor, width, dark):
    page = visitor("/check", width=width, dark=dark)
    assert suits(page)
    page.get_by_role("table", name="The causes").get_by_role("link").first.click()
    page.get_by_role("heading", name="Its traces").wait_for()
    assert suits(page)
    page.get_by_role("table", name="Its traces").get_by_role("link").first.click()
    page.wait_for_url("**/trace/*")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_cause_is_accepted_with_the_keyboard_and_dropped_again(visitor, checked_demo, scripts):
    page = visitor("/check", script=scripts)
    page.get_by_role("table", name="The causes").get_by_role("link").first.click()
    place = page.get_by_role("region", name="Accept it")
    place.get_by_label("Why it is right").fill("the carriers' contract")
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Accepted").wait_for()
    (kept,) = read_causes(checked_demo)
    assert kept.reason == "the carriers' contract"
    assert kept.cause in page.url
    if scripts:
        assert page.url.endswith(kept.cause)  # nothing was loaded anew
        assert page.evaluate("document.activeElement.getAttribute('role')") == "status"
    page.get_by_role("button", name="Accept it no longer").click()
    place.wait_for()
    assert read_causes(checked_demo) == ()
