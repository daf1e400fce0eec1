"""Whether what was named is what was planted."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.explain_accuracy.labels import Labelled, labelled
from benchmarks.explain_accuracy.planting import Case
from benchmarks.explain_accuracy.running import Path_
from benchmarks.explain_accuracy.sources import Lines, Planting, new_lines
from tracediff.config import load_config
from tracediff.errors import TracediffError


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdict on one case.

    ``found`` and ``lined`` say for each guilty change that has a share whether its unit, and its
    line, was named. ``merged`` are the guilty changes that were named together with other units.
    ``reasons`` say what was wrong; none where all was right.
    """

    number: int
    calculator: str
    kinds: tuple[str, ...]
    units: tuple[str, ...]
    first: bool = False
    found: tuple[bool, ...] = ()
    lined: tuple[bool, ...] = ()
    merged: tuple[str, ...] = ()
    blamed: tuple[str, ...] = ()
    exact: bool = False
    true_shares: bool = False
    agreed: bool = False
    abstained: bool = False
    method: str = ""
    hybrids: int = 0
    players: int = 0
    seconds: float = 0.0
    labels: int = 0
    mislabelled: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether exactly the guilty were named."""
        return all(self.found) and bool(self.found) and not self.blamed


def judge(case: Case, tree: Path) -> Judged:
    """Have a case attributed and judge the answer; ``tree`` holds the new code.

    With one guilty change it is explained as a whole, and the labels of its steps are judged too.
    """
    from tracediff.explain.attribution import attribute
    from tracediff.explain.explaining import explain

    then, now = load_config(case.laid.tree), load_config(tree)
    trace = case.laid.traces[case.job]
    began = time.perf_counter()
    labels = Labelled(steps=0, wrong=())
    told: Any
    try:
        if len(case.guilty) == 1:
            told = explain(trace, now, load=lambda *_: None)
            labels = labelled(case, told)
        else:
            told = attribute(trace, then, now)
    except TracediffError as error:
        return _verdict(case, time.perf_counter() - began, reasons=(f"failed: {error}",))
    except Exception as error:  # noqa: BLE001 - a crash is a failure like others, told with its case
        reason = f"crashed: {type(error).__name__}: {error}"
        return _verdict(case, time.perf_counter() - began, reasons=(reason,))
    judged = verdict(case, told, tree, time.perf_counter() - began)
    return replace(
        judged,
        labels=labels.steps,
        mislabelled=len(labels.wrong),
        reasons=(*judged.reasons, *labels.wrong),
    )


def _verdict(case: Case, seconds: float, **found: Any) -> Judged:
    return Judged(
        number=case.number,
        calculator=case.laid.calculator.name,
        kinds=tuple(one.kind for one in case.guilty),
        units=tuple(" ".join(sorted(one.units)) for one in case.guilty),
        seconds=seconds,
        **found,
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """How one guilty change was named."""

    right: bool
    lined: bool
    merged: tuple[str, ...]
    reasons: tuple[str, ...]


def verdict(case: Case, told: Any, tree: Path, seconds: float) -> Judged:
    """Judge an attribution (or an explanation, which has the same fields)."""
    about = {
        "method": told.method,
        "hybrids": told.hybrids,
        "players": len(told.causes) + len(told.innocent),
    }
    if told.refused is not None:
        return _verdict(case, seconds, reasons=(f"refused: {told.refused}",), **about)
    if not told.causes:
        reasons = ("abstained: no cause is named", *told.remarks)
        return _verdict(case, seconds, agreed=True, abstained=True, reasons=reasons, **about)
    owners = [owners_of(cause.units, case.guilty) for cause in told.causes]
    expected = case.truth.expected()
    found = [
        _found(case, at, told.causes, owners, tree)
        for at in range(len(case.guilty))
        if expected[at]
    ]
    blamed = tuple(_told(one) for one, own in zip(told.causes, owners, strict=True) if not own)
    exact = all(sum(one.shares, Fraction(0)) == one.change for one in told.effects)
    wrong = _wrong_shares(case, told, owners)
    reasons = [reason for one in found for reason in one.reasons]
    reasons += [f"blamed: {one}" for one in blamed]
    reasons += [] if exact else ["the shares do not add up to the change"]
    return _verdict(
        case,
        seconds,
        first=owners[0] != set(),
        found=tuple(one.right for one in found),
        lined=tuple(one.lined for one in found),
        merged=tuple(said for one in found for said in one.merged),
        blamed=blamed,
        exact=exact,
        true_shares=not wrong,
        agreed=True,
        reasons=(*reasons, *wrong),
        **about,
    )


def _found(
    case: Case, at: int, causes: Sequence[Any], owners: Sequence[set[int]], tree: Path
) -> _Found:
    """Whether one cause stands for a guilty change and for no other, and its line is right."""
    planting = case.guilty[at]
    named = [cause for cause, own in zip(causes, owners, strict=True) if at in own]
    right = len(named) == 1 and owners_of(named[0].units, case.guilty) == {at}
    merged = [cause for cause in named if len(cause.units) > 1]
    reasons = []
    lined = False
    if right:
        lined = _line_right(case, planting, named[0], tree, reasons)
    else:
        who = ", ".join(_told(one) for one in named) or "nothing"
        reasons.append(f"{planting.kind} in {_units(planting)} is named by {who}")
    said = tuple(f"{_told(one)}: {one.merged}" for one in merged)
    return _Found(right=right, lined=lined, merged=said, reasons=tuple(reasons))


def owners_of(units: Iterable[Any], guilty: tuple[Planting, ...]) -> set[int]:
    """Which of the guilty changes some units stand for."""
    return {at for unit in units for at, one in enumerate(guilty) if stands_for(unit.name, one)}


def stands_for(name: str, planting: Planting) -> bool:
    """Whether a unit's name is that of a planting, or of a part of its unit."""
    if name in planting.names:
        return True
    return any(name == one or name.startswith((f"{one}@", f"{one}.<")) for one in planting.units)


