"""Which attributes of traces mark a cause: what its traces have and others have not.

Values are counted exactly, of every trace. Ranges of numbers, two attributes together, and names
with more than a hundred values are judged by an even sample: of each cause 1,000 traces (fewer
where there are more than eight causes), of all that changed and of those that did not 2,000 each.
Up to so many traces this is exact too; beyond, support, ratio and count of such marks are
estimates. Either way memory does not grow with the traces.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Collection
from typing import Final

from xxhash import xxh3_64_intdigest

from tracediff.check.candidates import (
    LEAST_SUPPORT,
    Bits,
    Candidate,
    Others,
    Samples,
    pairs,
    singles,
    told,
    tried_of,
    without,
)
from tracediff.check.contrasts import Contrast, Side
from tracediff.check.evenly import Members, Sample
from tracediff.check.occurrences import Occurrences, Pair
from tracediff.checked import Mark, Result

MOST: Final = 3
"""How many marks a cause has at most."""

LEAST: Final = 5
"""Fewer traces mark nothing."""

LEAST_RATIO: Final = 3.0

_LEAST_GAP: Final = 0.25
"""A cause that always comes with what nine of ten traces have has an infinite ratio for it, which
tells nobody anything."""

_CHANCE: Final = 0.01
"""How likely chance may make any mark of a cause at all, of one attribute, and once more of two.

