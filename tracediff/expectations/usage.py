"""Which pinned traces a test run used, and so which nobody uses any more.

A run knows of the traces it saw, used, and can judge: those of tests that all ran and passed. Runs
of shards are merged: what all saw and none used is unused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracediff.expectations.files import inside, read_document, unreadable, write_document

SCHEMA = "tracediff/usage/1"
NAME = "usage.json"


@dataclass(frozen=True, slots=True)
class Usage:
    """Files relative to the project's directory.

    ``seen`` are those whose tests were collected, ``judged`` those whose tests all ran and passed,
    ``used`` those that were compared with, ``stale`` those whose job is gone, with the reason.
    """

    seen: frozenset[str] = frozenset()
    judged: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    stale: tuple[tuple[str, str], ...] = ()

    def __or__(self, other: Usage) -> Usage:
        stale = dict(self.stale) | dict(other.stale)
        return Usage(
            self.seen | other.seen,
            self.judged | other.judged,
            self.used | other.used,
            tuple(sorted(stale.items())),
        )

    def unused(self, *, whole: bool = False) -> list[str]:
        """The files that nobody used; of all that were seen when this is the ``whole`` of runs."""
        return sorted((self.seen if whole else self.judged) - self.used)


def write_usage(path: Path, usage: Usage) -> None:
    """Write what a run used."""
    document = {
        "schema": SCHEMA,
        "seen": sorted(usage.seen),
        "judged": sorted(usage.judged),
        "used": sorted(usage.used),
        "stale": [list(one) for one in usage.stale],
    }
    write_document(path, document)


def read_usage(path: Path) -> Usage:
    """What a run used, from its file or the directory of its results.

    Raises:
        ExpectationError: ``expectation-unreadable``.
    """
    if path.is_dir():
        path /= NAME
    document = read_document(path, SCHEMA)
    lists = [document.get(name) for name in ("seen", "judged", "used")]
    stale = document.get("stale", [])
    if not all(_texts(one) for one in lists) or not isinstance(stale, list):
        raise unreadable(path, "it lists no files")
    if not all(_texts(one) and len(one) == 2 for one in stale):
        raise unreadable(path, "what is stale has no reason")
    seen, judged, used = (frozenset(one or ()) for one in lists)
    return Usage(seen, judged, used, tuple((file, why) for file, why in stale))


def _texts(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def merged(parts: Iterable[Usage]) -> Usage:
    """Several runs as one."""
    whole = Usage()
    for one in parts:
        whole |= one
    return whole


def still_there(root: Path, names: Sequence[str]) -> list[str]:
    """Those of some files that exist in the project."""
    return [name for name in names if inside(root, name).is_file()]
