"""A check as JUnit XML: what Jenkins, GitLab and most other systems show as tests.

One suite; a test a cause, a gate, and a trace that could not be replayed. It keeps to the schema of
Jenkins' xUnit plugin (junit-10.xsd).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal

from tracediff.checked import Checked, Group
from tracediff.reports import story, verdict
from tracediff.reports.clean import clean
from tracediff.reports.markup import Markup, element, lines

NAME: Final = "tracediff check"
_NUMBER: Final = re.compile(r"[+-]?\d[\d,.]*")

Outcome = Literal["passed", "failure", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One test: ``said`` is its message, ``body`` what stands below it."""

    outcome: Outcome
    of: str
    name: str
    said: str = ""
    body: tuple[str, ...] = ()


def junit_xml(found: Checked) -> str:
    """Return a check as a JUnit XML document.

    A cause fails where the check does and nobody accepted it; where the gates let it pass, or it
    was accepted, it passes and its output says what it is. Traces that could not be replayed are
    errors.

    Args:
        found: The check.
    """
    told = verdict.story(found)
    cases = [*_causes(found, told), *_gates(found), *_failures(found)]
    seconds = f"{min(max(found.seconds, 0), 1e9):.3f}" if isfinite(found.seconds) else "0.000"
    counts: dict[str, str | float] = {
        "name": NAME,
        "tests": len(cases),
        "failures": sum(one.outcome == "failure" for one in cases),
        "errors": sum(one.outcome == "error" for one in cases),
        "time": seconds,
    }
    summary = [told.counts, told.answer, told.sum, *verdict.remarks(found), *_aside(found)]
    suite = element(
        "testsuite", {**counts, "skipped": 0},
        Markup("\n"), [Markup(f"{_case(one)}\n") for one in cases],
        element("system-out", None, lines(filter(None, summary))), Markup("\n"),
    )  # fmt: skip
    top = element("testsuites", counts, Markup("\n"), suite, Markup("\n"))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{top}\n'


def _case(one: _Case) -> Markup:
    given = {"classname": one.of, "name": one.name}
    if one.outcome == "passed":
        out = element("system-out", None, lines(one.body)) if one.body else ""
        return element("testcase", given, out)
    kind = "changed" if one.outcome == "failure" else "replay"
    inner = element(one.outcome, {"type": kind, "message": one.said}, lines(one.body))
    return element("testcase", given, inner)


def _causes(found: Checked, told: verdict.Story) -> Iterator[_Case]:
    for one in told.causes:
        body = tuple(story.cause_lines(found, one))
        yield _Case(
            outcome="failure" if one.failing else "passed", of=_module(one.group),
            name=f"{one.title} [{story.id_of(one.group)}]", said=body[0], body=body,
        )  # fmt: skip


def _module(group: Group) -> str:
    """The module of the first unit, or the job that most traces are of."""
    if group.change is not None and group.change.units:
        module, colon, _ = group.change.units[0].partition(":")
        return clean((module if colon else group.change.file or module)[:200]) or "?"
    return clean(next(iter(group.keys), group.smallest.key)[:200]) or "?"


def _gates(found: Checked) -> Iterator[_Case]:
    """A test a broken gate, of a name that is the same in every run; one that passes for none."""
    if not found.broken:
        yield _Case(outcome="passed", of=NAME, name="gates")
    often: dict[str, int] = {}
    for sentence in found.broken:
        said = clean(sentence[: verdict.LONGEST])
        name = _NUMBER.sub("N", said)
        often[name] = often.get(name, 0) + 1
        again = f" ({often[name]})" if often[name] > 1 else ""
        yield _Case(outcome="failure", of=NAME, name=f"{name}{again}", said=said, body=(said,))


def _failures(found: Checked) -> Iterator[_Case]:
    for one in found.failures:
        said = story.failure(one.message, one.hint)
        name = f"replay of {clean(one.id[:120])}"
        of = clean(one.key[:200]) or "?"
        body = (said, clean(one.slug[:120]), clean(one.meta[: verdict.LONGEST]))
        yield _Case(outcome="error", of=of, name=name, said=said, body=tuple(filter(None, body)))
    left = found.failed - len(found.failures)
    if left > 0:
        said = f"{left:,} more traces could not be replayed"
        yield _Case(outcome="error", of=NAME, name="replays that are not listed", said=said)


def _aside(found: Checked) -> Iterator[str]:
    """What breaks nothing, and ought to be known."""
    for noise in found.noise:
        yield f"noise: {verdict.noise(noise.field, noise.count, noise.example)}"
    yield from map(verdict.stale, found.stale)
