"""Traces come back from bytes and from text as they were; anything else is refused."""

from __future__ import annotations

import json
import math
import random
import tracemalloc
from dataclasses import replace
from decimal import Decimal
from typing import Any

import ormsgpack
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from tracediff import codec, tracefile
from tracediff.errors import CodecError
from tracediff.model import (
    Artifact,
    Code,
    Environment,
    ErrorInfo,
    FieldChange,
    Miss,
    ReplayInfo,
    Source,
    Step,
    Trace,
    Value,
)
from tracediff.values import encode

TEXT = st.text(st.characters(exclude_categories=()), max_size=6)
INT = st.integers(-(2**40), 2**70)
VALUE = st.one_of(
    st.none(),
    st.builds(
        lambda obj: Value(encode(obj)),
        st.recursive(
            st.none() | st.integers() | st.decimals() | TEXT | st.floats() | st.binary(max_size=4),
            lambda it: st.lists(it, max_size=3) | st.dictionaries(TEXT, it, max_size=3),
            max_leaves=5,
        ),
    ),
    st.binary(max_size=6).map(Value),
)
NAMES = st.lists(TEXT, max_size=3).map(tuple)
ERROR = st.recursive(
    st.builds(ErrorInfo, type=TEXT, message=TEXT, bases=NAMES, traceback=TEXT, value=VALUE),
    lambda it: st.builds(
        ErrorInfo,
        type=TEXT,
        message=TEXT,
        cause=st.none() | it,
        context=st.none() | it,
        members=st.lists(it, max_size=2).map(tuple),
    ),
    max_leaves=4,
)
STATE = st.sampled_from(["running", "success", "warning", "error"])
KIND = st.sampled_from(["step", "input", "output", "note", "artifact"])
FLAG = st.booleans()
SOURCE = st.none() | st.builds(Source, TEXT, st.integers(0, 9), TEXT)
STEP = st.fixed_dictionaries(
    {
        "kind": KIND,
        "name": TEXT,
        "state": STATE,
        "args": VALUE,
        "key": VALUE,
        "result": VALUE,
        "error": st.none() | ERROR,
        "start": INT,
        "duration": INT,
        "source": SOURCE,
        "mutated": NAMES,
        "head": FLAG,
        "open": FLAG,
        "concurrent": FLAG,
    }
)
CHANGE = st.builds(
    FieldChange,
    path=st.lists(TEXT | st.integers(0, 5), max_size=2).map(tuple),
    kind=st.sampled_from(["changed", "added", "removed", "type", "order", "moved"]),
    old=st.none() | st.integers() | TEXT,
    delta=st.none() | st.integers() | st.decimals(allow_nan=False),
    within=FLAG,
)
MISS = st.builds(
    Miss,
    kind=KIND,
    name=TEXT,
    args=VALUE,
    path=NAMES,
    hint=st.none() | TEXT,
    nearest=st.lists(
        st.tuples(st.integers(0, 9), st.lists(CHANGE, max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    served=st.sampled_from(["failed", "nearest", "stub", "live"]),
)
INDEXES = st.lists(st.integers(0, 9), max_size=3).map(tuple)
REPLAY = st.builds(
    ReplayInfo,
    of=TEXT,
    served=st.lists(st.tuples(INT, INT), max_size=2).map(tuple),
    misses=st.lists(MISS, max_size=2).map(tuple),
    unused=INDEXES,
    moved=INDEXES,
)
CONTEXT = st.dictionaries(
    st.text(max_size=4), TEXT | INT | st.floats(allow_nan=False) | FLAG, max_size=3
)
"""NaN is not equal to itself; a test of its own covers it."""


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    fields = draw(st.lists(STEP, max_size=5))
    steps = [Step(parent=-1, kind="job", name="job")]
    for index, one in enumerate(fields, 1):
        steps.append(Step(parent=draw(st.integers(-1, index - 1)), **one))
    return Trace(
        id=draw(TEXT),
        key=draw(TEXT),
        job=draw(TEXT),
        steps=tuple(steps),
        state=draw(STATE),
        depth=draw(st.sampled_from(["inputs", "steps", "full"])),
        started_at=draw(INT),
        tags=draw(NAMES),
        meta=draw(TEXT),
        context=draw(CONTEXT),
        code=draw(
            st.builds(
                Code,
                commit=st.none() | TEXT,
                dirty=st.none() | FLAG,
                files=st.dictionaries(st.text(max_size=3), TEXT, max_size=2),
            )
        ),
        environment=draw(st.builds(Environment, timezone=TEXT, seed=INT)),
        artifacts=draw(
            st.lists(
                st.builds(
                    Artifact,
                    name=TEXT,
                    sha256=TEXT,
                    size=INT,
                    data=st.none() | st.binary(max_size=5),
                ),
                max_size=2,
            ).map(tuple)
        ),
        warnings=draw(NAMES),
        retention=draw(st.none() | st.integers(0, 90)),
        replay=draw(st.none() | REPLAY),
    )


@given(traces())
def test_every_trace_comes_back_from_bytes(trace: Trace) -> None:
    data = codec.dump(trace)
    assert codec.load(data) == trace
    assert codec.dump(codec.load(data)) == data


@given(traces())
def test_every_trace_comes_back_from_text(trace: Trace) -> None:
    text = tracefile.dumps(trace)
    assert tracefile.loads(text) == trace
    assert tracefile.loads(text.encode().decode()) == trace
    assert tracefile.dumps(tracefile.loads(text)) == text
    assert codec.dump(tracefile.loads(text)) == codec.dump(trace)


def sample(steps: int = 20) -> Trace:
    def value(obj: Any) -> Value:
        return Value(encode(obj))

    made = [Step(parent=-1, kind="job", name="price", args=value({"id": 7}), result=value(1.5))]
    made += [
        Step(
            parent=index // 2,
            kind="input" if index % 3 else "step",
            name=f"step {index % 5}",
            args=value({"rate": Decimal("12.30"), "n": index}),
            result=value((index, "x", None)),
            error=ErrorInfo(type="a:B", message="no") if index == 3 else None,
            start=index * 1000,
            duration=7,
            source=Source("pricing/vat.py", index, "pricing.vat:rate"),
            head=index == 4,
        )
        for index in range(steps)
    ]
    return Trace(id="01J", key="shop/price", job="shop:price", steps=tuple(made), context={"n": 1})


def test_a_long_chain_of_errors_comes_back() -> None:
    error = ErrorInfo(type="a:B", message="root")
    for level in range(3_000):
        error = ErrorInfo(type="a:B", message=str(level), cause=error)
    step = Step(parent=-1, kind="job", name="x", error=error)
    trace = Trace(id="a", key="k", job="m:f", steps=(step,))
    for back in (codec.load(codec.dump(trace)), tracefile.loads(tracefile.dumps(trace))):
        left, right = back.steps[0].error, error
        while left is not None and right is not None:
            assert left.message == right.message
            left, right = left.cause, right.cause
        assert left is right


def test_unknown_fields_are_ignored() -> None:
    trace = sample()
    data = codec.dump(trace)
    doc = ormsgpack.unpackb(data[13:])
    doc["from_the_future"] = 1
    doc["steps"]["from_the_future"] = [1]
    body = ormsgpack.packb(doc)
    assert codec.load(data[:5] + xxhash.xxh3_64_digest(body) + body) == trace
    shown = json.loads(tracefile.dumps(trace))
    shown["from_the_future"] = shown["steps"][0]["later"] = {"a": 1}
    assert tracefile.loads(json.dumps(shown)) == trace


def test_a_newer_schema_is_named() -> None:
    data = bytearray(codec.dump(sample()))
    data[4] += 1
    with pytest.raises(CodecError, match="schema 2") as caught:
        codec.load(bytes(data))
    assert caught.value.slug == "schema-newer"
    assert caught.value.hint
    text = tracefile.dumps(sample()).replace('"tracediff": 1', '"tracediff": 2')
    with pytest.raises(CodecError) as caught:
        tracefile.loads(text)
    assert caught.value.slug == "schema-newer"


def test_more_than_max_bytes_is_refused() -> None:
    with pytest.raises(CodecError) as caught:
        codec.load(codec.dump(sample()), max_bytes=100)
    assert caught.value.slug == "trace-too-large"


def mutated(rng: random.Random, data: bytearray) -> bytes:
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(data))
        action = rng.randrange(3)
        if action == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif action == 1:
            del data[place : place + rng.randint(1, 5)]
        else:
            data[place:place] = rng.randbytes(rng.randint(1, 3))
    return bytes(data)


def test_every_flipped_bit_is_noticed() -> None:
    whole = codec.dump(sample(3))
    for place in range(len(whole) * 8):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        with pytest.raises(CodecError):
            codec.load(bytes(data))
    for size in range(len(whole)):
        with pytest.raises(CodecError):
            codec.load(whole[:size])


def test_a_mutated_document_with_a_right_checksum_is_a_trace_or_refused() -> None:
    rng = random.Random(3)
    whole = codec.dump(sample())
    refused = 0
    for _ in range(3_000):
        body = mutated(rng, bytearray(whole[13:]))
        try:
            trace = codec.load(whole[:5] + xxhash.xxh3_64_digest(body) + body)
        except CodecError as error:
            refused += 1
            message = error.slug
        else:
            message = "trace-unreadable"
            assert codec.load(codec.dump(trace)) == trace
        assert message == "trace-unreadable"
    assert refused > 1_000


def test_mutated_text_is_a_trace_or_refused() -> None:
    rng = random.Random(5)
    whole = tracefile.dumps(sample()).encode()
    for _ in range(1_500):
        text = mutated(rng, bytearray(whole)).decode("utf-8", "replace")
        try:
            trace = tracefile.loads(text)
        except CodecError:
            continue
        assert tracefile.loads(tracefile.dumps(trace)) == trace


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        '{"a":' * 50_000,
        "NaN",
        '{"tracediff": "1"}',
        '{"tracediff": 1}',
        '{"tracediff": 1, "steps": []}',
        '{"tracediff": 1, "steps": 5}',
        '{"tracediff": 1, "id": "a", "key": "b", "job": "c", "steps": [{"parent": 5}]}',
        '{"tracediff": 1, "tracediff": 1, "id": "a", "key": "b", "job": "c", "steps": []}',
        '{"tracediff": 1, "id": "a", "key": "b", "job": "c", "steps": [], "started_at": '
        + "9" * 5_000
        + "}",
    ],
    ids=lambda text: text[:40],
)
def test_text_that_is_no_trace(text: str) -> None:
    with pytest.raises(CodecError) as caught:
        tracefile.loads(text)
    assert caught.value.slug == "trace-unreadable"


