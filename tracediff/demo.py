"""The example: a price calculation in a git repository, recorded before it is changed.

The first commit holds the calculation, and each of the four after it one change to it. Jobs are
recorded with the first and the last is left checked out, so that comparing any trace shows what the
changes do. Everything in the repository is the same on every machine, down to the commit ids.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tracediff.errors import DemoError

JOBS = 300
"""How many jobs the example records unless told otherwise."""

PACKAGE = Path(__file__).resolve().parent

IGNORED = shutil.ignore_patterns("__pycache__", ".tracediff", "catalogue.sqlite", ".*_cache")

SETTINGS = {
    "user.name": "tracediff demo",
    "user.email": "demo@tracediff.invalid",
    "commit.gpgsign": "false",
    "core.autocrlf": "false",
    "core.hooksPath": os.devnull,
}

CHANGES = {
    "duty": "the duty on audio (tariff heading 8518) rises from 2.5 % to 3.7 %",
    "volumetric": "carriers divide a parcel's volume by 6000, no longer by 5000",
    "rounding": "cents are rounded half to even, no longer half up",
    "rename_move": "a step gets another name and another place; no price changes",
}
"""What each change does, in the order in which a price meets them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Who commits something, when, and what the commit says."""

    subject: str
    author: str
    date: str


FIRST = Signed(subject="Work out prices", author="Mara Lindt", date="2024-03-01T09:00:00+00:00")

COMMITS = {
    "duty": Signed(
        subject="Raise the duty on audio to 3.7 %",
        author="Jonas Feld",
        date="2024-03-04T10:12:00+00:00",
    ),
    "volumetric": Signed(
        subject="Divide volumes by 6000, as carriers do now",
        author="Ana Ruiz",
        date="2024-03-05T14:40:00+00:00",
    ),
    "rounding": Signed(
        subject="Round half to even",
        author="Mara Lindt",
        date="2024-03-07T08:55:00+00:00",
    ),
    "rename_move": Signed(
        subject="Call it a correction, and work it out before the margin",
        author="Ana Ruiz",
        date="2024-03-08T16:21:00+00:00",
    ),
}
"""The commit of each change, in order."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """An example that was laid out.

    ``old`` is the first commit, ``changes`` are those after it, by the name of the change that each
    makes, and ``jobs`` is how many jobs were recorded with ``old``. The work tree holds ``new``,
    the last commit.
    """

    directory: Path
    old: str
    changes: Mapping[str, str]
    jobs: int

    @property
    def new(self) -> str:
        """The last commit."""
        return list(self.changes.values())[-1]


def build(
    directory: Path | None = None, *, jobs: int = JOBS, progress: Progress | None = None
) -> Demo:
    """Lay out the whole example in a directory that is new or empty; by default a temporary one.

    What fails leaves behind what there is to look at; an interrupt leaves nothing.

    Raises:
        DemoError: The directory cannot be used, git is missing or fails, or recording fails.
    """
    git_program()
    where = new_directory() if directory is None else directory
    created = directory is None or not where.exists()
    copy(where)
    try:
        return lay_out(where, jobs, progress)
    except KeyboardInterrupt:
        clear(where, whole=created)
        raise


def lay_out(directory: Path, jobs: int, progress: Progress | None) -> Demo:
    """Commit all versions, and record jobs with the first."""
    old, changed = commit_versions(directory)
    checkout(directory, old)
    if progress is not None:
        progress("making a catalogue of products", 0, jobs)
    make_catalogue(directory)
    recorded = record(directory, jobs=jobs, progress=progress)
    checkout(directory, "main")
    return Demo(directory=directory, old=old, changes=changed, jobs=recorded)


def commit_versions(directory: Path) -> tuple[str, dict[str, str]]:
    """Commit what is there and then each change; the first commit, and those of the changes."""
    old = commit(directory, FIRST)
    made: dict[str, str] = {}
    for name, signed in COMMITS.items():
        change(directory, name)
        made[name] = commit(directory, signed)
    return old, made


def new_directory() -> Path:
    """Make a temporary directory, which stays."""
    try:
        return Path(tempfile.mkdtemp(prefix="tracediff-demo-"))
    except OSError as error:
        raise unwritable("a temporary directory", error) from error


def clear(directory: Path, *, whole: bool) -> None:
    """Remove what was laid out, and the directory itself if it is ``whole`` our own."""
    for path in [directory] if whole else list(directory.iterdir()):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def example() -> Path:
    """Where the example's files are: in an installed package, else in the checkout."""
    for place in (PACKAGE / "_example" / "pricing", checkout_root() / "fixtures" / "pricing"):
        if (place / "v1" / "pyproject.toml").is_file():
            return place
    raise DemoError(
        f"the example's files are not beside {PACKAGE}",
        slug="demo-example-missing",
        hint="reinstall tracediff-calc: its wheel holds them",
    )


def checkout_root() -> Path:
    """The directory that holds the package: the checkout, where there is one."""
    return PACKAGE.parent


