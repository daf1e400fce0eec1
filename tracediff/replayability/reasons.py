"""From the evidence of one trace to the reasons why it does not replay exactly. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tracediff.explain.lines import first_difference
from tracediff.model import Source
from tracediff.replayability import recordings, refusals
from tracediff.replayability.difference import Difference, difference, first_function
from tracediff.replayability.evidence import Examined, Reading
from tracediff.replayability.remedies import (
    Project,
    as_input,
    covering,
    exact_clock,
    outside_cache,
    place_of,
    sorted_sets,
    with_input,
)
from tracediff.replayability.suspects import SILENT, Trials, is_strong, suspects, trials
from tracediff.replayable import Place, Reason, Remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One trace: its steps, those that a replay reproduces, and why not the others."""

    id: str
    steps: int
    reproduced: int
    reasons: tuple[Reason, ...]


def judge(one: Examined, project: Project) -> Judged:
    """Say of a trace whether it replays exactly, and why not."""
    trace, rules = one.trace, project.config.tolerances
    total = sum(step.kind not in ("note", "artifact") for step in trace.steps)
    found, exact = None, False
    if one.first.trace is not None:
        found = difference(trace, one.first.trace, rules)
        again = one.second.trace
        exact = found.exact and again is not None and difference(trace, again, rules).exact
    missed = total if found is None else len(found.steps)
    if exact:
        reasons = [*_silent(one, project), *recordings.cautions(trace)]
    else:
        reasons = list(_why(one, found, project))
    ids = (trace.id,)
    told = tuple(replace(reason, traces=ids, steps=reason.steps or missed) for reason in reasons)
    return Judged(id=trace.id, steps=total, reproduced=total - missed, reasons=told)


def _why(one: Examined, found: Difference | None, project: Project) -> Iterator[Reason]:
    reasons = list(refusals.of_errors(one, project))
    if one.missing:
        reasons.append(recordings.code_missing(one))
    if found is not None and not reasons:
        reasons += refusals.of_misses(one, project)
    if found is not None and not reasons:
        reasons += _differing(one, found, project)
    if found is not None and not reasons:
        reasons += recordings.cuts(one.trace)
        reasons += recordings.surroundings(one, project.config)
    yield from reasons or [_unknown(one, found, project)]
    if any(reason.kind in STOPPING for reason in reasons):
        yield from _behind(one, reasons, project)


STOPPING = frozenset({"network", "program", "driver", "database", "file", "variable"})
"""Reasons for which a replay stops, and shows nothing of what comes behind."""


def _behind(one: Examined, reasons: Sequence[Reason], project: Project) -> Iterator[Reason]:
    """Libraries that functions of the project use, and that the replay did not come to."""
    told = {str(name) for reason in reasons for remedy in reason.remedies
            for name in _added(remedy)}  # fmt: skip
    places = {place.unit for reason in reasons for place in reason.places}
    for reading in one.watched.readings if one.watched is not None else ():
        library = covering(reading)
        unit = reading.place.unit if reading.place is not None else ""
        if reading.kind != "client" or unit in places or _is_input(reading, project):
            continue
        if library is not None and (library in told or library in project.config.inputs):
            continue
        yield Reason(
            kind="behind",
            said=f"{unit.rpartition(':')[2]} uses {reading.what}",
            remedies=tuple(_remedies(reading, one, project)),
            places=(reading.place,) if reading.place is not None else (),
            fatal=False,
        )


def _is_input(reading: Reading, project: Project) -> bool:
    found = project.locate(reading.place) if reading.place is not None else None
    return found is not None and any(".input" in one for one in found.decorators)


def _added(remedy: Remedy) -> tuple[object, ...]:
    value = remedy.settings.get("inputs", ())
    return value if isinstance(value, tuple) else ()


def _differing(one: Examined, found: Difference, project: Project) -> Iterator[Reason]:
    """Reasons why something else came out though nothing was refused or missed."""
    tried = trials(one, project.config.tolerances)
    shown = found.example() or _example_of_second(one, project)
    if tried.by_hash:
        yield _by_hash(one, project, shown)
    chosen = suspects(one, found, tried)
    if tried.by_hash and found.exact:
        return  # under one order it is as recorded: there is no other reason
    for reading in chosen:
        yield _of_reading(reading, one, tried, project, shown)
    if tried.varies and not tried.by_hash and not chosen:
        yield _varying(one, project, shown)


def _example_of_second(one: Examined, project: Project) -> str:
    if one.second.trace is None:
        return ""
    return difference(one.trace, one.second.trace, project.config.tolerances).example()


_SAID = {
    "driver": "asks a server through a driver",
    "database": "reads a database",
    "file": "reads a file",
    "directory": "lists a directory",
    "variable": "reads a variable of the environment",
    "random": "draws numbers",
    "numpy": "draws numbers with numpy",
    "uuid": "makes an id",
    "secrets": "takes chance from the system",
    "unseeded": "draws from a generator without a seed",
    "clock": "reads the clock, which only begins as recorded",
    "host": "asks for something of this machine or process",
    "status": "asks whether a file is there",
    "global": "keeps something between jobs, which another job changed",
    "cache": "keeps results between jobs in a cache",
    "network": "reaches the network",
    "program": "starts a program",
    "file written": "writes a file, in a replay too",
}


