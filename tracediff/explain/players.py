"""Which units take part: those that ran on either side. And the files that the job read."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tracediff.explain.hybrids import Covered
from tracediff.explain.items import FUNCTIONS
from tracediff.explain.mixing import Atom
from tracediff.explain.slots import Pairing, Slot, members
from tracediff.explained import Span, Unit
from tracediff.replay.libraries import Library

_DUNDER = re.compile(r"__\w+__")
_MOST_BYTES = 64 * 1024 * 1024
_MOST_LISTED = 2_000
_NOT_DATA = (".tracediff/", ".git/")


def atoms_of(
    pairing: Pairing,
    numbers: Iterable[int],
    data: Iterable[Unit],
    libraries: Iterable[Library],
    loaded: Iterable[str],
) -> list[Atom]:
    """What can be chosen: units of code, data files, and libraries that are there twice.

    Args:
        pairing: The two sides.
        numbers: The units of code that take part.
        data: The data files that do.
        libraries: Those that are there in two versions.
        loaded: The modules of libraries that were imported.
    """
    atoms = [Atom(pairing.units[one], one) for one in numbers]
    atoms += [Atom(one) for one in data]
    tops = {name.partition(".")[0] for name in loaded}
    atoms += [
        Atom(Unit(kind="dependency", name=str(one)), library=one.name)
        for one in libraries
        if one.modules & tops
    ]
    return atoms


def that_ran(pairing: Pairing, old: Covered, new: Covered) -> frozenset[int]:
    """The units that ran: functions that were called, anything else that an import executed.

    A constant that nothing mentions counts for nothing.
    """
    loaded = {file for side in (old, new) for _, file in side.modules}
    called: dict[tuple[str, str], list[int]] = defaultdict(list)
    for side, file, line in sorted(old.ran | new.ran):
        called[side, file].append(line)
    mentioned = _mentioned(pairing)
    found = set()
    for plan in pairing.modules.values():
        if plan.file not in loaded and not any(
            slot.home in loaded for slot, _ in members(plan.body)
        ):
            continue
        if plan.body.order is not None:
            found.add(plan.body.order)
        for slot, within in members(plan.body):
            if slot.body is not None and slot.body.order is not None:
                found.add(slot.body.order)
            if slot.decorator is not None:
                found.add(slot.decorator)
            if slot.bases is not None:
                found.add(slot.bases)
            if slot.unit is None or (within is None and _is_unused(slot, pairing, mentioned)):
                continue
            if _ran(slot, called):
                found.add(slot.unit)
    return frozenset(found)


def _ran(slot: Slot, called: Mapping[tuple[str, str], Sequence[int]]) -> bool:
    sides = [(name, item) for name, item in (("old", slot.old), ("new", slot.new)) if item]
    if not all(isinstance(item.node, FUNCTIONS) for _, item in sides):
        return True
    if len(sides) == 1 and not sides[0][1].decorated_plainly:
        return True  # its decorator ran
    for name, item in sides:
        span = item.span
        lines = called.get((name, span.file), ())
        at = bisect_left(lines, span.first)
        if at < len(lines) and lines[at] <= span.last:
            return True
    return False


def _mentioned(pairing: Pairing) -> Counter[str]:
    """How many slots mention each word."""
    found: Counter[str] = Counter()
    for plan in pairing.modules.values():
        for slot, _ in members(plan.body):
            found.update(slot.words(new=False) | slot.words(new=True))
    return found


def _is_unused(slot: Slot, pairing: Pairing, mentioned: Mapping[str, int]) -> bool:
    """Whether nobody else mentions a constant."""
    if slot.item.kind != "constant" or any(_DUNDER.fullmatch(one) for one in slot.names):
        return False
    own = slot.words(new=False) | slot.words(new=True)
    return not any(name in pairing.words or mentioned[name] > (name in own) for name in slot.names)


def one_sided(old: Path, new: Path, files: Iterable[str]) -> list[str]:
    """The files that only one of two directories has: they may matter by being there."""
    return [one for one in files if (old / one).is_file() != (new / one).is_file()]


def read_files(old: Path, new: Path, opened: Iterable[str], modules: Iterable[str]) -> list[str]:
    """The files that a job opened or listed, on either side.

    Args:
        old: The old side's directory.
        new: The new side's.
        opened: Paths relative to them, those of listed directories with a "/" at their end.
        modules: The files of modules: their directories are listed by every import.
    """
    imported = {str(Path(one).parent) for one in modules}
    found: dict[str, None] = {}
    for name in opened:
        if not name.endswith("/"):
            found[name] = None
        elif (directory := name.rstrip("/")) not in imported:
            for root in (old, new):
                entries = os.scandir(root / directory) if (root / directory).is_dir() else ()
                for entry in entries:
                    if entry.is_file() and len(found) < _MOST_LISTED:
                        found[f"{directory}/{entry.name}"] = None
    return list(found)


def data_files(old: Path, new: Path, opened: Iterable[str]) -> list[Unit]:
    """The files that were read and that differ between the two directories.

    Args:
        old: The old side's directory.
        new: The new side's.
        opened: Paths relative to them.
    """
    found = []
    for name in sorted(set(opened)):
        if name.startswith(_NOT_DATA):
            continue
        before, after = _read(old / name), _read(new / name)
        if before != after:
            found.append(
                Unit(
                    kind="data file",
                    name=name,
                    old=_span(name, before, after),
                    new=_span(name, after, before),
                )
            )
    return found


def _read(path: Path) -> bytes | None:
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return None
    return path.read_bytes()


def _span(name: str, data: bytes | None, other: bytes | None) -> Span | None:
    """The lines of a file, from the first that differs to the last."""
    if data is None:
        return None
    lines = data.splitlines()
    others = (other or b"").splitlines()
    first = _equal(lines, others)
    last = len(lines) - _equal(lines[first:][::-1], others[first:][::-1])
    return Span(file=name, first=min(first + 1, max(len(lines), 1)), last=max(last, first + 1))


def _equal(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """How many of the first lines are equal."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
