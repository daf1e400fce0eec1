"""What a survey says of a range, how near an estimate comes, and how little it reads for that."""

from __future__ import annotations

import contextlib
import math
import time

import pytest

from tracediff.filters import moment
from tracediff.model import Page, Query
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.surveying import oldest, survey
from tracediff.testing import make_row

SECOND = 10**9
START = 1_790_000_000 * SECOND
HOUR = 3600 * SECOND
MANY = 9_000


class Counted:
    """A search that counts how often it is asked and what it gives."""

    def __init__(self, index):
        self.index = index
        self.searches = self.rows = 0

    def __call__(self, query: Query) -> Page:
        found = self.index.search(query)
        self.searches += 1
        self.rows += len(found.rows)
        return found


def made(number, at, state="success"):
    return make_row(
        f"{number:020x}", started_at=at, state=state, duration=1000 * (1 + number % 50),
        tags=(f"even:{number % 2 == 0}", f"ri:{number}"),
    )  # fmt: skip


@pytest.fixture
def counted(tmp_path):
    """A function that makes a counted search of some rows."""
    with contextlib.ExitStack() as opened:

        def counted(rows):
            index = SqliteIndex(tmp_path / "index.sqlite")
            opened.callback(index.close)
            index.create(rows)
            return Counted(index)

        yield counted


@pytest.fixture(scope="module")
def rows_of_days():
    """Rows of two days, by day five times as many as by night; one in a thousand failed."""
    rows, total = [], 0.0
    for number in range(MANY):
        hours = total / HOUR
        total += (48 * HOUR / MANY) / (1 + 0.66 * math.sin(hours / 24 * 2 * math.pi))
        state = "error" if number % 1000 == 500 else "success"
        rows.append(made(number, START + int(total), state))
    return rows


@pytest.fixture(scope="module")
def index_of_days(rows_of_days, tmp_path_factory):
    index = SqliteIndex(tmp_path_factory.mktemp("survey") / "index.sqlite")
    index.create(rows_of_days)
    yield index
    index.close()


@pytest.fixture
def days(index_of_days):
    """A counted search of the rows of two days."""
    return Counted(index_of_days)


def test_few_rows_are_all_read(counted):
    rows = [made(n, START + n * SECOND, "error" if n % 7 == 0 else "success") for n in range(700)]
    found = survey(counted(rows), Query(), START + HOUR, seconds=60)
    assert (found.exact, found.complete, found.read) == (True, True, 700)
    assert (found.total, found.of("error"), found.of("success")) == (700, 100, 600)
    for bucket in found.buckets:
        inside = [one for one in rows if bucket.since <= one.started_at < bucket.until]
        assert bucket.total == len(inside)
    assert found.tags[0] == ("even:False", 350)
    assert sum(count for _, _, count in found.durations) == 700
    assert all(low < high for low, high, _ in found.durations)


def test_the_parts_hold_the_range_without_a_gap(days):
    found = survey(days, Query(since=START + HOUR, until=START + 5 * HOUR), START, seconds=60)
    assert found.buckets[0].since == START + HOUR
    assert found.buckets[-1].until == START + 5 * HOUR
    pairs = zip(found.buckets, found.buckets[1:], strict=False)
    assert all(one.until == other.since for one, other in pairs)
    assert 20 <= len(found.buckets) <= 60


def test_many_rows_are_estimated_from_few(days, rows_of_days):
    found = survey(days, Query(), START + 48 * HOUR, seconds=60)
    assert not found.exact
    assert found.complete
    assert days.rows < MANY * 0.6
    assert found.read <= days.rows
    assert found.total == pytest.approx(MANY, rel=0.1)
    shares = dict(found.tags)
    assert shares["even:True"] == pytest.approx(MANY / 2, rel=0.15)
    assert not any(tag.startswith("ri:") for tag in shares)  # each was met once
    for bucket in found.buckets[1:-1]:
        inside = sum(bucket.since <= one.started_at < bucket.until for one in rows_of_days)
        assert bucket.total == pytest.approx(inside, rel=0.5)


