"""What a search costs the server, for every combination of filters that the docs name."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tracediff.model import Query, Row
from tracediff.recording.ids import new_id
from tracediff.stores.mongo.labels import MOST_CONTEXT
from tracediff.stores.mongo.planning import SEARCH_INDEXES, plan
from tracediff.stores.queries import matches, page, position, read_cursor
from tracediff.testing import make_row

LIMIT = 20
COUNT = 24_000
START = 1_760_000_000 * 10**9
BLOCK = 400
"""So many rows start in the same nanosecond."""

KEYS = (None, "commodity", "commodity/calculate", "commodity/calculate/one", "rare", "tax/rate/eu")
NARROWING = (
    {},
    {"tags": ("everywhere",)},
    {"tags": ("oldest",)},
    {"tags": ("everywhere", "oldest", "nowhere")},
    {"tags": ("commodity only",)},
    {"tags": ("ri:17",)},
    {"tags": ("everywhere", "oldest", *(f"ri:{number}" for number in range(30, 44)))},
    {"context": {"country": "SK"}},
    {"context": {"country": "CZ"}},
    {"context": {"store": 7}},
    {"context": {"store": "7"}},
    {"path_signature": b"p" * 16},
    {"path_signature": b"q" * 16},
)
STATES = (None, "success", "error", "running")
SINCE = (None, START + 5 * 10**6, START + COUNT // BLOCK * 10**6)
UNTIL = (None, START + 7 * 10**6)


def made_up(number: int, dice: random.Random) -> Row:
    """Row ``number`` of all; what is rare is old, where a scan from the newest comes last."""
    old = number < 100
    key = "rare" if number % 5000 == 3 else "tax/rate/eu" if number % 2 else KEYS[3]
    tags = ["everywhere", f"ri:{number}"]
    tags += ["oldest"] if old and number % 10 == 0 else []
    # Below `tax` this tag is on ten old rows, and on every other of the rest.
    tags += ["commodity only"] if key == KEYS[3] or (old and number % 10 == 1) else []
    return make_row(
        new_id(),
        key=key,
        tags=tuple(tags),
        started_at=START + number // BLOCK * 10**6,
        state="error" if old or number == COUNT // 2 else "success",
        context={"country": "CZ" if old else "SK", "store": dice.randrange(300)},
        path_signature=(b"q" if old and number % 3 == 0 else b"p") * 16,
        meta="product_id=313421 store_id=17",
    )


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    dice = random.Random(4)
    return [made_up(number, dice) for number in range(COUNT)]


@pytest.fixture
def full(index, rows):
    """An index that holds them all."""
    for start in range(0, COUNT, 2000):
        index.create(rows[start : start + 2000])
    return index


def combinations() -> Iterator[Query]:
    for key, narrowing, state, since, until in itertools.product(
        KEYS, NARROWING, STATES, SINCE, UNTIL
    ):
        yield Query(key=key, state=state, since=since, until=until, limit=LIMIT, **narrowing)


def explained(index, query: Query) -> dict:
    """What the server says of the find that a page is read by."""
    arguments = plan(query).find(read_cursor(query), query.limit + 1)
    command = {
        "find": index.address.collection,
        "filter": arguments["filter"],
        "sort": arguments["sort"],
        "projection": arguments["projection"],
        "hint": arguments["hint"],
        "limit": arguments["limit"],
    }
    database = index._connection.database()
    return database.command("explain", command, verbosity="executionStats")


@pytest.mark.slow
def test_every_documented_combination_examines_at_most_ten_keys_a_row(full, rows):
    newest = sorted(rows, key=position, reverse=True)
    middle = newest[COUNT // 2 + 7]
    seen = paged = 0
    for number, query in enumerate(combinations()):
        if plan(query) is None:
            continue
        cursors = [None]
        if number % 7 == 0:  # the cursor of a real page, where there is one
            found = full.search(query)
            want = page((row for row in newest if matches(row, query)), query)
            assert found == want, query
            cursors.append(found.cursor)
        # The cursor of a page that ends in the middle, among others as old.
        cursors.append(page([middle, middle], replace(query, limit=1)).cursor)
        for cursor in dict.fromkeys(cursors):
            stats = explained(full, replace(query, cursor=cursor))["executionStats"]
            assert stats["totalKeysExamined"] <= 10 * LIMIT, (query, cursor)
            assert stats["totalDocsExamined"] <= 10 * LIMIT, (query, cursor)
            seen += 1
            paged += cursor is not None
    assert seen > 2000
    assert paged > 1000


def test_nothing_is_sorted_whatever_is_asked_for(index):
    index.create([make_row("a")])
    for query in combinations():
        if plan(query) is None or query.since is not None:
            continue
        cursor = page([make_row("b"), make_row("a")], replace(query, limit=1)).cursor
        for one in (query, replace(query, cursor=cursor)):
            shape = str(explained(index, one)["queryPlanner"]["winningPlan"])
            assert "'SORT'" not in shape, one
            assert "COLLSCAN" not in shape, one


def test_other_combinations_are_filtered_on_the_server(index, plain):
    index.create([
        make_row(f"r{number}", tags=("x",), context={"n": number % 2, "m": "a"}, started_at=number)
        for number in range(60)
    ])  # fmt: skip
    query = Query(tags=("x",), context={"m": "a", "n": 1}, limit=5)
    stats = explained(index, query)["executionStats"]
    assert stats["nReturned"] == 6
    assert stats["totalKeysExamined"] <= 16
    assert [row.id for row in index.search(query).rows] == ["r59", "r57", "r55", "r53", "r51"]


def test_a_row_of_many_context_fields_is_found_by_each(open_index, tmp_path):
    index = open_index(tmp_path)
    fields = {f"n{number}": number for number in range(MOST_CONTEXT + 4)}
    index.create([make_row("many", context=fields), make_row("one", context={"n11": 0})])
    for name, value in fields.items():
        assert [row.id for row in index.search(Query(context={name: value})).rows] == ["many"]


def test_labels_that_are_equal_by_chance_let_no_foreign_row_through(index, monkeypatch, request):
    from tracediff.stores.mongo import labels

    monkeypatch.setattr(labels, "_hash", lambda text: 7)
    request.addfinalizer(labels.key_labels.cache_clear)
    labels.key_labels.cache_clear()
    rows = [make_row(f"{n:03}", tags=(f"t{n % 50}",), key=f"k{n % 3}") for n in range(150)]
    index.create(rows)
    query = Query(tags=("t9",), limit=2)
    first = index.search(query)
    assert [row.id for row in first.rows] == ["109", "059"]
    assert [row.id for row in index.search(replace(query, cursor=first.cursor)).rows] == ["009"]
    assert [row.id for row in index.search(Query(key="k1", limit=1)).rows] == ["148"]


def test_more_tags_than_can_be_merged_find_their_rows_in_order(index):
    index.create([make_row(f"{n:03}", tags=(f"t{n}",)) for n in range(200)])
    query = Query(tags=tuple(f"t{n}" for n in range(0, 200, 2)), limit=60)
    first = index.search(query)
    rest = index.search(replace(query, cursor=first.cursor))
    assert [row.id for row in (*first.rows, *rest.rows)] == [f"{n:03}" for n in range(198, -1, -2)]


def test_a_short_prefix_finds_the_newest_without_reading_all(index, monkeypatch):
    from tracediff.stores.mongo import index as module

    monkeypatch.setattr(module, "_MOST", 10)
    index.create([make_row(f"a{n:03}", started_at=n) for n in range(200)])
    index.create([make_row("b", started_at=1000)])
    assert [row.id for row in index.find("a", 3)] == ["a199", "a198", "a197"]
    assert len(index.find("a", 500)) == 200
    assert len(index.find("a19", 500)) == 10


def test_an_index_that_is_gone_is_named_with_what_to_do(index, plain):
    from tracediff.testing import refused

    plain.drop_index(SEARCH_INDEXES[0])
    with refused("store-unprepared"):
        index.search(Query())
    assert index.prepare(dry_run=True) == index.prepare()
    assert index.search(Query()).rows == ()
