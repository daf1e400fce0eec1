"""Envelopes, the keys that open them, and frames whose payloads are encrypted."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from tracediff.config import load_config
from tracediff.config.encryption import VARIABLE, EncryptionKey, encryption_keys
from tracediff.errors import ConfigError, StoreError, TracediffError
from tracediff.stores import segments
from tracediff.stores.encryption import EnvelopeError, Keyring, envelope
from tracediff.stores.packing import pack, unpack
from tracediff.testing import make_trace


@contextmanager
def refused(kind: type[TracediffError], slug: str):
    """What happens inside must raise this, and it says what to do."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.slug == slug
    assert caught.value.hint


def key(name: str, fill: str = "", tenant: str | None = None) -> EncryptionKey:
    return EncryptionKey(name, tenant, hashlib.sha256((fill or name).encode()).digest())


RING = Keyring([key("k1")])
SEALED = RING.encrypt(b"the price is 8250", b"about it")


def framed(ring: Keyring, name: str = "t1", **more) -> bytes:
    return pack(make_trace(name), encrypt=ring.encrypting(), **more).frame


@given(data=st.binary(max_size=2000), about=st.binary(max_size=100))
def test_any_bytes_come_out_as_they_went_in(data, about):
    sealed = RING.encrypt(data, about)
    assert RING.decrypt(sealed, about, "it") == data
    assert len(sealed) == len(data) + envelope.OVERHEAD
    if len(data) > 8:
        assert data not in sealed


@given(bit=st.integers(0, len(SEALED) * 8 - 1))
def test_any_bit_that_was_changed_is_refused(bit):
    changed = bytearray(SEALED)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((EnvelopeError, StoreError)) as caught:
        RING.decrypt(bytes(changed), b"about it", "it")
    assert "8250" not in str(caught.value)


@given(end=st.integers(0, len(SEALED) - 1))
def test_an_envelope_that_was_cut_is_refused(end):
    with pytest.raises(EnvelopeError):
        RING.decrypt(SEALED[:end], b"about it", "it")


def test_an_envelope_opens_only_as_what_it_was_closed_as():
    with pytest.raises(EnvelopeError, match="bytes were changed"):
        RING.decrypt(SEALED, b"about another", "it")


def test_two_envelopes_of_one_thing_have_nothing_in_common_but_their_data_key():
    one, other = (RING.encrypt(b"x" * 100, b"") for _ in range(2))
    assert one[: envelope.HEADER - envelope.NONCE] == other[: envelope.HEADER - envelope.NONCE]
    assert one[envelope.HEADER :] != other[envelope.HEADER :]


def test_a_data_key_is_given_up_after_its_uses(monkeypatch):
    monkeypatch.setattr("tracediff.stores.encryption.keyring.USES", 3)
    ring = Keyring([key("k1")])
    salts = [envelope.opener(ring.encrypt(b"", b""))[1] for _ in range(7)]
    assert [salts.index(one) for one in salts] == [0, 0, 0, 3, 3, 3, 6]


def test_the_figures_of_the_design_hold():
    """Nonces of 96 bits: the odds that two of n meet are below n**2 / 2**97."""
    assert envelope.USES**2 * 2**65 <= 2**97
    assert envelope.USES <= 2**32


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_writes_with_a_data_key_of_its_own():
    ring = Keyring([key("k1")])
    before = ring.encrypt(b"", b"")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, ring.encrypt(b"", b""))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        after = file.read()
    os.waitpid(child, 0)
    assert envelope.opener(after)[0] == envelope.opener(before)[0]
    assert envelope.opener(after)[1] != envelope.opener(before)[1]
    assert ring.decrypt(after, b"", "it") == b""


def test_threads_share_a_keyring():
    ring = Keyring([key("k1")])

    def both(number: int) -> bool:
        data = bytes([number % 256]) * (number * 37)
        return ring.decrypt(ring.encrypt(data, b"%d" % number), b"%d" % number, "it") == data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(both, range(400)))


def test_without_keys_nothing_is_encrypted():
    assert Keyring().encrypt(b"plain", b"") == b"plain"
    assert framed(Keyring()) == pack(make_trace("t1")).frame