Each attribute that is tried is one more occasion for chance, and there are thousands, so the level
is divided by their number (Bonferroni), which holds however they depend on each other; and they do.
It costs little, since a mark that is worth telling is far from any limit: ten traces that all have
what one in ten others has come to 1e-10 by chance, and the limits are about 1e-6 for one attribute
and 1e-11 for two. The test is Fisher's, which is exact for the smallest of groups, where chi-square
is not. That many traces are of one product is no chance by this measure, and should not be.
"""

_OF_A_CAUSE: Final = 1000
_OF_CAUSES: Final = 8000
_OF_OTHERS: Final = 2000
_FEWEST: Final = 50
_LOOKED_AT: Final = 50
_SHARED: Final = 20_000


class Marking:
    """Takes the attributes of traces one by one, and says what marks each cause.

    Args:
        rate: The part of the unchanged traces that tell their attributes: each stands for 1 / rate.
    """

    def __init__(self, rate: float = 1.0) -> None:
        self._unchanged = 1 / rate if rate > 0 else 1.0
        self._counts = Occurrences()
        self._same = Sample(_OF_OTHERS)
        self._changed = Sample(_OF_OTHERS)
        self._causes: dict[str, Sample] = {}
        self._shared: dict[Pair, Pair] = {}
        self._others: Others | None = None

    def add(
        self,
        attributes: Collection[Pair],
        causes: tuple[str, ...] = (),
        *,
        weight: float | None = None,
        id: str = "",
    ) -> None:
        """Add a trace that changed for these causes, or one that did not change, without any.

        Args:
            attributes: What it has, each once.
            causes: What it changed for.
            weight: How many traces it stands for; 1 of those that changed, 1 / rate of others.
            id: The trace's id, which decides whether it is in a sample. Without, the order does.
        """
        if weight is None:
            weight = 1.0 if causes else self._unchanged
        self._others = None
        self._counts.add(attributes, causes, weight)
        drawn = xxh3_64_intdigest((id or str(self._counts.all.count)).encode())
        wanted = [sample for sample in self._samples(causes) if sample.wants(drawn)]
        if wanted:
            kept = self._sharing(attributes)
            for sample in wanted:
                sample.keep(drawn, kept, causes)

    def note(self, one: Result, causes: tuple[str, ...]) -> None:
        """Add what came of a trace; one that differs by noise alone has no causes."""
        weight = 1.0 if one.kind == "changed" else self._unchanged
        self.add(one.attributes, causes, weight=weight, id=one.id)

    def marks(self, cause: str) -> tuple[Mark, ...]:
        """What marks a cause (one of the fifty largest), the best first, at most ``MOST``."""
        counts, sample = self._counts.causes.get(cause), self._causes.get(cause)
        if counts is None or sample is None or counts.count < max(LEAST, self._least()):
            return ()
        samples = self._beside(cause, sample)
        if not samples.same.size and not samples.rest:
            return ()
        judged = _Judged(self._counts, cause, samples)
        return tuple(
            _mark(told(samples, one), judged.contrast(one), counts.count) for one in judged.chosen()
        )

    def _least(self) -> int:
        """How many traces the smallest cause has that is looked at."""
        sizes = heapq.nlargest(_LOOKED_AT, (one.count for one in self._counts.causes.values()))
        return sizes[-1] if len(sizes) == _LOOKED_AT else 0

    def _samples(self, causes: tuple[str, ...]) -> list[Sample]:
        if not causes:
            return [self._same]
        found = [self._changed]
        for cause in causes:
            sample = self._causes.get(cause)
            if sample is None:
                if cause not in self._counts.causes:
                    continue
                most = _OF_CAUSES // (len(self._causes) + 1)
                sample = Sample(min(_OF_A_CAUSE, max(_FEWEST, most)))
                for other in self._causes.values():
                    other.shrink(sample.most)
                self._causes[cause] = sample
            found.append(sample)
        if len(self._causes) > len(self._counts.causes):  # what is not counted needs no sample
            for gone in self._causes.keys() - self._counts.causes.keys():
                del self._causes[gone]
        return found

    def _sharing(self, attributes: Collection[Pair]) -> tuple[Pair, ...]:
        """The same attributes as objects of earlier traces, which saves most of the room."""
        shared = self._shared
        if len(shared) > _SHARED:
            shared.clear()
        kept = []
        for pair in attributes:
            known = shared.get(pair)
            if known is None:
                known = sys.intern(pair[0]), pair[1]
                shared[known] = known
            kept.append(known)
        return tuple(kept)

    def _beside(self, cause: str, sample: Sample) -> Samples:
        if self._others is None:
            self._others = Others(
                Members([one[2] for one in self._same.kept]),
                Members([one[2] for one in self._changed.kept]),
            )
        rest = sum(1 << at for at, one in enumerate(self._changed.kept) if cause not in one[3])
        counts, own = self._counts, self._counts.causes[cause]
        others = counts.changed.weight - own.weight
        return Samples(
            cause=Members([one[2] for one in sample.kept]),
            others=self._others,
            rest=rest,
            weights=(own.weight, counts.all.weight - counts.changed.weight, others),
        )


class _Judged:
    """The candidates of one cause, and which of them are marks."""

    def __init__(self, counts: Occurrences, cause: str, samples: Samples) -> None:
        self._all, self._own = counts.all, counts.causes[cause]
        self._counted = counts.counted()
        self._samples = samples
        self._tried = tried_of(samples)

    def chosen(self) -> list[Candidate]:
        """The marks: each is the best for the traces that those before it do not have."""
        samples = self._samples
        alone = singles(samples)
        tried = self._tried * (self._tried - 1) // 2 or 1
        both = [
            one
            for one in pairs(samples, alone, tried, _CHANCE)
            if _holds(samples.contrast(one.bits), tried)
        ]
        parts = {part.bits for one in both for part in one.parts}
        left = [one for one in alone if one.bits not in parts and self._holds_alone(one)] + both
        found: list[Candidate] = []
        open_: Bits = samples.everything()
        while left and len(found) < MOST:
            best = min(left, key=lambda one: self._order(one, open_))
            if found and not self._adds(best, open_):
                break
            found.append(best)
            open_ = without(open_, best.bits)
            left = [one for one in left if one is not best and self._adds(one, open_)]
        return found

    def contrast(self, one: Candidate) -> Contrast:
        """What is known of a candidate, exactly where its values are counted."""
        if one.pair is None or one.pair[0] not in self._counted:
            return self._samples.contrast(one.bits)
        own, everything = self._own, self._all
        having, all_having = own.values[one.pair], everything.values[one.pair]
        weight, squares = everything.weight - own.weight, everything.squares - own.squares
        return Contrast(
            Side(having, own.weight, own.weight**2 / own.squares),
            Side(
                max(0.0, all_having - having),
                max(0.0, weight),
                weight**2 / squares if squares > 0 else 0.0,
            ),
        )

    def _holds_alone(self, one: Candidate) -> bool:
        return _holds(self.contrast(one), self._tried)

    def _order(self, one: Candidate, open_: Bits) -> tuple[float, int, tuple[int, ...], object]:
        gap = self._samples.contrast(one.bits, open_).gap
        return -round(gap, 2), len(one.texts), one.rank, one.texts

    def _adds(self, one: Candidate, open_: Bits) -> bool:
        """Whether it marks traces of the cause that are open still."""
        return open_[0] != 0 and _holds(self._samples.contrast(one.bits, open_), self._tried)


def _holds(contrast: Contrast, tried: int) -> bool:
    """Whether this is a mark: often enough, far enough from the others, and not by chance."""
    return (
        contrast.support >= LEAST_SUPPORT
        and contrast.support * contrast.cause.size >= LEAST
        and contrast.ratio >= LEAST_RATIO
        and contrast.gap >= _LEAST_GAP
        and contrast.chance * tried <= _CHANCE
    )


def _mark(texts: tuple[str, ...], contrast: Contrast, count: int) -> Mark:
    return Mark(
        attributes=texts,
        support=contrast.support,
        ratio=contrast.ratio,
        count=round(contrast.support * count),
    )
