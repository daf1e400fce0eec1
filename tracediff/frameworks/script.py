"""Named functions of the script itself, which nothing imports: ``python script.py``.

The lines of the script's own level are followed until all of them are defined, and no longer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import Any

from tracediff.frameworks.entries import make


def watch_main(entries: Sequence[str]) -> None:
    """Make jobs of functions of the main module as soon as they are defined."""
    if sys.gettrace() is None:  # a debugger, or what measures coverage, is left alone
        sys.settrace(_Following(entries).called)


class _Following:
    def __init__(self, entries: Sequence[str]) -> None:
        self._left = list(entries)

    def called(self, frame: FrameType, event: str, _: object) -> Any:
        is_main = frame.f_globals.get("__name__") == "__main__"
        return self.stepped if is_main and frame.f_code.co_name == "<module>" else None

    def stepped(self, frame: FrameType, event: str, _: object) -> Any:
        module = sys.modules.get("__main__")
        if not isinstance(module, ModuleType) or vars(module) is not frame.f_globals:
            return None
        self._left = [one for one in self._left if not make(one, module)]
        if self._left:
            return self.stepped
        sys.settrace(None)
        frame.f_trace = None
        return None
