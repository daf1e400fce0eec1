"""Cleaning up and erasing parts of live traces in several segments, in the clear and encrypted."""

from __future__ import annotations

import hashlib
import random

import pytest

from tracediff.config.encryption import EncryptionKey
from tracediff.model import Query
from tracediff.stores.encryption import NO_KEYS, Keyring
from tracediff.stores.local import LocalStore
from tracediff.stores.segments import TOMBSTONE, Frame, scan
from tracediff.stores.upkeep.base import kept_of
from tracediff.stores.upkeep.chosen import Chosen
from tracediff.stores.upkeep.collecting import Wish, collect
from tracediff.stores.upkeep.erasing import Demand, Erasure
from tracediff.stores.upkeep.local import LocalKept
from tracediff.testing import make_parts, make_trace


def key(name: str, tenant: str | None = None) -> EncryptionKey:
    return EncryptionKey(name, tenant, hashlib.sha256(name.encode()).digest())


OLD = Keyring([key("k1"), key("acme/k1", "acme")])
BOTH = Keyring([key("k2"), key("acme/k2", "acme"), key("k1"), key("acme/k1", "acme")])
NEW = Keyring([key("k2"), key("acme/k2", "acme")])

STATES = ("ended", "running", "lost", "ignored", "whole")
LIVE = {f"{shop}-{state}": make_parts(
            make_trace(f"{shop}-{state}", result=random.Random(shop + state).randbytes(300).hex(),
                       context={"shop": shop}, tags=(f"n:{shop}-{state}",)), 4)
        for shop in ("acme", "other") for state in STATES}  # fmt: skip
WRITTEN = {"ended": 4, "running": 2, "lost": 3, "ignored": 3, "whole": 4}


def opened(directory, keyring=NO_KEYS) -> LocalStore:
    return LocalStore(directory, keyring=keyring, tenant="shop")


def state(trace_id: str) -> str:
    return trace_id.partition("-")[2]


@pytest.fixture(params=[NO_KEYS, OLD], ids=["clear", "encrypted"])
def keyring(request) -> Keyring:
    return request.param


@pytest.fixture
def directory(tmp_path, keyring):
    """A store with the nth parts of all live traces in the nth segment of each tenant."""
    for number in range(4):
        store = opened(tmp_path / "s", keyring)
        store.save_parts(
            [parts[number] for one, parts in LIVE.items() if number < WRITTEN[state(one)]]
        )
        store.close()
    store = opened(tmp_path / "s", keyring)
    store.index.lose([parts[2].row for one, parts in LIVE.items() if state(one) == "lost"])
    store.ignore([one for one in LIVE if state(one) == "ignored"])
    store.close()
    return tmp_path / "s"


def loaded(directory, keyring) -> dict:
    store = opened(directory, keyring)
    found = {row.id: store.load(row) for row in store.search(Query(limit=50)).rows}
    assert store.check() == []
    store.close()
    return found


def marks(directory) -> dict[str, list[bytes]]:
    """Of every trace, bytes of its payloads that nothing else has."""
    found: dict[str, list[bytes]] = {}
    for path in directory.rglob("*.seg"):
        for one in scan(path.read_bytes()):
            assert isinstance(one, Frame)
            if one.kind != TOMBSTONE:
                found.setdefault(one.id, []).append(bytes(one.payload[-64:]))
    return found


def still_there(directory, wanted: list[bytes]) -> int:
    data = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    return sum(one in data for one in wanted)


def gc(directory, keyring=NO_KEYS, **wish):
    store = opened(directory, keyring)
    found = collect(
        kept_of(store),
        Wish(**{"grace": 0.0, "lost_after": 1e10, "thorough": True, **wish}),
        lambda *told: None,
    )
    store.close()
    return found


def erase(directory, *tags: str):
    store = opened(directory)
    demand = Demand(
        queries=tuple(Query(tags=(f"n:{tag}",)) for tag in tags), said=tags, reason="asked",
        wait=0.0,
    )  # fmt: skip
    with Chosen() as chosen:
        one = Erasure(store, kept_of(store), chosen, demand, blobs=store.blobs,
                      root=directory.parent, spool=None, progress=lambda *told: None)  # fmt: skip
        done = one.done(one.selected().bytes)
    store.close()
    return done


def without_index(directory):
    for path in directory.glob("index.sqlite*"):
        path.unlink()


def test_parts_of_what_was_taken_back_go_and_all_others_stay_without_a_key(directory, keyring):
    before, mark = loaded(directory, keyring), marks(directory)
    assert {state(one) for one in before} == {"ended", "running", "lost", "whole"}
    assert len(mark["acme-ended"]) == 4
    for one in ("acme-ignored", "other-ignored"):
        assert still_there(directory, mark[one]) == 3
    gc(directory)
    for one in ("acme-ignored", "other-ignored"):
        assert still_there(directory, mark[one]) == 0
    assert loaded(directory, keyring) == before
    without_index(directory)
    assert loaded(directory, keyring).keys() == before.keys()


@pytest.mark.parametrize("which", ["ended", "running", "lost"])
def test_all_parts_of_an_erased_trace_go_and_none_comes_later(directory, keyring, which):
    before, mark = loaded(directory, keyring), marks(directory)
    gone = f"acme-{which}"
    assert still_there(directory, mark[gone]) == len(mark[gone]) == WRITTEN[which]
    assert erase(directory, gone).verified
    assert still_there(directory, mark[gone]) == 0
    del before[gone]
    assert loaded(directory, keyring) == before
    for upto in (3, 4):
        store = opened(directory, keyring)
        store.save_parts(LIVE[gone][:upto])  # also those that it had, once more
        store.close()
        assert gone not in marks(directory)
        if which != "running":
            break
        gc(directory)  # it runs: that it was erased is not forgotten
        without_index(directory)
    assert gone not in loaded(directory, keyring)


def test_running_traces_go_on_after_their_parts_were_moved(directory, keyring):
    gc(directory)
    store = opened(directory, keyring)
    store.save_parts([one for parts in LIVE.values() for one in parts])
    store.close()
    found = loaded(directory, keyring)
    for one in ("acme-running", "other-running"):
        want = make_trace(one, result=found[one].steps[0].result, tags=(f"n:{one}",))
        assert found[one].state == want.state
        assert len(found[one].steps) == len(want.steps)


def test_parts_are_encrypted_anew_and_go_on_by_the_new_key(directory, keyring):
    before, mark = loaded(directory, keyring), marks(directory)
    gc(directory, BOTH, rekey=True)
    assert still_there(directory, [one for marks in mark.values() for one in marks]) == 0
    assert loaded(directory, NEW) == before
    store = opened(directory, NEW)
    store.save_parts(LIVE["acme-running"][2:])
    store.close()
    assert loaded(directory, NEW)["acme-running"].state == "success"
    assert gc(directory, NEW, rekey=True).renewed == {}


def test_an_erasure_reaches_copies_that_an_interrupted_run_left(directory, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(LocalKept, "_unlink", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            gc(directory)
    mark = marks(directory)
    assert max(map(len, mark.values())) > 4  # some are there twice
    for one in ("acme-ended", "other-ended"):
        assert erase(directory, one).verified
        assert still_there(directory, mark[one]) == 0
