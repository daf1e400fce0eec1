"""What every test gets: a Hypothesis profile, a seed, and no settings of the user's own."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import settings

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, database=None, print_blob=True)
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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Each test draws the same random numbers, whatever ran before it and in which process."""
    random.seed(f"{os.environ['SEED']} {item.nodeid}")
