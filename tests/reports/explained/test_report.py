"""The report of an explanation: golden files, sums that hold, and text that is harmless."""

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

from tracediff.cli.streams import encodable
from tracediff.explained import Explanation
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import Look, paint
from tracediff.reports.text.explanation import explanation_lines

GOLDEN = Path(__file__).parents[1] / "golden"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
NAMES = ["pricing", "fields", "merged", "indicator", "sampled", "many", "refused", "unchanged"]
EVIL = "[bold]x[/]<b>&amp;\x1b[2J\x00\u202egnp.\u200b\ud800\ufffe]]>\t\r\n'\"漢" * 3


def check(name: str, text: str) -> None:
    """Compare with the golden file; GOLDEN=write writes it instead."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def told(found: Explanation, look: Look, **options: Any) -> str:
    return paint(explanation_lines(found, look, **options), look)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", NAMES)
def test_an_explanation_looks_as_it_did(
    name: str, width: int, explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    check(f"explain-{name}-{width}", told(explanation(name), look(width=width)))


def test_ascii_alone_shows_the_same_picture(
    explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    text = encodable(told(explanation("merged"), look(width=80)), "ascii")
    check("explain-merged-ascii", text)
    assert "?" not in text


def test_colours_add_nothing_but_colours(
    any_explanation: Explanation, look: Callable[..., Look]
) -> None:
    plain = told(any_explanation, look())
    coloured = told(any_explanation, look(colour=True))
    assert "\x1b[" in coloured
    assert [line.rstrip() for line in ANSI.sub("", coloured).splitlines()] == plain.splitlines()


def test_what_is_shown_adds_up(any_explanation: Explanation, look: Callable[..., Look]) -> None:
    lines = told(any_explanation, look(width=160)).splitlines()
    assert not any("do not add up" in line for line in lines)
    if not any_explanation.effects:
        return
    (proof,) = (line for line in lines if line.startswith(" ✓ ") and " = " in line)
    parts, whole = proof[3:].replace("%", "").split(" = ")[:2]
    assert sum(map(Decimal, parts.split())) == Decimal(re.split(r" ≈", whole)[0])


@pytest.mark.parametrize(
    "wrong",
    [{"shown": ("1.90", "0.51", "0.01")}, {"shares": (Fraction(1),) * 3}, {"shown_change": "2.42"}],
)
def test_shares_that_do_not_add_up_are_never_called_a_sum(
    wrong: dict[str, Any], explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    found = explanation("pricing")
    text = told(replace(found, effects=(replace(found.effects[0], **wrong),)), look())
    assert "! the shares do not add up to the change" in text
    assert " ✓ +" not in text


@pytest.mark.parametrize("width", [80, 100, 160])
def test_bars_meet_at_the_running_total(
    width: int, any_explanation: Explanation, look: Callable[..., Look]
) -> None:
    rows = [line for line in told(any_explanation, look(width=width)).splitlines()
            if re.search("[█▌▐▒]", line)]  # fmt: skip
    if not any_explanation.effects:
        assert rows == []
        return
    first, *steps, last = [re.search("[█▌▐▒]+", row).span() for row in rows]
    at = first[1] if any_explanation.effects[0].kind == "number" else None
    for start, end in [first, *steps] if at is None else steps:
        assert at is None or min(abs(start - at), abs(end - at)) <= 1
        at = end if at is None or abs(start - at) <= abs(end - at) else start
    assert abs(last[1] - at) <= 1


def test_a_long_list_of_causes_is_folded_and_all_of_it_can_be_seen(
    explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    found = explanation("many")
    few, every = told(found, look()), told(found, look(), every=True)
    assert "49 smaller causes" in few
    assert "… 49 more causes; --all shows them" in few
    assert "rule_59" not in few
    assert "smaller causes" not in every
    assert "── 60 " in every
    assert len(few.splitlines()) < 80


def test_innocent_units_are_named_a_few_or_all(
    explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    found = explanation("pricing")
    few, every = told(found, look()), told(found, look(), every=True)
    assert "9 changed units ran and changed nothing" in few
    assert "4 more" in few
    assert "pricing.cost:purchase_cost" not in few
    assert "pricing.cost:purchase_cost" in every


def test_interactions_worth_naming_are_named(
    explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    lines = [line for line in told(explanation("pricing"), look()).splitlines()
             if line.startswith("  together")]  # fmt: skip
    assert lines == ["  together  1 DUTY_RATES and 2 VOLUMETRIC_DIVISOR: +0.03 beyond each alone"]


def test_the_parts_of_data_and_code_are_the_sums_of_what_is_shown(
    explaining: dict[str, Any], look: Callable[..., Look]
) -> None:
    causes = (
        explaining["cause"]("Net price", "", 1, kind="input"),
        explaining["cause"]("shop:DISCOUNT", "shop.py", 7),
        explaining["cause"]("shop:VAT", "shop.py", 8),
    )
    shares = ["22.705", "-13.145", "1.04"]
    effect = explaining["effect"](("result",), Decimal("119.00"), Decimal("129.60"), shares)
    data = {0: (Fraction("22.705"), Fraction("-12.105"))}
    found = explaining["explained"](
        119, 130, causes=causes, effects=(effect,), main=0, hybrids=8, data=data
    )
    text = told(found, look())
    assert "✓ +22.71 -13.15 +1.04 = +10.60" in text
    assert "of that +22.71 by data, -12.11 by code" in text


def test_a_refused_attribution_says_why_and_what_else_there_is(
    explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    text = told(explanation("refused"), look(width=80))
    assert "no attribution: the result differs on every run" in text
    assert "record the trace again" in " ".join(text.split())
    assert "first divergence: Duty rate: '0.025' → '0.037'" in text
    assert "tracediff compare 1m8a4t9p5fyvc278jm1f" in text
    assert "tracediff bisect 1m8a4t9p5fyvc278jm1f" in text
    assert "mixtures" not in text


def test_a_difference_that_is_noise_is_called_so(
    explaining: dict[str, Any], look: Callable[..., Look]
) -> None:
    text = told(explaining["explained"](1, 2, noise=("result",)), look())
    assert "what differs is noise" in text
    assert "noise     result" in text


def test_nothing_changed_is_said_as_such(
    explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    text = told(explanation("unchanged"), look())
    assert "✓ same" in text
    assert "there is no change to explain" in text
    assert "next" not in text


def test_the_line_of_a_variable_is_found_in_the_hunk(
    explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    lines = told(explanation("merged"), look()).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("   variable"))
    assert "tax: 19.00 → 21.00" in lines[at]
    assert lines[at].endswith("pricing/vat.py:14")
    assert lines[at + 1].strip() == "tax = net * 21"


def test_a_cause_of_other_fields_only_has_a_block_and_a_column(
    explanation: Callable[[str], Explanation], look: Callable[..., Look]
) -> None:
    text = told(explanation("fields"), look())
    assert "── 4  elsewhere  pricing.texts:LABEL" in text
    (row,) = (line for line in text.splitlines() if line.startswith("  result.label"))
    assert row.split()[-4:] == ["·", "·", "·", "100%"]
    assert "… 5 more fields" in text
    assert "more fields" not in told(explanation("fields"), look(), every=True)


def harmless(found: Explanation, look: Look) -> None:
    for every in (False, True):
        for line in told(found, look, every=every).split("\n"):
            assert cell_len(line) <= look.columns
            assert clean(line) == line


@pytest.mark.parametrize("width", [60, 80, 133, 200])
@pytest.mark.parametrize("evil", [EVIL, "", "\n", "x" * 1_000_000, "漢" * 300, "a/b:c " * 40])
def test_no_text_is_too_wide_or_controls_the_terminal(
    evil: str, width: int, explaining: dict[str, Any]
) -> None:
    harmless(explaining["hostile"](evil), Look(now=0, width=width))


@settings(max_examples=25)
@given(evil=st.text(max_size=80), width=st.integers(10, 200))
def test_whatever_text_there_is_no_line_is_too_wide_or_controls_the_terminal(
    evil: str, width: int, explaining: dict[str, Any]
) -> None:
    harmless(explaining["hostile"](evil), Look(now=0, width=width))
