"""Compression dictionaries: made, kept, found by number, and never needed where there is none."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from tracediff import codec
from tracediff.errors import StoreError
from tracediff.stores import compression, dictionaries, segments
from tracediff.stores.dictionaries import Dictionaries, Dictionary, key_of, train
from tracediff.stores.memory import MemoryBlobs
from tracediff.stores.packing import pack, unpack
from tracediff.testing import make_trace, refused

KEPT = Path(__file__).parents[2] / "fixtures" / "segments" / "v1"
WORDS = [f"word-{number:03}" for number in range(200)]


def sample(seed):
    dice = random.Random(seed)
    return " ".join(dice.choices(WORDS, k=300)).encode() + dice.randbytes(20)


@pytest.fixture(scope="module")
def dictionary():
    return train(map(sample, range(150)), size=2048)


@pytest.fixture
def blobs():
    return MemoryBlobs()


class Counting(MemoryBlobs):
    def __init__(self):
        super().__init__()
        self.asked = []

    def get(self, key, start=0, length=None):
        self.asked.append(key)
        return super().get(key, start, length)


def framed(raw, dictionary=None):
    data = segments.trace_frame("t", b"{}", raw, dictionary=dictionary)
    found = segments.read_frame(data)
    assert isinstance(found, segments.Frame)
    return found


def test_what_was_compressed_with_a_dictionary_comes_back(blobs, dictionary):
    Dictionaries(blobs).save(dictionary)
    for seed in range(900, 910):
        raw = sample(seed)
        frame = framed(raw, dictionary)
        assert len(frame.payload) < len(framed(raw).payload)
        assert segments.decompress(frame, dictionaries=Dictionaries(blobs)) == raw


def test_it_is_loaded_when_first_needed_and_then_known(dictionary):
    blobs = Counting()
    Dictionaries(blobs).save(dictionary)
    known = Dictionaries(blobs)
    assert segments.decompress(framed(b"plain"), dictionaries=known) == b"plain"
    assert blobs.asked == []
    for _ in range(3):
        segments.decompress(framed(sample(1), dictionary), dictionaries=known)
    assert blobs.asked == [key_of(dictionary.id)] * 2  # its header, then the rest


def test_the_current_dictionary_is_the_one_saved_last(blobs):
    known = Dictionaries(blobs)
    assert known.current() is None
    first, second = (train((sample(s) for s in range(a, a + 150)), size=1024) for a in (0, 500))
    assert first.id != second.id
    known.save(first)
    assert Dictionaries(blobs).current() == first
    known.save(second, current=False)
    assert Dictionaries(blobs).current() == first
    known.save(second)
    assert Dictionaries(blobs).current() == second
    assert blobs.get("dictionaries/current") == str(second.id).encode()
    assert Dictionaries(blobs).load(first.id) == first
    assert known.check() == []


def test_a_missing_dictionary_is_named(blobs, dictionary):
    frame = framed(sample(1), dictionary)
    for where in (Dictionaries(blobs), None):
        with pytest.raises(StoreError, match=str(dictionary.id)) as caught:
            segments.decompress(frame, dictionaries=where)
        assert caught.value.slug == "dictionary-missing"
        assert caught.value.hint


def hurt_forms(dictionary):
    whole = dictionaries._packed(dictionary.data)
    other = train(map(sample, range(600, 750)), size=1024)
    return {
        "a byte changed": whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
        "cut": whole[:-1],
        "cut in the header": whole[:10],
        "empty": b"",
        "no dictionary of this kind": b"x" * len(whole),
        "a newer version": whole[:4] + b"\x02" + whole[5:],
        "another one": dictionaries._packed(other.data),
        "a length of 16 EB": whole[:8] + b"\xff" * 8 + whole[16:],
        "no dictionary of zstd's": dictionaries._packed(b"just bytes"),
    }


def test_a_hurt_dictionary_is_never_used(dictionary):
    for name, data in hurt_forms(dictionary).items():
        blobs = MemoryBlobs()
        blobs.put(key_of(dictionary.id), data)
        with refused("dictionary-hurt"):
            Dictionaries(blobs).load(dictionary.id)
        with refused("dictionary-hurt"):
            segments.decompress(framed(sample(1), dictionary), dictionaries=Dictionaries(blobs))
        assert len(Dictionaries(blobs).check()) == 1, name


@pytest.mark.parametrize(
    "text", [b"", b"x", b"-1", b"0", b"1e3", b"9" * 5000, b"4294967296", b"\xff"]
)
def test_a_current_that_is_no_number_is_hurt(blobs, text):
    blobs.put("dictionaries/current", text)
    with refused("dictionary-hurt"):
        Dictionaries(blobs).current()


def test_a_dictionary_that_is_not_what_it_says_is_not_saved(blobs, dictionary):
    for wrong in (
        replace(dictionary, id=7),
        Dictionary(id=0, data=b"raw"),
        Dictionary(id=5, data=b""),
    ):
        with refused("dictionary-hurt"):
            Dictionaries(blobs).save(wrong)
    assert list(blobs.keys()) == []


@pytest.mark.parametrize("samples", [[], [b""], [b"x"] * 5, [b"\0" * 100] * 3])
def test_too_little_to_train_from_is_said(samples):
    with refused("dictionary-untrainable"):
        train(samples)


def test_training_reads_no_more_than_it_may():
    read = []

    def endless():
        while True:
            read.append(1)
            yield sample(len(read)) * 100

    train(endless(), size=1024)
    assert len(read) * dictionaries.SAMPLE <= dictionaries.SAMPLES + dictionaries.SAMPLE


def test_a_hostile_number_is_only_missing(blobs):
    """Every number that a zstd frame can carry: one, two and four bytes of it."""
    for number in (1, 255, 256, 65_535, 65_536, (1 << 32) - 1):
        size = 1 if number < 256 else 2 if number < 65_536 else 4
        flag = {1: 1, 2: 2, 4: 3}[size]
        payload = (
            b"\x28\xb5\x2f\xfd" + bytes([0x20 | flag]) + number.to_bytes(size, "little") + b"\1"
        )
        frame = replace(framed(b"x"), payload=payload + b"\x09\0\0x", raw_length=1)
        with refused("dictionary-missing"):
            segments.decompress(frame, dictionaries=Dictionaries(blobs))


@pytest.mark.parametrize(
    "payload", [b"", b"\x28\xb5\x2f", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\x23\1"]
)
def test_a_frame_without_a_whole_header_is_hurt(blobs, payload):
    with refused("trace-hurt"):
        segments.decompress(
            replace(framed(b"x"), payload=payload), dictionaries=Dictionaries(blobs)
        )


def test_the_wrong_dictionary_of_the_right_number_gives_no_wrong_bytes(dictionary):
    content = bytes(one ^ 1 for one in dictionary.data[-1500:])
    forged = Dictionary(id=dictionary.id, data=dictionary.data[:-1500] + content)
    blobs = MemoryBlobs()
    Dictionaries(blobs).save(forged)
    with refused("trace-hurt"):
        segments.decompress(framed(sample(1), dictionary), dictionaries=Dictionaries(blobs))


def test_a_dictionary_of_any_size_is_not_read(blobs, dictionary, monkeypatch):
    Dictionaries(blobs).save(dictionary)
    monkeypatch.setattr(dictionaries, "LARGEST", len(dictionary.data) - 1)
    with refused("dictionary-hurt"):
        Dictionaries(blobs).load(dictionary.id)


def test_a_bomb_is_bounded_with_a_dictionary_too(blobs, dictionary):
    Dictionaries(blobs).save(dictionary)
    honest = framed(bytes(50 << 20), dictionary)
    with refused("trace-too-large"):
        segments.decompress(honest, 1 << 20, dictionaries=Dictionaries(blobs))
    with refused("trace-hurt"):
        segments.decompress(
            replace(honest, raw_length=1000), 1 << 20, dictionaries=Dictionaries(blobs)
        )


def test_threads_compress_and_read_with_several_dictionaries_at_once(blobs):
    made = [train((sample(s) for s in range(a, a + 150)), size=1024) for a in (0, 500, 1000)]
    known = Dictionaries(blobs)
    for one in made:
        known.save(one)

    def work(number):
        for turn in range(60):
            raw = sample(number * 1000 + turn)
            used = [*made, None][(number + turn) % 4]
            assert segments.decompress(framed(raw, used), dictionaries=known) == raw

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result()


def test_a_thread_does_not_remember_dictionaries_without_end(dictionary):
    def work():
        for number in range(40_000, 40_020):
            data = dictionary.data[:4] + number.to_bytes(4, "little") + dictionary.data[8:]
            framed(b"x" * 100, Dictionary(id=number, data=data))
        return len(compression._thread.compressors)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() <= 8


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_loads_what_its_parent_was_just_looking_up(blobs, dictionary):
    known = Dictionaries(blobs)
    known.save(dictionary)
    with known._lock:  # as by another thread, at the time of the fork
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = 0 if known.load(dictionary.id) == dictionary else 2
            finally:
                os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_trace_is_packed_and_unpacked_with_a_dictionary(blobs):
    trace = make_trace("t1")
    small = train((codec.dump(make_trace(f"t{n}")) + sample(n) for n in range(150)), size=2048)
    Dictionaries(blobs).save(small)
    packed = pack(trace, dictionary=small)
    payload = segments.read_frame(packed.frame).payload
    assert zstandard.get_frame_parameters(payload).dict_id == small.id
    assert unpack(packed.frame, "t1", dictionaries=Dictionaries(blobs)) == trace
    with refused("dictionary-missing"):
        unpack(packed.frame, "t1")


def test_what_was_kept_in_this_format_stays_readable(blobs):
    """Frames of the first version, made once: never make them again."""
    assert unpack((KEPT / "plain.seg").read_bytes(), "made-up-500").key == "commodity/calculate/one"
    (kept,) = KEPT.glob("*.zdict")
    blobs.put(f"dictionaries/{kept.name}", kept.read_bytes())
    with_one = unpack(
        (KEPT / "dictionary.seg").read_bytes(), "made-up-501", dictionaries=Dictionaries(blobs)
    )
    assert len(with_one.steps) == 50
