"""A check that was kept, read back whole: what it found, when, and on which code.

Anybody may have written the file, so nothing in it is believed to be of its kind, or to be short.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from tracediff.check.accepting import TOGETHER, Entry, judged, together
from tracediff.check.causesfile import amount_of, check_id
from tracediff.check.lastcheck import field_of, objects, parsed
from tracediff.checked import (
    Acceptance,
    Bin,
    Change,
    Checked,
    Group,
    Mark,
    Moved,
    Noise,
    Ran,
    Result,
    Total,
    TraceShare,
)
from tracediff.reports.check import check_document

_RAN: Final = "ran"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A check that was kept; ``ran`` is None where the document does not say it."""

    found: Checked
    ran: Ran | None = None


def kept_document(found: Checked, ran: Ran) -> dict[str, Any]:
    """A check as it is kept: its report, and when and on which code it ran."""
    told = {"at": ran.at, "state": ran.state, "commit": ran.commit, "dirty": ran.dirty}
    return {**check_document(found), _RAN: told}


def kept_check(path: Path) -> Kept:
    """Read a check that was kept, or the JSON report of one.

    Args:
        path: The file, or a directory that holds it.

    Raises:
        ExpectationError: ``check-missing``, ``check-unreadable`` or ``schema-newer``.
    """
    return parsed(path, _kept)


def as_accepted(found: Checked, accepted: Iterable[Entry]) -> Checked:
    """Return a check whose causes say whether they are accepted now, not when it ran.

    Its counts and gates stay what they were: what they would be is for the next check to say.
    """
    there = {one.cause: one for one in accepted}
    return replace(found, groups=tuple(_accepted(one, there) for one in found.groups))


def _accepted(group: Group, there: Mapping[str, Entry]) -> Group:
    given = together(there.values()) if group.cause == TOGETHER else there.get(group.cause)
    drift = judged(group, given) if given is not None else ()
    return replace(group, accepted=given, drift=drift)


def _kept(found: Mapping[str, Any]) -> Kept:
    given = field_of(found, _RAN, dict | None, None)
    return Kept(found=_checked(found), ran=_ran(given) if given is not None else None)


def _ran(one: Mapping[str, Any]) -> Ran:
    at, state, commit = (_text(one, name) for name in ("at", "state", "commit"))
    return Ran(at=at, state=state, commit=commit, dirty=field_of(one, "dirty", bool | None, None))


_COUNTS: Final = ("matching", "checked", "same", "changed", "accepted", "failed", "unaffected",
                  "explained")  # fmt: skip


def _checked(found: Mapping[str, Any]) -> Checked:
    reproduced = field_of(found, "reproduced", dict, {})
    return Checked(
        **{name: _count(found, name) for name in _COUNTS},
        main=_text(found, "main"),
        groups=tuple(map(_group, objects(found, "groups"))),
        totals=tuple(map(_total, objects(found, "totals"))),
        failures=tuple(map(_failure, objects(found, "failures"))),
        noise=tuple(map(_noise, objects(found, "noise"))),
        stale=tuple(map(_acceptance, objects(found, "stale"))),
        reproduced=(_count(reproduced, "count"), _count(reproduced, "of")),
        against=_text(found, "against"),
        seconds=_number(found, "seconds", 0.0),
        broken=_texts(found, "broken"),
        remarks=_texts(found, "remarks"),
    )


def _group(one: Mapping[str, Any]) -> Group:
    cause = _text(one, "cause")
    if cause != TOGETHER:
        check_id(cause)
    change = field_of(one, "change", dict | None, None)
    given = field_of(one, "accepted", dict | None, None)
    return Group(
        cause=cause,
        label=_text(one, "label"),
        count=_count(one, "count"),
        smallest=_result(field_of(one, "smallest", dict)),
        exact=field_of(one, "exact", bool, change is not None),
        change=_change(change) if change is not None else None,
        totals=tuple(map(_total, objects(one, "totals"))),
        others=_counts(one, "others"),
        keys=_counts(one, "keys"),
        marks=tuple(map(_mark, objects(one, "marks"))),
        traces=tuple(map(_share, objects(one, "traces"))) if "traces" in one else (),
        accepted=_acceptance(given) if given is not None else None,
        drift=_texts(one, "drift"),
    )