def test_a_deep_value_or_error_in_a_file_is_refused() -> None:
    text = tracefile.dumps(sample(0))
    for depth in (200, 400, 900):
        deep = text.replace('"id": 7', f'"id": {"[" * depth}{"]" * depth}')
        with pytest.raises(CodecError):
            tracefile.loads(deep)
        chain = '{"type": "a:b", "message": "", "cause": ' * depth + "null" + "}" * depth
        with pytest.raises(CodecError):
            tracefile.loads(text.replace('"kind": "job"', f'"kind": "job", "error": {chain}') + "]")


def test_steps_must_lie_below_earlier_ones() -> None:
    trace = sample(3)
    for parent in (2, 3, 9, -2):
        steps = (*trace.steps[:2], replace(trace.steps[2], parent=parent))
        odd = replace(trace, steps=steps)
        for load in (
            lambda it: codec.load(codec.dump(it)),
            lambda it: tracefile.loads(tracefile.dumps(it)),
        ):
            with pytest.raises(CodecError, match="lies below"):
                load(odd)


def test_evil_counts_allocate_nothing() -> None:
    tracemalloc.start()
    for body in (
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa5steps\xdd\xff\xff\xff\xff",
        b"\x81\xa5steps\x81\xa4kind\xc6\xff\xff\xff\xff",
    ):
        with pytest.raises(CodecError):
            codec.load(codec.MAGIC + b"\x01" + xxhash.xxh3_64_digest(body) + body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_trace_file_reads_well() -> None:
    text = tracefile.dumps(sample(1))
    assert '"rate": {"$decimal": "12.30"},\n' in text
    assert ' "steps": [\n' in text
    assert '"result": {"$tuple": [0, "x", null]},\n' in text
    assert text.endswith("}\n")
    assert max(map(len, text.splitlines())) <= 100


def test_one_changed_number_changes_one_line() -> None:
    trace = sample()
    steps = list(trace.steps)
    steps[5] = replace(steps[5], result=Value(encode((4, "y", None))))
    before = tracefile.dumps(trace).splitlines()
    after = tracefile.dumps(replace(trace, steps=tuple(steps))).splitlines()
    assert len(before) == len(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, -0.0])
def test_any_number_may_be_searched_by(number: float) -> None:
    trace = replace(sample(1), context={"share": number})
    for back in (codec.load(codec.dump(trace)), tracefile.loads(tracefile.dumps(trace))):
        assert repr(back.context["share"]) == repr(number)


@pytest.mark.parametrize("written", ["1", "Infinity", [], None, 1])
def test_only_the_numbers_that_json_lacks_have_a_form_of_their_own(written: Any) -> None:
    text = tracefile.dumps(replace(sample(1), context={"share": math.inf}))
    wrong = text.replace('{"$float": "inf"}', json.dumps({"$float": written}))
    assert wrong != text
    with pytest.raises(CodecError):
        tracefile.loads(wrong)
