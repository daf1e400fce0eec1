"""Writes HTML and XML in which every text is escaped, since nothing else can be put in.

A text becomes markup only by ``element``, ``joined`` or the name ``Markup`` in the source; so a
page cannot forget to escape one. What comes out is plain ASCII, whatever is in it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Final

from tracediff.reports.clean import clean

_NONCHARACTERS: Final = re.compile("[\ufdd0-\ufdef]|[\ufffe\uffff]")
_EMPTY: Final = frozenset({"meta", "path", "rect", "br"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()

    def __html__(self) -> str:
        """The same: templates take it as it is."""
        return str(self)


def escaped(text: str) -> Markup:
    """Return a text as markup, on one line, with what no page can hold made visible."""
    safe = html.escape(_NONCHARACTERS.sub("\ufffd", clean(text)))
    safe = safe.replace("##[", "##&#91;")  # GitHub Actions would take that for a command in a log
    return Markup(safe.encode("ascii", "xmlcharrefreplace").decode())


def element(
    name: str, attributes: Mapping[str, str | float] | None, *children: str | Iterable[str]
) -> Markup:
    """Return an element.

    Args:
        name: Its name.
        attributes: Their names are the source's own, their values any texts.
        children: Markup, texts to escape, or several of them.
    """
    given = "".join(f' {one}="{escaped(str(value))}"' for one, value in (attributes or {}).items())
    if name in _EMPTY:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*parts: str | Iterable[str]) -> Markup:
    """Return several pieces of markup and texts as one."""
    found: list[str] = []
    for part in parts:
        pieces = (part,) if isinstance(part, str) else part
        found.extend(one if isinstance(one, Markup) else escaped(one) for one in pieces)
    return Markup("".join(found))


def lines(texts: Iterable[str]) -> Markup:
    """Return texts as lines below each other, for an element that keeps them."""
    return Markup("\n".join(escaped(one) for one in texts))
