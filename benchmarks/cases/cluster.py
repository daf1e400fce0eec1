"""Replaying on a Dask cluster of this machine: two workers against one, and against none.

Each worker replays in a process of its own, so that two keep two processors busy; the scheduler and
the asker take what is left of them. Beside other programs two workers give less.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, spread
from benchmarks.measuring import in_turns, once
from servers.cluster import Cluster
from tracediff.api import open_project
from tracediff.check.batches import head_of, pack, pack_row
from tracediff.check.cluster import ClusterEngine
from tracediff.check.hosting import Host
from tracediff.check.results import Work
from tracediff.config import Config
from tracediff.model import Query, Row

JOBS = """
import tracediff as td

@td.input("Rate")
def rate(number):
    return number % 7

@td.job("benchmarks/cluster")
def price(number):
    total = rate(number)
    for line in range(WORK):
        total = (total * 31 + line) % 1_000_003
    return total

if __name__ == "__main__":
    for number in range(COUNT):
        price(number)
"""
WORK = 150_000
"""Additions in a job, which take about 15 ms."""


def _project(directory: Path, count: int) -> Path:
    directory.mkdir()
    (directory / "pyproject.toml").write_text('[tool.tracediff]\njobs = ["jobs"]\n')
    text = JOBS.replace("WORK", str(WORK)).replace("COUNT", str(count))
    (directory / "jobs.py").write_text(text)
    subprocess.run([sys.executable, "-m", "jobs"], cwd=directory, check=True)
    return directory


def measure(quick: bool) -> list[Figure]:
    rounds, count = (1, 60) if quick else (3, 1_000)
    with (
        tempfile.TemporaryDirectory() as name,
        Cluster(Path(name) / "one") as one,
        Cluster(Path(name) / "two") as two,
    ):
        directory = _project(Path(name) / "project", count)
        for cluster in (one, two, two):
            cluster.add_worker(directory)
        with open_project(start=directory) as project:
            rows = project.store.search(Query(limit=count)).rows
            found = in_turns(
                {
                    "none": _timed(lambda: _here(project.config, rows), count),
                    "one": _timed(lambda: _there(project.config, rows, one), count),
                    "two": _timed(lambda: _there(project.config, rows, two), count),
                },
                rounds,
            )
    return _figures(found, count)


def _timed(body: Callable[[], int], count: int) -> Callable[[], float]:
    def timed() -> float:
        done: list[int] = []
        seconds = once(lambda: done.append(body()))
        if done != [count]:
            raise RuntimeError(f"{done} of {count} traces were the same")
        return seconds

    return timed


def _there(config: Config, rows: Sequence[Row], cluster: Cluster) -> int:
    found = ClusterEngine(config, Work(), cluster.url).run(rows)
    return sum(one.kind == "same" for one in found)


def _here(config: Config, rows: Sequence[Row]) -> int:
    """What a worker of a cluster does, in this process."""
    head = head_of(config, Work(), check="check", store=None, idle=60.0).packed()
    host = Host()
    told = pack(head, [pack_row(one) for one in rows])
    _, _, results = host.answer(told, where="here", wanted=lambda: True)
    host.close()
    return sum(one[0][2] == "same" for one in results)


def _figures(found: dict[str, list[float]], count: int) -> list[Figure]:
    gain = [one / two for one, two in zip(found["one"], found["two"], strict=True)]
    extra = [(one - none) / count for one, none in zip(found["one"], found["none"], strict=True)]
    rate = [count / two for two in found["two"]]
    return [
        Figure(
            what=f"two workers against one, {count} replays of about 15 ms, from start to end",
            unit="times", value=median(gain), spread=spread(gain), target=1.7, least=True,
        ),
        Figure(
            what="the same by two workers, a second", unit="/s", value=median(rate),
            spread=spread(rate),
        ),
        Figure(
            what="what the cluster adds to a trace, beside one worker with nothing around it",
            unit="ms", value=median(extra) * 1e3, spread=spread(extra, 1e3), target=2.0,
        ),
    ]  # fmt: skip
