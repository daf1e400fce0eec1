"""Long lists of lines in pieces: which lines each holds, and what is known of those not filled yet.

``templates/lines.html`` lays a list out, ``static/lines.js`` fills, folds and searches it. The
markup that they agree on is described there.
"""

from __future__ import annotations

import base64
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypedDict

from tracediff.reports.markup import Markup

SIZE: Final = 200
"""Lines of a piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is known of all lines of a list, filled or not.

    ``depths`` has one number a line: a line holds the lines below it that are deeper. ``labels``
    and ``folded`` and ``changes`` name lines by number, in order; a label is one word of letters
    and ``-``. ``changes`` are where "next" and "previous" lead.
    """

    depths: Sequence[int]
    labels: Mapping[str, Sequence[int]] = field(default_factory=dict)
    changes: Sequence[int] = ()
    folded: Sequence[int] = ()

    @property
    def total(self) -> int:
        """How many lines there are."""
        return len(self.depths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some lines that follow each other. ``body`` is their markup, None for those to be filled.

    ``source`` is the address that gives the body, ``island`` the id of the element that holds it in
    a file; ``plain`` the address of a page that shows this piece without any script.
    """

    first: int
    count: int
    depths: str
    labels: str = ""
    changes: str = ""
    folded: str = ""
    body: Markup | None = None
    source: str | None = None
    island: str | None = None
    plain: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A list of lines as ``templates/lines.html`` takes it.

    ``label`` says what it is a list of; ``find`` is the address that searches it, None for a file,
    whose script searches what the file holds.
    """

    label: str
    total: int
    pieces: tuple[Piece, ...]
    find: str | None = None


@dataclass(frozen=True, slots=True)
class Island:
    """The body of a piece that lies packed in a file."""

    id: str
    packed: str


def spans(total: int) -> Iterator[range]:
    """Yield the lines of each piece of a list."""
    for first in range(0, total, SIZE):
        yield range(first, min(first + SIZE, total))


def span_of(line: int, total: int) -> range:
    """Return the lines of the piece that holds a line."""
    first = min(max(line, 0), max(total - 1, 0)) // SIZE * SIZE
    return range(first, min(first + SIZE, total))


class Known(TypedDict):
    """What a piece says about its lines before they are there."""

    depths: str
    labels: str
    changes: str
    folded: str


def known(shape: Shape, span: range) -> Known:
    """Return what a piece says about its lines before they are there: fields of ``Piece``."""
    labels = {
        name: found for name, lines in shape.labels.items() if (found := _within(lines, span))
    }
    return {
        "depths": ",".join(map(str, shape.depths[span.start : span.stop])),
        "labels": " ".join(f"{name}:{lines.replace(' ', ',')}" for name, lines in labels.items()),
        "changes": _within(shape.changes, span),
        "folded": _within(shape.folded, span),
    }


def _within(lines: Sequence[int], span: range) -> str:
    """The lines of a piece; three and more that follow each other as ``7-12``."""
    some = lines[bisect_left(lines, span.start) : bisect_left(lines, span.stop)]
    said: list[str] = []
    at = 0
    while at < len(some):
        last = at
        while last + 1 < len(some) and some[last + 1] == some[last] + 1:
            last += 1
        if last - at > 1:
            said.append(f"{some[at]}-{some[last]}")
            at = last + 1
        else:
            said.append(str(some[at]))
            at += 1
    return " ".join(said)


def pack(id: str, body: str) -> Island:
    """Return a body packed for a file: zlib, then base 64, which no markup can end."""
    return Island(id, base64.b64encode(zlib.compress(body.encode())).decode())
