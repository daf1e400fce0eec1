"""Changed signatures and the calls that follow them: mixtures of them run, but mean nothing.

Where the old ``minus(a, b)`` became ``minus(b, a)``, the new function with an old call gives a
result that nobody wrote. DESIGN: "a changed signature and its caller" are one player.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tracediff.explain.items import FUNCTIONS
from tracediff.explain.slots import Pairing, Slot, members


def bound(pairing: Pairing, places: Mapping[int, int]) -> Iterator[tuple[frozenset[int], str]]:
    """The atoms that belong together because of the order of parameters, and the reason.

    Args:
        pairing: The two sides.
        places: Which atom each unit is that takes part.
    """
    slots = [slot for plan in pairing.modules.values() for slot, _ in members(plan.body)]
    changed = [one for one in slots if one.unit in places and one.old and one.new]
    for slot in slots:
        unit = _reordered(slot)
        if unit is None or unit not in places:
            continue
        name = _called(slot)
        callers = [one for one in changed if one is not slot and _calls_otherwise(one, name)]
        atoms = frozenset(
            places[one] for one in [unit, *(each.unit for each in callers)] if one is not None
        )
        if len(atoms) > 1:
            yield atoms, f"the parameters of {name} stand in another order"


def _reordered(slot: Slot) -> int | None:
    """The unit that gives a parameter that both sides have another position.

    Of a class whose constructor is made of its fields it is their order.
    """
    if slot.old is None or slot.new is None:
        return None
    if slot.body is not None:
        return slot.body.order
    if not isinstance(slot.old.node, FUNCTIONS) or not isinstance(slot.new.node, FUNCTIONS):
        return None
    before, after = _positions(slot.old.node.args), _positions(slot.new.node.args)
    moved = any(before[one] != after[one] for one in before.keys() & after.keys())
    return slot.unit if moved else None


def _called(slot: Slot) -> str:
    """The name it is called by: a constructor by that of its class."""
    parts = slot.qualname.split(".")
    return parts[-2] if parts[-1] in ("__init__", "__new__") and len(parts) > 1 else parts[-1]


def _positions(args: ast.arguments) -> dict[str, int]:
    names = [one.arg for one in [*args.posonlyargs, *args.args]]
    return {name: at for at, name in enumerate(one for one in names if one not in ("self", "cls"))}


def _calls_otherwise(slot: Slot, name: str) -> bool:
    if slot.old is None or slot.new is None:
        return False
    return list(_calls(slot.old.node, name)) != list(_calls(slot.new.node, name))


def _calls(node: ast.AST, name: str) -> Iterator[str]:
    """The arguments of each call of a name."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            called = one.func
            if name == (
                called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            ):
                yield ", ".join(ast.dump(each) for each in [*one.args, *one.keywords])
