"""What stands behind a cause: the lines that differ, and the commits that brought them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tracediff.explain.blame import blame, removed
from tracediff.explained import Blame, Cause, Hunk, Span, Unit

MOST_LINES = 200
"""How many lines of a hunk are kept."""


class Evidence:
    """Finds the hunks and the commits behind a cause.

    Args:
        old: The directory of the recorded code.
        since: Its commit.
        new: The directory of the other code.
        commit: Its commit, where it is not the work tree.
        root: The project's directory.
    """

    def __init__(
        self, old: Path, since: str | None, new: Path, commit: str | None, root: Path
    ) -> None:
        self._old, self._since, self._new, self._commit = old, since, new, commit
        self._root = root

    def of(self, cause: Cause) -> Cause:
        """The cause with its hunks and commits."""
        hunks = [hunk for unit in cause.units for hunk in self.hunks(unit)]
        commits: dict[str | None, Blame] = {}
        for hunk in hunks:
            for one in self.commits(hunk):
                commits.setdefault(one.sha, one)
        return replace(cause, hunks=tuple(hunks), commits=tuple(commits.values()))

    def hunks(self, unit: Unit) -> Iterator[Hunk]:
        """How the lines of a unit differ, of whatever files they are on the two sides."""
        before = self._lines(self._old, unit.old)
        after = self._lines(self._new, unit.new)
        old, new = unit.old or unit.new, unit.new or unit.old
        if old is None or new is None:
            return
        matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
        for tag, i, i_end, j, j_end in matcher.get_opcodes():
            if tag != "equal":
                lines = [f"-{line}" for line in before[i:i_end]]
                lines += [f"+{line}" for line in after[j:j_end]]
                yield Hunk(
                    old_path=old.file,
                    path=new.file,
                    old_line=old.first + i,
                    line=new.first + j,
                    lines=tuple(lines[:MOST_LINES]),
                )

    def _lines(self, root: Path, span: Span | None) -> list[str]:
        if span is None:
            return []
        try:
            text = (root / span.file).read_text("utf-8", errors="replace")
        except OSError:
            return []
        return text.splitlines()[span.first - 1 : span.last]

    def commits(self, hunk: Hunk) -> Sequence[Blame]:
        """Who brought the lines of a hunk, or took them away."""
        added = sum(line.startswith("+") for line in hunk.lines)
        revision = self._commit
        if added:
            lines = hunk.line, hunk.line + added - 1
            return blame(self._root, hunk.path, lines, revision=revision)
        if self._since is None:
            return ()
        texts = [line[1:] for line in hunk.lines]
        return removed(
            self._root, hunk.old_path, hunk.old_line, texts, since=self._since, revision=revision
        )
