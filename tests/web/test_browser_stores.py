"""A person's way through all pages, with traces in files and with traces in MongoDB and S3."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest

from servers import mongod, seaweed
from tracediff import demo
from tracediff.check.causesfile import read_causes
from tracediff.model import Artifact, Query
from tracediff.stores import open_store
from tracediff.testing import make_trace

pytestmark = [pytest.mark.in_turn, pytest.mark.slow(30)]

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

# Of traces in files, the tests of these pages do the same.
on_servers = pytest.mark.parametrize("place", ["servers"], indirect=True)

RUN = 60_000
"""Milliseconds that what runs in the background may take on a busy machine."""


@dataclass(frozen=True)
class Place:
    """A copy of the demo, and the variables that say where its traces are."""

    directory: Path
    variables: dict[str, str]
    priced: str = ""
    """A trace that the changed code prices otherwise."""

    def run(self, *command):
        """Run a module in it; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.directory,
            env=demo.python_environment(os.environ) | self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The variables by which a program reaches a store of its own in MongoDB and S3."""
    with (
        mongod.Mongod(tmp_path_factory.mktemp("mongod")) as index,
        seaweed.Seaweed(tmp_path_factory.mktemp("weed")) as blobs,
    ):
        where = quote(f"s3://traces-a,traces-b/pages?endpoint={blobs.endpoint}", safe="")
        yield blobs.identities["admin"].environment() | {
            "AWS_EC2_METADATA_DISABLED": "true",
            "TRACEDIFF_STORE": f"{index.uri('pages')}&blobs={where}",
            "TRACEDIFF_UPLOAD_EVERY": "0.1",
        }


@pytest.fixture(scope="module", params=["files", "servers"])
def place(request, demo_directory, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "demo"
    shutil.copytree(demo_directory, directory)
    if request.param == "files":
        yield furnished(Place(directory, {}))
        return
    found = Place(directory, request.getfixturevalue("servers"))
    url = found.variables["TRACEDIFF_STORE"]
    found.run("tracediff", "init", "--yes")
    found.run("tracediff", "push", "--all", "--store", ".tracediff", "--to", url)
    shutil.rmtree(directory / ".tracediff")
    with pytest.MonkeyPatch.context() as patch:
        for name, text in found.variables.items():
            patch.setenv(name, text)
        yield furnished(found)


def furnished(place):
    """Put a trace with an image, and a page of older traces, beside those of the demo."""
    digest = hashlib.sha256(DOT).hexdigest()
    image = Artifact(name="dot.png", sha256=digest, size=len(DOT), media_type="image/png", data=DOT)
    older = [make_trace(f"older{at:02}", key="other/job", started_at=at) for at in range(60)]
    store = open_store(place.variables.get("TRACEDIFF_STORE", str(place.directory / ".tracediff")))
    try:
        store.save([make_trace("drawn", artifacts=(image,), tags=("drawn",)), *older])
        priced = store.search(Query(key="commodity", state="success", limit=1)).rows[0].id
    finally:
        store.close()
    return replace(place, priced=priced)


@pytest.fixture
def visit(place, browse):
    return browse(place.directory, CI="", **place.variables)


def test_traces_are_found_and_come_while_one_watches(visit, place):
    page = visit("/", width=1440)
    rows = page.locator("tr.entry")
    page.locator(".charts svg").first.wait_for()

    # A part of a tag, completed by keyboard; the chip goes again.
    page.keyboard.press("/")
    page.keyboard.type("#category:au")
    offer = page.get_by_role("option", name="category:audio")
    offer.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**tag=category**")
    assert all("category:audio" in one for one in rows.locator(".tags").all_inner_texts())
    page.get_by_role("link", name="Without tag category:audio").click()
    page.wait_for_url(lambda url: "tag=" not in url)

    # A key, a state, and back; a range of time.
    page.get_by_role("link", name="commodity", exact=True).first.click()
    page.get_by_role("navigation", name="State").get_by_role("link", name="warning").click()
    page.wait_for_url("**state=warning**")
    assert set(rows.evaluate_all("all => all.map((one) => one.dataset.state)")) == {"warning"}
    page.get_by_role("navigation", name="Time range").get_by_role("link", name="1 h").click()
    page.locator("tr.entry").first.wait_for()

    # The next page, by keyboard.
    page.goto(visit.origin)
    first = rows.first.get_attribute("id")
    page.keyboard.press("n")
    page.get_by_role("link", name="newest").first.wait_for()
    assert page.locator(f"#{first}").count() == 0
    assert page.locator("#t-older30").count() == 1
    page.get_by_role("link", name="newest").first.click()
    page.locator(f"#{first}").wait_for()

    # A job that is recorded now shows up by itself.
    page.get_by_role("button", name="Pause").wait_for()
    place.run("pricing.run", "--last", "1")
    page.wait_for_function(
        "first => document.querySelector('tr.entry').id !== first", arg=first, timeout=RUN
    )
    rows.first.locator(".go").click()
    page.wait_for_url("**/trace/*")


def test_a_trace_is_read_line_by_line(visit, place):
    page = visit(f"/trace/{place.priced}", width=1440)
    lines = page.locator(".line:visible")
    for key in "jjjk":
        page.keyboard.press(key)
    assert page.locator(":focus").get_attribute("id") == "line-1"

    # A step opens in place, with its values as trees.
    page.locator(".line", has_text="Fetching product").first.locator(".says").click()
    opened = page.locator(".line.open .opened")
    opened.get_by_text("main_product_id").first.wait_for()
    page.keyboard.press("Escape")
    opened.wait_for(state="hidden")

    # Search, and on from one line that is found to the next.
    page.keyboard.press("/")
    page.keyboard.type("vat rate")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.line.hit').length > 1")
    page.keyboard.press("Escape")

    # Folds, and a place in the minimap.
    count = lines.count()
    page.get_by_role("button", name="Fold", exact=True).click()
    assert lines.count() < count
    page.get_by_role("button", name="Unfold").click()
    assert lines.count() == count
    before = page.evaluate("scrollY")
    box = page.locator(".minimap svg").bounding_box()
    page.mouse.click(box["x"] + 5, box["y"] + box["height"] * 0.9)
    page.wait_for_function("before => scrollY > before + 500", arg=before)


def test_an_image_that_a_trace_keeps_is_seen(visit):
    page = visit("/trace/drawn")
    page.locator("img.artifact").wait_for()
    page.wait_for_function("() => document.querySelector('img.artifact').naturalWidth === 1")


@on_servers
def test_a_result_is_compared_with_its_replay_and_explained(visit, place):
    page = visit(f"/trace/{place.priced}", width=1440)
    page.get_by_role("link", name="Compare with its replay").click()
    page.get_by_role("button", name="Replay and compare").click()
    verdict = page.locator(".verdict")
    verdict.get_by_text("different").wait_for(timeout=RUN)
    page.keyboard.press("n")
    page.wait_for_function("() => document.activeElement.matches('.line.differs')")
    page.get_by_role("link", name=place.priced).click()
    page.get_by_role("link", name="Explain", exact=True).click()
    page.locator("button.primary").click()
    page.locator(".waterfall").wait_for(timeout=RUN)
    causes = page.locator(".waterfall tbody th a").all_inner_texts()
    assert set(causes) == {"DUTY_RATES", "VOLUMETRIC_DIVISOR", "to_cents"}
    assert page.locator(".sum").inner_text().startswith("✓")
    page.get_by_role("link", name="DUTY_RATES").first.click()
    cause = page.locator("#cause-1")
    assert "Jonas Feld" in cause.inner_text()
    cause.get_by_role("link", name="Duty rate").first.click()
    page.wait_for_url("**/compare/**")
    page.locator(".line", has_text="Duty rate").first.wait_for()


@on_servers
def test_a_check_is_run_and_a_cause_of_it_accepted(visit, place):
    page = visit("/check")
    page.get_by_label("Check the last").fill("12")
    page.get_by_role("button", name="Run").click()
    causes = page.get_by_role("table", name="The causes")
    causes.wait_for(timeout=RUN)
    name = causes.get_by_role("link").first.inner_text()
    causes.get_by_role("link").first.click()
    page.get_by_role("table", name="Its traces").get_by_role("link").first.wait_for()
    place_of = page.get_by_role("region", name="Accept it")
    place_of.get_by_label("Why it is right").fill("the carriers' contract of March")
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Accepted").wait_for()
    (kept,) = read_causes(place.directory)
    assert kept.reason == "the carriers' contract of March"
    assert name in str(kept)
    page.get_by_role("button", name="Accept it no longer").click()
    place_of.wait_for()
    assert read_causes(place.directory) == ()
