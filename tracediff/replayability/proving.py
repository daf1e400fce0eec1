"""Trying the remedies that can be tried without another recording.

With a library more in ``inputs`` the call is an input in the replay too, which asks the recording
for it. The recording does not have it; that it was asked shows that the setting catches the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracediff.model import Trace
from tracediff.replay.libraries import told
from tracediff.replayability.evidence import Asked, Examined, Seen
from tracediff.replayability.examining import Progress
from tracediff.replayability.remedies import Project, as_input
from tracediff.replayability.running import HASH_SEEDS, Place, Running, Wanted
from tracediff.replayable import Reason

CAUGHT = "tried: with it the replay asks the recording, which traces from then on can answer"
NOT_CAUGHT = "tried: with the library in `inputs` the call is made all the same"


def proved(
    reasons: Sequence[Reason], examined: Sequence[Examined], project: Project, progress: Progress
) -> list[Reason]:
    """The reasons, each with what came of trying its setting on one of its traces."""
    config = project.config
    known = {one.trace.id: one for one in examined}
    traces: dict[int, Trace] = {}
    libraries: dict[int, str] = {}
    for at, reason in enumerate(reasons):
        library = _library(reason)
        sample = next((known[it] for it in reason.traces if known[it].code == "present"), None)
        if library is not None and sample is not None:
            traces[at], libraries[at] = sample.trace, library
    if not traces:
        return list(reasons)
    more = replace(config, inputs=tuple(dict.fromkeys((*config.inputs, *libraries.values()))))
    place = Place(config=more, tree=config.root, environment=told(config.recorded_libraries))
    wanted = [Wanted(at, Asked(watched=True), HASH_SEEDS[0]) for at in traces]
    progress("trying the settings", 0, len(wanted))
    with Running(place, traces) as running:
        seen = {one.number: it for one, it in running.all(wanted, lambda: None).items()}
    progress("trying the settings", len(wanted), len(wanted))
    return [
        _with_proof(one, seen[at], traces[at], project) if at in seen else one
        for at, one in enumerate(reasons)
    ]


def _library(reason: Reason) -> str | None:
    """The library that the first remedy adds, and that is not there yet."""
    for remedy in reason.remedies[:1]:
        names = remedy.settings.get("inputs")
        if isinstance(names, tuple) and len(names) == 1 and not remedy.done:
            return str(names[0])
    return None


def _with_proof(reason: Reason, seen: Seen, trace: Trace, project: Project) -> Reason:
    units = {place.unit for place in reason.places}
    replay = seen.trace.replay if seen.trace is not None else None
    missed = replay is not None and any(one.kind in ("input", "output") for one in replay.misses)
    asked = [
        one
        for one in seen.readings
        if one.kind == "abort" and "input-not-recorded" in one.what
        and (one.place is None or one.place.unit in units)
    ]  # fmt: skip
    left = any(
        one.kind == reason.kind and one.place is not None and one.place.unit in units
        for one in seen.readings
    )
    if not (missed and asked) and not left:
        return reason  # another reason came before it
    remedy, *others = reason.remedies
    if missed and asked:
        return replace(reason, remedies=(replace(remedy, proof=CAUGHT), *others))
    place = reason.places[0] if reason.places else None
    what = reason.subjects[0] if reason.subjects else reason.kind
    instead = as_input(place, what, trace.job, project.locate)
    return replace(reason, remedies=(replace(instead, proof=NOT_CAUGHT), *others))
