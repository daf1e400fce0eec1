"""Tolerances as they are written on one line, and as they travel between processes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tracediff.errors import ExpectationError
from tracediff.model import Tolerance

_NUMBERS = ("rel", "abs")
_FLAGS = ("unordered", "ignore")


def parse_rule(text: str) -> Tolerance:
    """A rule of one line: ``PATH rel=1e-9 abs=0.01 ulp=4 quantum=0.01 unordered ignore``.

    Raises:
        ExpectationError: ``tolerance-invalid``.
    """
    parts = text.split()
    at = next((n for n, part in enumerate(parts) if _is_bound(part)), len(parts))
    path = " ".join(parts[:at]) or "**"
    found: dict[str, Any] = {}
    for part in parts[at:]:
        name, equals, value = part.partition("=")
        if name in _FLAGS and not equals:
            found[name] = True
        elif name in _NUMBERS and equals:
            found[name] = number(value, text)
        elif name == "ulp" and value.isdigit():
            found["ulp"] = int(value)
        elif name == "quantum" and value:
            found["quantum"] = str(number(value, text)) and value
        else:
            raise _invalid(text, f"{part!r} is no bound")
    if not found:
        raise _invalid(text, "it has no bound")
    return Tolerance(path=path, **found)


def _is_bound(part: str) -> bool:
    name, equals, _ = part.partition("=")
    return (name in (*_NUMBERS, "ulp", "quantum") and bool(equals)) or part in _FLAGS


def number(value: object, where: str) -> float:
    """A bound: a number from 0 upwards."""
    try:
        found = float(str(value))
    except ValueError:
        found = math.nan
    if isinstance(value, bool) or not (math.isfinite(found) and found >= 0):
        raise _invalid(where, f"{value!r} is no number from 0 upwards")
    return found


def _invalid(where: str, why: str) -> ExpectationError:
    return ExpectationError(
        f"the tolerance {where!r} cannot be read: {why}",
        slug="tolerance-invalid",
        hint="write PATH rel=1e-9 abs=0.01 ulp=4 quantum=0.01 unordered ignore, or some of it",
    )


def given_rules(
    *,
    rel_tol: object = None,
    abs_tol: object = None,
    ignore: object = (),
    where: str = "a mark or a fixture",
) -> list[Tolerance]:
    """The rules that a test gives: one bound for all, or bounds by path; paths to leave out."""
    rules: list[Tolerance] = []
    for name, given in (("rel", rel_tol), ("abs", abs_tol)):
        by_path = given if isinstance(given, Mapping) else {} if given is None else {"**": given}
        for path, value in by_path.items():
            bound: dict[str, Any] = {name: number(value, f"{where}: {name}_tol")}
            rules.append(Tolerance(path=str(path), **bound))
    paths = [ignore] if isinstance(ignore, str) else ignore
    if not isinstance(paths, Iterable) or not all(isinstance(one, str) and one for one in paths):
        raise _invalid(f"{where}: ignore", "it is no path, and no list of paths")
    return rules + [Tolerance(path=one, ignore=True) for one in paths]


def packed(rules: Sequence[Tolerance]) -> list[dict[str, Any]]:
    """Rules as plain values."""
    return [asdict(one) for one in rules]


def unpacked(found: Iterable[dict[str, Any]]) -> list[Tolerance]:
    """What ``packed`` gave."""
    return [
        Tolerance(
            **{
                **one,
                "types": tuple((old, new) for old, new in one["types"]),
                "key": tuple(one.get("key", ())),
            }
        )
        for one in found
    ]
