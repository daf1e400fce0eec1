"""The project's code as it was at a git revision, laid out beside the work tree.

``git archive`` writes it into a directory of its own: the repository, its index and its list of
work trees stay untouched, and nothing that is not committed gets in.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tracediff.config import Config, load_config
from tracediff.errors import ReplayError
from tracediff.recording.codeversion import git_environment
from tracediff.stores.configured import local_directory


@contextlib.contextmanager
def checked_out(config: Config, revision: str) -> Iterator[tuple[Config, str]]:
    """The settings of the project as it was at a revision, and that revision's commit id.

    Args:
        config: The settings of the project as it is now.
        revision: Whatever git takes for a commit.

    Raises:
        ReplayError: ``revision-unknown``, ``revision-unreadable`` or ``revision-without-settings``.
    """
    import tempfile  # the process that replays does without

    commit = _git(config.root, "rev-parse", "--verify", "--quiet", "--end-of-options",
                  f"{revision}^{{commit}}", revision=revision).strip()  # fmt: skip
    top = Path(_git(config.root, "rev-parse", "--show-toplevel", revision=revision).rstrip("\n"))
    with tempfile.TemporaryDirectory(prefix="tracediff-") as directory:
        _lay_out(top, commit, Path(directory))
        root = Path(directory) / config.root.relative_to(top)
        then = load_config(root) if root.is_dir() else None
        if then is None or then.file is None or Path(directory) not in then.file.parents:
            raise ReplayError(
                f"at {revision} the project has no [tool.tracediff] in its pyproject.toml",
                slug="revision-without-settings",
                hint="name a revision at which the jobs were recorded with tracediff already",
            )
        yield then, commit


def environment_at(config: Config, commit: str | None) -> dict[str, str]:
    """What the process of a replay at a commit is told: which commit, and the project's own store.

    The store's redaction key seals secrets there as in the recording, so that they compare.
    """
    store = local_directory(config)
    told = {"TRACEDIFF_STORE": str(store)} if store is not None else {}
    return {**told, "TRACEDIFF_CODE_VERSION": commit} if commit is not None else told


def _lay_out(top: Path, commit: str, directory: Path) -> None:
    """Write a commit's files; tar's own filter keeps every one of them inside the directory."""
    import tarfile  # as above
    import tempfile

    with tempfile.TemporaryFile() as archive:
        done = subprocess.run(
            ["git", "archive", "--format=tar", commit],
            cwd=top,
            env=git_environment(),
            stdin=subprocess.DEVNULL,
            stdout=archive,
            stderr=subprocess.PIPE,
            check=False,
        )
        archive.seek(0)
        try:
            if done.returncode:
                raise tarfile.TarError(done.stderr.decode(errors="replace").strip())
            with tarfile.open(fileobj=archive) as tar:
                tar.extractall(directory, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise ReplayError(
                f"the files of {commit[:12]} cannot be laid out: {error}",
                slug="revision-unreadable",
                hint="check that the commit is whole and the temporary directory has room",
            ) from None


def _git(root: Path, *arguments: str, revision: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=git_environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise _unknown(root, revision, str(error.strerror or error)) from None
    if done.returncode:
        raise _unknown(root, revision, done.stderr.strip() or "git knows no such commit")
    return done.stdout


def _unknown(root: Path, revision: str, why: str) -> ReplayError:
    return ReplayError(
        f"{revision!r} names no commit of the repository of {root}: {why}",
        slug="revision-unknown",
        hint="name a commit, branch or tag; `git log --oneline` lists the commits",
    )
