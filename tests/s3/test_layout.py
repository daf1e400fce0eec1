"""Under which objects blobs are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.errors import StoreError
from tracediff.stores.keys import is_key
from tracediff.stores.s3 import layout

parts = st.text(st.sampled_from("ab[\\]01/d3 é~"), min_size=1, max_size=8)
firsts = st.sampled_from(["30d/", "3d/", "keep/", "", "0d/", "dictionaries/"])
keys = st.builds("{}{}".format, firsts, parts).filter(is_key)


@pytest.mark.parametrize(
    ("key", "made"),
    [
        ("30d/segments/ab.seg", "30d/prod/segments/ab.seg"),
        ("keep/segments/ab.seg", "keep/prod/keep/segments/ab.seg"),
        ("dictionaries/7.zdict", "keep/prod/dictionaries/7.zdict"),
        ("sources/ab/cd", "keep/prod/sources/ab/cd"),
        ("30d", "keep/prod/30d"),
        ("030d/x", "keep/prod/030d/x"),
        ("a[b]\\c", "keep/prod/a[0b][1c"),
    ],
)
def test_what_expires_together_begins_alike(key, made):
    assert layout.object_of(key, "prod") == made
    assert layout.key_of(made, "prod") == key


@given(keys, st.sampled_from(["p", "a/b"]))
def test_a_key_comes_back_from_its_object(key, prefix):
    assert layout.key_of(layout.object_of(key, prefix), prefix) == key


@given(st.lists(keys, min_size=2, max_size=2, unique=True))
def test_two_keys_have_two_objects_in_the_same_order(pair):
    first, second = sorted(pair)
    made = [layout.object_of(key, "p") for key in (first, second)]
    assert made[0] != made[1]
    if made[0].split("/")[0] == made[1].split("/")[0]:
        assert [one.encode() for one in made] == sorted(one.encode() for one in made)


@given(keys, st.data())
def test_what_is_listed_holds_all_keys_that_begin_so(key, data):
    wanted = key[: data.draw(st.integers(0, len(key)))]
    beginning, classes = layout.listed("p", wanted)
    made = layout.object_of(key, "p")
    kept = made.split("/")[0]
    others = classes is not None and layout.is_days(kept) and kept.startswith(classes)
    assert made.startswith(beginning) or others


@pytest.mark.parametrize(
    "made",
    ["x", "keep/prod", "keep/other/a", "31/prod/a", "30d/prod/", "keep/prod/a[", "keep/prod/a[2"],
)
def test_a_foreign_object_is_no_blob(made):
    assert layout.key_of(made, "prod") is None


def test_a_key_that_makes_too_long_an_object_is_refused():
    key = "/".join(["x" * 100] * 10)
    assert is_key(key)
    with pytest.raises(StoreError) as caught:
        layout.object_of(key, "p" * 50)
    assert caught.value.slug == "blob-key-invalid"


def test_buckets_share_the_keys_and_an_added_one_takes_only_its_own():
    three = ("aaa", "bbb", "ccc")
    names = [f"30d/segments/{number}" for number in range(3000)]
    before = {name: next(layout.ranked(name, three)) for name in names}
    for bucket in three:
        assert 850 < sum(one == bucket for one in before.values()) < 1150
    after = {name: next(layout.ranked(name, ("ddd", *three))) for name in names}
    assert {after[name] for name in names if after[name] != before[name]} == {"ddd"}
