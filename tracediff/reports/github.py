"""A check as workflow commands of GitHub Actions, which become annotations of changed lines.

``markdown`` has the summary of the job that goes with them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from tracediff.checked import Checked
from tracediff.reports import story, verdict
from tracediff.reports.clean import clean
from tracediff.reports.excerpt import cut
from tracediff.reports.wording import many

MOST: Final = 10
"""How many annotations of one kind GitHub shows of a step."""
_LONGEST: Final = 4_000
_TITLE: Final = 200

Level = Literal["error", "warning", "notice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotation:
    title: str
    lines: Sequence[str]
    file: str = ""
    line: int = 0


_Makers = list[Callable[[], _Annotation]]


def workflow_commands(found: Checked, below: str = "") -> Iterator[str]:
    """Yield workflow commands, one a line: errors first, at most ten of each kind.

    A cause that breaks the check is an error at its first changed line; one that was accepted, or
    that the gates let pass, a notice. Noise and acceptances that are not met any more are warnings.

    Args:
        found: The check.
        below: The project's directory within the repository, as ``git rev-parse --show-prefix``
            gives it: the paths of a check are from the project's own directory, GitHub's from the
            repository's.
    """
    told = verdict.story(found)
    failing = [partial(_cause, found, one) for one in told.causes if one.failing]
    others = [partial(_cause, found, one) for one in told.causes if not one.failing]
    levels: tuple[tuple[Level, _Makers], ...] = (
        ("error", [*_errors(found, told), *failing]),
        ("warning", list(_asides(found))),
        ("notice", [*others]),
    )
    for level, some in levels:
        shown = some if len(some) <= MOST else some[: MOST - 1]
        yield from (_command(level, make(), below) for make in shown)
        if len(shown) < len(some):
            left = f"and {len(some) - len(shown):,} more: the summary of this job tells of them"
            yield _command(level, _Annotation(title=_titled("more"), lines=[left]), below)


def _titled(text: str) -> str:
    return f"tracediff check: {text}"


def _errors(found: Checked, told: verdict.Story) -> Iterator[Callable[[], _Annotation]]:
    if found.broken:
        lines = [told.counts, told.answer, *(clean(one[:_TITLE]) for one in found.broken)]
        yield partial(_Annotation, title=_titled("a gate is broken"), lines=lines)
    if found.failed:
        title = _titled(f"{many(found.failed, 'trace')} could not be replayed")
        lines = [f"{clean(one.id[:40])} {story.failure(one.message, one.hint)}"
                 for one in found.failures[:MOST]]  # fmt: skip
        yield partial(_Annotation, title=title, lines=lines or [title])


def _cause(found: Checked, one: verdict.Told) -> _Annotation:
    change = one.group.change
    said = "accepted, " if one.group.passes else ""
    return _Annotation(
        title=said + " ".join(filter(None, (one.title, one.amount))),
        lines=list(story.cause_lines(found, one)),
        file=change.file if change else "",
        line=change.line if change else 0,
    )


def _asides(found: Checked) -> Iterator[Callable[[], _Annotation]]:
    title = _titled("accepted but no longer met")
    for one in found.stale:
        yield partial(_Annotation, title=title, lines=[verdict.stale(one)])
    for noise in found.noise:
        said = verdict.noise(noise.field, noise.count, noise.example)
        yield partial(_Annotation, title=_titled("noise, not counted"), lines=[said])


def _command(level: Level, one: _Annotation, below: str) -> str:
    """A workflow command; GitHub reads one wherever a line begins with two colons."""
    path = placed(one.file, below)
    properties = []
    if path:
        properties.append(f"file={_property(path)}")
        properties.append(f"line={max(one.line, 1)}")
    properties.append(f"title={_property(cut(clean(one.title), _TITLE))}")
    message = cut("\n".join(filter(None, one.lines)), _LONGEST)
    return f"::{level} {','.join(properties)}::{_data(message)}"


def placed(file: str, below: str) -> str:
    """Return a file's path from the repository's directory; nothing for one outside of it."""
    if not file or file.startswith("/"):
        return ""
    path = posixpath.normpath(posixpath.join(below, file[: verdict.LONGEST]))
    return "" if path.startswith("../") or path in (".", "..") else clean(path)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
