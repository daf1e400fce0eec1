"""Cleaning up, erasing and encrypting anew what live traces left in MongoDB and S3."""

from __future__ import annotations

import base64
import hashlib
import random
import time

import pytest

from tracediff.config.encryption import VARIABLE
from tracediff.errors import StoreError
from tracediff.model import Artifact, Query
from tracediff.stores.dictionaries import train
from tracediff.stores.segments import TOMBSTONE, scan
from tracediff.stores.upkeep.base import kept_of
from tracediff.stores.upkeep.chosen import Chosen
from tracediff.stores.upkeep.collecting import Wish, collect
from tracediff.stores.upkeep.erasing import Demand, Erasure
from tracediff.testing import make_parts, make_trace

NOW = time.time_ns()
WRITTEN = {"ended": 3, "running": 2, "lost": 2, "ignored": 2, "erased": 2}


def keys(*names: str) -> str:
    return ",".join(
        f"{name}={base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()}"
        for name in names
    )


def large(name: str) -> Artifact:
    data = random.Random(name).randbytes(70_000)
    return Artifact(
        name="large", sha256=hashlib.sha256(data).hexdigest(), size=len(data), data=data
    )


def live(shop: str, state: str) -> list:
    name = f"{shop}-{state}"
    trace = make_trace(name, context={"shop": shop}, tags=(f"n:{name}",), artifacts=(large(name),),
                       result=random.Random(name).randbytes(300).hex(), started_at=NOW)  # fmt: skip
    return make_parts(trace)


LIVE = {f"{shop}-{state}": live(shop, state) for shop in ("acme", "other") for state in WRITTEN}


def run(store, **wish):
    made = {"grace": 0.0, "unsafe": True, "thorough": True, "lost_after": 1e10, **wish}
    return collect(kept_of(store), Wish(**made), lambda *told: None)


def erase(store, root, *tags: str):
    demand = Demand(queries=tuple(Query(tags=(one,)) for one in tags), said=tags, reason="asked",
                    wait=0.0)  # fmt: skip
    with Chosen() as chosen:
        one = Erasure(store, kept_of(store), chosen, demand, blobs=store.blobs, root=root,
                      spool=None, progress=lambda *told: None)  # fmt: skip
        return one.done(one.selected().bytes)


def loaded(store) -> dict:
    return {row.id: store.load(row) for row in store.search(Query(limit=50)).rows}


def bytes_of(store) -> dict[str, bytes]:
    return {key: store.blobs.get(key) for key in store.blobs.keys("")}


def marks(store, folder: str) -> dict[str, set[bytes]]:
    """Of every trace, bytes of its frames or of its artifacts that nothing else has."""
    found: dict[str, set[bytes]] = {}
    shas = {parts[0].trace.artifacts[0].sha256: one for one, parts in LIVE.items()}
    for key, data in bytes_of(store).items():
        if folder == "segments" and "/segments/" in key:
            for one in scan(data):
                if one.kind != TOMBSTONE:
                    found.setdefault(one.id, set()).add(bytes(one.payload[-64:]))
        elif folder == "artifacts" and "/artifacts/" in key:
            found.setdefault(shas[key.rpartition("/")[2]], set()).add(data[-64:])
    return found


def gone(store, wanted: set[bytes]) -> bool:
    data = b"".join(bytes_of(store).values())
    return not any(one in data for one in wanted)


@pytest.mark.slow
@pytest.mark.parametrize("written_by", ["", keys("k1", "acme/k1")], ids=["clear", "encrypted"])
def test_parts_go_stay_and_are_encrypted_anew(open_remote, tmp_path, monkeypatch, written_by):
    def opened(with_keys: str):
        monkeypatch.setenv(VARIABLE, with_keys)
        return open_remote(tmp_path, s3=True, tenant="shop")

    store = opened(written_by)
    dice = random.Random(1)
    words = [dice.randbytes(12) for _ in range(50)]
    store.dictionaries.save(
        train([b"".join(dice.choices(words, k=80)) for _ in range(300)], size=4096)
    )
    for number in range(3):
        store.save_parts([parts[number] for one, parts in LIVE.items()
                          if number < WRITTEN[one.partition("-")[2]]])  # fmt: skip
    store.index.lose([parts[1].row for one, parts in LIVE.items() if "lost" in one])
    store.ignore([one for one in LIVE if "ignored" in one])
    before, frames, artifacts = loaded(store), marks(store, "segments"), marks(store, "artifacts")
    assert len(before) == 8
    assert (len(frames["acme-erased"]), len(artifacts["acme-erased"])) == (2, 1)

    keyless = opened("")
    assert erase(keyless, tmp_path, "n:acme-erased").traces == 1
    run(keyless)
    store = opened(written_by)
    del before["acme-erased"]
    assert loaded(store) == before
    for one in ("acme-erased", "acme-ignored", "other-ignored"):
        assert gone(store, frames[one]), one
    run(store)  # with the keys, also artifacts of segments of which something stays
    for one in ("acme-erased", "acme-ignored", "other-ignored"):
        assert gone(store, artifacts[one]), one
    store.save_parts(LIVE["acme-erased"])
    assert "acme-erased" not in loaded(store)
    run(store)
    assert "acme-erased" not in marks(store, "segments") | marks(store, "artifacts")

    old = set().union(*frames.values(), *(artifacts.values() if written_by else ()))
    run(opened(keys("k2", "acme/k2") + (f",{written_by}" if written_by else "")), rekey=True)
    new = opened(keys("k2", "acme/k2"))
    assert gone(new, old)
    assert loaded(new) == before
    assert new.dictionaries.current() is not None
    assert run(new, rekey=True).renewed == {}
    new.save_parts(LIVE["other-running"][2:])
    assert loaded(new)["other-running"].state == "success"
    if written_by:
        with pytest.raises(StoreError) as raised:
            loaded(opened(written_by))
        assert raised.value.slug == "key-missing"
