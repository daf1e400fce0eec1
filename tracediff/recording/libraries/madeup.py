"""What a statement is answered in a replay that goes on although nothing of it is recorded."""

from __future__ import annotations

import re
from typing import Any

from tracediff import values
from tracediff.recording.buffers import Buffer
from tracediff.recording.libraries.statements import changing, returned, selected, subject

_BATCH = re.compile(r"__(\d+)$")
_ID = re.compile(r"(?:^|_)id(?:__\d+)?$", re.IGNORECASE)
_KEY = "made-up ids"


def made_up(
    buffer: Buffer, sql: str, shown: Any, count: int
) -> tuple[dict[str, Any], list[tuple[Any, ...]] | None]:
    """What the cursor says of the statement, and its rows; None where nothing stands for them.

    A query gives no row. Rows that were inserted get ids of their own, below zero, since what the
    program does with a new object begins with its id; what else is asked of them is a placeholder.

    Args:
        buffer: The trace.
        sql: The statement.
        shown: Its parameters, by name where that is clear.
        count: How often it runs.
    """
    if not changing(sql):
        columns = selected(sql)
        return ({"columns": columns} if columns else {}), []
    wanted = returned(sql)
    if not subject(sql).startswith("INSERT "):
        return {"rowcount": count}, None if wanted else []
    ids = _ids(buffer, max(count, _rows(shown)), subject(sql))
    said: dict[str, Any] = {"rowcount": len(ids), "lastrowid": ids[-1]}
    if wanted:
        said["columns"] = wanted
    return said, [tuple(_cell(at, name, one) for at, name in enumerate(wanted)) for one in ids]


def _rows(shown: Any) -> int:
    """How many rows one INSERT makes."""
    if isinstance(shown, list):
        return max(1, len(shown))
    if not isinstance(shown, dict):
        return 1
    batches = [found for found in map(_BATCH.search, shown) if found is not None]
    return max((int(found[1]) + 1 for found in batches), default=1)


def _ids(buffer: Buffer, count: int, what: str) -> list[int]:
    """Ids that rise within a statement, as a database gives them."""
    before = buffer.reached.get(_KEY, 0)
    buffer.reached[_KEY] = before + count
    buffer.warn(
        f"{what!r} is not in the recording and was not run: its rows have the ids "
        f"{-before - count} to {-before - 1}, which are made up"
    )
    return list(range(-before - count, -before))


def _cell(at: int, name: str, made: int) -> Any:
    if at == 0 or _ID.search(name):
        return made
    return values.Placeholder(
        values.Opaque("sqlalchemy:column", f"{name} of a row that was not inserted", None)
    )
