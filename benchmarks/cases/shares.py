"""Explaining many changed traces at once: what one takes, beside one attribution by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.cases.commands import GIT
from benchmarks.figures import Figure, ratio, spread
from benchmarks.measuring import in_turns
from tracediff.api import open_project
from tracediff.checked import Shares
from tracediff.explain.attribution import attribute
from tracediff.explain.portfolio import attribute_many
from tracediff.model import Query, Trace
from tracediff.replay import checked_out

STEPS = 50
SHOP = """
from decimal import Decimal

import tracediff as td

RATE = Decimal("{rate}")

@td.input("Fetching the weight")
def weight(line):
    return Decimal(line).scaleb(-2)

@td.step("Line")
def priced(line, price):
    return price * RATE {sign} line

@td.job("shop/total")
def total(number):
    found = sum((weight(line) for line in range(5)), Decimal(number))
    for line in range(44):
        found += priced(line, Decimal("19.90"))
    return rounded(found)

def rounded(amount):
    return amount.quantize(Decimal("{unit}"))
"""
RECORD = (
    "import sys\n\nimport shop\n\nfor number in range(int(sys.argv[1])):\n    shop.total(number)\n"
)


def project(directory: Path, many: int) -> None:
    """A project in git with recorded traces, and three changes that all of them run."""
    texts = {
        "pyproject.toml": '[tool.tracediff]\njobs = ["shop"]\n',
        ".gitignore": ".tracediff/\n__pycache__/\n",
        "shop.py": SHOP.format(rate="1.19", sign="+", unit="0.01"),
        "record.py": RECORD,
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    for command in (
        (*GIT, "init", "--quiet"),
        (*GIT, "add", "--all"),
        (*GIT, "commit", "--quiet", "-m", "Price a product"),
        (sys.executable, "record.py", str(many)),
    ):
        subprocess.run(command, cwd=directory, check=True)
    (directory / "shop.py").write_text(SHOP.format(rate="1.21", sign="-", unit="0.1"))


def traces(directory: Path) -> list[Trace]:
    """All that were recorded."""
    with open_project(start=directory) as found:
        rows, cursor = [], None
        while True:
            page = found.search(Query(limit=200, cursor=cursor))
            rows += page.rows
            cursor = page.cursor
            if cursor is None:
                return [found.resolve(row.id) for row in rows]


def used(body: Callable[[], int], wanted: int) -> float:
    """Seconds of processors, of this process and those it started."""
    before = sum(os.times()[:4])
    if body() != wanted:
        raise RuntimeError("not all traces have their shares")
    return sum(os.times()[:4]) - before


def whole(shares: Shares) -> bool:
    """Whether all three changes have a share."""
    return len(shares.changes) == 3


def measure(quick: bool) -> list[Figure]:
    few, many, rounds = (4, 12, 1) if quick else (100, 1_100, 3)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        project(directory, many)
        found = traces(directory)
        with open_project(start=directory) as opened, checked_out(opened.config, "HEAD") as laid:
            then, config = laid[0], opened.config

            def together(count: int) -> float:
                some = found[:count]
                return used(lambda: sum(map(whole, attribute_many(some, then, config))), count)

            def alone() -> float:
                one = attribute(found[0], then, config, details=False)
                return 0.0 if len(one.causes) == 3 else 1.0

            runs = in_turns(
                {
                    "few": lambda: together(few),
                    "many": lambda: together(many),
                    "alone": lambda: used(lambda: int(alone() == 0), 1),
                },
                rounds,
            )
    more = many - few
    each = [1e3 * (b - a) / more for a, b in zip(runs["few"], runs["many"], strict=True)]
    one = [1e3 * took for took in runs["alone"]]
    return [
        Figure(what=f"exact shares of one of {many:,} changed traces of {STEPS} steps with three "
               "changes, by time of processors", unit="ms",
               value=sorted(each)[len(each) // 2], target=20, spread=spread(each)),
        Figure(what="the same for one trace by itself", unit="ms",
               value=sorted(one)[len(one) // 2], ratio=ratio(one, each),
               against="times one of many", spread=spread(one)),
    ]  # fmt: skip
