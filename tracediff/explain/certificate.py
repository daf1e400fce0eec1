"""The fidelity certificate: the recorded code, run again, gives the recorded trace.

What does not reproduce depends on something that was not recorded. Only what is left differs
because of a change (DESIGN: "Fidelity certificate").
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from tracediff.compare import compare
from tracediff.config import Config, load_config
from tracediff.errors import ReplayError
from tracediff.explained import Certificate
from tracediff.model import Comparison, Tolerance, Trace
from tracediff.replay import checked_out, environment_at, replay

__all__ = ["Certificate", "Source", "certify", "recorded_code", "recorded_commit"]

Source = Callable[[str, str], str | None]
"""Gives the text of a source file by path and git blob id, or None; ``codefiles.source_reader``."""

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_MAX_NAMED = 5


def recorded_commit(trace: Trace) -> str:
    """The commit a trace was recorded on.

    Raises:
        ReplayError: ``recorded-code-unknown``.
    """
    commit = trace.code.commit
    if commit is None or not _COMMIT.fullmatch(commit):
        raise ReplayError(
            f"the trace {trace.id} does not say on which commit it was recorded",
            slug="recorded-code-unknown",
            hint="record in a git work tree, or set TRACEDIFF_CODE_VERSION to the commit's id",
        )
    return commit


@contextlib.contextmanager
def recorded_code(
    trace: Trace, config: Config, load: Source | None = None
) -> Iterator[tuple[Config, str | None, tuple[str, ...]]]:
    """The project with the code that a trace ran: its commit, its own files laid over it.

    Gives the settings, the commit (None where there is none) and what is not as it was.

    Raises:
        ReplayError: Neither the commit nor the files are there.
    """
    remarks: list[str] = []
    with contextlib.ExitStack() as entered:
        commit: str | None = None
        problem: ReplayError | None = None
        then: Config | None = None
        try:
            commit = recorded_commit(trace)
            then, commit = entered.enter_context(checked_out(config, commit))
        except ReplayError as error:
            problem = error
            remarks.append(error.message)
        files = _files(trace, load)
        missing = [name for name, text in files.items() if text is None]
        if then is None:
            if problem is not None and (missing or not files):
                raise problem
            root = Path(entered.enter_context(tempfile.TemporaryDirectory(prefix="tracediff-")))
            if config.file is not None:
                shutil.copy(config.file, root / config.file.name)
            _lay_over(root, files)
            then = load_config(root)
            remarks.append("the files that were recorded stand in for the commit")
        elif trace.code.dirty is not False:
            _lay_over(then.root, files)
            if missing:
                what = "the work tree had changes" if trace.code.dirty else "it may have"
                remarks.append(f"{what} that are not kept: {_some(missing)}")
            elif trace.code.dirty:
                remarks.append("the work tree had changes, which are laid over the commit")
        yield then, commit, tuple(remarks)


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
        with recorded_code(trace, config, load) as (then, found, remarks):
            commit = found or commit
            new = replay(
                trace,
                then,
                timeout=config.replay_timeout,
                python=config.python,
                environment=environment_at(config, commit),
            ).trace
    except ReplayError as error:
        said = f"the recorded code cannot be run: {error.message}"
        return Certificate(
            commit=commit, certified=False, reproduced=0, total=total, remarks=(said,)
        )
    comparison = compare(trace, new, tolerances=tolerances)
    everything, own = _differing(comparison)
    return Certificate(
        commit=commit,
        certified=True,
        reproduced=total - len(everything),
        total=total,
        unreproduced=tuple(_path(trace, index) for index in everything),
        unrecorded=tuple(_path(trace, index) for index in own),
        remarks=(*remarks, *_surroundings(trace, new)),
        replayed=new,
    )


def _files(trace: Trace, load: Source | None) -> dict[str, str | None]:
    if load is None:
        return dict.fromkeys(trace.code.files)
    return {name: load(name, blob) for name, blob in trace.code.files.items()}


def _lay_over(root: Path, files: dict[str, str | None]) -> None:
    """Write what is there; a trace's path never leads out of the directory."""
    for name, text in files.items():
        relative = PurePosixPath(name)
        if text is None or relative.is_absolute() or ".." in relative.parts:
            continue
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if (
            root.resolve() in path.parent.resolve().parents
            or path.parent.resolve() == root.resolve()
        ):
            path.unlink(missing_ok=True)  # never through a link
            path.write_text(text, encoding="utf-8", newline="")


def _differing(comparison: Comparison) -> tuple[list[int], list[int]]:
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
    parents = {_above for at in own for _above in _ancestors(comparison.old, at)}
    return sorted(everything), sorted(own - parents)


def _ancestors(trace: Trace, index: int) -> Iterator[int]:
    index = trace.steps[index].parent
    while index >= 0:
        yield index
        index = trace.steps[index].parent


def _path(trace: Trace, index: int) -> tuple[str, ...]:
    names = []
    while index > 0:
        names.append(trace.steps[index].name)
        index = trace.steps[index].parent
    return tuple(reversed(names))


def _surroundings(old: Trace, new: Trace) -> Iterator[str]:
    """What ran otherwise than it was recorded, for all that was put back."""
    files = new.code.files
    other = [name for name, blob in old.code.files.items() if files.get(name, blob) != blob]
    if other:
        yield f"not the files that were recorded: {_some(other)}"
    away = sorted(_outside(new) - _outside(old))
    if away:
        yield f"loaded from another place than the project: {_some(away)}"
    before, now = old.code.distributions, new.code.distributions
    moved = [
        f"{name} {before[name]} -> {now[name]}"
        for name in sorted(before.keys() & now.keys())  # those that were loaded on both sides
        if before[name] != now[name]
    ]
    if moved:
        yield f"other versions of distributions: {_some(moved)}"
    if old.code.python != new.code.python:
        yield f"Python {new.code.python}, recorded with {old.code.python}"


def _outside(trace: Trace) -> set[str]:
    """The files of its steps that are not the project's: their names are whole paths."""
    sources = (step.source for step in trace.steps)
    return {
        one.file for one in sources if one is not None and PurePosixPath(one.file).is_absolute()
    }


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
