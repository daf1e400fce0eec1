"""A second reading of two small containers, in fewer lines than their field changes.

``tracediff.compare`` decides what differs. Where rows were shuffled or repeated, or a text of
several lines changed, its rows are exact and long; DeepDiff's reading without regard to order is
short. So DeepDiff is given stand-ins: dicts, lists and strings only, with one string for each
leaf's type and bits, so that nothing differs or is equal but by those. What it makes of them is
taken only when it says it in fewer lines. It is imported when it is needed, since that takes
longer than most commands, and stopped after so many looks, about a quarter of a second's: what is
said of the same values is the same on a busy machine. Only one that stalls is stopped by the clock.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tracediff import values
from tracediff.model import MISSING, FieldChange
from tracediff.reports import excerpt
from tracediff.reports.clean import clean
from tracediff.reports.wording import field_path, many

MAX_BYTES = 20_000
LOOKS = 6_000
SECONDS = 5.0
_MAX_DEPTH = 40
_WIDE = 60
_TYPE, _ITEMS, _BASE = "\0type", "\0items", "\0base"
_HIDDEN = frozenset({_TYPE, _ITEMS, _BASE})
_SEQUENCES = (list, tuple, deque)
_SETS = (set, frozenset)


def deep_lines(
    old: object, new: object, limit: int, changes: Sequence[FieldChange] = ()
) -> list[str]:
    """Say what differs between two inert values in at most ``limit`` lines.

    Args:
        old: The inert form of the recorded value (see ``tracediff.values.inert``).
        new: That of the other one.
        limit: The most lines to return; the last one counts what was left out.
        changes: What the comparison found; said instead where DeepDiff has nothing better.

    Returns:
        Lines such as ``lines[2].net: 12.10 → 12.40`` or ``tags: 'b' was added``, safe to print.
    """
    own = [_told(change) for change in changes]
    read = _reading(old, new) if len(own) != 1 else []
    lines = read if read and (not own or len(read) < len(own)) else own
    if len(lines) <= limit:
        return lines
    shown = max(limit - 1, 0)
    return [*lines[:shown], f"… {many(len(lines) - shown, 'more difference')}"][:limit]


def _told(change: FieldChange) -> str:
    if change.kind == "order":
        return _line(change.path, "keys in another order")
    return _side_by_side(change.path, change.old, change.new)


def _side_by_side(path: Sequence[str | int], old: object, new: object) -> str:
    if old is MISSING or new is MISSING:
        value = excerpt.short(new if old is MISSING else old, _WIDE)
        return _line(path, f"{value} was {'added' if old is MISSING else 'removed'}")
    before, after = excerpt.whole(old), excerpt.whole(new)
    if before == after:
        before, after = (f"{one} ({type(value).__name__})"
                         for one, value in ((before, old), (after, new)))  # fmt: skip
    return _line(path, " → ".join(excerpt.pair(before, after, _WIDE)))


def _line(path: Sequence[str | int], what: str) -> str:
    place = field_path(path)
    return f"{place}: {what}" if place else what


class _UnfitError(Exception):
    """These values are too large, too deep or too slow for a second reading."""


def _reading(old: object, new: object) -> list[str]:
    """What DeepDiff makes of both; nothing when it cannot, or may not, say."""
    try:
        if any(len(values.encode(one)) > MAX_BYTES for one in (old, new)):
            return []
        seen = _StandIns()
        before, after = seen.of(old), seen.of(new)
        if not isinstance(before, dict | list) or type(before) is not type(after):
            return []
        found = _differences(before, after)
        lines = [line for level in found for line in _said(level, seen)]
        return [*lines, *_shuffled(before, after, seen)] if lines else []
    except Exception:  # noqa: BLE001 - a second reading is never worth an error
        return []


class _StandIns:
    """Strings for leaves and for odd keys, and what they stand for."""

    def __init__(self) -> None:
        self.leaves: dict[str, object] = {}
        self.keys: dict[str, str] = {}

    def of(self, value: Any, depth: int = 0) -> Any:
        """A value as dicts, lists and strings."""
        if depth > _MAX_DEPTH:
            raise _UnfitError
        if isinstance(value, Mapping):
            return self._mapping(value, type(value).__name__, depth)
        if isinstance(value, _SEQUENCES):
            items = [self.of(one, depth + 1) for one in value]
            return items if type(value) is list else self._typed(type(value).__name__, items)
        if isinstance(value, _SETS):
            members = sorted(self._leaf(one) for one in value)
            return self._typed(type(value).__name__, members)
        if isinstance(value, values.Record) and value.kind != "library":
            found = self._mapping(value.fields, value.type, depth)
            if value.base is not MISSING:
                found[_BASE] = self.of(value.base, depth + 1)
            return found
        return self._leaf(value)

    def _mapping(self, items: Mapping[Any, Any], name: str, depth: int) -> dict[str, Any]:
        found = {_TYPE: f"\0{name}"}
        self.leaves[found[_TYPE]] = values.Global(name)
        for key, one in items.items():
            found[self._key(key)] = self.of(one, depth + 1)
        return found

    def _typed(self, name: str, items: list[Any]) -> dict[str, Any]:
        self.leaves[f"\0{name}"] = values.Global(name)
        return {_TYPE: f"\0{name}", _ITEMS: items}

    def _key(self, key: object) -> str:
        if type(key) is str and not key.startswith("\0"):
            return key
        mark = f"\0{values.encode(key).hex()}"
        self.keys[mark] = values.text(key, _WIDE)
        return mark

    def _leaf(self, value: object) -> str:
        text = type(value) is str and "\n" in value
        mark = f"text {value}" if text else f"\0\0{values.encode(value).hex()}"
        self.leaves[mark] = value
        return mark


def _differences(old: Any, new: Any) -> Iterator[Any]:
    """DeepDiff's levels, one a difference, in the order of its kinds."""
    from deepdiff import DeepDiff

    found = DeepDiff(
        old,
        new,
        ignore_order=True,
        report_repetition=True,
        ignore_private_variables=False,
        threshold_to_diff_deeper=0,
        cutoff_intersection_for_pairs=1,
        custom_operators=[_Deadline()],
        view="tree",
    )
    for kind in _KINDS:
        yield from found.get(kind, ())
    if found.keys() - set(_KINDS) - {"deep_distance"}:
        raise _UnfitError


