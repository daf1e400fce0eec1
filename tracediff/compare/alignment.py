"""Laying one trace's steps against another's.

Under matched parents, children with equal subtrees pair first, then those of one kind, name and
key, in order (patience and Myers, see ``sequences``); what crosses is *reordered*. Siblings whose
order a scheduler decided pair as a multiset. What is left over anywhere is *moved* when an equal
subtree, or a name found once, is left over elsewhere; *renamed* when the same unit, or the same
arguments and result, go by another name.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tracediff.compare.autotraced import autotraced
from tracediff.compare.likeness import (
    Likeness,
    call,
    contents,
    effect,
    nameless,
    only,
    shape,
    under,
    unit,
)
from tracediff.compare.sequences import Budget, between, match
from tracediff.compare.trees import Tree

WORK = 500_000
MANY = 20
LITTLE = 0.2
Gap = tuple[list[int], list[int]]
Key = Callable[[int], Hashable]
"""What steps of one tree are told from each other by."""
Keys = tuple[Key, Key]
"""The same of both trees."""


@dataclass(slots=True)
class Alignment:
    """Which old step is which new one (and back), and how its place or name changed."""

    partner: dict[int, int] = field(default_factory=dict)
    back: dict[int, int] = field(default_factory=dict)
    moved: set[int] = field(default_factory=set)
    renamed: set[int] = field(default_factory=set)
    reordered: set[int] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)


def align(
    old: Tree,
    new: Tree,
    old_lacks: frozenset[str] = frozenset(),
    new_lacks: frozenset[str] = frozenset(),
) -> Alignment:
    """Align two trees whose roots are the same job.

    Args:
        old: The old tree.
        new: The new one.
        old_lacks: Units of which the old tree lacks steps, nobody knows which.
        new_lacks: The same of the new one.
    """
    return _Aligner(old, new, old_lacks, new_lacks).run()


class _Aligner:
    def __init__(
        self, old: Tree, new: Tree, old_lacks: frozenset[str], new_lacks: frozenset[str]
    ) -> None:
        self.old = old
        self.new = new
        self.lacks = (old_lacks, new_lacks)
        self.cut = old_lacks | new_lacks
        self.found = Alignment()
        self.queue: deque[tuple[int, int]] = deque()
        self.budget = Budget(WORK)
        self.settled: list[tuple[int, int]] = []
        self.spare: Gap | None = None

    def run(self) -> Alignment:
        self._pair(0, 0)
        self._drain()
        for find in (
            self._renamed_in_place,
            self._equal_elsewhere,
            self._renamed,
            self._same_name_elsewhere,
        ):
            if len(self.found.back) in (len(self.old.steps), len(self.new.steps)):
                break  # nothing is left over on one side
            find()
            self._drain()
        self._places()
        if self.budget.spent:
            self.found.remarks.append(
                "too many steps of one name changed to align them all: the rest pairs by position"
            )
        return self.found

    def _pair(self, i: int, j: int) -> None:
        self.found.partner[i] = j
        self.found.back[j] = i
        if self.old.children[i] and self.new.children[j]:
            self.queue.append((i, j))

    def _drain(self) -> None:
        while self.queue:
            i, j = self.queue.popleft()
            self._children(i, j)

    def _children(self, i: int, j: int) -> None:
        left = [a for a in self.old.children[i] if a not in self.found.partner]
        right = [b for b in self.new.children[j] if b not in self.found.back]
        if not left or not right:
            return
        before = len(self.found.partner)
        gaps = self._by_label(left, right)
        if gaps is not None:
            self._notes(gaps)
        elif self.old.digest(i) == self.new.digest(j):
            self._equal_children(left, right)
            return
        else:
            left, right = self._concurrent(left, right)
            before = len(self.found.partner)
            self._notes(self._in_order(left, right))
            self._crossing(left, right)
        paired = len(self.found.partner) - before
        if min(len(left), len(right)) >= MANY and paired < LITTLE * min(len(left), len(right)):
            name = self.old.steps[i].name
            self.found.remarks.append(
                f"under {name!r} only {paired} of {len(left)} and {len(right)} steps have a "
                "counterpart: the rest is shown as removed and added"
            )

    def _by_label(self, left: list[int], right: list[int]) -> list[Gap] | None:
        """Pair by label, where each occurs once and in one order: likenesses give the same then.

        Gives back what is left between the pairs, None where there is more to it.
        """
        labels = [self.old.label(a) for a in left]
        places = {self.new.label(b): y for y, b in enumerate(right)}
        if len(places) < len(right) or len(set(labels)) < len(left):
            return None
        pairs = [(x, places[label]) for x, label in enumerate(labels) if label in places]
        if any(one > other for (_, one), (_, other) in pairwise(pairs)):
            return None
        whole = len(pairs) == len(left) == len(right)
        if not whole and self._any_concurrent(left, right):
            return None
        for x, y in pairs:
            self._pair(left[x], right[y])
        return [] if whole else self._between(pairs, left, right)

    def _any_concurrent(self, left: list[int], right: list[int]) -> bool:
        old, new = self.old.steps, self.new.steps
        return any(old[a].concurrent for a in left) or any(new[b].concurrent for b in right)

    def _concurrent(self, left: list[int], right: list[int]) -> tuple[list[int], list[int]]:
        """Pair what a scheduler ordered; give back what is left to be paired in order."""
        if not self._any_concurrent(left, right):
            return left, right
        loose_left = [a for a in left if self.old.steps[a].concurrent]
        loose_right = [b for b in right if self.new.steps[b].concurrent]
        self._multiset(loose_left, loose_right)
        left = [a for a in left if a not in self.found.partner]
        right = [b for b in right if b not in self.found.back]
        return left, right

    def _equal_children(self, left: list[int], right: list[int]) -> None:
        """Children of equal subtrees: by digest where a scheduler ordered them, else by place."""
        if any(self.old.steps[a].concurrent for a in left):
            self._multiset(left, right)
            return
        for a, b in zip(left, right, strict=False):
            self._pair(a, b)

    def _multiset(self, left: list[int], right: list[int]) -> None:
        """Pair by ever weaker likeness, whatever the order."""
        for of_old, of_new in (*self._likenesses(), self._labels(left, right)):
            for a, b in self._alike(left, right, of_old, of_new):
                self._pair(a, b)

    def _likenesses(self) -> tuple[Keys, Keys]:
        """What tells that steps are the same: all that is in them, then their calls."""
        return (
            (self.old.digest, self.new.digest),
            (lambda a: call(self.old, a), lambda b: call(self.new, b)),
        )

    def _alike(
        self, left: list[int], right: list[int], of_old: Key, of_new: Key
    ) -> Iterator[tuple[int, int]]:
        """Those without a partner of which both sides have one with the same key, in order."""
        spare: dict[Hashable, deque[int]] = {}
        for b in right:
            if b not in self.found.back:
                spare.setdefault(of_new(b), deque()).append(b)
        for a in left:
            places = spare.get(of_old(a)) if a not in self.found.partner else None
            if places:
                yield a, places.popleft()

    def _in_order(self, left: list[int], right: list[int]) -> Iterable[Gap]:
        """Pair in order by ever weaker likeness; give back what is left between the pairs."""
        gaps: list[Gap] = [(left, right)]
        for of_old, of_new in self._likenesses():
            gaps = [part for gap in gaps for part in self._match(gap, of_old, of_new)]
        gaps = [part for gap in gaps for part in self._match(gap, *self._labels(*gap))]
        if self.budget.spent:
            gaps = [part for gap in gaps for part in self._by_position(gap)]
        return gaps

    def _labels(self, left: list[int], right: list[int]) -> Keys:
        """What pairs steps by their label alone.

        Where one side lacks steps of a function and there are more on the other, nobody can tell
        which of them is which: they stay apart.
        """
        of_old, of_new = self.old.label, self.new.label
        if not self.cut:
            return of_old, of_new
        count = Counter(of_old(a) for a in left if self._is_cut(self.old, a))
        count.subtract(of_new(b) for b in right if self._is_cut(self.new, b))
        apart = {label for label, number in count.items() if number}

        def labels(label: Key, side: str) -> Key:
            return lambda at: (side, at) if (found := label(at)) in apart else found

        return labels(of_old, "old"), labels(of_new, "new")

    def _is_cut(self, tree: Tree, at: int) -> bool:
        """Whether a step is of a function of which one side lacks some."""
        return bool(self.cut) and autotraced(tree.steps[at]) in self.cut

    def _match(self, gap: Gap, of_old: Key, of_new: Key) -> list[Gap]:
        left, right = gap
        if not left or not right:
            return [gap]
        pairs = match([of_old(a) for a in left], [of_new(b) for b in right], self.budget)
        for x, y in pairs:
            self._pair(left[x], right[y])
        return self._between(pairs, left, right)

    @staticmethod
    def _between(pairs: Iterable[tuple[int, int]], left: list[int], right: list[int]) -> list[Gap]:
        window = (0, len(left), 0, len(right))
        return [(left[a:b], right[c:d]) for a, b, c, d in between(pairs, window)]

    def _by_position(self, gap: Gap) -> list[Gap]:
        left, right = gap
        names = {self.old.label(a) for a in left} | {self.new.label(b) for b in right}
        if len(names) > 1:
            return [gap]
        for a, b in zip(left, right, strict=False):
            self._pair(a, b)
        both = min(len(left), len(right))
        return [(left[both:], right[both:])]

    def _notes(self, gaps: Iterable[Gap]) -> None:
        """Notes whose text changed stand between the same neighbours."""
        for gap in gaps:
            left = [a for a in gap[0] if self.old.steps[a].kind == "note"]
            right = [b for b in gap[1] if self.new.steps[b].kind == "note"]
            if len(left) == len(right):
                for a, b in zip(left, right, strict=True):
                    self.found.renamed.add(a)
                    self._pair(a, b)

    def _crossing(self, left: list[int], right: list[int]) -> None:
        """Pairs that the order forbade: they were reordered."""
        for of_old, of_new in ((self.old.digest, self.new.digest), self._labels(left, right)):
            for a, b in self._alike(left, right, of_old, of_new):
                self.found.reordered.add(a)
                self._pair(a, b)

    def _spare(self) -> tuple[list[int], list[int]]:
        """The steps without a partner, notes apart; fewer each time."""
        if self.spare is None:
            self.spare = self._settling(self.old), self._settling(self.new)
        left, right = self.spare
        partner, taken = self.found.partner, self.found.back
        self.spare = ([a for a in left if a not in partner], [b for b in right if b not in taken])
        return self.spare

    def _settling(self, tree: Tree) -> list[int]:
        """The steps that may have a partner anywhere."""
        return [
            at
            for at, step in enumerate(tree.steps)
            if at and step.kind != "note" and not self._is_cut(tree, at)
        ]

    def _equal_elsewhere(self) -> None:
        """The same subtree under another parent: moved. Big subtrees come before their parts."""
        left, right = self._spare()
        spare: dict[bytes, deque[int]] = {}
        for b in right:
            spare.setdefault(self.new.digest(b), deque()).append(b)
        for a in left:
            if a in self.found.partner:
                continue
            places = spare.get(self.old.digest(a))
            while places and places[0] in self.found.back:
                places.popleft()
            if places:
                self._settle(a, places.popleft())
                self._drain()

    def _renamed_in_place(self) -> None:
        """Under one parent, all but the name is the same: renamed, unless it went elsewhere."""
        for likeness in (nameless, unit, contents):
            left, right = self._spare()
            here = [b for b in right if self.new.steps[b].parent in self.found.back]
            gone = {self.old.digest(a) for a in left}
            come = {self.new.digest(b) for b in right}
            pairs = only(
                [a for a in left if self.old.digest(a) not in come],
                [b for b in here if self.new.digest(b) not in gone],
                lambda a: under(self.old.steps[a].parent, likeness(self.old, a)),  # noqa: B023 - used at once
                lambda b: under(self._above(b), likeness(self.new, b)),  # noqa: B023 - used at once
            )
            for a, b in pairs:
                self._settle(a, b)
            self._drain()

    def _above(self, b: int) -> int | None:
        """The partner of a new step's parent."""
        return self.found.back.get(self.new.steps[b].parent)

    def _renamed(self) -> None:
        """The same unit, or the same arguments and result, under another name; each once only."""
        for likeness in (unit, effect, shape, contents):
            self._unique(likeness)

    def _same_name_elsewhere(self) -> None:
        self._unique(lambda tree, at: tree.label(at))

    def _unique(self, likeness: Likeness) -> None:
        left, right = self._spare()
        of_old, of_new = (lambda a: likeness(self.old, a)), (lambda b: likeness(self.new, b))
        for a, b in only(left, right, of_old, of_new):
            if a not in self.found.partner and b not in self.found.back:
                self._settle(a, b)
                self._drain()

    def _settle(self, a: int, b: int) -> None:
        """Pair two steps that may differ in place and name; places are judged at the end."""
        if self.old.steps[a].name != self.new.steps[b].name:
            self.found.renamed.add(a)
        self.settled.append((a, b))
        self._pair(a, b)

    def _places(self) -> None:
        """Tell which of the steps paired across the trees stand somewhere else."""
        parents: set[int] = set()
        for a, b in self.settled:
            parent = self._home(self.old, a, self.found.partner, self.lacks[1])
            other = self._home(self.new, b, self.found.back, self.lacks[0])
            if self.found.partner.get(parent) != other:
                self.found.moved.add(a)
            else:
                parents.add(parent)
        settled = {a for a, _ in self.settled}
        for parent in parents:
            self._crossed(parent, settled)

    @staticmethod
    def _home(tree: Tree, at: int, paired: Mapping[int, int], lacks: frozenset[str]) -> int:
        """What a step is in, without steps that the other side says it may lack."""
        parent = tree.steps[at].parent
        while lacks and parent not in paired and autotraced(tree.steps[parent]) in lacks:
            parent = tree.steps[parent].parent
        return parent

    def _crossed(self, parent: int, settled: set[int]) -> None:
        """The settled children of a parent that do not stand between the same others."""
        inside = set(self.new.children[self.found.partner[parent]])
        here = [
            (a, self.found.partner[a])
            for a in self.old.children[parent]
            if self.found.partner.get(a) in inside and not self.old.steps[a].concurrent
        ]
        for way in (here, here[::-1]):
            furthest: int | None = None
            for a, b in way:
                if a not in settled and a not in self.found.reordered:
                    furthest = b
                elif a in settled and furthest is not None and (b < furthest) == (way is here):
                    self.found.reordered.add(a)
