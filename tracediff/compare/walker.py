"""A typed structural diff of two values: what differs, where, and by how much.

Types count: 1, 1.0, True and Decimal("1.0") are four values; 0.0 and -0.0 are two, as are
Decimal("1.0") and Decimal("1.00"). Lists are aligned by what their items are, so that an inserted
row is one change. A stack of its own instead of recursion: depth is the trace's choice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from operator import is_
from typing import Any

from tracediff import values
from tracediff.compare.frames import Frames, tables
from tracediff.compare.narrowing import narrowed
from tracediff.compare.raw import (
    Shape,
    is_leaf,
    normal,
    opened,
    same_leaf,
    shape,
    thing,
    token,
    unwrapped,
)
from tracediff.compare.rows import alike
from tracediff.compare.sequences import Budget, match
from tracediff.compare.shared import opened_both
from tracediff.compare.tolerances import EXACT, Rules, accepted, delta, within
from tracediff.model import (
    MISSING,
    ChangeKind,
    FieldChange,
    FrameChange,
    Tolerance,
    Value,
    make_change,
)
from tracediff.values import Record
from tracediff.values.frames import Table

MAX_CHANGES = 1_000
ALIGNMENT_WORK = 2_000_000
_PACKED_BYTES = 300_000_000
_CHUNK = 256
Path = tuple[str | int, ...]
Instants = Callable[[Any, Any], bool]
Below = list[tuple[Path, Any, Any]]
_INEXACT = frozenset({dict, list, float})
"""Types whose equality says less than their bytes do."""


class Walk:
    """What differs between two values.

    ``changes`` are the first 1,000 that no tolerance accepts and the first 1,000 that one does;
    ``beyond`` counts the former, ``drift`` those it accepts, ``clock`` those that are the two runs'
    own clocks; ``cut`` says that more differs than is listed. ``frames`` sums up the frames that
    differ.
    """

    def __init__(self, rules: Rules, at: Path, clock: Instants | None) -> None:
        self.rules = rules
        self.at = at
        self.is_clock = clock
        self.changes: list[FieldChange] = []
        self.frames: list[FrameChange] = []
        self.drift = 0
        self.clock = 0
        self.cut = False
        self.beyond = 0
        self._budget: Budget | None = None
        self._packing = _PACKED_BYTES
        self._below: Below = []

    def values(self, old: Value | None, new: Value | None) -> None:
        """Compare two recorded values; None where there is none."""
        try:
            if old is None or new is None:
                self._run((), *(MISSING if one is None else opened(one.data) for one in (old, new)))
            elif self.rules.any:
                self._run((), *opened_both(old.data, new.data))
            else:
                path, left, right = narrowed(old.data, new.data)
                self._run(path, *opened_both(left, right))
        except (TypeError, ValueError):  # nested in a way that tracediff would not write
            self._reset()
            self._run((), *(MISSING if one is None else normal(one.data) for one in (old, new)))
        hidden = not self.rules.any and not self.changes
        if hidden and old is not None and new is not None and old.data != new.data:
            self.add((), "changed", values.inert(old), values.inert(new))

    def _reset(self) -> None:
        self.changes.clear()
        self.frames.clear()
        self.drift = self.clock = self.beyond = 0
        self.cut = False

    def _run(self, path: Path, old: Any, new: Any) -> None:
        stack: Below = [(path, old, new)]
        while stack:
            path, before, after = stack.pop()
            below = self._node(path, before, after)
            if below:
                stack.extend(reversed(below))
            if self.beyond > MAX_CHANGES:
                self.changes.pop()
                self.cut = True
                return

    def _node(self, path: Path, old: Any, new: Any) -> Below:
        """Compare one node; what is below comes back to be compared."""
        rule = EXACT
        if self.rules.any:
            rule = self.rules.at((*self.at, *path))
            if rule.ignore:
                return []
        if old is MISSING or new is MISSING:
            if old is not new:
                kind: ChangeKind = "added" if old is MISSING else "removed"
                self.add(path, kind, thing(old), thing(new))
            return []
        if type(old) is dict and type(new) is dict:
            return self._dicts(path, old, new, rule)
        if is_leaf(old) and is_leaf(new):
            if not same_leaf(old, new):
                self._differ(path, thing(old), thing(new), rule)
            return []
        return self._shaped(path, unwrapped(old), unwrapped(new), rule)

    def _shaped(self, path: Path, old: Any, new: Any, rule: Tolerance) -> Below:
        """As ``_node``, for two of which one at least looks like a container."""
        both = tables(old, new)
        if both is not None and self._framed(path, *both, rule):
            return self._below
        before, after = shape(old), shape(new)
        if before is None or after is None:
            if not same_leaf(old, new):
                self._differ(path, thing(old), thing(new), rule)
            return []
        if before.form == after.form and before.head == after.head:
            return self._members(path, before, after, rule)
        if token(old) == token(new):
            return []
        first, other = thing(old), thing(new)
        if before.form == after.form and accepted(first, other, rule):
            self.add(path, "type", first, other, close=True)
            return self._members(path, before, after, rule)
        self._differ(path, first, other, rule)
        return []

    def _framed(self, path: Path, old: Table, new: Table, rule: Tolerance) -> bool:
        """Compare two frames, if what is known of frames tells them apart."""
        before = self.beyond + self.drift + self.clock, self.cut
        frames = Frames(self, path, old, new, rule)
        summary, self._below = frames.run()
        same = (self.beyond + self.drift + self.clock, self.cut) == before
        if same and not (self._below or summary.cells_changed or summary.rows_added):
            return frames.overlooked
        self.frames.append(summary)
        return True

    def room(self) -> int:
        """How many more changes may be listed."""
        return max(0, MAX_CHANGES - self.beyond)

    def _members(self, path: Path, old: Shape, new: Shape, rule: Tolerance) -> Below:
        if old.form == "seq":
            return self._sequence(path, old.members, new.members, rule)
        if old.form == "set":
            return self._set(path, old.members, new.members)
        below = self._mapping(path, old.members, new.members, rule)
        if old.base is not MISSING or new.base is not MISSING:
            below.append((path, old.base, new.base))
        return below

    def _differ(self, path: Path, old: Any, new: Any, rule: Tolerance) -> None:
        same_type = type(old) is type(new) and (type(old) is not Record or old.type == new.type)
        kind: ChangeKind = "changed" if same_type else "type"
        clock = self.is_clock is not None and self.is_clock(old, new)
        close = clock or (rule is not EXACT and within(old, new, rule))
        self.clock += clock
        self.drift += close and not clock
        self.add(path, kind, old, new, close=close)

    def add(self, path: Path, kind: ChangeKind, old: Any, new: Any, *, close: bool = False) -> None:
        """List a change."""
        if not close:
            self.beyond += 1
        elif len(self.changes) - self.beyond >= MAX_CHANGES:
            self.cut = True
            return
        difference = None if old is MISSING or new is MISSING else delta(old, new)
        self.changes.append(
            make_change(path=path, kind=kind, old=old, new=new, delta=difference, within=close)
        )

    def _dicts(
        self, path: Path, old: dict[str, Any], new: dict[str, Any], rule: Tolerance
    ) -> Below:
        """As ``_mapping``, sooner: the most common container, whose keys are texts."""
        below: Below = []
        if not rule.unordered and list(old) != list(new):
            shared = [key for key in old if key in new]
            turned = [key for key in new if key in old]
            if shared != turned:
                self.add(path, "order", shared, turned)
        for key, value in old.items():
            other = new.get(key, MISSING)
            cls = type(value)
            if cls is type(other) and (
                self._same(value, other) if cls in _INEXACT else value == other
            ):
                continue
            if below or self.rules.any or not (is_leaf(value) and is_leaf(other)):
                below.append(((*path, key), value, other))
                continue
            self._differ((*path, key), thing(value), thing(other), rule)  # it would come next
            if self.beyond > MAX_CHANGES:
                return below
        below += [((*path, key), MISSING, value) for key, value in new.items() if key not in old]
        return below

    def _mapping(self, path: Path, old: list[Any], new: list[Any], rule: Tolerance) -> Below:
        before = {key: value for key, _, value in old}
        after = {key: value for key, _, value in new}
        below = [
            ((*path, _step(raw)), value, after.get(key, MISSING))
            for key, raw, value in old
            if not self._same(value, after.get(key, MISSING))
        ]
        below += [
            ((*path, _step(raw)), MISSING, value) for key, raw, value in new if key not in before
        ]
        if not rule.unordered:
            shared = [key for key, _, _ in old if key in after]
            if shared != [key for key, _, _ in new if key in before]:
                names = ([thing(raw) for key, raw, _ in one if key in before and key in after]
                         for one in (old, new))  # fmt: skip
                self.add(path, "order", *names)
        return below

    def _same(self, old: Any, new: Any) -> bool:
        """Whether two members are equal, as far as that is cheap to tell."""
        if type(old) is not type(new):
            return False
        if type(old) is not dict and type(old) is not list:
            return same_leaf(old, new)
        if len(old) != len(new) or not self._packing:
            return False
        before, after = token(old), token(new)
        self._packing = max(0, self._packing - len(before) - len(after))
        return before == after

    def _sequence(self, path: Path, old: list[Any], new: list[Any], rule: Tolerance) -> Below:
        if rule.unordered:
            return self._unordered(path, old, new)
        start, end = self._ends(old, new)
        left, right = old[start : len(old) - end], new[start : len(new) - end]
        pairs = self._aligned(list(map(token, left)), list(map(token, right)))
        below: Below = []
        i = j = 0
        for a, b in [*pairs, (len(left), len(right))]:
            if i < a or j < b:
                gap = ((path, start + i, left[i:a]), (path, start + j, right[j:b]))
                below += self._gap(*gap)
            i, j = a + 1, b + 1
        return below

    def _aligning(self) -> Budget:
        """The work that aligning lists may still take, of the whole value."""
        if self._budget is None:
            self._budget = Budget(ALIGNMENT_WORK)
        return self._budget

    def _aligned(self, left: list[bytes], right: list[bytes]) -> list[tuple[int, int]]:
        """Equal items in order; place by place if that changes no more, as in a list of numbers."""
        pairs = match(left, right, self._aligning())
        if len(left) != len(right):
            return pairs
        changed = i = j = 0
        for a, b in [*pairs, (len(left), len(right))]:
            changed += max(a - i, b - j)
            i, j = a + 1, b + 1
        same = [at for at, (a, b) in enumerate(zip(left, right, strict=True)) if a == b]
        return [(at, at) for at in same] if len(left) - len(same) <= changed else pairs

    def _ends(self, old: list[Any], new: list[Any]) -> tuple[int, int]:
        """How many items are equal at the start and at the end, whole chunks of them only."""
        start = end = 0
        shorter = min(len(old), len(new))
        while start + _CHUNK <= shorter and _equal(
            old[start : start + _CHUNK], new[start : start + _CHUNK]
        ):
            start += _CHUNK
        while start + end + _CHUNK <= shorter and _equal(
            old[len(old) - end - _CHUNK : len(old) - end],
            new[len(new) - end - _CHUNK : len(new) - end],
        ):
            end += _CHUNK
        return start, end

    def _gap(self, old: tuple[Path, int, list[Any]], new: tuple[Path, int, list[Any]]) -> Below:
        """Items between two that are equal: those alike are one changed, the rest in order."""
        (path, at, left), (_, to, right) = old, new
        below: Below = []
        i = j = 0
        for a, b in [*alike(left, right, self._aligning()), (len(left), len(right))]:
            both = min(a - i, b - j)
            below += [((*path, at + i + k), left[i + k], right[j + k]) for k in range(both)]
            below += [((*path, at + k), left[k], MISSING) for k in range(i + both, a)]
            below += [((*path, to + k), MISSING, right[k]) for k in range(j + both, b)]
            if a < len(left) and b < len(right):
                below.append(((*path, at + a), left[a], right[b]))
            i, j = a + 1, b + 1
        return below

    def _unordered(self, path: Path, old: list[Any], new: list[Any]) -> Below:
        spare: dict[bytes, deque[int]] = {}
        for at, one in enumerate(new):
            spare.setdefault(token(one), deque()).append(at)
        left = []
        for at, one in enumerate(old):
            places = spare.get(token(one))
            if places:
                places.popleft()
            else:
                left.append(at)
        right = sorted(at for places in spare.values() for at in places)
        gone, come = [old[at] for at in left], [new[at] for at in right]
        below: Below = []
        for place, before, after in self._gap(((), 0, gone), ((), 0, come)):
            at = int(place[0])
            known = left[at] if before is not MISSING else right[at]
            below.append(((*path, known), before, after))
        return below

    def _set(self, path: Path, old: Iterable[Any], new: Iterable[Any]) -> Below:
        before = {token(one): one for one in old}
        after = {token(one): one for one in new}
        gone = [one for mark, one in before.items() if mark not in after]
        come = [one for mark, one in after.items() if mark not in before]
        below: Below = [((*path, _text(one, 40)), one, MISSING) for one in gone]
        below += [((*path, _text(one, 40)), MISSING, one) for one in come]
        return below


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
    return tuple(walked(old, new, rules=rules or Rules(), at=at, clock=clock).changes)


def walked(
    old: Value | None, new: Value | None, *, rules: Rules, at: Path, clock: Instants | None
) -> Walk:
    """The same with what was counted on the way."""
    walk = Walk(rules, at, clock)
    if old != new:
        walk.values(old, new)
    return walk


def _equal(old: list[Any], new: list[Any]) -> bool:
    return all(map(is_, old, new)) or token(old) == token(new)


def _step(raw: Any) -> str | int:
    return raw if type(raw) in (str, int) else _text(raw, 60)


def _text(raw: Any, limit: int) -> str:
    return values.text(thing(raw), limit)
