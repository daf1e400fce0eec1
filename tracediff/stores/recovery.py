"""What can be told from a local store's segments alone: rows that were never indexed, and hurt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.model import Query, Row
from tracediff.stores.failures import system_error
from tracediff.stores.liveness import living, settle
from tracediff.stores.open_segment import SUFFIX, Ownership
from tracediff.stores.places import SEGMENTS
from tracediff.stores.rows import frame_row
from tracediff.stores.segments import TOMBSTONE, Damage, Frame, good_end, newer_frame, scan
from tracediff.stores.sqlite_index import Entry, Progress, SqliteIndex
from tracediff.stores.tenants import TENANTS

_PAGE = 1000


def recover(directory: Path, index: SqliteIndex) -> None:
    """Index what processes that are gone left unindexed, and cut what they never finished.

    Segments of living processes are left alone, and so is everything when the disk is full: what
    is indexed already can still be read, and the next opening tries again.
    """
    marks = index.segments()
    for path in _paths(directory):
        start = marks.get(path.name, 0)
        try:
            if path.stat().st_size <= start:
                continue
            with Ownership(path) as file:
                if file is not None:
                    _index_segment(path, _key(directory, path), file, start, index)
        except FileNotFoundError:
            continue
        except StoreError as error:
            if error.slug != "store-full":
                raise
        except OSError as error:
            raise system_error(error, f"recover {path.name}") from error


def lose_dead(directory: Path, index: SqliteIndex) -> int:
    """Make the traces lost that run in no living process; returns how many that are.

    A process says that a trace is live before the index can know of it, so the index goes first.
    """
    page = index.search(Query(state="running", limit=_PAGE))
    running = list(page.rows)
    while page.cursor is not None:
        page = index.search(Query(state="running", limit=_PAGE, cursor=page.cursor))
        running += page.rows
    alive = living(directory) if running else set()
    # One that was written at once as it ran is as its writer wanted it.
    dead = [row for row in running if row.parts and row.id not in alive]
    lost = index.lose(dead) if dead else 0
    settle(directory, lambda rows: None)
    return lost


def hurt_frames(directory: Path) -> Iterator[str]:
    """One sentence for each stretch of a segment that is no good frame.

    A torn tail is not hurt: its writer lives and is about to finish it, or never said it was saved.
    """
    for path in _paths(directory):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            yield f"{_key(directory, path)} cannot be read: {error.strerror or error}"
            continue
        for found in scan(data):
            reason = _hurt(found)
            if reason:
                whose = f" (trace {found.id})" if found.id else ""
                yield f"{_key(directory, path)} at byte {found.offset}{whose}: {reason}"


def _paths(directory: Path) -> list[Path]:
    root = directory / SEGMENTS
    found = [*root.glob(f"*{SUFFIX}"), *root.glob(f"{TENANTS}/*/*{SUFFIX}")]
    # Reading a pipe would wait for ever, and cutting what a link names would cut another's file.
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def _key(directory: Path, path: Path) -> str:
    """The blob that a segment is in this store."""
    return path.relative_to(directory).as_posix()


def _hurt(found: Frame | Damage) -> str | None:
    if isinstance(found, Damage):
        return None if found.torn else found.reason
    if found.kind != TOMBSTONE and _row(found, "") is None:
        return "its row cannot be read"
    return None


def _row(frame: Frame, blob: str) -> Row | None:
    try:
        return frame_row(frame, blob)
    except ValueError:
        return None


def _index_segment(path: Path, key: str, file: int, start: int, index: SqliteIndex) -> None:
    data = path.read_bytes()[start:]
    items = list(scan(data, start))
    end = good_end(items, start)
    if (unknown := newer_frame(items)) is not None:
        end = unknown.offset  # a newer tracediff indexes it, and what follows once more
    if items and isinstance(items[-1], Damage) and items[-1].torn:
        os.ftruncate(file, items[-1].offset)
    frames = [one for one in items if isinstance(one, Frame)]
    rows = [(one, _row(one, key)) for one in frames if one.kind != TOMBSTONE]
    entries = [Entry(row, one.generation) for one, row in rows if row is not None]
    buried = {one.id: one.generation for one in frames if one.kind == TOMBSTONE}
    index.record(entries, tombstones=buried, progress=Progress(path.name, start, end))