@pytest.mark.parametrize(("filters", "wanted"), [
    ({}, lambda row: True),
    ({"key": "price"}, lambda row: True),
    ({"state": "error"}, lambda row: row.state == "error"),
    ({"since": START + 7 * HOUR + 5, "until": START + 40 * HOUR}, lambda row: (
        7 <= (row.started_at - START) // HOUR < 40)),
])  # fmt: skip
def test_many_rows_are_counted_exactly_without_reading_them(days, rows_of_days, filters, wanted):
    live = f"runs-{len(filters)}-{'-'.join(filters)}"
    days.index.create([make_row(live, started_at=START + 8 * HOUR, state="running", parts=1)])
    query, now = Query(**filters), time.time_ns()
    found = survey(days, query, now, seconds=60, counting=days.index)
    days.index.delete([live])
    rows = [row for row in rows_of_days if wanted(row)]
    wide = wanted if "state" in filters else bool  # times are widened to hours
    assert (found.counted, found.exact, found.complete) == (True, True, True)
    assert days.rows == 1
    assert found.of("running") == ("state" not in filters)
    first, last = found.buckets[0].since, found.buckets[-1].until
    assert all(first <= row.started_at < last for row in rows)
    rows = [row for row in rows_of_days if first <= row.started_at < last and wide(row)]
    assert found.of("success") == sum(row.state == "success" for row in rows)
    assert found.of("error") == sum(row.state == "error" for row in rows)
    for bucket in found.buckets:
        inside = [one for one in rows if bucket.since <= one.started_at < bucket.until]
        assert bucket.counts.get("success", 0) == sum(row.state == "success" for row in inside)
    assert sum(count for _, _, count in found.durations) == len(rows)
    assert dict(found.tags).get("even:True", 0) == sum("even:True" in row.tags for row in rows)


@pytest.mark.parametrize("filters", [
    {"tags": ("even:True",)}, {"context": {"a": 1}}, {"path_signature": b"x"}, {"key": ""},
    {"key": "a/b/c/d/e"},
])  # fmt: skip
def test_what_statistics_do_not_know_is_asked_of_the_rows(days, filters):
    query = Query(**filters, since=START, until=START + HOUR)
    assert not survey(days, query, START, seconds=60, counting=days.index).counted


def test_a_daily_rhythm_does_not_mislead_an_estimate_of_weeks(counted):
    days = [number / 450 for number in range(9000)]
    at = [day + 0.6 / (2 * math.pi) * math.sin(2 * math.pi * day) for day in days]
    search = counted([made(n, START + int(day * 24 * HOUR)) for n, day in enumerate(at)])
    found = survey(search, Query(), START + 20 * 24 * HOUR, seconds=60)
    assert not found.exact
    assert found.total == pytest.approx(9000, rel=0.12)


def test_the_few_errors_among_many_rows_are_all_found(days, rows_of_days):
    found = survey(days, Query(), START + 48 * HOUR, seconds=60)
    assert found.of("error") == MANY // 1000
    for bucket in found.buckets:
        inside = [one for one in rows_of_days if bucket.since <= one.started_at < bucket.until]
        errors = sum(one.state == "error" for one in inside)
        assert bucket.counts.get("error", 0) == errors


def test_a_state_that_is_asked_for_is_the_only_one(days):
    found = survey(days, Query(state="error"), START + 48 * HOUR, seconds=60)
    assert (found.total, found.of("success"), found.exact) == (MANY // 1000, 0, True)


def test_some_thousand_rows_are_exact_though_parts_of_them_are_dense(counted):
    rows = [made(n, START + (n * n) * 1000) for n in range(4000)]
    found = survey(counted(rows), Query(), START + HOUR, seconds=60)
    assert (found.exact, found.total) == (True, 4000)


def test_rows_of_one_instant_are_not_taken_for_a_flood(counted):
    rows = [made(n, START) for n in range(300)] + [made(300, START - HOUR)]
    found = survey(counted(rows), Query(), START + HOUR, seconds=60)
    assert found.total <= 301


def test_what_takes_too_long_is_left_out_and_said(days):
    found = survey(days, Query(), START + 48 * HOUR, seconds=0)
    assert not found.complete
    assert not found.exact
    assert found.total == 0


def test_nothing_gives_nothing(counted):
    found = survey(counted([]), Query(), START)
    assert (found.buckets, found.total, found.complete) == ((), 0, True)


@pytest.mark.parametrize("years", [0.000001, 0.01, 1, 40])
def test_the_oldest_row_is_found_by_few_searches(counted, years):
    first = START - int(years * 365 * 24 * HOUR)
    search = counted([made(0, first), made(1, START - 1), made(2, START)])
    found = oldest(search, Query(), START)
    assert found <= first
    assert first - found <= max((START - first) / 50, 2 * 60 * SECOND)
    assert search.searches <= 45
    assert search.rows <= 45


def test_a_time_that_is_typed_is_exact_to_the_microsecond():
    assert moment("2026-11-26T15:00:00.123457Z") == 1_795_705_200_123_457_000
    assert moment("2h", now=10 * HOUR) == 8 * HOUR
    with pytest.raises(ValueError, match="is no time"):
        moment("٣h")
