"""What ``tracediff record`` sets in a command's environment, and what is done about it there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

START = Path(__file__).parent / "start"
ENTRY = "TRACEDIFF_ENTRY"


def environment(settings: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process that records, and those of all it starts.

    Args:
        settings: Settings by name, as texts.
        given: The variables that there are.
    """
    paths = [str(START), *filter(None, [given.get("PYTHONPATH")])]
    told = {f"TRACEDIFF_{name.upper()}": text for name, text in settings.items()}
    return {**given, **told, "PYTHONPATH": os.pathsep.join(paths)}


def start() -> None:
    """Set the hooks. Never raises: the program is to run as ever."""
    try:
        from tracediff.frameworks.entries import wait_for_entries
        from tracediff.frameworks.watching import watch

        watch()
        entries = [one.strip() for one in os.environ.get(ENTRY, "").split(",") if one.strip()]
        main = main_module(sys.argv, sys.orig_argv)
        if main is not None and any(one.partition(":")[0] == main for one in entries):
            from tracediff.frameworks.script import watch_main

            watch_main([one for one in entries if one.partition(":")[0] == main])
        wait_for_entries([one for one in entries if one.partition(":")[0] != main])
    except Exception as error:
        sys.stderr.write(f"tracediff records nothing here: {type(error).__name__}: {error}\n")


def main_module(argv: Sequence[str], whole: Sequence[str]) -> str | None:
    """The name that the program's main module has when it is imported; None where there is none."""
    if argv[:1] == ["-m"]:
        after = list(whole)[list(whole).index("-m") + 1 :] if "-m" in whole else []
        return after[0] if after else None
    name = Path(argv[0]).name if argv and argv[0] not in ("", "-c") else ""
    return name.removesuffix(".py") if name.endswith(".py") else None
