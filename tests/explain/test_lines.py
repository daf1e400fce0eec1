"""The first local variable that differs, with its line on both sides."""

from __future__ import annotations

from typing import Any

from tracediff.explain.lines import line_change
from tracediff.model import Source
from tracediff.replay import checked_out


def differing(shop: Any, trace: Any, commit: str, unit: str, call: int = 0) -> Any:
    config = shop.project().config
    where = Source("shop/jobs.py", 1, unit)
    with checked_out(config, commit) as (then, _):
        return line_change(trace, config, then, commit, old=where, new=where, calls=(call, call))


def test_the_first_variable_and_both_lines(priced: Any) -> None:
    priced.change("tax = net * rate()", "rebate = 0\n    tax = net * rate() - 1")
    found = differing(priced, priced.trace, priced.first, "shop.jobs:taxed")
    assert (found.name, found.old, found.new) == ("tax", "20", "19")
    text = (priced.directory / "shop/jobs.py").read_text().splitlines()
    assert "tax = " in text[found.new_source.line - 1]
    assert found.old_source.line == found.new_source.line - 1


def test_the_return_value_counts_and_secrets_stay_sealed(shop: Any, commit: Any) -> None:
    shop.jobs("""
        def one(n):
            password = "hunter" + str(n)
            return n

        @td.job("price")
        def price(net):
            return one(1) + one(net)
        """)
    first = commit("one")
    trace = shop.record("price(10)")[0]
    shop.change("    return n\n", "    return n + 1\n")
    found = differing(shop, trace, first, "shop.jobs:one", 1)
    assert (found.name, found.old, found.new) == ("(returned)", "10", "11")
    shop.change('"hunter"', '"hunted"')
    found = differing(shop, trace, first, "shop.jobs:one", 1)
    assert found.name == "password"
    assert "hunt" not in found.old + found.new


def test_no_difference_is_none(priced: Any) -> None:
    assert differing(priced, priced.trace, priced.first, "shop.jobs:taxed") is None
    assert differing(priced, priced.trace, priced.first, "shop.jobs:nothing") is None
