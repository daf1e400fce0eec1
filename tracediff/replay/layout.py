"""A commit's files written into a directory, as a checkout would write them.

An index of its own, filled by ``git read-tree`` and written out by ``git checkout-index``: the
repository, its index and its list of work trees stay as they are. ``git worktree add`` would enter
itself in that list, and stay there when the process is killed; ``git archive`` leaves out what
``export-ignore`` names and rewrites what ``export-subst`` does. No hook runs; filters that git is
set to run at a checkout do, since the files were made with them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tracediff.recording.codeversion import git_environment

_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null",
          "-c", "core.splitIndex=false", "-c", "core.quotePath=false")  # fmt: skip
_POINTER = b"version https://git-lfs.github.com/spec/"
_SUBMODULE = "160000"


def lay_out(top: Path, commit: str, directory: Path, index: Path) -> tuple[str, ...]:
    """Write a commit's files.

    Args:
        top: The work tree of a repository that has the commit.
        commit: Its id.
        directory: Where the files go; it exists and is empty.
        index: A file for git's own use, which does not exist.

    Returns:
        What is not there as it is in a checkout, one sentence each.

    Raises:
        OSError: Git or the disk failed; the text is git's own.
    """
    told = {"GIT_INDEX_FILE": str(index)}
    git(top, "read-tree", "--no-sparse-checkout", commit, told=told)
    git(top, "checkout-index", "--all", "--force", "--quiet", f"--prefix={directory}/", told=told)
    said = list(_pointers(directory))
    if (directory / ".gitmodules").is_file():
        said += _submodules(top, directory, index)
    return tuple(said)


def git(
    top: Path,
    *arguments: str,
    told: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """What git prints.

    Raises:
        OSError: It is not there, failed, or took longer; the text is its own.
    """
    try:
        done = subprocess.run(
            ["git", *_QUIET, *arguments],
            cwd=top,
            env={**git_environment(), "GIT_TERMINAL_PROMPT": "0", **(told or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"git {arguments[0]} took longer than {timeout:g} s") from error
    if done.returncode:
        raise OSError(done.stderr.decode(errors="replace").strip() or f"git {arguments[0]} failed")
    return os.fsdecode(done.stdout)


def is_shallow(top: Path) -> bool:
    """Whether a clone lacks older commits."""
    try:
        return git(top, "rev-parse", "--is-shallow-repository").strip() == "true"
    except OSError:  # there is no repository, or no git
        return False


def _submodules(top: Path, directory: Path, index: Path) -> Iterator[str]:
    """Lay out the submodules that the work tree has too, and name the others."""
    for line in git(top, "ls-files", "--stage", "-z", told={"GIT_INDEX_FILE": str(index)}).split(
        "\0"
    ):
        what, _, name = line.partition("\t")
        if not what.startswith(_SUBMODULE):
            continue
        commit = what.split()[1]
        own, place = top / name, directory / name
        try:
            if not (own / ".git").exists():
                raise OSError("it is not checked out")
            place.mkdir(parents=True, exist_ok=True)
            yield from lay_out(own, commit, place, index.with_name(f"{index.name}-{commit}"))
        except OSError as error:
            yield f"the submodule {name} is left out: {error}"


def _pointers(directory: Path) -> Iterator[str]:
    """What Git LFS did not fetch: short files that say where the content is."""
    attributes = directory / ".gitattributes"
    if not attributes.is_file() or b"filter=lfs" not in attributes.read_bytes():
        return
    names = []
    for path in directory.rglob("*"):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > 1024:
            continue
        if path.read_bytes().startswith(_POINTER):
            names.append(path.relative_to(directory).as_posix())
    if names:
        shown = ", ".join(sorted(names)[:5]) + (" …" if len(names) > 5 else "")
        yield f"files that Git LFS has not fetched are only pointers: {shown}"
