"""Statistics as a JSON document, for machines: ``tracediff/statistics/1``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracediff.model import STATES
from tracediff.reports import wording
from tracediff.reports.clean import clean
from tracediff.statistics.buckets import Bucket, Tally, together, took
from tracediff.statistics.checking import Checked, Rebuilt
from tracediff.statistics.durations import number
from tracediff.statistics.places import MINUTE
from tracediff.statistics.summary import Summary

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
"""The quantiles that are shown."""

ENDED = STATES[1:]


def summary_document(summary: Summary, tags: int) -> dict[str, Any]:
    """The document of a summary.

    Args:
        summary: What is said.
        tags: How many of the most frequent tags of each state.
    """
    return {
        "schema": "tracediff/statistics/1",
        "key": summary.key or None,
        "since": wording.iso(summary.first * MINUTE),
        "until": wording.iso(summary.end * MINUTE),
        "by": summary.by,
        "complete": summary.complete,
        "running": {"count": summary.running, "more": summary.more},
        "count": summary.total.count,
        "states": {
            state: _tally(summary.total.tallies[state], tags)
            for state in ENDED
            if state in summary.total.tallies
        },
        "durations": [
            [number(at), count]
            for at, count in sorted(together(summary.total).durations.items())
            if count > 0
        ],
        "parts": [
            {
                "since": wording.iso(one.first * MINUTE),
                "until": wording.iso(one.end * MINUTE),
                **_counts(one.bucket),
            }
            for one in summary.spans
        ],
    }


def check_document(checked: Iterable[Checked]) -> dict[str, Any]:
    """The document of a check: every bucket that is not right, and how many are."""
    found = list(checked)
    return {
        "schema": "tracediff/buckets/1",
        "equal": sum(one.equal is True for one in found),
        "unknown": sum(one.equal is None for one in found),
        "different": [
            {
                "resolution": one.place.resolution,
                "key": one.place.key or None,
                "since": wording.iso(one.place.start * MINUTE),
                "kept": one.kept,
                "rows": one.rows,
            }
            for one in found
            if one.equal is False
        ],
    }


def rebuilt_document(done: Rebuilt) -> dict[str, Any]:
    """The document of a rebuild."""
    return {
        "schema": "tracediff/recounted/1",
        "days": done.days,
        "rows": done.rows,
        "written": done.written,
        "left": done.left,
        "hurt": done.hurt,
    }


def named(tally: Tally, most: int) -> list[tuple[str, int]]:
    """The most frequent tags, as texts that can be shown."""
    found = sorted(tally.tags.items(), key=lambda one: (-one[1], one[0]))[:most]
    return [(clean(tag), count) for tag, count in found if count > 0]


def others(tally: Tally, shown: Iterable[tuple[str, int]]) -> int:
    """How many tags there are besides those."""
    return max(0, tally.tagged - sum(count for _, count in shown))


def _tally(tally: Tally, tags: int) -> dict[str, Any]:
    shown = named(tally, tags)
    return {
        "count": max(tally.count, 0),
        **{name: took(tally, share) for name, share in SHARES.items()},
        "tags": dict(shown),
        "other_tags": others(tally, shown),
    }


def _counts(bucket: Bucket) -> dict[str, Any]:
    whole = together(bucket)
    return {
        "count": bucket.count,
        "states": {state: bucket.of(state) for state in ENDED if bucket.of(state)},
        **{name: took(whole, share) for name, share in SHARES.items()},
    }
