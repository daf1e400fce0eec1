"""The old and the new side of modules laid against each other: slots, and the units that differ.

A *slot* is a place in a module or class body with what stands there on each side. What differs in
it is a *unit*, unless it is the same under another name or in another place. What only one side has
and only binds a name is *support*: it is there when something that is there mentions it. Pure.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from tracediff.explain.counterparts import class_body, paired
from tracediff.explain.items import FUNCTIONS, Item, read_module
from tracediff.explain.order import orders
from tracediff.explain.renames import alike, called_alike
from tracediff.explain.slots import Alias, Body, ModulePlan, Pairing, Slot, members
from tracediff.explained import Unit, UnitKind

_DUNDER = re.compile(r"__\w+__")
_WORD = re.compile(r"[^\W\d]\w*")
_QUOTED = re.compile(r"'([^'\\]*)'")
P = TypeVar("P")
_MAX_IMPORTS = 20
"""How many imports of imports are followed."""


def pair(
    old: Mapping[str, bytes],
    new: Mapping[str, bytes],
    modules: Mapping[str, str],
    *,
    strict: bool = False,
) -> Pairing:
    """Lay the two sides of a project against each other.

    Args:
        old: The sources of the old side, by path.
        new: Those of the new side.
        modules: The dotted name of each path.
        strict: Make a unit of everything whose form differs: renames, moves, helpers.

    Raises:
        SyntaxError: A file cannot be compiled.
    """
    sides = _Sides(old, new, modules)
    if not strict:
        _Moves(sides).find()
    return _Units(sides, strict=strict).run()


class _Sides:
    """The modules that differ, read and laid against each other."""

    def __init__(
        self, old: Mapping[str, bytes], new: Mapping[str, bytes], modules: Mapping[str, str]
    ) -> None:
        differing = [one for one in sorted({*old, *new}) if old.get(one) != new.get(one)]
        self.old = {one: read_module(one, old[one]) for one in differing if one in old}
        self.new = {one: read_module(one, new[one]) for one in differing if one in new}
        same = b"\n".join(new[one] for one in new if old.get(one) == new[one])
        self.words = frozenset(_WORD.findall(same.decode("utf-8", "replace")))
        self.files = {name: file for file, name in modules.items()}
        self.renamed: dict[str, str] = {}
        self.moved: dict[tuple[str, str], Slot] = {}
        self.plans: dict[str, ModulePlan] = {}
        for file in differing:
            before, after = self.old.get(file), self.new.get(file)
            slots = paired(before.items if before else [], after.items if after else [], "")
            doc = next(one.doc for one in (after, before) if one is not None)
            self.plans[file] = ModulePlan(file, modules[file], Body(slots), doc)

    def both(self, plan: ModulePlan) -> bool:
        """Whether both sides have this module."""
        return plan.file in self.old and plan.file in self.new

    def ours(self, module: str) -> bool:
        """Whether a module is one of the project's."""
        top = module.partition(".")[0]
        return any(one.partition(".")[0] == top for one in self.files)

    def resolve(self, plan: ModulePlan, item: Item, *, new: bool, depth: int = 0) -> object:
        """What an import gives in the end: a slot, or the names of what is no module's here."""
        node = item.node
        if not isinstance(node, ast.Import | ast.ImportFrom) or depth > _MAX_IMPORTS:
            return None
        name = node.names[0].name
        if isinstance(node, ast.Import):
            return self._module(name, new=new)
        source = _absolute(node.module, node.level, plan)
        if f"{source}.{name}" in self.files:
            return self._module(f"{source}.{name}", new=new)
        target = self.plans.get(self.files.get(source, ""))
        if target is None:
            return source, name
        if not new and (target.file, name) in self.moved:
            return self.moved[target.file, name]
        for slot in target.body.slots:
            found = slot.new if new else slot.old
            if found is not None and name in found.names:
                if found.is_import:
                    return self.resolve(target, found, new=new, depth=depth + 1)
                return slot
        return source, name

    def _module(self, name: str, *, new: bool) -> object:
        return ("module", name if new else self.renamed.get(name, name))


