"""What a changed piece of code or data is, whichever trace it changed: the same one has one id."""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from tracediff.checked import Change
from tracediff.explain.assembly import supports
from tracediff.explain.details import Lines, lines_of
from tracediff.explain.evidence import Evidence
from tracediff.explain.items import FUNCTIONS, Item, plain
from tracediff.explain.slots import Body, Pairing, Slot, members
from tracediff.explained import Blame, Hunk, Unit

DIGITS = 8
MOST_LINES = 12
"""How many lines of a change are shown."""
MOST_SOUGHT = 60
"""Units up to whose number those of a merged change are sought."""
_LEFT_OUT = frozenset({"ctx", "kind", "type_comment"})
_PARTS = {"decorator": ("decorator_list",), "bases": ("bases", "keywords")}


class Identities:
    """Says of units which change they are.

    Args:
        pairing: The two sides.
        old: The old side's directory.
        new: The new side's.
        evidence: Finds hunks and commits.
    """

    def __init__(self, pairing: Pairing, old: Path, new: Path, evidence: Evidence) -> None:
        self._pairing, self._roots, self._evidence = pairing, (old, new), evidence
        self._slots = dict(_placed(pairing))
        self._named: dict[str, list[Slot]] = defaultdict(list)
        for name, slot in _named(pairing):
            self._named[name].append(slot)
        self._orders = dict(_orders(pairing))
        self._brought = _brought(pairing)
        self._texts: dict[Unit, str] = {}
        self._lines: Mapping[Unit, Lines] | None = None

    def id_of(self, units: Sequence[Unit]) -> str:
        """The id of units that are one change: of their names, kinds, and code on both sides."""
        said = "\0".join(sorted(map(self._text, units)))
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]

    def chosen(self, units: Sequence[Unit], ids: frozenset[str]) -> frozenset[Unit]:
        """Which units the changes with these ids are made of, as far as there are such.

        Of merged ones up to three units are found.
        """
        found: set[Unit] = set()
        left = set(ids)
        for size in (1, 2, 3):
            if not left or (size > 1 and len(units) > MOST_SOUGHT):
                break
            for some in combinations(units, size):
                if (name := self.id_of(some)) in left:
                    left.discard(name)
                    found.update(some)
        return frozenset(found)

    def change_of(self, units: Sequence[Unit]) -> Change:
        """The change that units are, with its lines and its commit."""
        hunks = [hunk for unit in units for hunk in self._evidence.hunks(unit)]
        file, line = self._place(units)
        lines = [line for hunk in hunks for line in hunk.lines]
        return Change(
            id=self.id_of(units),
            units=tuple(unit.name for unit in units),
            kind=units[0].kind,
            file=file,
            line=line,
            hunk=tuple(lines[:MOST_LINES]),
            commit=_commit(self._evidence, hunks),
        )

    def _place(self, units: Sequence[Unit]) -> tuple[str, int]:
        """The file, and the first line that differs: where there is one, of the new side."""
        if self._lines is None:
            self._lines = lines_of(self._pairing)
        for unit in units:
            span = unit.new or unit.old
            if span is not None:
                side = 1 if unit.new else 0
                found = (pair[side] for pair in self._lines.get(unit, ()))
                return span.file, next((one for one in found if one is not None), span.first)
        return "", 0

    def _text(self, unit: Unit) -> str:
        if unit not in self._texts:
            self._texts[unit] = "\x1f".join((unit.name, unit.kind, *self._code(unit)))
        return self._texts[unit]

    def _code(self, unit: Unit) -> Iterator[str]:
        """What it is on either side, and the definitions that come and go with it."""
        if unit.kind == "data file":
            for root in self._roots:
                path = root / unit.name
                yield hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            return
        if unit.kind == "order":
            yield from self._orders.get(unit.name, ())
            return
        # A property's getter and its setter have one name.
        own = self._slots.get(unit)
        for slot in [own] if own is not None else self._named.get(unit.name, ()):
            for item in (slot.old, slot.new):
                yield _code_of(item, unit.kind)
        for one in self._brought.get(unit, ()):
            yield from (_code_of(item, "") for item in (one.old, one.new))


def _placed(pairing: Pairing) -> Iterator[tuple[Unit, Slot]]:
    for plan in pairing.modules.values():
        for slot, _ in members(plan.body):
            if slot.alias is None:
                yield from ((pairing.units[one], slot) for one in slot.units)


def _named(pairing: Pairing) -> Iterator[tuple[str, Slot]]:
    for plan in pairing.modules.values():
        for slot, _ in members(plan.body):
            if slot.alias is None:
                yield f"{plan.name}:{slot.qualname}", slot


def _orders(pairing: Pairing) -> Iterator[tuple[str, tuple[str, str]]]:
    for plan in pairing.modules.values():
        bodies = [plan.body, *(slot.body for slot, _ in members(plan.body) if slot.body)]
        for body in bodies:
            if body.order is not None:
                yield pairing.units[body.order].name, _both_orders(body)


def _both_orders(body: Body) -> tuple[str, str]:
    old, new = (" ".join(one.qualname for one in some) for some in (body.old_slots, body.slots))
    return old, new


def _brought(pairing: Pairing) -> dict[Unit, list[Slot]]:
    found = supports(pairing)
    return {
        pairing.units[unit]: sorted(slots, key=lambda one: one.qualname)
        for unit, slots in found.items()
    }


def _code_of(item: Item | None, kind: str) -> str:
    """An item's normalised source; of a decorator's unit the decorators, and so on."""
    if item is None:
        return ""
    node = plain(item.node)
    if kind in _PARTS:
        return normal([getattr(node, part, []) for part in _PARTS[kind]])
    if kind and isinstance(node, FUNCTIONS):
        node.decorator_list = []
    return normal(node)


def normal(node: Any) -> str:
    """A syntax tree as text; unlike that of ``ast.dump`` the same in all versions of Python."""
    if isinstance(node, ast.AST):
        parts = [
            f"{name}={normal(value)}"
            for name, value in ast.iter_fields(node)
            if value is not None and value != [] and name not in _LEFT_OUT
        ]
        return f"{type(node).__name__}({', '.join(parts)})"
    if isinstance(node, list):
        return f"[{', '.join(map(normal, node))}]"
    return repr(node)


def _commit(evidence: Evidence, hunks: Iterable[Hunk]) -> str:
    """The commit that brought the lines, the latest of several; "" where one is not committed."""
    found: list[Blame] = [one for hunk in hunks for one in evidence.commits(hunk)]
    if not found or any(one.sha is None for one in found):
        return ""
    dated = max(found, key=lambda one: one.date.timestamp() if one.date is not None else 0.0)
    return dated.sha or ""