def _of_reading(
    reading: Reading, one: Examined, tried: Trials, project: Project, example: str
) -> Reason:
    proof = ""
    if reading.kind in ("random", "numpy") and tried.by_seed:
        proof = "with another seed the result is another one"
    elif reading.kind in ("global", "cache") and tried.kept:
        proof = "replayed a second time in the same process it gives another result"
        if tried.mended:
            proof = "replayed a second time in the same process it is as recorded"
    elif reading.kind in ("uuid", "secrets", "unseeded", "clock") and tried.varies:
        proof = "two replays of it differ from each other"
    said = _SAID.get(reading.kind, "reads something")
    library = covering(reading)
    if reading.kind == "driver" and library is not None:
        said = f"asks a server through {library}"
    return Reason(
        kind=reading.kind.replace(" ", "-"),
        said=said,
        subjects=(reading.what,) if reading.what else (),
        remedies=tuple(_remedies(reading, one, project)),
        places=(reading.place,) if reading.place is not None else (),
        example=example,
        proof=proof,
    )


def _remedies(reading: Reading, one: Examined, project: Project) -> Iterator[Remedy]:
    job = one.trace.job
    place = reading.place
    library = covering(reading)
    if reading.kind == "clock":
        yield exact_clock(place)
        return
    if reading.kind == "cache":
        yield outside_cache(place, reading.what, project.locate)
        return
    if reading.kind == "global":
        remedy = as_input(place, reading.what, job, project.locate)
        held = f"what {reading.what} holds is recorded then; or hand it to the job"
        yield replace(remedy, said=f"{remedy.said}: {held}")
        return
    if library is not None and library not in one.inputs:
        yield with_input(library, project.config)
        return
    yield as_input(place, reading.what.rpartition("/")[2], job, project.locate)
    if reading.kind == "random":
        yield seeded(one)


def seeded(one: Examined) -> Remedy:
    """A seed for all that a job draws, which costs nothing to record."""
    return Remedy(
        change="decorator",
        said="seed the job, which records no number",
        place=place_of(one.trace.steps[0].source),
        lines=(f'@td.job("{one.trace.key}", seed=True)',),
    )


def _by_hash(one: Examined, project: Project, example: str) -> Reason:
    place, proof = _parting(one, project), "with another PYTHONHASHSEED it gives another result"
    return Reason(
        kind="hash-order",
        said="depends on the order in which a set is walked",
        remedies=(sorted_sets(place),),
        places=(place,) if place is not None else (),
        example=example,
        proof=proof,
    )


def _varying(one: Examined, project: Project, example: str) -> Reason:
    place = _parting(one, project)
    return Reason(
        kind="not-deterministic",
        said="gives another result each time, for no reason that could be seen",
        remedies=(
            Remedy(
                change="code",
                said="look at this line: what it calls differs each time, as the order in which "
                "threads end or the address of an object; read it in an input",
                place=place,
            ),
        ),
        places=(place,) if place is not None else (),
        example=example,
        proof="two replays of it differ from each other",
    )


def _parting(one: Examined, project: Project) -> Place | None:
    """The line at which two replays begin to differ, as far as it could be followed."""
    source = _first_apart(one)
    if source is None:
        return None
    line = source.line
    if one.followed is not None:
        assigned = [seen.assigned for seen in one.followed]
        change = first_difference(*assigned, old_source=source, new_source=source)
        if change is not None and change.new_source is not None:
            line = change.new_source.line
    text = project.line(source.file, line)
    return Place(source.file, line, source.unit, source.line, text)


def _first_apart(one: Examined) -> Source | None:
    if one.deep is None or one.deep[0].trace is None or one.deep[1].trace is None:
        return None
    return first_function(difference(one.deep[0].trace, one.deep[1].trace))


def _silent(one: Examined, project: Project) -> Iterator[Reason]:
    """What an exact replay read all the same: here it is as it was, elsewhere it may not be."""
    known: set[tuple[str, str]] = set()
    for reading in one.first.readings:
        if reading.kind != "file written" and not (reading.kind in SILENT and is_strong(reading)):
            continue
        key = (reading.kind, reading.what)
        if key not in known:
            known.add(key)
            found = _of_reading(reading, one, Trials(), project, "")
            yield replace(found, fatal=False)


def _unknown(one: Examined, found: Difference | None, project: Project) -> Reason:
    step = None
    if found is not None and found.own:
        step = one.trace.steps[found.own[0]]
    place = place_of((step or one.trace.steps[0]).source)
    remedies: Sequence[Remedy] = (as_input(place, step.name if step else "it", one.trace.job,
                                           project.locate),)  # fmt: skip
    if one.trace.depth == "inputs":
        rule = f'[tool.tracediff.job."{one.trace.key}"]'
        said = "record its steps, so that the next one can say which of them differs"
        remedies = [Remedy(change="setting", said=said, lines=(rule, 'depth = "steps"'))]
    return Reason(
        kind="unknown-input",
        said="differs for no reason that could be seen: it reads something that nothing notices, "
        "in a library of C code perhaps, or data that another job changed",
        remedies=tuple(remedies),
        places=(place,) if place is not None else (),
        example=found.example() if found is not None else "",
    )
