"""Causes that were accepted: what each stands for, what it does not cover, and which are gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fractions import Fraction
from typing import Final

from tracediff.checked import Acceptance, Group, Total
from tracediff.errors import ExpectationError
from tracediff.reports.amounts import summed
from tracediff.reports.clean import clean
from tracediff.reports.excerpt import cut
from tracediff.reports.wording import many

UP: Final = "up"
DOWN: Final = "down"
OTHER: Final = "other"
WAYS: Final = (UP, DOWN, OTHER)
"""In which ways a field can move: as a number, or otherwise. Several are joined by "and"."""
MOST_DRIFT = 8
"""How many sentences say what an acceptance does not cover."""
MOST_LINES = 60
"""How many lines of a change are kept beside its acceptance."""
SHORTEST = 4
"""With how many digits of it a cause may be named."""
_LONGEST = 300
_AND = " and "
_RAISE = {UP: "raise", DOWN: "lower", OTHER: "change"}
_NOW = {UP: "raises", DOWN: "lowers", OTHER: "changes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Acceptance):
    """An acceptance with what was seen of its cause, for whoever reviews it.

    ``units``, ``kind``, ``file`` and ``hunk`` are of the change, and empty where the traces were
    not explained, so that the cause is told by the comparison (``exact`` says which). ``commit`` is
    what was checked out when it was accepted, and ``dirty`` whether files differed from it.
    ``keys`` counts the traces of each job, ``traces`` all, and ``totals`` are what the fields moved
    by.
    """

    units: tuple[str, ...] = ()
    kind: str = ""
    file: str = ""
    hunk: tuple[str, ...] = ()
    exact: bool = False
    commit: str | None = None
    dirty: bool | None = None
    keys: Mapping[str, int] = field(default_factory=dict)
    traces: int = 0
    totals: Mapping[str, Fraction] = field(default_factory=dict)


def entry_of(group: Group, reason: str = "") -> Entry:
    """What an acceptance of a group as it is would say.

    Args:
        group: The traces that changed for one cause.
        reason: Why that is right.
    """
    change = group.change
    return Entry(
        cause=group.cause,
        label=cut(group.label, _LONGEST),
        reason=reason,
        fields={name: ways_text(ways) for name, ways in moves(group).items()},
        units=change.units if change is not None else (),
        kind=change.kind if change is not None else "",
        file=change.file if change is not None else "",
        hunk=shortened(change.hunk if change is not None else ()),
        exact=group.exact,
        keys=dict(group.keys),
        traces=group.count,
        totals={one.field: one.change for one in group.totals},
    )


def shortened(hunk: Sequence[str]) -> tuple[str, ...]:
    """The lines of a change, so many and so much of each as a reviewer reads."""
    kept = [cut(line, _LONGEST) for line in hunk[:MOST_LINES]]
    left = len(hunk) - len(kept)
    return (*kept, f"… {many(left, 'more line')}") if left else tuple(kept)


def moves(group: Group) -> dict[str, frozenset[str]]:
    """In which ways each field of a group moves."""
    found = {one.field: _ways(one) for one in group.totals}
    for name, count in group.others.items():
        if count:
            found[name] = found.get(name, frozenset()) | {OTHER}
    return {name: found[name] for name in sorted(found)}


def _ways(total: Total) -> frozenset[str]:
    """Up, down or both; both too where what rose and fell evened out within every trace."""
    if not total.up and not total.down:
        return frozenset((UP, DOWN))
    return frozenset(way for way, count in ((UP, total.up), (DOWN, total.down)) if count)


def ways_text(ways: Iterable[str]) -> str:
    """Ways as one text, such as "up and down"."""
    return _AND.join(sorted(ways, key=WAYS.index))


def ways_of(text: str) -> frozenset[str]:
    """The ways that a text says."""
    return frozenset(text.split(_AND))


def judged(group: Group, acceptance: Acceptance) -> tuple[str, ...]:
    """What an acceptance does not cover of a group, one sentence a field; nothing if it covers all.

    It covers the fields that moved when it was accepted, in the ways in which they did. By how
    much, and in how many traces, is not held against it: both grow with the number of traces.

    Args:
        group: What was found now.
        acceptance: That of its cause.
    """
    totals = {one.field: one for one in group.totals}
    found = moves(group)
    said = []
    for name in sorted(found, key=lambda name: (not name.startswith("result"), name)):
        ways = found[name]
        given = ways_of(acceptance.fields[name]) if name in acceptance.fields else frozenset()
        total = totals.get(name)
        if given and total is not None and not (total.up or total.down):
            ways &= {OTHER}  # it evened out: that is no way to move
        if ways - given:
            said.append(_drift(name, given, ways, total, group.others.get(name, 0)))
    left = len(said) - MOST_DRIFT
    if left > 0:
        return (*said[:MOST_DRIFT], f"… and {many(left, 'more field')}")
    return tuple(said)


def _drift(
    name: str, given: frozenset[str], ways: frozenset[str], total: Total | None, others: int
) -> str:
    new = ways - given
    was = _AND.join(_RAISE[way] for way in WAYS if way in given)
    now = _AND.join(_NOW[way] for way in WAYS if way in new)
    head = f"accepted to {was} {clean(name)}" if given else f"not accepted to move {clean(name)}"
    counts = {UP: total.up if total else 0, DOWN: total.down if total else 0, OTHER: others}
    count = sum(counts[way] for way in new) or (total.count if total is not None else 0)
    also = " also" if given & ways else ""
    if new == {OTHER}:
        beside = " to or from what is no number" if given else ""
        return f"{head}, now{also} {now} it{beside} in {many(count, 'trace')}"
    amount = f" ({_amount(new, ways, total)})" if total is not None else ""
    return f"{head}, now{also} {now} it in {many(count, 'trace')}{amount}"


def _amount(new: frozenset[str], ways: frozenset[str], total: Total) -> str:
    """By how much it moves; where other traces move it as accepted, only the farthest is known."""
    if new - {OTHER} == ways - {OTHER}:
        return summed(total.change)
    farthest = total.most if UP in new else total.least
    return f"by up to {summed(farthest)}"


TOGETHER: Final = "accepted"
TOGETHER_LABEL: Final = "accepted causes together"
"""The cause of traces that were not explained and whose new result accepted causes alone give."""


def together(accepted: Iterable[Acceptance]) -> Acceptance:
    """What all acceptances cover, for traces in which their causes are not told apart."""
    fields: dict[str, frozenset[str]] = {}
    for one in accepted:
        for name, text in one.fields.items():
            fields[name] = fields.get(name, frozenset()) | ways_of(text)
    return Acceptance(
        cause=TOGETHER,
        label=TOGETHER_LABEL,
        reason="nothing else is needed for what the code gives now",
        fields={name: ways_text(ways) for name, ways in fields.items()},
    )


def within(seen: Entry, accepted: Entry) -> bool:
    """Whether an acceptance covers what was seen of its cause."""
    return all(
        ways_of(ways) <= ways_of(accepted.fields.get(name, ""))
        for name, ways in seen.fields.items()
    )


def narrowed(accepted: Entry, seen: Entry) -> tuple[str, ...]:
    """The fields that an acceptance covers and another one in its place does not, as texts."""
    lost = []
    for name, text in accepted.fields.items():
        ways = ways_of(text) - ways_of(seen.fields.get(name, ""))
        if ways:
            lost.append(f"{name} {ways_text(ways)}")
    return tuple(lost)


def stale(
    accepted: Iterable[Entry], groups: Iterable[Group], complete: bool, key: str | None = None
) -> tuple[Entry, ...]:
    """The acceptances of causes that no longer occur.

    A check says that of a cause only where it replayed all traces of the jobs that the cause was
    seen in.

    Args:
        accepted: What is accepted.
        groups: What was found now.
        complete: Whether every trace below the key was replayed, and all that changed explained.
        key: The job's key that was selected, or the first parts of one; None for all.
    """
    if not complete:
        return ()
    there = {one.cause for one in groups}
    return tuple(
        one
        for one in accepted
        if one.cause not in there and all(_below(name, key) for name in one.keys)
    )


def _below(name: str, key: str | None) -> bool:
    return not key or name == key or name.startswith(f"{key.rstrip('/')}/")


def entered(before: Iterable[Entry], new: Iterable[Entry]) -> tuple[Entry, ...]:
    """What is accepted when causes are added, in the file's order; the same cause is replaced."""
    found = {one.cause: one for one in before} | {one.cause: one for one in new}
    return tuple(sorted(found.values(), key=lambda one: (one.when, one.cause)))