def test_the_first_key_writes_and_all_read():
    old, new = key("k1"), key("k2")
    written = Keyring([old]).encrypt(b"x", b"")
    ring = Keyring([new, old])
    assert ring.decrypt(written, b"", "it") == b"x"
    assert ring.needs(written) == "k1"
    assert ring.needs(ring.encrypt(b"x", b"")) == "k2"
    assert ring.needs(b"plain") is None
    assert not ring.is_current(written)


def test_a_tenant_writes_with_its_own_key_and_others_with_that_of_all():
    ring = Keyring([key("k1"), key("acme/k7", tenant="acme"), key("acme/k6", tenant="acme")])
    assert ring.needs(ring.encrypt(b"x", b"", tenant="acme")) == "acme/k7"
    assert ring.needs(ring.encrypt(b"x", b"", tenant="other")) == "k1"
    assert ring.needs(ring.encrypt(b"x", b"")) == "k1"
    assert ring.has_own("acme")
    assert not ring.has_own("other")


def test_what_no_key_is_for_is_not_written_in_the_clear():
    ring = Keyring([key("acme/k7", tenant="acme")])
    for tenant, whose in ((None, "no tenant's"), ("other", "tenant 'other'")):
        with refused(StoreError, "key-missing") as caught:
            ring.encrypt(b"x", b"", tenant=tenant)
        assert whose in caught.value.message


def test_a_key_that_is_not_here_is_named_by_its_id():
    sealed = Keyring([key("k9")]).encrypt(b"x", b"")
    with refused(StoreError, "key-missing") as caught:
        RING.decrypt(sealed, b"", "trace t1")
    assert envelope.key_id("k9").hex() in caught.value.message
    assert "k1" in caught.value.hint


def test_another_key_of_the_same_name_is_told_from_a_missing_one():
    sealed = framed(Keyring([key("k1", "another")]))
    with refused(StoreError, "trace-hurt") as caught:
        unpack(sealed, "t1", keyring=RING)
    assert "TRACEDIFF_ENCRYPTION_KEYS" in caught.value.message
    assert "another key had this name" in caught.value.message


def test_a_trace_comes_back_from_an_encrypted_frame():
    sealed = framed(RING)
    found = segments.read_frame(sealed)
    assert found.version == segments.ENCRYPTED
    assert b'"id":"t1"' in found.row
    assert unpack(sealed, "t1", keyring=RING) == make_trace("t1")
    with refused(StoreError, "key-missing"):
        unpack(sealed, "t1")


@pytest.mark.parametrize("change", ["row", "generation", "id", "raw_length"])
def test_what_stands_around_an_envelope_belongs_to_it(change):
    found = segments.read_frame(framed(RING))
    changed = {
        "row": replace(found, row=found.row.replace(b"success", b"warning")),
        "generation": replace(found, generation=7),
        "id": replace(found, id="t2"),
        "raw_length": replace(found, raw_length=found.raw_length + 1),
    }[change]
    with refused(StoreError, "trace-hurt"):
        segments.decompress(changed, keyring=RING)


def test_an_envelope_of_another_trace_does_not_open():
    one = segments.read_frame(framed(RING, "t1"))
    other = segments.read_frame(framed(RING, "t2"))
    with refused(StoreError, "trace-hurt"):
        segments.decompress(replace(one, payload=other.payload), keyring=RING)


def test_a_frame_is_renewed_by_the_key_that_writes():
    old, new = key("k1"), key("k2")
    plain, sealed = framed(Keyring()), framed(Keyring([old]), "t1")
    ring = Keyring([new, old])
    for data in (plain, sealed):
        made = segments.renewed(segments.read_frame(data), ring)
        frame = segments.read_frame(made)
        assert ring.needs(frame.payload) == "k2"
        assert unpack(made, "t1", keyring=Keyring([new])) == make_trace("t1")
        assert segments.renewed(frame, ring) is None
    assert segments.renewed(segments.read_frame(plain), Keyring()) is None
    assert segments.renewed(segments.read_frame(segments.tombstone_frame("t1", 3)), ring) is None
    with refused(StoreError, "key-missing"):
        segments.renewed(segments.read_frame(sealed), Keyring([new]))


def _header_of_version_1(data: bytes) -> str | None:
    """What the reader of frames said before there were others than version 1: its very rule."""
    header = struct.Struct("<4sBBHIIQQ16s8s")
    magic, version, kind, id_length, *_, header_sum = header.unpack(data[: header.size])
    name = data[header.size : header.size + id_length]
    if magic != b"\x89TDF":
        return "no frame begins here"
    if xxhash.xxh3_64_digest(data[: header.size - 8] + name) != header_sum:
        return "the checksum of a frame's header does not hold"
    if version != 1 or kind not in (0, 1) or not name.isascii():
        return f"a frame of version {version} and kind {kind}, which this tracediff does not know"
    return None


