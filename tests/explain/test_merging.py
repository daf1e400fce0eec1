"""What cannot run apart becomes one player, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff import values
from tracediff.explain.hybrids import Answer
from tracediff.explain.merging import Together, expand, failure, settle
from tracediff.explain.outcomes import Outcome

GOOD = Answer(Outcome(values.encode(1), None, "success", ()))
Ties = tuple[tuple[int, ...], ...]


class Mixtures:
    """Stands for the worker: a mixture fails unless these units are all old or all new."""

    def __init__(self, count: int, ties: Ties, bad: Answer | None = None) -> None:
        self.atoms = range(count)
        self.ties, self.known = ties, dict[int, Answer]()
        self.bad = bad or Answer(failure="refused", why="refused")

    def without_places(self, text: str) -> str:
        """There are no directories to be left out."""
        return text

    def run(self, mixtures: Iterable[int], progress: Callable[[int, int], None]) -> None:
        for one in mixtures:
            self[one]

    def __getitem__(self, mixture: int) -> Answer:
        torn = any(len({mixture >> at & 1 for at in tie}) > 1 for tie in self.ties)
        return self.known.setdefault(mixture, self.bad if torn else GOOD)


def settled(
    mixing: Mixtures,
    wanted: Callable[[int], Iterable[int]] | None = None,
    errors: tuple[str, ...] = (),
) -> Together:
    alone = Together(tuple((at,) for at in mixing.atoms), {})
    every: Callable[[int], Iterable[int]] = wanted or (lambda count: range(1 << count))
    return settle(mixing, alone, every, errors, lambda done, of: None)  # type: ignore[arg-type]  # stands for it


def edges(count: int) -> list[int]:
    every = (1 << count) - 1
    ones = [1 << at for at in range(count)]
    return [0, every, *ones, *(every ^ one for one in ones)]


def together(count: int, ties: Ties) -> set[tuple[int, ...]]:
    """What belongs together: those with a unit in common, transitively."""
    found = [{at} for at in range(count)]
    for tie in ties:
        joined = [one for one in found if one & set(tie)]
        found = [one for one in found if not one & set(tie)] + [set().union(*joined)]
    return {tuple(sorted(one)) for one in found}


@pytest.mark.parametrize(
    ("count", "ties"),
    [
        (10, ((2, 7),)),
        (10, ((0, 9), (3, 4))),
        (10, ((1, 5, 8),)),
        (8, ((0, 1), (1, 2))),
        (8, ((0, 1), (2, 3), (4, 5), (6, 7))),
        (5, ((0, 1, 2, 3, 4),)),
        (4, ()),
    ],
)
def test_those_that_belong_together_are_found_among_many(count: int, ties: Ties) -> None:
    mixing = Mixtures(count, ties)
    found = settled(mixing, edges)
    assert set(found.players) == together(count, ties)
    assert len(mixing.known) <= 24 * count, "with few mixtures"
    assert set(found.why) == {one for one in found.players if len(one) > 1}
    assert set(found.why.values()) <= {"apart, they cannot be run: refused"}


@given(
    count=st.integers(2, 7),
    ties=st.lists(st.sets(st.integers(0, 6), min_size=2, max_size=3), max_size=3),
)
def test_no_mixture_of_what_is_settled_fails(count: int, ties: list[set[int]]) -> None:
    held = tuple(kept for one in ties if len(kept := tuple(at for at in one if at < count)) > 1)
    mixing = Mixtures(count, held)
    found = settled(mixing)
    whole = together(count, held)
    assert all(any(set(one) <= set(other) for other in found.players) for one in whole)
    assert sorted(at for one in found.players for at in one) == list(range(count))
    for coalition in range(1 << len(found.players)):
        assert mixing[expand(found.players, coalition)] is GOOD


@given(st.permutations(range(6)), st.integers(0, 3))
def test_pairs_are_told_apart(order: list[int], pairs: int) -> None:
    ties = tuple((order[2 * at], order[2 * at + 1]) for at in range(pairs))
    assert set(settled(Mixtures(6, ties)).players) == together(6, ties)


class Needing(Mixtures):
    """A mixture fails where one of these is new and its other is old."""

    def __getitem__(self, mixture: int) -> Answer:
        torn = any(mixture >> tie[0] & 1 and not mixture >> tie[1] & 1 for tie in self.ties)
        return self.known.setdefault(mixture, self.bad if torn else GOOD)


def test_one_that_needs_another_is_with_it_and_not_with_the_rest() -> None:
    assert set(settled(Needing(6, ((4, 1),))).players) == {(0,), (1, 4), (2,), (3,), (5,)}
    assert set(settled(Needing(4, ((0, 1), (2, 3)))).players) == {(0, 1), (2, 3)}


def answer(error: tuple[str, str] | None = None, *misses: str) -> Answer:
    return Answer(Outcome(None, error, "error", (), misses))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (Answer(failure="timeout"), "apart, they do not come to an end"),
        (Answer(failure="memory"), "apart, they take too much memory"),
        (Answer(failure="died"), "apart, they end the process"),
        (Answer(failure="refused", why="no job"), "apart, they cannot be run: no job"),
        (
            answer(("builtins:TypeError", "two")),
            "apart, they raise TypeError: two",
        ),
        (answer(None, "rate"), "apart, they ask the input 'rate' what was not recorded"),
    ],
)
def test_why_they_are_together_is_said(bad: Answer, why: str) -> None:
    found = settled(Mixtures(3, ((0, 2),), bad))
    assert found.why == {(0, 2): why}


def test_an_error_that_one_of_the_sides_raises_is_a_result() -> None:
    bad = answer(("builtins:ValueError", "low"))
    assert failure(bad, ("builtins:ValueError",)) is None
    assert settled(Mixtures(3, ((0, 2),), bad), errors=("builtins:ValueError",)).players == (
        (0,), (1,), (2,)
    )  # fmt: skip
    assert failure(answer(("builtins:ValueError", "low"), "rate"), ("builtins:ValueError",))


def test_what_is_merged_once_keeps_its_reason_when_others_are() -> None:
    class Two(Mixtures):
        def __getitem__(self, mixture: int) -> Answer:
            for tie, why in zip(self.ties, ("one", "two"), strict=True):
                if len({mixture >> at & 1 for at in tie}) > 1:
                    return Answer(failure="refused", why=why)
            return GOOD

    assert settled(Two(5, ((0, 1), (3, 4)))).why == {
        (0, 1): "apart, they cannot be run: one",
        (3, 4): "apart, they cannot be run: two",
    }


def test_where_no_choice_runs_it_ends() -> None:
    class Never(Mixtures):
        def __getitem__(self, mixture: int) -> Answer:
            return self.bad

    assert settled(Never(3, ())).players == ((0, 1, 2),)


def test_a_coalition_is_the_mixture_of_its_players() -> None:
    players: Any = ((0, 3), (1,), (2, 4))
    assert [expand(players, one) for one in range(8)] == [
        0, 0b01001, 0b00010, 0b01011, 0b10100, 0b11101, 0b10110, 0b11111
    ]  # fmt: skip
