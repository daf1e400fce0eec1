"""The local engine: all processors, rows taken as they are needed, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tracediff.check.engines import LocalEngine
from tracediff.check.machine import part_of_memory
from tracediff.check.results import Work
from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores.local import LocalStore

WORK = Work(timeout=30)


def test_every_trace_has_one_result_whatever_some_of_them_do(recorded: Callable) -> None:
    project = recorded(60)
    project.write("shop/rates.py", "RATE = 3\n")
    project.write("shop/trouble.py", """
        import os
        def make(number):
            if number % 10 == 7:
                os._exit(number)
    """)  # fmt: skip
    engine = LocalEngine(project.config, project.store, WORK, workers=2)
    found = list(engine.run(iter(project.rows)))
    assert sorted(one.id for one in found) == sorted(row.id for row in project.rows)
    assert Counter(one.kind for one in found) == {"same": 1, "changed": 53, "failed": 6}
    numbers = {row.id: number for number, row in enumerate(project.rows)}
    for one in found:
        if one.kind == "failed":
            assert f"exit code {numbers[one.id]}" in one.message


def test_rows_are_taken_as_they_are_needed(recorded: Callable) -> None:
    project = recorded(60)
    taken = [0]

    def endless() -> Iterator[Row]:
        while True:
            taken[0] += 1
            yield project.rows[taken[0] % len(project.rows)]

    engine = LocalEngine(project.config, project.store, WORK, workers=2)
    results = engine.run(endless())
    for _ in range(300):
        next(results)
    results.close()
    assert 300 <= taken[0] < 300 + 2 * (256 + 64)


def left_over(mark: str) -> list[str]:
    found = []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and mark.encode() in (place / "environ").read_bytes():
                found.append(place.name)
        except OSError:
            continue
    return [one for one in found if one != str(os.getpid())]


def assert_nothing_left(mark: str) -> None:
    deadline = time.monotonic() + 10
    while (left := left_over(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def test_closing_early_ends_everything_at_once(
    recorded: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"STARTED_BY={tmp_path}"
    monkeypatch.setenv("STARTED_BY", str(tmp_path))
    project = recorded(12)
    project.trouble("time.sleep(600)")
    engine = LocalEngine(project.config, project.store, Work(timeout=500), workers=2)
    results = engine.run(iter(project.rows))
    next(results)
    assert left_over(mark)
    results.close()
    assert_nothing_left(mark)


PROGRAM = """
import sys
from pathlib import Path
from tracediff.check.engines import LocalEngine
from tracediff.check.results import Work
from tracediff.config import load_config
from tracediff.model import Query
from tracediff.stores.local import LocalStore
from tracediff.stores.walking import every_row

if __name__ == "__main__":
    store = LocalStore(Path(sys.argv[1], ".tracediff"))
    engine = LocalEngine(load_config(Path(sys.argv[1])), store, Work(timeout=500), workers=2)
    for result in engine.run(every_row(store, Query())):
        print(result.kind, flush=True)
"""


@pytest.mark.parametrize("how", ["interrupted", "killed"])
def test_an_interrupted_check_leaves_no_process(
    recorded: Callable, tmp_path: Path, how: str
) -> None:
    project = recorded(12)
    project.trouble("time.sleep(600)")
    environment = {**os.environ, "STARTED_BY": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(project.directory)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as program:  # fmt: skip
        assert program.stdout.readline() == "same\n"
        program.send_signal(signal.SIGINT if how == "interrupted" else signal.SIGKILL)
        _, said = program.communicate(timeout=60)
    assert ("KeyboardInterrupt" in said) == (how == "interrupted")
    assert_nothing_left(f"STARTED_BY={tmp_path}")


class Leaving(LocalStore):
    """A store that is gone after some traces."""

    left = 20

    def load_packed(self, rows):
        for one in super().load_packed(rows):
            self.left -= 1
            if self.left < 0:
                raise StoreError("the store is gone", slug="store-unreachable", hint="")
            yield one

    def load(self, row):
        return super().load(row)


def test_a_store_that_goes_away_in_the_middle_ends_the_check(recorded: Callable) -> None:
    project = recorded(60)
    store = Leaving(project.directory / ".tracediff")
    try:
        engine = LocalEngine(project.config, store, WORK, workers=2)
        with pytest.raises(StoreError) as caught:
            list(engine.run(iter(project.rows)))
        assert caught.value.slug == "store-unreachable"
    finally:
        store.close()


def test_a_selection_that_fails_ends_the_check(recorded: Callable) -> None:
    project = recorded(12)

    def rows() -> Iterator[Row]:
        yield from project.rows[:3]
        raise StoreError("the index is gone", slug="store-unreachable", hint="")

    engine = LocalEngine(project.config, project.store, WORK, workers=2)
    with pytest.raises(StoreError):
        list(engine.run(rows()))


def test_workers_share_the_memory_of_the_machine() -> None:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < part_of_memory(1) <= physical * 0.8
    assert abs(part_of_memory(4) - part_of_memory(1) / 4) < 4
