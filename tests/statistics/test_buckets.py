"""Laws of counting: whatever the batches and their order, buckets say what the rows say."""

from __future__ import annotations

import contextlib
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff.model import STATES
from tracediff.statistics import applied, counted, deltas, folded
from tracediff.statistics.buckets import TAGS, Bucket, Sum, Tally, bounded_tags, together, took
from tracediff.statistics.folding import fitting
from tracediff.statistics.packing import dump_bucket, dump_delta, load_bucket, load_delta
from tracediff.statistics.places import MINUTE, Place, is_kept, places
from tracediff.testing import make_row

NOW = 29_000_000
KEYS = (
    *("", "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e", "a/b/c/d/f", "/x", "b//c", "\ud800"),
    *("b" * 600, "a/123456/c", "a/654321"),
)
AGO = (0, 1, 59, 60, 1441, 20_000, 700_000, 10**8)
"""Minutes: some are in one hour or day, some in no minute or hour that is kept."""

TAGS_DRAWN = st.lists(st.sampled_from(("t", "u", "\ud800", "l" * 300, "")), max_size=3)


def one_row(number, minute, key="a/b", **fields):
    fields = {"state": "success", "duration": 1000, "tags": (), "expires_at": None} | fields
    return make_row(f"{number:08x}", started_at=minute * MINUTE + number, key=key, **fields)


@st.composite
def rows(draw, most=16):
    """Rows of few minutes, keys and tags, so that they meet."""
    return [
        one_row(
            number, NOW - draw(st.sampled_from(AGO)), draw(st.sampled_from(KEYS)),
            state=draw(st.sampled_from(STATES)), duration=draw(st.integers(-1, 10**12)),
            tags=tuple(draw(TAGS_DRAWN)), expires_at=draw(st.sampled_from((None, 5, 2**80))),
        )
        for number in range(draw(st.integers(0, most)))
    ]  # fmt: skip


def batches(found, dice):
    """The rows in batches of any size."""
    at = 0
    while at < len(found):
        size = dice.randint(1, 5)
        yield found[at : at + size]
        at += size


def laid(kept, changes):
    """Buckets after a change."""
    for place, change in changes.items():
        kept[place] = applied(kept.get(place), change)
        if not kept[place]:
            del kept[place]


def fold(data, dice=None):
    """Buckets of deltas, folded a few at a time."""
    data, kept = list(data), {}
    while data:
        size = dice.randint(1, 4) if dice else len(data)
        laid(kept, folded(data[:size], NOW))
        del data[:size]
    return kept