def _change(one: Mapping[str, Any]) -> Change:
    return Change(
        id=_text(one, "id"), units=_texts(one, "units"), kind=_text(one, "kind"),
        file=_text(one, "file"), line=field_of(one, "line", int, 0), hunk=_texts(one, "hunk"),
        commit=_text(one, "commit"),
    )  # fmt: skip


def _total(one: Mapping[str, Any]) -> Total:
    change = _amount(one, "change")
    return Total(
        field=_text(one, "field"), count=_count(one, "count"), change=change,
        least=_amount(one, "least") if "least" in one else change,
        most=_amount(one, "most") if "most" in one else change,
        up=_count(one, "up"), down=_count(one, "down"),
        bins=tuple(map(_bin, objects(one, "bins"))) if "bins" in one else (),
    )  # fmt: skip


def _bin(one: Mapping[str, Any]) -> Bin:
    return Bin(_number(one, "low"), _number(one, "high"), field_of(one, "count", int))


def _mark(one: Mapping[str, Any]) -> Mark:
    return Mark(
        attributes=_texts(one, "attributes"), support=_number(one, "support"),
        ratio=_number(one, "ratio", math.inf), count=_count(one, "count"),
    )  # fmt: skip


def _share(one: Mapping[str, Any]) -> TraceShare:
    return TraceShare(
        id=_text(one, "id"), key=_text(one, "key"), meta=_text(one, "meta"),
        change=_amount(one, "change") if one.get("change") is not None else None,
        old=_text(one, "old"), new=_text(one, "new"),
    )  # fmt: skip


def _result(one: Mapping[str, Any]) -> Result:
    moved = tuple(
        Moved(field=_text(it, "field"), old=_text(it, "old"), new=_text(it, "new"),
              change=_amount(it, "change") if it.get("change") is not None else None)
        for it in objects(one, "fields")
    )  # fmt: skip
    return Result(
        id=_text(one, "id"), key=_text(one, "key"), kind="changed", meta=_text(one, "meta"),
        size=_count(one, "size"), moved=moved,
    )  # fmt: skip


def _failure(one: Mapping[str, Any]) -> Result:
    slug, message, hint = (_text(one, name) for name in ("error", "message", "hint"))
    return Result(
        id=_text(one, "id"), key=_text(one, "key"), kind="failed", slug=slug, message=message,
        hint=hint,
    )  # fmt: skip


def _noise(one: Mapping[str, Any]) -> Noise:
    return Noise(
        field=_text(one, "field"), count=_count(one, "count"), example=_text(one, "example")
    )


def _acceptance(one: Mapping[str, Any]) -> Acceptance:
    fields = field_of(one, "fields", dict, {})
    if not all(isinstance(it, str) for it in fields.values()):
        raise ValueError("an acceptance in it covers what is no way to move")
    return Acceptance(
        cause=_text(one, "cause"), label=_text(one, "label"), reason=_text(one, "reason"),
        who=_text(one, "who"), when=_text(one, "when"), fields=fields,
    )  # fmt: skip


def _text(one: Mapping[str, Any], name: str) -> str:
    found: str = field_of(one, name, str, "")
    return found


def _texts(one: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = field_of(one, name, list, [])
    if not all(isinstance(it, str) for it in found):
        raise ValueError(f"its {name[:80]} hold what is no text")
    return tuple(found)


def _count(one: Mapping[str, Any], name: str) -> int:
    found: int = field_of(one, name, int, 0)
    if found < 0:
        raise ValueError(f"{found} in it is no count")
    return found


def _counts(one: Mapping[str, Any], name: str) -> dict[str, int]:
    found: Mapping[str, Any] = field_of(one, name, dict, {})
    return {key: _count(found, key) for key in found}


def _number(one: Mapping[str, Any], name: str, missing: float = math.nan) -> float:
    found = field_of(one, name, int | float | None, None)
    return missing if found is None or isinstance(found, bool) else float(found)


def _amount(one: Mapping[str, Any], name: str) -> Fraction:
    return amount_of(field_of(one, name, dict).get("exact"))
