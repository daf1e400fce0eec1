"""How much more often something is met among some traces than among others, and whether by chance.

Ratio and support are those of MacroBase (Bailis et al., "MacroBase: Prioritizing Attention in
Fast Data", SIGMOD 2017): of a cause and something that traces have or have not, the *support* is
the part of the cause's traces that have it, and the *ratio*, which epidemiologists call relative
risk, is P(cause | has it) / P(cause | has it not).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Side:
    """Some traces by weight: those that have it, and all of them.

    ``size`` is how many evenly drawn ones tell as much: fewer than there are where some stand for
    more than others (Kish's effective size).
    """

    have: float
    weight: float
    size: float

    @property
    def share(self) -> float:
        """The part that has it."""
        return self.have / self.weight if self.weight else 0.0


@dataclass(frozen=True, slots=True)
class Contrast:
    """A cause's traces beside all others."""

    cause: Side
    others: Side

    @property
    def support(self) -> float:
        """The part of the cause's traces that have it."""
        return self.cause.share

    @property
    def gap(self) -> float:
        """Support less the part of the others that have it: Youden's J."""
        return self.cause.share - self.others.share

    @property
    def ratio(self) -> float:
        """How many times as often the cause is met among those that have it.

        1 where all have it or none.
        """
        lacking = (self.cause.weight - self.cause.have) + (self.others.weight - self.others.have)
        having = self.cause.have + self.others.have
        if having <= 0 or lacking <= 0:
            return 1.0
        without = (self.cause.weight - self.cause.have) / lacking
        if without <= 0:
            return math.inf
        return self.cause.have / having / without

    @property
    def chance(self) -> float:
        """How likely it is that at least so many of the cause's have it, if it had no part in it.

        Fisher's exact test to one side, of whole traces, with a doubt in favour of chance.
        """
        drawn, others = math.floor(self.cause.size), math.floor(self.others.size)
        hits = math.floor(self.cause.share * drawn + 1e-9)
        return tail(hits, drawn, math.ceil(self.others.share * others - 1e-9), others)


def tail(hits: int, drawn: int, others_hit: int, others: int) -> float:
    """P(at least ``hits`` of ``drawn``) where ``hits + others_hit`` of all are spread by chance."""
    marked, everything = hits + others_hit, drawn + others
    most = min(drawn, marked)
    if hits * everything <= drawn * marked:  # no more than is to be expected
        return 1.0
    term = math.exp(
        _ways(marked, hits) + _ways(everything - marked, drawn - hits) - _ways(everything, drawn)
    )
    found = 0.0
    for at in range(hits, most + 1):
        found += term
        if term <= found * 1e-12:  # above what is expected, terms only fall
            break
        left = everything - marked - drawn + at + 1
        term *= (marked - at) * (drawn - at) / ((at + 1) * left)
    return min(1.0, found)


def _ways(of: int, chosen: int) -> float:
    """The logarithm of the number of ways to choose."""
    return math.lgamma(of + 1) - math.lgamma(chosen + 1) - math.lgamma(of - chosen + 1)
