"""Reasons why a replay stopped: it said so itself. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from tracediff import values
from tracediff.errors import ReplayError
from tracediff.model import Miss, Trace
from tracediff.replayability.difference import unkept
from tracediff.replayability.evidence import Examined, Reading
from tracediff.replayability.noticing import BY_LIBRARY
from tracediff.replayability.remedies import (
    Project,
    as_input,
    covering,
    outside_cache,
    place_of,
    propagated,
    registered,
    setting,
    with_input,
)
from tracediff.replayable import Place, Reason, Remedy

_NEEDED = re.compile(r"the trace needs ([\w.]+):?([\w.<>]*)")
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")


def of_errors(one: Examined, project: Project) -> Iterator[Reason]:
    """Why there is no replay at all."""
    error = one.first.error or one.second.error
    if error is None:
        return
    told = _ERRORS.get(error.slug)
    if told is not None:
        yield told(error, one, project)
        return
    yield Reason(
        kind=error.slug,
        said=error.message,
        remedies=(Remedy(change="code", said=error.hint),) if error.hint else (),
    )


def of_misses(one: Examined, project: Project) -> Iterator[Reason]:
    """Why calls had no recorded answer, or what was answered could not be used."""
    seen = one.watched or one.first
    trace = seen.trace or one.first.trace
    for reading in _refused(seen.readings):
        yield _refusal(reading, one, project)
    if trace is None or trace.replay is None:
        return
    aborts = [reading for reading in seen.readings if reading.kind == "abort"]
    known: set[tuple[str, str]] = set()
    for miss in trace.replay.misses:
        key = (miss.name, miss.hint or "")
        if key in known:
            continue
        known.add(key)
        if miss.kind == "output":
            yield _in_thread(miss, one, aborts)
        else:
            yield _of_miss(miss, one, aborts, project)


def _refused(readings: tuple[Reading, ...]) -> Iterator[Reading]:
    known: set[object] = set()
    for reading in readings:
        key = (reading.kind, reading.place, reading.modules)
        if reading.kind in ("network", "program") and key not in known:
            known.add(key)
            yield reading


def _refusal(reading: Reading, one: Examined, project: Project) -> Reason:
    remedies: list[Remedy] = []
    library = covering(reading)
    if library is not None and library not in one.inputs:
        remedies.append(with_input(library, project.config))
    else:
        name = reading.modules[0].partition(".")[0] if reading.modules else "it"
        remedies.append(as_input(reading.place, name, one.trace.job, project.locate))
    what = reading.what.rpartition(" (")[0].removeprefix("the program ") or reading.what
    if reading.kind == "program":
        program = what.rpartition(" ")[2].strip("'").rpartition("/")[2]
        entry = (f"subprocess:{program}",)
        said = "let replays run it, where it only works something out"
        remedies.append(setting("replay_allow", entry, said, project.config))
    through = f" through {reading.modules[0].partition('.')[0]}" if reading.modules else ""
    said = "reaches the network" if reading.kind == "network" else "starts a program"
    return Reason(
        kind=reading.kind,
        said=f"{said}{through}",
        subjects=(what,),
        remedies=tuple(remedies),
        places=(reading.place,) if reading.place is not None else (),
    )


def _of_miss(miss: Miss, one: Examined, aborts: list[Reading], project: Project) -> Reason:
    hint = miss.hint or ""
    if hint.startswith("no exact recording of"):
        return _not_kept(miss, one, aborts, project)
    if "tracediff.propagate" in hint or "while its module is imported" in hint:
        return _in_thread(miss, one, aborts)
    needed = _NEEDED.search(hint)
    if needed is not None:
        return _class(ReplayError(hint, slug="class-not-allowed"), one, project)
    abort = _abort_of(miss, aborts)
    place = abort.place if abort is not None else None
    by_setting = abort is not None and BY_LIBRARY in abort.modules
    if by_setting or abort is None or _is_asked_otherwise(miss, one):
        return _newer(miss, one, place)
    # The code that was recorded has this input, and the recording asked it nothing.
    name = abort.more or "a cache"
    if place is not None and place.unit.rpartition(":")[2] == abort.more:
        remedy = outside_cache(place, name, project.locate)
    else:
        remedy = as_input(place, name, one.trace.job, project.locate)
        said = f"{remedy.said}: outside of {name}, it is recorded however full that is"
        remedy = replace(remedy, said=said)
    return _cached(miss, name, remedy, place)


def _is_asked_otherwise(miss: Miss, one: Examined) -> bool:
    """Whether the recording has calls of this input, with other arguments."""
    same = [step for step in one.trace.steps if step.kind == "input" and step.name == miss.name]
    return bool(same) and all(step.args != miss.args for step in same)


def _abort_of(miss: Miss, aborts: list[Reading]) -> Reading | None:
    named = [one for one in aborts if repr(miss.name) in one.what]
    return next(iter(named or aborts), None)


def _cached(miss: Miss, name: str, remedy: Remedy, place: Place | None) -> Reason:
    return Reason(
        kind="cache",
        said=f"asked the input {miss.name!r} less often when it was recorded: {name} still held "
        "what an earlier job had put there",
        subjects=(name,),
        remedies=(remedy,),
        places=(place,) if place is not None else (),
    )


def _newer(miss: Miss, one: Examined, place: Place | None) -> Reason:
    recorded = any(step.kind == "input" and step.name == miss.name for step in one.trace.steps)
    if recorded:
        said = f"asks the input {miss.name!r} for something else than it did when it was recorded"
        mend = "what differs before it decides: mend the other reasons first"
    else:
        said = f"was recorded before {miss.name!r} was an input"
        mend = "nothing to write: traces recorded from now on carry it"
    return Reason(
        kind="asks-otherwise" if recorded else "recorded-before",
        said=said,
        subjects=(miss.name,),
        remedies=(Remedy(change="recording", said=mend, done=not recorded),),
        places=(place,) if place is not None else (),
    )


def _in_thread(miss: Miss, one: Examined, aborts: list[Reading]) -> Reason:
    handed = [it for it in (one.watched or one.first).readings if it.kind == "thread"]
    abort = _abort_of(miss, aborts)
    unit = abort.place.unit if abort is not None and abort.place is not None else ""
    started = next((it for it in handed if it.more and unit.endswith(it.more)), None)
    started = started or (handed[0] if handed else None)
    place = started.place if started is not None else (abort.place if abort else None)
    function = started.more if started is not None else ""
    return Reason(
        kind="thread",
        said=f"reaches the {miss.kind} {miss.name!r} in a thread that the trace does not reach",
        subjects=(miss.name,),
        remedies=(propagated(place, function, started.what if started else "submit"),),
        places=(place,) if place is not None else (),
    )


def _not_kept(miss: Miss, one: Examined, aborts: list[Reading], project: Project) -> Reason:
    """A value that has no exact form, or is a secret, was used."""
    nodes = list(unkept(one.trace, miss.name))
    hint = miss.hint or ""
    node = next((it for it in nodes if _short_type(it.type) in hint), nodes[0] if nodes else None)
    where = "the job's arguments" if miss.name == one.trace.steps[0].name else f"{miss.name!r}"
    used = next((it.place for it in aborts if it.place is not None), None)
    if isinstance(node, values.Redacted):
        remedy = as_input(used, "secret", one.trace.job, project.locate)
        said = f"{remedy.said}: it reads the secret itself, so that none crosses into the job"
        return Reason(
            kind="sealed-secret",
            said=f"uses a secret of {where}, which was sealed when it was recorded",
            subjects=(miss.name,),
            remedies=(replace(remedy, said=said),),
            places=(used,) if used is not None else (),
        )
    kind = node.type if node is not None else "builtins:object"
    source = next((it.source for it in one.trace.steps if it.name == miss.name), None)
    place = place_of(source)
    return Reason(
        kind="opaque-argument" if where == "the job's arguments" else "opaque-result",
        said=f"uses a {_short_type(kind)} of {where}, which has no exact form",
        subjects=(kind.replace(":", "."),),
        remedies=(registered(kind),),
        places=(place,) if place is not None else (),
    )


def _short_type(name: str) -> str:
    return name.removeprefix("builtins:").replace(":", ".")


# Errors, by their slugs.


def _not_allowed(error: ReplayError, one: Examined, project: Project) -> Reason:
    module = one.trace.job.partition(":")[0]
    if module == "__main__":
        remedy = Remedy(change="code", said="move it into a module that `jobs` names")
    else:
        said = "if it is yours, allow it; nothing was run to try, since a trace names the module"
        remedy = setting("jobs", (module,), said, project.config)
    return Reason(
        kind="job-not-allowed",
        said="is of a module that may not be replayed",
        subjects=(one.trace.job,),
        remedies=(remedy,),
    )


def _unknown(error: ReplayError, one: Examined, project: Project) -> Reason:
    job = one.trace.job
    said = "if it is a function without a mark that was named in the settings, name it again"
    renamed = Remedy(change="code", said=error.hint or "give the job its recorded key again")
    return Reason(
        kind="job-unknown",
        said="is of a job that no module of `jobs` defines any more: renamed, moved or removed",
        subjects=(one.trace.key, job),
        remedies=(renamed, setting("entry", (job,), said, project.config)),
    )


def _class(error: ReplayError, one: Examined, project: Project) -> Reason:
    found = _NEEDED.search(error.message)
    module, name = (found[1], found[2]) if found is not None else ("", "")
    if "may not be rebuilt" in error.message:
        remedy = setting("jobs", (module,), "if it is yours, allow its module", project.config)
        kind, said = "class-not-allowed", "holds an object whose class may not be rebuilt"
    else:
        missing = _NO_MODULE.search(error.message)
        kind, said = "class-missing", "holds an object whose class is not there any more"
        remedy = (
            _missing_module(missing[1], one.trace, project)
            if missing is not None
            else Remedy(change="recording", said=error.hint or "record it again")
        )
    return Reason(kind=kind, said=said, subjects=(f"{module}.{name}",), remedies=(remedy,))


def _importing(error: ReplayError, one: Examined, project: Project) -> Reason:
    missing = _NO_MODULE.search(error.message)
    if missing is not None:
        remedy = _missing_module(missing[1], one.trace, project)
    elif "DJANGO_SETTINGS_MODULE" in error.message or "ImproperlyConfigured" in error.message:
        remedy = Remedy(
            change="command",
            said="name the settings where tracediff runs",
            lines=("export DJANGO_SETTINGS_MODULE=…",),
        )
    else:
        remedy = Remedy(change="code", said=error.hint or "mend what the import raises")
    return Reason(
        kind="job-not-importable",
        said="is of a module that cannot be imported here",
        subjects=(error.message,),
        remedies=(remedy,),
    )


def _missing_module(module: str, trace: Trace, project: Project) -> Remedy:
    top = module.partition(".")[0]
    known = {name.lower().replace("-", "_"): name for name in trace.code.distributions}
    name = known.get(top.lower())
    if name is not None:
        version = trace.code.distributions[name]
        return Remedy(
            change="command", said="install it, as it was when it was recorded",
            lines=(f"pip install {name}=={version}",),
        )  # fmt: skip
    found = project.directory_of(top)
    if found is not None:
        return setting("pythonpath", (found,), f"{found} holds {top}", project.config)
    return Remedy(
        change="command",
        said=f"install what {top} is of, or name its directory: pythonpath in [tool.tracediff]",
        lines=(f"pip install {top}",),
    )


def _factory(error: ReplayError, one: Examined, project: Project) -> Reason:
    owner = one.trace.job.partition(":")[2].rpartition(".")[0]
    place = place_of(one.trace.steps[0].source)
    return Reason(
        kind="job-needs-factory",
        said="is a method, and nothing says how to make its object",
        subjects=(one.trace.job,),
        remedies=(
            Remedy(
                change="decorator",
                said=f"name a function that makes a {owner}",
                place=place,
                lines=(f'@td.job("{one.trace.key}", factory=lambda: {owner}(…))',),
            ),
        ),
        places=(place,) if place is not None else (),
    )


def _late(error: ReplayError, one: Examined, project: Project) -> Reason:
    patient = one.patient
    recorded = one.trace.duration / 1e9
    if patient is not None and patient.trace is not None:
        took = patient.trace.duration / 1e9
        proof = f"given longer, it took {took:,.1f} s"
        limit = max(1, math.ceil(2 * took))
        remedy = setting("replay_timeout", limit, "let a replay take longer", project.config)
    else:
        proof = f"given longer, it did not end either; it was recorded in {recorded:,.1f} s"
        remedy = Remedy(change="code", said="look for what waits: a lock, a thread, an event")
    return Reason(
        kind="replay-timeout",
        said="takes longer than a replay may",
        subjects=(error.message,),
        remedies=(remedy,),
        proof=proof,
    )


_ERRORS: dict[str, Callable[[ReplayError, Examined, Project], Reason]] = {
    "job-not-allowed": _not_allowed,
    "job-unknown": _unknown,
    "job-not-importable": _importing,
    "job-needs-factory": _factory,
    "class-not-allowed": _class,
    "class-missing": _class,
    "replay-timeout": _late,
}