def exact(found):
    """What the buckets of rows must say, counted as plainly as possible."""
    sums = {}
    for row in found:
        if row.state == "running":
            continue
        for place in places(row.key, row.started_at // MINUTE):
            if is_kept(place, NOW):
                sums.setdefault(place, []).append(row)
    return sums


@settings(max_examples=40)
@given(rows(), st.randoms(use_true_random=False))
def test_any_split_and_any_order_gives_the_same_buckets(found, dice):
    once = fold(deltas(found))
    data = [one for batch in batches(found, dice) for one in deltas(batch)]
    dice.shuffle(data)
    many = fold(data, dice)
    assert many == once
    assert {p: dump_bucket(b) for p, b in many.items()} == {
        p: dump_bucket(b) for p, b in once.items()
    }


@settings(max_examples=40)
@given(rows(), st.integers(1, 40))
def test_as_many_deltas_as_fit_fold_to_the_same_buckets(found, most):
    data, kept = [one for row in found for one in deltas([row])], {}
    once = fold(data)
    while data:
        count, changes = fitting(data, NOW, most)
        assert changes == folded(data[:count], NOW)
        assert count == 1 or len(changes) <= most
        assert count == len(data) or len(folded(data[: count + 1], NOW)) > most
        laid(kept, changes)
        del data[:count]
    assert kept == once


@settings(max_examples=40)
@given(rows())
def test_buckets_say_what_the_rows_say(found):
    kept, wanted = fold(deltas(found)), exact(found)
    assert kept.keys() == wanted.keys()
    for place, those in wanted.items():
        bucket = kept[place]
        assert bucket.count == len(those)
        for state in {row.state for row in those}:
            mine = [row for row in those if row.state == state]
            tally = bucket.tallies[state]
            assert tally.count == bucket.of(state) == len(mine)
            known = [] if state == "lost" else mine
            assert sum(tally.durations.values()) == len(known)
            tags = Counter(tag for row in known for tag in set(row.tags))
            assert tally.tagged == tags.total()
            assert tally.tags == {tag: count for tag, count in tags.items() if len(tag) < 200}


@settings(max_examples=40)
@given(rows(), st.randoms(use_true_random=False))
def test_what_is_taken_away_again_leaves_what_was_never_there(found, dice):
    gone = [row for row in found if dice.random() < 0.5]
    data = deltas(found) + [one for batch in batches(gone, dice) for one in deltas((), batch)]
    left = fold(deltas([row for row in found if row not in gone]))
    kept = fold(data, dice)
    assert kept.keys() == left.keys()
    assert {p: b.tallies for p, b in kept.items()} == {p: b.tallies for p, b in left.items()}


@settings(max_examples=40)
@given(rows())
def test_a_batch_that_takes_away_what_it_adds_changes_nothing(found):
    assert deltas(found, found) == []


@settings(max_examples=40)
@given(rows())
def test_counting_anew_is_the_same(found):
    kept = fold(deltas(found))
    anew = {p: applied(None, b) for p, b in counted(found).items() if is_kept(p, NOW)}
    assert anew == kept


def many_tags(count, number=0):
    """Rows of two frequent tags and of one tag each that nobody else has."""
    return [
        one_row(n, NOW, tags=("often", f"half:{n % 2}", f"ri:{n}"))
        for n in range(number, number + count)
    ]


def test_of_many_tags_the_frequent_ones_are_counted_exactly():
    found = many_tags(3000)
    random.Random(5).shuffle(found)
    data = [one for at in range(0, 3000, 500) for one in deltas(found[at : at + 500])]
    assert max(map(len, data)) < 2000  # it is not as large as its tags are many
    tally = fold(data, random.Random(1))[Place("day", "a", NOW - NOW % 1440)].tallies["success"]
    assert tally.tags == {"often": 3000, "half:0": 1500, "half:1": 1500}
    assert tally.other == 3000


@given(st.lists(st.lists(st.integers(0, 150).map(str), max_size=200), max_size=6))
def test_tags_are_never_counted_too_often_and_none_is_left_out_of_the_sum(found):
    total, true = Sum(), Counter()
    for tags in found:
        true.update(tags)
        some, other = bounded_tags(Counter(tags))
        total = Sum(total.bucket(), Bucket({"success": Tally(1, {1: 1}, some, other)}))
    tally = total.bucket().tallies.get("success", Tally())
    assert len(tally.tags) <= TAGS
    assert tally.tagged == true.total()
    assert all(0 < count <= true[tag] for tag, count in tally.tags.items())
    assert tally.other >= 0


def test_a_tag_that_is_erased_is_in_no_bucket():
    found = many_tags(500)
    jane = [one_row(n, NOW, tags=("jane", f"ri:{n}")) for n in range(1000, 1500)]
    data = [*deltas(found), *deltas(jane), *deltas((), jane)]
    for bucket in fold(data, random.Random(3)).values():
        assert "jane" not in bucket.tallies["success"].tags
        assert bucket.count == 500


def test_of_what_is_lost_neither_duration_nor_tags_count():
    there = one_row(1, NOW, state="lost", duration=77, tags=("a",))
    known = one_row(1, NOW, state="lost", duration=0, tags=())
    assert deltas([there]) == deltas([known])
    assert fold([*deltas([there]), *deltas((), [known])]) == {}


@settings(max_examples=40)
@given(rows())
def test_the_bytes_of_deltas_and_buckets_are_exact(found):
    for data in deltas(found):
        assert dump_delta(load_delta(data)) == data
    for bucket in fold(deltas(found)).values():
        assert load_bucket(dump_bucket(bucket)) == bucket


@given(rows(8), st.integers(0, 2**16), st.integers(0, 255))
def test_hurt_bytes_are_refused_or_read_but_never_more(found, at, byte):
    for data in [*deltas(found), *(dump_bucket(b) for b in fold(deltas(found)).values())]:
        hurt = bytearray(data)
        hurt[at % len(hurt)] = byte
        for load in (load_delta, load_bucket):
            for given_ in (bytes(hurt), data[: at % len(data)], data + b"\0"):
                with contextlib.suppress(ValueError):
                    load(given_)


@pytest.mark.parametrize("data", [
    b"", b"\x01", b"\x90", b"\x91\x01", b"\x93\x02\xc0\x90", b"\x93\x01\xc3\x90", b"\x92\x01\xc0",
    b"\x91" * 100_000, b"\x93\x01\xc0\x91\x97\x09\x01\x90\x90\x90\x90\x00", b"\0" * (9 << 20),
])  # fmt: skip
def test_what_is_no_bucket_is_refused(data):
    with pytest.raises(ValueError):
        load_bucket(data)
    with pytest.raises(ValueError):
        load_delta(data)


def test_a_large_delta_is_split():
    dice = random.Random(1)
    found = [
        one_row(n, NOW, tags=tuple(dice.randbytes(90).hex() + str(m) for m in range(9_000)))
        for n in range(4)
    ]
    data = deltas((), found)
    assert len(data) > 1
    assert fold([*deltas(found), *data]) == {}


def test_states_are_put_together():
    bucket = fold(deltas([
        one_row(1, NOW, duration=100), one_row(2, NOW, duration=300, state="error"),
        one_row(3, NOW, state="lost"),
    ]))[Place("minute", "", NOW)]  # fmt: skip
    assert together(bucket).count == 3
    assert took(together(bucket), 1.0) in range(297, 304)
    assert took(together(bucket, ("success",)), 1.0) in range(99, 102)
