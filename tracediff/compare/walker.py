"""A typed structural diff of two inert values: what differs, where, and by how much.

Types count: 1, 1.0, True and Decimal("1.0") are four values; 0.0 and -0.0 are two, as are
Decimal("1.0") and Decimal("1.00"). Lists are aligned by the digests of their items, so that an
inserted row is one change. A stack of its own instead of recursion: depth is the trace's choice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from tracediff import values
from tracediff.compare.sequences import Budget, match
from tracediff.compare.tolerances import Rules, delta, within
from tracediff.model import MISSING, FieldChange, Tolerance, Value

MAX_CHANGES = 1_000
ALIGNMENT_WORK = 2_000_000
Path = tuple[str | int, ...]
Instants = Callable[[Any, Any], bool]


def value_changes(
    old: Value | None,
    new: Value | None,
    *,
    rules: Rules | None = None,
    at: Path = (),
    clock: Instants | None = None,
) -> tuple[FieldChange, ...]:
    """What differs between two recorded values; nothing when their bytes are equal.

    Args:
        old: The recorded value, None when there is none.
        new: The other one.
        rules: Tolerances by path.
        at: The path of the values themselves, for the tolerances.
        clock: Whether two instants are the two runs' own clocks, and so no difference.
    """
    if old is not None and new is not None and old.data == new.data:
        return ()
    before = MISSING if old is None else values.inert(old)
    after = MISSING if new is None else values.inert(new)
    walk = _Walk(rules or Rules(), at, clock)
    walk.run(before, after)
    return tuple(walk.changes)


class _Walk:
    def __init__(self, rules: Rules, at: Path, clock: Instants | None) -> None:
        self.rules = rules
        self.at = at
        self.clock = clock
        self.changes: list[FieldChange] = []
        self.budget = Budget(ALIGNMENT_WORK)

    def run(self, old: Any, new: Any) -> None:
        stack: list[tuple[Path, Any, Any]] = [((), old, new)]
        while stack and len(self.changes) < MAX_CHANGES:
            path, before, after = stack.pop()
            stack.extend(reversed(list(self._node(path, before, after))))

    def _node(self, path: Path, old: Any, new: Any) -> Iterable[tuple[Path, Any, Any]]:
        """Compare one node; what is below comes back to be compared."""
        if old is new:
            return ()
        rule = self.rules.at((*self.at, *path))
        if rule.ignore:
            return ()
        if old is MISSING or new is MISSING:
            kind = "added" if old is MISSING else "removed"
            self._add(path, kind, old, new)
            return ()
        if type(old) is not type(new):
            self._leaf(path, old, new, rule, "type")
            return ()
        if isinstance(old, Mapping):
            return self._mapping(path, list(old.items()), list(new.items()), rule)
        if isinstance(old, list | tuple | deque):
            return self._sequence(path, list(old), list(new), rule)
        if isinstance(old, set | frozenset):
            return self._members(path, old, new)
        if is_dataclass(old):
            return self._record(path, old, new, rule)
        if not same_leaf(old, new):
            self._leaf(path, old, new, rule, "changed")
        return ()

    def _add(self, path: Path, kind: Any, old: Any, new: Any, *, close: bool = False) -> None:
        difference = None if old is MISSING or new is MISSING else delta(old, new)
        self.changes.append(
            FieldChange(path=path, kind=kind, old=old, new=new, delta=difference, within=close)
        )

    def _leaf(self, path: Path, old: Any, new: Any, rule: Tolerance, kind: str) -> None:
        close = within(old, new, rule) or (self.clock is not None and self.clock(old, new))
        self._add(path, kind, old, new, close=close)

    def _mapping(
        self, path: Path, old: list[Any], new: list[Any], rule: Tolerance
    ) -> list[tuple[Path, Any, Any]]:
        before = {(type(key), key): (key, value) for key, value in old}
        after = {(type(key), key): (key, value) for key, value in new}
        below = [
            ((*path, _step(key)), value, after[typed][1] if typed in after else MISSING)
            for typed, (key, value) in before.items()
        ]
        below += [
            ((*path, _step(key)), MISSING, value)
            for typed, (key, value) in after.items()
            if typed not in before
        ]
        shared = [typed for typed in before if typed in after]
        turned = [typed for typed in after if typed in before]
        if not rule.unordered and shared != turned:
            self._add(path, "order", [key for _, key in shared], [key for _, key in turned])
        return below

    def _sequence(
        self, path: Path, old: list[Any], new: list[Any], rule: Tolerance
    ) -> list[tuple[Path, Any, Any]]:
        left, right = list(map(token, old)), list(map(token, new))
        if rule.unordered:
            return self._unordered(path, (old, left), (new, right))
        pairs = match(left, right, self.budget)
        below: list[tuple[Path, Any, Any]] = []
        i = j = 0
        for a, b in [*pairs, (len(old), len(new))]:
            both = min(a - i, b - j)
            below += [((*path, i + at), old[i + at], new[j + at]) for at in range(both)]
            below += [((*path, at), old[at], MISSING) for at in range(i + both, a)]
            below += [((*path, at), MISSING, new[at]) for at in range(j + both, b)]
            i, j = a + 1, b + 1
        return below

    def _unordered(
        self, path: Path, old: tuple[list[Any], list[bytes]], new: tuple[list[Any], list[bytes]]
    ) -> list[tuple[Path, Any, Any]]:
        spare: dict[bytes, list[int]] = {}
        for at, one in enumerate(new[1]):
            spare.setdefault(one, []).append(at)
        left = [
            at for at, one in enumerate(old[1]) if not (spare.get(one) and spare[one].pop(0) >= 0)
        ]
        right = sorted(at for places in spare.values() for at in places)
        both = min(len(left), len(right))
        below = [((*path, i), old[0][i], new[0][j]) for i, j in zip(left, right, strict=False)]
        below += [((*path, i), old[0][i], MISSING) for i in left[both:]]
        below += [((*path, j), MISSING, new[0][j]) for j in right[both:]]
        return below

    def _members(self, path: Path, old: Any, new: Any) -> list[tuple[Path, Any, Any]]:
        before = {token(one): one for one in old}
        after = {token(one): one for one in new}
        gone = sorted(one for one in before if one not in after)
        come = sorted(one for one in after if one not in before)
        below = [((*path, values.text(before[one], 40)), before[one], MISSING) for one in gone]
        below += [((*path, values.text(after[one], 40)), MISSING, after[one]) for one in come]
        return below

    def _record(
        self, path: Path, old: Any, new: Any, rule: Tolerance
    ) -> list[tuple[Path, Any, Any]]:
        """One of ``tracediff.values``' nodes: by its fields when both are of one type."""
        if isinstance(old, values.Pairs):
            return self._sequence(path, list(old.items), list(new.items), rule)
        if isinstance(old, values.Record) and old.type == new.type:
            below = self._mapping(path, list(old.fields.items()), list(new.fields.items()), rule)
            if token(old.base) != token(new.base):
                below.append((path, old.base, new.base))
            return below
        if token(old) != token(new):
            self._leaf(path, old, new, rule, "changed")
        return []


def _step(key: Any) -> str | int:
    return key if type(key) in (str, int) else values.text(key, 60)


def same_leaf(old: Any, new: Any) -> bool:
    """Whether two leaves of one type are the same value, bit for bit."""
    if type(old) in (str, bytes, bool, int):
        return bool(old == new)
    return token(old) == token(new)


def token(value: Any) -> bytes:
    """What tells a value from others: its canonical bytes, digested when they are long."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = [(field.name, getattr(value, field.name)) for field in fields(value)]
        data = values.encode((type(value).__name__, parts))
    else:
        data = values.encode(value)
    return data if len(data) <= 32 else values.digest(data)
