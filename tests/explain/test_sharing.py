"""Which coalitions are run, who is set aside, and shares that add up however they are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tracediff import values
from tracediff.explain.hybrids import Answer
from tracediff.explain.mixing import Atom
from tracediff.explain.outcomes import Outcome
from tracediff.explain.sharing import MOST_MIXTURES, Game, effects, play
from tracediff.explained import Effect, Unit

RESULT = ("result",)
Terms = Mapping[frozenset[int], int]


@dataclass
class Worth:
    """Stands for the worker: a mixture gives what these sets of units are worth together."""

    count: int
    terms: Terms
    modules: int = 1
    worth: Callable[[int], Any] | None = None

    def __post_init__(self) -> None:
        self.known: dict[int, Answer] = {}
        self.atoms = [
            Atom(Unit(kind="function", name=f"m{at % self.modules}:f{at}"), at)
            for at in range(self.count)
        ]
        self.masks = [(sum(1 << at for at in one), amount) for one, amount in self.terms.items()]

    def without_places(self, text: str) -> str:
        """There are no directories to be left out."""
        return text

    def run(self, mixtures: Iterable[int], progress: Callable[[int, int], None]) -> None:
        for one in mixtures:
            self[one]

    def __getitem__(self, mixture: int) -> Answer:
        if mixture not in self.known:
            found: Any = sum(amount for mask, amount in self.masks if mask & mixture == mask)
            if self.worth is not None:
                found = self.worth(mixture)
            self.known[mixture] = Answer(Outcome(values.encode(found), None, "success", ()))
        return self.known[mixture]


def played(mixing: Worth, affordable: int = MOST_MIXTURES) -> tuple[Game, Effect]:
    fake: Any = mixing
    game = play(fake, (), [RESULT], lambda done, of: None, affordable=affordable)
    (effect,) = effects(fake, game, [RESULT])
    every = (1 << mixing.count) - 1
    assert sum(effect.shares) == effect.change
    assert effect.old == values.inert(mixing[0].outcome.result)  # type: ignore[union-attr,arg-type]  # it has one
    assert effect.new == values.inert(mixing[every].outcome.result)  # type: ignore[union-attr,arg-type]  # as above
    assert sorted(at for one in (*game.players, *game.screened) for at in one) == list(
        range(mixing.count)
    )
    return game, effect


def shares(game: Game, effect: Effect) -> dict[int, Fraction]:
    return {one[0]: share for one, share in zip(game.players, effect.shares, strict=True) if share}


def shapley(terms: Terms) -> dict[int, Fraction]:
    """Each set's worth in equal parts to its members: the definition for such games."""
    found: dict[int, Fraction] = {}
    for one, amount in terms.items():
        for at in one:
            found[at] = found.get(at, Fraction(0)) + Fraction(amount, len(one))
    return {at: share for at, share in found.items() if share}


def term(*members: int) -> frozenset[int]:
    return frozenset(members)


def test_up_to_twelve_all_coalitions_are_run() -> None:
    terms = {term(at): at + 1 for at in range(12)} | {term(0, 1): 4, term(2, 3, 4): 6}
    mixing = Worth(12, terms)
    game, effect = played(mixing)
    assert (game.method, len(mixing.known), game.screened) == ("exact", 4096, ())
    assert shares(game, effect) == shapley(terms)
    assert {(one.first, one.second) for one in effect.interactions if one.amount} == {
        (0, 1), (2, 3), (2, 4), (3, 4)
    }  # fmt: skip


@settings(max_examples=15)
@given(
    count=st.integers(13, 17),
    members=st.lists(st.sets(st.integers(0, 16), min_size=1, max_size=2), max_size=4),
    amounts=st.lists(st.integers(-9, 9).filter(bool), min_size=4, max_size=4),
)
def test_nobody_is_set_aside_who_matters_alone_or_in_pairs(
    count: int, members: list[set[int]], amounts: list[int]
) -> None:
    terms: dict[frozenset[int], int] = {}
    for one, amount in zip(members, amounts, strict=False):
        if max(one) < count:
            terms[frozenset(one)] = amount
    assume(sum(terms.values()))
    game, effect = played(Worth(count, terms))
    guilty = {at for one in terms for at in one}
    assert not guilty & {at for one in game.screened for at in one}
    assert len(game.screened) == count - len(guilty)
    assert shares(game, effect) == shapley(terms)


@settings(max_examples=15)
@given(
    count=st.integers(13, 17),
    guilty=st.sets(st.integers(0, 16), min_size=2, max_size=3),
    table=st.lists(st.integers(0, 2), min_size=8, max_size=8),
)
def test_whatever_the_game_its_ends_are_those_of_all_units(
    count: int, guilty: set[int], table: list[int]
) -> None:
    """A table of what up to three units give together; ``played`` holds the effect to the ends."""
    places = sorted(at % count for at in guilty)
    assume(table[0] != table[(1 << len(places)) - 1])
    mixing = Worth(count, {}, worth=lambda mixture: table[
        sum((mixture >> at & 1) << place for place, at in enumerate(places))
    ])  # fmt: skip
    played(mixing)


