"""What the differences of two frames come to, in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from tracediff.model import Aspect, Divergence, FrameChange
from tracediff.reports.clean import clean
from tracediff.reports.excerpt import cut
from tracediff.reports.wording import field_path, many

_NAMED: Final = 5
_NAME: Final = 40


def told(divergence: Divergence, aspect: Aspect) -> list[str]:
    """Return a line for each frame of an aspect that differs."""
    return [line(one) for one in divergence.frames.get(aspect, ())]


def line(one: FrameChange) -> str:
    """Return ``4 × 3 frame, rows matched by index: 2 cells changed in 2 rows``."""
    place = field_path(one.path)
    shape = _shape(one.old)
    if one.new != one.old:
        shape = f"{shape} → {_shape(one.new)}"
    counts = ", ".join(_counts(one)) or "no cell, row or column differs"
    by = cut(clean(one.matched), 2 * _NAME)
    said = f"{shape} frame, rows matched by {by}: {counts}"
    return f"{place}: {said}" if place else said


def _shape(shape: tuple[int, int]) -> str:
    return f"{shape[0]:,} × {shape[1]:,}"


def _counts(one: FrameChange) -> Iterator[str]:
    if one.columns_added:
        yield f"{many(len(one.columns_added), 'column')} added ({_names(one.columns_added)})"
    if one.columns_removed:
        yield f"{many(len(one.columns_removed), 'column')} removed ({_names(one.columns_removed)})"
    if one.retyped:
        yield f"{many(len(one.retyped), 'column')} of another type ({_names(one.retyped)})"
    if one.rows_added:
        yield f"{many(one.rows_added, 'row')} added"
    if one.rows_removed:
        yield f"{many(one.rows_removed, 'row')} removed"
    if one.cells_changed:
        changed = f"{many(one.cells_changed, 'cell')} changed in {many(one.rows_changed, 'row')}"
        left = one.cells_changed - one.cells_listed
        yield f"{changed} ({one.cells_listed:,} listed)" if left else changed
    if one.cells_within:
        yield f"{many(one.cells_within, 'cell')} within tolerance"


def _names(names: Sequence[str]) -> str:
    some = ", ".join(cut(clean(name), _NAME) for name in names[:_NAMED])
    return f"{some}, …" if len(names) > _NAMED else some


def document(one: FrameChange) -> dict[str, Any]:
    """Return the JSON form of what the differences come to."""
    return {
        "path": list(one.path),
        "kind": one.kind,
        "old": {"rows": one.old[0], "columns": one.old[1]},
        "new": {"rows": one.new[0], "columns": one.new[1]},
        "matched": one.matched,
        "rows": {"added": one.rows_added, "removed": one.rows_removed, "changed": one.rows_changed},
        "cells": {
            "changed": one.cells_changed,
            "listed": one.cells_listed,
            "within": one.cells_within,
        },
        "columns": {
            "added": list(one.columns_added),
            "removed": list(one.columns_removed),
            "retyped": list(one.retyped),
        },
    }
