"""What a file holds of its lines: the first as they are, the others and their details packed.

Details take far more room than the lines themselves, and far longer to make. So a file has those of
some lines, and the command that shows them for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Final

from tracediff.reports.markup import Markup, escaped
from tracediff.reports.pages.pieces import Island, Lines, Piece, pack

INLINE: Final = 2
"""Pieces that are in the page itself, to be read without a script."""

BATCH: Final = 40
"""Lines whose details share an island: what is unpacked to open one of them."""

ROOM: Final = 2_000_000
"""Characters that all islands of details take in a file, about."""

WORK: Final = 16_000_000
"""Characters of markup in them before they are packed: seconds that a file takes to be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The details that a file holds, by what their lines are asked for by.

    ``command`` is what shows those of a line that the file does not hold; ``left`` counts them.
    """

    islands: tuple[Island, ...]
    held: Mapping[int, str]
    command: Callable[[int], str]
    left: int

    def opens(self, key: int) -> Markup:
        """The attributes of a line that say where its details are."""
        island = self.held.get(key)
        if island is None:
            return Markup(f' data-shown-by="{escaped(self.command(key))}"')
        return Markup(f' data-open-island="{island}" data-of="{key}"')


def details(
    ranks: Sequence[Sequence[int]],
    made: Callable[[int], str],
    command: Callable[[int], str],
) -> Details:
    """Make and pack the details of lines, until the budget is used up.

    Args:
        ranks: What lines are asked for by, those that matter most first; each is in one alone.
        made: Makes the details of a line.
        command: What shows the details of a line elsewhere.
    """
    islands: list[Island] = []
    held: dict[int, str] = {}
    room, work = ROOM, WORK
    for batch in chain.from_iterable(map(_batches, ranks)):
        if room <= 0 or work <= 0:
            break
        name = f"details-{len(islands)}"
        body = "".join(f'<section data-of="{key}">{made(key)}</section>' for key in batch)
        island = pack(name, body)
        work -= len(body)
        room -= len(island.packed)
        islands.append(island)
        held |= dict.fromkeys(batch, name)
    left = sum(map(len, ranks)) - len(held)
    return Details(islands=tuple(islands), held=held, command=command, left=left)


def _batches(keys: Iterable[int]) -> Iterator[list[int]]:
    each = iter(keys)
    while batch := list(islice(each, BATCH)):
        yield batch


def filled(
    some: Sequence[Piece], rows: Callable[[range], Markup], label: str
) -> tuple[Lines, tuple[Island, ...]]:
    """Return lines with the first pieces filled, and the others packed to lie beside them.

    Args:
        some: The pieces of all lines, as a server has them.
        rows: Makes the markup of a piece.
        label: What they are lines of.
    """
    shown: list[Piece] = []
    islands: list[Island] = []
    for at, one in enumerate(some):
        body = rows(range(one.first, one.first + one.count))
        bare = replace(one, source=None, plain=None)
        if at < INLINE:
            shown.append(replace(bare, body=body))
        else:
            islands.append(pack(f"piece-{one.first}", body))
            shown.append(replace(bare, island=f"piece-{one.first}"))
    total = sum(one.count for one in some)
    return Lines(label=label, total=total, pieces=tuple(shown)), tuple(islands)
