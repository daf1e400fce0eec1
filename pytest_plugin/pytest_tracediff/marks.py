"""The mark ``tracediff``: which pinned traces a test runs for, and how exactly it compares."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_tracediff.session import session_of
from tracediff.errors import TracediffError
from tracediff.expectations.rules import given_rules
from tracediff.model import Tolerance

CHOOSING = ("id", "key", "last")
COMPARING = ("rel_tol", "abs_tol", "ignore", "strict_steps")


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each trace its mark chooses."""
    chosen: dict[str, Any] = {}
    for mark in reversed(list(metafunc.definition.iter_markers("tracediff"))):
        _check(metafunc.definition.nodeid, mark)
        chosen |= {name: mark.kwargs[name] for name in CHOOSING if name in mark.kwargs}
    if not chosen:
        return
    name = metafunc.definition.nodeid
    if (
        "recorded_trace" not in metafunc.fixturenames
        and "replay_trace" not in metafunc.fixturenames
    ):
        raise pytest.UsageError(
            f"{name}: the mark tracediff chooses traces, but the test asks for neither "
            "recorded_trace nor replay_trace"
        )
    last = chosen.get("last")
    if last is not None and (not isinstance(last, int) or isinstance(last, bool) or last < 1):
        raise pytest.UsageError(f"{name}: last={last!r} is no number from 1 upwards")
    bench = session_of(metafunc.config).bench
    try:
        pinned = bench.choose(of_id=chosen.get("id"), key=chosen.get("key"), last=last)
    except TracediffError as error:
        raise pytest.UsageError(f"{name}: {error.message}; {error.hint}") from None
    if "recorded_trace" not in metafunc.fixturenames:
        metafunc.fixturenames.append("recorded_trace")
    directory = bench.options.directory
    metafunc.parametrize(
        "recorded_trace",
        [directory / one.file for one in pinned],
        indirect=True,
        ids=[f"{one.key.rpartition('/')[2]}-{one.id}" for one in pinned],
    )


def _check(name: str, mark: pytest.Mark) -> None:
    unknown = sorted(mark.kwargs.keys() - {*CHOOSING, *COMPARING})
    if unknown or mark.args:
        what = unknown[0] if unknown else repr(mark.args[0])
        raise pytest.UsageError(
            f"{name}: the mark tracediff has no argument {what}; it has "
            f"{', '.join((*CHOOSING, *COMPARING))}, all by name"
        )


def tolerances(item: Any) -> tuple[tuple[Tolerance, ...], bool | None]:
    """What a test's marks say about how exactly to compare, the outermost first."""
    rules: list[Tolerance] = []
    strict: bool | None = None
    for mark in reversed(list(item.iter_markers("tracediff"))):
        _check(item.nodeid, mark)
        given = {name: mark.kwargs[name] for name in COMPARING[:3] if name in mark.kwargs}
        try:
            rules += given_rules(**given, where=f"the mark of {item.name}")
        except TracediffError as error:
            raise pytest.UsageError(f"{error.message}; {error.hint}") from None
        strict = mark.kwargs.get("strict_steps", strict)
    return tuple(rules), strict
