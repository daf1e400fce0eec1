"""References against real stores: which trace each names, and how few pages are read for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracediff import tracefile
from tracediff.check.selecting import Selection, select
from tracediff.errors import CodecError, StoreError, TraceReferenceError
from tracediff.expectations.reading import read_trace
from tracediff.model import Query, Step, Trace
from tracediff.pushing import push_rows
from tracediff.references import find_row, finished, read_reference, store_name
from tracediff.stores.memory import MemoryStore
from tracediff.stores.walking import finished_rows


def trace(number: int, key: str = "price/one") -> Trace:
    return Trace(
        id=f"id{number:04d}",
        key=key,
        job="prices:price",
        steps=(Step(parent=-1, kind="job", name=key),),
        started_at=number,
    )


@pytest.fixture
def store():
    made = MemoryStore("memory:test")
    made.save([trace(number) for number in range(10)])
    made.save([trace(100 + number, "tax/one") for number in range(3)])
    return made


@pytest.fixture
def read(store):
    other = MemoryStore("memory:other")
    other.save([trace(7000, "other/one")])
    stores = {None: store, "prod": other}
    return lambda reference: read_reference(reference, ["prod"], stores.__getitem__).id


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("id0003", "id0003"),
        ("id0100", "id0100"),
        ("@last", "id0102"),
        ("@{0}", "id0102"),
        ("@{3}", "id0009"),
        ("price@last", "id0009"),
        ("price/one@last", "id0009"),
        ("price/one@{9}", "id0000"),
        ("tax@{2}", "id0100"),
        ("prod:@last", "id7000"),
        ("prod:id7", "id7000"),
        ("prod:other/one@last", "id7000"),
    ],
)
def test_each_form_names_its_trace(read, reference, wanted):
    assert read(reference) == wanted


@pytest.mark.parametrize(
    ("reference", "slug"),
    [
        ("id9", "trace-unknown"),
        ("ID0003", "reference-invalid"),
        ("", "reference-invalid"),
        ("@", "reference-invalid"),
        ("@first", "reference-invalid"),
        ("price/one@{}", "reference-invalid"),
        ("price/one@{-1}", "reference-invalid"),
        ("price/one@{10}", "trace-unknown"),
        ("price/one@{999999}", "trace-unknown"),
        ("price/one@{9999999}", "reference-invalid"),
        ("pri@last", "trace-unknown"),
        ("prod:id0003", "trace-unknown"),
        ("prd:id0003", "reference-invalid"),
        ("id000", "trace-ambiguous"),
        ("x" * 5000, "reference-invalid"),
        ("a/" * 3000, "reference-invalid"),
        ("../" * 3, "trace-unknown"),
        ("nothing.json", "trace-unknown"),
    ],
    ids=lambda some: some[:20],
)
def test_what_names_no_trace_is_refused_with_a_hint(read, reference, slug):
    with pytest.raises(TraceReferenceError) as caught:
        read(reference)
    assert caught.value.slug == slug
    assert caught.value.hint


def test_a_whole_id_wins_over_longer_ones_that_begin_with_it(store, read):
    store.save([replace(trace(5), id="id00031")])
    assert read("id0003") == "id0003"


def test_an_ambiguous_start_shows_five_ids_and_says_that_there_are_more(read):
    with pytest.raises(TraceReferenceError) as caught:
        read("id000")
    assert caught.value.message.count("id00") == 6
    assert "…" in caught.value.message


def test_counting_back_reads_no_more_rows_than_it_needs(store):
    asked = []
    search = store.search

    def counted(query):
        asked.append(query.limit)
        return search(query)

    store.search = counted
    read_reference("price/one@{4}", [], lambda name: store)
    assert asked == [5]
    asked.clear()
    read_reference("price@last", [], lambda name: store)
    assert asked == [1]


def test_counting_back_goes_over_pages(store):
    store.save([trace(2000 + number, "many/one") for number in range(1200)])
    assert read_reference("many@{1100}", [], lambda name: store).id == "id2099"


def test_a_store_is_opened_only_when_it_is_needed(tmp_path):
    def opened(name):
        raise StoreError("opened", slug="store-io")

    (tmp_path / "a.json").write_text(tracefile.dumps(trace(1)), encoding="utf-8")
    assert read_reference(str(tmp_path / "a.json"), [], opened).id == "id0001"
    with pytest.raises(StoreError):
        read_reference("id0001", [], opened)


def test_the_name_of_a_store_is_told_from_everything_else():
    assert store_name("prod:@last", ["prod"]) == "prod"
    for reference in ("prod", "@last", "other:@last", ":@last", "prodx:@last"):
        assert store_name(reference, ["prod"]) is None


def test_credentials_of_a_store_stay_out_of_errors():
    store = MemoryStore("mongodb://me:hunter2@host/db")
    for reference in ("id1", "@last", "key@{3}"):
        with pytest.raises(TraceReferenceError) as caught:
            read_reference(reference, [], lambda name: store)
        assert "hunter2" not in caught.value.message


def test_a_file_that_is_no_trace_is_named_in_the_error(tmp_path):
    target = tmp_path / "x.json"
    target.write_text("{}", encoding="utf-8")
    with pytest.raises(CodecError) as caught:
        read_trace(target)
    assert str(target) in caught.value.message
    assert caught.value.slug == "trace-unreadable"


def test_a_job_whose_key_is_also_a_directory_is_a_job(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "price" / "one@last").mkdir(parents=True)
    assert read("price/one@last") == "id0009"
    (tmp_path / "id0003").write_text("a file whose name is an id")
    assert read("id0003") == "id0003"


def test_the_last_one_is_the_newest_that_has_ended(store, read):
    unfinished = [replace(trace(200 + n, "tax/one"), state=("running", "lost")[n % 2])
                  for n in range(40)]  # fmt: skip
    store.save(unfinished)
    assert read("@last") == read("tax@last") == "id0102"
    assert read("tax@{2}") == "id0100"
    assert read("id0201") == "id0201"
    found = find_row("@last", [], lambda name: store, unfinished=True)
    assert found == (store, store.find("id0239")[0])
    with pytest.raises(TraceReferenceError, match="holds 3 traces of 'tax' that have ended"):
        read("tax@{3}")


@pytest.mark.parametrize("state", ["running", "lost"])
def test_a_trace_without_its_end_is_refused_where_a_whole_one_is_needed(state):
    with pytest.raises(TraceReferenceError) as refused:
        finished(replace(trace(1), state=state))
    assert refused.value.slug == f"trace-{state}"
    assert "tracediff show id0001" in refused.value.hint
    assert finished(trace(1)) == trace(1)


def test_what_takes_many_traces_passes_over_those_without_an_end(store):
    store.save([replace(trace(200 + n), state=("running", "lost")[n % 2]) for n in range(4)])
    rows = [row.id for row in finished_rows(store, Query(key="price"))]
    assert rows == [f"id{n:04d}" for n in reversed(range(10))]
    chosen = select(store, Selection(query=Query(key="price"), last=3))
    assert [row.id for row in chosen.rows] == rows[:3]
    target = MemoryStore("memory:target")
    push_rows(store, finished_rows(store, Query()), target, lambda done: None)
    assert {row.state for row in target.search(Query()).rows} == {"success"}