def copy(directory: Path) -> Path:
    """Copy the first version of the calculation into a directory that is new or empty."""
    source = example() / "v1"
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise DemoError(
                f"{directory} is not an empty directory",
                slug="demo-directory-not-empty",
                hint="name a directory that does not exist yet",
            )
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, directory, ignore=IGNORED, dirs_exist_ok=True)
    except OSError as error:
        raise unwritable(str(directory), error) from error
    return directory


def unwritable(where: str, error: OSError) -> DemoError:
    """The error that says why a place cannot be written."""
    reason = error.strerror or error
    if isinstance(error, shutil.Error):  # a list of what failed, of source, target and reason each
        reason = error.args[0][0][2]
    return DemoError(
        f"the example cannot be written to {where}: {reason}",
        slug="demo-directory-not-writable",
        hint="name a directory that you may write to: tracediff demo DIRECTORY",
    )


def changes() -> dict[str, Path]:
    """The patch of each change, by name."""
    return {patch.stem: patch for patch in sorted((example() / "changes").glob("*.patch"))}


def change(directory: Path, *names: str) -> tuple[str, ...]:
    """Apply some changes to the work tree, all without names; which ones."""
    patches = changes()
    applied = names or tuple(patches)
    git(directory, "apply", *(str(patches[name]) for name in applied))
    return applied


def commit(directory: Path, signed: Signed | str) -> str:
    """Commit the whole work tree, in a new repository if there is none; the commit's id."""
    if isinstance(signed, str):
        signed = replace(FIRST, subject=signed)
    if not (directory / ".git").exists():
        git(directory, "init", "--quiet", "--template=")
        git(directory, "symbolic-ref", "HEAD", "refs/heads/main")
    git(directory, "add", "--all")
    mail = f"{signed.author.split()[0].lower()}@tracediff.invalid"
    who = "-c", f"user.name={signed.author}", "-c", f"user.email={mail}"
    git(directory, *who, "commit", "--quiet", "--message", signed.subject, date=signed.date)
    return git(directory, "rev-parse", "HEAD").strip()


def checkout(directory: Path, revision: str) -> str:
    """Lay another version into the work tree."""
    git(directory, "-c", "advice.detachedHead=false", "checkout", "--quiet", revision)
    return revision


def make_catalogue(directory: Path) -> Path:
    """Make the products that the jobs read."""
    with closing(python(directory, "pricing.catalogue")) as said:
        for _ in said:
            pass
    return directory / "catalogue.sqlite"


def record(directory: Path, *, jobs: int = JOBS, progress: Progress | None = None) -> int:
    """Record jobs with the code that is checked out; how many."""
    done = 0
    with closing(python(directory, "pricing.run", "--last", str(jobs))) as prices:
        for done, _ in enumerate(prices, start=1):
            if progress is not None:
                progress("recording prices", done, jobs)
    return done


def python(directory: Path, *arguments: str) -> Generator[str, None, None]:
    """Run one of the example's modules in a process of its own; each line it prints."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages,
        subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=directory,
            env=python_environment(os.environ),
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
        ) as run,
    ):
        try:
            yield from run.stdout or ()
        except BaseException:  # interrupted, or its reader was: nobody waits for the rest
            run.kill()
            raise
        if run.wait() == 0:
            return
        messages.seek(0)
        last = messages.read().strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
    raise DemoError(
        f"the example's {arguments[0]} failed: {last[0]}",
        slug="demo-run-failed",
        hint=f"run it by hand in {directory}: {sys.executable} -m {' '.join(arguments)}",
    )


def python_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the example: no setting of the user's own traces reaches it."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("TRACEDIFF_", "PRICING_")) and name != "PYTHONSAFEPATH"
    }
    kept |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    if PACKAGE not in example().parents:
        paths = [str(checkout_root()), environment.get("PYTHONPATH", "")]
        kept["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return kept


def git_environment(environment: Mapping[str, str], date: str = FIRST.date) -> dict[str, str]:
    """The environment of git: nobody's settings, a fixed date, so that commit ids are the same."""
    kept = {name: value for name, value in environment.items() if not name.startswith("GIT_")}
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return {**kept, **nobody, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "LC_ALL": "C"}


def git_program() -> str:
    """Where git is."""
    program = shutil.which("git")
    if program is None:
        raise DemoError(
            "git is not installed", slug="git-missing", hint="install git, then run this again"
        )
    return program


def git(directory: Path, *arguments: str, date: str = FIRST.date) -> str:
    """Run git in a directory, as of a date; what it prints."""
    settings = [part for item in SETTINGS.items() for part in ("-c", "=".join(item))]
    done = subprocess.run(
        [git_program(), *settings, *arguments],
        cwd=directory,
        env=git_environment(os.environ, date),
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(
            f"git {arguments[0]} failed in {directory}: {done.stderr.strip()}",
            slug="git-failed",
            hint="the message above is git's own",
        )
    return done.stdout
