"""Which definition got another name, where its body changed too. Pure.

Its callers tell, which mention it in the very places of the old one; and it is still much like
that, else it is another definition that the callers were changed to, and the change is theirs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

_QUOTED = re.compile(r"'([^'\\]*)'")
_WORD = re.compile(r"\w+")
_ALIKE = 0.75
"""How much of two forms is the same where one came of the other."""


def called_alike(
    forms: Iterable[tuple[str, str]], gone: Mapping[str, str], come: Mapping[str, str]
) -> dict[str, str]:
    """The new names of definitions that are mentioned in the very places of one that is gone.

    Args:
        forms: The old and the new form of what is on both sides.
        gone: The kinds of what only the old side defines, by its name.
        come: Those of what only the new side defines.

    Returns:
        New names by old ones, one to one; none of those about which callers disagree.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for before, after in forms:
        if before == after or _QUOTED.sub("''", before) != _QUOTED.sub("''", after):
            continue
        for here, there in zip(_QUOTED.findall(before), _QUOTED.findall(after), strict=True):
            if here in gone or there in come:
                found[here].add(there)
    left: dict[str, set[str]] = defaultdict(set)
    for here, names in found.items():
        for there in names:
            left[there].add(here)
    return {
        here: there
        for here, (there, *others) in ((one, sorted(names)) for one, names in found.items())
        if not others and len(left[there]) == 1 and here in gone and gone[here] == come.get(there)
    }


def alike(before: str, after: str) -> bool:
    """Whether one form can have come of the other."""
    here: list[str] = _WORD.findall(before)
    there: list[str] = _WORD.findall(after)
    return SequenceMatcher(None, here, there, autojunk=False).ratio() >= _ALIKE
