"""Reading a local store without tracediff's stores, and writing a soak's figures into the docs.

The readers below follow docs/design.md and the docstring of tracediff/stores/segments.py. They
import nothing of the package: what they find is a second opinion.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import xxhash
import zstandard

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "soak.md"


@dataclass(frozen=True)
class StoredFrame:
    """A frame both of whose checksums hold."""

    place: tuple[str, int, int]
    id: str
    kind: int
    row: dict[str, Any]
    raw: bytes


def read_segment(path: Path) -> tuple[list[StoredFrame], int]:
    """The frames from the start of a segment on, and how many bytes behind them are none."""
    data = path.read_bytes()
    frames, at = [], 0
    while at + 56 <= len(data):
        head = data[at : at + 56]
        magic, version, kind, id_length = struct.unpack_from("<4sBBH", head)
        row_length, _generation, payload_length, raw_length = struct.unpack_from("<IIQQ", head, 8)
        start = at + 56 + id_length
        name, end = data[at + 56 : start], start + row_length + payload_length
        if (magic, version) != (b"\x89TDF", 1) or end > len(data):
            break
        if head[48:] != xxhash.xxh3_64_digest(head[:48] + name):
            break
        if head[32:48] != xxhash.xxh3_128_digest(data[start:end]):
            break
        row = json.loads(data[start : start + row_length]) if kind == 0 else {}
        raw = zstandard.decompress(data[start + row_length : end]) if kind == 0 else b""
        if len(raw) != raw_length:
            break
        place = (f"segments/{path.name}", at, end - at)
        frames.append(StoredFrame(place, name.decode("ascii"), kind, row, raw))
        at = end
    return frames, len(data) - at


@dataclass(frozen=True)
class Stored:
    """What a store's directory holds, by the segments and by the index."""

    frames: list[StoredFrame]
    beyond: int
    rows: dict[str, tuple[str, int, int]]


def read_rows(directory: Path) -> dict[str, tuple[str, int, int]]:
    """Each trace's place by the index, which is whole and in which each has its labels."""
    with closing(sqlite3.connect(directory / "index.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = {one: tuple(place) for one, *place in db.execute(
            "SELECT id, blob, start, length FROM traces")}  # fmt: skip
        labels = {one for (one,) in db.execute("SELECT DISTINCT id FROM labels")}
    assert labels == rows.keys()
    return rows


@pytest.fixture
def stored() -> Callable[[Path], Stored]:
    """A function that reads a store's directory."""

    def read(directory: Path) -> Stored:
        found = [read_segment(path) for path in sorted((directory / "segments").glob("*.seg"))]
        frames = [frame for some, _ in found for frame in some]
        return Stored(frames, sum(beyond for _, beyond in found), read_rows(directory))

    return read


@pytest.fixture
def rows() -> Callable[[Path], dict[str, tuple[str, int, int]]]:
    """A function that reads a store's index."""
    return read_rows


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a process that imports this checkout, with no settings of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRACEDIFF_", "COV_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def tracediff(environment) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs the command in a directory."""

    def run(directory: Path, *args: object, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tracediff", *map(str, args)],
            cwd=directory, env=environment, capture_output=True, text=True, check=False,
            timeout=options.pop("timeout", 100), **options,
        )  # fmt: skip

    return run


@pytest.fixture
def write_figures() -> Callable[[str, str, dict[str, str]], None]:
    """A function that puts one part's figures, each with its command, into docs/soak.md."""

    def write(part: str, command: str, figures: dict[str, str]) -> None:
        lines = ["| | figure | by |", "|---|---|---|"]
        lines += [f"| {name} | {figure} | `{command}` |" for name, figure in figures.items()]
        marks = rf"(<!-- {part}: [^\n]*-->\n)(?:.*?)(<!-- {part} end -->)"
        page = PAGE.read_text(encoding="utf-8")
        table = "\n".join(lines) + "\n"
        text, count = re.subn(
            marks, lambda found: found[1] + table + found[2], page, count=1, flags=re.DOTALL
        )
        assert count == 1, f"docs/soak.md has no marks for {part}"
        PAGE.write_text(text, encoding="utf-8")

    return write
