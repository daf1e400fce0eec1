"""``make screenshots``: make the pictures of the pages in docs/images anew, from the example.

Records the example in a temporary directory, checks it, serves its pages and opens each of them in
a real Chromium. The pictures hold what the pages say, so they differ a little each time: in the
times and in the ids.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Page  # noqa: E402 - the checkout is on the path

from servers.chromium import Visitor, chromium  # noqa: E402 - the same
from servers.pages import Pages  # noqa: E402 - the same
from tracediff import demo  # noqa: E402 - the same
from tracediff.api import open_project  # noqa: E402 - the same
from tracediff.cli.exits import DIFFERENT  # noqa: E402 - the same
from tracediff.model import Query  # noqa: E402 - the same

LARGEST: Final = 250_000
"""Bytes that a picture may have."""

_RUNS: Final = 120_000.0


_LIVE: Final = """
import time
import tracediff as td
from pricing.job import calculate
from pricing.run import listings

@td.job("catalogue/reprice", mode="live")
def reprice(store_id):
    td.tag(f"store:{store_id}")
    for at, listing in enumerate(listings(60)):
        td.note(f"Listing {at + 1}", head=True)
        with td.step("Repricing"):
            time.sleep(0.3)
            calculate(*listing)

reprice(3)
"""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a page: its file, where the page is, the window, and what is done in it."""

    name: str
    path: str
    width: int = 1280
    height: int = 860
    dark: bool = False
    prepared: Callable[[Page], object] = lambda page: None


def opened(page: Page) -> None:
    """A line of a trace is open, one that shows something."""
    line = page.locator(".line", has_text="Supplier terms").first
    line.scroll_into_view_if_needed()
    line.locator(".says").click()
    page.locator(".opened .values").first.wait_for()


def scrolled(page: Page) -> None:
    """The steps of a comparison are in view, at a change."""
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.locator("#steps").evaluate("one => one.scrollIntoView()")


def grown(page: Page) -> None:
    """Some lines have come, and some more will."""
    page.locator("#line-150").wait_for(state="attached", timeout=_RUNS)
    page.locator(".timeline > svg").wait_for(timeout=_RUNS)


PICTURES: Final = (
    Picture(name="list", path="/", height=700),
    Picture(name="list-phone", path="/", width=390, height=760),
    Picture(name="trace", path="/trace/{id}", height=800),
    Picture(name="trace-dark", path="/trace/{id}", dark=True, prepared=opened),
    Picture(name="live", path="/trace/{live}", height=700, prepared=grown),
    Picture(name="compare", path="/compare/{id}", width=1440),
    Picture(name="compare-steps", path="/compare/{id}", width=1440, prepared=scrolled),
    Picture(name="explain", path="/explain/{id}", height=1100),
    Picture(name="check", path="/check", height=1000),
)


def main() -> int:
    """Make the pictures; 0 when each of them is small enough."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images", help="the directory")
    parser.add_argument("--jobs", type=int, default=demo.JOBS, help="how many jobs are recorded")
    parser.add_argument("names", nargs="*", help="only these pictures")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - {one.name for one in PICTURES}
    if unknown:
        parser.error(f"there is no picture {', '.join(sorted(unknown))}")
    wanted = [one for one in PICTURES if not chosen.names or one.name in chosen.names]
    chosen.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tracediff-") as temporary:
        project = Path(temporary) / "demo"
        say(f"recording {chosen.jobs} jobs")
        demo.build(project, jobs=chosen.jobs)
        say("checking them")
        check(project)
        with Pages(project, Path(temporary) / "log") as pages, chromium() as browser:
            visitor = Visitor(browser, pages.origin)
            visitor.sign_in(pages.url)
            run(visitor, newest(project))
            with running(project):
                large = [one.name for one in wanted if not taken(one, visitor, project, chosen.to)]
            for trouble in visitor.troubles:
                say(trouble)
    return 1 if large or visitor.troubles else 0


@contextlib.contextmanager
def running(project: Path) -> Iterator[None]:
    """Let a job run that records live, until all pictures are made."""
    environment = {**demo.python_environment({}), "TRACEDIFF_BUMP_EVERY": "0.5"}
    process = subprocess.Popen([sys.executable, "-c", _LIVE], cwd=project, env=environment)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def live(project: Path) -> str:
    """The trace of the job that runs, once it is there."""
    until = time.monotonic() + _RUNS / 1000
    with open_project(start=project) as found:
        while not (rows := found.search(Query(state="running", limit=1)).rows):
            if time.monotonic() > until:
                raise SystemExit("no job runs")
            time.sleep(0.1)
        return rows[0].id


def check(project: Path) -> None:
    """Replay all that was recorded on the code as it is now, as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "tracediff", "check"],
        cwd=project,
        env=demo.python_environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != DIFFERENT:
        raise SystemExit(done.stderr)


def newest(project: Path) -> str:
    """The newest trace of a price."""
    with open_project(start=project) as found:
        return found.search(Query(key="commodity", state="success", limit=1)).rows[0].id


def run(visitor: Visitor, trace: str) -> None:
    """Replay and explain the trace, so that their pages have something to show."""
    for what, shows in (("compare", ".verdict"), ("explain", ".waterfall")):
        say(f"{what} {trace}")
        page = visitor(f"/{what}/{trace}")
        page.locator("form.start button.primary").click()
        page.locator(shows).wait_for(timeout=_RUNS)
        page.close()


def taken(picture: Picture, visitor: Visitor, project: Path, to: Path) -> bool:
    """Make a picture; whether it is small enough."""
    name = live(project) if "{live}" in picture.path else newest(project)
    page = visitor(
        picture.path.format(id=name, live=name),
        width=picture.width,
        height=picture.height,
        dark=picture.dark,
    )
    page.wait_for_load_state("networkidle")
    picture.prepared(page)
    page.evaluate("document.activeElement?.blur()")
    file = to / f"{picture.name}.png"
    page.screenshot(path=file)
    page.close()
    size = file.stat().st_size
    say(f"{file.name}: {size // 1000} kB{'' if size <= LARGEST else ', TOO LARGE'}")
    return size <= LARGEST


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
