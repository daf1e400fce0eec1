"""The service is recorded, stopped, changed and explained; the shares are those worked out by hand.

An order of 24, 16, 10 and 2 pieces at 50.68, 86.21, 257.46 and 445.03 kronor, for a silver customer
(2 % off) in Sweden: 25 % VAT, 12 % on the second; 279.60 for shipping. tests/shop/test_service.py
works out the recorded price.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from tracediff.api import open_project
from tracediff.model import Query

ROOT = Path(__file__).parents[2]

NEITHER = Decimal("7283.51")

# 7 % instead of 5 % from ten pieces on: 1106.85 + 1255.22 + 2342.89 + 872.26 = 5577.22 of goods,
# and VAT on 4601.60 and 1255.22, rounded once: 1150.40 + 150.6264 is 1301.03.
DISCOUNT = Decimal("5577.22") + Decimal("279.60") + Decimal("1301.03")

# VAT line by line on 1131.18, 1282.80, 2394.38, 872.26 and 279.60:
# 282.80 (from 282.795) + 153.94 (153.936) + 598.60 (598.595) + 218.07 (218.065) + 69.90.
LINE_BY_LINE = Decimal("5680.62") + Decimal("279.60") + Decimal("1323.31")

# Both: 276.71 (276.7125) + 150.63 (150.6264) + 585.72 (585.7225) + 218.07 + 69.90.
BOTH = Decimal("5577.22") + Decimal("279.60") + Decimal("1301.03")

SHARES = {
    "VOLUME_RATES": ((DISCOUNT - NEITHER) + (BOTH - LINE_BY_LINE)) / 2,
    "vat_of": ((LINE_BY_LINE - NEITHER) + (BOTH - DISCOUNT)) / 2,
}


def explained(text: str) -> dict[str, Decimal]:
    """The share of each cause, by the summary of an explanation."""
    (line,) = re.findall(r"✗ 7283\.51 → 7157\.85 -125\.66, by (.+)$", text, re.MULTILINE)
    return {name: Decimal(share) for name, share in (one.split() for one in line.split(", "))}


def test_the_shares_worked_out_by_hand_add_up() -> None:
    assert {"VOLUME_RATES": Decimal("-125.67"), "vat_of": Decimal("0.01")} == SHARES
    assert sum(SHARES.values()) == BOTH - NEITHER == Decimal("-125.66")


def test_the_page_explains_the_change_as_worked_out_by_hand() -> None:
    # tests/docs runs the page and sees that this is what it prints.
    page = (ROOT / "docs" / "adopting.md").read_text(encoding="utf-8")
    assert explained(page) == SHARES
    assert "✓ 17/17 steps reproduced" in page


@pytest.mark.in_turn  # the page, which is run in each run, is explained alike
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_web_and_worker_recorded_is_explained_where_nothing_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/demo_shop.py", "--directory", str(tmp_path)],
        cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert explained(done.stdout) == SHARES
    assert "shop/pricing/discounts.py:12" in done.stdout
    assert "Ana Ruiz, 2026-02-23" in done.stdout
    with open_project(start=tmp_path / "shop") as project:
        rows = project.search(Query(limit=200)).rows
        counts = Counter(row.key for row in rows if row.state == "success")
        counts.pop("shop/views/show_order")  # asked until the order is priced
        assert counts == {
            "shop/views/place_order": 6,
            "shop/views/quote": 1,
            "shop/tasks/price_order": 6,
            "shop/tasks/confirm_order": 6,
        }
        placed = next(row for row in rows if row.key == "shop/views/place_order")
        assert not project.compare(placed.id).different
