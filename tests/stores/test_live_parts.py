"""Putting live traces together from their parts, hostile ones included."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from tracediff import codec, digests
from tracediff.errors import CodecError
from tracediff.model import Part, Step, Trace
from tracediff.stores.parts import assembled
from tracediff.testing import make_parts, make_trace, refused


def part(number: int, steps: dict[int, Step], *, ended: bool = False, **fields) -> Part:
    state = "success" if ended else "running"
    trace = Trace(id="a", key="k", job="m:f", steps=tuple(steps.values()), state=state)
    row = replace(digests.row(trace), parts=number + 1)
    return Part(number=number, trace=trace, places=tuple(steps), row=row, **fields)


def step(parent: int, name: str = "s", **fields) -> Step:
    return Step(parent=parent, kind="job" if parent < 0 else "step", name=name, **fields)


@given(st.integers(2, 8), st.randoms())
def test_whatever_the_parts_their_trace_is_the_one_that_was_cut(count, rng):
    trace = make_trace("a")
    parts = make_parts(trace, count)
    assert assembled(rng.sample(parts, count)) == trace


def test_a_part_comes_back_as_it_was_written():
    for one in make_parts(make_trace("a", tags=("\ud800",), context={"\ud800": 10**30})):
        for loose in ((), (1, 2)):
            whole = replace(one, concurrent=loose)
            assert codec.load_part(codec.dump_part(whole), one.row) == whole


def test_of_steps_at_one_place_that_of_the_last_part_counts():
    trace = assembled(
        [
            part(2, {1: step(0, "third")}, ended=True),
            part(0, {0: step(-1), 1: step(0, "first")}),
            part(1, {1: step(0, "second")}),
        ]
    )
    assert [one.name for one in trace.steps] == ["s", "third"]


def test_places_may_be_left_free_and_their_order_is_that_of_the_steps():
    parts = [
        part(0, {0: step(-1), 7: step(0, "b")}),
        part(1, {9: step(7, "c"), 3: step(0, "a")}, ended=True),
    ]
    trace = assembled(parts)
    assert [(one.name, one.parent) for one in trace.steps] == [
        ("s", -1), ("a", 0), ("b", 0), ("c", 2),
    ]  # fmt: skip
    assert assembled(parts) == codec.load(codec.dump(trace))


def test_steps_of_earlier_parts_turn_out_to_be_concurrent():
    trace = assembled(
        [
            part(0, {0: step(-1), 1: step(0)}),
            part(1, {2: step(0, concurrent=True)}, concurrent=(1, 99), ended=True),
        ]
    )
    assert [one.concurrent for one in trace.steps] == [False, True, True]


def test_steps_below_those_of_a_missing_part_come_below_the_job():
    parts = [part(0, {0: step(-1)}), part(2, {2: step(1, "below"), 3: step(2, "deeper")})]
    trace = assembled(parts)
    assert [(one.name, one.parent) for one in trace.steps] == [
        ("s", -1), ("below", 0), ("deeper", 1),
    ]  # fmt: skip
    assert trace.warnings == ("this trace is not whole: its part 1 of 3 cannot be read",)
    ahead = replace(parts[1].row, parts=9)
    assert "part 1 and 6 more of 9" in assembled(parts, ahead).warnings[0]


@pytest.mark.parametrize(
    "parts",
    [
        [part(0, {0: step(-1)}), part(2, {1: step(0)}, ended=True)],
        [part(1, {1: step(0)})],
        [part(0, {0: step(-1), 1: step(1)})],
        [part(0, {0: step(-1), 1: step(5), 5: step(0)})],
        [part(0, {0: step(-1), 1: step(-2)})],
        [part(0, {0: step(-1), 5: step(3)})],
        [part(0, {0: step(0)})],
        [part(0, {1 << 62: step(-1)})],
        [part(0, {0: step(-1)}), replace(part(1, {}), trace=make_trace("b", steps=()))],
    ],
    ids=range(9),
)
def test_parts_that_do_not_fit_together_are_hurt(parts):
    with refused("trace-hurt"):
        assembled(parts)


def test_what_is_lost_says_so_and_a_later_end_counts():
    zero, last = make_parts(make_trace("a"), 2)
    lost = replace(zero.row, state="lost")
    assert assembled([zero], lost).state == "lost"
    assert assembled([zero, last], lost) == make_trace("a")


@pytest.mark.parametrize(
    "change",
    [
        {"number": -1},
        {"number": "1"},
        {"places": [0, 0]},
        {"places": [0]},
        {"places": [0, -1]},
        {"places": [0, 1.0]},
        {"places": None},
        {"concurrent": 5},
        {"concurrent": ["a"]},
        {"trace": None},
        {"trace": []},
    ],
    ids=str,
)
def test_a_part_of_another_form_is_no_part(change):
    from ormsgpack import packb, unpackb

    good = part(0, {0: step(-1), 1: step(0)})
    data = codec.dump_part(good)
    doc = unpackb(data[13:]) | change
    body = packb(doc)
    hostile = data[:5] + xxhash.xxh3_64_digest(body) + body
    with pytest.raises(CodecError) as caught:
        codec.load_part(hostile, good.row)
    assert caught.value.slug == "trace-unreadable"


def test_a_part_is_no_trace_and_a_trace_no_part():
    one = part(0, {0: step(-1)})
    with pytest.raises(CodecError):
        codec.load(codec.dump_part(one))
    with pytest.raises(CodecError):
        codec.load_part(codec.dump(make_trace("a")), one.row)


def test_hurt_bytes_of_a_part_are_told():
    one = make_parts(make_trace("a"))[1]
    data = codec.dump_part(one)
    for _ in range(300):
        hurt = bytearray(data)
        hurt[random.randrange(len(data))] ^= 1 << random.randrange(8)
        with pytest.raises(CodecError):
            codec.load_part(bytes(hurt), one.row)
    for end in range(len(data)):
        with pytest.raises(CodecError):
            codec.load_part(data[:end], one.row)
    with pytest.raises(CodecError) as caught:
        codec.load_part(data, one.row, max_bytes=len(data) - 1)
    assert caught.value.slug == "trace-too-large"
