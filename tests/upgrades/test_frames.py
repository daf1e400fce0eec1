"""Frames of a newer tracediff are passed over, reported, and never cut, moved or taken for read."""

from __future__ import annotations

import struct
from contextlib import closing

import pytest
import xxhash

from tracediff.model import Query
from tracediff.stores.local import LocalStore
from tracediff.stores.memory import MemoryBlobs, MemoryIndex
from tracediff.stores.open_segment import segment_name
from tracediff.stores.packing import pack
from tracediff.stores.remote import RemoteStore
from tracediff.stores.segments import Damage, Frame, newer_frame, scan
from tracediff.stores.spool import SpoolStore
from tracediff.testing import make_trace


def newer(trace_id: str, *, version: int = 9, kind: int = 0, inside: bytes = b"") -> bytes:
    """A frame as a later version writes it: other bytes inside, the same header."""
    frame = pack(make_trace(trace_id)).frame + inside
    payload = struct.unpack_from("<Q", frame, 16)[0] + len(inside)
    id_length = struct.unpack_from("<H", frame, 6)[0]
    head = frame[:4] + bytes([version, kind]) + frame[6:16] + struct.pack("<Q", payload)
    head += frame[24:48]
    name = frame[56 : 56 + id_length]
    return head + xxhash.xxh3_64_digest(head + name) + name + frame[56 + id_length :]


def frame(trace_id: str) -> bytes:
    return pack(make_trace(trace_id)).frame


@pytest.mark.parametrize(("version", "kind"), [(9, 0), (1, 9), (200, 200)])
def test_one_is_passed_over_by_its_lengths_whatever_is_in_it(version, kind):
    # A frame within it is none: it may be anything that the newer version keeps there.
    odd = newer("odd", version=version, kind=kind, inside=frame("inner"))
    data = frame("a") + odd + frame("b")
    one, unknown, other = scan(data)
    assert isinstance(one, Frame)
    assert isinstance(other, Frame)
    assert (one.id, other.id) == ("a", "b")
    assert isinstance(unknown, Damage)
    assert (unknown.id, unknown.newer, unknown.torn) == ("odd", True, False)
    assert unknown.length == len(odd)
    assert f"version {version} and kind {kind}" in unknown.reason
    assert newer_frame(scan(data)) == unknown


def test_an_unfinished_one_at_the_end_is_torn_as_any(tmp_path):
    *_, last = scan(frame("a") + newer("odd")[:-5])
    assert isinstance(last, Damage)
    assert last.torn


def test_a_local_store_reads_round_it_reports_it_and_leaves_it_for_a_newer_one(tmp_path):
    directory = tmp_path / "store"
    data = frame("a") + newer("odd") + frame("b")
    place = directory / "segments" / "0-left.seg"
    place.parent.mkdir(parents=True)
    place.write_bytes(data + b"\x89TDF")  # and the beginning of one more
    for _ in range(3):  # each opening looks at it again: none takes it for read
        with closing(LocalStore(directory)) as store:
            assert {row.id for row in store.search(Query()).rows} == {"a", "b"}
            (said,) = store.check()
            assert "odd" in said
            assert "version 9" in said
            assert store.index.segments()["0-left.seg"] == len(frame("a"))
            assert place.read_bytes() == data
    with closing(LocalStore(directory)) as store:
        assert store.delete(["b"]) == 1
    with closing(LocalStore(directory)) as store:
        assert {row.id for row in store.search(Query()).rows} == {"a"}


@pytest.mark.parametrize("alone", [False, True])
def test_a_segment_in_the_spool_that_has_one_stays_and_holds_up_no_other(tmp_path, alone):
    data = newer("odd") if alone else frame("a") + newer("odd")
    place = tmp_path / "spool" / "segments" / "keep"
    place.mkdir(parents=True)
    left = place / segment_name()
    left.write_bytes(data)
    index, blobs = MemoryIndex(), MemoryBlobs()
    spool = SpoolStore(
        tmp_path / "spool", lambda: RemoteStore("away:", index, blobs), upload_every=3600
    )
    for name in ("one", "two"):
        spool.save([make_trace(name)])
        assert not spool.flush(20, patient=False)
    assert {row.id for row in index.search(Query()).rows} == {"one", "two"}
    assert "version 9" in (spool.shipper.problem or "")
    assert left.read_bytes() == data
    assert not any(left.name in key for key in blobs.keys(""))
    left.unlink()  # a newer process has moved it
    assert spool.flush(20)
    spool.close()
