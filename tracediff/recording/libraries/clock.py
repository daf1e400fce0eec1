"""``time``: accepted, and nothing to do: a replay's clock ticks from the recorded start.

``time.time`` cannot be wrapped: time-machine, and whoever else moves the clock, takes what stands
there for the C function and ends the process. A time that must be exact is ``tracediff.now()``.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracediff.config import Config
from tracediff.recording.libraries.patching import Patch


def patches(config: Config) -> Iterable[Patch]:
    """What records the library: nothing."""
    return ()