class _Moves:
    """Finds what has another name or another place on the new side, and lets it stand there."""

    def __init__(self, sides: _Sides) -> None:
        self.sides = sides

    def find(self) -> None:
        slots = [(plan, slot) for plan in self.sides.plans.values() for slot in plan.body.slots]
        gone = [(plan, one) for plan, one in slots if _defined(one.old) and not _defined(one.new)]
        come = [(plan, one) for plan, one in slots if _defined(one.new) and not _defined(one.old)]
        done: set[Slot] = set()
        for key in (_named, _nameless):
            for (left, before), (right, after) in _unique(gone, come, key, done):
                if self._move(left, before, right, after):
                    done |= {before, after}
        self._find_changed(gone, come, done)
        self._find_modules()
        for _, slot in slots:
            if slot.body is not None:
                self._find_members(slot.body)

    def _find_changed(
        self,
        gone: Sequence[tuple[ModulePlan, Slot]],
        come: Sequence[tuple[ModulePlan, Slot]],
        done: set[Slot],
    ) -> None:
        """What has another name and another body, as its callers tell."""
        before = _by_name([one for one in gone if one[1] not in done and one[1].new is None])
        after = _by_name([one for one in come if one[1] not in done and one[1].old is None])
        forms = [
            (slot.old.form, slot.new.form)
            for plan in self.sides.plans.values()
            for slot, _ in members(plan.body)
            if slot.old is not None and slot.new is not None
        ]
        kinds = [
            {name: slot.item.kind for name, (_, slot) in one.items()} for one in (before, after)
        ]
        for here, there in called_alike(forms, *kinds).items():
            (left, one), (right, other) = before[here], after[there]
            if left is right and alike(one.item.form, other.item.form):
                self._move(left, one, right, other)

    def _move(self, left: ModulePlan, gone: Slot, right: ModulePlan, come: Slot) -> bool:
        if gone.old is None or come.new is None:
            return False
        stays = gone.new is not None  # an import, of what moved or of something else
        if stays and self.sides.resolve(left, gone.item, new=True) is not come:
            return False
        if come.old is not None and self.sides.resolve(right, come.old, new=False) is not gone:
            return False  # what had this name here was something else
        here, there = gone.old.name, come.new.name
        come.old, gone.old = gone.old, None
        come.body = class_body(come.old, come.new, come.qualname)
        self.sides.moved[left.file, here] = come
        if here != there:
            self.sides.renamed[here] = there
        if left is not right:
            come.home = left.file
        if stays:
            gone.fixed = True
        else:
            gone.alias, gone.support = Alias(right.name, there, here), True
        return True

    def _find_modules(self) -> None:
        """A module whose definitions all went to one other module has another name."""
        went: dict[str, set[str]] = defaultdict(set)
        for (file, _), slot in self.sides.moved.items():
            went[file].add(slot.item.file)
        for file, others in went.items():
            if file not in self.sides.new and len(others) == 1:
                target = others.pop()
                before, after = self.sides.plans[file].name, self.sides.plans[target].name
                self.sides.renamed[before] = after
                if before.rpartition(".")[0] == after.rpartition(".")[0]:
                    self.sides.renamed[before.rpartition(".")[2]] = after.rpartition(".")[2]

    def _find_members(self, body: Body) -> None:
        """Methods of a class with another name."""
        gone = [(None, one) for one in body.slots if one.new is None and _is_method(one.old)]
        come = [(None, one) for one in body.slots if one.old is None and _is_method(one.new)]
        for (_, before), (_, after) in _unique(gone, come, _nameless, set()):
            after.old, before.old = before.old, None
            if after.old is None:
                continue
            here, there = after.old.name, after.item.name
            self.sides.renamed[here] = there
            before.alias, before.support = Alias("", there, here), True
        for slot in body.slots:
            if slot.body is not None:
                self._find_members(slot.body)


