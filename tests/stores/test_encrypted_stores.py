"""Stores that encrypt: nothing of a payload lies anywhere in the clear; tenants stay apart.

What is looked for are random bytes, which no compression changes: without keys they are found.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.config.encryption import VARIABLE, EncryptionKey
from tracediff.errors import StoreError
from tracediff.model import Artifact, Query, Trace
from tracediff.recording.trying import try_rules
from tracediff.reports.text.canvas import Look
from tracediff.reports.text.redaction import redaction_lines
from tracediff.stores import open_store
from tracediff.stores.dictionaries import Dictionaries, train
from tracediff.stores.encryption import NO_KEYS, Keyring
from tracediff.stores.files import FileBlobs
from tracediff.stores.keys import is_key
from tracediff.stores.local import LocalStore
from tracediff.stores.memory import MemoryBlobs, MemoryIndex
from tracediff.stores.places import LARGE
from tracediff.stores.remote import RemoteStore
from tracediff.stores.segments import Frame, renewed, scan
from tracediff.stores.spool import SpoolStore
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.stores.tenants import escaped, is_escaped, is_place, place_of, tenant_of
from tracediff.stores.walking import loaded_packed
from tracediff.testing import (
    LiveStoreConformance,
    StoreConformance,
    make_parts,
    make_trace,
    refused,
)

BLOCK = random.Random(8250).randbytes(8 << 10)
MARK = BLOCK[1000:1064]
"""The secret: in a result, a large artifact, a source file and a dictionary."""


def key(name: str, tenant: str | None = None) -> EncryptionKey:
    return EncryptionKey(name, tenant, hashlib.sha256(name.encode()).digest())


K1, K2 = Keyring([key("k1")]), Keyring([key("k2"), key("k1")])


SHOPS = Keyring([key("k1"), key("acme/k7", "acme")])
"""One of the tenants has a key of its own."""


def remote(directory: Path, keyring: Keyring, tenant: str | None = None) -> RemoteStore:
    directory.mkdir(parents=True, exist_ok=True)
    index = SqliteIndex(directory / "index.sqlite")
    blobs = FileBlobs(directory / "blobs")
    return RemoteStore("test:", index, blobs, keyring=keyring, tenant=tenant)


def spool(directory: Path, keyring: Keyring, tenant: str | None = None) -> SpoolStore:
    return SpoolStore(
        directory / "spool",
        lambda: remote(directory / "remote", keyring, tenant),
        upload_every=3600,
        keyring=keyring,
        tenant=tenant,
    )


def local_store(directory: Path, keyring: Keyring, tenant: str | None = None) -> LocalStore:
    return LocalStore(directory / "store", keyring=keyring, tenant=tenant)


MAKERS: dict[str, Any] = {"local": local_store, "remote": remote, "spool": spool}


def large(mark: bytes = MARK) -> Artifact:
    data = mark + b"\0" * LARGE
    return Artifact(
        name="a.bin", sha256=hashlib.sha256(data).hexdigest(), size=len(data), data=data
    )


def marked(name: str, **fields):
    return make_trace(name, **{"result": BLOCK, "artifacts": (large(),), "retention": 30} | fields)


def source() -> tuple[str, bytes]:
    data = b"x = " + MARK
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), data


def holding(directory: Path) -> list[str]:
    """Which files hold the mark."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return sorted(path.name for path in files if MARK in path.read_bytes())


def by_id(store) -> dict:
    return {row.id: row for row in store.search(Query(limit=1000)).rows}


class TestEncryptedLocalStore(StoreConformance):
    def make_store(self, directory):
        return local_store(directory, K1, "tenant")


class TestEncryptedRemoteStore(StoreConformance):
    def make_store(self, directory):
        return remote(directory, K1, "tenant")


class TestEncryptedLiveLocalStore(LiveStoreConformance):
    def make_store(self, directory):
        return local_store(directory, K1, "tenant")


