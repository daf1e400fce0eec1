"""Making results that wait the new expectations, with who, when, why and at which commit."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tracediff import tracefile
from tracediff.errors import ExpectationError
from tracediff.expectations.files import (
    digest,
    inside,
    locked,
    read_document,
    unreadable,
    write_document,
    write_whole,
)
from tracediff.expectations.manifest import exchange
from tracediff.expectations.pending import DIRECTORY, Pending, Results, grouped
from tracediff.model import Trace
from tracediff.recording.codeversion import git_commit, git_environment

LOG = "tracediff-accepted.json"
SCHEMA = "tracediff/accepted/1"
_OFF = ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was accepted, and what could not be, each with the reason."""

    done: tuple[Pending, ...]
    refused: tuple[tuple[Pending, str], ...] = ()


def in_ci(environment: Mapping[str, str]) -> bool:
    """Whether this is continuous integration: ``CI`` is set, and not to 0 or false."""
    return environment.get("CI", "").strip().lower() not in _OFF


def refuse_in_ci(
    what: str, environment: Mapping[str, str], instead: str = "tracediff review --from DIR"
) -> None:
    """Nothing is accepted where nobody looks at it.

    Args:
        what: What is refused.
        environment: That of this process.
        instead: What to run elsewhere.

    Raises:
        ExpectationError: ``accept-in-ci``.
    """
    if in_ci(environment):
        raise ExpectationError(
            f"{what} is refused in continuous integration",
            slug="accept-in-ci",
            hint=f"run it on your machine, on what CI kept: `{instead}`; or unset CI",
        )


def write_expectation(path: Path, trace: Trace) -> str:
    """Write a trace as an expectation, in its manifest too; its sha256."""
    data = tracefile.dumps(trace).encode("utf-8", "surrogatepass")
    exchange(path, trace, data)
    write_whole(path, data)
    return digest(data)


def accept(root: Path, results: Results, chosen: Sequence[Pending], reason: str) -> Accepted:
    """Make results the new expectations and enter them in the project's log.

    Args:
        root: The project's directory.
        results: Where they wait.
        chosen: Which ones.
        reason: Why they are right.
    """
    done: list[tuple[Pending, str]] = []
    refused: list[tuple[Pending, str]] = []
    with locked(root / DIRECTORY):
        read_log(root)  # one that cannot be read stops everything, before anything is written
        for one in chosen:
            try:
                done.append((one, _accept(root, results, one)))
            except ExpectationError as error:
                refused.append((one, f"{error.message} ({error.hint})"))
        if done:
            _enter(root, done, reason)
        results.drop([one.id for one, _ in done])
    return Accepted(tuple(one for one, _ in done), tuple(refused))


def _accept(root: Path, results: Results, one: Pending) -> str:
    path = inside(root, one.file)
    if one.obstacle is not None:
        raise ExpectationError(
            one.obstacle, slug="pending-incomplete", hint="record the job again, or mend the code"
        )
    now = digest(path.read_bytes()) if path.is_file() else None
    if now != one.was:
        raise ExpectationError(
            f"{one.file} is not the file this result was compared with",
            slug="pending-stale",
            hint="run the test again",
        )
    return write_expectation(path, results.trace(one))


def _enter(root: Path, done: Sequence[tuple[Pending, str]], reason: str) -> None:
    commit, dirty = git_commit(root)
    shas = {one.id: sha for one, sha in done}
    entries = [
        {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "who": who(root),
            "commit": commit,
            "dirty": dirty,
            "reason": reason,
            "cause": label,
            "traces": [
                {"file": one.file, "was": one.was, "now": shas[one.id], "summary": one.summary}
                for one in some
            ],
        }
        for _, label, some in grouped(one for one, _ in done)
    ]
    write_document(root / LOG, {"schema": SCHEMA, "accepted": [*read_log(root), *entries]})


def enter_update(root: Path, traces: Sequence[Mapping[str, str | None]]) -> None:
    """Enter the files that a run of tests wrote over, with who, when and at which commit.

    Args:
        root: The project's directory.
        traces: Of each ``file``, ``was``, ``now`` and ``summary``.

    Raises:
        ExpectationError: The log cannot be read or written.
    """
    commit, dirty = git_commit(root)
    entry = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": who(root),
        "commit": commit,
        "dirty": dirty,
        "reason": "--tracediff-update",
        "cause": "update",
        "traces": sorted((dict(one) for one in traces), key=lambda one: str(one["file"])),
    }
    with locked(root / DIRECTORY):
        write_document(root / LOG, {"schema": SCHEMA, "accepted": [*read_log(root), entry]})


def read_log(root: Path) -> list[dict[str, Any]]:
    """What was accepted so far, oldest first."""
    path = root / LOG
    if not path.exists():
        return []
    found = read_document(path, SCHEMA).get("accepted")
    if not isinstance(found, list):
        raise unreadable(path, "it lists nothing that was accepted")
    return found


def who(root: Path) -> str:
    """Who is at work: as git knows them, else the name of their account."""
    said = []
    for name in ("user.name", "user.email"):
        try:
            done = subprocess.run(
                ["git", "config", name], cwd=root, env=git_environment(), capture_output=True,
                text=True, stdin=subprocess.DEVNULL, timeout=5, check=False,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
            break
        said.append(done.stdout.strip())
    name, email = [*said, "", ""][:2]
    if name:
        return f"{name} <{email}>" if email else name
    try:
        return email or getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
