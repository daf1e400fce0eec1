"""The example service by itself: it prices orders, passes its own tests, knows no tracediff."""

from __future__ import annotations

import re
from typing import Any

import pytest

from servers.shop import FIXTURE

pytestmark = pytest.mark.slow


def test_no_code_of_the_service_mentions_what_records_it() -> None:
    files = [path for path in (FIXTURE / "v1").rglob("*") if path.is_file()]
    files += (FIXTURE / "changes").iterdir()
    assert len(files) > 30
    told = [p for p in files if re.search(rb"tracediff|import td\b", p.read_bytes())]
    assert [path for path in told if path.name != ".gitignore"] == []


def test_an_order_is_priced_by_the_worker_and_confirmed(plain_shop: Any) -> None:
    number = plain_shop.place(
        "C1001", {"FILTER-100": 24, "BEANS-250": 16, "DRIPPER-02": 10, "SCALE-01": 2}
    )
    order = plain_shop.priced(number)
    # A euro is 11.4215 * 1.02 = 11.6499 kronor; pieces cost 50.68, 86.21, 257.46 and 445.03.
    # Ten and more are 5 % cheaper, a silver customer gets 2 % more: 24 * 50.68 * 0.93 = 1131.18,
    # 16 * 86.21 * 0.93 = 1282.80, 10 * 257.46 * 0.93 = 2394.38, 2 * 445.03 * 0.98 = 872.26.
    assert (order["currency"], order["goods"]) == ("SEK", "5680.62")
    assert order["shipping"] == "279.60"  # 24.00 for up to 30 kg
    # 25 % of 1131.18 + 2394.38 + 872.26 + 279.60 = 4677.42, and 12 % of 1282.80.
    assert order["vat"] == "1323.29"
    assert order["total"] == "7283.51"


def test_a_business_elsewhere_is_quoted_without_vat(plain_shop: Any) -> None:
    first = plain_shop.quote("C1002", "KETTLE-09")
    assert (first["currency"], first["vat"]) == ("SEK", "0.00")
    assert plain_shop.quote("C1003", "SCALE-01")["quote"] == first["quote"] + 1


def test_the_service_s_own_tests_pass(plain_shop: Any) -> None:
    plain_shop.manage("test")


def test_the_commands_load_prices_and_price_again(plain_shop: Any) -> None:
    number = plain_shop.place("C1003", {"GRINDER-M": 1})
    before = plain_shop.priced(number)["total"]
    assert plain_shop.manage("loadprices", "data/prices.csv") == "1 of 10 prices changed\n"
    said = plain_shop.manage("reprice")
    assert f"{number} {before} -> {plain_shop.order(number)['total']} EUR" in said