@pytest.mark.parametrize("kind", MAKERS)
def test_parts_of_a_live_trace_are_encrypted_and_lie_with_their_tenant(tmp_path, kind):
    parts = make_parts(marked("live", context={"shop": "acme"}), 3)
    with contextlib.closing(MAKERS[kind](tmp_path, SHOPS, "shop")) as store:
        for part in parts:
            store.save_parts([part])
        assert holding(tmp_path) == []
        assert store.flush(20)
        assert holding(tmp_path) == []
        row = by_id(store)["live"]
        assert "/tenants/acme/" in row.location[0]
        assert store.load(row) == marked("live", context={"shop": "acme"})
    reader = Keyring([key("acme/k7", "acme")])
    with contextlib.closing(MAKERS[kind](tmp_path, reader, "shop")) as store:
        assert store.load(row).steps == marked("live").steps
    with contextlib.closing(MAKERS[kind](tmp_path, K1, "shop")) as store, refused("key-missing"):
        store.load(row)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("keyring", [NO_KEYS, K1], ids=["plain", "encrypted"])
def test_nothing_of_a_payload_lies_anywhere_in_the_clear(tmp_path, kind, keyring):
    with contextlib.closing(MAKERS[kind](tmp_path, keyring)) as store:
        store.save([marked("a"), marked("b", retention=None)])
        while_waiting = holding(tmp_path)
        assert store.flush(20)
        store.save_source(*source())
        if kind != "local":
            opened = store if kind == "remote" else store._store()
            samples = (MARK + b"%d" % n for n in range(200))
            opened.dictionaries.save(train(samples, size=1024))
        assert bool(while_waiting) is (keyring is NO_KEYS)
        assert bool(holding(tmp_path)) is (keyring is NO_KEYS)
        rows = by_id(store)
        assert store.load(rows["a"]) == marked("a")
        assert store.load_source(source()[0]) == source()[1]
        assert store.check() == []
    if keyring is NO_KEYS and kind == "remote":  # what encryption hides, each by itself
        held = holding(tmp_path)
        assert any(name.endswith(".zdict") for name in held)
        assert large().sha256 in held
        assert source()[0][2:] in held
        assert any(name.endswith(".seg") for name in held)


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_what_was_written_before_there_were_keys_stays_readable(tmp_path, kind):
    with contextlib.closing(MAKERS[kind](tmp_path, NO_KEYS)) as store:
        store.save([marked("old")])
        store.save_source(*source())
    with contextlib.closing(MAKERS[kind](tmp_path, K1)) as store:
        store.save([marked("new")])
        for name, row in by_id(store).items():
            assert store.load(row) == marked(name)
        assert [row.id for row, raw in store.load_packed(by_id(store).values())
                if isinstance(raw, bytes)] == ["old", "new"]  # fmt: skip
        assert store.load_source(source()[0]) == source()[1]
        store.save_source(*source())
        assert source()[0][2:] not in holding(tmp_path)


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_keys_are_rotated_and_a_lost_one_is_named(tmp_path, kind):
    make = MAKERS[kind]
    for keyring, name in ((K1, "a"), (K2, "b")):
        with contextlib.closing(make(tmp_path, keyring)) as store:
            store.save([marked(name)])
    with contextlib.closing(make(tmp_path, K2)) as store:
        assert {store.load(row).id for row in by_id(store).values()} == {"a", "b"}
    with contextlib.closing(make(tmp_path, Keyring([key("k2")]))) as store:
        rows = by_id(store)
        assert store.load(rows["b"]) == marked("b")
        with refused("key-missing"):
            store.load(rows["a"])
        packed = {row.id: raw for row, raw in store.load_packed(list(rows.values()))}
        assert isinstance(packed["b"], bytes)
        assert packed["a"].slug == "key-missing"
        (said,) = store.check()
        assert "trace a is encrypted with the key" in said


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_traces_without_their_key_are_told_in_one_sentence_and_cost_no_other_trace(tmp_path, kind):
    make = MAKERS[kind]
    with contextlib.closing(make(tmp_path, K2)) as store:
        store.save([marked(name) for name in ("a", "b", "c")])
    with contextlib.closing(make(tmp_path, K1)) as store:
        store.save([marked("d")])
    with contextlib.closing(make(tmp_path, K1)) as store:
        (said,) = store.check()
        assert "is encrypted with the key" in said
        assert said.endswith("; 2 more traces lack it too")
        found = {row.id: raw for row, raw in loaded_packed(store, list(by_id(store).values()))}
        assert isinstance(found.pop("d"), bytes)
        assert {one.slug for one in found.values()} == {"key-missing"}
        trial = try_rules(store, Query(), ())
        (unread,) = trial.unreadable
        assert (trial.traces, unread.endswith("; 2 more traces lack it too")) == (1, True)
    with contextlib.closing(make(tmp_path, NO_KEYS)) as store:
        trial = try_rules(store, Query(), ())
        text = "".join(one.plain for one in redaction_lines(trial, Look(width=100, now=0)))
        assert "none of these traces can be read" in text
        assert "no traces match" not in text


