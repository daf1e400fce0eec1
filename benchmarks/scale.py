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
    check_ms: float = 11
    efficiency: float = 0.85
    trace_bytes: float = 4_400
    per_read: float = 20
    get_ms: float = 30.0
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
    "per_read": "traces that one read of S3 gives",
    "get_ms": "an answer of S3 takes",
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
    waiting_apart: float
    waiting_together: float
    gigabytes: float
    megabytes_second: float
    apart_usd: float
    together_usd: float
    processor_usd: float
    batches: float
    scheduler_part: float
    journal_gigabytes: float
    memory_gigabytes: float


def cost(given: Parameters) -> Cost:
    """Work it out."""
    processor = given.traces * given.check_ms / 1000 / HOUR / given.efficiency
    wall = processor / given.cores
    reads = given.traces / given.per_read
    batches = given.traces / given.batch
    return Cost(
        processor=processor,
        wall=wall,
        rows=given.traces / given.rows_second / HOUR,
        waiting_apart=given.traces * given.get_ms / 1000 / HOUR / given.cores,
        waiting_together=reads * given.get_ms / 1000 / HOUR / given.cores,
        gigabytes=given.traces * given.trace_bytes / 1e9,
        megabytes_second=given.traces * given.trace_bytes / 1e6 / (wall * HOUR),
        apart_usd=given.traces / 1000 * given.get_1000,
        together_usd=reads / 1000 * given.get_1000,
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
        ("processor time", _span(found.processor)),
        (f"on {given.cores:g} processors", _span(found.wall)),
        ("processors", f"{found.processor_usd:,.2f} dollars"),
        ("rows from the index, one reader", _span(found.rows)),
        ("read from S3", f"{found.gigabytes:,.3g} GB, {found.megabytes_second:,.1f} MB/s"),
        ("one read a trace, waited for", _span(found.waiting_apart)),
        ("one read a trace, requests", f"{found.apart_usd:,.2f} dollars"),
        ("several at once, waited for", _span(found.waiting_together)),
        ("several at once, requests", f"{found.together_usd:,.2f} dollars"),
        ("batches", f"{found.batches:,.0f}"),
        ("of the scheduler's time", f"{found.scheduler_part:.2%}"),
        ("the check's journal on disk", f"{found.journal_gigabytes:,.1f} GB"),
        ("memory of the workers", f"{found.memory_gigabytes:,.1f} GB"),
    ):
        yield f"{what:32} {value}"


def _span(hours: float) -> str:
    for unit, size in (("hours", 1.0), ("minutes", 60.0)):
        if hours * size >= 1:
            return f"{hours * size:,.{0 if hours * size >= 100 else 1}f} {unit}"
    return f"{hours * HOUR:,.0f} seconds"


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
