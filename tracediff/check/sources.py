"""The texts of source files that comparisons ask for: the same few, over and over."""

from __future__ import annotations

import threading
from typing import Final

from tracediff.compare.code import Load

MOST_CHARACTERS: Final = 32 << 20


class Sources:
    """Reads each file once. Thread-safe.

    Args:
        find: Finds it, as ``codefiles.source_reader`` does.
    """

    def __init__(self, find: Load) -> None:
        self._find = find
        self._known: dict[tuple[str, str], str | None] = {}
        self._size = 0
        self._lock = threading.Lock()

    def read(self, path: str, blob: str) -> str | None:
        """The text of a file, by path and git blob id; None when it is not to be had."""
        with self._lock:
            if (path, blob) not in self._known:
                text = self._find(path, blob)
                if self._size > MOST_CHARACTERS:
                    self._known.clear()
                    self._size = 0
                self._known[path, blob] = text
                self._size += len(text or "")
            return self._known[path, blob]