def signed(
    seen: Entry, *, reason: str, who: str, when: str, commit: str | None, dirty: bool | None
) -> Entry:
    """An acceptance of what was seen.

    Args:
        seen: What a check found.
        reason: Why it is right.
        who: Who says so.
        when: The moment, in ISO 8601.
        commit: What is checked out, None where that is unknown.
        dirty: Whether files differ from it.
    """
    return replace(seen, reason=reason, who=who, when=when, commit=commit, dirty=dirty)


def chosen(named: Iterable[str], entries: Sequence[Entry], whose: str, how: str) -> list[Entry]:
    """The causes that are named, by their ids or the starts of them.

    Args:
        named: What was given.
        entries: What there is.
        whose: What they are of, for messages: "the last check".
        how: What lists them.

    Raises:
        ExpectationError: ``cause-unknown`` or ``cause-ambiguous``.
    """
    found: dict[str, Entry] = {}
    for name in named:
        start = name.strip().lower()
        fits = [one for one in entries if one.cause.startswith(start)]
        if len(start) < SHORTEST or not fits:
            raise _unknown(name, entries, whose, how)
        if len(fits) > 1:
            listed = ", ".join(one.cause for one in fits[:5])
            raise ExpectationError(
                f"{len(fits)} causes begin with {start}: {listed}",
                slug="cause-ambiguous",
                hint="give more of its digits",
            )
        found[fits[0].cause] = fits[0]
    return list(found.values())


def _unknown(name: str, entries: Sequence[Entry], whose: str, how: str) -> ExpectationError:
    shown = cut(clean(name.strip()), 80)
    message = f"{whose} has no cause {shown!r}"
    if len(name.strip()) < SHORTEST:
        message = f"{shown!r} names no cause: it takes {SHORTEST} digits of one at least"
    near, meant = _near(name, entries)
    listed = ", ".join(f"{one.cause} ({cut(clean(one.label), 40)})" for one in near)
    if not near:
        hint = f"it has none at all; {how}"
    elif meant:
        hint = f"did you mean {listed}? {how}"
    else:
        left = len(entries) - len(near)
        hint = f"it has {listed}{f' and {left} more' if left else ''}; {how}"
    return ExpectationError(message, slug="cause-unknown", hint=hint)


def _near(name: str, entries: Sequence[Entry]) -> tuple[Sequence[Entry], bool]:
    """What may be meant, an id like it or what is called like it; else the first ones."""
    word = name.strip().casefold()
    ids = get_close_matches(word, [one.cause for one in entries], 3)
    near = [one for one in entries if one.cause in ids]
    if not near and word:
        near = [
            one for one in entries if word in " ".join((one.label, *one.units)).casefold()
        ]  # it may have been called by its name
    return (near[:3], True) if near else (entries[:3], False)
