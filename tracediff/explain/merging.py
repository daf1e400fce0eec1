"""Finding out which atoms cannot run apart, and making one player of them.

A mixture fails when it asks for what was not recorded, dies, takes too long, or raises what neither
side raises. Of a failing mixture as few atoms as possible are left new, then of the others as few
as possible old: it fails because of those that are left on either side, and they belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from tracediff.explain.hybrids import Answer
from tracediff.explain.mixing import Mixing

Player = tuple[int, ...]
"""The atoms of a player, by number."""


_FAILURES = {
    "timeout": "apart, they do not come to an end",
    "memory": "apart, they take too much memory",
    "died": "apart, they end the process",
}


@dataclass(frozen=True, slots=True)
class Together:
    """Players none of whose mixtures fails, as far as they were run; ``why`` by player."""

    players: tuple[Player, ...]
    why: dict[Player, str]


def beginning(atoms: int, bound: Iterable[tuple[frozenset[int], str]]) -> Together:
    """Each atom as a player, but for those that are bound to each other."""
    players: dict[int, frozenset[int]] = {at: frozenset((at,)) for at in range(atoms)}
    reasons: dict[int, str] = {}
    for units, why in bound:
        made = frozenset().union(*(players[at] for at in units))
        players.update(dict.fromkeys(made, made))
        reasons[min(made)] = why
    found = sorted({tuple(sorted(one)) for one in players.values()})
    return Together(tuple(found), {one: reasons[one[0]] for one in found if one[0] in reasons})


def expand(players: Sequence[Player], coalition: int) -> int:
    """The mixture of a coalition: bit ``i`` of the latter is player ``i``."""
    return sum(
        1 << atom for at, player in enumerate(players) if coalition >> at & 1 for atom in player
    )


def settle(
    mixing: Mixing,
    together: Together,
    wanted: Callable[[int], Iterable[int]],
    errors: Collection[str],
    progress: Callable[[int, int], None],
) -> Together:
    """Run the coalitions that are wanted, merging players until none of them fails.

    Args:
        mixing: Runs mixtures.
        together: The players to begin with.
        wanted: Gives the coalitions for a number of players.
        errors: The types of error that are a result, because one of the sides raises it.
        progress: Called with how many are done and of how many.
    """
    while True:
        players = together.players
        mixtures = [expand(players, one) for one in wanted(len(players))]
        mixing.run(mixtures, progress)
        failing = next((one for one in mixtures if failure(mixing[one], errors)), None)
        if failing is None or len(players) == 1:
            return together
        together = _merged(mixing, together, failing, errors)


def failure(answer: Answer, errors: Collection[str]) -> str | None:
    """Why a mixture is no valid result, None when it is one."""
    if answer.outcome is None:
        said = _FAILURES.get(answer.failure or "", "apart, they cannot be run")
        return f"{said}: {answer.why}" if answer.why else said
    if answer.outcome.misses:
        return f"apart, they ask the input {answer.outcome.misses[0]!r} what was not recorded"
    error = answer.outcome.error
    if error is not None and error[0] not in errors:
        return f"apart, they raise {error[0].rpartition(':')[2]}: {error[1]}"
    return None


def _merged(mixing: Mixing, together: Together, failing: int, errors: Collection[str]) -> Together:
    players = together.players
    coalition = sum(1 << at for at, one in enumerate(players) if failing >> one[0] & 1)
    why = failure(mixing[failing], errors) or ""

    def fails(one: int) -> bool:
        return failure(mixing[expand(players, one)], errors) is not None

    every = range(len(players))
    for at in every:  # fewer that are new
        if coalition >> at & 1 and fails(coalition & ~(1 << at)):
            coalition &= ~(1 << at)
    why = failure(mixing[expand(players, coalition)], errors) or why
    needed = {at for at in every if coalition >> at & 1}
    for at in every:  # fewer that are old
        if not coalition >> at & 1 and fails(coalition | 1 << at):
            coalition |= 1 << at
    critical = {at for at in every if not fails(coalition ^ 1 << at)}
    if any(coalition >> at & 1 for at in critical) and not needed <= critical:
        needed = critical  # it fails for another reason by now
    needed |= {at for at in every if not coalition >> at & 1}
    if len(needed) < 2:  # one of the two sides fails
        needed = set(every)
    made = tuple(sorted(atom for at in needed for atom in players[at]))
    kept = [one for at, one in enumerate(players) if at not in needed]
    places = sorted([*kept, made])
    reasons = {one: said for one, said in together.why.items() if one in kept}
    return Together(tuple(places), {**reasons, made: mixing.without_places(why)})
