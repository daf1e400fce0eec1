"""Two readings of a value that differ, with what differs inside of them marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Final

from tracediff.reports import excerpt

Marked = tuple[tuple[str, bool], ...]
"""Pieces of a text, each with whether the other side has something else there."""

ROOM: Final = 120
_LONGEST: Final = 20_000
_SHARED: Final = 0.4
_WORK: Final = 20_000
_WORDS = re.compile(r"[\w.+-]+|\s+|.", re.DOTALL)


def plain(text: str, room: int = ROOM) -> Marked:
    """Return a text of which nothing is marked, cut to ``room``."""
    return ((excerpt.cut(text, room), False),) if text else ()


def marked(old: str, new: str, room: int = ROOM) -> tuple[Marked, Marked]:
    """Return both texts with the words marked that differ, each cut to about ``room`` around them.

    Words and numbers are marked whole: half a number says nothing. Where they share next to
    nothing, all is marked.

    Args:
        old: A text on one line.
        new: The other one.
        room: How many characters each may have.
    """
    if old == new:
        return plain(old, room), plain(new, room)
    old, new = old[:_LONGEST], new[:_LONGEST]
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    start = _alike(before, after)
    tail = _alike(before[start:][::-1], after[start:][::-1])
    sides: tuple[list[tuple[str, bool]], list[tuple[str, bool]]] = ([], [])
    for side, words in zip(sides, (before, after), strict=True):
        side.append(("".join(words[:start]), False))
    _between(before[start : len(before) - tail], after[start : len(after) - tail], sides)
    for side, words in zip(sides, (before, after), strict=True):
        side.append(("".join(words[len(words) - tail :]), False))
    shared = sum(len(text) for text, differs in sides[0] if not differs)
    if shared < 2 or shared < _SHARED * min(len(old), len(new)):
        sides = ([(old, True)], [(new, True)])
    return tuple(_cut(sides[0], room)), tuple(_cut(sides[1], room))


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda two: two[0] == two[1], pairs))


def _between(
    old: list[str], new: list[str], sides: tuple[list[tuple[str, bool]], list[tuple[str, bool]]]
) -> None:
    """Add what lies between equal ends: the words that both have are no difference."""
    if len(old) * len(new) > _WORK:
        sides[0].append(("".join(old), True))
        sides[1].append(("".join(new), True))
        return
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        sides[0].append(("".join(old[i:i_end]), tag != "equal"))
        sides[1].append(("".join(new[j:j_end]), tag != "equal"))


def _cut(pieces: list[tuple[str, bool]], room: int) -> Iterator[tuple[str, bool]]:
    """The pieces from a little before the first marked one, as many as there is room for."""
    length = sum(len(text) for text, _ in pieces)
    started = False
    for text, differs in pieces:
        if not text:
            continue
        if room <= 0:
            yield "…", False
            return
        shown = text
        if not started and not differs and length > room and len(text) > room // 4:
            shown = f"…{text[1 - room // 4 :]}"
        started = True
        yield excerpt.cut(shown, room), differs
        room -= len(shown)
