"""Frames read without their libraries: what a report shows on a machine that has none of them."""

from tracediff.values.frames.columns import Column, Listed
from tracediff.values.frames.tables import KINDS, Table, table

__all__ = ["KINDS", "Column", "Listed", "Table", "table"]
