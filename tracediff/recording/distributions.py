"""Which installed distributions a process has loaded, read from the files that pip left behind.

``importlib.metadata`` says the same in ten times the time: it parses each metadata file as a mail
and makes a path object of each installed file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType

_HEAD = 4096
_installed: dict[tuple[str, ...], list[tuple[str, str, frozenset[str]]]] = {}


def distributions() -> Mapping[str, str]:
    """The versions of the distributions that loaded modules belong to, by name."""
    loaded = {name.partition(".")[0] for name in list(sys.modules)}
    places = tuple(sys.path)
    if places not in _installed:
        _installed.clear()
        _installed[places] = sorted(installed(places))
    return MappingProxyType(
        {name: version for name, version, tops in _installed[places] if not tops.isdisjoint(loaded)}
    )


def installed(places: tuple[str, ...]) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Name, version and top-level modules of each distribution; the first on the path counts."""
    seen: set[str] = set()
    for place in places:
        try:
            entries = sorted(os.listdir(place or "."))
        except OSError:
            continue
        for entry in entries:
            if not entry.endswith((".dist-info", ".egg-info")):
                continue
            folder = os.path.join(place, entry)
            head = _text(os.path.join(folder, "METADATA"), _HEAD) or _text(
                os.path.join(folder, "PKG-INFO"), _HEAD
            )
            name, version = _field(head, "Name: "), _field(head, "Version: ")
            if name and version and name.lower() not in seen:
                seen.add(name.lower())
                yield name, version, _tops(folder)


def _tops(folder: str) -> frozenset[str]:
    listed = _text(os.path.join(folder, "top_level.txt"))
    if listed:
        return frozenset(line.strip() for line in listed.splitlines())
    record = _text(os.path.join(folder, "RECORD"))
    # One line a file: "package/module.py,sha256=…,120"; a module on its own ends at its first dot.
    first = {line.lstrip('"').partition(",")[0].partition("/")[0] for line in record.splitlines()}
    return frozenset(one.partition(".")[0] for one in first if not one.endswith("-info"))


def _field(head: str, field: str) -> str:
    return next((line[len(field) :] for line in head.splitlines() if line.startswith(field)), "")


def _text(path: str, limit: int = -1) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(limit).strip()
    except OSError:
        return ""
