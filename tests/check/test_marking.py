"""What marks a cause: values, ranges and pairs that its traces have and others have not."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.check import marking, occurrences
from tracediff.check.candidates import plainest
from tracediff.check.contrasts import Contrast, Side, tail
from tracediff.check.marking import Marking
from tracediff.check.occurrences import Occurrences
from tracediff.checked import Mark, Result, Scalar

Attributes = dict[str, Scalar]
COUNTRIES = ("DE", "FR", "US", "PL", "CZ")
CATEGORIES = ("audio", "toys", "food", "books", "tools", "shoes")


def parcels(count: int, seed: int = 1) -> Iterator[Attributes]:
    """What a price is worked out for, with much that has nothing to do with anything."""
    dice = random.Random(seed)
    for number in range(count):
        found: Attributes = {
            "country": dice.choice(COUNTRIES),
            "category": dice.choice(CATEGORIES),
            "weight": dice.randrange(10, 6000) / 100,
            "quantity": dice.randrange(5),
            "currency": "EUR",
            "id": number,
            "sku": f"S-{number}",
        }
        found["tag category"] = found["category"]
        found |= {f"letter {n}": dice.choice("abcdefgh") for n in range(10)}
        found |= {f"number {n}": round(dice.gauss(0, 10), 2) for n in range(5)}
        yield found


def marked(
    hit: Callable[[Attributes], bool], count: int = 2000, *, part: float = 1.0
) -> tuple[Mark, ...]:
    """The marks of a cause that is met where ``hit``, in this part of the traces there."""
    noted = Marking()
    dice = random.Random(3)
    for at, one in enumerate(parcels(count)):
        causes = ("it",) if hit(one) and dice.random() < part else ()
        noted.add(tuple(one.items()), causes, id=f"t{at}")
    return noted.marks("it")


def test_a_value_marks_a_cause_that_is_met_there_only():
    (mark,) = marked(lambda one: one["country"] == "DE")
    hits = sum(one["country"] == "DE" for one in parcels(2000))
    assert mark == Mark(attributes=("country = 'DE'",), support=1.0, ratio=math.inf, count=hits)


def test_a_range_marks_a_cause_of_heavy_parcels():
    (mark,) = marked(lambda one: one["weight"] > 30)
    assert mark.attributes == ("weight > 30",)
    assert (mark.support, mark.ratio) == (1.0, math.inf)


def test_both_ends_of_a_range_mark_what_lies_between():
    (mark,) = marked(lambda one: 10 < one["weight"] <= 20)
    assert mark.attributes == ("weight > 10", "weight <= 20")
    assert mark.support == 1.0


def test_two_attributes_mark_what_needs_both():
    (mark,) = marked(lambda one: one["country"] == "DE" and one["category"] == "audio")
    assert mark.attributes == ("country = 'DE'", "category = 'audio'")
    assert (mark.support, mark.ratio) == (1.0, math.inf)


def test_a_value_and_a_range_go_together():
    (mark,) = marked(lambda one: one["category"] == "toys" and one["weight"] > 30)
    assert mark.attributes == ("category = 'toys'", "weight > 30")


def test_either_of_two_attributes_gives_two_marks():
    found = marked(lambda one: one["category"] == "toys" or one["weight"] > 50)
    assert {mark.attributes for mark in found} == {("category = 'toys'",), ("weight > 50",)}
    assert all(0.4 < mark.support < 0.7 and mark.ratio > 3 for mark in found)


def test_a_cause_that_is_met_in_part_of_what_marks_it_has_support_and_ratio_of_that():
    (mark,) = marked(lambda one: one["country"] == "DE" or one["id"] % 50 == 0, part=0.7)
    assert mark.attributes == ("country = 'DE'",)
    assert 0.85 < mark.support < 1.0
    assert 20 < mark.ratio < 100


def test_equal_attributes_are_told_once_by_the_plainest_name():
    (mark,) = marked(lambda one: one["category"] == "audio")
    assert mark.attributes == ("category = 'audio'",)  # and not the tag


def test_what_only_part_of_a_mark_s_traces_have_adds_nothing_to_it():
    """A brand of which all is audio is no reason beside audio."""
    noted = Marking()
    for at, one in enumerate(parcels(1000)):
        audio = one["category"] == "audio"
        brand = "Iris" if audio and at % 2 else "other"
        pairs = (("category", one["category"]), ("brand", brand))
        noted.add(pairs, ("it",) if audio else (), id=f"t{at}")
    assert [mark.attributes for mark in noted.marks("it")] == [("category = 'audio'",)]


def test_one_product_marks_a_cause_though_there_are_too_many_to_count():
    noted = Marking()
    for at, one in enumerate(parcels(3000)):
        product = 7 if at % 10 == 0 else at
        given = {"product_id": product, "country": one["country"]}
        noted.add(tuple(given.items()), ("it",) if product == 7 else (), id=f"t{at}")
    (mark,) = noted.marks("it")
    assert mark == Mark(attributes=("product_id = 7",), support=1.0, ratio=math.inf, count=301)


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        (("x", None), "x = None"),
        (("x", True), "x = True"),
        (("x", 2.5), "x = 2.5"),
        (("x", "it's\n"), '''x = "it's\\n"'''),
        (("tag vip", True), "tag vip"),
        (("tag vip", "yes"), "tag vip = 'yes'"),
        (("traits contains", "battery"), "traits contains 'battery'"),
    ],
)
def test_a_mark_reads_as_a_condition(pair, text):
    noted = Marking()
    for at in range(100):
        noted.add((pair,) if at % 2 else (("y", 1),), ("it",) if at % 2 else ())
    assert noted.marks("it")[0].attributes == (text,)


def test_what_all_traces_have_is_no_mark():
    assert marked(lambda one: one["id"] % 3 == 0) == ()
    noted = Marking()
    for at in range(1000):
        noted.add((("currency", "EUR"), ("key", "price")), ("it",) if at % 2 else ())
    assert noted.marks("it") == ()


def test_what_nearly_all_traces_have_is_no_mark_however_large_its_ratio():
    noted = Marking()
    for at in range(2000):
        hit = at % 2 == 0
        country = "FR" if not hit and at % 10 == 1 else "DE"
        noted.add((("country", country),), ("it",) if hit else (), id=f"t{at}")
    assert noted.marks("it") == ()


def test_without_other_traces_nothing_is_a_mark():
    noted = Marking()
    for one in parcels(100):
        noted.add(tuple(one.items()), ("it",))
    assert noted.marks("it") == ()
    assert noted.marks("another") == ()


def test_other_causes_are_what_a_cause_is_held_against_too():
    noted = Marking()
    for at, one in enumerate(parcels(1000)):
        noted.add(tuple(one.items()), (str(one["country"]),), id=f"t{at}")
    for country in COUNTRIES:
        assert [mark.attributes for mark in noted.marks(country)] == [(f"country = '{country}'",)]


def test_a_trace_with_two_causes_counts_for_both():
    noted = Marking()
    for at, one in enumerate(parcels(1000)):
        heavy, german = one["weight"] > 30, one["country"] == "DE"
        noted.add(tuple(one.items()), ("heavy",) * heavy + ("german",) * german, id=f"t{at}")
    assert [mark.attributes for mark in noted.marks("heavy")] == [("weight > 30",)]
    assert [mark.attributes for mark in noted.marks("german")] == [("country = 'DE'",)]


def test_four_traces_have_no_mark_and_five_have():
    for count in (4, 5):
        noted = Marking()
        for at in range(500):
            it = at < count
            noted.add((("plug", "UK" if it else "EU"),), ("it",) if it else (), id=f"t{at}")
        assert len(noted.marks("it")) == (count == 5)


@pytest.mark.slow
def test_chance_alone_gives_no_marks():
    """That is 0.01 for one attribute and 0.01 for two, and what is not often or far enough."""
    found = []
    for seed in range(100):
        dice = random.Random(seed)
        count, part = dice.choice(((40, 0.3), (100, 0.1), (200, 0.05)))
        noted = Marking()
        for at, one in enumerate(parcels(count, seed)):
            noted.add(tuple(one.items()), ("it",) if dice.random() < part else (), id=f"t{at}")
        found += [seed] * bool(noted.marks("it"))
    assert len(found) <= 5


def test_without_the_bound_on_chance_chance_would_give_marks(monkeypatch):
    monkeypatch.setattr(marking, "_CHANCE", math.inf)
    dice = random.Random(5)
    noted = Marking()
    for at, one in enumerate(parcels(100)):
        noted.add(tuple(one.items()), ("it",) if dice.random() < 0.1 else (), id=f"t{at}")
    assert noted.marks("it") != ()


def test_unchanged_traces_stand_for_all_that_did_not_tell():
    """Every tenth unchanged trace tells: the ratio is that of all of them."""
    sampled, whole = Marking(rate=0.1), Marking()
    for at in range(11_000):
        hit = at < 1000
        german = at % 10 < (6 if hit else 1)
        pairs = (("country", "DE" if german else "FR"),)
        whole.add(pairs, ("it",) if hit else ())
        if hit or (at // 10) % 10 == 0:
            sampled.add(pairs, ("it",) if hit else ())
    (mark,) = sampled.marks("it")
    assert (mark,) == whole.marks("it")
    assert mark.ratio == pytest.approx((600 / 1600) / (400 / 9400))


def test_unchanged_traces_stand_for_others_in_ranges_too():
    """The ratio is that of all traces, and not of those that tell."""
    noted = Marking(rate=0.1)
    for at in range(2_000):
        changed = at < 1000
        noted.add((("weight", 31 + at % 60 if changed or at < 1100 else at % 30),),
                  ("it",) if changed else (), id=f"t{at}")  # fmt: skip
    (mark,) = noted.marks("it")
    assert mark.attributes == ("weight > 30",)
    assert (mark.support, mark.ratio) == (1.0, math.inf)
    noted.add((("weight", 5),), ("it",), id="light")
    (mark,) = noted.marks("it")
    assert mark.ratio == pytest.approx((1000 / 2000) / (1 / 9001), rel=0.15)


def traces() -> st.SearchStrategy[list[tuple[tuple[tuple[str, int], ...], tuple[str, ...]]]]:
    pairs = st.dictionaries(st.sampled_from("ab"), st.integers(0, 2)).map(lambda it: (*it.items(),))
    causes = st.lists(st.sampled_from("xy"), unique=True).map(tuple)
    return st.lists(st.tuples(pairs, causes), max_size=60)


@given(traces(), st.randoms())
def test_counts_add_up_in_any_order(given_traces, dice):
    counts = Occurrences()
    shuffled = list(given_traces)
    dice.shuffle(shuffled)
    for pairs, causes in shuffled:
        counts.add(pairs, causes, 1.0)
    assert counts.all.count == counts.all.weight == len(given_traces)
    assert counts.all.values == Counter(pair for pairs, _ in given_traces for pair in pairs)
    assert counts.changed.count == sum(bool(causes) for _, causes in given_traces)
    for cause, found in counts.causes.items():
        own = [pairs for pairs, causes in given_traces if cause in causes]
        assert found.count == len(own)
        assert found.values == Counter(pair for pairs in own for pair in pairs)


@given(traces(), st.randoms())
def test_marks_are_the_same_in_whatever_order_traces_come(given_traces, dice):
    many = [(f"{n} {at}", *one) for at, one in enumerate(given_traces) for n in range(7)]
    found = []
    for _ in range(2):
        dice.shuffle(many)
        noted = Marking()
        for trace_id, pairs, causes in many:
            noted.add(pairs, causes, id=trace_id)
        found.append((noted.marks("x"), noted.marks("y")))
    assert found[0] == found[1]


@given(traces())
def test_support_and_ratio_are_those_of_their_definitions(given_traces):
    many = given_traces * 9
    noted = Marking()
    for at, (pairs, causes) in enumerate(many):
        noted.add(pairs, causes, id=f"t{at}")
    for cause in "xy":
        for mark in noted.marks(cause):
            has = [holds(mark.attributes, dict(pairs)) for pairs, _ in many]
            met = [cause in causes for _, causes in many]
            both = sum(a and b for a, b in zip(has, met, strict=True))
            without = (sum(met) - both) / (len(many) - sum(has))
            assert mark.count == both
            assert mark.support == pytest.approx(both / sum(met))
            assert mark.ratio == pytest.approx(both / sum(has) / without if without else math.inf)
            assert mark.ratio >= marking.LEAST_RATIO


def holds(texts: tuple[str, ...], attributes: dict[str, int]) -> bool:
    """Whether a mark's conditions hold, read from its text."""
    for text in texts:
        name, sign, number = text.split(" ")
        if name not in attributes:
            return False
        value, limit = attributes[name], float(number)
        if not {"=": value == limit, ">": value > limit, "<=": value <= limit}[sign]:
            return False
    return True


