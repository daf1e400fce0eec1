"""Live traces of real processes, however they end; and what libraries go on with between parts."""

from __future__ import annotations

import signal
import sqlite3
from typing import Any

import tracediff as td
from tracediff.model import Query
from tracediff.stores import open_store

LIVE = """
    import os, signal, sys, threading

    @td.step("line")
    def line(number): return number

    td.configure(bump_every=0.05)
"""


def rows(program: Any) -> list[Any]:
    """The rows of the program's store, oldest first, once nobody writes there."""
    store = open_store(str(program.directory / ".tracediff"))
    try:
        assert store.check() == []
        return list(store.search(Query(limit=100)).rows)[::-1]
    finally:
        store.close()


def test_a_killed_process_leaves_a_lost_trace_with_all_its_parts(program, tree):
    program.write(f"""{LIVE}
    @td.job("job", mode="live")
    def job():
        line(1)
        with td.step("stuck"):
            line(2)
            td.flush()
            line(3)
            os.kill(os.getpid(), signal.SIGKILL)

    job()
    """)
    program.run(status=-signal.SIGKILL)
    [row] = rows(program)
    [trace] = program.traces()
    assert (row.state, trace.state, row.steps) == ("lost", "lost", 4)
    assert tree(trace) == ["line", "stuck", "  line"]
    assert [step.open for step in trace.steps] == [True, False, True, False]


def test_what_runs_when_the_process_ends_is_lost_with_all_it_did(program, tree):
    program.write(f"""{LIVE}
    reached = threading.Event()

    @td.job("job", mode="live")
    def job():
        for number in range(50):
            line(number)
        reached.set()
        threading.Event().wait()

    threading.Thread(target=job, daemon=True).start()
    assert reached.wait(30)
    """)
    assert program.run().stderr == ""
    [row] = rows(program)
    assert (row.state, row.steps) == ("lost", 51)
    assert tree(program.traces()[0]) == ["line"] * 50


def test_a_generator_that_nobody_closed_is_lost_with_its_process(program, tree):
    program.write(f"""{LIVE}
    @td.job("job", mode="live")
    def job():
        yield line(1)
        td.flush()
        yield line(2)

    running = job()
    assert [next(running), next(running)] == [1, 2]
    """)
    program.run()
    [row] = rows(program)
    assert (row.state, row.parts > 1) == ("lost", True)
    assert tree(program.traces()[0]) == ["line"] * 2


def test_a_child_writes_nothing_of_its_parent_s_live_trace(program, tree):
    program.write(f"""{LIVE}
    @td.job("other", mode="live")
    def other(who):
        line(who)
        td.flush()
        return line(who)

    @td.job("job", mode="live")
    def job():
        line(1)
        td.flush()
        child = os.fork()
        if not child:
            for number in range(100):
                line("child")
            other("child")
            return
        assert os.waitpid(child, 0)[1] == 0
        td.flush()
        with td.step("after"):
            other("parent")

    pid = os.getpid()
    job()
    """)
    program.run()
    found = {trace.key: trace for trace in program.traces()}
    assert [row.key for row in rows(program)] == ["job", "other"]
    assert tree(found["job"]) == ["line", "after", "  other", "    line", "    line"]
    assert (found["job"].state, found["other"].meta) == ("success", "who='child'")


def test_what_libraries_read_between_parts_is_whole(recording, watched, tmp_path, args, result):
    place = str(tmp_path / "shop.sqlite")
    with sqlite3.connect(place) as made:
        made.execute("CREATE TABLE prices (id INTEGER, price TEXT)")
        made.executemany("INSERT INTO prices VALUES (?, ?)", [(n, f"{n}.90") for n in range(6)])
    made.close()

    def job() -> Any:
        db = sqlite3.connect(place)
        try:
            found = db.execute("SELECT id, price FROM prices ORDER BY id")
            taken = [found.fetchone()]
            td.flush()
            taken += found.fetchmany(2)
            for _ in range(3):
                with td.step("between"):
                    td.flush()
            other = db.execute("SELECT count(*) FROM prices").fetchall()
            td.flush()
            return [*taken, *found.fetchall(), *other]
        finally:
            db.close()

    recording.configure(inputs=["sqlite3"])
    td.job("reads")(job)()
    [whole] = recording.traces()
    recording.store().delete([whole.id])
    found = watched(inputs=["sqlite3"])
    td.job("reads", mode="live")(job)()
    assert td.flush(30)
    parts = found.trace()
    assert len(found.parts) > 4
    assert [(one.name, one.args, one.result, one.open) for one in parts.steps] == [
        (one.name, one.args, one.result, one.open) for one in whole.steps
    ]
    assert any("prices" in str(args(step)) for step in parts.steps if step.kind == "input")
