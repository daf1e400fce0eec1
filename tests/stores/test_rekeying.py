"""Encrypting a store anew by another key: nothing is lost, nothing lies in the clear."""

from __future__ import annotations

import hashlib
import random

import pytest

from tracediff.config.encryption import EncryptionKey
from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.stores.dictionaries import Dictionaries, train
from tracediff.stores.encryption import NO_KEYS, Keyring
from tracediff.stores.files import FileBlobs
from tracediff.stores.local import LocalStore
from tracediff.stores.upkeep.base import kept_of
from tracediff.stores.upkeep.collecting import Wish, collect
from tracediff.stores.upkeep.rekeying import keys_in_use
from tracediff.testing import make_parts, make_trace


def key(name: str, tenant: str | None = None) -> EncryptionKey:
    return EncryptionKey(name, tenant, hashlib.sha256(name.encode()).digest())


OLD = Keyring([key("k1"), key("acme/k1", "acme")])
BOTH = Keyring([key("k2"), key("k1"), key("acme/k2", "acme"), key("acme/k1", "acme")])
NEW = Keyring([key("k2"), key("acme/k2", "acme")])
SOURCE = b"x = 1\n"
BLOB = hashlib.sha1(b"blob 6\0" + SOURCE, usedforsecurity=False).hexdigest()


def opened(directory, keyring):
    return LocalStore(directory, keyring=keyring, tenant="shop")


def filled(directory, keyring=OLD) -> list:
    """A store of whole traces and of parts of one that runs, of two shops."""
    traces = [
        make_trace(f"t{n}", context={"shop": ("acme", "other")[n % 2]}, tags=(f"n:{n}",))
        for n in range(6)
    ]
    store = opened(directory, keyring)
    store.save(traces)
    store.save_parts(make_parts(make_trace("live", context={"shop": "acme"}))[:1])
    store.save_source(BLOB, SOURCE)
    store.close()
    return traces


def run(store, **wish):
    return collect(
        kept_of(store), Wish(**{"rekey": True, "lost_after": 1e10, **wish}), lambda *told: None
    )


def readable(directory, keyring) -> dict:
    store = opened(directory, keyring)
    found = {row.id: store.load(row) for row in store.search(Query(limit=50)).rows}
    assert store.load_source(BLOB) == SOURCE
    store.close()
    return found


def test_everything_is_encrypted_anew_and_the_old_key_can_go(tmp_path):
    filled(tmp_path / "s")
    before = readable(tmp_path / "s", OLD)
    store = opened(tmp_path / "s", BOTH)
    would = run(store, dry_run=True)
    assert keys_in_use(store.blobs) is None
    done = run(store)
    assert done.renewed == would.renewed == {"k1": 4, "acme/k1": 4}
    assert done.keys == would.keys == {"k2": 4, "acme/k2": 4}
    note = keys_in_use(store.blobs)
    assert (sorted(note.keys.values()), note.locked) == ([4, 4], 0)
    assert run(store).renewed == {}
    store.close()
    assert readable(tmp_path / "s", NEW) == before
    assert len(before) == 7
    with pytest.raises(StoreError) as raised:
        readable(tmp_path / "s", OLD)
    assert raised.value.slug == "key-missing"


def test_what_was_in_the_clear_is_encrypted_and_never_the_other_way(tmp_path):
    filled(tmp_path / "s", NO_KEYS)
    store = opened(tmp_path / "s", NEW)
    assert run(store).renewed == {"none": 8}
    store.close()
    assert SOURCE not in b"".join(
        path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()
    )
    store = opened(tmp_path / "s", NO_KEYS)
    with pytest.raises(StoreError) as raised:
        run(store)
    assert raised.value.slug == "key-missing"
    store.close()
    assert len(readable(tmp_path / "s", NEW)) == 7


def test_what_needs_a_key_that_is_not_here_is_left_as_it_is(tmp_path):
    filled(tmp_path / "s")
    before = readable(tmp_path / "s", OLD)
    store = opened(tmp_path / "s", Keyring([key("k2"), key("k1")]))  # none of acme's
    done = run(store)
    assert done.renewed == {"k1": 4}
    assert (done.locked, sum(done.keys.values())) == (1, 8)
    store.close()
    assert readable(tmp_path / "s", BOTH) == before


def test_a_dictionary_keeps_its_number_under_a_new_name(tmp_path):
    dice = random.Random(1)
    words = [dice.randbytes(12) for _ in range(50)]
    samples = [b"".join(dice.choices(words, k=80)) for _ in range(300)]
    made = train(samples, size=4096)
    blobs = FileBlobs(tmp_path)
    Dictionaries(blobs, OLD).save(made)
    from tracediff.stores.dictionaries import renewed_dictionaries

    for _ in range(2):
        assert [able for *_, able in renewed_dictionaries(blobs, BOTH, dry_run=False)] == [True]
    assert Dictionaries(blobs, NEW).current() == made
    assert [able for *_, able in renewed_dictionaries(blobs, OLD, dry_run=False)] == [False]
    with pytest.raises(StoreError) as raised:
        Dictionaries(blobs, OLD).load(made.id)
    assert raised.value.slug == "key-missing"
    assert Dictionaries(blobs, NEW).check() == []
