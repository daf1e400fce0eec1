"""The lines of a comparison: each pair once, folds for what is equal, what differs marked."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from tracediff import values
from tracediff.compare import compare
from tracediff.model import Step, Tolerance, Trace, Value
from tracediff.reports.pages import comparelines
from tracediff.reports.pages.aligned import Row, aligned, rows
from tracediff.reports.pages.comparelayout import Part, layout
from tracediff.reports.pages.comparemap import minimap
from tracediff.reports.pages.marked import marked
from tracediff.reports.pages.pieces import SIZE, known, spans


def value(thing):
    return Value(values.encode(thing))


def trace(*steps, id="t", **fields):
    """A trace of ``(depth, name, result)``; the job is at depth 0."""
    found, above = [], {}
    for at, (depth, name, result, *more) in enumerate([(0, "job", 1), *steps]):
        given = {
            "args": value({"of": name}),
            "result": value(result),
            "kind": "step" if at else "job",
            **dict(*more),
        }
        found.append(Step(parent=above.get(depth - 1, -1), name=name, **given))
        above[depth] = at
    return Trace(id=id, key="k/one", job="m:f", steps=tuple(found), **fields)


def laid(old, new, **rules):
    return layout(aligned(compare(old, new, **rules)))


def say(found):
    """Every line as text: how deep, its mark, what is on both sides."""
    told = []
    for number in range(found.shape.total):
        one = comparelines.line(found, number)
        halves = ["".join(text for text, _ in half.name) if half else None
                  for half in (one.old, one.new)]  # fmt: skip
        told.append((found.shape.depths[number], one.mark, one.title or tuple(halves)))
    return told


def text(pieces):
    return "".join(f"[{one}]" if differs else one for one, differs in pieces)


CHAIN = [(1, "a", 1), (1, "b", 2), (1, "c", 3), (1, "d", 4), (2, "e", 5), (1, "f", 6)]


def test_equal_traces_are_one_fold():
    found = laid(trace(*CHAIN), trace(*CHAIN, id="u"))
    assert say(found)[:3] == [
        (0, "", ("job", "job")), (1, "", "6 unchanged steps"), (2, "", ("a", "a")),
    ]  # fmt: skip
    assert found.shape.folded == [1]
    assert found.shape.changes == []
    assert found.counts == ()


def test_what_is_equal_between_two_changes_lies_in_a_fold_of_its_own():
    other = [(depth, name, 50 if name == "e" else 10 if name == "a" else result)
             for depth, name, result in CHAIN]  # fmt: skip
    found = laid(trace(*CHAIN), trace(*other, id="u"))
    told = say(found)
    assert [one for one in told if "unchanged" in one[2]] == [(1, "", "2 unchanged steps")]
    assert told[1] == (1, "~", ("a", "a"))
    assert told[-3:] == [
        (1, "", ("d", "d")), (2, "~", ("e", "e")), (1, "", ("f", "f")),
    ]  # fmt: skip
    assert [told[at][2] for at in found.shape.changes] == [("a", "a"), ("e", "e")]


def test_each_pair_stands_on_one_line_whatever_differs():
    dice = random.Random(7)
    for _ in range(60):
        sides = []
        for side in "tu":
            depth, steps = 0, []
            for _ in range(dice.randrange(30)):
                depth = dice.randrange(1, depth + 2)
                steps.append((depth, dice.choice("abcdefgh"), dice.randrange(3)))
            sides.append(trace(*steps, id=side))
        comparison = compare(*sides)
        found = layout(aligned(comparison))
        shown = found.aligned
        pairs = [(shown.old[at], shown.new[at])
                 for at in range(len(shown)) if at not in shown.left]  # fmt: skip
        assert pairs == list(comparison.pairs)
        assert [found.entries[line] for line in found.line] == list(range(len(shown)))
        differing = [one for one in comparison.divergences if not one.within]
        assert {found.line[shown.line_of(one.old, one.new)] for one in differing} <= {
            line for lines in found.shape.labels.values() for line in lines
        }
        for at, line in enumerate(found.line):
            assert found.shape.depths[line] - shown.depth[at] in (0, 1)
        assert (minimap(found) or "").count("<rect") < 80


def test_no_fold_holds_what_differs_and_none_holds_a_single_line():
    other = [*CHAIN[:3], (1, "new", 0), *CHAIN[3:]]
    found = aligned(compare(trace(*CHAIN), trace(*other, id="u")))
    folds = [row for row in rows(found) if row.fold]
    assert folds == [Row(1, 3), Row(5, 7)]
    assert not any(found.facets[at] for row in folds for at in range(row.first, row.last + 1))


def test_a_moved_step_and_the_place_it_left_lead_to_each_other():
    old = [(1, "one", 1), (2, "stays", 3), (2, "moves", 7), (3, "inside", 8), (1, "two", 2)]
    new = [(1, "one", 1), (2, "stays", 3), (1, "two", 2), (2, "moves", 7), (3, "inside", 8)]
    found = laid(trace(*old), trace(*new, id="u"))
    lines = [comparelines.line(found, at) for at in range(found.shape.total)]
    left, there = [one for one in lines if one.link is not None]
    assert (left.link, there.link) == (there.number, left.number)
    assert (left.new, left.mark, left.detail) == (None, "«", "moved, with 1 line in it")
    assert there.mark == "»"
    assert there.detail == "moved from one"
    assert left.level == 3  # below what it was in
    assert [one[2] for one in say(found)][2:4] == [("stays", "stays"), ("moves", None)]
    assert {"moved": 1}.items() <= {name: count for name, _, count in found.counts}.items()


def test_a_renamed_step_shows_both_names():
    given = {"args": value({"of": "one"})}
    old, new = trace((1, "old name", 1, given)), trace((1, "new name", 1, given), id="u")
    found = laid(old, new)
    (line,) = [one for at in range(2) if (one := comparelines.line(found, at)).mark]
    assert (text(line.old.name), text(line.new.name)) == ("[old] name", "[new] name")
    assert line.detail == "renamed"


def test_what_came_or_went_has_one_side():
    old = trace((1, "stays", 1), (1, "goes", 2))
    found = laid(old, trace((1, "stays", 1), (1, "comes", [3]), id="u"))
    told = say(found)
    assert told[2:] == [(1, "+", (None, "comes")), (1, "-", ("goes", None))]
    assert {one[1:] for one in found.counts} == {("added", 1), ("removed", 1)}


def test_steps_in_one_that_went_are_not_called_unchanged():
    old = [(1, "stays", 1), (1, "goes", 2), (2, "x", 3), (2, "y", 4)]
    told = say(laid(trace(*old), trace(old[0], id="u")))
    assert told[2:4] == [(1, "-", ("goes", None)), (2, "", "2 steps inside")]


def test_fields_that_differ_are_lines_below_their_step_with_delta_and_share():
    old, new = {"net": Decimal("10.00"), "vat": 2}, {"net": Decimal("12.50"), "vat": 2}
    found = laid(trace((1, "price", old)), trace((1, "price", new), id="u"))
    field = comparelines.line(found, 2)
    assert isinstance(found.entries[2], Part)
    assert (field.title, text(field.old.outcome), text(field.new.outcome)) == (
        "net", "[10.00]", "[12.50]",
    )  # fmt: skip
    assert (field.delta, field.percent) == ("+2.50", "+25.00%")
    assert found.shape.depths == [0, 1, 2]
    # A filter on the step's label keeps its fields.
    (kept,) = found.shape.labels.values()
    assert kept == [1, 2]


def test_drift_within_a_tolerance_is_marked_apart_and_no_change_to_go_to():
    rules = [Tolerance(path="**", rel=0.1)]
    found = laid(trace((1, "near", 100.0)), trace((1, "near", 101.0), id="u"), tolerances=rules)
    line = comparelines.line(found, 1)
    assert (line.mark, line.within) == ("≈", True)
    assert found.counts == (("within-tolerance", "within tolerance", 1),)
    assert found.shape.changes == []


def test_notes_that_differ_are_shown_but_not_counted_as_steps():
    note = {"kind": "note", "args": None, "result": None}
    sides = [trace((1, "work", 1), (2, f"rate {one} %", None, note), id=side)
             for side, one in (("t", "2.5"), ("u", "3.7"))]  # fmt: skip
    found = laid(*sides)
    line = comparelines.line(found, 2)
    assert text(line.old.name) == "rate [2.5] %"
    assert [one[0] for one in found.counts] == ["note"]
    assert found.shape.changes == []


def test_a_trace_as_deep_as_it_is_long_is_laid_out():
    deep = [(at, f"s{at}", at) for at in range(1, 5_000)]
    changed = [*deep[:-1], (4_999, "s4999", -1)]
    found = laid(trace(*deep), trace(*changed, id="u"))
    assert max(found.shape.depths) == 4_999
    assert comparelines.line(found, 4_999).indent <= 24
    assert "s4999" in comparelines.rows(found, range(4_900, 5_000), "/x")


def test_of_very_many_changed_steps_each_has_few_fields(monkeypatch):
    monkeypatch.setattr("tracediff.reports.pages.comparelayout._MANY", 10)
    wide = {f"f{at}": at for at in range(9)}
    other = {name: one + 1 for name, one in wide.items()}
    old = trace(*[(1, f"s{at}", wide) for at in range(20)])
    new = trace(*[(1, f"s{at}", other) for at in range(20)], id="u")
    found = laid(old, new)
    assert found.shape.total == 1 + 20 * 3
    assert comparelines.line(found, 3).title == "… 8 more fields"


def test_a_piece_tells_its_lines_in_ranges_and_has_a_bounded_number_of_them():
    old = trace(*[(1, "s", at) for at in range(500)])
    new = trace(*[(1, "s", -at - 1) for at in range(500)], id="u")
    found = laid(old, new)
    first, *_ = spans(found.shape.total)
    assert len(first) == SIZE
    assert known(found.shape, first)["changes"] == "1-199"


def test_of_a_large_value_a_line_shows_what_is_around_the_difference():
    old, new = (["x" * 100] * 50_000 for _ in range(2))
    new[20] = "y"
    found = laid(trace((1, "big", old)), trace((1, "big", new), id="u"))
    assert len(comparelines.rows(found, range(3), "/x")) < 8_000
    assert text(comparelines.line(found, 2).new.outcome) == "'[y]'"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("661.83", "664.73", ("[661.83]", "[664.73]")),
        ("same", "same", ("same", "same")),
        ("", "something quite long", ("", "[something quite long]")),
        ("Weights(actual=2.5, chargeable=2.9)", "Weights(actual=2.5, chargeable=2.6)",
         ("Weights(actual=2.5, chargeable=[2.9])", "Weights(actual=2.5, chargeable=[2.6])")),
        ("a" * 20, "b" * 20, (f"[{'a' * 20}]", f"[{'b' * 20}]")),
        ("{'weight': 2.5}", "HeavyError: 2.5 kg", ("[{'weight': 2.5}]", "[HeavyError: 2.5 kg]")),
        ("the rate is 2 percent now", "the rate was 3 percent now",
         ("the rate [is] [2] percent now", "the rate [was] [3] percent now")),
    ],
)  # fmt: skip
def test_the_words_that_differ_are_marked(old, new, said):
    assert tuple(map(text, marked(old, new))) == said


def test_marked_texts_are_cut_around_the_first_difference():
    long = " ".join(map(str, range(3_000)))
    old, new = marked(long.replace("1500", "old"), long.replace("1500", "new"), 80)
    for side, word in ((old, "old"), (new, "new")):
        assert (word, True) in side
        assert sum(len(one) for one, _ in side) <= 82
        assert side[0][0].startswith("…")
        assert side[-1][0].endswith("…")
    dice = random.Random(3)
    for _ in range(300):
        one, other = ("".join(dice.choices("ab c1.", k=dice.randrange(60))) for _ in range(2))
        for whole, side in zip((one, other), marked(one, other, 10_000), strict=True):
            assert "".join(piece for piece, _ in side) == whole
