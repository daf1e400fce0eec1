"""The segment format: what a reader makes of frames that were cut, hurt or made up."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from typing import Any

import pytest
import xxhash
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tracediff import codec
from tracediff.errors import StoreError
from tracediff.stores.packing import open_frame, pack, unpack
from tracediff.stores.segments import (
    HEADER,
    MAGIC,
    Damage,
    Frame,
    good_end,
    read_frame,
    scan,
    tombstone_frame,
    trace_frame,
)
from tracediff.testing import make_trace, refused

TRACES = [make_trace(f"t{n}", result="x" * n * 50) for n in range(4)]
FRAMES = [pack(trace).frame for trace in TRACES]
SEGMENT = b"".join([*FRAMES, tombstone_frame("t1", 0)])
STARTS = [sum(map(len, FRAMES[:n])) for n in range(len(FRAMES) + 1)]
PAYLOAD = zstandard.compress(b"payload")


def frame_with(**changes) -> bytes:
    """A frame whose checksums hold, whatever its fields say."""
    fields: dict[str, Any] = {
        "magic": MAGIC,
        "version": 1,
        "kind": 0,
        "id": b"made-up",
        "row": b"{}",
        "generation": 0,
        "payload": PAYLOAD,
        "raw_length": 7,
    } | changes
    body = fields["row"] + fields["payload"]
    head = struct.pack(
        "<4sBBHIIQQ16s",
        fields["magic"],
        fields["version"],
        fields["kind"],
        len(fields["id"]),
        fields.get("row_length", len(fields["row"])),
        fields["generation"],
        fields.get("payload_length", len(fields["payload"])),
        fields["raw_length"],
        xxhash.xxh3_128_digest(body),
    )
    return head + xxhash.xxh3_64_digest(head + fields["id"]) + fields["id"] + body


def read(data: bytes) -> list[Any]:
    """What the scan finds: frames and damages."""
    return list(scan(data))


def good(items) -> list[str]:
    return [one.id for one in items if isinstance(one, Frame)]


def without_gaps(items, data: bytes) -> bool:
    at = 0
    for one in items:
        if one.offset != at or one.length < 1:
            return False
        at += one.length
    return at == len(data)


def test_a_segment_reads_back():
    items = read(SEGMENT)
    assert good(items) == ["t0", "t1", "t2", "t3", "t1"]
    assert [open_frame(one) for one in items[:4]] == TRACES
    assert [one.kind for one in items] == [0, 0, 0, 0, 1]
    assert good_end(items) == len(SEGMENT)


def test_the_layout_is_the_documented_one():
    # Written down here on its own: released segments must be read for ever.
    frame = trace_frame("ab", b"row", b"raw" * 100, generation=3)
    assert frame[:4] == b"\x89TDF"
    assert struct.unpack_from("<BBHII", frame, 4) == (1, 0, 2, 3, 3)
    payload, raw = struct.unpack_from("<QQ", frame, 16)
    assert (payload, raw) == (len(frame) - 56 - 2 - 3, 300)
    assert frame[32:48] == xxhash.xxh3_128_digest(frame[58:])
    assert frame[48:56] == xxhash.xxh3_64_digest(frame[:48] + b"ab")
    assert frame[56:61] == b"abrow"
    assert zstandard.decompress(frame[61:]) == b"raw" * 100
    assert HEADER.size == 56


def test_wherever_a_segment_is_cut_the_whole_frames_are_good_and_the_rest_is_torn():
    for end in range(len(SEGMENT)):
        items = read(SEGMENT[:end])
        whole = sum(start <= end for start in STARTS) - 1
        assert good(items) == [trace.id for trace in TRACES[:whole]], end
        assert good_end(items) == STARTS[whole], end
        rest = [one for one in items if isinstance(one, Damage)]
        assert len(rest) == (end not in STARTS), end
        assert all(one.torn for one in rest), end


def test_zeros_that_a_power_cut_leaves_are_torn():
    for data in (SEGMENT + bytes(5000), SEGMENT[: STARTS[2]] + bytes(10)):
        last = read(data)[-1]
        assert isinstance(last, Damage)
        assert last.torn
    assert not read(bytes(100) + SEGMENT)[0].torn


def test_a_flipped_bit_hurts_one_frame_and_no_other():
    for position in range(STARTS[4]):
        data = bytearray(SEGMENT)
        data[position] ^= 1 << (position % 8)
        struck = sum(start <= position for start in STARTS) - 1
        items = read(bytes(data))
        assert without_gaps(items, data)
        want = [trace.id for trace in TRACES]
        del want[struck]
        assert good(items) == [*want, "t1"], position
        (hurt,) = (one for one in items if isinstance(one, Damage))
        assert (hurt.offset, hurt.length) == (STARTS[struck], len(FRAMES[struck]))
        assert not hurt.torn
        if position >= STARTS[struck] + HEADER.size + 2:
            assert hurt.id == f"t{struck}"


def test_a_hurt_frame_behind_one_without_a_header_is_named():
    data = bytearray(SEGMENT)
    data[STARTS[1] + 5] ^= 1  # the header of t1
    data[STARTS[3] - 1] ^= 1  # the body of t2
    items = read(bytes(data))
    assert good(items) == ["t0", "t3", "t1"]
    assert [one.id for one in items if isinstance(one, Damage)] == [None, "t2"]


def test_what_is_no_frame_at_all_is_one_damage():
    for data in (b"x", b"no frame here" * 100, MAGIC * 1000, b"\x89TD", MAGIC):
        items = read(data)
        assert len(items) == 1
        assert isinstance(items[0], Damage)
        assert without_gaps(items, data)
    assert read(b"") == []


def test_a_frame_of_a_newer_version_is_not_taken_for_a_torn_one():
    for change in ({"version": 3}, {"kind": 7}):
        items = read(FRAMES[0] + frame_with(**change))
        assert good(items) == ["t0"]
        assert not items[1].torn
        assert "does not know" in items[1].reason


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": b"not zstd"},
        {"payload": b""},
        {"raw_length": 6},
        {"raw_length": 8},
        {"raw_length": 0},
        {"raw_length": 1 << 63},
        {"payload": zstandard.compress(b"payload")[:-1]},
        {"payload": zstandard.compress(b"not a trace"), "raw_length": 11},
        {"payload": zstandard.compress(b""), "raw_length": 0},
    ],
    ids=repr,
)
def test_a_made_up_payload_is_refused(changes):
    with refused("trace-hurt", "trace-too-large"):
        unpack(frame_with(**changes), "made-up")


@pytest.mark.parametrize("more", [-1, 1])
def test_a_trace_of_another_length_than_its_frame_says_is_refused(more):
    data = codec.dump(make_trace("made-up"))
    changes = {"row": b"", "payload": zstandard.compress(data)}
    assert unpack(frame_with(**changes, raw_length=len(data)), "made-up").id == "made-up"
    with refused("trace-hurt"):
        unpack(frame_with(**changes, raw_length=len(data) + more), "made-up")


def test_a_frame_that_holds_another_trace_is_refused():
    inner = pack(make_trace("other"))
    found: Any = read_frame(inner.frame)
    disguised = frame_with(row=b"", payload=found.payload, raw_length=found.raw_length)
    with refused("trace-hurt"):
        unpack(disguised, "made-up")
    with refused("trace-hurt"):
        unpack(inner.frame, "made-up")
    with refused("trace-hurt"):
        unpack(tombstone_frame("made-up", 0), "made-up")


def test_a_bomb_takes_no_more_memory_than_is_allowed():
    bomb = zstandard.compress(bytes(300_000_000))
    claims = [300_000_000, 1000, 1 << 62]
    tracemalloc.start()
    try:
        for raw_length in claims:
            with refused("trace-hurt", "trace-too-large"):
                unpack(
                    frame_with(payload=bomb, raw_length=raw_length), "made-up", max_bytes=1_000_000
                )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_lengths_that_lie_are_not_followed_over_and_over():
    # Each header is good and claims the whole rest of the file as its body. Reading each body
    # takes minutes, reading none takes well under a second: a wide bound tells the two apart.
    count = 100_000
    size = len(frame_with(row=b"", payload=b""))
    lies = [
        frame_with(row=b"", payload=b"", payload_length=size * (count - n - 1))
        for n in range(count)
    ]
    lies[0] = lies[0][:4] + b"\xff" + lies[0][5:]
    data = b"".join(lies)
    dense = (MAGIC + b"\x01\x00\xff\xff") * 200_000
    begun = time.process_time()
    assert good(scan(data)) == []
    assert len(read(dense)) == 1
    assert time.process_time() - begun < 10


def test_a_segment_recorded_inside_a_trace_is_not_taken_for_frames_of_its_own():
    noise = random.Random(1).randbytes(5000)
    outer = pack(make_trace("outer", result=noise + SEGMENT + noise)).frame
    assert good(scan(FRAMES[0] + outer + FRAMES[1])) == ["t0", "outer", "t1"]


def read_everything(data: bytes) -> list[str]:
    items = read(data)
    assert without_gaps(items, data)
    slugs = set()
    for one in items:
        if isinstance(one, Frame) and one.kind == 0:
            try:
                open_frame(one, max_bytes=1_000_000)
            except StoreError as error:
                slugs.add(error.slug)
    assert slugs <= {"trace-hurt", "trace-too-large"}
    return good(items)


@given(st.binary(max_size=300), st.sampled_from([b"", MAGIC, FRAMES[0], FRAMES[0][:56]]))
def test_any_bytes_are_read_without_a_crash(data, before):
    read_everything(before + data)


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "insert", "swap"]),
        st.integers(0, len(SEGMENT)),
        st.integers(0, len(SEGMENT)),
        st.binary(max_size=20),
    ),
    min_size=1,
    max_size=6,
)


@given(EDITS)
def test_mutated_segments_are_read_without_a_crash(edits):
    data = SEGMENT
    for kind, at, to, some in edits:
        low, high = sorted((at, to))
        if kind == "set":
            data = data[:at] + some + data[at + len(some) :]
        elif kind == "cut":
            data = data[:low] + data[high:]
        elif kind == "insert":
            data = data[:at] + some + data[at:]
        else:
            data = data[high:] + data[low:high] + data[:low]
    for found in read_everything(data):
        assert found in ("t0", "t1", "t2", "t3")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "version": st.integers(0, 255),
            "kind": st.integers(0, 255),
            "id": st.binary(max_size=210),
            "row": st.binary(max_size=30),
            "row_length": st.integers(0, 2**32 - 1),
            "generation": st.integers(0, 2**32 - 1),
            "payload": st.binary(max_size=30) | st.binary(max_size=90).map(zstandard.compress),
            "payload_length": st.integers(0, 2**64 - 1),
            "raw_length": st.integers(0, 2**64 - 1),
        },
    )
)
def test_made_up_frames_with_good_checksums_are_read_without_a_crash(changes):
    read_everything(FRAMES[0] + frame_with(**changes) + FRAMES[1])
