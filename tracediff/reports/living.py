"""How reports tell of traces whose jobs still run, and of those that were lost.

Both were last heard of ``duration`` after their start: when their last part was written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tracediff.model import Row, Step, Trace
from tracediff.reports import wording

QUIET: Final = 60 * 10**9
"""Nanoseconds of silence after which a running job is no longer taken to be well."""

_MISSED: Final = 4
"""Parts that did not come."""


def quiet_after(bumps: Iterable[float]) -> int:
    """Return after how many nanoseconds of silence to say so, of jobs whose parts are so far apart.

    Args:
        bumps: The settings ``bump_every``, in seconds.
    """
    return max(QUIET, round(_MISSED * max(bumps, default=0) * 10**9))


def is_quiet(one: Row | Trace, now: int, quiet: int = QUIET) -> bool:
    """Return whether a running trace has not been heard of for long.

    Args:
        one: The trace, or its row.
        now: Nanoseconds since the epoch.
        quiet: How long is long, in nanoseconds: several times what its parts are apart.
    """
    return now - heard_at(one) > quiet


def heard_at(one: Row | Trace) -> int:
    """Return when the last part of a running or lost trace was written."""
    return one.started_at + max(one.duration, 0)


def took(one: Row | Trace, now: int, quiet: int = QUIET) -> int:
    """Return how long a trace took; of one that runs until now, as long as it is heard of."""
    if one.state != "running" or is_quiet(one, now, quiet):
        return one.duration
    return max(now - one.started_at, one.duration)


def heard(one: Row | Trace, now: int, quiet: int = QUIET) -> str:
    """Return ``last heard of 12 s ago``, or ``not heard of for 2 h``."""
    age = wording.age(heard_at(one), now)
    if is_quiet(one, now, quiet):
        return f"not heard of for {age.removesuffix(' ago')}"
    return f"last heard of {'just now' if age == 'in the future' else age}"  # its clock is ahead


def standing(one: Row | Trace, now: int, *, parts: int = 0, quiet: int = QUIET) -> str:
    """Return how it stands with a running or lost trace; nothing for one that has ended.

    Args:
        one: The trace, or its row.
        now: Nanoseconds since the epoch.
        parts: How many parts of it are known, 0 when nobody can tell.
        quiet: As for ``is_quiet``.
    """
    lasted = wording.lasted(took(one, now, quiet))
    last = f"part {parts - 1:,}" if parts else ""
    if one.state == "running" and is_quiet(one, now, quiet):
        since = f", since {last}" if last else ""
        return f"running for {lasted} when last heard of; {heard(one, now, quiet)}{since}"
    last = f", {last}" if last else ""
    if one.state == "running":
        return f"running for {lasted} so far; {heard(one, now, quiet)}{last}"
    if one.state == "lost":
        age = wording.age(heard_at(one), now)
        return (
            f"lost after {lasted}: its process ended before its job did; last heard of {age}{last}"
        )
    return ""


def open_for(trace: Trace, step: Step) -> str:
    """Return how long a step is open of a trace that runs or was lost; nothing for any other.

    That is until the last part: the step may have ended since.
    """
    if not step.open or trace.state not in ("running", "lost"):
        return ""
    lasted = wording.lasted(max(trace.duration - step.start, 0))
    if trace.state == "lost":
        return f"open for {lasted} when it was lost"
    return f"running for {lasted} so far"
