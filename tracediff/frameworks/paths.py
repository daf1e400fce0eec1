"""Keys of requests by method and path, for applications of which no routes are known."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tracediff.frameworks import naming

_PLACE = re.compile(r"\\\{(\w+)(:path)?\\\}")
_METHODS = frozenset("CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE".split())


class Keys:
    """Finds the key of a request, and what its path captures.

    Args:
        given: Keys by method and path, ``"GET /orders/{id}"``; ``{id}`` is a part of the path,
            ``{rest:path}`` any number of them, and ``*`` any method. They come before those of the
            setting ``keys``; the first that fits counts.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._all: list[tuple[str, re.Pattern[str], str]] | None = None

    def find(self, method: str, path: str) -> tuple[str | None, dict[str, str]]:
        """The key, None where no entry fits, and the parts of the path by name."""
        if self._all is None:
            config = naming.settings()
            told = {**self._given, **(config.keys if config is not None else {})}
            self._all = [_entry(name, key) for name, key in told.items() if " /" in name]
        for wanted, pattern, key in self._all:
            found = pattern.fullmatch(path) if wanted in (method, "*") else None
            if found is not None:
                return key, found.groupdict()
        return None, {}


def unmatched(unit: str, method: str) -> str:
    """The key of a request that no entry fits: the application's and the method."""
    known = method if method in _METHODS else "OTHER"
    return f"{naming.key_of(unit.replace(':', '.').removesuffix('()'))}/{known}"


def _entry(name: str, key: str) -> tuple[str, re.Pattern[str], str]:
    method, _, path = name.partition(" ")
    text = _PLACE.sub(
        lambda found: rf"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})", re.escape(path)
    )
    return method.upper(), re.compile(text), key
