"""What could mark a cause: values, ranges of numbers, and two of these together."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations
from typing import Final

from tracediff.check.contrasts import Contrast, Side
from tracediff.check.evenly import Members
from tracediff.check.occurrences import Pair
from tracediff.checked import Scalar

LEAST_SUPPORT: Final = 0.3
_UNIVERSAL: Final = 0.98
_PAIRED: Final = 60
"""Of so many candidates, those that tell most, all pairs are tried."""

_MORE: Final = 0.05
_LEAST_GAP: Final = 0.02
_KINDS: Final = {"context": 1, "tag": 2, "input": 3}

Bits = tuple[int, int, int]
"""Which of a sample of the cause, of the unchanged and of other changes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One or two attributes, and the traces of the samples that have them.

    ``pair`` is the attribute, where it is one value; ``end`` the name of a range, whether it is of
    what lies above, and the last number of the cause's inside; ``parts`` are the two of a pair.
    Of equals the lowest ``rank`` is told.
    """

    texts: tuple[str, ...]
    bits: Bits
    rank: tuple[int, ...]
    pair: Pair | None = None
    end: tuple[str, bool, float] | None = None
    parts: tuple[Candidate, ...] = ()


class Others:
    """Samples of the traces that did not change and of all that did, shared by all causes."""

    def __init__(self, same: Members, changed: Members) -> None:
        self.same, self.changed = same, changed
        self.met: Final = Counter({pair: len(places) for pair, places in same.places.items()})
        self.met.update({pair: len(places) for pair, places in changed.places.items()})
        self._counts = sorted(self.met.values())
        self.cuts: Final = same.cuts + changed.cuts

    def met_by(self, least: float) -> int:
        """How many values so many of them have."""
        return len(self._counts) - bisect_left(self._counts, least)


@dataclass(frozen=True, slots=True)
class Samples:
    """A cause's traces beside the others.

    Of those that changed the ones count that did for something else: ``rest`` has their bits.
    ``weights`` is what each of the three samples stands for.
    """

    cause: Members
    others: Others
    rest: int
    weights: tuple[float, float, float]
    _numbers: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)

    @property
    def same(self) -> Members:
        """Those that did not change."""
        return self.others.same

    @property
    def changed(self) -> Members:
        """Those that changed, for whatever."""
        return self.others.changed

    def contrast(self, bits: Bits, within: Bits | None = None) -> Contrast:
        """How often something is met on either side, among all or among some."""
        sizes = self._sizes(within)
        if within is not None:
            bits = _both(bits, within)
        have = [one.bit_count() for one in bits]
        scales = self._scales()
        others = sum(scale * size for scale, size in zip(scales[1:], sizes[1:], strict=True))
        squares = sum(scale**2 * size for scale, size in zip(scales[1:], sizes[1:], strict=True))
        hits = sum(scale * size for scale, size in zip(scales[1:], have[1:], strict=True))
        return Contrast(
            Side(have[0] * scales[0], sizes[0] * scales[0], sizes[0]),
            Side(hits, others, others**2 / squares if squares else 0.0),
        )

    def _sizes(self, within: Bits | None) -> tuple[int, int, int]:
        if within is None:
            return self.cause.size, self.same.size, self.rest.bit_count()
        return within[0].bit_count(), within[1].bit_count(), (within[2] & self.rest).bit_count()

    def scales_of_others(self) -> tuple[float, float]:
        """What one trace of either other sample is of all others."""
        _, same, rest = self._scales()
        _, unchanged, changed = self._sizes(None)
        everything = same * unchanged + rest * changed
        return (same / everything, rest / everything) if everything else (0.0, 0.0)

    def _scales(self) -> tuple[float, float, float]:
        sizes = self._sizes(None)
        first, second, third = (
            weight / size if size else 0.0 for weight, size in zip(self.weights, sizes, strict=True)
        )
        return first, second, third

    def numbers(self, name: str) -> tuple[list[float], list[float]]:
        """The numbers of this name of either other sample, in order."""
        found = self._numbers.get(name)
        if found is None:
            found = (
                self.same.numbers.get(name, ([], []))[0],
                self.changed.numbers_of(name, self.rest),
            )
            self._numbers[name] = found
        return found

    def everything(self) -> Bits:
        """All that count."""
        return (1 << self.cause.size) - 1, (1 << self.same.size) - 1, self.rest


def _both(one: Bits, other: Bits) -> Bits:
    return one[0] & other[0], one[1] & other[1], one[2] & other[2]


def without(bits: Bits, taken: Bits) -> Bits:
    """Those of ``bits`` that are not taken."""
    return bits[0] & ~taken[0], bits[1] & ~taken[1], bits[2] & ~taken[2]


def singles(samples: Samples) -> list[Candidate]:
    """Values and ranges that enough of the cause's traces have; of equal sets the plainest.

    Sorted by how well they tell the cause's traces from the others.
    """
    plainest: dict[Bits, Candidate] = {}
    for one in [*_values(samples), *_ranges(samples)]:
        known = plainest.get(one.bits)
        if known is None or (one.rank, one.texts) < (known.rank, known.texts):
            plainest[one.bits] = one
    gaps = {bits: samples.contrast(bits) for bits in plainest}
    kept = [one for one in plainest.values() if gaps[one.bits].others.share < _UNIVERSAL]
    return sorted(kept, key=lambda one: (-round(gaps[one.bits].gap, 6), one.rank, one.texts))


def pairs(samples: Samples, alone: Sequence[Candidate], tried: int, most: float) -> list[Candidate]:
    """Two at once, where both together say clearly more than each of them.

    That is where they tell more by 0.05, or meet half as many others and lose next to none of the
    cause's, and where neither is there by chance, given the other.

    Args:
        samples: The traces.
        alone: What can be one of the two, the best first.
        tried: How many pairs there are in all: the more, the likelier chance is.
        most: How likely chance may be, for all of them together.
    """
    found: list[Candidate] = []
    told = [(one, samples.contrast(one.bits)) for one in alone[:_PAIRED]]
    told = [(one, contrast) for one, contrast in told if contrast.gap > 0]
    for (one, first), (other, second) in combinations(told, 2):
        bits = _both(one.bits, other.bits)
        if bits[0].bit_count() < LEAST_SUPPORT * samples.cause.size:
            continue
        both = samples.contrast(bits)
        more = both.gap >= max(first.gap, second.gap) + _MORE
        fewer = both.others.share <= min(first.others.share, second.others.share) / 2
        loses = both.support < 0.95 * min(first.support, second.support)
        if not (more or (fewer and not loses)):
            continue
        given = max(
            samples.contrast(other.bits, one.bits).chance,
            samples.contrast(one.bits, other.bits).chance,
        )
        if given * tried <= most:
            parts = sorted((one, other), key=lambda it: (it.rank, it.texts))
            texts = parts[0].texts + parts[1].texts
            rank = (*parts[0].rank, *parts[1].rank)
            found.append(Candidate(texts, bits, rank, parts=tuple(parts)))
    return found


def told(samples: Samples, one: Candidate) -> tuple[str, ...]:
    """The texts of a candidate, the cut of a range as plain as what the other part has allows."""
    if not one.parts:
        return one.texts
    first, second = one.parts
    return _told_within(samples, first, second.bits) + _told_within(samples, second, first.bits)


def _told_within(samples: Samples, one: Candidate, bits: Bits) -> tuple[str, ...]:
    if one.end is None:
        return one.texts
    name, above, value = one.end
    numbers = [
        members.numbers_of(name, some)
        for members, some in zip((samples.cause, samples.same, samples.changed), bits, strict=True)
    ]
    cut = _cut(numbers, value, above=above)
    return one.texts if cut is None else (_range_text(name, cut, above=above),)


def _range_text(name: str, cut: Decimal, *, above: bool) -> str:
    return f"{name} {'>' if above else '<='} {_plain(cut)}"


def tried_of(samples: Samples) -> int:
    """How many values and ranges a cause of this size is compared with.

    Those that so few traces have, of both sides, that they could mark nothing are none (Tarone, "A
    modified Bonferroni method for discrete data", 1990). Neither this nor the cuts of numbers know
    which trace is of which side, so chance cannot hide in the choice.
    """
    least = max(5, LEAST_SUPPORT * samples.cause.size)
    met = samples.others.met
    found = samples.others.met_by(least)
    for pair, places in samples.cause.places.items():
        others = met.get(pair, 0)
        found += others < least <= others + len(places)
    return max(1, found + samples.cause.cuts + samples.others.cuts)


def _values(samples: Samples) -> Iterator[Candidate]:
    least = LEAST_SUPPORT * samples.cause.size
    for pair, places in samples.cause.places.items():
        if len(places) >= least:
            bits = (
                samples.cause.having(pair),
                samples.same.having(pair),
                samples.changed.having(pair) & samples.rest,
            )
            yield Candidate((_text(pair),), bits, (_kind(pair[0]), 0, len(pair[0])), pair=pair)


def _ranges(samples: Samples) -> Iterator[Candidate]:
    least = LEAST_SUPPORT * samples.cause.size
    for name, (values, _) in samples.cause.numbers.items():
        if len(values) < least:
            continue
        for above, value, gap in _ends(samples, name, values):
            if gap < _LEAST_GAP:
                continue
            cut = _cut((values, *samples.numbers(name)), value, above=above)
            if cut is None:
                continue
            which = Members.above if above else Members.within
            bits = (
                which(samples.cause, name, float(cut)),
                which(samples.same, name, float(cut)),
                which(samples.changed, name, float(cut)) & samples.rest,
            )
            rank = (_kind(name), 1, len(name), 0 if above else 1)
            text = _range_text(name, cut, above=above)
            yield Candidate((text,), bits, rank, end=(name, above, value))


def _ends(samples: Samples, name: str, values: list[float]) -> set[tuple[bool, float, float]]:
    """Of the numbers from the best least one up and up to the best most one: that one, and the gap.

    The best has the largest gap (that is Kolmogorov and Smirnov's distance). The least and the most
    of the cause are tried too: where its numbers lie between others, both together tell it.
    """
    same, changed = samples.numbers(name)
    scales = samples.scales_of_others()
    part = 1 / samples.cause.size
    size, of_same, of_changed = len(values), len(same), len(changed)
    lows: list[tuple[float, float]] = []
    highs: list[tuple[float, float]] = []
    for at, value in enumerate(values):
        if not at or value != values[at - 1]:
            over = scales[0] * (of_same - bisect_left(same, value))
            over += scales[1] * (of_changed - bisect_left(changed, value))
            lows.append(((size - at) * part - over, value))
        if at == size - 1 or value != values[at + 1]:
            under = scales[0] * bisect_right(same, value) + scales[1] * bisect_right(changed, value)
            highs.append(((at + 1) * part - under, value))
    return {
        *((True, value, gap) for gap, value in (lows[0], max(lows))),
        *((False, value, gap) for gap, value in (highs[-1], max(highs))),
    }


def _cut(numbers: Iterable[list[float]], value: float, *, above: bool) -> Decimal | None:
    """The plainest number that parts this value from the next one outside; None without one."""
    if above:
        lower = [values[at - 1] for values in numbers if (at := bisect_left(values, value))]
        return plainest(max(lower), value) if lower else None
    upper = [values[at] for values in numbers if (at := bisect_right(values, value)) < len(values)]
    return plainest(value, min(upper)) if upper else None


def plainest(low: float, high: float) -> Decimal:
    """The number of the fewest digits that is ``low`` at least and less than ``high``."""
    first, last = Decimal(repr(low)), Decimal(repr(high))
    if first <= 0 < last:
        return Decimal(0)
    for digit in range(max(first.adjusted(), last.adjusted()) + 1, -400, -1):
        unit = Decimal(1).scaleb(digit)
        found = (first / unit).to_integral_value("ROUND_CEILING") * unit
        if first <= found < last:
            return found
    return first


def _plain(number: Decimal) -> str:
    text = f"{number.normalize():f}"
    return text if len(text) <= 20 else f"{float(number):g}"


def _kind(name: str) -> int:
    """Arguments first: they are what a reader can change; what names a path tells least."""
    if name in ("key", "state", "path"):
        return 4
    return _KINDS.get(name.partition(" ")[0], 0)


def _text(pair: Pair) -> str:
    name, value = pair
    if value is True and name.startswith("tag "):
        return name
    if name.endswith(" contains"):
        return f"{name} {value!r}"
    return f"{name} = {_shown(value)}"


def _shown(value: Scalar) -> str:
    if type(value) is float:
        return f"{value:.12g}"
    return repr(value)
