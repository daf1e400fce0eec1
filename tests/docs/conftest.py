"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pages() -> list[Path]:
    """Every page: those beside the README, and all of docs/."""
    top = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def documentation() -> dict[str, str]:
    """Each page's text by its path from the checkout."""
    return {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in pages()}


@pytest.fixture(scope="session")
def prose(documentation: dict[str, str]) -> dict[str, str]:
    """Each page's text without its fenced blocks."""
    fence = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    return {name: fence.sub("", text) for name, text in documentation.items()}
