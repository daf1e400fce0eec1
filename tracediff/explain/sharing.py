"""From the outcomes of mixtures to shares: exact where it can be, else by groups or by sampling."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tracediff.explain import sampling, shapley
from tracediff.explain.apportioning import shown
from tracediff.explain.merging import Player, Together, beginning, expand, settle
from tracediff.explain.mixing import Mixing
from tracediff.explain.outcomes import Fields, Path, fields, mark, number
from tracediff.explained import Effect, Interaction, Method
from tracediff.model import MISSING

MOST_EXACT = 12
"""Players up to whose number all coalitions are run."""
MOST_MIXTURES = 1 << MOST_EXACT
MOST_PAIRED = 48
"""Players up to whose number all pairs are tried before one is taken for idle."""
CHECKS = 64
UNSCREENED = 6
"""Players up to whose number all coalitions are run of one of many traces."""
QUICK_CHECKS = 16
SEED = 20_261_126

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Game:
    """Players, and the coalitions that were run: by their mask, or by screened players' masks."""

    players: tuple[Player, ...]
    why: Mapping[Player, str]
    method: Method
    coalitions: tuple[int, ...]
    orders: tuple[tuple[int, ...], ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    screened: tuple[Player, ...] = ()


def play(
    mixing: Mixing,
    errors: Collection[str],
    paths: Sequence[Path],
    progress: Progress,
    *,
    bound: Sequence[tuple[frozenset[int], str]] = (),
    affordable: int = MOST_MIXTURES,
    quick: bool = False,
) -> Game:
    """Run the coalitions that shares need.

    Up to twelve players all coalitions are run. Above, players that change nothing alone, with all
    others, in pairs and in random coalitions are set aside; then groups, then sampling.

    Args:
        mixing: Runs mixtures; each of its atoms begins as a player of its own.
        errors: The types of error that are a result.
        paths: The fields that count.
        progress: Called with how many are done and of how many.
        bound: Atoms that are one player from the start, and why.
        affordable: How many mixtures may be run.
        quick: Set players aside from seven players on, and try no pairs for it.
    """
    together = beginning(len(mixing.atoms), bound)
    together = settle(mixing, together, _edges, errors, progress)
    screened: tuple[Player, ...] = ()
    unscreened = 1 << UNSCREENED if quick else MOST_MIXTURES
    if 1 << len(together.players) > min(affordable, unscreened):
        together, screened = _screen(mixing, together, errors, paths, progress, quick=quick)
    count = len(together.players)
    if 1 << count <= min(affordable, MOST_MIXTURES) or count <= 6:
        together = settle(mixing, together, _all, errors, progress)
        count = len(together.players)
        return Game(together.players, together.why, "exact", tuple(_all(count)), screened=screened)
    return _estimated(mixing, together, screened, errors, progress, affordable)


def _all(count: int) -> range:
    return range(1 << count)


def _edges(count: int) -> list[int]:
    """Nothing, everything, each alone, all but each."""
    every = (1 << count) - 1
    return [0, every, *(1 << at for at in range(count)), *(every ^ 1 << at for at in range(count))]


def _pairs(count: int) -> Iterable[int]:
    every = (1 << count) - 1
    for at in range(count):
        for other in range(at):
            pair = 1 << at | 1 << other
            yield pair
            yield every ^ pair


def _screen(
    mixing: Mixing,
    together: Together,
    errors: Collection[str],
    paths: Sequence[Path],
    progress: Progress,
    *,
    quick: bool,
) -> tuple[Together, tuple[Player, ...]]:
    """Set aside the players that seem to do nothing."""
    dice = random.Random(SEED)  # noqa: S311 - the same coalitions at every run
    count = len(together.players)
    if count <= MOST_PAIRED and not quick:
        together = settle(mixing, together, _pairs, errors, progress)
    turns = QUICK_CHECKS if quick else CHECKS
    checks = [dice.getrandbits(len(mixing.atoms)) for _ in range(turns)]
    together = settle(
        mixing, together, lambda many: [one & ((1 << many) - 1) for one in checks], errors, progress
    )
    players = together.players
    every = (1 << len(players)) - 1
    marks: dict[int, object] = {}

    def gives(coalition: int) -> object:
        if coalition not in marks:
            outcome = mixing[expand(players, coalition)].outcome
            found = fields(outcome) if outcome is not None else {}
            marks[coalition] = tuple(mark(found.get(path, MISSING)) for path in paths)
        return marks[coalition]

    tested = [0, every]
    if count <= MOST_PAIRED:
        tested += [1 << at for at in range(len(players))]
        tested += [every ^ 1 << at for at in range(len(players))]
    idle = [
        at
        for at in range(len(players))
        if all(gives(one | 1 << at) == gives(one & ~(1 << at)) for one in tested)
    ]
    mask = sum(1 << at for at in idle)
    mixing.run([expand(players, one & every & ~mask) for one in checks], progress)
    for one in (*checks, mask, every):  # together, in the company of others; all at the last
        coalition = one & every
        while idle and gives(coalition & ~mask) != gives(coalition):
            guilty = _guilty(idle, coalition, gives)
            idle.remove(guilty)
            mask &= ~(1 << guilty)
    kept = tuple(one for at, one in enumerate(players) if at not in idle)
    aside = tuple(players[at] for at in idle)
    return Together(kept, dict(together.why)), aside


def _guilty(idle: Sequence[int], coalition: int, gives: Callable[[int], object]) -> int:
    """One of the players set aside that makes a difference in a coalition."""
    for at in idle:
        without = coalition & ~(1 << at)
        if without != coalition and gives(without) != gives(coalition):
            return at
        coalition = without
    return idle[0]


def _estimated(
    mixing: Mixing,
    together: Together,
    screened: tuple[Player, ...],
    errors: Collection[str],
    progress: Progress,
    affordable: int,
) -> Game:
    groups = _groups(mixing, together.players)
    if len(groups) > 1 and shapley.owen_count(groups) <= affordable:

        def needed(count: int) -> Iterable[int]:
            return sorted(shapley.owen_masks(_groups(mixing, together.players)))

        before = together.players
        together = settle(mixing, together, needed, errors, progress)
        if together.players == before:
            coalitions = tuple(sorted(shapley.owen_masks(groups)))
            return Game(
                together.players, together.why, "groups", coalitions,
                groups=tuple(groups), screened=screened,
            )  # fmt: skip
    while True:
        count = len(together.players)
        pairs = max(8, affordable // (2 * count))
        orders = tuple(sampling.orders(count, SEED, pairs))
        masks = sorted({one for order in orders for one in sampling.permutation_masks(order)})
        before = together.players

        def sampled(many: int) -> Iterable[int]:
            return masks if many == count else _edges(many)  # noqa: B023 - called in this turn

        together = settle(mixing, together, sampled, errors, progress)
        if together.players == before:
            return Game(
                together.players, together.why, "sampling", tuple(masks),
                orders=orders, screened=screened,
            )  # fmt: skip


def _groups(mixing: Mixing, players: Sequence[Player]) -> list[tuple[int, ...]]:
    """Players of one module."""
    found: dict[str, list[int]] = {}
    for at, player in enumerate(players):
        found.setdefault(mixing.atoms[player[0]].unit.name.partition(":")[0], []).append(at)
    return [tuple(one) for one in found.values()]


def effects(mixing: Mixing, game: Game, paths: Sequence[Path]) -> list[Effect]:
    """The shares of each field that changed, one for each player of the game."""
    read = outcomes_of(mixing, game)
    return [_effect(game, path, read) for path in paths]


def outcomes_of(mixing: Mixing, game: Game) -> dict[int, Fields]:
    """The fields that each coalition of a game gave."""
    read: dict[int, Fields] = {}
    known: dict[object, Fields] = {}
    for coalition in game.coalitions:
        outcome = mixing[expand(game.players, coalition)].outcome
        if outcome not in known:
            known[outcome] = fields(outcome) if outcome is not None else {}
        read[coalition] = known[outcome]
    return read


def worths(
    game: Game, path: Path, read: Mapping[int, Fields]
) -> tuple[Mapping[int, Fraction], bool]:
    """What each coalition is worth in a field, and whether that is an amount.

    Where it is none, it is 1 for the new value and 0 for any other.
    """
    every = (1 << len(game.players)) - 1
    new = read[every].get(path, MISSING)
    amounts = {one: number(found.get(path, MISSING)) for one, found in read.items()}
    # 20.0 and 20.00 are other values of one amount: a share of nothing would tell nothing.
    numeric = None not in amounts.values() and amounts[0] != amounts[every]
    values: dict[int, Fraction] = {}
    for one, found in read.items():
        amount = amounts[one]
        if not numeric or amount is None:
            amount = Fraction(mark(found.get(path, MISSING)) == mark(new))
        values[one] = amount
    return values, numeric


def shares_of(
    game: Game, values: Mapping[int, Fraction]
) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """The share of each player, and the margins where they were sampled."""
    if game.method == "sampling":
        return sampling.sampled(values, game.orders)
    if game.method == "groups":
        return shapley.owen(values, game.groups), ()
    return shapley.exact(values, len(game.players)), ()


def _effect(game: Game, path: Path, read: Mapping[int, Fields]) -> Effect:
    count = len(game.players)
    every = (1 << count) - 1
    old, new = (read[one].get(path, MISSING) for one in (0, every))
    values, numeric = worths(game, path, read)
    shares, margins = shares_of(game, values)
    pairs = shapley.interactions(values, count) if game.method == "exact" else ()
    change = values[every] - values[0]
    said, texts = shown(shares, old, new) if numeric else shown(shares, 0, 1)
    return Effect(
        path=path,
        kind="number" if numeric else "indicator",
        old=old,
        new=new,
        change=change,
        shares=shares,
        shown_change=said,
        shown=texts,
        margins=margins,
        interactions=tuple(Interaction(first=a, second=b, amount=c) for a, b, c in pairs),
    )
