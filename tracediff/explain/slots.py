"""The places of a module's body, with what stands there on the old and on the new side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tracediff.explain.items import Item
from tracediff.explained import Unit


@dataclass(frozen=True, slots=True)
class Alias:
    """The old name of a definition: it is ``name`` of ``module`` now, or of the same class."""

    module: str
    name: str
    bound: str


@dataclass(eq=False, slots=True)
class Slot:
    """A place in a body: what stands there on each side, and the units that choose between them.

    A unit is a number. ``unit`` chooses the whole, or a function's signature and body;
    ``decorator`` and ``bases`` choose those; ``body`` holds the members of a class. Without a unit
    the new side is taken, or the one there is: a ``support`` only when something mentions it, a
    ``fixed`` one always. ``alias`` stands for what moved away. ``home`` is the file that the old
    side came from, if it is another.
    """

    qualname: str
    old: Item | None = None
    new: Item | None = None
    unit: int | None = None
    decorator: int | None = None
    bases: int | None = None
    body: Body | None = None
    support: bool = False
    fixed: bool = False
    alias: Alias | None = None
    home: str | None = None

    @property
    def item(self) -> Item:
        """What stands there, the new side first; not to be asked of an alias."""
        found = self.new if self.new is not None else self.old
        if found is None:
            raise LookupError(self.qualname)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """What it binds."""
        return (self.alias.bound,) if self.alias is not None else self.item.names

    @property
    def units(self) -> tuple[int, ...]:
        """The units of its own, its members' aside."""
        return tuple(one for one in (self.unit, self.decorator, self.bases) if one is not None)

    def words(self, *, new: bool) -> frozenset[str]:
        """The identifiers on one side; those of members that have slots of their own left out."""
        if self.alias is not None:
            return frozenset((self.alias.name,))
        item = self.new if new else self.old
        if item is None:
            return frozenset()
        return item.words if self.body is not None else item.all_words


@dataclass(eq=False, slots=True)
class Body:
    """The slots of a module or class in the new side's order.

    ``order`` is the unit that chooses the old side's order, ``old_slots``, where they disagree.
    """

    slots: list[Slot]
    old_slots: list[Slot] = field(default_factory=list)
    order: int | None = None


@dataclass(eq=False, slots=True)
class ModulePlan:
    """A module that differs: its file, its dotted name, its slots, its docstring.

    ``told`` is the unit that chooses ``old_doc``, where the two docstrings count.
    """

    file: str
    name: str
    body: Body
    doc: str | None
    old_doc: str | None = None
    told: int | None = None


@dataclass(eq=False, slots=True)
class Pairing:
    """All modules that differ, by file; their units, by number; every word of the other modules."""

    modules: dict[str, ModulePlan]
    units: list[Unit]
    words: frozenset[str]


def members(body: Body, within: Slot | None = None) -> Iterator[tuple[Slot, Slot | None]]:
    """All slots of a body, with the class each stands in; those of classes after their class."""
    for slot in body.slots:
        yield slot, within
        if slot.body is not None:
            yield from members(slot.body, slot)
