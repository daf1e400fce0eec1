"""A check as a page of one file: well-formed, accessible, with nothing that runs or is loaded."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff.checked import Checked
from tracediff.reports.markup import Markup, element, escaped, joined
from tracediff.reports.pages.checkview import check_html

GOLDEN = Path(__file__).parents[1] / "golden" / "check-everything.html"
Checks = Callable[[str], Checked]
SEEN = {
    "a", "body", "code", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "h1", "h2",
    "head", "header", "html", "li", "main", "meta", "p", "path", "pre", "rect", "section", "span",
    "style", "summary", "svg", "table", "tbody", "td", "th", "thead", "title", "tr", "ul",
}  # fmt: skip
GIVEN = {
    "aria-hidden", "aria-label", "charset", "class", "content", "d", "height", "href",
    "http-equiv", "id", "lang", "name", "open", "preserveaspectratio", "role", "tabindex",
    "viewbox", "width", "x", "y",
}  # fmt: skip


class Tree(HTMLParser):
    """The elements of a page, each of which has to be closed where it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self._builder = ET.TreeBuilder()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), attrs
        self._builder.start(tag, {name: value or "" for name, value in attrs})
        self._open.append(tag)
        if tag == "meta":
            self.handle_endtag(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self._builder.data(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def root(self) -> ET.Element:
        self.close()
        assert not self._open
        return self._builder.close()


def page(found: Checked) -> ET.Element:
    text = check_html(found)
    assert text.isascii()
    assert text.startswith("<!doctype html>\n<html ")
    tree = Tree()
    tree.feed(text)
    return tree.root()


def said(root: ET.Element) -> str:
    return " ".join("".join(root.itertext()).split())


def harmless(root: ET.Element) -> None:
    for one in root.iter():
        assert one.tag in SEEN
        assert set(one.attrib) <= GIVEN
        assert one.get("href", "#cause-").startswith("#cause-")


def test_nothing_in_it_runs_or_is_loaded(any_check: Checked) -> None:
    harmless(page(any_check))


def test_its_policy_allows_its_own_style_alone(any_check: Checked) -> None:
    root = page(any_check)
    style = root.findtext("head/style") or ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (one.get("content", "") for one in root.iter("meta") if one.get("http-equiv"))
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; script-src 'none'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme:dark" in style


def without_style(text: str) -> str:
    """The page without the style that it shares with all pages, and without its digest."""
    text = re.sub("(?s)<style>.*</style>", "<style></style>", text)
    return re.sub("sha256-[^&]+", "sha256-", text)


def test_it_looks_as_it_did_and_says_all(checked: Checks) -> None:
    found = checked("everything")
    text = without_style(check_html(found))
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
    words = said(page(found))
    for part in (
        "✗ failed", "300 traces replayed: 77 the same", "207 traces differ, and at most 0 may",
        "-75.25 +45.50 -1.25 -0.23 = -31.23", "+VOLUMETRIC_DIVISOR = Decimal(6000)",
        "the customs tariff of November (Ada Byron, 2026-11-25)", "41 times as likely",
        "result.label moves, and that was not accepted", "its bytes are damaged",
        "result.printed_at differs", "remove it with `tracediff accept --drop 0badcafe`",
        "not explained", "the old side is 1a2b3c4d5e6f", "1m8b2xrncbxrz8pd0003",
    ):  # fmt: skip
        assert part in words, part


def test_pictures_are_told_in_words(checked: Checks) -> None:
    root = page(checked("pricing"))
    for one in root.iter("svg"):
        told = one.get("role") == "img" and one.get("aria-label")
        assert told or one.get("aria-hidden") == "true"
    labels = [one.get("aria-label") for one in root.iter("svg") if one.get("role") == "img"]
    assert labels[0] == "145 down, from -7.29 to -0.05, median about -0.40"


def test_bars_are_as_long_and_as_high_as_what_they_show(checked: Checks) -> None:
    found = checked("pricing")
    root = page(found)
    bars = [float(one[0].get("width", "")) for one in root.iter("svg")
            if one.get("class") == "bar"]  # fmt: skip
    assert bars[:2] == [100.0, round(45.5 / 75.25 * 100, 1)]
    (first,) = (one for one in root.iter("svg")
                if (one.get("aria-label") or "").startswith("145 down"))  # fmt: skip
    heights = [float(one.get("height", "")) for one in first.iter("rect")]
    bins = [one.count for one in found.groups[0].totals[0].bins if one.count]
    assert len(heights) == len(bins)
    assert heights.index(max(heights)) == bins.index(max(bins))


def test_links_lead_to_a_cause_on_the_page(ten_thousand: Checked, checked: Checks) -> None:
    for found in (checked("everything"), ten_thousand):
        root = page(found)
        ids = [one.get("id") for one in root.iter() if one.get("id")]
        assert len(set(ids)) == len(ids)
        ids.remove("main")
        assert {one.get("href", "")[1:] for one in root.iter("a")} == set(ids)


def test_ten_thousand_causes_are_a_page_that_opens(ten_thousand: Checked) -> None:
    text = check_html(ten_thousand)
    assert len(text) < 2_000_000
    assert "9,000 more causes" in text
    assert "9,800 more causes" in text


def test_the_causes_that_fail_are_open(checked: Checks) -> None:
    opened = [one.get("open") is not None for one in page(checked("everything")).iter("details")]
    assert opened == [True, False, True, True, False]
    assert not any(one.get("open") == "" for one in page(checked("accepted")).iter("details"))


def test_only_who_asks_for_a_page_waits_for_what_makes_pages() -> None:
    program = (
        "import sys\nimport tracediff.cli\nimport tracediff.cli.check, tracediff.cli.formats\n"
        "import tracediff.reports.text.check, tracediff.reports.junit\n"
        "assert 'jinja2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@settings(max_examples=25)
@given(evil=st.text(max_size=60))
def test_whatever_text_there_is_the_page_is_harmless(evil: str, checking: dict[str, Any]) -> None:
    harmless(page(checking["hostile"](evil)))


@pytest.mark.parametrize("evil", ["</style>", "\ud800\ufffe\x00", "&lt;", "'\"", "漢"])
def test_text_is_escaped_and_markup_is_not(evil: str) -> None:
    made = element("p", {"title": evil}, evil, element("b", None, evil), [evil, Markup("<i></i>")])
    root = ET.fromstring(made)
    assert [one.tag for one in root] == ["b", "i"]
    assert ET.fromstring(f"<p>{escaped(evil)}</p>").text == root[0].text
    assert joined(made) == made
