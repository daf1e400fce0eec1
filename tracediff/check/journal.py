"""What a check has found so far, on disk: an interrupted one goes on where it stopped.

    .tracediff/check/<start>/rows       what was selected, in order
    .tracediff/check/<start>/results    what came of it, in the order in which it came

Both are records behind their length and checksum; a torn tail is cut. While a check runs it holds a
lock on its rows, which ends with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import ormsgpack

from tracediff.check.results import (
    Work,
    amount_text,
    bytes_of,
    pack_result,
    text_amount,
    unpack_result,
)
from tracediff.checked import Change, Result, Shares
from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores.rows import dump_row, load_row

DIRECTORY = ".tracediff/check"
SCHEMA = 1
MOST_KEPT = 3
"""How many checks that were not finished are kept."""
_HEAD = 8
_LARGEST = 1 << 28
_EVERY = 0.5
"""Seconds after which what was written is handed to the system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What a check was begun with.

    ``state`` is that of the code, ``store`` the name or URL that was given, ``explain`` how many
    are explained at most, ``selected`` how many traces of the ``matching`` ones are checked.
    ``whole`` says that those are all of the jobs below ``key``.
    """

    state: str
    store: str | None
    work: Work
    explain: int | None
    matching: int
    selected: int
    key: str | None = None
    whole: bool = False

    def packed(self) -> list[Any]:
        """As it is written."""
        work = self.work.packed()
        counts = [self.explain, self.matching, self.selected]
        return [self.state, self.store, work, *counts, self.key, self.whole]

    @classmethod
    def unpacked(cls, told: list[Any]) -> Begun:
        """What was written."""
        state, store, work, explain, matching, selected, key, whole = told
        return cls(
            state=state, store=store, work=Work.unpacked(work), explain=explain,
            matching=matching, selected=selected, key=key, whole=whole,
        )  # fmt: skip


class Journal:
    """One check's records, as a context; they go with the check unless it is interrupted.

    Args:
        directory: Where they are.
        resumable: Whether they are kept when the check does not end.
    """

    def __init__(self, directory: Path, *, resumable: bool) -> None:
        self.directory, self.resumable = directory, resumable
        self.begun: Begun | None = None
        self.finished = False
        self.done = self.skipped = 0
        self._rows = _Records(directory / "rows")
        self._results = _Records(directory / "results")
        self._changes: dict[str, Change] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rows.close()
        self._results.close()
        if self.finished or not (self.resumable and self.done):
            shutil.rmtree(self.directory, ignore_errors=True)

    def select(self, rows: Iterable[Row]) -> int:
        """Write what is selected; how many traces that is."""
        count = 0
        for row in rows:
            self._rows.add([dump_row(row), list(row.location)])
            count += 1
        self._rows.flush()
        return count

    def begin(self, begun: Begun) -> None:
        """Write what the check is; without it nothing is resumed."""
        self.begun = begun
        self._results.add(["h", SCHEMA, begun.packed()])

    def add(self, one: Result) -> None:
        """Keep what came of a trace."""
        same = one.kind == "same" and not (one.attributes or one.ran)
        self._results.add(["=", one.id, one.key] if same else ["r", pack_result(one)])
        self.done += 1

    def skip(self, row: Row) -> None:
        """A trace that need not be replayed."""
        self._results.add(["u", row.id])
        self.done += 1
        self.skipped += 1

    def explain(self, one: Shares) -> None:
        """Keep why a trace changed."""
        for change in one.changes:
            if change.id not in self._changes:
                self._changes[change.id] = change
                self._results.add(["c", _packed_change(change)])
        self._results.add(["s", _packed_shares(one)])

    def cover(self, name: str, accepted: Iterable[str]) -> None:
        """Keep that these accepted causes alone explain a trace."""
        self._results.add(["a", name, sorted(accepted)])

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._results.flush()

    def rows(self) -> Iterator[Row]:
        """What was selected."""
        for data, (blob, start, length) in self._rows.read():
            yield load_row(data, (blob, start, length))

    def left(self) -> Iterator[Row]:
        """What was selected and has no result yet."""
        known = self._known() if self.done else frozenset()
        return (row for row in self.rows() if row.id not in known)

    def _known(self) -> frozenset[str]:
        return frozenset(
            body if kind == "u" else (body if kind == "=" else body[0][0])
            for kind, body, *_ in self._results.read()
            if kind in ("=", "r", "u")
        )

    def results(self) -> Iterator[Result]:
        """What came of the traces that were replayed."""
        for kind, *body in self._results.read():
            if kind == "=":
                yield Result(id=body[0], key=body[1], kind="same")
            elif kind == "r":
                yield unpack_result(body[0])

    def shares(self) -> Iterator[Shares]:
        """Why traces changed."""
        for kind, *body in self._results.read():
            if kind == "c":
                change = _change(body[0])
                self._changes[change.id] = change
            elif kind == "s":
                yield _shares(body[0], self._changes)

    def covered(self, accepted: Iterable[str]) -> frozenset[str]:
        """The ids of the traces that these accepted causes alone explain.

        What others explained, before the check was interrupted, is not among them.
        """
        causes = sorted(accepted)
        return frozenset(
            body[0] for kind, *body in self._results.read() if kind == "a" and body[1] == causes
        )

    def reopen(self) -> Begun:
        """Read what an interrupted check has left.

        Raises:
            StoreError: ``check-not-resumable``: it is of another version, or hurt.
        """
        try:
            kind, schema, told = next(self._results.read())
            if (kind, schema) != ("h", SCHEMA):
                raise ValueError(f"it is of schema {schema!r}")
            self.begun = begun = Begun.unpacked(told)
            self.done = len(self._known())
            self.skipped = sum(kind == "u" for kind, *_ in self._results.read())
        except (StopIteration, OSError, ValueError, TypeError, KeyError, IndexError) as error:
            raise StoreError(
                f"the interrupted check cannot be read: {error!r}",
                slug="check-not-resumable",
                hint="start it again without --resume",
            ) from None
        return begun


def new_journal(root: Path) -> Journal:
    """A new journal in a project, elsewhere where nothing can be written there.

    Of checks that were interrupted the newest are kept.
    """
    place = root / DIRECTORY
    try:
        place.mkdir(parents=True, exist_ok=True)
        ignore = place.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        _forget(place)
        name = f"{time.time_ns():020}-{os.getpid()}"
        (place / name).mkdir()
        return Journal(place / name, resumable=True)
    except OSError:
        return Journal(Path(tempfile.mkdtemp(prefix="tracediff-")), resumable=False)


def interrupted(root: Path) -> Journal:
    """The journal of the newest check that was interrupted.

    Raises:
        StoreError: ``check-not-resumable``: there is none, or it cannot be read.
    """
    for directory in reversed(_all(root / DIRECTORY)):
        journal = Journal(directory, resumable=True)
        if journal._rows.free():  # noqa: SLF001 - of this module
            return journal
        journal._rows.close()  # noqa: SLF001 - as above
    raise StoreError(
        "no check was interrupted here",
        slug="check-not-resumable",
        hint="start one without --resume",
    )


def _forget(place: Path) -> None:
    for directory in _all(place)[:-MOST_KEPT]:
        records = _Records(directory / "rows")
        free = records.free()
        records.close()
        if free:
            shutil.rmtree(directory, ignore_errors=True)


def _all(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(one.parent for one in place.glob("*/rows"))


class _Records:
    """A file of records, to be added to and read from the start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._flushed = 0.0

    def add(self, record: Any) -> None:
        body = bytes_of(record)
        if self._file is None:
            self._file = self._opened()
        head = len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big")
        now = time.monotonic()
        try:
            self._file.write(head + body)
            if now - self._flushed > _EVERY:
                self._flushed = now
                self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def free(self) -> bool:
        """Whether no other process works on it; it is held from now on."""
        if self._file is None:
            self._file = self._opened()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _opened(self) -> IO[bytes]:
        """The file, without a record that was torn."""
        file = self._path.open("ab")
        file.truncate(sum(size for size, _ in self._walked()))
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file

    def flush(self) -> None:
        try:
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self._path} cannot be written: {error.strerror or error}",
            slug="store-unwritable",
            hint="make room, then `tracediff check --resume`",
        )

    def read(self) -> Iterator[Any]:
        self.flush()
        return (ormsgpack.unpackb(body) for _, body in self._walked())

    def _walked(self) -> Iterator[tuple[int, bytes]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            while len(head := file.read(_HEAD)) == _HEAD:
                size = int.from_bytes(head[:4], "big")
                body = file.read(size) if size <= _LARGEST else b""
                if len(body) != size or zlib.crc32(body) != int.from_bytes(head[4:], "big"):
                    return
                yield _HEAD + size, body

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written was told before
                self._file.close()
            self._file = None


def _packed_change(one: Change) -> list[Any]:
    return [one.id, list(one.units), one.kind, one.file, one.line, list(one.hunk), one.commit]


def _change(told: list[Any]) -> Change:
    name, units, kind, file, line, hunk, commit = told
    return Change(
        id=name, units=tuple(units), kind=kind, file=file, line=line, hunk=tuple(hunk),
        commit=commit,
    )  # fmt: skip


def _packed_shares(one: Shares) -> list[Any]:
    return [
        one.id,
        [change.id for change in one.changes],
        {name: list(map(amount_text, amounts)) for name, amounts in one.numbers.items()},
        {name: list(places) for name, places in one.others.items()},
        list(one.noise),
        list(one.unproven),
        one.refused,
    ]


def _shares(told: list[Any], changes: dict[str, Change]) -> Shares:
    name, causes, numbers, others, noise, unproven, refused = told
    return Shares(
        id=name,
        changes=tuple(changes[one] for one in causes),
        numbers={
            field: tuple(text_amount(one) or Fraction(0) for one in amounts)
            for field, amounts in numbers.items()
        },
        others={field: tuple(places) for field, places in others.items()},
        noise=tuple(noise),
        unproven=tuple(unproven),
        refused=refused,
    )