_KINDS = (
    "values_changed",
    "type_changes",
    "dictionary_item_removed",
    "dictionary_item_added",
    "iterable_item_removed",
    "iterable_item_added",
    "repetition_change",
)


class _Deadline:
    """An operator of DeepDiff's that is asked at every level and stops it in time."""

    def __init__(self) -> None:
        self._end = time.monotonic() + SECONDS
        self._left = LOOKS

    def _check(self) -> None:
        self._left -= 1
        if self._left < 0 or time.monotonic() > self._end:
            raise _UnfitError

    def match(self, level: object) -> bool:
        """Whether this operator compares the level: it never does."""
        self._check()
        return False

    def normalize_value_for_hashing(self, parent: object, obj: object) -> object:
        """What is hashed for an object: the object."""
        self._check()
        return obj

    def give_up_diffing(self, level: object, diff_instance: object) -> bool:
        """Never asked."""
        return False


def _said(level: Any, seen: _StandIns) -> Iterator[str]:
    """The lines about one difference."""
    kind = level.report_type
    raw = level.path(output_format="list")
    member = kind.startswith(("iterable", "repetition"))
    path = _path(raw[:-1] if member else raw, seen)
    if kind == "repetition_change":
        times = level.additional["repetition"]
        value = excerpt.short(_thing(level.t1, seen), _WIDE)
        before, after = times["old_repeat"], times["new_repeat"]
        yield _line(path, f"{value} {many(before, 'time')} → {many(after, 'time')}")
    elif kind == "values_changed" and "diff" in level.additional:
        for line in level.additional["diff"].splitlines()[2:]:
            if line.startswith(("+", "-")):
                said = line[0] + line[1:].removeprefix("text ")
                yield _line(path, excerpt.cut(clean(said), _WIDE))
    elif kind.endswith("added"):
        yield _side_by_side(path, MISSING, _thing(level.t2, seen))
    elif kind.endswith("removed"):
        yield _side_by_side(path, _thing(level.t1, seen), MISSING)
    else:
        yield _side_by_side(path, _thing(level.t1, seen), _thing(level.t2, seen))


def _path(raw: Sequence[Any], seen: _StandIns) -> list[str | int]:
    return [seen.keys.get(one, one) for one in raw if one not in _HIDDEN]


def _thing(stand_in: Any, seen: _StandIns) -> object:
    """What a stand-in stands for, as something to print."""
    if isinstance(stand_in, str):
        return seen.leaves[stand_in]
    if isinstance(stand_in, list):
        return [_thing(one, seen) for one in stand_in]
    fields = {seen.keys.get(key, key): _thing(one, seen) for key, one in stand_in.items()
              if key not in _HIDDEN}  # fmt: skip
    name = stand_in[_TYPE].removeprefix("\0")
    if _ITEMS in stand_in:
        items = [_thing(one, seen) for one in stand_in[_ITEMS]]
        return tuple(items) if name == "tuple" else items
    return values.Record(name, "dataclass", fields=fields) if ":" in name else fields


def _shuffled(old: Any, new: Any, seen: _StandIns) -> Iterator[str]:
    """A line for each list whose common items stand in another order."""
    stack: list[tuple[list[Any], Any, Any]] = [([], old, new)]
    while stack:
        path, before, after = stack.pop()
        if isinstance(before, dict) and isinstance(after, dict):
            stack += [
                ([*path, key], one, after[key]) for key, one in before.items() if key in after
            ]
        elif isinstance(before, list) and isinstance(after, list):
            left, right = list(map(repr, before)), list(map(repr, after))
            common = Counter(left) & Counter(right)
            if _kept(left, common) != _kept(right, common):
                yield _line(_path(path, seen), "in another order")


def _kept(marks: list[str], common: Counter[str]) -> list[str]:
    left = Counter(common)
    kept = []
    for mark in marks:
        if left[mark] > 0:
            left[mark] -= 1
            kept.append(mark)
    return kept
