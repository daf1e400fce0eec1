"""What was deleted stays so, also where it is written at the same moment."""

from __future__ import annotations

import pytest

from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.stores.mongo import writing
from tracediff.testing import make_row


@pytest.fixture
def dug_meanwhile(index, open_index, tmp_path, monkeypatch):
    """A function that has graves dug after a transaction has looked for them, by somebody else."""
    other = open_index(tmp_path)
    real = writing._graves

    def start(*ids: str) -> None:
        def graves(connection, asked, session=None):
            found = real(connection, asked, session)
            if session is not None:
                other.ledger().entomb(ids)
            return found

        monkeypatch.setattr(writing, "_graves", graves)

    return start


@pytest.mark.parametrize("state", ["running", "success", "error"])
def test_a_part_that_is_written_while_its_trace_is_erased_leaves_nothing(
    index, dug_meanwhile, plain, state
):
    index.create([make_row("a", state="running", parts=1)])
    dug_meanwhile("a", "b")
    index.create([make_row("a", state=state, parts=2), make_row("b", state=state, parts=1)])
    index.create([make_row("a", state=state, parts=2), make_row("b", state=state, parts=1)])
    assert index.search(Query()).rows == ()
    assert plain.database[f"{plain.name}.parts"].count_documents({}) == 0
    assert all(one.equal for one in index.verify_statistics())


def test_a_trace_that_is_written_while_it_is_erased_leaves_nothing(index, dug_meanwhile):
    index.create([make_row("a")])
    index.ledger().entomb(["x"])
    dug_meanwhile("a", "b")
    index.create([make_row("a"), make_row("b"), make_row("c")])
    assert index.search(Query()).rows == (make_row("c"),)
    assert all(one.equal for one in index.verify_statistics())


def test_rows_that_nobody_knows_to_be_written_do_not_come_back_once_erased(
    index, open_index, tmp_path, monkeypatch
):
    index.create([make_row("a")])
    count = writing.count

    def cut(*given):
        count(*given)
        raise StoreError("no answer", slug="store-unreachable", hint="-")

    monkeypatch.setattr(writing, "count", cut)
    with pytest.raises(StoreError):
        index.create([make_row("b")])
    monkeypatch.undo()
    other = open_index(tmp_path)
    other.ledger().entomb(["a", "b"])  # the first that was erased here
    other.delete(["a", "b"])
    index.create([make_row("b")])
    assert index.search(Query()).rows == ()
