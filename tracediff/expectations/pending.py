"""Results that differ from what is expected, kept until somebody looks at them.

Each is two files of ``pending/`` in the directory of test results: the new trace, and a document
that says of what, written last, so that one without the other is not seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tracediff import codec
from tracediff.errors import CodecError, ExpectationError
from tracediff.expectations.files import (
    digest,
    read_document,
    unreadable,
    write_document,
    write_whole,  # fmt: skip
)
from tracediff.model import Trace

DIRECTORY = ".tracediff-tests"
"""Where the results of a project's tests are, beside its settings; ignored by git."""

SCHEMA = "tracediff/pending/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One result that waits. ``file`` is the expectation, relative to the project's directory.

    ``was`` is the sha256 of that file when it was compared, None where there is none yet.
    ``obstacle`` says why it cannot be accepted. ``report`` is the full comparison beside it.
    """

    id: str
    file: str
    test: str
    key: str
    cause: str
    cause_label: str
    summary: str
    where: str = ""
    was: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    made_at: int = 0
    obstacle: str | None = None
    report: str = ""


def pending_id(file: str) -> str:
    """The id of the result that waits for an expectation: one at a time, the newest."""
    return digest(file.encode("utf-8", "surrogatepass"))[:8]


class Results:
    """The directory with the results of test runs.

    Args:
        directory: ``.tracediff-tests`` of a project, or what CI kept of a run.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._pending = directory / "pending"

    def prepare(self) -> None:
        """Make the directory, ignored by git."""
        if not (self.directory / ".gitignore").exists():
            write_whole(self.directory / ".gitignore", b"*\n")

    def keep(self, pending: Pending, new: Trace, report: dict[str, Any] | None) -> Pending:
        """Keep a result; of one expectation the newest is kept.

        Raises:
            ExpectationError: ``expectation-unwritable``.
        """
        self.prepare()
        if report is not None:
            name = f"reports/{pending.id}.json"
            write_document(self.directory / name, report)
            pending = replace(pending, report=name)
        write_whole(self._pending / f"{pending.id}.trace", codec.dump(new))
        write_document(self._pending / f"{pending.id}.json", {"schema": SCHEMA, **asdict(pending)})
        return pending

    def all(self) -> list[Pending]:
        """What waits, by cause and file.

        Raises:
            ExpectationError: ``expectation-unreadable``.
        """
        found = [_read(path) for path in sorted(self._pending.glob("*.json"))]
        return sorted(found, key=lambda one: (one.cause_label, one.cause, one.file))

    def trace(self, pending: Pending) -> Trace:
        """The new trace of a result."""
        path = self._pending / f"{pending.id}.trace"
        try:
            return codec.load(path.read_bytes())
        except (OSError, CodecError) as error:
            raise unreadable(path, str(getattr(error, "strerror", None) or error)) from None

    def drop(self, pending_ids: Iterable[str]) -> None:
        """Forget results; what is not there is forgotten already."""
        for one in pending_ids:
            for name in (f"pending/{one}.json", f"pending/{one}.trace", f"reports/{one}.json"):
                with contextlib.suppress(
                    FileNotFoundError, NotADirectoryError
                ):  # forgotten already
                    (self.directory / name).unlink()


def _read(path: Path) -> Pending:
    document = read_document(path, SCHEMA)
    names = {one.name for one in fields(Pending)}
    try:
        found = Pending(**{name: value for name, value in document.items() if name in names})
    except TypeError as error:
        raise unreadable(path, str(error)) from None
    texts = (found.id, found.file, found.test, found.key, found.cause, found.cause_label,
             found.summary, found.where, found.report)  # fmt: skip
    if not all(isinstance(text, str) for text in texts) or found.id != path.stem:
        raise unreadable(path, "its fields are not those of a result")
    return found


def choose(pending: Sequence[Pending], named: Sequence[str]) -> list[Pending]:
    """The results that are named: by id, by cause, by file, by test, or the start of an id.

    Raises:
        ExpectationError: ``pending-unknown``.
    """
    chosen: dict[str, Pending] = {}
    for name in named:
        plain = name.removeprefix("./")
        found = [one for one in pending if plain in (one.id, one.cause, one.file, one.test)]
        if not found and len(name) >= 4:
            found = [one for one in pending if one.id.startswith(name)
                     or one.cause.startswith(name)]  # fmt: skip
        if not found:
            raise ExpectationError(
                f"no result that waits is called {name[:200]!r}",
                slug="pending-unknown",
                hint="`tracediff pending` lists the ids, causes and files of all that wait"
                if pending else "nothing waits: run the tests first",
            )  # fmt: skip
        chosen |= {one.id: one for one in found}
    return list(chosen.values())


def grouped(pending: Iterable[Pending]) -> list[tuple[str, str, list[Pending]]]:
    """Results by cause, the largest group first: (cause, what it is called, results)."""
    groups: dict[str, list[Pending]] = {}
    for one in pending:
        groups.setdefault(one.cause, []).append(one)
    ranked = sorted(groups.values(), key=lambda some: (-len(some), some[0].cause_label))
    return [(some[0].cause, some[0].cause_label, some) for some in ranked]
