"""What the recorder says that it could not keep is told as a reason, by its warnings."""

from __future__ import annotations

from typing import Any

import pytest

from tracediff import values
from tracediff.model import Query, Step, Trace
from tracediff.replayability.recordings import cautions, cuts
from tracediff.stores.local import LocalStore
from tracediff.stores.walking import every_row, loaded
from tracediff.values import careful

FILES = """
    import threading
    import tracediff as td

    @td.job("large")
    def large(path):
        with open(path) as file:
            return file.read(1)

    @td.job("late")
    def late(path):
        file = open(path, "w")
        elsewhere = threading.Thread(target=file.close)
        elsewhere.start()
        elsewhere.join()
    """


def told(*warnings: str) -> list[str]:
    steps = (Step(parent=-1, kind="job", name="price"),)
    trace = Trace(id="1", key="price", job="shop:price", steps=steps, warnings=warnings)
    found = [one.kind for one in cuts(trace)]
    assert found == [one.kind for one in cautions(trace)], "an exact replay did without it"
    return found


def test_a_value_that_was_kept_in_part_is_told() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    said: list[str] = []
    values.encode(deep, warn=said.append)
    assert told(*said) == ["value-cut"]


def test_a_value_that_raised_when_it_was_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, value: object) -> bytes:
        raise ValueError("unreadable")

    monkeypatch.setattr(careful._Careful, "run", broken)
    said: list[str] = []
    careful.encode_carefully([1], None, said.append)
    assert told(*said) == ["value-raises"]


def test_files_that_are_too_large_or_left_open_are_told(project: Any, tmp_path: Any) -> None:
    project.write("shop/jobs.py", FILES)
    project.paste(['inputs = ["open"]'])
    large = tmp_path / "large.txt"
    with large.open("wb") as file:
        file.truncate((64 << 20) + 1)
    late = tmp_path / "late.txt"
    calls = f"large({str(large)!r}); late({str(late)!r})"
    project.record("-c", f"from shop.jobs import large, late; {calls}")
    store = LocalStore(project.directory / ".tracediff")
    try:
        traces = [loaded(store, row) for row in every_row(store, Query())]
    finally:
        store.close()
    assert {one.key: told(*one.warnings) for one in traces} == {
        "large": ["file-too-large"],
        "late": ["file-left-open"],
    }
