"""What a check of very many traces takes: ``python -m benchmarks.scale --traces 100e6 --cores 64``.

Nothing is measured here: the figures are parameters, and what they are by default was measured by
``python -m benchmarks.scale_measured`` and ``python -m benchmarks``, or is a list price.
docs/scale.md explains them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What the numbers are worked out from; each is an option of the command."""

    traces: float = 100e6
    cores: float = 64
    check_ms: float = 14
    efficiency: float = 0.85
    trace_bytes: float = 4_400
    per_segment: float = 1_000
    get_ms: float = 30.0
    reads_at_once: float = 1
    rows_second: float = 8_600
    row_bytes: float = 570
    result_bytes: float = 60
    batch: float = 500
    task_ms: float = 1.0
    worker_mb: float = 60
    core_hour: float = 0.045
    get_1000: float = 0.0004


HELP = {
    "traces": "how many are checked",
    "cores": "how many processors replay",
    "check_ms": "a processor's time for one trace: reading, replaying, comparing, writing it down",
    "efficiency": "the part of the processors' time that replays",
    "trace_bytes": "of a trace in a segment",
    "per_segment": "traces of one segment",
    "get_ms": "an answer of S3 takes",
    "reads_at_once": "requests that a worker has under way at once",
    "rows_second": "rows of the index that one reader gets",
    "row_bytes": "of a row in the check's journal",
    "result_bytes": "of an unchanged trace's result in it",
    "batch": "traces that a worker of a cluster is given at once",
    "task_ms": "of the cluster's scheduler for one batch",
    "worker_mb": "of memory of one worker",
    "core_hour": "dollars for a processor and an hour",
    "get_1000": "dollars for a thousand reads from S3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a check takes: hours unless it says otherwise, dollars as ``_usd``."""

    processor: float
    wall: float
    rows: float
    waiting_by_trace: float
    waiting_by_segment: float
    gigabytes: float
    megabytes_second: float
    by_trace_usd: float
    by_segment_usd: float
    processor_usd: float
    batches: float
    scheduler_part: float
    journal_gigabytes: float
    memory_gigabytes: float


def cost(given: Parameters) -> Cost:
    """Work it out."""
    processor = given.traces * given.check_ms / 1000 / HOUR / given.efficiency
    wall = processor / given.cores
    segments = given.traces / given.per_segment
    at_once = given.cores * given.reads_at_once
    batches = given.traces / given.batch
    return Cost(
        processor=processor,
        wall=wall,
        rows=given.traces / given.rows_second / HOUR,
        waiting_by_trace=given.traces * given.get_ms / 1000 / HOUR / at_once,
        waiting_by_segment=segments * given.get_ms / 1000 / HOUR / at_once,
        gigabytes=given.traces * given.trace_bytes / 1e9,
        megabytes_second=given.traces * given.trace_bytes / 1e6 / (wall * HOUR),
        by_trace_usd=given.traces / 1000 * given.get_1000,
        by_segment_usd=segments / 1000 * given.get_1000,
        processor_usd=processor * given.core_hour,
        batches=batches,
        scheduler_part=batches * given.task_ms / 1000 / (wall * HOUR),
        journal_gigabytes=given.traces * (given.row_bytes + given.result_bytes) / 1e9,
        memory_gigabytes=given.cores * given.worker_mb / 1000,
    )


def sample_for(part: float, *, least: int = 1, sure: float = 0.95) -> int:
    """How many traces, drawn at random, hold ``least`` of those that are this part of all.

    Args:
        part: How often it is met, as 1 / 10,000.
        least: How many must be there.
        sure: How surely.
    """
    if least == 1:
        return math.ceil(math.log(1 - sure) / math.log1p(-part))
    low, high = least, math.ceil(100 * least / part)
    while low < high:
        middle = (low + high) // 2
        if _at_least(least, middle, part) >= sure:
            high = middle
        else:
            low = middle + 1
    return low


def _at_least(least: int, drawn: int, part: float) -> float:
    """P(at least so many of so many that are drawn): one less the binomial's beginning."""
    missed = sum(
        math.exp(
            math.lgamma(drawn + 1) - math.lgamma(at + 1) - math.lgamma(drawn - at + 1)
            + at * math.log(part) + (drawn - at) * math.log1p(-part)
        )
        for at in range(min(least, drawn + 1))
    )  # fmt: skip
    return 1 - missed


def table(given: Parameters) -> Iterator[str]:
    """What is printed of a check."""
    found = cost(given)
    for what, value in (
        ("processor time", f"{found.processor:,.0f} hours"),
        (f"on {given.cores:g} processors", f"{found.wall:,.1f} hours"),
        ("processors", f"{found.processor_usd:,.2f} dollars"),
        ("rows from the index, one reader", f"{found.rows:,.1f} hours"),
        ("read from S3", f"{found.gigabytes:,.0f} GB, {found.megabytes_second:,.1f} MB/s"),
        ("one read a trace: waiting", f"{found.waiting_by_trace:,.1f} hours"),
        ("one read a trace: requests", f"{found.by_trace_usd:,.2f} dollars"),
        ("one read a segment: waiting", f"{found.waiting_by_segment:,.2f} hours"),
        ("one read a segment: requests", f"{found.by_segment_usd:,.2f} dollars"),
        ("batches", f"{found.batches:,.0f}"),
        ("of the scheduler's time", f"{found.scheduler_part:.2%}"),
        ("the check's journal on disk", f"{found.journal_gigabytes:,.1f} GB"),
        ("memory of the workers", f"{found.memory_gigabytes:,.1f} GB"),
    ):
        yield f"{what:32} {value}"


def samples() -> Iterator[str]:
    """How large a sample finds a cause, by how often it is met."""
    yield f"{'met in 1 of':>12} {'one of them':>12} {'five of them':>13}"
    for often in (100, 1_000, 10_000, 100_000, 1_000_000):
        one, five = (sample_for(1 / often, least=least) for least in (1, 5))
        yield f"{often:12,} {one:12,} {five:13,}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the numbers for these parameters, or the sizes of samples."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description="What a check of very many traces takes."
    )
    parser.add_argument("--samples", action="store_true", help="how large a sample must be instead")
    for one in fields(Parameters):
        option = f"--{one.name.replace('_', '-')}"
        parser.add_argument(
            option, type=float, default=one.default, metavar="X",
            help=f"{HELP[one.name]} ({one.default:g})",
        )  # fmt: skip
    options = vars(parser.parse_args(arguments))
    lines = samples() if options.pop("samples") else table(Parameters(**options))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
