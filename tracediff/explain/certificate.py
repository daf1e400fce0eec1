"""The fidelity certificate: the recorded code, run again, gives the recorded trace.

What does not reproduce depends on something that was not recorded. Only what is left differs
because of a change (DESIGN: "Fidelity certificate").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tracediff.compare import compare
from tracediff.config import Config
from tracediff.errors import TracediffError
from tracediff.explain.locks import changed_locks
from tracediff.explain.recorded import (
    RecordedCode,
    Source,
    laid_out_again,
    recorded_code,
    recorded_commit,
    some,
)
from tracediff.explained import Certificate
from tracediff.model import Comparison, Tolerance, Trace
from tracediff.recording.codeversion import blob_id
from tracediff.replay import Replayed, environment_at, replay
from tracediff.replay.libraries import told
from tracediff.reports.paths import names

__all__ = ["Certificate", "Source", "certify", "recorded_code", "recorded_commit", "run_again"]

_OWN_FILES = ("redaction.key",)
"""What tracediff itself reads of the project's store."""


def certify(
    trace: Trace,
    config: Config,
    *,
    load: Source | None = None,
    tolerances: Sequence[Tolerance] = (),
) -> Certificate:
    """Replay the recorded code and compare it with the recording.

    Never raises for what cannot be certified: the certificate's remarks say it.

    Args:
        trace: The recording.
        config: The project's settings as they are now.
        load: Finds the recorded files, for a trace of a work tree with changes.
        tolerances: What counts as reproduced.
    """
    total = sum(step.kind not in ("note", "artifact") for step in trace.steps)
    commit = trace.code.commit
    try:
        with laid_out_again(trace, config, load) as then:
            commit = then.commit or commit
            done = _replayed(trace, config, then)
            remarks = [*then.remarks, *_surroundings(trace, done.trace)]
            remarks += _beside(trace, config, then, done)
    except TracediffError as error:
        said = f"the recorded code cannot be run: {error.message}"
        return Certificate(
            commit=commit, certified=False, reproduced=0, total=total, remarks=(said,)
        )
    comparison = compare(trace, done.trace, tolerances=tolerances)
    everything, own = differing(comparison)
    left = then.laid.ignored.left if then.laid is not None else 0
    if everything and left:
        remarks += [f"{left} files that git ignores were too many or too large to lay beside it"]
    return Certificate(
        commit=commit,
        certified=True,
        reproduced=total - len(everything),
        total=total,
        unreproduced=tuple(names(trace.steps, index) for index in everything),
        unrecorded=tuple(names(trace.steps, index) for index in own),
        remarks=tuple(remarks),
        replayed=done.trace,
    )


def run_again(
    trace: Trace, config: Config, *, load: Source | None = None, deep: bool = False
) -> Trace | None:
    """Replay the recorded code once more; None where it cannot be run."""
    try:
        with laid_out_again(trace, config, load) as then:
            return _replayed(trace, config, then, deep=deep).trace
    except TracediffError:  # the certificate says why
        return None


def _replayed(trace: Trace, config: Config, then: RecordedCode, *, deep: bool = False) -> Replayed:
    """Run the recorded code, with the libraries that it was recorded with."""
    place = environment_at(config, then.commit or trace.code.commit)
    return replay(
        trace,
        then.config,
        timeout=config.replay_timeout,
        python=config.python,
        environment={**place, **told(config.recorded_libraries)},
        deep=deep,
    )


def _beside(trace: Trace, config: Config, then: RecordedCode, done: Replayed) -> Iterator[str]:
    """What came from the work tree as it is now, and what it asks for otherwise."""
    strayed = [one for one in done.strayed if one.rpartition("/")[2] not in _OWN_FILES]
    if strayed:
        yield f"read from the work tree as it is now: {some(strayed)}"
    if then.laid is None:
        return
    laid, above = then.laid, config.root.relative_to(then.laid.tree)
    loaded = {(above / name).as_posix(): blob for name, blob in trace.code.files.items()}
    opened = {*done.opened, *((above / name).as_posix() for name in done.trace.code.files)}
    used = [
        name
        for name in sorted(laid.ignored.names & opened)
        if name not in loaded or blob_id((laid.directory / name).read_bytes()) != loaded[name]
    ]
    if used:
        yield f"ignored by git, and as they are now: {some(used)}"
    places: dict[Path, Path] = {laid.directory: laid.tree, then.config.root: config.root}
    for old, new in places.items():
        yield from changed_locks(old, new)


def failing(trace: Trace, replayed: Trace) -> str | None:
    """How the recorded code ends here where it did not when it was recorded; None if it does not.

    Then nothing that follows it tells anything of a change: no difference is noise.
    """
    if replayed.replay is not None:
        missed = [one.name for one in replayed.replay.misses if one.served == "failed"]
        if missed:
            return (
                f"it asks for {some(list(dict.fromkeys(missed)))}, of which there is no recording"
            )
    error = replayed.steps[0].error
    if error is None or trace.steps[0].error is not None:
        return None
    return f"{error.type.rpartition(':')[2]}: {error.message}"


def differing(comparison: Comparison) -> tuple[list[int], list[int]]:
    """The recorded steps that were not reproduced, and those that differ by themselves."""
    steps = comparison.old.steps
    everything: set[int] = set()
    own: set[int] = set()
    for one in comparison.divergences:
        if one.within or one.label == "clock" or one.old is None:
            continue
        if steps[one.old].kind in ("note", "artifact"):
            continue
        if not one.aspects and one.kind != "removed":
            continue
        everything.add(one.old)
        if one.label in ("origin", "hidden input", "unproven") and "result" in one.aspects:
            own.add(one.old)
    gone = {old for old, new in comparison.pairs if old is not None and new is None}
    everything |= {at for at in gone if steps[at].kind not in ("note", "artifact")}
    # What an input does by itself is not done in a replay: its answer is as recorded.
    answered = {at for at in gone if _is_answered(comparison.old, at)}
    everything -= answered
    own -= answered
    parents = {_above for at in own for _above in _ancestors(comparison.old, at)}
    return sorted(everything), sorted(own - parents)


def _is_answered(trace: Trace, index: int) -> bool:
    above = (trace.steps[at].kind for at in _ancestors(trace, index))
    return any(kind in ("input", "output") for kind in above)


def _ancestors(trace: Trace, index: int) -> Iterator[int]:
    index = trace.steps[index].parent
    while index >= 0:
        yield index
        index = trace.steps[index].parent


def _surroundings(old: Trace, new: Trace) -> Iterator[str]:
    """What ran otherwise than it was recorded, for all that was put back."""
    files = new.code.files
    other = [name for name, blob in old.code.files.items() if files.get(name, blob) != blob]
    if other:
        yield f"not the files that were recorded: {some(other)}"
    away = sorted(_outside(new) - _outside(old))
    if away:
        yield f"loaded from another place than the project: {some(away)}"
    before, now = old.code.distributions, new.code.distributions
    moved = [
        f"{name} {before[name]} -> {now[name]}"
        for name in sorted(before.keys() & now.keys())  # those that were loaded on both sides
        if before[name] != now[name]
    ]
    if moved:
        yield f"other versions of distributions: {some(moved)}"
    if old.code.python != new.code.python:
        yield f"Python {new.code.python}, recorded with {old.code.python}"


def _outside(trace: Trace) -> set[str]:
    """The files of its steps that are not the project's: their names are whole paths."""
    sources = (step.source for step in trace.steps)
    return {
        one.file for one in sources if one is not None and PurePosixPath(one.file).is_absolute()
    }
