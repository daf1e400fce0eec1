"""Statistics are exactly what the rows say, whoever is killed: recorders, movers, the server."""

from __future__ import annotations

import random
import signal

import pytest

from tracediff.stores.mongo import MongoIndex, folding
from tracediff.stores.mongo.statistics import EPOCH
from tracediff.testing import make_row, refused
from tracediff.testing.counting import total

RECORDERS = """
    from tracediff.stores.mongo import folding
    folding.EVERY = 0.05  # as often as that somebody folds while others write
    td.configure(on_ack=ledger(sys.argv[1]))
    for n in endless():
        job(f"{sys.argv[1]}-{n}")
        if n % 20 == 0:
            td.flush(0.2, upload=True)
"""
MOVER = """
    from tracediff.stores.mongo import folding
    folding.EVERY = 0.05
    job(sys.argv[1])
    sys.exit(not td.flush(50, upload=True))
"""


@pytest.mark.slow
@pytest.mark.in_turn
def test_counts_are_exact_whoever_is_killed(production, poll):
    production.write(RECORDERS)
    production.write(MOVER, name="mover.py")
    for number in range(3):
        names = [f"r{number}-{one}" for one in range(2)]
        recorders = [production.start("program.py", name) for name in names]
        want = len(production.acknowledged()) + 60
        poll(lambda: len(production.acknowledged()) >= want)  # noqa: B023 - called at once
        if number == 1:
            production.mongod.kill()
            production.mongod.start()
        for process in recorders:
            process.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM]))
            process.communicate()
        movers = [production.start("mover.py", f"m{number}-{one}") for one in range(3)]
        movers[0].kill()
        for process in movers:
            process.communicate(timeout=60)
        assert [process.returncode for process in movers[1:]] == [0, 0]
    production.upload()
    assert len(production.verify().rows) > 180
    verified(production)


def verified(production) -> None:
    """Every bucket of every key is what the rows say, folded and all."""
    with production.mongod.client() as client:  # a minute passes: a folder may have been killed
        passed = {"$set": {"until": EPOCH}}
        client[production.name].traces.statistics.update_one({"_id": "folding"}, passed)
    index = MongoIndex(production.mongod.uri(production.name))
    try:
        checked = list(index.verify_statistics())
        assert len(checked) > 3
        assert [one for one in checked if one.equal is not True] == []
        with production.mongod.client() as client:
            assert client[production.name].traces.deltas.count_documents({}) == 0
        assert index.rebuild_statistics().written == 0
    finally:
        index.close()


def test_what_two_fold_at_once_counts_once(open_remote, tmp_path, monkeypatch):
    """A lease that both have: the transactions meet, and one of them gives up."""
    store = open_remote(tmp_path, s3=False)
    other = open_remote(tmp_path, s3=False)
    monkeypatch.setattr(folding.Folder, "now_and_then", lambda self: None)
    monkeypatch.setattr(folding.Folder, "take", lambda *_, **__: True)
    monkeypatch.setattr(folding.Folder, "check", lambda self, session: True)
    monkeypatch.setattr(folding.Folder, "extend", lambda *_, **__: True)
    real = folding.write

    def meanwhile(*given):
        monkeypatch.setattr(folding, "write", real)
        other.index.create([make_row("b")])
        assert other.fold_statistics() == 2
        return real(*given)

    store.index.create([make_row("a")])
    monkeypatch.setattr(folding, "write", meanwhile)
    with refused("store-busy"):
        store.index.fold_statistics()
    assert total(store).count == 2
    store.index.create([make_row("a"), make_row("b"), make_row("c")])
    store.fold_statistics()
    assert total(store).count == 3
