"""The cells of one frame, by the paths that a comparison gives them."""

from __future__ import annotations

from typing import Any

from tracediff import values
from tracediff.compare.rowmatching import matched
from tracediff.values.frames import table

Cell = tuple[tuple[str | int, ...], Any]


def cells_of(record: values.Record, most: int) -> list[Cell] | None:
    """The cells of a frame by column and row, and what else it is made of.

    Args:
        record: An inert value of a library.
        most: How many cells a frame may have.

    Returns:
        None for what is no frame, or a larger one.
    """
    data = values.encode(record)
    found = table(record, len(data))
    if found is None or found.rows * max(1, len(found.columns)) > most:
        return None
    rows = matched(found, found, ())
    labels = [rows.label(at) for at in range(found.rows)]
    cells: list[Cell] = [((name,), one) for name, one in found.rest.items()]
    for name, column in zip(found.names, found.columns, strict=True):
        cells.append(((name, "dtype"), column.dtype))
        read = column.cells(0, found.rows)
        cells += [((name, label), cell) for label, cell in zip(labels, read, strict=True)]
    return cells