def variable(*names: str) -> dict[str, str]:
    """The environment of a process with these keys."""
    pairs = ((name, base64.b64encode(key(name).secret).decode()) for name in names)
    return os.environ | {VARIABLE: ",".join(f"{name}={text}" for name, text in pairs)}


def test_processes_with_other_keys_write_to_one_store(tmp_path, start):
    program = """
        store = open_store(sys.argv[1])
        for n in range(30):
            store.save([make_trace(f"{sys.argv[2]}-{n}", result=bytes.fromhex(sys.argv[3]))])
        store.close()
        """
    place = tmp_path / "store"
    running = [start(program, place, one, BLOCK.hex(), env=variable(one)) for one in ("k1", "k2")]
    assert [process.communicate(timeout=60)[1] for process in running] == ["", ""]
    assert holding(tmp_path) == []
    both = Keyring([key("k1"), key("k2")])
    with contextlib.closing(local_store(tmp_path, both)) as store:
        rows = by_id(store)
        assert len(rows) == 60
        assert all(store.load(row).id == name for name, row in rows.items())
    with contextlib.closing(local_store(tmp_path, Keyring([key("k2")]))) as store:
        assert store.load(rows["k2-7"]).id == "k2-7"
        with refused("key-missing"):
            store.load(rows["k1-7"])


def test_stores_with_other_keys_are_open_at_once(tmp_path):
    one, other = (local_store(tmp_path, Keyring([key(name)])) for name in ("k1", "k2"))
    with contextlib.closing(one), contextlib.closing(other):
        one.save([marked("a")])
        other.save([marked("b")])
        rows = by_id(one)
        assert one.load(rows["a"]).id == "a"
        assert other.load(rows["b"]).id == "b"
        for store, name in ((one, "b"), (other, "a")):
            with refused("key-missing"):
                store.load(rows[name])
        one.delete(["b"])  # what one may do without reading it
        assert by_id(other).keys() == {"a"}


def test_an_index_is_rebuilt_without_a_key(tmp_path):
    with contextlib.closing(local_store(tmp_path, K1, "shop")) as store:
        store.save([marked("a"), marked("b", context={"shop": "acme"})])
        store.delete(["a"])
    for path in (tmp_path / "store").glob("index.sqlite*"):
        path.unlink()
    with contextlib.closing(local_store(tmp_path, NO_KEYS)) as store:
        (row,) = by_id(store).values()
        assert row.id == "b"
        with refused("key-missing"):
            store.load(row)
    with contextlib.closing(local_store(tmp_path, K1)) as store:
        assert store.load(row) == marked("b", context={"shop": "acme"})


def test_a_spool_is_moved_by_a_process_without_keys(tmp_path):
    with contextlib.closing(spool(tmp_path, K1)) as store:
        store.save([marked("a")])
        store.roll(at_once=True)
        with contextlib.closing(spool(tmp_path, NO_KEYS)) as other:
            assert other.flush(20)
    with contextlib.closing(remote(tmp_path / "remote", K1)) as store:
        assert store.load(by_id(store)["a"]) == marked("a")


