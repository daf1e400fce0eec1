"""One cause on a page: what it moved, how that is spread, its lines, and what marks it."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Final

from tracediff.checked import Bin, Checked, Group, Total
from tracediff.reports import story, verdict
from tracediff.reports.clean import clean
from tracediff.reports.markup import Markup, element, joined

_FIELDS: Final = 12
_MARKS: Final = 5
_JOBS: Final = 8
_WIDTH: Final = 300
_HEIGHT: Final = 96
_GAP: Final = 2


def cause_card(found: Checked, told: verdict.Told, *, opened: bool) -> Markup:
    """Return a cause that can be folded.

    Args:
        found: The check it is of.
        told: The cause.
        opened: Whether it is shown unfolded at first.
    """
    group = told.group
    badge = element("span", {"class": "badge good"}, "accepted") if group.passes else ""
    amount = element("span", {"class": "number"}, told.amount) if told.amount else ""
    summary = element("summary", None, f"{told.number}  ", element("code", None, told.title),
                      amount, badge)  # fmt: skip
    facts = element("dl", {"class": "facts"}, _facts(found, told))
    figure = _histogram(told.main) if told.main is not None and told.main.count > 1 else ""
    given: dict[str, str | float] = {"id": f"cause-{told.number}"}
    if opened:
        given["open"] = ""
    inside = element("div", {"class": "cause"}, facts, figure, _hunk(group))
    return joined(element("details", given, summary, inside), Markup("\n"))


def _facts(found: Checked, told: verdict.Told) -> Iterator[Markup]:
    group = told.group
    yield _fact("traces", f"{group.count:,} of {found.changed:,} that changed")
    yield _fact("cause", element("code", None, story.id_of(group)))
    yield _fact("change", verdict.kind(group))
    if told.place:
        yield _fact("at", element("code", None, told.place))
    if group.change is not None and group.change.commit:
        yield _fact("commit", element("code", None, clean(group.change.commit[:12])))
    others = list(verdict.elsewhere(found, group))
    for field, amount in others[:_FIELDS]:
        yield _fact("also", element("code", None, field), f"  {amount}")
    if len(others) > _FIELDS:
        yield _fact("", f"{len(others) - _FIELDS:,} more fields")
    if len(group.keys) > 1:
        jobs = [f"{clean(key[:120])} {count:,}" for key, count in [*group.keys.items()][:_JOBS]]
        yield _fact("jobs", ", ".join(jobs))
    for mark in group.marks[:_MARKS]:
        yield _fact("marks", verdict.mark(mark))
    for line in story.acceptance_lines(group):
        head, _, rest = line.partition(": ")
        yield _fact(head, rest)
    shown = verdict.such_as(group, found.main)
    if shown:
        yield _fact("such as", shown)
    yield _fact("look", element("code", None, verdict.explain_command(group)))
    if not group.passes:
        yield _fact("to accept", element("code", None, verdict.accept_command(group)))


def _fact(name: str, *said: str) -> Markup:
    return joined(element("dt", None, name), element("dd", None, *said))


def _histogram(total: Total) -> Markup:
    """The distribution as bars, with its ends and its median below."""
    least, middle, most = verdict.spread(total)
    label = f"{verdict.direction(total)}, from {least} to {most}"
    label += f", median about {middle}" if middle else ""
    bars = element("svg", {"class": "histogram", "viewBox": f"0 0 {_WIDTH} {_HEIGHT}",
                           "preserveAspectRatio": "none", "role": "img", "aria-label": label},
                   _bars(total), element("path", {"class": "axis", "d": f"M0 {_HEIGHT - 0.5}"
                                                  f"H{_WIDTH}"}))  # fmt: skip
    ends = [element("span", {"class": "bins"}, one)
            for one in (least, f"median ≈{middle}" if middle else "", most)]  # fmt: skip
    return element("figure", None, element("p", {"class": "soft"}, verdict.direction(total)), bars,
                   element("figcaption", None, ends))  # fmt: skip


def _bars(total: Total) -> Iterator[Markup]:
    bins = total.bins
    highest = max((one.count for one in bins), default=0)
    wide = _WIDTH / max(len(bins), 1)
    for at, one in enumerate(bins):
        if one.count > 0:
            high = max(one.count / highest * (_HEIGHT - 6), 1.5)
            yield element("rect", {
                "class": "down" if _falls(one) else "up", "x": f"{at * wide + _GAP / 2:.1f}",
                "y": f"{_HEIGHT - high - 1:.1f}", "width": f"{max(wide - _GAP, 0.5):.1f}",
                "height": f"{high:.1f}",
            })  # fmt: skip


def _falls(one: Bin) -> bool:
    return isfinite(one.low) and isfinite(one.high) and one.low / 2 + one.high / 2 < 0


def _hunk(group: Group) -> Markup:
    lines = list(story.hunk_lines(group))
    if not lines:
        return Markup()
    styles = {"+": "added", "-": "gone"}
    spans = [
        element("span", {"class": styles[line[0]]} if line[:1] in styles else None, line or " ")
        for line in lines
    ]
    return element("pre", {"tabindex": 0, "aria-label": "changed lines"}, spans)
