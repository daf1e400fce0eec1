"""In which order the slots of a body run, when some come from the old and some from the new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tracediff.explain.items import Item
from tracediff.explain.slots import Slot


def orders(
    slots: Sequence[Slot], before: Sequence[Item], *, strict: bool = False
) -> tuple[list[Slot], list[Slot] | None]:
    """All slots in the new side's order, and in the old's where that is another one.

    What only one side has follows what it followed there. Functions and imports may stand earlier
    than in one of the two sides, so they make no difference.

    Args:
        slots: In the order of the new side, then those that it has not.
        before: The items of the old side, in its order.
        strict: Let imports stay where they are: what they import may depend on their order.
    """

    def late(slot: Slot) -> bool:
        sides = [one for one in (slot.old, slot.new) if one is not None]
        return all(one.runs_late and not (strict and one.is_import) for one in sides)

    places = {id(item): at for at, item in enumerate(before)}
    was = {one: places[id(one.old)] for one in slots if one.old and id(one.old) in places}
    here = [one for one in slots if one.new is not None]
    now = {one: at for at, one in enumerate(here)}
    then = sorted(was, key=was.__getitem__)
    aliases = [one for one in slots if one not in was and one not in now]
    new_order = _renamed(_inserted(here, then, late), aliases)
    settled = [was[one] for one in here if one in was and not late(one)]
    if settled == sorted(settled):
        return _hoisted(new_order, was, late), None
    old_order = _renamed(_inserted(then, here, late), aliases)
    return _hoisted(new_order, was, late), _hoisted(old_order, now, late)


def _renamed(order: Sequence[Slot], aliases: Sequence[Slot]) -> list[Slot]:
    """The order with each old name right after what has it no more; at the end if it moved away."""
    left = {one.alias.name: one for one in aliases if one.alias is not None}
    made: list[Slot] = []
    for one in order:
        names = one.new.names if one.new is not None else ()
        made += [one, *(left.pop(name) for name in names if name in left)]
    known = set(made)
    return [*made, *(one for one in aliases if one not in known)]


def _inserted(
    base: Sequence[Slot], other: Sequence[Slot], late: Callable[[Slot], bool]
) -> list[Slot]:
    """The base with what only the other has, each after the statement that it follows there.

    Functions do not count: they may stand anywhere, and are hoisted after this.
    """
    known = set(base)
    following: dict[Slot | None, list[Slot]] = {}
    last: Slot | None = None
    for one in other:
        if one not in known:
            following.setdefault(last, []).append(one)
        elif not late(one):
            last = one
    made = list(following.get(None, ()))
    for one in base:
        made += [one, *following.get(one, ())]
    return made


def _hoisted(
    order: Sequence[Slot], places: Mapping[Slot, int], late: Callable[[Slot], bool]
) -> list[Slot]:
    """The order, with what may stand earlier before what it stands before on the other side."""
    made: list[Slot] = []
    for one in order:
        at = len(made)
        if one in places and one.alias is None and late(one):
            after = (i for i, other in enumerate(made) if places.get(other, -1) > places[one])
            at = next(after, at)
        made.insert(at, one)
    return made
