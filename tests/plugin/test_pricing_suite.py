"""The example's own test suite, which uses each part of the plugin."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

PRICING = Path(__file__).resolve().parents[2] / "fixtures" / "pricing"
IGNORED = shutil.ignore_patterns("__pycache__", ".tracediff*", "catalogue.sqlite", ".*_cache")


@pytest.fixture
def prices(suite, tmp_path):
    """The example with its suite."""
    directory = tmp_path / "prices"
    shutil.copytree(PRICING / "v1", directory, ignore=IGNORED)
    shutil.copytree(PRICING / "suite", directory, ignore=IGNORED, dirs_exist_ok=True)
    made = type(suite)(directory, suite.metadata)
    assert made.run([sys.executable, "-m", "pricing.catalogue"]).code == 0
    return made


@pytest.mark.parametrize("parallel", [(), ("-n2",)], ids=["alone", "parallel"])
def test_the_suite_of_the_example_passes_and_breaks_with_the_calculation(prices, parallel):
    passed = prices.pytest(*parallel)
    assert passed.code == 0, passed.out
    passed.counts(passed=13)
    assert not (prices.directory / "tracediff-accepted.json").exists()
    prices.change("pricing/cost.py", 'Decimal("0.115")', 'Decimal("0.215")')
    broken = prices.pytest(*parallel)
    assert broken.code == 1
    source = (PRICING / "v1/pricing/cost.py").read_text("utf-8").splitlines()
    line = source.index('@td.step("Handling fee")')
    assert f"pricing/cost.py:{line + 1}: commodity/calculate/one: 85.05 → " in broken.out
    assert '-     return to_cents(inspection + weight * Decimal("0.115"))' in broken.out
    assert "of 1 cause wait: tracediff review" in broken.out
    assert "× handling_fee (pricing/cost.py)" in broken.out