class _Units:
    """Makes units of what differs."""

    def __init__(self, sides: _Sides, *, strict: bool) -> None:
        self.sides, self.strict = sides, strict
        self.units: list[Unit] = []

    def run(self) -> Pairing:
        for plan in self.sides.plans.values():
            self._settle(plan, plan.body)
            before, after = self.sides.old.get(plan.file), self.sides.new.get(plan.file)
            self._order(plan, plan.body, before.items if before else [], "")
            self._bring_names(plan)
            if self.strict and before and after and before.doc != after.doc:
                self.units.append(Unit(kind="statement", name=f"{plan.name}:__doc__"))
                plan.old_doc, plan.told = before.doc, len(self.units) - 1
        self._settle_one_sided()
        return Pairing(self.sides.plans, self.units, self.sides.words)

    def _settle(self, plan: ModulePlan, body: Body) -> None:
        for slot in body.slots:
            old, new = slot.old, slot.new
            if old is None or new is None:
                continue
            if slot.body is not None:
                if self._differ(old.bases, new.bases):
                    slot.bases = self._unit(plan, slot, "bases")
                if self._differ(old.decorators, new.decorators):
                    slot.decorator = self._unit(plan, slot, "decorator")
                self._settle(plan, slot.body)
                self._order(plan, slot.body, old.body, f"{slot.qualname}.")
            elif isinstance(old.node, FUNCTIONS) and isinstance(new.node, FUNCTIONS):
                if self._differ(old.form, new.form, _own_name(slot)):
                    slot.unit = self._unit(plan, slot, new.kind)
                if self._differ(old.decorators, new.decorators):
                    slot.decorator = self._unit(plan, slot, "decorator")
            elif self._differ(old.form, new.form) and not self._give_the_same(plan, slot):
                slot.unit = self._unit(plan, slot, new.kind)

    def _differ(self, before: str, after: str, own: tuple[str, str] | None = None) -> bool:
        if before == after:
            return False
        if self.strict:
            return True
        known = self.sides.renamed | (dict([own]) if own else {})
        return _QUOTED.sub(lambda word: f"'{known.get(word[1], word[1])}'", before) != after

    def _give_the_same(self, plan: ModulePlan, slot: Slot) -> bool:
        """Whether two imports lead to one definition."""
        if self.strict or slot.old is None or slot.new is None:
            return False
        before = self.sides.resolve(plan, slot.old, new=False)
        return before is not None and before == self.sides.resolve(plan, slot.new, new=True)

    def _unit(self, plan: ModulePlan, slot: Slot, kind: UnitKind) -> int:
        name = f"{plan.name}:{slot.qualname}"
        old = slot.old.span if slot.old else None
        new = slot.new.span if slot.new else None
        self.units.append(Unit(kind=kind, name=name, old=old, new=new))
        return len(self.units) - 1

    def _order(self, plan: ModulePlan, body: Body, before: Sequence[Item], prefix: str) -> None:
        body.slots, old_slots = orders(body.slots, before, strict=self.strict)
        if old_slots is not None:
            self.units.append(Unit(kind="order", name=f"{plan.name}:{prefix}(order)"))
            body.order, body.old_slots = len(self.units) - 1, old_slots

    def _bring_names(self, plan: ModulePlan) -> None:
        """What came from another module finds there what its old side mentions."""
        bound = {name for slot in plan.body.slots for name in slot.names}
        known: dict[str, frozenset[str]] = {}
        for slot in list(plan.body.slots):
            left = self.sides.plans.get(slot.home or "")
            if left is None or slot.old is None:
                continue
            if left.file not in known:
                known[left.file] = frozenset(name for one in left.body.slots for name in one.names)
            for name in sorted(slot.old.all_words - bound):
                if name in known[left.file]:
                    alias = Alias(left.name, name, name)
                    made = Slot(name, alias=alias, support=True)
                    plan.body.slots.insert(0, made)
                    if plan.body.order is not None:
                        plan.body.old_slots.insert(0, made)
                    bound.add(name)

    def _settle_one_sided(self) -> None:
        places = [
            (plan, slot, within)
            for plan in self.sides.plans.values()
            for slot, within in members(plan.body)
        ]
        mentioned: dict[str, set[Slot]] = defaultdict(set)
        for _, slot, _ in places:
            for word in slot.words(new=False) | slot.words(new=True):
                mentioned[word].add(slot)
        names: dict[str, int] = defaultdict(int)
        for _, slot, within in places:
            if within is not None:
                for name in slot.names:
                    names[name] += 1
        for plan, slot, within in places:
            if slot.alias or slot.fixed or (slot.old is not None and slot.new is not None):
                continue
            if not self.sides.both(plan):
                slot.fixed = True
            elif self._is_support(slot, within, mentioned, names):
                slot.support = True
            elif self._is_idle_import(slot):
                slot.fixed = True
            else:
                slot.unit = self._unit(plan, slot, slot.item.kind)

    def _is_support(
        self,
        slot: Slot,
        within: Slot | None,
        mentioned: Mapping[str, set[Slot]],
        members: Mapping[str, int],
    ) -> bool:
        item = slot.item
        if self.strict or not (item.defines or item.is_import) or not item.decorated_plainly:
            return False
        if any(_DUNDER.fullmatch(one) or hasattr(builtins, one) for one in item.names):
            return False
        others = set().union(*(mentioned[name] for name in item.names)) - {slot}
        known = any(name in self.sides.words for name in item.names)
        if within is None:
            return bool(others) or known
        # One that other classes have too may override, or be overridden.
        plain = item.kind in ("method", "property", "class attribute")
        return plain and bool(others) and not known and members[item.name] == 1

    def _is_idle_import(self, slot: Slot) -> bool:
        """Whether it is an import that nothing mentions, of what is not the project's."""
        node = slot.item.node
        if self.strict or not slot.names:
            return False
        if isinstance(node, ast.ImportFrom):
            return node.level == 0 and not self.sides.ours(node.module or "")
        return isinstance(node, ast.Import) and not self.sides.ours(node.names[0].name)