@given(st.integers(0, 12), st.integers(1, 12), st.integers(0, 12), st.integers(1, 12))
def test_chance_is_that_of_all_ways_to_spread_the_hits(hits, drawn, others_hit, others):
    hits, others_hit = min(hits, drawn), min(others_hit, others)
    marked_, everything = hits + others_hit, drawn + others
    ways = sum(
        math.comb(marked_, at) * math.comb(everything - marked_, drawn - at)
        for at in range(hits, min(drawn, marked_) + 1)
    )
    exact = ways / math.comb(everything, drawn)
    found = tail(hits, drawn, others_hit, others)
    expected = drawn * marked_ / everything
    assert found == pytest.approx(exact if hits > expected else 1.0, rel=1e-6)


def test_chance_of_large_groups_is_a_number():
    assert tail(100_000, 100_000, 0, 900_000) == 0.0
    assert 0 < tail(10_500, 100_000, 90_000, 900_000) < 1e-6


def test_traces_that_stand_for_many_are_no_more_proof_than_they_are():
    few = Contrast(Side(5, 5, 5), Side(0, 1000, 10))
    many = Contrast(Side(5, 5, 5), Side(0, 1000, 1000))
    assert few.ratio == many.ratio == math.inf
    assert few.chance > 1e-4 > many.chance


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_cut_lies_between_its_numbers(one, other):
    low, high = sorted((one, other))
    if low < high:
        assert low <= plainest(low, high) < high


