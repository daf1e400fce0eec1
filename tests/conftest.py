"""What every test gets: a Hypothesis profile, a seed, and no settings of the user's own."""

from __future__ import annotations

import os
import random
from itertools import groupby

import pytest
from hypothesis import settings

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, database=None, print_blob=True)
settings.register_profile(  # database=None: the seed alone decides
    "soak",
    max_examples=int(os.environ.get("EXAMPLES") or 10_000),
    deadline=None,
    database=None,
    print_blob=True,
)

pytest.register_assert_rewrite("tracediff.testing")  # before any test imports it

PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
settings.load_profile(PROFILE)

for _name in [name for name in os.environ if name.startswith(("TRACEDIFF_", "PRICING_"))]:
    if not _name.startswith("TRACEDIFF_TEST_"):  # servers of the user's own to test against
        del os.environ[_name]  # before anything is imported that reads them


def pytest_configure(config: pytest.Config) -> None:
    """Settle on one seed; the processes of a parallel run inherit it."""
    given = config.getoption("--hypothesis-seed") or os.environ.get("SEED")
    os.environ["SEED"] = str(given or random.SystemRandom().randrange(10**6))


def pytest_report_header() -> str:
    return f"hypothesis profile {PROFILE}, seed {os.environ['SEED']}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the fast tests first, also in each process of a parallel run.

    With ``--dist worksteal`` a process gets one stretch of the tests, and who has none left takes
    from the end of another's. So each stretch holds a share of the fast tests, then of the slow
    ones, those with the most seconds in their mark before the others: one that is begun last keeps
    one process busy while the others idle. The tests of one module share what it starts.
    """
    _leave_soaks(config, items)
    _take_turns(config, items)
    count = getattr(config, "workerinput", {}).get("workercount", 1)
    fast = [item for item in items if not item.get_closest_marker("slow")]
    long = _shared_out([item for item in items if _seconds(item)], count)
    slow = [item for item in items if item.get_closest_marker("slow") and not _seconds(item)]

    def share(some: list[pytest.Item], nth: int) -> list[pytest.Item]:
        return some[len(some) * nth // count : len(some) * (nth + 1) // count]

    items[:] = [
        item for nth in range(count) for item in (*share(fast, nth), *long[nth], *share(slow, nth))
    ]


def _shared_out(items: list[pytest.Item], count: int) -> list[list[pytest.Item]]:
    """Whole modules to each process, the longest first, so that all have about as many seconds."""
    shares: list[list[pytest.Item]] = [[] for _ in range(count)]
    modules = [list(some) for _, some in groupby(items, key=lambda item: item.path)]
    for module in sorted(modules, key=_total, reverse=True):
        min(shares, key=_total).extend(sorted(module, key=_seconds, reverse=True))
    return shares


def _total(items: list[pytest.Item]) -> float:
    return sum(map(_seconds, items))


def _leave_soaks(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave those that run for minutes to who asks for them, also in a run of some directory."""
    if "soak" in config.getoption("markexpr"):
        return
    soaks = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=soaks)
    items[:] = [item for item in items if not item.get_closest_marker("soak")]


def _take_turns(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In CI leave two thirds of the tests that are marked ``in_turn``, or more, to other seeds."""
    if PROFILE != "ci":
        return
    left: set[int] = set()
    turns = sorted((one for one in items if _turn(one)), key=_turn)
    for every, some in groupby(turns, key=_turn):
        left |= {id(one) for nth, one in enumerate(some) if (nth + int(os.environ["SEED"])) % every}
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left])
    items[:] = [item for item in items if id(item) not in left]


_MANY_SLOW = {
    "check": 3, "docs": 3, "explain": 3, "fixtures": 3, "frameworks": 2, "plugin": 3, "remote": 2,
    "replay": 2, "replayability": 3, "soak": 3,
}  # fmt: skip
"""Directories with many slow tests of one thing each, whose fast ones run in every CI."""


def _turn(item: pytest.Item) -> int:
    """Of how many runs of CI a test is in one; 0 where it is in all."""
    marker = item.get_closest_marker("in_turn")
    if marker is not None:
        return int(marker.args[0]) if marker.args else 3
    slow = item.get_closest_marker("slow") is not None
    return _MANY_SLOW.get(item.path.parent.name, 0) if slow else 0


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("slow")
    return float(marker.args[0]) if marker is not None and marker.args else 0.0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Each test draws the same random numbers, whatever ran before it and in which process."""
    random.seed(f"{os.environ['SEED']} {item.nodeid}")