def _absolute(module: str | None, level: int, plan: ModulePlan) -> str:
    """The module an import statement means."""
    if not level:
        return module or ""
    parts = plan.name.split(".")
    if not plan.file.endswith("__init__.py"):
        parts = parts[:-1]
    parts = parts[: len(parts) - (level - 1)]
    return ".".join([*parts, *([module] if module else [])])


def _defined(item: Item | None) -> bool:
    return item is not None and item.defines


def _is_plain(item: Item) -> bool:
    """Whether it binds its one name by itself, and not as a part of something."""
    if isinstance(item.node, ast.Assign):
        return len(item.node.targets) == 1 and isinstance(item.node.targets[0], ast.Name)
    return isinstance(item.node, (*FUNCTIONS, ast.AnnAssign))


def _is_method(item: Item | None) -> bool:
    return item is not None and isinstance(item.node, FUNCTIONS)


def _own_name(slot: Slot) -> tuple[str, str] | None:
    return (slot.old.name, slot.new.name) if slot.old and slot.new else None


def _by_name(
    places: Sequence[tuple[ModulePlan, Slot]],
) -> dict[str, tuple[ModulePlan, Slot]]:
    """What has a name that nothing else among them has."""
    count = Counter(slot.item.name for _, slot in places)
    return {
        slot.item.name: (plan, slot)
        for plan, slot in places
        if count[slot.item.name] == 1 and len(slot.item.names) == 1 and _is_plain(slot.item)
    }


def _named(item: Item) -> object:
    return type(item.node).__name__.removeprefix("Async"), item.name


def _nameless(item: Item) -> object:
    """The form apart from its own name."""
    parts = [item.form, item.decorators, item.bases]
    for one in item.body:
        parts += [one.key, one.form, one.decorators]
    text = "\n".join(parts).replace(f"'{item.name}'", "''")
    return type(item.node).__name__, text if item.form != item.name else text[len(item.name) :]


def _unique(
    gone: Sequence[tuple[P, Slot]],
    come: Sequence[tuple[P, Slot]],
    key: Callable[[Item], object],
    done: set[Slot],
) -> Iterator[tuple[tuple[P, Slot], tuple[P, Slot]]]:
    """Pairs of what nothing else has the key of, on either side."""
    left: dict[object, list[tuple[P, Slot]]] = defaultdict(list)
    right: dict[object, list[tuple[P, Slot]]] = defaultdict(list)
    for places, found, new in ((gone, left, False), (come, right, True)):
        for place in places:
            item = place[1].new if new else place[1].old
            if item is not None and place[1] not in done:
                found[key(item)].append(place)
    for same, before in left.items():
        after = right.get(same, [])
        if len(before) == 1 and len(after) == 1 and before[0][1] is not after[0][1]:
            yield before[0], after[0]
