"""Stores with millions of rows and no payloads, to search in, made in bulk: rows of a month.

The local one is kept in a cache directory (``BENCH_CACHE``), since millions of rows take minutes.
"""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.made_up import COUNTRIES
from tracediff.model import STATES, Row
from tracediff.stores.labels import row_labels
from tracediff.stores.local import INDEX, LocalStore
from tracediff.stores.mongo import MongoIndex
from tracediff.stores.rows import dump_row

START = 1_793_000_000 * 10**9
DAYS = 30
SPAN = DAYS * 86_400 * 10**9
SHAPES = 50_021
"""Rows that differ in more than their time; a prime, so that they meet all states and hours."""

BATCH = 20_000
_INSERT = """INSERT INTO traces (rowid, id, started_at, state, generation, blob, start, length, row)
VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?)"""
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_KINDS = ("one", "many", "quote")


def shape(number: int) -> Row:
    """A row of a pricing job, without its id, time and state."""
    dice = random.Random(number)
    product, store = number * 6, dice.randrange(300)
    country = dice.choice(COUNTRIES)
    return Row(
        id="", key=f"commodity/calculate/{dice.choice(_KINDS)}", state="success", started_at=0,
        duration=0, steps=dice.randrange(20, 90),
        tags=(f"ri:{product}", f"country:{country}"), meta=f"product_id={product} store_id={store}",
        context={"store": store}, job="pricing.job:calculate", commit="1a2b3c4d5e" * 4,
        outcome=dice.randbytes(16), path_signature=bytes([dice.randrange(12)]) * 16,
        location=("90/prod/20261125/01hk3v5x7z9b2d4f6h8k.seg", number * 6000, 6123),
    )  # fmt: skip


def moment(number: int, count: int) -> int:
    """When a row began: by day four times as many as by night."""
    share = number / count
    wave = 0.6 / (2 * math.pi * DAYS) * math.sin(2 * math.pi * DAYS * share)
    return START + int(SPAN * (share + wave))


def state(number: int) -> int:
    """One in a thousand failed, one in two hundred warned."""
    if number % 1000 == 0:
        return STATES.index("error")
    return STATES.index("warning" if number % 200 == 0 else "success")


def made_id(started_at: int, number: int) -> str:
    """As the recorder makes ids: milliseconds, then what makes them differ."""
    value = (started_at // 10**6) << 55 | number
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(95, -1, -5))


def rows(count: int) -> Iterator[Row]:
    """So many rows, oldest first."""
    shapes = [shape(number) for number in range(min(SHAPES, count))]
    for number in range(count):
        began = moment(number, count)
        yield replace(
            shapes[number % len(shapes)],
            id=made_id(began, number),
            state=STATES[state(number)],
            started_at=began,
            duration=_duration(number),
        )


def _duration(number: int) -> int:
    return int(10 ** (5.5 + 2.5 * ((number * 7919) % 1000) / 1000))


def local_project(count: int, *, kept: bool = True) -> Path:
    """The directory of a project whose local store holds so many rows.

    Args:
        count: How many.
        kept: Whether in the cache directory; else below the working directory.
    """
    cache = Path.home() / ".cache" / "tracediff-benchmarks"
    directory = Path(os.environ.get("BENCH_CACHE", cache) if kept else "rows").absolute()
    directory = directory / f"rows-{count}-1"
    if not (directory / "pyproject.toml").exists():
        directory.mkdir(parents=True, exist_ok=True)
        store = directory / ".tracediff"
        LocalStore(store).close()
        _fill(store / INDEX, count)
        (directory / "pyproject.toml").write_text("[tool.tracediff]\n")
    return directory


def fill_mongo(index: MongoIndex, count: int) -> None:
    """Insert so many rows into a MongoDB."""
    batch: list[Row] = []
    for row in rows(count):
        batch.append(row)
        if len(batch) == BATCH:
            index.create(batch)
            batch.clear()
    if batch:
        index.create(batch)


def _fill(path: Path, count: int) -> None:
    """What ``SqliteIndex.create`` would do, the labels all at once and in order."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000",
                        "threads = 2"):  # fmt: skip
            db.execute(f"PRAGMA {setting}")
        db.execute("DELETE FROM labels")
        db.execute("DELETE FROM traces")
        db.execute("CREATE TEMP TABLE shape_labels (shape INTEGER, label INTEGER)")
        db.execute("BEGIN")
        kinds = min(SHAPES, count)
        texts = []
        for number in range(kinds):
            row = shape(number)
            texts.append((_text(row), row.location))
            labels = [(number, label[0]) for label in row_labels(row)]
            db.executemany("INSERT INTO shape_labels VALUES (?, ?)", labels)
        db.execute("CREATE INDEX temp.by_shape ON shape_labels (shape, label)")
        for first in range(0, count, BATCH):
            values = _values(range(first, min(first + BATCH, count)), count, texts)
            db.executemany(_INSERT, values)
        states = " ".join(f"WHEN '{name}' THEN {at}" for at, name in enumerate(STATES))
        db.execute(
            f"INSERT INTO labels SELECT l.label, CASE t.state {states} END, t.started_at, t.id"
            f" FROM traces t JOIN shape_labels l ON l.shape = (t.rowid - 1) % {kinds}"
            " ORDER BY 1, 2, 3, 4"
        )
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()


def _text(row: Row) -> str:
    """The row's bytes with places for what differs."""
    fields = json.loads(dump_row(row))
    fields |= {"id": "@s", "state": "@s", "started_at": "@d", "duration": "@d"}
    text = json.dumps(fields, separators=(",", ":"))
    return text.replace("%", "%%").replace('"@d"', "%d").replace("@s", "%s")


def _values(
    numbers: range, count: int, texts: list[tuple[str, tuple[str, int, int]]]
) -> Iterator[tuple[object, ...]]:
    for number in numbers:
        text, location = texts[number % len(texts)]
        began, name = moment(number, count), STATES[state(number)]
        made = made_id(began, number)
        row = (text % (made, name, began, _duration(number))).encode("ascii")
        yield number + 1, made, began, name, *location, row
