"""Which item of one side of a body is which of the other: by what it binds and what it says."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Sequence

from tracediff.explain.items import Item
from tracediff.explain.slots import Body, Slot

_NUMBER = re.compile(r"#\d+$")


def paired(old: Sequence[Item], new: Sequence[Item], prefix: str) -> list[Slot]:
    """Slots by key, then by what they bind; the new side's order, then what only the old has."""
    counterparts = _counterparts(old, new)
    slots = [_slot(counterparts.get(item), item, prefix) for item in new]
    known = set(counterparts.values())
    rest = [item for item in old if item not in known]
    for at, slot in enumerate(slots):
        if slot.old is None:
            same = [one for one in rest if set(one.names) & set(slot.names)]
            if len(same) == 1:
                rest.remove(same[0])
                slots[at] = _slot(same[0], slot.new, prefix)
    return [*slots, *(_slot(one, None, prefix) for one in rest)]


def _counterparts(old: Sequence[Item], new: Sequence[Item]) -> dict[Item, Item]:
    """By key; where several have one key, those that are the same first, then by their number."""
    left: dict[str, list[Item]] = defaultdict(list)
    for item in old:
        left[_NUMBER.sub("", item.key)].append(item)
    found: dict[Item, Item] = {}
    for same in (True, False):
        for item in new:
            others = left[_NUMBER.sub("", item.key)]
            match = next((one for one in others if not same or _same(one, item)), None)
            if match is not None and item not in found:
                others.remove(match)
                found[item] = match
    return found


def _same(one: Item, other: Item) -> bool:
    return (one.form, one.decorators) == (other.form, other.decorators)


def _slot(old: Item | None, new: Item | None, prefix: str) -> Slot:
    slot = Slot("", old, new)
    slot.qualname = prefix + slot.item.name
    slot.body = class_body(old, new, slot.qualname)
    return slot


def class_body(old: Item | None, new: Item | None, qualname: str) -> Body | None:
    """The members of what is a class on both sides."""
    if old is None or new is None or not old.node.__class__ is new.node.__class__ is ast.ClassDef:
        return None
    return Body(paired(old.body, new.body, f"{qualname}."))
