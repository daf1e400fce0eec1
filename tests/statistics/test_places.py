"""Which buckets a trace counts in, and which of them make up a range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.statistics.places import (
    WIDTHS,
    Place,
    finest,
    has_buckets,
    kept_since,
    narrowed,
    places,
    runs,
    starts,
    widened,
)

NOW = 29_000_000
DAY = 1440
minutes = st.integers(NOW - 500 * DAY, NOW + DAY)


@pytest.mark.parametrize(("key", "found"), [
    ("", ("",)),
    ("a", ("", "a")),
    ("a/b/c/d/e", ("", "a", "a/b", "a/b/c", "a/b/c/d")),
    ("/a", ("", "/a")),
    ("a//b", ("", "a", "a/", "a//b")),
    ("a/" + "b" * 600, ("", "a")),
    ("b" * 500, ("", "b" * 500)),
    ("b" * 500 + "/c", ("", "b" * 500)),
    ("b" * 501, ("",)),
    pytest.param("a/" + "b" * 10_000_000, ("", "a"), id="a key of 10 MB"),
    ("import/123456/done", ("", "import")),
    ("import/order-0012345", ("", "import")),
    ("import/6f1c2a7e-91b4-4c55-8d0e-aabbccddeeff", ("", "import")),
    ("import/01hk3v5x7z9b2d4f6h8kabcdef", ("", "import")),
    ("123456", ("",)),
    ("import/2024/v2", ("", "import", "import/2024", "import/2024/v2")),
    ("quarterly-report-2024-11-26", ("", "quarterly-report-2024-11-26")),
    ("calculatecommodityprices", ("", "calculatecommodityprices")),
])  # fmt: skip
def test_a_key_counts_in_its_first_starts(key, found):
    assert starts(key) == found


def test_only_the_first_starts_have_buckets_of_their_own():
    assert all(map(has_buckets, ("", "a", "a/b/c/d")))
    assert not any(map(has_buckets, ("a/b/c/d/e", "b" * 600, "import/123456", "import/123456/a")))


def test_a_trace_counts_once_in_each_resolution_and_start():
    found = list(places("a/b", NOW + 61))
    assert len(found) == len(set(found)) == 9
    assert Place("hour", "a", NOW + 61 - (NOW + 61) % 60) in found


@given(minutes, minutes, st.sampled_from(sorted(WIDTHS)))
def test_runs_make_up_the_range_without_a_gap_of_buckets_that_are_kept(one, other, coarsest):
    first, end = widened(min(one, other), max(one, other), NOW)
    assert first <= min(one, other) <= max(one, other) <= end
    at = first
    found = runs(first, end, NOW, coarsest)
    for run in found:
        width = WIDTHS[run.resolution]
        assert run.first == at < run.end
        assert run.first % width == run.end % width == 0
        assert run.first >= kept_since(run.resolution, NOW)
        assert width <= max(WIDTHS[coarsest], WIDTHS[finest(first, NOW)])
        at = run.end
    assert at == end
    assert len(found) <= 5


def test_ninety_days_are_read_from_days_with_hours_and_minutes_at_the_ends_alone():
    first, end = widened(NOW - 90 * DAY + 7, NOW - 3, NOW)
    assert first % 60 == 0  # minutes of that day are no longer kept
    found = runs(first, end, NOW)
    count = {run.resolution: (run.end - run.first) // WIDTHS[run.resolution] for run in found}
    assert count["day"] >= 88
    assert sum((run.end - run.first) // WIDTHS[run.resolution] for run in found) < 200


@pytest.mark.parametrize(("spans", "known", "found"), [
    ([], None, None),
    ([], (5, 6), (5, 6)),
    ([(1445, 1501), (1440, 1560), (1440, 2880)], None, (1445, 1501)),
    ([(9000, 9001), (8400, 9060), (1440, 10080)], None, (1440, 9001)),  # finer ones know less
    ([(1445, 1501), (1440, 1560), (1440, 2880)], (1000, 1460), (1000, 1501)),
])  # fmt: skip
def test_a_span_is_as_exact_as_the_finest_buckets_tell(spans, known, found):
    assert narrowed(spans, known) == found