def test_code_that_knows_only_version_1_says_what_it_skips():
    assert _header_of_version_1(framed(Keyring())) is None
    said = _header_of_version_1(framed(RING))
    assert said == "a frame of version 2 and kind 0, which this tracediff does not know"


# The variable.


def encoded(fill: int, size: int = 32) -> str:
    return base64.b64encode(bytes([fill]) * size).decode()


def test_keys_are_read_in_their_order():
    text = f"k2={encoded(2)}, k1={encoded(1)},acme/k7={encoded(7)},a%2Cb%2F=c/k={encoded(8)}"
    with pytest.raises(ConfigError):  # "=" ends a name
        encryption_keys({VARIABLE: text})
    found = encryption_keys({VARIABLE: text.replace("%2F=c", "%3Dc")})
    assert [one.name for one in found] == ["k2", "k1", "acme/k7", "a%2Cb%3Dc/k"]
    assert [one.tenant for one in found] == [None, None, "acme", "a,b=c"]
    assert found[0].secret == b"\2" * 32
    assert encryption_keys({}) == encryption_keys({VARIABLE: " "}) == ()


@pytest.mark.parametrize(
    ("spellings", "tenant"),
    [
        (("acme/k", "%61cme/k", " acme/k"), "acme"),
        (("a%2Fb/k", "a%2fb/k", "a/b/k"), "a/b"),
        (("a%20b/k", "a b/k"), "a b"),
        (("zo%C3%AB/k", "zoë/k"), "zoë"),
        (("\udceb/k",), "\udceb"),
    ],
)
def test_a_tenant_may_be_written_in_several_ways_and_its_key_has_one_id(spellings, tenant):
    found = [encryption_keys({VARIABLE: f"{name}={encoded(7)}"}) for name in spellings]
    assert {one.tenant for (one,) in found} == {tenant}
    assert len({Keyring(one).id_of(one[0]) for one in found}) == 1
    for one in found:
        envelope = Keyring(one).encrypt(b"data", b"", tenant=tenant)
        assert all(Keyring(other).decrypt(envelope, b"", "it") == b"data" for other in found)


def test_keys_may_be_in_the_base64_of_urls_and_without_padding():
    secret = bytes([0xFB, 0xFF] * 16)
    for text in (base64.b64encode(secret), base64.urlsafe_b64encode(secret)):
        for one in (text, text.rstrip(b"=")):
            assert encryption_keys({VARIABLE: f"k={one.decode()}"})[0].secret == secret


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("s3cr3tw0rd", "is no NAME=BASE64"),
        (f"={encoded(3)}", "has a name"),
        (f"a b={encoded(3)}", "has a name"),
        (f"/k={encoded(3)}", "has a name"),
        ("k3=s3cr3tw0rd!", "is not in Base64"),
        (f"k3={encoded(3, 16)}", "has 16 bytes and not 32"),
        ("k3=", "has 0 bytes"),
        (f"k1={encoded(3)}", "has the name of another one"),
        ("", "is no NAME=BASE64"),
    ],
)
def test_a_wrong_entry_is_named_by_its_number_and_never_shown(entry, why):
    with refused(ConfigError, "encryption-keys-invalid") as caught:
        load_config(env={VARIABLE: f"k1={encoded(1)},{entry}"})
    said = f"{caught.value.message} {caught.value.hint}"
    assert f"entry 2 {why}" in said
    assert "s3cr3t" not in said
    assert encoded(3)[:10] not in said
    assert encoded(1)[:10] not in said


def test_keys_are_never_shown(tmp_path):
    secret = encoded(5)
    config = load_config(tmp_path, env={VARIABLE: f"k1={secret}"})
    ring = Keyring(encryption_keys({VARIABLE: f"k1={secret}"}))
    shown = f"{config!r} {config.as_rows()} {ring!r} {ring.keys!r}"
    assert secret not in shown
    assert repr(b"\5" * 32)[2:-1] not in shown


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with refused(StoreError, "encryption-missing") as caught:
        Keyring([key("k1")]).encrypt(b"x", b"")
    assert "crypto" in caught.value.hint
