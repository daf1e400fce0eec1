"""The report of a check as text: golden files, an answer at once, sums that hold, harmless text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tracediff.checked import Checked, Moved, Total
from tracediff.cli.streams import encodable
from tracediff.reports import sums, verdict
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import Look, paint
from tracediff.reports.text.check import check_lines

GOLDEN = Path(__file__).parents[1] / "golden"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
Checks = Callable[[str], Checked]
Looks = Callable[..., Look]


def told(found: Checked, look: Look) -> str:
    return paint(check_lines(found, look), look)


def same_as(name: str, text: str) -> None:
    """Compare with the golden file; GOLDEN=write writes it instead."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", ["pricing", "passing", "accepted", "everything", "texts", "many"])
def test_a_check_looks_as_it_did(name: str, width: int, checked: Checks, look: Looks) -> None:
    same_as(f"check-{name}-{width}", told(checked(name), look(width=width)))


def test_ascii_alone_shows_the_same(checked: Checks, look: Looks) -> None:
    text = encodable(told(checked("everything"), look(width=80)), "ascii")
    assert "?" not in text
    same_as("check-everything-ascii", text)


def test_colours_add_nothing_but_colours(any_check: Checked, look: Looks) -> None:
    plain, coloured = told(any_check, look()), told(any_check, look(colour=True))
    assert "\x1b[" in coloured
    assert [line.rstrip() for line in ANSI.sub("", coloured).splitlines()] == plain.splitlines()


def test_lines_that_go_and_come_are_red_and_green(checked: Checks, look: Looks) -> None:
    coloured = told(checked("pricing"), look(colour=True))
    assert "\x1b[31m- VOLUMETRIC_DIVISOR = Decimal(5000)" in coloured
    assert "\x1b[32m+ VOLUMETRIC_DIVISOR = Decimal(6000)" in coloured


@pytest.mark.parametrize("width", [80, 120])
def test_the_first_five_lines_hold_the_answer(width: int, checked: Checks, look: Looks) -> None:
    head = " ".join("".join(told(checked("everything"), look(width=width))).split("\n")[:5])
    for part in (
        "✗ 300 traces replayed: 77 the same, 220 changed (13 accepted), 3 failed", "unaffected",
        "result moves by -31.23", "-75.25 VOLUMETRIC_DIVISOR", "+45.50 DUTY_RATES",
        "✗ 207 traces differ",
    ):  # fmt: skip
        assert part in re.sub(r" +", " ", head)


def test_what_is_shown_adds_up(any_check: Checked, look: Looks) -> None:
    text = told(any_check, look(width=160))
    assert "do not add up" not in text
    proofs = [line for line in text.splitlines() if line.startswith(" ✓ ") and " = " in line]
    whole = sums.of_field(any_check.totals, any_check.main)
    assert bool(proofs) is (whole is not None)
    for proof in proofs:
        parts, total = re.sub(r"\([^)]*\)", "", proof[3:]).replace(",", "").split(" = ")
        if "e" not in parts:
            assert sum(map(Decimal, parts.split())) == Decimal(total.split()[0])


def test_causes_that_do_not_add_up_are_never_called_a_sum(checked: Checks, look: Looks) -> None:
    found = checked("pricing")
    wrong = [replace(one, change=one.change + Fraction(1, 1000)) if one.field == "result" else one
             for one in found.totals]  # fmt: skip
    text = told(replace(found, totals=tuple(wrong)), look())
    assert "! the causes do not add up to what moved in all" in text
    assert " ✓ -" not in text


def test_bars_are_as_long_as_what_they_show(checked: Checks, look: Looks) -> None:
    text = told(checked("pricing"), look(width=120))
    lengths = [len(one) for one in re.findall(r"[█▒]{2,}(?= )|(?<=  )▒ ", text)]
    first, second = lengths[:2]
    assert first == 48
    assert second == round(48 * 45.5 / 75.25)


def test_an_accepted_cause_says_why_and_not_more(checked: Checks, look: Looks) -> None:
    text = told(checked("everything"), look())
    block = text.split("── 2  ")[1].split("── 3  ")[0]
    assert "accepted: the customs tariff of November (Ada Byron, 2026-11-25)" in block
    assert "8518" not in block
    assert "tracediff explain" not in block


def test_what_goes_beyond_an_acceptance_is_told(checked: Checks, look: Looks) -> None:
    block = told(checked("everything"), look()).split("── 5  ")[1]
    assert "accepted: a capital (Grace)" in block
    assert "✗       result.label moves, and that was not accepted" in block


def test_traces_that_were_not_explained_are_said_to_be_so(checked: Checks, look: Looks) -> None:
    block = told(checked("everything"), look()).split("── 3  ")[1].split("── 4  ")[0]
    assert "not explained" in block
    assert "-1.50 ▅▁▁▁▁▁▁▁▁▁▁▅ +0.25" in block


def test_what_to_type_next_is_of_the_first_cause_that_fails(checked: Checks, look: Looks) -> None:
    found = checked("everything")
    text = told(replace(found, groups=found.groups[1:]), look())
    assert f"next  tracediff accept --cause {found.groups[2].cause} --reason WHY" in text
    assert "next" not in told(checked("accepted"), look())
    alone = replace(found, groups=())
    assert "next  tracediff replay 1m8b2xrnf00000000000" in told(alone, look())


def test_a_check_that_may_differ_passes_and_says_so(checked: Checks, look: Looks) -> None:
    text = told(replace(checked("pricing"), broken=()), look())
    assert text.startswith(" ✓ ")
    assert "no gate is broken: 209 traces may differ" in text


