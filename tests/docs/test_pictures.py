"""Each picture of the documentation is there, is small, and is made by `make screenshots`."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.screenshots import LARGEST, PICTURES

ROOT = Path(__file__).parents[2]
IMAGE = re.compile(r"!\[[^\]]+\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"")


def test_what_pages_show_is_there_and_everything_there_is_shown() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {
        (page.parent / (plain or tag)).resolve()
        for page in pages
        for plain, tag in IMAGE.findall(page.read_text(encoding="utf-8"))
        if "://" not in plain + tag
    }
    made = {ROOT / "docs" / "images" / f"{one.name}.png" for one in PICTURES}
    assert shown == made == set((ROOT / "docs" / "images").iterdir())
    assert [one.name for one in made if one.stat().st_size > LARGEST] == []
    assert {one.read_bytes()[:8] for one in made} == {b"\x89PNG\r\n\x1a\n"}
