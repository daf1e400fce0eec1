"""The code that a trace ran, laid out again: its commit, and over it what was not committed."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tracediff.config import Config, load_config
from tracediff.errors import ReplayError, TracediffError
from tracediff.model import Trace
from tracediff.recording.codeversion import blob_id
from tracediff.replay.revisions import LaidOut, laid_out

Source = Callable[[str, str], str | None]
"""Gives the text of a source file by path and git blob id, or None; ``codefiles.source_reader``."""

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCode:
    """The project as it was: its settings there, its commit if it has one, what is not as it was.

    ``laid`` is None where the recorded files stand in for the commit.
    """

    config: Config
    commit: str | None
    laid: LaidOut | None
    remarks: tuple[str, ...]


def recorded_commit(trace: Trace) -> str:
    """The commit a trace was recorded on.

    Raises:
        ReplayError: ``recorded-code-unknown``.
    """
    commit = trace.code.commit
    if commit is None or not _COMMIT.fullmatch(commit):
        raise ReplayError(
            f"the trace {trace.id} does not say on which commit it was recorded",
            slug="recorded-code-unknown",
            hint="record in a git work tree, or set TRACEDIFF_CODE_VERSION to the commit's id",
        )
    return commit


@contextlib.contextmanager
def recorded_code(
    trace: Trace, config: Config, load: Source | None = None
) -> Iterator[tuple[Config, str | None, tuple[str, ...]]]:
    """The project with the code that a trace ran: its commit, its own files laid over it.

    Gives the settings, the commit (None where there is none) and what is not as it was.

    Raises:
        TracediffError: Neither the commit nor the files are there.
    """
    with laid_out_again(trace, config, load) as found:
        yield found.config, found.commit, found.remarks


@contextlib.contextmanager
def laid_out_again(trace: Trace, config: Config, load: Source | None) -> Iterator[RecordedCode]:
    """As ``recorded_code``, with all that there is to know about it."""
    with contextlib.ExitStack() as entered:
        try:
            laid = entered.enter_context(laid_out(config, recorded_commit(trace)))
        except TracediffError as problem:
            files = _texts(trace, load, trace.code.files)
            if not files or None in files.values() or config.file is None:
                raise
            root = Path(entered.enter_context(tempfile.TemporaryDirectory(prefix="tracediff-")))
            shutil.copy(config.file, root / config.file.name)
            _lay_over(root, files)
            said = (problem.message, "the files that were recorded stand in for the commit")
            yield RecordedCode(config=load_config(root), commit=None, laid=None, remarks=said)
            return
        root = laid.config.root
        other = [name for name, blob in trace.code.files.items() if _blob(root, name) != blob]
        files = _texts(trace, load, other)
        _lay_over(root, files)
        remarks = (*laid.remarks, *_said(trace, files))
        yield RecordedCode(config=laid.config, commit=laid.commit, laid=laid, remarks=remarks)


def _said(trace: Trace, files: dict[str, str | None]) -> Iterator[str]:
    """What the files say that ran otherwise than they were committed."""
    missing = [name for name, text in files.items() if text is None]
    there = [name for name, text in files.items() if text is not None]
    dirty = trace.code.dirty
    if missing and dirty is not False:
        what = "the work tree had changes" if dirty else "it may have had changes"
        yield f"{what} that are not kept: {some(missing)}"
    elif missing:
        yield f"files that ran are not those of the commit, and are not kept: {some(missing)}"
    if there and dirty:
        yield f"the work tree had changes, which are laid over the commit: {some(there)}"
    elif there:
        yield f"files that ran are not those of the commit, and are laid over it: {some(there)}"
    if dirty and not files:
        yield "the work tree had changes, in none of the files that were loaded"


def _texts(trace: Trace, load: Source | None, names: Iterable[str]) -> dict[str, str | None]:
    return {name: load(name, trace.code.files[name]) if load else None for name in names}


def _inside(root: Path, name: str) -> Path | None:
    """A trace's path in a directory; it never leads out of it, nor through a link."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or "\0" in name:
        return None
    path, root = root / relative, root.resolve()
    parent = path.parent.resolve()
    return path if parent == root or root in parent.parents else None


def _blob(root: Path, name: str) -> str | None:
    path = _inside(root, name)
    try:
        return blob_id(path.read_bytes()) if path is not None and not path.is_symlink() else None
    except OSError:
        return None


def _lay_over(root: Path, files: dict[str, str | None]) -> None:
    """Write what is there."""
    for name, text in files.items():
        path = _inside(root, name)
        if text is None or path is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # never through a link
        path.write_text(text, encoding="utf-8", newline="")


def some(names: Sequence[str]) -> str:
    """The first of many names."""
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
