"""What waits for a process's writer: jobs that ended, parts of live ones, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracediff.model import Part, Trace

if TYPE_CHECKING:
    from tracediff.recording.live import Live

SPAN_BYTES = 300
"""What a span holds besides the values that were counted when they were captured."""

BATCH = 256


@dataclass(frozen=True, slots=True)
class Losses:
    """Traces of this process that are lost, and what is wrong now.

    ``dropped`` found no room in memory, or were still there at the end; ``failed`` could not be
    encoded or were refused for what they are.
    """

    dropped: int = 0
    failed: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A live trace whose job wants to be forgotten: what was saved of it is taken back."""

    id: str


Made = Trace | Part | Ignored


class Finished:
    """A finished job that waits to be turned into a trace: ``build`` gives it, on the thread.

    Args:
        build: Gives the trace, or the last part; None when there is nothing to be saved.
        size: About how many bytes it holds.
        live: The live trace that it is of.
    """

    __slots__ = ("build", "live", "size")
    ends = True

    def __init__(
        self, build: Callable[[], Made | None], size: int, live: Live | None = None
    ) -> None:
        self.build = build
        self.size = size
        self.live = live


class Bump(Finished):
    """A live trace that wants its next part written while its job runs."""

    __slots__ = ()
    ends = False

    def __init__(self, live: Live) -> None:
        super().__init__(self._built, 0, live)

    def _built(self) -> Part | Ignored | None:
        part, self.size = self.live.part() if self.live is not None else (None, 0)
        return part


Entry = tuple[Any, Finished]
"""What was built, and of what."""


class Ready:
    """What was built and waits to be saved: whole traces, parts, then what is taken back."""

    def __init__(self) -> None:
        self._kinds: dict[type, deque[Entry]] = {Trace: deque(), Part: deque(), Ignored: deque()}

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def add(self, made: Made, finished: Finished) -> None:
        """Take in what was built."""
        self._kinds[type(made)].append((made, finished))

    def batch(self) -> list[Entry]:
        """The first of those of one kind, all that are saved in one call; empty when none are."""
        return next((list(kind)[:BATCH] for kind in self._kinds.values() if kind), [])

    def done(self, batch: list[Entry]) -> None:
        """Let go of the first ones, which are those of a batch."""
        for made, _ in batch:
            self._kinds[type(made)].popleft()

    def replace(self, made: Made) -> None:
        """Put something in the place of the first one of its kind."""
        kind = self._kinds[type(made)]
        kind[0] = (made, kind[0][1])
