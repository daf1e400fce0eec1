"""Mixtures of old and new code: for a choice of units, what each module runs.

A choice is a number whose bit ``i`` says that unit ``i`` is the new one. Every statement is
compiled once from the side it comes from, with that side's file name and line numbers, and kept.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from tracediff.explain.items import FUNCTIONS, Function, Item
from tracediff.explain.slots import Alias, Body, ModulePlan, Pairing, Slot, members

Piece = CodeType | Alias

MARK = "__tracediff_ran__"
"""The built-in that marked code calls with (side, file, first line) of the function that runs."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """What a module runs, in order, and its docstring."""

    pieces: tuple[Piece, ...]
    doc: str | None


@dataclass(frozen=True, slots=True)
class _Mention:
    """Makes something be there: a unit that is new (or old), or another support that is there."""

    unit: int | None = None
    new: bool = False
    support: Slot | None = None


class Assembly:
    """Gives modules for choices.

    Args:
        pairing: The two sides.
        old: The directory of the old side; its paths are in the code.
        new: That of the new side.
        marked: Have each function that can be chosen say that it runs; see ``MARK``.
    """

    def __init__(self, pairing: Pairing, old: Path, new: Path, *, marked: bool = False) -> None:
        self._marked = marked
        self._modules = pairing.modules
        self._roots = {False: old, True: new}
        self._compiled: dict[tuple[object, ...], CodeType] = {}
        self._assembled: dict[tuple[str, int, frozenset[Slot]], Assembled] = {}
        self._bits = {file: _bits(plan.body) for file, plan in pairing.modules.items()}
        self._always, self._mentions = _mentions(pairing)

    def modules(self, choice: int) -> Mapping[str, Assembled]:
        """All modules that differ, by file."""
        there = self._there(choice)
        return {file: self._module(plan, choice, there) for file, plan in self._modules.items()}

    def _there(self, choice: int) -> frozenset[Slot]:
        """The support that something mentions."""
        found = set(self._always)
        left = {one: says for one, says in self._mentions.items() if one not in found}
        while True:
            more = {
                one
                for one, says in left.items()
                if any(
                    says_one.support in found
                    if says_one.unit is None
                    else bool(choice >> says_one.unit & 1) == says_one.new
                    for says_one in says
                )
            }
            if not more:
                return frozenset(found)
            found |= more
            left = {one: says for one, says in left.items() if one not in more}

    def _module(self, plan: ModulePlan, choice: int, there: frozenset[Slot]) -> Assembled:
        own = frozenset(slot for slot, _ in members(plan.body) if slot in there)
        bits = self._bits[plan.file] | (1 << plan.told if plan.told is not None else 0)
        key = (plan.file, choice & bits, own)
        if key not in self._assembled:
            pieces = [self._piece(one, choice, there) for one in _order(plan.body, choice, there)]
            new = plan.told is None or choice >> plan.told & 1
            self._assembled[key] = Assembled(tuple(pieces), plan.doc if new else plan.old_doc)
        return self._assembled[key]

    def _piece(self, slot: Slot, choice: int, there: frozenset[Slot]) -> Piece:
        if slot.alias is not None:
            return slot.alias
        bits = choice & (_own_bits(slot) | (_bits(slot.body) if slot.body else 0))
        inner = frozenset(one for one, _ in members(slot.body) if one in there) if slot.body else 0
        key = (slot, bits, inner)
        if key not in self._compiled:
            node, item = _node(slot, choice, there, marked=self._marked)
            new = item is slot.new
            tree = ast.fix_missing_locations(ast.Module(body=[node], type_ignores=[]))
            self._compiled[key] = compile(
                tree, str(self._roots[new] / item.file), "exec", flags=item.flags, dont_inherit=True
            )
        return self._compiled[key]


def _order(body: Body, choice: int, there: frozenset[Slot]) -> Sequence[Slot]:
    """The slots that are there, in their order."""
    old_order = body.order is not None and not choice >> body.order & 1
    slots = body.old_slots if old_order else body.slots
    return [one for one in slots if _is_there(one, choice, there)]


def _is_there(slot: Slot, choice: int, there: frozenset[Slot]) -> bool:
    if slot.support:
        return slot in there
    if slot.unit is not None:
        return (slot.new if choice >> slot.unit & 1 else slot.old) is not None
    return True


def _side(slot: Slot, unit: int | None, choice: int) -> Item:
    """The item that a unit chooses; the new one, or the one there is, where there is no unit."""
    if unit is None:
        return slot.item
    found = slot.new if choice >> unit & 1 else slot.old
    if found is None:
        raise LookupError(slot.qualname)
    return found


def _node(
    slot: Slot, choice: int, there: frozenset[Slot], *, marked: bool = False
) -> tuple[ast.stmt, Item]:
    """The statement of a slot, and the item that its file name and line numbers are from."""
    item = _side(slot, slot.unit, choice)
    if slot.body is not None:
        return _class(slot, choice, there, marked=marked)
    node = _under_one_name(slot, item)
    if marked and slot.unit is not None and isinstance(node, FUNCTIONS):
        node = _with_mark(node, "new" if item is slot.new else "old", item)
    if slot.decorator is None or not isinstance(node, FUNCTIONS):
        return node, item
    node = copy.copy(node)
    node.decorator_list = _decorators(_side(slot, slot.decorator, choice))
    return node, item


def _with_mark(node: Function, side: str, item: Item) -> Function:
    """The function with a call that says that it runs, where its line numbers stay."""
    span = item.span
    said = ast.Tuple([ast.Constant(one) for one in (side, span.file, span.first)], ast.Load())
    call = ast.Expr(ast.Call(ast.Name(MARK, ast.Load()), [said], []))
    first = node.body[0]
    for one in ast.walk(call):
        ast.copy_location(one, first)
    marked = copy.copy(node)
    at = 1 if _is_text(first) else 0
    marked.body = [*node.body[:at], call, *node.body[at:]]
    return marked


def _under_one_name(slot: Slot, item: Item) -> ast.stmt:
    """The statement of an item, which defines the name that the new side has for it."""
    node, name = item.node, slot.item.name
    if not item.defines or item.name == name or len(item.names) != 1:
        return node
    node = copy.copy(node)
    if isinstance(node, FUNCTIONS):
        node.name = name
    elif isinstance(node, ast.Assign):
        node.targets = [ast.Name(name, ast.Store())]
    elif isinstance(node, ast.AnnAssign):
        node.target = ast.Name(name, ast.Store())
    return node


def _decorators(item: Item) -> list[ast.expr]:
    found: list[ast.expr] = getattr(item.node, "decorator_list", [])
    return found


def _class(
    slot: Slot, choice: int, there: frozenset[Slot], *, marked: bool
) -> tuple[ast.stmt, Item]:
    """A class of members of both sides; it is said to be where all its chosen parts are from."""
    head = _side(slot, slot.bases, choice)
    if slot.body is None or not isinstance(head.node, ast.ClassDef):
        raise TypeError(slot.qualname)
    node = copy.copy(slot.item.node)
    if not isinstance(node, ast.ClassDef):
        raise TypeError(slot.qualname)
    node.bases, node.keywords = head.node.bases, head.node.keywords
    node.decorator_list = _decorators(_side(slot, slot.decorator, choice))
    document = slot.item.node.body[0]  # type: ignore[attr-defined]  # it is a class
    node.body = [document] if _is_text(document) else []
    for one in _order(slot.body, choice, there):
        if one.alias is not None:
            node.body += ast.parse(f"{one.alias.bound} = {one.alias.name}").body
        else:
            node.body.append(_node(one, choice, there, marked=marked)[0])
    node.body = node.body or [ast.Pass()]
    mask = _own_bits(slot) | _bits(slot.body)
    oldest = slot.old is not None and mask and not choice & mask
    return node, slot.old if oldest and slot.old is not None else slot.item


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _own_bits(slot: Slot) -> int:
    return sum(1 << one for one in slot.units)


def _bits(body: Body) -> int:
    """The units in a body."""
    found = 1 << body.order if body.order is not None else 0
    for slot in body.slots:
        found |= _own_bits(slot)
        if slot.body is not None:
            found |= _bits(slot.body)
    return found


def brought(pairing: Pairing) -> dict[int, tuple[str, ...]]:
    """By unit, the definitions of one side only that are there because it mentions them."""
    names = {
        slot: f"{plan.name}:{slot.qualname}"
        for plan in pairing.modules.values()
        for slot, _ in members(plan.body)
        if slot.support and slot.alias is None and slot.item.defines
    }
    found: dict[int, list[str]] = {}
    always, mentions = _mentions(pairing)
    for slot, says in mentions.items():
        for unit in sorted({one.unit for one in says if one.unit is not None}):
            if slot in names and slot not in always:
                found.setdefault(unit, []).append(names[slot])
    return {unit: tuple(sorted(names)) for unit, names in found.items()}


def supports(pairing: Pairing) -> dict[int, frozenset[Slot]]:
    """By unit, the definitions of one side only that it mentions, and those that they mention."""
    always, mentions = _mentions(pairing)
    by_unit: dict[int, set[Slot]] = {}
    by_support: dict[Slot, set[Slot]] = {}
    for slot, says in mentions.items():
        if slot in always or slot.alias is not None:
            continue
        for one in says:
            if one.unit is not None:
                by_unit.setdefault(one.unit, set()).add(slot)
            elif one.support is not None:
                by_support.setdefault(one.support, set()).add(slot)
    found = {}
    for unit, slots in by_unit.items():
        reached, left = set(slots), list(slots)
        while left:
            more = by_support.get(left.pop(), set()) - reached
            reached |= more
            left += more
        found[unit] = frozenset(reached)
    return found


def _mentions(pairing: Pairing) -> tuple[set[Slot], dict[Slot, list[_Mention]]]:
    """The support that is always there, and what makes the other be there."""
    slots = [slot for plan in pairing.modules.values() for slot, _ in members(plan.body)]
    supports = [one for one in slots if one.support]
    wanted = frozenset(name for one in supports for name in one.names)
    mentioning: dict[str, list[tuple[Slot, bool]]] = {name: [] for name in wanted}
    for slot in slots:
        for new in (False, True):
            for word in wanted & slot.words(new=new):
                mentioning[word].append((slot, new))
    always: set[Slot] = set()
    found: dict[Slot, list[_Mention]] = {one: [] for one in supports}
    for support in supports:
        if pairing.words.intersection(support.names):
            always.add(support)
        for other, new in (place for name in support.names for place in mentioning[name]):
            if other is support:
                continue
            if other.support:
                found[support].append(_Mention(support=other))
            elif other.units:
                found[support] += [_Mention(unit=one, new=new) for one in other.units]
            elif new or other.new is None:
                always.add(support)
    return always, found
