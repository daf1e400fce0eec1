"""That durations are kept to 1 %, whatever they are, and can be taken away again exactly."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from tracediff.statistics import durations

took = st.one_of(
    st.integers(0, 2000), st.integers(0, 2**63 - 1), st.floats(0, 43).map(lambda x: int(2.718**x))
)


def test_classes_follow_each_other_without_a_gap_and_hold_what_is_within_one_percent():
    firsts, numbers = durations._classes()
    assert firsts[:3] == [0, 1, 2]
    assert firsts[-1] <= durations.LONGEST
    for low, number, after in zip(
        firsts, numbers, [*firsts[1:], durations.LONGEST + 1], strict=True
    ):
        assert low < after
        assert 100 * abs(number - low) <= low
        assert 100 * abs(number - (after - 1)) <= after - 1
    assert durations.classes() < 2300


@given(st.lists(took, min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_within_one_percent(values, share):
    exact = sorted(values)[max(1, ceil(share * len(values))) - 1]
    found = durations.quantile(durations.counts(values), share)
    assert 100 * abs(found - exact) <= exact
    most = durations.longest(durations.counts(values))
    assert 100 * abs(most - max(values)) <= max(values)


def test_nothing_has_no_quantile():
    assert durations.quantile({}, 0.5) is None
    assert durations.quantile({7: 0}, 0.5) is None


def test_what_lies_beyond_64_bits_counts_in_the_nearest_class():
    assert durations.counts([-5, 0]) == {0: 2}
    assert durations.counts([2**80]) == {durations.classes() - 1: 1}