def test_pushing_encrypts_with_the_keys_of_the_target(tmp_path):
    with (
        contextlib.closing(local_store(tmp_path / "one", Keyring([key("one")]))) as here,
        contextlib.closing(local_store(tmp_path / "two", Keyring([key("two")]))) as there,
    ):
        here.save([marked("a")])
        there.save([here.load(by_id(here)["a"])])
        assert there.load(by_id(there)["a"]) == marked("a")


def test_a_damaged_envelope_hurts_its_trace_alone(tmp_path):
    with contextlib.closing(local_store(tmp_path, K1)) as store:
        store.save([marked("a"), marked("b")])
        (path,) = (tmp_path / "store" / "segments").glob("*.seg")
        frame = next(scan(path.read_bytes()))
        data = bytearray(path.read_bytes())
        data[frame.offset + frame.length - 1] ^= 1
        path.write_bytes(data)
        rows = by_id(store)
        with refused("trace-hurt"):
            store.load(rows["a"])
        assert store.load(rows["b"]) == marked("b")


def test_a_large_artifact_of_another_trace_is_refused():
    store = RemoteStore("test:", MemoryIndex(), MemoryBlobs(), keyring=K1)
    store.save([marked("a")])
    other = RemoteStore("test:", MemoryIndex(), MemoryBlobs(), keyring=K1)
    other.save([marked("b", artifacts=(large(MARK[::-1]),))])
    (mine,), (theirs,) = (list(one.blobs.keys("30d/artifacts/")) for one in (store, other))
    store.blobs.put(mine, other.blobs.get(theirs))
    with refused("trace-hurt"):
        store.load(by_id(store)["a"])


def test_an_artifact_that_is_an_envelope_itself_stays_what_it_is():
    data = K1.encrypt(b"x" * LARGE, b"somebody's")
    one = Artifact(name="e", sha256=hashlib.sha256(data).hexdigest(), size=len(data), data=data)
    for keyring in (NO_KEYS, K1):
        store = RemoteStore("test:", MemoryIndex(), MemoryBlobs(), keyring=keyring)
        store.save([marked("a", artifacts=(one,))])
        assert store.load(by_id(store)["a"]).artifacts == (one,)


def test_a_dictionary_is_saved_twice_where_blobs_are_written_once():
    class Once(MemoryBlobs):
        def put(self, name, data):
            if name.endswith(".zdict") and name in self.keys() and self.get(name) != data:
                raise StoreError("it is there", slug="blob-exists", hint="none")
            super().put(name, data)

    store = RemoteStore("test:", MemoryIndex(), Once(), keyring=K1)
    made = train((b"price %d " % n * 20 for n in range(200)), size=1024)
    store.dictionaries.save(made)
    store.dictionaries.save(made)
    assert store.dictionaries.current() == made
    stranger = RemoteStore("test:", MemoryIndex(), store.blobs, keyring=Keyring([key("k9")]))
    assert stranger.dictionary() is None  # it records without
    assert stranger.dictionaries.check() == []


class Unlisted(MemoryBlobs):
    """Blobs as a recorder sees them."""

    def keys(self, prefix: str):
        raise StoreError("these credentials may not list", slug="store-denied", hint="none")


def test_who_moves_segments_without_a_key_leaves_the_dictionary_for_those_who_have_it(tmp_path):
    made = train((b"price %d " % n * 20 for n in range(200)), size=1024)
    index, blobs = MemoryIndex(), Unlisted()
    RemoteStore("away:", index, blobs, keyring=K1).dictionaries.save(made)
    away = RemoteStore("away:", index, blobs)
    store = SpoolStore(tmp_path, lambda: away, upload_every=3600, keyring=K1)
    store.save([marked("a")])
    assert store.flush(20)
    store.close()
    assert Dictionaries(FileBlobs(tmp_path), K1).current() == made


