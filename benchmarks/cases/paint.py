"""From asking for a page to its first paint with content, in a real Chromium on this machine.

The page of a refusal, which has one sentence, paints in what the browser and the frame of all pages
take; the others are measured beside it, in turns.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from playwright.sync_api import Page

from benchmarks.cases.pages import TRACES, prepared
from benchmarks.figures import Figure
from servers.chromium import Visitor, chromium
from servers.pages import Pages

ROUNDS = 15
TARGET = 500.0

_PAINTED = """() => new Promise((tell) => {
  const name = "first-contentful-paint";
  const found = performance.getEntriesByName(name)[0];
  if (found) return tell(found.startTime);
  new PerformanceObserver((list) => {
    for (const one of list.getEntriesByName(name)) tell(one.startTime);
  }).observe({ type: "paint", buffered: true });
})"""


def measure(quick: bool) -> list[Figure]:
    count = 20 if quick else TRACES
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "project").mkdir()
        ids = prepared(directory / "project", count)
        paths = {
            "": "/trace/none",
            f"the list, of {count:,} traces": "/",
            "a trace of 1,000 steps": f"/trace/{ids[0]}",
        }
        took: dict[str, list[float]] = {what: [] for what in paths}
        with Pages(directory / "project", directory / "log") as pages, chromium() as browser:
            visitor = Visitor(browser, pages.origin)
            visitor.sign_in(pages.url)
            page = visitor("/", width=1440, height=900)
            for _ in range(3 if quick else ROUNDS):
                for what, path in paths.items():
                    took[what].append(_painted(page, pages.origin + path))
    floor = median(took.pop(""))
    return [
        Figure(
            what=f"first paint of {what}",
            unit="ms",
            value=median(times),
            ratio=median(times) / floor,
            against="times the page of a refusal",
            target=TARGET,
        )
        for what, times in took.items()
    ]


def _painted(page: Page, url: str) -> float:
    """Milliseconds until the page that is asked for painted something."""
    page.goto(url)
    found: float = page.evaluate(_PAINTED)
    return found