def _line_right(case: Case, planting: Planting, cause: Any, tree: Path, reasons: list[str]) -> bool:
    wanted = new_lines(case.sources, case.plantings, planting)
    place = line_of(cause, case, tree)
    if place is None:
        reasons.append(f"no line for {_told(cause)}; it is {_lines(wanted)}")
        return False
    path, line = place
    if any(one.path == path and one.first <= line <= one.last for one in wanted):
        return True
    reasons.append(f"line {path}:{line} for {planting.kind}; it is {_lines(wanted)}")
    return False


def line_of(cause: Any, case: Case, tree: Path) -> tuple[str, int] | None:
    """Where the cause says to look, else the first line that differs in its first unit."""
    if cause.line is not None:
        return cause.line.file, cause.line.line
    for unit in cause.units:
        if unit.new is not None and unit.old is not None:
            old = _span(case.laid.tree, unit.old)
            new = _span(tree, unit.new)
            for tag, _, _, first, _ in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
                if tag != "equal":
                    return unit.new.file, unit.new.first + first
    return None


def _span(tree: Path, span: Any) -> list[str]:
    lines = (tree / span.file).read_text(encoding="utf-8").splitlines()
    return lines[span.first - 1 : span.last]


def _wrong_shares(case: Case, told: Any, owners: list[set[int]]) -> list[str]:
    """Where shares of the result differ from those that running every choice gives."""
    wrong = []
    effects = {tuple(str(part) for part in one.path): one for one in told.effects}
    for path, shares in case.truth.shares.items():
        effect = effects.get(tuple(str(part) for part in path))
        if path[0] != "result":
            continue
        if effect is None:
            wrong.append(f"{_field(path)} changed and is not named")
            continue
        for at, share in enumerate(shares):
            mine = [own == {at} for own in owners]
            given = sum((s for s, yes in zip(effect.shares, mine, strict=True) if yes), Fraction(0))
            if given != share and not any(at in own and len(own) > 1 for own in owners):
                wrong.append(
                    f"share in {_field(path)} of {_units(case.guilty[at])}: "
                    f"{float(given)!r}, it is {float(share)!r}"
                )
    return wrong


def _field(path: Path_) -> str:
    return ".".join(str(part) for part in path)


def _units(planting: Planting) -> str:
    return " ".join(sorted(planting.units))


def _told(cause: Any) -> str:
    return " + ".join(f"{unit.kind} {unit.name}" for unit in cause.units)


def _lines(lines: Iterable[Lines]) -> str:
    return ", ".join(f"{one.path}:{one.first}-{one.last}" for one in lines)
