"""The project's code as it was at a git revision, laid out beside the work tree."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tracediff.config import Config, load_config
from tracediff.errors import ConfigError, ReplayError
from tracediff.replay import placing
from tracediff.replay.ignored import LaidOver, lay_over
from tracediff.replay.layout import git, is_shallow, lay_out
from tracediff.stores.configured import local_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """A commit's files in a directory, with those that git ignores in the work tree beside them.

    ``config`` are the project's settings there, ``directory`` is where the repository's top is,
    and ``tree`` the work tree that it stands for. ``remarks`` say what is not there as in a
    checkout.
    """

    config: Config
    commit: str
    directory: Path
    tree: Path
    ignored: LaidOver
    remarks: tuple[str, ...] = ()


@contextlib.contextmanager
def checked_out(config: Config, revision: str) -> Iterator[tuple[Config, str]]:
    """The settings of the project as it was at a revision, and that revision's commit id.

    Args:
        config: The settings of the project as it is now.
        revision: Whatever git takes for a commit.

    Raises:
        ReplayError: ``revision-unknown``, ``revision-unreadable`` or ``revision-without-settings``.
    """
    with laid_out(config, revision) as found:
        yield found.config, found.commit


@contextlib.contextmanager
def laid_out(config: Config, revision: str) -> Iterator[LaidOut]:
    """As ``checked_out``, with all that there is to know about it."""
    import tempfile  # the process that replays does without

    commit = _asked(config.root, revision, "rev-parse", "--verify", "--quiet",
                    "--end-of-options", f"{revision}^{{commit}}")  # fmt: skip
    top = Path(_asked(config.root, revision, "rev-parse", "--show-toplevel"))
    with tempfile.TemporaryDirectory(prefix="tracediff-") as scratch:
        directory = Path(scratch) / "tree"
        directory.mkdir()
        try:
            remarks = lay_out(top, commit, directory, Path(scratch) / "index")
        except OSError as error:
            raise ReplayError(
                f"the files of {commit[:12]} cannot be laid out: {error}",
                slug="revision-unreadable",
                hint="check that the commit is whole and the temporary directory has room",
            ) from None
        root = directory / config.root.relative_to(top)
        try:
            then = load_config(root) if root.is_dir() else None
        except ConfigError as error:
            raise ReplayError(
                f"at {revision} the settings cannot be used: {error.message}",
                slug="revision-without-settings",
                hint="name a revision with settings that can be read now",
            ) from None
        if then is None or then.file is None or directory not in then.file.parents:
            raise ReplayError(
                f"at {revision} the project has no [tool.tracediff] in its pyproject.toml",
                slug="revision-without-settings",
                hint="name a revision at which the jobs were recorded with tracediff already",
            )
        ignored = lay_over(top, directory, _stores(config))
        yield LaidOut(config=then, commit=commit, directory=directory, tree=top, ignored=ignored,
                      remarks=remarks)  # fmt: skip


def _stores(config: Config) -> list[Path]:
    names = (None, *config.stores)
    found = [local_directory(config, name) for name in names]
    return [*(one for one in found if one is not None), config.root / config.spool]


def environment_at(config: Config, commit: str | None) -> dict[str, str]:
    """What the process of a replay at a commit is told: which commit, and whose place it takes.

    The project's own store too: its redaction key seals secrets there as in the recording, so that
    they compare.
    """
    try:
        tree = Path(git(config.root, "rev-parse", "--show-toplevel").rstrip("\n"))
    except OSError:
        tree = config.root
    said = placing.told(tree, config.root)
    store = local_directory(config)
    if store is not None:
        said["TRACEDIFF_STORE"] = str(store)
    if commit is not None:
        said["TRACEDIFF_CODE_VERSION"] = commit
    return said


def _asked(root: Path, revision: str, *arguments: str) -> str:
    try:
        return git(root, *arguments).rstrip("\n")
    except OSError as error:
        why = error.strerror or str(error)
        if isinstance(error, FileNotFoundError) and root.is_dir():
            why = "there is no git to ask"
        if error.errno is None and why.endswith("failed"):
            why = "git knows no such commit"
    shallow = "; this clone is shallow: `git fetch --unshallow` gets the rest"
    raise ReplayError(
        f"{revision!r} names no commit of the repository of {root}: {why}"
        f"{shallow if is_shallow(root) else ''}",
        slug="revision-unknown",
        hint="name a commit, branch or tag; `git log --oneline` lists the commits",
    )
