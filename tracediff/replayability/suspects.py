"""Which readings of a replay can be why it is not as the recording. Pure.

What was tried decides where it can: a result that is the same in two replays does not depend on the
clock or on the system's chance; one that is the same under another seed does not depend on the
drawn numbers; one that is the same the second time in a process is not what earlier jobs left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tracediff.model import Tolerance
from tracediff.replayability.difference import Difference, difference, unlike
from tracediff.replayability.evidence import Examined, Reading, Seen
from tracediff.replayability.remedies import library_above

STRONG: Final = ("network", "program", "driver", "database", "file", "variable", "random", "numpy",
                 "uuid", "secrets", "unseeded", "global", "cache")  # fmt: skip
"""Kinds that are likely to be why, the likeliest first."""

WEAK: Final = ("directory", "host", "clock", "status")
"""Kinds that most programs read without a consequence: named where there is no other."""

REFUSED: Final = frozenset({"network", "program"})
PASSING: Final = frozenset({"uuid", "secrets", "unseeded"})
"""Kinds that are another thing each time. The clock is not: each replay's starts at one instant."""

SILENT: Final = frozenset({"file", "database", "variable", "driver"})
"""Kinds that may be other things on another machine, though a replay is exact here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """What the replays of one trace say about its circumstances.

    ``varies``: two replays differ; ``by_hash``: only those with another hash seed do. ``by_seed``:
    the drawn numbers matter, None where that was not tried. ``kept``: what an earlier replay left
    in the process matters, and ``mended`` that the second one is as recorded.
    """

    varies: bool = False
    by_hash: bool = False
    by_seed: bool | None = None
    kept: bool | None = None
    mended: bool = False


def trials(one: Examined, rules: Sequence[Tolerance] = ()) -> Trials:
    """Compare the replays of a trace with each other."""
    varies = unlike(one.first, one.second, rules)
    by_hash = varies and one.again is not None and not unlike(one.first, one.again, rules)
    by_seed = None if one.reseeded is None else unlike(one.first, one.reseeded, rules)
    kept, mended = None, False
    if one.twice is not None:
        kept = unlike(one.first, one.twice, rules)
        mended = kept and _is_exact(one, one.twice, rules)
        if varies and not by_hash:
            kept = mended  # it would differ in any case
    return Trials(varies=varies, by_hash=by_hash, by_seed=by_seed, kept=kept, mended=mended)


def _is_exact(one: Examined, seen: Seen, rules: Sequence[Tolerance]) -> bool:
    return seen.trace is not None and difference(one.trace, seen.trace, rules).exact


def suspects(one: Examined, found: Difference | None, tried: Trials) -> list[Reading]:
    """The readings that may be why, of the likeliest kinds first."""
    seen = one.watched or one.first
    readings = [reading for reading in seen.readings if _may_matter(reading, tried, seen)]
    where = difference(one.trace, seen.trace) if seen.trace is not None else found
    inside = [
        reading
        for reading in readings
        if reading.kind in REFUSED
        or reading.kind in ("global", "cache")
        or where is None
        or where.inside(reading.step)
    ]
    # Where none lies in the step that differs, it is one before it whose result only passes there.
    strong = [reading for reading in inside if is_strong(reading)]
    chosen = strong or [reading for reading in readings if is_strong(reading)]
    chosen = chosen or inside
    order = (*STRONG, *WEAK)
    ordered = sorted(_once(chosen), key=lambda reading: order.index(reading.kind))
    return list(_without_inner(ordered))


def is_strong(reading: Reading) -> bool:
    """Whether a reading is likely to be why; what a library asks for its own settings is not."""
    return reading.kind in STRONG and not (reading.kind == "variable" and reading.modules)


def _without_inner(readings: Iterable[Reading]) -> Iterator[Reading]:
    """Without what a library reads for itself, where it is the library that is to be an input."""
    covered: set[str] = set()
    for reading in readings:
        library = library_above(reading)
        if library is None or library not in covered:
            yield reading
        if library is not None and reading.kind in ("network", "driver", "database"):
            covered.add(library)


def _may_matter(reading: Reading, tried: Trials, seen: Seen) -> bool:
    kind = reading.kind
    if kind in ("random", "numpy"):
        return tried.by_seed is not False and not (kind == "random" and seen.seeded)
    if kind in PASSING or (kind == "host" and reading.what in ("os.getpid", "os.getppid")):
        return tried.varies and not tried.by_hash
    if kind in ("global", "cache"):
        return tried.kept is True
    return kind in STRONG or kind in WEAK


def _once(readings: Iterable[Reading]) -> Iterator[Reading]:
    known: set[tuple[object, ...]] = set()
    for one in readings:
        key = (one.kind, one.what, one.place.unit if one.place else "")
        if key not in known:
            known.add(key)
            yield one