@pytest.mark.parametrize(
    ("low", "high", "cut"),
    [(29.9, 30.2, "30"), (2, 3, "2"), (0.017, 0.019, "0.017"), (-5, 3, "0"), (96, 104, "100"),
     (-31.2, -29, "-30"), (1234.5, 1234.6, "1234.5")],
)  # fmt: skip
def test_a_cut_is_the_plainest_number_there(low, high, cut):
    assert f"{plainest(low, high).normalize():f}" == cut


def test_names_with_too_many_values_are_not_counted_however_they_come():
    most = occurrences.MOST_VALUES
    for order in (1, -1):
        counts = Occurrences()
        for number in range(20_000)[::order]:
            counts.add((("id", number), ("few", number % most)), ("it",), 1.0)
        assert counts.counted() == {"few": most}
        assert set(counts.causes["it"].values.values()) == {20_000 // most}


def test_what_is_kept_does_not_grow_with_the_traces():
    """Of many names, many values of each, and many causes."""
    dice = random.Random(1)
    noted = Marking()
    kept = []
    for at in range(6_000):
        pairs = tuple((f"name {dice.randrange(2000)}", dice.random()) for _ in range(30))
        noted.add(pairs, (f"cause {dice.randrange(3000)}", "it"), id=f"t{at}")
        if at % 3_000 == 2_999:
            counts = noted._counts
            values = sum(len(one.values) for one in (counts.all, *counts.causes.values()))
            samples = (noted._same, noted._changed, *noted._causes.values())
            kept.append((values, sum(len(one.kept) for one in samples), len(noted._shared)))
    assert kept[1][0] <= occurrences._ENTRIES + occurrences._FIRST_LIMIT
    assert kept[1][1] <= 2000 + 8000
    assert kept[1][2] <= marking._SHARED + 30
    assert len(noted._causes) <= len(noted._counts.causes) <= 200 + 512


def test_a_check_s_results_are_noted():
    """One that differs by noise alone stands for itself, one that is the same for others too."""
    noted = Marking(rate=0.25)
    for at in range(40):
        kind = "changed" if at < 20 else "same"
        one = Result(id=f"t{at}", key="price", kind=kind, attributes=(("x", at // 10),))
        noted.note(one, ("it",) if at < 10 else ())
    assert noted.marks("it") == (
        Mark(attributes=("x = 0",), support=1.0, ratio=math.inf, count=10),
    )
    assert noted._counts.all.weight == 10 + 10 + 20 * 4
