"""From a key to the answer: traces, replays, reasons, and what to paste. I/O at this edge."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from tracediff.config import Config
from tracediff.errors import StoreError
from tracediff.explain.recorded import Source
from tracediff.model import Query, Row, Trace
from tracediff.replayability.examining import Progress, examine
from tracediff.replayability.proving import proved
from tracediff.replayability.reasons import Judged, judge
from tracediff.replayability.remedies import Project, merged, toml
from tracediff.replayability.sources import Sources
from tracediff.replayable import Reason, Replayability
from tracediff.stores.base import Store
from tracediff.stores.walking import loaded, replayable_rows

LAST = 20
"""How many traces are looked at."""


def diagnose(
    key: str,
    config: Config,
    store: Store,
    load: Source,
    *,
    last: int = LAST,
    progress: Progress | None = None,
) -> Replayability:
    """Say which of the last traces of a key replay exactly, why others do not, and what mends it.

    Args:
        key: A job's key or the first parts of one.
        config: The project's settings.
        store: Where the traces are.
        load: Finds recorded sources.
        last: How many traces, the newest.
        progress: Called with what is being done, how many are done and of how many.

    Raises:
        StoreError: ``nothing-selected``, or the store cannot be read.
        ReplayError: No process can be started.
    """
    begun = time.monotonic()
    say = progress or (lambda what, done, of: None)
    rows = list(islice(replayable_rows(store, Query(key=key)), last))
    if not rows:
        raise StoreError(
            f"no trace has a key that begins with {key!r}",
            slug="nothing-selected",
            hint="`tracediff ls` shows the keys that there are",
        )
    traces, hurt = _loaded(store, rows)
    examined = examine(traces, config, load, say)
    sources = Sources(config.root)
    project = Project(config=config, locate=sources.locate, line=sources.line,
                      directory_of=sources.directory_of)  # fmt: skip
    judged = [judge(one, project) for one in examined]
    reasons = proved(_grouped(judged), examined, project, say)
    return _answer(key, config, judged, [*reasons, *hurt], time.monotonic() - begun)


def _loaded(store: Store, rows: Sequence[Row]) -> tuple[list[Trace], list[Reason]]:
    traces, hurt = [], []
    for row in rows:
        found = loaded(store, row)
        if isinstance(found, Trace):
            traces.append(found)
        else:
            hurt.append(Reason(kind=found.slug, said=found.message, traces=(row.id,), mends=1))
    return traces, hurt


def _answer(
    key: str, config: Config, judged: Sequence[Judged], reasons: Sequence[Reason], seconds: float
) -> Replayability:
    fatal = [one for one in reasons if one.fatal]
    others = [one for one in reasons if not one.fatal]
    inexact = dict.fromkeys(name for one in fatal for name in one.traces)
    order = list(dict.fromkeys((*(one.id for one in judged), *inexact)))
    wanted = [
        remedy
        for one in (*fatal, *others)
        for remedy in one.remedies[:1]
        if remedy.settings and not remedy.done
    ]
    return Replayability(
        key=key,
        checked=len(order),
        exact=tuple(name for name in order if name not in inexact),
        inexact=tuple(name for name in order if name in inexact),
        reasons=(*fatal, *others),
        settings=tuple(toml(merged(wanted, config))),
        steps=sum(one.steps for one in judged),
        reproduced=sum(one.reproduced for one in judged),
        seconds=seconds,
    )


def _grouped(judged: Iterable[Judged]) -> list[Reason]:
    """The same reason of several traces as one; those whose remedy mends most first."""
    found: dict[tuple[object, ...], list[Reason]] = {}
    alone: dict[str, int] = {}
    for one in judged:
        kinds = {_identity(reason) for reason in one.reasons if reason.fatal}
        alone[one.id] = len(kinds)
        for reason in one.reasons:
            found.setdefault((reason.fatal, *_identity(reason)), []).append(reason)
    joined = [_joined(same, alone) for same in found.values()]
    return sorted(
        joined, key=lambda one: (not one.fatal, -len(one.traces), -one.mends, -one.steps, one.kind)
    )


def _identity(reason: Reason) -> tuple[object, ...]:
    """By its remedy: one setting mends all places, a decorator those of its function."""
    first = reason.remedies[0] if reason.remedies else None
    if first is not None and first.settings and reason.kind != "behind":
        return reason.kind, tuple(sorted(map(str, first.settings.items())))
    unit = reason.places[0].unit if reason.places else ""
    return reason.kind, unit, first.lines if first is not None else (), reason.said


def _joined(same: Sequence[Reason], alone: dict[str, int]) -> Reason:
    traces = tuple(dict.fromkeys(name for one in same for name in one.traces))
    steps = {name: max(one.steps for one in same if name in one.traces) for name in traces}
    first = same[0]
    return replace(
        first,
        traces=traces,
        steps=sum(steps.values()),
        mends=sum(alone[name] == 1 for name in traces) if first.fatal else 0,
        subjects=tuple(dict.fromkeys(name for one in same for name in one.subjects)),
        places=tuple(dict.fromkeys(place for one in same for place in one.places)),
        proof=next((one.proof for one in same if one.proof), ""),
    )
