"""Forks while the index is in use: a client of the parent's is never used in a child."""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings

import pytest

from tracediff.model import Query
from tracediff.stores.mongo import MongoIndex, connection
from tracediff.testing import make_row, refused

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def no_fork_warnings():
    """Python 3.12 warns of any fork of a process with threads, which is what is tested here."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*multi-threaded.*fork", category=DeprecationWarning
        )
        yield


def in_child(work, *arguments) -> None:
    process = FORK.Process(target=work, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def use(index: MongoIndex, name: str) -> None:
    """What a child does with the index it inherited; any warning is an error there too."""
    warnings.simplefilter("error")
    inherited = dict(index._connection._clients)
    index.create([make_row(f"{name}-{os.getpid()}", tags=("all",))])
    assert index.search(Query(tags=("all",), limit=1)).rows
    own = index._connection.client()
    assert all(own is not one for one in inherited.values())
    assert all(any(one is kept for kept in connection._inherited) for one in inherited.values())
    index.close()
    with refused("store-closed"):
        index.find("a")


def test_children_of_a_busy_process_work_and_disturb_it_not(index, no_fork_warnings):
    index.create([make_row("first", tags=("all",))])
    stop, failed, counts = threading.Event(), [], [0, 0, 0]

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                index.create([make_row(f"p{number}-{counts[number]}", tags=("all",))])
                index.search(Query(tags=("all",), limit=5))
                counts[number] += 1
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(12):
            in_child(use, index, f"c{number}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert len(index.search(Query(tags=("all",), limit=10**6)).rows) == 1 + sum(counts) + 12


def test_a_grandchild_works_too(index, no_fork_warnings):
    index.create([make_row("a", tags=("all",))])

    def child() -> None:
        index.create([make_row("b", tags=("all",))])
        in_child(use, index, "grandchild")
        index.create([make_row("d", tags=("all",))])
        index.close()

    in_child(child)
    assert len(index.search(Query(tags=("all",))).rows) == 4


def test_an_index_that_was_not_used_before_a_fork_is_used_after_it(open_index, tmp_path):
    index = open_index(tmp_path)
    fresh = MongoIndex(index.address.url)
    in_child(use, fresh, "child")
    assert len(fresh.search(Query()).rows) == 1
    fresh.close()


def test_a_client_of_the_callers_is_refused_in_a_child(index, place, no_fork_warnings):
    def child(injected: MongoIndex) -> None:
        with refused("store-forked"):
            injected.find("a")

    with place.client() as client:
        injected = MongoIndex(client=client, database=index.address.database)
        injected.find("a")
        in_child(child, injected)
        assert injected.find("a") == []


def test_what_makes_a_client_is_called_in_the_child(index, place, no_fork_warnings):
    made = []

    def make():
        made.append(place.client())
        return made[-1]

    def child() -> None:
        injected.create([make_row("child")])
        assert len(made) == 2
        made[1].close()

    injected = MongoIndex(client=make, database=index.address.database)
    injected.create([make_row("parent")])
    in_child(child)
    assert len(injected.search(Query()).rows) == 2
    assert len(made) == 1
    made[0].close()
