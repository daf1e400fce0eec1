"""What many ask for at the same time is made once."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from tracediff.testing import make_trace
from tracediff.web.kept import Turns

MANY = 4


def test_a_trace_that_many_ask_for_at_once_is_read_once(made, site, monkeypatch):
    project = made(make_trace("abc"))
    pages, reads = site(project), []
    load, all_read = project.store.load, threading.Barrier(MANY)

    def slow(row):
        reads.append(row.id)
        with contextlib.suppress(threading.BrokenBarrierError):
            all_read.wait(0.3)  # as long as it takes them, if each reads it
        return load(row)

    monkeypatch.setattr(project.store, "load", slow)
    with ThreadPoolExecutor(MANY) as pool:
        found = list(pool.map(pages.trace, ["abc"] * MANY))
    assert reads == ["abc"]
    assert all(one is found[0] for one in found)


def test_turns_of_other_names_do_not_wait_and_nothing_is_left_of_one_that_failed():
    turns = Turns()
    with contextlib.suppress(KeyError), turns.of("a"), turns.of("b"):  # its own, raised below
        raise KeyError
    with turns.of("a"), turns.of("b"):
        pass
    assert not turns._making
