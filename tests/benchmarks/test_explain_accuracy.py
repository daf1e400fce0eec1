"""The accuracy benchmark judges what it should, and finds what was planted."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest

from benchmarks.explain_accuracy import report
from benchmarks.explain_accuracy.calculators import CALCULATORS, lay_out
from benchmarks.explain_accuracy.guilty import KINDS, other_number
from benchmarks.explain_accuracy.judging import judge, stands_for, verdict
from benchmarks.explain_accuracy.keeping import lay_new
from benchmarks.explain_accuracy.planting import INNOCENTS, Fields, draw
from benchmarks.explain_accuracy.sources import Edit, Lines, Planting, applied, new_lines
from benchmarks.explain_accuracy.truth import shapley
from tracediff.explained import Cause, Effect, Unit

TEXT = "def price(net):\n    if net < 0:\n        return 0\n    return net * 2\n"
SOURCES = {"a.py": TEXT}


def planted(start: str, text: str, *, guilty: bool = True) -> Planting:
    at = TEXT.index(start)
    edit = Edit("a.py", at, at + len(start), text)
    return Planting(
        kind="constants",
        guilty=guilty,
        what=text,
        edits=(edit,),
        units=frozenset({"a:price"}),
        names=frozenset({"lib 1 → 2"}),
    )


def test_any_choice_of_changes_is_laid_over_the_old_text():
    one, two = planted("    if net < 0:\n        return 0\n", ""), planted("2", "3")
    assert applied(SOURCES, [two]) == {"a.py": TEXT.replace("2", "3")}
    assert applied(SOURCES, [two, one]) == {"a.py": "def price(net):\n    return net * 3\n"}
    assert one.crosses(two), "they lie in one unit"


def test_lines_are_those_of_the_new_text():
    one, two = planted("    if net < 0:\n        return 0\n", ""), planted("2", "3")
    assert new_lines(SOURCES, [one, two], two) == [Lines(path="a.py", first=2, last=2)]
    assert new_lines(SOURCES, [one, two], one) == [Lines(path="a.py", first=1, last=3)]


@pytest.mark.parametrize("text", ["12", "-3", "0.025", "365.25", ".5"])
def test_another_number_is_another_one(text):
    import random

    for seed in range(20):
        found = other_number(text, random.Random(seed))
        assert float(found) != float(text)


def test_exact_shares_of_a_product():
    values = {0: 6, 1: 8, 2: 9, 3: 12}  # 2 * 3, 4 for the 2... of which each takes its part
    assert shapley(lambda mask: Fraction(values[mask]), 2) == (Fraction(5, 2), Fraction(7, 2))


def test_a_name_stands_for_a_planting_or_a_part_of_it():
    one = planted("2", "3")
    assert stands_for("a:price", one)
    assert stands_for("a:price.<locals>.inner", one)
    assert stands_for("lib 1 → 2", one)
    assert not stands_for("a:prices", one)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    fields = Fields(tmp_path_factory.mktemp("accuracy").resolve())
    return draw(0, 3, fields)


@pytest.mark.slow
def test_a_case_is_what_it_says(drawn, tmp_path):
    assert drawn.guilty[0].kind == next(iter(KINDS))
    assert all(not one.guilty for one in drawn.innocent)
    assert sum(len(one.units) for one in drawn.innocent) >= INNOCENTS
    main = drawn.truth.main()
    change = drawn.new.numbers[main] - drawn.old.numbers[main]
    assert sum(drawn.truth.shares[main]) == change != 0
    tree = lay_new(drawn, tmp_path / "new")
    for name, text in drawn.changed.items():
        assert text is None or (tree / name).read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_the_planted_change_is_found(drawn, tmp_path):
    judged = judge(drawn, lay_new(drawn, tmp_path / "new"))
    assert judged.reasons == ()
    assert judged.whole
    assert all(judged.lined)
    assert judged.exact
    assert judged.true_shares


@pytest.mark.slow
def test_wrong_answers_are_told(drawn, tmp_path):
    main = drawn.truth.main()
    shares = (Fraction(1), Fraction(0))
    blamed = Cause(units=(Unit(kind="function", name="no.such:function"),))
    effect = Effect(
        path=main, kind="number", old=0, new=1, change=Fraction(1), shares=shares[:1],
        shown_change="1", shown=("1",),
    )  # fmt: skip
    told = SimpleNamespace(
        causes=(blamed,), effects=(effect,), innocent=(), refused=None, remarks=(),
        method="exact", hybrids=4,
    )  # fmt: skip
    judged = verdict(drawn, told, tmp_path, 0.0)
    assert not judged.whole
    assert judged.blamed == ("function no.such:function",)
    assert not judged.true_shares
    told.effects = (replace(effect, change=Fraction(2)),)
    assert not verdict(drawn, told, tmp_path, 0.0).exact
    told.refused = "for this test"
    assert verdict(drawn, told, tmp_path, 0.0).reasons == ("refused: for this test",)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALCULATORS)
def test_each_calculator_is_laid_out_and_recorded(name, tmp_path):
    laid = lay_out(name, tmp_path)
    assert len(laid.traces) >= 8
    assert {"fees/charges.py", "vendor/agency/rates.py"} <= laid.sources().keys()


def test_the_page_names_each_failure(tmp_path):
    case = {
        "number": 7, "calculator": "sun", "kinds": ("constants",), "units": ("a:b",),
        "first": True, "found": (True,), "lined": (False,), "merged": (), "blamed": (),
        "exact": True, "true_shares": True, "agreed": True, "abstained": False,
        "method": "exact", "hybrids": 9, "players": 9, "seconds": 1.0,
        "labels": 3, "mislabelled": 0,
        "reasons": ("line a.py:3 for constants",),
    }  # fmt: skip
    done = [{"number": 7, "judged": case, "units": 8, "compared": []}]
    text = report.as_markdown(report.summary(5, done))
    assert "- case 7 (sun; constants): line a.py:3 for constants" in text
    assert "| one guilty change: its unit at rank 1 | 1 of 1 | all | met |" in text
    assert "| one guilty change: its line | 0 of 1 | all | **missed** |" in text
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nformerly\n{report.END}\nafter\n", encoding="utf-8")
    report.write_page(text, page)
    assert page.read_text(encoding="utf-8").endswith(f"\n{report.END}\nafter\n")
    assert "formerly" not in page.read_text(encoding="utf-8")