def test_of_two_that_stand_in_for_each_other_one_stays() -> None:
    """Among sixty, where pairs are not tried: each alone changes nothing, nor does its absence."""
    needed = [at for at in range(60) if at % 4 == 0]

    def worth(mixture: int) -> int:
        return int(
            all(mixture >> at & 1 for at in needed) and bool(mixture >> 1 & 1 | mixture >> 2 & 1)
        )

    game, effect = played(Worth(60, {}, worth=worth))
    assert {1, 2} - {at for one in game.screened for at in one}
    assert effect.change == 1


def test_a_pair_that_everything_else_hides_is_kept() -> None:
    """Two that do something together as long as none of ten others is new."""

    def worth(mixture: int) -> int:
        return (mixture >> 13 & 1) + 5 * (mixture & 0b1111_1111_1111 == 0b11)

    game, _ = played(Worth(14, {}, worth=worth))
    assert not {0, 1, 13} & {at for one in game.screened for at in one}


def test_what_only_matters_in_rare_company_may_be_missed_and_is_set_aside_openly() -> None:
    rare = (1 << 1) | (1 << 2)  # of thirty units just these, neither more nor less

    def worth(mixture: int) -> int:
        return (mixture & 1) + 100 * (mixture == rare | 1 << 5 | 1 << 7)

    game, effect = played(Worth(30, {}, worth=worth))
    assert (1,) in game.screened
    assert shares(game, effect) == {0: 1}


def test_an_error_in_a_mixture_is_seen_by_who_screens() -> None:
    class Raising(Worth):
        def __getitem__(self, mixture: int) -> Answer:
            if mixture >> 3 & 1:
                return Answer(Outcome(None, ("builtins:ValueError", "low"), "error", ()))
            return super().__getitem__(mixture)

    fake: Any = Raising(14, {term(1): 5})
    paths = [("error",), RESULT]
    game = play(fake, ("builtins:ValueError",), paths, lambda done, of: None)
    found = effects(fake, game, paths)
    assert game.players == ((1,), (3,))
    assert [list(map(int, one.shares)) for one in found] == [[0, 1], [0, 1]]
    assert [one.kind for one in found] == ["indicator", "indicator"]


def test_many_that_matter_are_sampled_and_add_up() -> None:
    terms = {term(at): at + 1 for at in range(14)} | {term(0, 13): 8}
    game, effect = played(Worth(14, terms))
    assert (game.method, game.screened) == ("sampling", ())
    known = shapley(terms)
    for at, (share, margin) in enumerate(zip(effect.shares, effect.margins, strict=True)):
        assert abs(share - known[at]) <= 3 * margin
        assert margin == 0 or at in (0, 13)


def test_many_in_several_modules_are_shared_by_groups() -> None:
    """Owen's value: the pair's worth is halved between modules, whatever else is in them."""
    terms = {term(at): 1 for at in range(15)} | {term(0, 1): 8, term(2, 5): 6}
    mixing = Worth(15, terms, modules=3)
    game, effect = played(mixing)
    assert game.method == "groups"
    assert {tuple(one) for one in game.groups} == {tuple(range(start, 15, 3)) for start in range(3)}
    assert len(game.coalitions) < MOST_MIXTURES
    assert shares(game, effect) == shapley(terms)


@pytest.mark.parametrize("affordable", [64, 256, 4096])
def test_no_more_is_run_than_may_be(affordable: int) -> None:
    mixing = Worth(13, {one: 1 for at in range(13) for one in (term(at), term(at, (at + 1) % 13))})
    game, effect = played(mixing, affordable)
    assert game.method == "sampling"
    assert len(game.coalitions) <= affordable + 16 * 13
    assert effect.change == 26


def test_what_is_torn_while_orders_are_drawn_becomes_one_player() -> None:
    class Torn(Worth):
        def __getitem__(self, mixture: int) -> Answer:
            if (mixture >> 2 & 1) != (mixture >> 11 & 1) and mixture & 0b11 == 0b01:
                return Answer(failure="died")
            return super().__getitem__(mixture)

    terms = {term(at): 1 for at in range(14)} | {
        term(*pair): 1 for pair in combinations(range(14), 2)
    }
    game, effect = played(Torn(14, terms))
    merged = [one for one in game.players if len(one) > 1]
    assert merged == [next(iter(game.why))]
    assert {2, 11} <= set(merged[0]) or {0, 1} <= set(merged[0])
    assert effect.change == 14 + 91


def test_text_is_shared_as_the_fact_that_it_changed() -> None:
    def worth(mixture: int) -> str:
        return "new" if mixture & 0b11 == 0b11 else "old"

    game, effect = played(Worth(3, {}, worth=worth))
    assert (effect.kind, effect.old, effect.new) == ("indicator", "old", "new")
    assert effect.change == 1
    assert shares(game, effect) == {0: Fraction(1, 2), 1: Fraction(1, 2)}
