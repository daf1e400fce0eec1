"""A check as a code quality report of GitLab, which it shows in the widget of a merge request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from tracediff.checked import Checked
from tracediff.reports import story, verdict
from tracediff.reports.clean import clean
from tracediff.reports.excerpt import cut
from tracediff.reports.github import placed

_LONGEST: Final = 1_000
_NOWHERE: Final = "pyproject.toml"


def code_quality(found: Checked, below: str = "") -> list[dict[str, Any]]:
    """Return the issues: the causes, and the ways in which replays fail.

    A cause that breaks the check is ``major``, one that the gates let pass ``minor``, an accepted
    one ``info``; replays that fail are ``critical``. The fingerprint is made of the cause's id, so
    that GitLab knows it again, also on another line. What has no file stands at the project's
    settings, for GitLab wants one.

    Args:
        found: The check.
        below: The project's directory within the repository, as for ``github.workflow_commands``.
    """
    return [*_causes(found, below), *_failures(found, below)]


def _causes(found: Checked, below: str) -> Iterator[dict[str, Any]]:
    for one in verdict.story(found).causes:
        change = one.group.change
        severity = "major" if one.failing else "info" if one.group.passes else "minor"
        accepted = one.group.accepted
        said = story.headline(found, one)
        if one.group.passes and accepted is not None:
            said += f"; accepted: {verdict.accepted(accepted)}"
        elif one.failing:
            said += f"; `{verdict.explain_command(one.group)}`"
        yield _issue(
            said, "tracediff/changed", f"cause\0{one.group.cause}", severity,
            placed(change.file if change else "", below), change.line if change else 0, below,
        )  # fmt: skip


def _failures(found: Checked, below: str) -> Iterator[dict[str, Any]]:
    """An issue a job and a kind of failure."""
    ways: dict[tuple[str, str], list[str]] = {}
    for one in found.failures:
        said = f"{clean(one.id[:120])}: {story.failure(one.message, one.hint)}"
        ways.setdefault((one.key, one.slug), []).append(said)
    for (key, slug), told in ways.items():
        said = f"{len(told):,} of {clean(key[:120])} could not be replayed, as {told[0]}"
        seed = f"failure\0{key}\0{slug}"
        yield _issue(said, "tracediff/replay", seed, "critical", "", 0, below)


def _issue(
    said: str, check: str, seed: str, severity: str, path: str, line: int, below: str
) -> dict[str, Any]:
    return {
        "description": cut(said, _LONGEST),
        "check_name": check,
        "fingerprint": hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest(),
        "severity": severity,
        "location": {
            "path": path or placed(_NOWHERE, below) or _NOWHERE,
            "lines": {"begin": max(line, 1)},
        },
    }
