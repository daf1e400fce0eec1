"""Why traces changed, over many of them: each is explained, and the shares of a cause are added up.

Attribution is linear: what a cause has of the sum is the sum of what it has of each trace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tracediff.check.tallying import Sum, without_places
from tracediff.checked import Reason
from tracediff.config import Config
from tracediff.errors import TracediffError
from tracediff.explain.attribution import attribute
from tracediff.explain.certificate import Source, recorded_code
from tracediff.explain.telling import field_name
from tracediff.explained import Attribution, Cause
from tracediff.model import Trace


@dataclass(slots=True)
class _Added:
    cause: Cause
    count: int = 0
    sums: dict[str, Sum] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reasons:
    """The reasons by size, how many traces they come of, and why others have none."""

    reasons: tuple[Reason, ...]
    explained: int
    remarks: tuple[str, ...]


def reasons_of(
    traces: Iterable[Trace],
    config: Config,
    load: Source,
    progress: Callable[[int], None],
) -> Reasons:
    """Explain traces, one after the other.

    Args:
        traces: Recordings that changed.
        config: The project's settings.
        load: Finds recorded sources.
        progress: Called with how many are done.
    """
    added: dict[tuple[str, ...], _Added] = {}
    refused: dict[str, int] = {}
    explained = 0
    with contextlib.ExitStack() as entered:
        laid_out = _LaidOut(config, load, entered)
        for done, trace in enumerate(traces, 1):
            found = _attributed(trace, laid_out)
            if found.refused is None:
                explained += 1
                _add(added, found)
            else:
                refused[found.refused] = refused.get(found.refused, 0) + 1
            progress(done)
    reasons = sorted((_reason(names, one) for names, one in added.items()), key=_by_size)
    said = [f"{count} could not be explained: {why}" for why, count in refused.items()]
    return Reasons(tuple(reasons), explained, tuple(said[:3]))


def _attributed(trace: Trace, laid_out: _LaidOut) -> Attribution:
    try:
        return attribute(trace, laid_out.at(trace), laid_out.config, details=False)
    except TracediffError as error:
        return Attribution(refused=error.message)


class _LaidOut:
    """The recorded code of each commit, laid out once."""

    def __init__(self, config: Config, load: Source, entered: contextlib.ExitStack) -> None:
        self.config, self._load, self._entered = config, load, entered
        self._known: dict[object, Config] = {}

    def at(self, trace: Trace) -> Config:
        """The settings of the code that a trace ran."""
        code = trace.code
        key = (code.commit, tuple(sorted(code.files.items())))
        if key not in self._known:
            found = self._entered.enter_context(recorded_code(trace, self.config, self._load))
            self._known[key] = found[0]
        return self._known[key]


def _add(added: dict[tuple[str, ...], _Added], found: Attribution) -> None:
    for at, cause in enumerate(found.causes):
        names = tuple(unit.name for unit in cause.units)
        one = added.setdefault(names, _Added(cause))
        one.count += 1
        for effect in found.effects:
            if effect.kind == "number" and effect.shares[at]:
                name = without_places(field_name(effect.path))
                one.sums.setdefault(name, Sum()).add(effect.shares[at])


def _reason(names: tuple[str, ...], one: _Added) -> Reason:
    line = one.cause.line
    return Reason(
        names=names,
        kind=one.cause.units[0].kind,
        place=f"{line.file}:{line.line}" if line is not None else "",
        count=one.count,
        totals=tuple(total.total(name) for name, total in sorted(one.sums.items())),
    )


def _by_size(one: Reason) -> tuple[int, tuple[str, ...]]:
    return -one.count, one.names
