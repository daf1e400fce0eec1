"""In which order the slots of a body run, when some come from the old and some from the new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracediff.explain.items import Item
from tracediff.explain.slots import Slot


def orders(slots: Sequence[Slot], before: Sequence[Item]) -> tuple[list[Slot], list[Slot] | None]:
    """All slots in the new side's order, and in the old's where that is another one.

    What only one side has follows what it followed there. Functions and imports may stand earlier
    than in one of the two sides, so they make no difference.

    Args:
        slots: In the order of the new side, then those that it has not.
        before: The items of the old side, in its order.
    """
    places = {id(item): at for at, item in enumerate(before)}
    was = {one: places[id(one.old)] for one in slots if one.old and id(one.old) in places}
    here = [one for one in slots if one.new is not None]
    now = {one: at for at, one in enumerate(here)}
    then = sorted(was, key=was.__getitem__)
    rest = [one for one in slots if one not in was and one not in now]  # aliases
    new_order = [*_inserted(here, then), *rest]
    settled = [was[one] for one in here if one in was and not _runs_late(one)]
    if settled == sorted(settled):
        return _hoisted(new_order, was), None
    old_order = [*_inserted(then, here), *rest]
    return _hoisted(new_order, was), _hoisted(old_order, now)


def _runs_late(slot: Slot) -> bool:
    return all(one is None or one.runs_late for one in (slot.old, slot.new))


def _inserted(base: Sequence[Slot], other: Sequence[Slot]) -> list[Slot]:
    """The base with what only the other has, each after what it follows there."""
    known = set(base)
    following: dict[Slot | None, list[Slot]] = {}
    last: Slot | None = None
    for one in other:
        if one in known:
            last = one
        else:
            following.setdefault(last, []).append(one)
    made = list(following.get(None, ()))
    for one in base:
        made += [one, *following.get(one, ())]
    return made


def _hoisted(order: Sequence[Slot], places: Mapping[Slot, int]) -> list[Slot]:
    """The order, with what may stand earlier before what it stands before on the other side."""
    made: list[Slot] = []
    for one in order:
        at = len(made)
        if one in places and one.alias is None and _runs_late(one):
            after = (i for i, other in enumerate(made) if places.get(other, -1) > places[one])
            at = next(after, at)
        made.insert(at, one)
    return made
