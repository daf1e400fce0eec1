"""What many traces are like together: counts, durations and tags in buckets of time and key.

Pure: rows in, bytes out. A *delta* is what a batch of rows adds, a *bucket* what all batches added
to one minute, hour or day and one start of a key. A store keeps deltas with the rows, in their
transaction, and folds them into buckets when it has time.
"""

from tracediff.statistics.buckets import Bucket, Sum, Tally, merged
from tracediff.statistics.deltas import deltas
from tracediff.statistics.folding import Statistics, applied, counted, folded
from tracediff.statistics.places import KEPT_DAYS, WIDTHS, Place, Resolution, Run, runs

__all__ = [
    "KEPT_DAYS", "WIDTHS", "Bucket", "Place", "Resolution", "Run", "Statistics", "Sum", "Tally",
    "applied", "counted", "deltas", "folded", "merged", "runs",
]  # fmt: skip
