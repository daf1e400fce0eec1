"""What was seen of a replay: pure values, and how they travel between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tracediff import codec
from tracediff.errors import ReplayError
from tracediff.model import Trace
from tracediff.replay.watching import Assigned
from tracediff.replayable import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Something a replayed job read for real, or that it did.

    ``modules`` are those of libraries between the project's code and the reading, the outermost
    first; ``step`` is the replay's step in which it was, -1 where nobody can tell. ``more`` depends
    on the kind: the name of a cache, of a function that was handed to a thread.
    """

    kind: str
    what: str
    step: int = -1
    place: Place | None = None
    modules: tuple[str, ...] = ()
    more: str = ""

    def packed(self) -> list[Any]:
        """As it travels."""
        place = self.place
        where = [place.file, place.line, place.unit, place.first, place.text] if place else None
        return [self.kind, self.what, self.step, where, list(self.modules), self.more]

    @classmethod
    def unpacked(cls, data: list[Any]) -> Reading:
        """The opposite of ``packed``."""
        kind, what, step, where, modules, more = data
        place = Place(*where) if where is not None else None
        return cls(kind=kind, what=what, step=step, place=place, modules=tuple(modules), more=more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a trace is replayed.

    ``watched`` notices what an audit hook does not see, and takes longer. ``deep`` makes steps of
    the functions of the job's own modules. ``twice`` replays it once more in the same process and
    tells of the second time. ``seed`` stands in for the recorded one. ``unit`` is the function
    whose variables are followed.
    """

    watched: bool = False
    deep: bool = False
    twice: bool = False
    seed: int | None = None
    unit: str | None = None
    timeout: float | None = None

    def packed(self) -> dict[str, Any]:
        """As it travels."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One replay: its trace, or why there is none, and what it read.

    ``seeded`` says that the job is recorded with a seed for ``random``; ``assigned`` are the
    variables of the function that was followed.
    """

    trace: Trace | None = None
    error: ReplayError | None = None
    readings: tuple[Reading, ...] = ()
    assigned: tuple[Assigned, ...] = ()
    seeded: bool = False

    @classmethod
    def unpacked(cls, data: Mapping[str, Any]) -> Seen:
        """An answer of the process that replays."""
        error = data.get("error")
        return cls(
            trace=codec.load(data["trace"]) if data.get("trace") else None,
            error=ReplayError(error[0], slug=error[1], hint=error[2]) if error else None,
            readings=tuple(map(Reading.unpacked, data.get("readings", ()))),
            assigned=tuple(Assigned(*one) for one in data.get("assigned", ())),
            seeded=bool(data.get("seeded")),
        )


Code = Literal["present", "recorded", "missing"]
"""Which code replayed a trace: today's, which is the recorded one; that laid out again; today's
for want of the recorded one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """All that is known of one trace: its replays under different circumstances.

    ``first`` and ``second`` differ in nothing but the order in which sets are walked; ``again`` is
    as ``first``. The others are as ``Asked`` says; None where that was not needed.
    """

    trace: Trace
    code: Code
    first: Seen
    second: Seen
    watched: Seen | None = None
    again: Seen | None = None
    reseeded: Seen | None = None
    twice: Seen | None = None
    patient: Seen | None = None
    deep: tuple[Seen, Seen] | None = None
    followed: tuple[Seen, Seen] | None = None
    missing: str = ""
    inputs: tuple[str, ...] = ()
