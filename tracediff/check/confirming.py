"""Which results are seen once more in a process where nothing was replayed yet.

A job may keep something between its runs, such as a cache around an input: then a trace differs
because another was replayed before it. What differs is therefore replayed again. Where thousands
differ for one change of the code, to see some of them again is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

ENOUGH: Final = 8
"""How many of one cause are confirmed, one after the other, before not all are."""
EVERY: Final = 16
"""Which part of them is confirmed from then on."""

T = TypeVar("T")


@dataclass(slots=True)
class _Cause(Generic[T]):
    confirmed: int = 0
    under_way: int = 0
    passed: int = 0
    waiting: list[T] = field(default_factory=list)


@dataclass(slots=True)
class Decided(Generic[T]):
    """What is accepted as it is, and what is to be replayed again."""

    accepted: list[T] = field(default_factory=list)
    again: list[T] = field(default_factory=list)


class Confirming(Generic[T]):
    """Decides what is replayed again. A cause of None is confirmed each time."""

    def __init__(self) -> None:
        self._causes: dict[str, _Cause[T]] = {}
        self.waiting = 0

    def first(self, task: T, cause: str | None) -> Decided[T]:
        """What to do about one that differs, in a process that replayed others before."""
        if cause is None:
            return Decided(again=[task])
        known = self._causes.setdefault(cause, _Cause())
        known.waiting.append(task)
        self.waiting += 1
        return self._decided(known)

    def fresh(self, cause: str | None) -> None:
        """One that differs, for a cause, in a process that was fresh by itself."""
        if cause is not None:
            self._causes.setdefault(cause, _Cause()).confirmed += 1

    def again(self, cause: str | None, *, confirmed: bool) -> Decided[T]:
        """One that was replayed again: whether it came to the same."""
        if cause is None:
            return Decided()
        known = self._causes[cause]
        known.under_way -= 1
        known.confirmed = known.confirmed + 1 if confirmed else 0
        return self._decided(known)

    def forget(self) -> None:
        """Nothing is under way any more."""
        for known in self._causes.values():
            known.under_way = 0
            known.waiting.clear()
        self.waiting = 0

    def _decided(self, known: _Cause[T]) -> Decided[T]:
        found: Decided[T] = Decided()
        while known.waiting:
            if known.confirmed >= ENOUGH:
                known.passed += 1
                doubted = known.passed % EVERY == 0
            elif known.confirmed + known.under_way < ENOUGH:
                doubted = True
            else:
                break
            task = known.waiting.pop(0)
            self.waiting -= 1
            if doubted:
                known.under_way += 1
                found.again.append(task)
            else:
                found.accepted.append(task)
        return found
