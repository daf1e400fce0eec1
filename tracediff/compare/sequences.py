"""Longest common subsequences of hashable tokens, bounded by cost.

Equal ends are trimmed first. Tokens that occur once on both sides are anchors (Bram Cohen's
patience diff); between anchors the greedy O(ND) algorithm of Myers (1986) runs within a budget,
because a plain one on ten thousand equal-looking items takes tens of seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence

Pairs = list[tuple[int, int]]


class Budget:
    """How much work an alignment may still do; ``spent`` says that some of it was refused."""

    __slots__ = ("left", "spent")

    def __init__(self, left: int) -> None:
        self.left = left
        self.spent = False

    def take(self, work: int) -> bool:
        """Charge ``work`` and return True, or refuse."""
        if work > self.left:
            self.spent = True
            return False
        self.left -= work
        return True


def increasing(values: Sequence[int]) -> list[int]:
    """Positions of one longest strictly increasing subsequence, in O(n log n)."""
    tails: list[int] = []
    heads: list[int] = []
    back: list[int] = []
    for position, value in enumerate(values):
        at = bisect_left(tails, value)
        back.append(heads[at - 1] if at else -1)
        if at == len(tails):
            tails.append(value)
            heads.append(position)
        else:
            tails[at] = value
            heads[at] = position
    chain: list[int] = []
    position = heads[-1] if heads else -1
    while position >= 0:
        chain.append(position)
        position = back[position]
    chain.reverse()
    return chain


def match(old: Sequence[Hashable], new: Sequence[Hashable], budget: Budget) -> Pairs:
    """Pair equal tokens in order: (position in old, position in new), ascending on both sides.

    A stretch for which the budget is too small stays unpaired; ``budget.spent`` tells.
    """
    pairs: Pairs = []
    stretches = [(0, len(old), 0, len(new))]
    while stretches:
        a, b, c, d = stretches.pop()
        while a < b and c < d and old[a] == new[c]:
            pairs.append((a, c))
            a += 1
            c += 1
        while a < b and c < d and old[b - 1] == new[d - 1]:
            b -= 1
            d -= 1
            pairs.append((b, d))
        if a == b or c == d:
            continue
        if not budget.take(b - a + d - c):
            break
        anchors = _anchors(old, new, (a, b, c, d))
        if anchors:
            pairs.extend(anchors)
            stretches.extend(between(anchors, (a, b, c, d)))
        else:
            pairs.extend(_common(old, new, (a, b, c, d), budget))
    pairs.sort()
    return pairs


def between(
    pairs: Iterable[tuple[int, int]], window: tuple[int, int, int, int]
) -> list[tuple[int, int, int, int]]:
    """The stretches between consecutive pairs of a window in which both sides have something."""
    a, b, c, d = window
    found = []
    for i, j in pairs:
        if a < i and c < j:
            found.append((a, i, c, j))
        a, c = i + 1, j + 1
    if a < b and c < d:
        found.append((a, b, c, d))
    return found


def _anchors(
    old: Sequence[Hashable], new: Sequence[Hashable], window: tuple[int, int, int, int]
) -> Pairs:
    """Tokens unique on both sides of the window, as many as keep their order."""
    a, b, c, d = window
    places = _unique(old, a, b)
    others = _unique(new, c, d)
    shared = [(i, others[token]) for token, i in places.items() if i >= 0 and token in others]
    shared = [(i, j) for i, j in shared if j >= 0]
    return [shared[at] for at in increasing([j for _, j in shared])]


def _unique(tokens: Sequence[Hashable], start: int, stop: int) -> dict[Hashable, int]:
    """Each token's position, -1 where it occurs again."""
    places: dict[Hashable, int] = {}
    for position in range(start, stop):
        token = tokens[position]
        places[token] = -1 if token in places else position
    return places


def _common(
    old: Sequence[Hashable],
    new: Sequence[Hashable],
    window: tuple[int, int, int, int],
    budget: Budget,
) -> Pairs:
    """Myers' algorithm on the tokens of the window that both sides have."""
    a, b, c, d = window
    shared = {old[i] for i in range(a, b)} & {new[j] for j in range(c, d)}
    left = [i for i in range(a, b) if old[i] in shared]
    right = [j for j in range(c, d) if new[j] in shared]
    chosen = _myers([old[i] for i in left], [new[j] for j in right], budget)
    return [(left[x], right[y]) for x, y in chosen]


def _myers(old: list[Hashable], new: list[Hashable], budget: Budget) -> Pairs:
    n, m = len(old), len(new)
    if not n or not m:
        return []
    furthest = {1: 0}
    history: list[dict[int, int]] = []
    for edits in range(n + m + 1):
        if not budget.take(2 * edits + 1):
            return []
        history.append(dict(furthest))
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1])
            x = furthest[k + 1] if down else furthest[k - 1] + 1
            y = x - k
            while x < n and y < m and old[x] == new[y]:
                x += 1
                y += 1
            furthest[k] = x
            if x >= n and y >= m:
                return _backtrack(history, n, m)
    return []


def _backtrack(history: list[dict[int, int]], x: int, y: int) -> Pairs:
    pairs: Pairs = []
    for edits in range(len(history) - 1, -1, -1):
        furthest = history[edits]
        k = x - y
        down = k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1])
        before = k + 1 if down else k - 1
        start = furthest[before] if edits else 0
        stop = start - before if edits else 0
        while x > start and y > stop:
            x -= 1
            y -= 1
            pairs.append((x, y))
        x, y = start, stop
    pairs.reverse()
    return pairs
