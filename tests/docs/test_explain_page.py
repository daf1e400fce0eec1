"""The page about explanations names every kind of unit, every refusal, every remark."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from tracediff.explained import UnitKind

SHORTEST = 12  # what is shorter is a part of a sentence


def part(node: ast.AST) -> str:
    """The longest constant part of a text."""
    found = [
        one.value
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]
    return max(found, key=len, default="").strip()


def tree(root: Path, name: str) -> ast.Module:
    return ast.parse((root / "tracediff" / name).read_text(encoding="utf-8"))


def refusals(root: Path) -> Iterator[str]:
    for name in ("attribution.py", "ends.py"):
        for node in ast.walk(tree(root, f"explain/{name}")):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "RefusedError",
                "_MismatchError",
            ):
                yield part(node.args[0])
    for node in ast.walk(tree(root, "explain/explaining.py")):
        if isinstance(node, ast.keyword) and node.arg == "refused" and part(node.value):
            yield part(node.value)


def remarks(root: Path) -> Iterator[str]:
    names = ("explain/certificate.py", "explain/locks.py", "explain/recorded.py")
    for name in (*names, "replay/layout.py"):
        for node in ast.walk(tree(root, name)):
            if isinstance(node, ast.Yield) and isinstance(node.value, ast.JoinedStr):
                yield part(node.value)


def below(page: str, heading: str) -> str:
    return " ".join(page.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0].split())


def test_every_kind_of_unit_is_told(documentation: dict[str, str]) -> None:
    page = documentation["docs/explain.md"]
    rows = re.findall(r"^\| (`[^|]+) \|", page.split("\n## How a share", 1)[0], re.MULTILINE)
    assert {kind for row in rows for kind in re.findall(r"`([^`]+)`", row)} == set(
        get_args(UnitKind)
    )


def test_every_refusal_is_told_with_what_to_do(root: Path, documentation: dict[str, str]) -> None:
    text = below(documentation["docs/explain.md"], "## When there is no attribution")
    found = set(refusals(root))
    assert len(found) >= 7
    assert {one for one in found if one not in text} == set()


def test_every_remark_of_a_certificate_is_told(root: Path, documentation: dict[str, str]) -> None:
    text = below(documentation["docs/errors.md"], "## Warnings")
    found = {one for one in remarks(root) if len(one) >= SHORTEST}
    assert len(found) >= 10
    assert {one for one in found if one not in text} == set()


@pytest.mark.parametrize("word", ["cause", "share", "mixture", "innocent", "idle", "merged"])
def test_a_word_of_the_report_is_in_the_glossary(word: str, documentation: dict[str, str]) -> None:
    assert f"| **{word}** |" in documentation["docs/glossary.md"]
