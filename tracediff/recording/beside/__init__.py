"""What other tools of the process and a trace tell each other: loggers, OpenTelemetry, Sentry.

Nothing of theirs is imported, unless a setting names it. What goes wrong never reaches the job.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tracediff.config import Config
from tracediff.errors import ConfigError

if TYPE_CHECKING:
    from tracediff.recording.libraries.patching import Applied, Patch


class _Process:
    """What is in place in this process."""

    asked: tuple[tuple[str, ...], str] = ((), "")
    applied: Applied | None = None
    lock = threading.Lock()


def install(config: Config) -> None:
    """Make notes of what the configured loggers say inside of jobs, and of no others.

    Raises:
        ConfigError: ``notes-not-installed``: a logger's library is missing.
    """
    asked = (tuple(sorted(set(config.notes))), config.notes_level)
    if asked == _Process.asked or not (asked[0] or _Process.asked[0]):
        return
    from tracediff.recording.libraries.patching import Applied  # most programs ask for none

    with _Process.lock:
        patches = [patch for name in asked[0] for patch in _patches(name, config.notes_level)]
        if _Process.applied is not None:
            _Process.applied.undo()
        _Process.applied = Applied(patches) if patches else None
        _Process.asked = asked


def _patches(name: str, level: str) -> list[Patch]:
    if name == "logging":
        from tracediff.recording.beside.logs import patches  # only where it is asked for
    else:
        try:
            from tracediff.recording.beside.structured import patches
        except ImportError as error:
            raise ConfigError(
                f"notes: {name!r} is not installed: {error}",
                slug="notes-not-installed",
                hint="install it, or take it out of the setting",
            ) from None
    return patches(level)
