"""A live trace that grows: only its new parts are read, and it becomes what its store loads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracediff.errors import StoreError
from tracediff.model import Step
from tracediff.stores.following import Growing
from tracediff.stores.memory import MemoryStore
from tracediff.testing import make_parts, make_trace

STEPS = (
    Step(parent=-1, kind="job", name="import"),
    *(Step(parent=at // 3, kind="step", name=f"s{at}", start=at) for at in range(1, 12)),
)


class Store(MemoryStore):
    """The real one, which notes from which part on it was asked to read."""

    def __init__(self):
        super().__init__("memory:")
        self.asked = []
        self.wholes = 0

    def load_parts(self, row, first=0):
        self.asked.append(first)
        return super().load_parts(row, first)

    def load(self, row):
        self.wholes += 1
        return super().load(row)


@pytest.fixture
def store():
    return Store()


def row(store):
    return store.find("abc", 1)[0]


def parts(count=5):
    return make_parts(make_trace("abc", steps=STEPS), count)


def test_each_look_reads_the_new_parts_alone_and_the_end_is_what_the_store_loads(store):
    growing, lines = Growing(store, "abc"), []
    for part in parts():
        store.save_parts([part])
        seen = growing.parts
        trace = growing.look(row(store))
        assert growing.look(row(store)) is trace
        lines.append(growing.since(seen))
        assert growing.since(0) == tuple(range(len(trace.steps)))
        assert trace == super(Store, store).load(row(store))
    assert store.asked == [0, 1, 2, 3, 4]
    assert store.wholes == 0
    assert lines[0] == (0,)
    assert lines[1] == (1, 2, 3)
    assert lines[-1][0] == 0  # the job has ended


def test_a_lost_trace_is_the_same_steps_in_another_state(store):
    some = parts()
    store.save_parts(some[:3])
    growing = Growing(store, "abc")
    before = growing.look(row(store))
    assert before.state == "running"
    store.index.lose([row(store)])
    lost = growing.look(row(store))
    assert lost == replace(before, state="lost")
    assert growing.since(3) == ()


def test_a_step_that_comes_before_others_numbers_them_anew(store):
    first, *others = parts(4)
    late = replace(others[0], places=(1, 2, 9), trace=replace(
        others[0].trace, steps=tuple(replace(one, parent=0) for one in others[0].trace.steps[:3]),
    ))  # fmt: skip
    later = replace(others[1], places=(5,), trace=replace(
        others[1].trace, steps=(replace(STEPS[5], parent=2),),
    ))  # fmt: skip
    store.save_parts([first, late])
    growing = Growing(store, "abc")
    growing.look(row(store))
    store.save_parts([later])
    trace = growing.look(row(store))
    assert growing.since(2) is None
    assert growing.since(3) == ()
    assert trace.steps == super(Store, store).load(row(store)).steps


def test_what_is_missing_is_told_while_it_runs_and_refused_when_it_has_ended(store):
    some = parts()
    store.save_parts([some[0], some[2]])
    growing = Growing(store, "abc")
    assert "some of its parts cannot be read" in growing.look(row(store)).warnings[-1]
    store.save_parts([some[4]])
    with pytest.raises(StoreError) as refused:
        growing.look(row(store))
    assert refused.value.slug == "trace-hurt"
    store.save_parts([some[1], some[3]])
    assert growing.look(row(store)) == make_trace("abc", steps=STEPS)


def test_a_trace_that_was_written_at_once_is_read_as_it_is(store):
    trace = make_trace("abc", steps=STEPS)
    store.save([trace])
    growing = Growing(store, "abc")
    assert growing.look(row(store)) == trace
    assert growing.since(0) == tuple(range(12))