def test_a_process_without_keys_leaves_encrypted_sources_as_they_are(tmp_path):
    with contextlib.closing(remote(tmp_path, K1)) as store:
        store.save_source(*source())
    with contextlib.closing(remote(tmp_path, NO_KEYS)) as store:
        store.save_source(*source())
        assert store.load_source(source()[0]) is None
        assert store.check() == []
    assert holding(tmp_path) == []


def test_every_frame_of_a_segment_can_be_renewed_in_place_of_the_old_one(tmp_path):
    """What ``gc`` may do after a rotation: the frames of a segment by the key that writes now."""
    with contextlib.closing(remote(tmp_path, K1)) as store:
        store.save([marked("a"), marked("b")])
        (name,) = store.blobs.keys("30d/segments/")
        frames = [one for one in scan(store.blobs.get(name)) if isinstance(one, Frame)]
    made = [next(scan(renewed(one, K2))) for one in frames]
    assert [K2.needs(one.payload) for one in made] == ["k2", "k2"]


def test_a_recorder_killed_in_the_middle_leaves_only_whole_encrypted_traces(tmp_path, start):
    secret = base64.b64encode(key("k1").secret).decode()
    process = start(
        """
        import itertools
        store = open_store(sys.argv[1])
        for n in itertools.count():
            store.save([make_trace(f"t{n}", result=bytes.fromhex(sys.argv[2]))])
            print(n, flush=True)
        """,
        tmp_path / "store",
        BLOCK.hex(),
        env=os.environ | {VARIABLE: f"k1={secret}"},
    )
    saved = [int(process.stdout.readline()) for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    with contextlib.closing(local_store(tmp_path, K1)) as store:
        rows = by_id(store)
        assert {f"t{n}" for n in saved} <= rows.keys()
        assert all(store.load(row).id == name for name, row in rows.items())
        assert store.check() == []
    assert holding(tmp_path) == []


def test_a_store_is_opened_with_the_keys_of_the_environment(tmp_path, monkeypatch):
    secret = base64.b64encode(key("k1").secret).decode()
    monkeypatch.setenv(VARIABLE, f"k1={secret}")
    with contextlib.closing(open_store(str(tmp_path / "store"))) as store:
        store.save([marked("a")])
    assert holding(tmp_path) == []
    with contextlib.closing(local_store(tmp_path, K1)) as store:
        assert store.load(by_id(store)["a"]) == marked("a")


# Tenants


@given(st.text(max_size=300))
def test_any_name_of_a_tenant_is_a_good_key_and_path(name):
    made = escaped(name) if name else "x"
    assert is_escaped(made)
    assert len(made) < 160
    assert is_place(place_of("30d", name or "x"))
    assert is_key(f"{place_of('30d', name or 'x')}/segments/x.seg")


@given(st.sets(st.text(min_size=1, max_size=200), min_size=2, max_size=2))
def test_no_two_tenants_have_one_name(names):
    assert len({escaped(name) for name in names}) == 2


def test_names_are_escaped_so():
    assert escaped("Acme-1.eu") == "Acme-1.eu"
    assert escaped("a/b c_d") == "a_2fb_20c_5fd"
    assert escaped("..") == "_2e."
    assert escaped("č") == "_c4_8d"
    assert escaped("č" * 40).startswith("_c4_8d_c4")
    assert escaped("č" * 40)[-34:-32] == "__"


@pytest.mark.parametrize(
    "text",
    [
        *("30d/tenants/", "30d/tenants/..", "x/tenants/a", "30d/other/a", "30d/tenants/a/b"),
        *("tenants/a", "", "30d/", "30d/tenants/_"),
    ],
)
def test_what_is_no_place_is_told(text):
    assert not is_place(text)


def test_a_context_says_whose_a_trace_is():
    assert tenant_of({"shop": "acme"}, "shop") == "acme"
    assert tenant_of({"shop": 7}, "shop") == "7"
    for context, field in (({"shop": ""}, "shop"), ({}, "shop"), ({"shop": "acme"}, None)):
        assert tenant_of(context, field) is None


def of_shops() -> list[Trace]:
    """One trace of each of three tenants, and one that is nobody's."""
    shops = ("acme", "segments", "other/one")
    return [
        *(marked(f"t-{escaped(shop)}", context={"shop": shop}) for shop in shops),
        marked("nobodys"),
    ]


@pytest.mark.parametrize("kind", MAKERS)
def test_each_tenant_has_a_prefix_of_its_own(tmp_path, kind):
    with contextlib.closing(MAKERS[kind](tmp_path, SHOPS, "shop")) as store:
        store.save(of_shops())
        assert store.flush(20)
        rows = by_id(store)
        class_of = "" if kind == "local" else "30d/"
        after = "" if kind == "local" else "/segments"
        head = "segments/" if kind == "local" else ""
        starts = {name: row.location[0].rpartition("/")[0] for name, row in rows.items()}
        assert starts == {
            f"t-{one}": f"{class_of}{head}tenants/{one}{after}"
            for one in ("acme", "segments", "other_2fone")
        } | {"nobodys": f"{class_of}segments"}
        for row in rows.values():
            assert store.load(row).artifacts == (large(),)
        assert store.check() == []


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_a_tenants_key_alone_reads_that_tenants_traces_alone(tmp_path, kind):
    with contextlib.closing(MAKERS[kind](tmp_path, SHOPS, "shop")) as store:
        if kind == "remote":  # what all share is no tenant's to read, so it must not need it
            store.dictionaries.save(train((b"price %d " % n * 20 for n in range(200)), size=1024))
        store.save(of_shops())
        store.save_source(*source())
    reader = Keyring([key("acme/k7", "acme")])
    with contextlib.closing(MAKERS[kind](tmp_path, reader, "shop")) as store:
        for name, row in by_id(store).items():
            if name == "t-acme":
                assert store.load(row).artifacts == (large(),)
            else:
                with refused("key-missing"):
                    store.load(row)
        assert store.load_source(source()[0]) is None
        with refused("key-missing"):
            store.save([marked("new")])
        store.save([marked("new", context={"shop": "acme"})])
        assert store.load(by_id(store)["new"]).id == "new"


def test_a_dictionary_is_trained_of_nothing_of_a_tenant_with_a_key():
    keyring = Keyring([key("k1"), key("acme/k7", "acme")])
    store = RemoteStore("test:", MemoryIndex(), MemoryBlobs(), keyring=keyring, tenant="shop")
    acme = [make_trace(f"a{n}", context={"shop": "acme"}, result=BLOCK) for n in range(30)]
    store.save([*acme, *(make_trace(f"b{n}", result=f"of all {n}") for n in range(30))])
    trained = store.train(Query(limit=100))
    assert MARK not in store.dictionaries.load(trained.id).data


@pytest.mark.parametrize("kind", ["local", "spool"])
def test_few_segments_stay_open_however_many_tenants_there_are(tmp_path, kind, monkeypatch):
    module = "tracediff.stores.appending" if kind == "local" else "tracediff.stores.spool"
    monkeypatch.setattr(f"{module}.MOST_OPEN", 3)
    with contextlib.closing(MAKERS[kind](tmp_path, K1, "shop")) as store:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for n in range(12):
            store.save([make_trace(f"t{n}", context={"shop": f"s{n}"})])
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 3 + (
            8 if kind == "spool" else 0
        )
        store.save([make_trace("again", context={"shop": "s11"})])
        assert store.flush(20)
        assert len(by_id(store)) == 13


def test_recovery_knows_the_segments_of_tenants(tmp_path, monkeypatch):
    with contextlib.closing(local_store(tmp_path, K1, "shop")) as store:
        store.save([marked("a", context={"shop": "acme"})])
    (tmp_path / "store" / "index.sqlite").unlink()
    with contextlib.closing(local_store(tmp_path, K1)) as store:
        (row,) = by_id(store).values()
        assert row.location[0].startswith("segments/tenants/acme/")
        path = tmp_path / "store" / row.location[0]
        data = bytearray(path.read_bytes())
        data[row.location[2] - 1] ^= 1
        path.write_bytes(data)
        assert any(said.startswith(row.location[0]) for said in store.check())
