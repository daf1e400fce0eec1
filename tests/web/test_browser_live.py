"""Jobs of a process of its own, watched in a real browser until one ends and one is killed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # no stubs
from playwright.sync_api import expect

import tracediff
from tracediff.stores.local import LocalStore

pytestmark = pytest.mark.slow

CHECKOUT = Path(tracediff.__file__).parents[1]
JOB = """\
import sys, time
from pathlib import Path
import tracediff as td

def wait_for(name):
    while not Path(name).exists():
        time.sleep(0.02)

@td.input("Price of the day")
def price(product):
    return product * 1.5

@td.step("product")
def product(number):
    td.note(f"looking at {number}")
    return price(number)

@td.job("catalogue/import")
def run(count, more="more", end="end"):
    td.note("Products", head=True)
    with td.step("Importing products") as step:
        for number in range(count):
            product(number)
        wait_for(more)
        for number in range(count):
            product(number)
        td.warn()
        wait_for(end)
        step.result = count
    return count

run(30)
run(30, "never", "never")
"""
SETTINGS = '[tool.tracediff]\njobs = ["job"]\nmode = "live"\nbump_every = 0.2\n'


@pytest.fixture
def job(tmp_path):
    """A project's directory, and the process of its jobs, which wait for files to appear."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "job.py").write_text(JOB)
    LocalStore(tmp_path / ".tracediff").close()
    process = subprocess.Popen(
        [sys.executable, "job.py"], cwd=tmp_path, env={"PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    yield tmp_path, process
    process.kill()
    process.wait()


def fits(page):
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_jobs_are_watched_until_one_ends_and_one_is_killed(browse, job):
    directory, process = job
    visit = browse(directory)
    listed = visit("/", width=1440)
    newest = listed.locator("tr.entry").first
    expect(newest).to_have_attribute("data-state", "running", timeout=20_000)
    expect(newest.locator(".heard")).to_contain_text("last heard of")
    row = listed.locator("#" + newest.get_attribute("id"))
    page = visit(row.locator(".go").get_attribute("href"), width=1440)
    expect(page.locator("#line-2 .flag")).to_have_text("◌ running")
    expect(page.locator("#line-92")).to_have_count(1, timeout=20_000)
    assert page.get_by_role("link", name="Explain").count() == 0
    fits(page)
    it_grows_and_moves_nobody(page, directory)
    it_becomes_the_page_of_one_that_has_ended(page, row, directory)
    expect(listed.locator("#overview")).to_contain_text("1 warning", timeout=40_000)

    expect(newest).to_have_attribute("data-state", "running", timeout=20_000)
    page = visit(newest.locator(".go").get_attribute("href"), width=390, dark=True)
    expect(page.locator("#line-92")).to_have_count(1, timeout=20_000)
    process.kill()
    process.wait()
    it_becomes_the_page_of_one_that_was_lost(page, newest)
    with closing(LocalStore(directory / ".tracediff")) as store:
        (found,) = store.find(page.url.rpartition("/")[2])
    assert (found.state, found.steps) == ("lost", 93)


def it_grows_and_moves_nobody(page, directory):
    """Nothing that a reader has opened, folded or chosen changes under their hands."""
    page.keyboard.press("j")
    page.locator("#line-0:focus").wait_for()
    for _ in range(3):
        page.keyboard.press("j")
    page.locator("#line-3:focus").wait_for()
    page.keyboard.press("Enter")
    page.locator("#line-3 .opened .values").first.wait_for()
    page.evaluate("document.querySelector('.viewer').lines.fold(6, true)")
    top = page.locator("#line-3").evaluate("one => one.getBoundingClientRect().top")
    (directory / "more").touch()
    expect(page.locator("#line-182")).to_have_count(1, timeout=20_000)
    expect(page.locator("#line-3:focus")).to_have_count(1)
    expect(page.locator("#line-3 .opened .values").first).to_be_visible()
    assert page.locator("#line-6").get_attribute("aria-expanded") == "false"
    assert page.locator("#line-7").is_hidden()
    assert page.locator("#line-3").evaluate("one => one.getBoundingClientRect().top") == top


def it_becomes_the_page_of_one_that_has_ended(page, row, directory):
    """What was focused stays so; a page that does not follow changes when it does again."""
    page.keyboard.press("f")
    expect(page.locator("#follow")).to_have_text("Follow")
    (directory / "end").touch()
    expect(row).to_have_attribute("data-state", "warning", timeout=20_000)
    expect(page.locator(".badge")).to_contain_text("running")
    page.keyboard.press("f")
    expect(page.locator(".badge")).to_contain_text("warning", timeout=20_000)
    expect(page.locator("#follow-said")).to_have_text("This job has ended: warning.")
    expect(page.get_by_role("link", name="Explain")).to_be_visible()
    expect(page.locator(".took[data-since]")).to_have_count(0)
    expect(page.locator("#line-2 .outcome")).to_have_text("30")
    expect(page.locator("#line-3:focus")).to_have_count(1)
    assert page.locator("#follow").is_hidden()


def it_becomes_the_page_of_one_that_was_lost(page, row):
    """It says what is known of it."""
    expect(page.locator(".badge")).to_contain_text("lost", timeout=30_000)
    expect(page.locator(".standing")).to_contain_text("its process ended before its job did")
    expect(page.locator("#follow-said")).to_have_text("This job was lost.")
    expect(page.locator("#line-2 .flag")).to_have_text("⊘ open when lost")
    expect(row).to_have_attribute("data-state", "lost", timeout=20_000)
    fits(page)