def test_traces_of_several_jobs_are_counted_by_job(checked: Checks, look: Looks) -> None:
    found = checked("pricing")
    first = replace(found.groups[0], keys={"a/one": 140, "b/two": 5})
    text = told(replace(found, groups=(first, *found.groups[1:])), look())
    assert "jobs    a/one 140, b/two 5" in text


@pytest.mark.parametrize("width", [60, 80, 133, 200])
@pytest.mark.parametrize("evil", [None, "", "\n", "x" * 100_000, "漢" * 300, "a/b:c " * 40])
def test_no_text_is_too_wide_or_controls_the_terminal(
    evil: str | None, width: int, checking: dict[str, Any]
) -> None:
    look = Look(now=0, width=width)
    for line in told(checking["hostile"](checking["EVIL"] if evil is None else evil), look).split(
        "\n"
    ):
        assert cell_len(line) <= look.columns
        assert clean(line) == line


@settings(max_examples=25)
@given(evil=st.text(max_size=80), width=st.integers(10, 200))
def test_whatever_text_there_is_no_line_is_too_wide(
    evil: str, width: int, checking: dict[str, Any]
) -> None:
    look = Look(now=0, width=width)
    for line in told(checking["hostile"](evil), look).split("\n"):
        assert cell_len(line) <= look.columns
        assert clean(line) == line


def test_ten_thousand_causes_are_a_short_report(ten_thousand: Checked, look: Looks) -> None:
    lines = told(ten_thousand, look()).splitlines()
    assert len(lines) < 130
    assert "… 9,988 more causes" in "\n".join(lines)
    assert "(9,988 smaller causes)" in " ".join(" ".join(lines).split())


@given(st.lists(st.fractions(max_denominator=10**6), max_size=40), st.integers(0, 6))
def test_rounded_parts_add_up_and_are_near(parts: list[Fraction], places: int) -> None:
    units = sums.rounded(parts, places)
    scale = 10**places
    assert sum(units) == round(sum(parts, Fraction(0)) * scale)
    assert all(abs(unit - part * scale) < 1 for unit, part in zip(units, parts, strict=True))


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        (["3", "-4500"], ["+3", "-4,500"]),
        (["0.5", "-12"], ["+0.50", "-12.00"]),
        (["0.00012", "0"], ["+0.00012", "0.00000"]),
        (["1234567.891", "0.001"], ["+1,234,567.89", "+0.001"]),
    ],
)
def test_amounts_have_the_digits_that_show_them(amounts: list[str], shown: list[str]) -> None:
    exact = [Fraction(one) for one in amounts]
    places = sums.places_of(exact)
    assert [sums.written(one, places) for one in exact] == shown


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=80))
def test_the_median_of_a_distribution_is_near(changes: list[int]) -> None:
    from tracediff.check.sums import Sum

    made = Sum()
    for one in changes:
        made.add(Fraction(one))
    total = made.total("result")
    middle = sums.median(total)
    ordered = sorted(changes)
    width = (ordered[-1] - ordered[0]) / 12 + 0.06 * max(map(abs, ordered))
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    assert middle is not None
    assert low - width <= middle <= high + width


def test_a_sparkline_tells_few_from_none() -> None:
    from tracediff.checked import Bin

    assert sums.sparkline([Bin(0, 1, 1), Bin(1, 2, 0), Bin(2, 3, 10_000)]) == "▂▁█"
    assert sums.sparkline([]) == ""


def test_a_part_of_next_to_nothing_is_not_told() -> None:
    assert sums.part_of(Fraction(5), Fraction(1, 10)) == ""
    assert sums.part_of(Fraction(1), Fraction(0)) == ""
    assert sums.part_of(Fraction(1, 3), Fraction(1)) == "33.3%"
    assert sums.part_of(Fraction(-1, 5000), Fraction(1)) == "<0.1%"


def test_a_title_names_units_without_their_modules(checking: dict[str, Any]) -> None:
    made = checking["change"]("shop.price:Price.net", "shop/price.py", 3)
    units = ("shop.price:Price.net", "shop.price:VAT", "data/rates.csv", "shop.price:old")
    total = Total(field="result", count=1, change=Fraction(1), least=Fraction(1), most=Fraction(1),
                  up=1, down=0)  # fmt: skip
    one = checking["group"](replace(made, units=units), (total,), checking["changed"](1, "1", "2"))
    assert verdict.title(one) == "Price.net + VAT + data/rates.csv and 1 more unit"
    assert verdict.place(one) == "shop/price.py:3"


def test_an_example_shows_what_its_own_cause_moved(
    checked: Checks, checking: dict[str, Any]
) -> None:
    first = checked("pricing").groups[0]
    moved = tuple(
        Moved(field=field, old=old, new=new, change=Fraction(new) - Fraction(old))
        for field, old, new in [("lines[1].net", "1", "2"), ("total", "5", "4"),
                                ("lines[0].gross", "7", "9")]
    )  # fmt: skip
    seen = replace(first.smallest, moved=moved)

    def example(*fields: str) -> str:
        sums_of = tuple(checking["total"](field, [1]) for field in fields)
        made = checking["group"](first.change, sums_of, seen)
        return verdict.such_as(made, "lines[].gross")

    assert example("total") == "total 5 → 4"
    assert example("total", "lines[].gross") == "lines[0].gross 7 → 9"
    assert example() == "lines[0].gross 7 → 9"
