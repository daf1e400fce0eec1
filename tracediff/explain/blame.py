"""Who brought a line, and who removed one. Nothing is run but git itself.

No shell, no pager, no hooks, external diffs or text conversions; git's optional locks are off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tracediff.explained import Blame
from tracediff.replay import layout

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_LINE = re.compile(r"([0-9a-f]{40,64}) (\d+) (\d+)(?: \d+)?")


def git(root: Path, *arguments: str, timeout: float = 30) -> str | None:
    """What git prints, None when it fails, takes longer or is not there."""
    try:
        said = layout.git(root, "--no-pager", "-c", "diff.external=", *arguments, timeout=timeout)
    except (OSError, ValueError):
        return None
    return said.encode(errors="surrogateescape").decode(errors="replace")


def blame(
    root: Path, path: str, lines: tuple[int, int], *, revision: str | None = None
) -> tuple[Blame, ...]:
    """Who last touched lines of a file, of the work tree or at a commit.

    Args:
        root: The project's directory.
        path: The file, relative to it.
        lines: The first and the last line, from 1.
        revision: The id of a commit; None for the work tree.

    Returns:
        One for each line; none for those where git cannot say. A shallow clone's oldest commit has
        all the lines that are older too, so of these nothing is said.
    """
    first, last = lines
    if revision is not None and not _COMMIT.fullmatch(revision):
        return ()
    at = [revision] if revision is not None else []
    said = git(root, "blame", "--porcelain", "--no-textconv", f"-L{first},{last}", *at, "--", path)
    if said is None:
        return ()
    known: dict[str, dict[str, str]] = {}
    found: list[tuple[int, str]] = []
    sha = ""
    for line in said.split("\n"):
        head = _LINE.fullmatch(line)
        if head is not None:
            sha = head[1]
            known.setdefault(sha, {})
            found.append((int(head[3]), sha))
        elif not line.startswith("\t") and sha:
            name, _, value = line.partition(" ")
            known[sha][name] = value
    if any("boundary" in one for one in known.values()) and layout.is_shallow(root):
        found = [(line, sha) for line, sha in found if "boundary" not in known[sha]]
    return tuple(_blame(line, sha, known[sha]) for line, sha in found)


def _blame(line: int, sha: str, fields: dict[str, str]) -> Blame:
    if not sha.strip("0"):
        return Blame(line=line, sha=None)
    date = None
    if fields.get("author-time", "").isdigit():
        date = datetime.fromtimestamp(int(fields["author-time"]), UTC)
    return Blame(
        line=line,
        sha=sha,
        author=fields.get("author", ""),
        date=date,
        subject=fields.get("summary", ""),
    )


def removed(
    root: Path, path: str, first: int, texts: Sequence[str], *, since: str, revision: str | None
) -> tuple[Blame, ...]:
    """Who removed lines of a file: for each the first commit that lacks it.

    Args:
        root: The project's directory.
        path: The file as it was called, relative to it.
        first: The number of the first of the lines as they were, from 1.
        texts: The lines themselves.
        since: The id of the commit that had them.
        revision: The id of a commit that has them no more; None for the work tree.

    Returns:
        One for each line; nothing where git cannot say, as of lines that were never committed.
    """
    end = revision or (git(root, "rev-parse", "--verify", "HEAD") or "").strip()
    if not _COMMIT.fullmatch(since) or not _COMMIT.fullmatch(end):
        return ()
    last = first + len(texts) - 1
    was = git(root, "cat-file", "blob", f"{since}:./{path}")
    if was is None or was.splitlines()[first - 1 : last] != list(texts):
        return ()
    if since == end:
        return (Blame(line=first, sha=None),) * len(texts)
    said = git(root, "blame", "--reverse", "--porcelain", "--no-textconv", f"-L{first},{last}",
               f"{since}..{end}", "--", path)  # fmt: skip
    heads = [head for line in (said or "").split("\n") if (head := _LINE.fullmatch(line))]
    found = [_after(root, path, head[1], end, int(head[3])) for head in heads]
    return tuple(one for one in found if one is not None)


def _after(root: Path, path: str, last: str, end: str, line: int) -> Blame | None:
    """The first commit after one that touched a file; the work tree after the end."""
    if last == end:
        return Blame(line=line, sha=None)
    said = git(root, "log", "--reverse", "--ancestry-path", "--format=%H%x00%an%x00%at%x00%s",
               f"{last}..{end}", "--", path)  # fmt: skip
    parts = (said or "").split("\n", 1)[0].split("\0")
    if len(parts) != 4:
        return None
    sha, author, time, subject = parts
    return _blame(line, sha, {"author": author, "author-time": time, "summary": subject})
