"""Comparing two traces: alignment, typed differences, labels, verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tracediff.compare.alignment import Alignment, align
from tracediff.compare.code import CodeChanges, Load
from tracediff.compare.labels import Labels
from tracediff.compare.order import Pair, merged
from tracediff.compare.tolerances import Rules
from tracediff.compare.trees import Tree, common_depth, tree_of
from tracediff.compare.walker import value_changes
from tracediff.model import (
    Aspect,
    CodeChange,
    Comparison,
    Divergence,
    ErrorInfo,
    FieldChange,
    Step,
    Tolerance,
    Trace,
)

__all__ = ["compare", "value_changes"]

_VALUES: frozenset[Aspect] = frozenset({"args", "result", "error", "state"})
_OUTCOME: frozenset[Aspect] = frozenset({"result", "error", "state"})


def compare(
    old: Trace,
    new: Trace,
    *,
    tolerances: Sequence[Tolerance] = (),
    strict_steps: bool = False,
    load: Load | None = None,
) -> Comparison:
    """Lay two traces against each other.

    Args:
        old: The recorded trace.
        new: The other one, usually its replay.
        tolerances: How exactly places must match; for each bound the last that matches holds.
        strict_steps: Let any step that differs beyond tolerance decide the verdict.
        load: Reads source files, to name the definitions that differ behind a step.

    Returns:
        The comparison. ``first`` is the step with a differing value, or added or removed, that
        *ended* first, so a cause comes before the steps it is inside of; a note or a step that
        only has another name or place is first only when nothing else differs.
    """
    old, new, remark = common_depth(old, new)
    remarks = [remark] if remark else []
    code = CodeChanges(old, new, load) if load is not None else None
    return _Comparing(old, new, Rules(tolerances), strict_steps, remarks, code).run()


class _Comparing:
    def __init__(
        self,
        old: Trace,
        new: Trace,
        rules: Rules,
        strict_steps: bool,
        remarks: list[str],
        code: CodeChanges | None,
    ) -> None:
        self.old = old
        self.new = new
        self.rules = rules
        self.strict = strict_steps
        self.remarks = remarks
        self.code = code
        self.trees = (tree_of(old), tree_of(new))
        self.labels = Labels(old, new)
        self.drift = 0

    def run(self) -> Comparison:
        before, after = self.trees
        found = align(before, after)
        pairs, ended = merged(before, after, found)
        divergences = self._divergences(pairs, ended, before, after, found)
        misses = self.new.replay.misses if self.new.replay is not None else ()
        return Comparison(
            old=self.old,
            new=self.new,
            pairs=tuple(pairs),
            divergences=tuple(divergences),
            different=bool(misses) or any(map(self._decides, divergences)),
            first=_first(divergences, ended, before, after),
            drift=self.drift,
            unchanged=len(pairs) - len(divergences),
            remarks=(*self.remarks, *found.remarks),
        )

    def _divergences(
        self,
        pairs: list[Pair],
        ended: dict[Pair, int],
        before: Tree,
        after: Tree,
        found: Alignment,
    ) -> list[Divergence]:
        """One divergence a step that differs; of a step that came or went, none for what is in it.

        Steps are looked at in the order they ended, so that a parent knows of its children.
        """
        touched: set[int] = set()
        made: dict[Pair, Divergence] = {}
        for pair in sorted(pairs, key=ended.__getitem__):
            i, j = pair
            if i is None or j is None:
                one = self._one_sided(i, j, before, after, found)
                parent = before.steps[i].parent if i is not None else None
                host = found.partner.get(parent) if parent is not None else None
                host = after.steps[j].parent if j is not None else host
                if host is not None and _kind(pair, before, after) not in ("note", "artifact"):
                    touched.add(host)
            else:
                one = self._both(i, j, before, after, found, below=j in touched)
                differs = one is not None and not one.within and set(one.aspects) & _OUTCOME
                # A block's names outlive it: whatever its result, it hides nothing inside.
                if differs or (j in touched and after.steps[j].args is None):
                    touched.add(after.steps[j].parent)
            if one is not None:
                made[pair] = one
        return [made[pair] for pair in pairs if pair in made]

    def _one_sided(
        self, i: int | None, j: int | None, before: Tree, after: Tree, found: Alignment
    ) -> Divergence | None:
        if i is not None:
            if before.steps[i].parent not in found.partner:
                return None
            return Divergence(kind="removed", old=i, new=None)
        if j is None or after.steps[j].parent not in set(found.partner.values()):
            return None
        return Divergence(kind="added", old=None, new=j)

    def _both(
        self, i: int, j: int, before: Tree, after: Tree, found: Alignment, *, below: bool
    ) -> Divergence | None:
        old, new = before.steps[i], after.steps[j]
        flags = [
            name
            for name, members in (
                ("moved", found.moved),
                ("renamed", found.renamed),
                ("reordered", found.reordered),
            )
            if i in members
        ]
        if not flags and before.digests[i] == after.digests[j]:
            return None
        changes = self._changes(old, new, (*before.path(i),))
        if not changes and not flags:
            return None
        aspects: set[Aspect] = set(changes)
        close = {name for name, some in changes.items() if all(one.within for one in some)}
        self.drift += sum(one.within for some in changes.values() for one in some)
        if "renamed" in flags:
            aspects.add("name")
        if "moved" in flags or "reordered" in flags:
            aspects.add("place")
        beyond = aspects - close
        valued = bool(aspects & _VALUES)
        kind: Any = "changed" if valued or not flags else flags[0]
        code = self._code(old, new)
        return Divergence(
            kind=kind,
            old=i,
            new=j,
            label=self.labels.of(old, new, beyond, below=below, code=code)
            if valued
            else "unproven",
            aspects=tuple(sorted(aspects)),
            changes=changes,
            also=tuple(flag for flag in flags if flag != kind),  # type: ignore[arg-type]  # of the three names above
            within=bool(close) and not beyond,
            code=code,
        )

    def _code(self, old: Step, new: Step) -> tuple[CodeChange, ...] | None:
        if self.code is None or old.kind in ("note", "artifact"):
            return None
        return self.code.behind(old.source, new.source)

    def _changes(
        self, old: Step, new: Step, path: tuple[str, ...]
    ) -> dict[Aspect, tuple[FieldChange, ...]]:
        """What differs in a pair of steps, by aspect; ignored places left out."""
        changes: dict[Aspect, tuple[FieldChange, ...]] = {}
        for aspect in ("args", "result"):
            found = value_changes(
                getattr(old, aspect),
                getattr(new, aspect),
                rules=self.rules,
                at=(*path, aspect),
                clock=self._is_clock,
            )
            if found:
                changes[aspect] = found  # type: ignore[index]  # of the two names above
        if not self.rules.at((*path, "error")).ignore:
            raised = _error_changes(old.error, new.error)
            if raised:
                changes["error"] = raised
        if old.state != new.state and not self.rules.at((*path, "state")).ignore:
            changes["state"] = (FieldChange(path=(), kind="changed", old=old.state, new=new.state),)
        return changes

    def _is_clock(self, old: Any, new: Any) -> bool:
        """Whether both are instants within their own trace's span: the two runs' clocks."""
        if type(old) is not datetime or type(new) is not datetime:
            return False
        return _inside(old, self.old) and _inside(new, self.new)

    def _decides(self, one: Divergence) -> bool:
        """Whether a divergence makes the outcome different."""
        if one.within:
            return False
        index, trace = (one.old, self.old) if one.old is not None else (one.new, self.new)
        step = trace.steps[index or 0]
        if step.kind == "job":
            beyond = {name for name, some in one.changes.items() if not all(c.within for c in some)}
            return bool(beyond & _OUTCOME) or self.strict
        if step.kind == "output":
            return True
        return self.strict and step.kind != "note"


def _kind(pair: Pair, before: Tree, after: Tree) -> str:
    i, j = pair
    return before.steps[i].kind if i is not None else after.steps[j or 0].kind


def _error_changes(old: ErrorInfo | None, new: ErrorInfo | None) -> tuple[FieldChange, ...]:
    if old is None and new is None:
        return ()
    if old is None or new is None:
        return (
            FieldChange(
                path=(),
                kind="added" if old is None else "removed",
                **({"new": _line(new)} if old is None else {"old": _line(old)}),
            ),
        )
    return tuple(
        FieldChange(path=(name,), kind="changed", old=before, new=after)
        for name, before, after in (
            ("type", old.type, new.type),
            ("message", old.message, new.message),
        )
        if before != after
    )


def _line(error: ErrorInfo | None) -> str:
    return "" if error is None else f"{error.type.rpartition(':')[2]}: {error.message}"


def _inside(instant: datetime, trace: Trace) -> bool:
    if instant.tzinfo is None:
        return False
    moment = int(instant.astimezone(UTC).timestamp() * 1_000_000_000)
    slack = 1_000_000
    return trace.started_at - slack <= moment <= trace.started_at + trace.duration + slack


def _first(
    divergences: list[Divergence], ended: dict[Pair, int], before: Tree, after: Tree
) -> Divergence | None:
    """The divergence that ended first, of the most telling sort there is."""

    def sort(one: Divergence) -> tuple[int, int]:
        pair = (one.old, one.new)
        if _kind(pair, before, after) == "note":
            rank = 3
        elif one.within:
            rank = 2
        else:
            rank = 0 if one.kind in ("changed", "added", "removed") else 1
        return rank, ended[pair]

    return min(divergences, key=sort, default=None)
