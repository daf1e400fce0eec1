"""Drawn cases in files, so that a run of the same seed needs not find them again."""

from __future__ import annotations

import pickle
import random
import shutil
from pathlib import Path

from benchmarks.explain_accuracy.planting import Case, Field, Fields, NoCaseError, draw
from benchmarks.explain_accuracy.running import lay
from benchmarks.explain_accuracy.sources import applied
from tracediff import tracefile


def recalled(number: int, seed: int, fields: Fields, directory: Path | None) -> Case:
    """The case of a number, from a file where it was drawn before.

    Raises:
        NoCaseError: There is none.
    """
    file = None if directory is None else directory / f"{seed}-{number}.case"
    if file is not None and file.exists():
        found = pickle.loads(file.read_bytes())
        if found is None:
            raise NoCaseError(f"case {number}: nothing was found")
        return _again(number, found, fields)
    try:
        case = draw(number, seed, fields)
    except NoCaseError:
        if file is not None:
            file.write_bytes(pickle.dumps(None))
        raise
    if file is not None:
        kept = (case.laid.calculator.name, case.job, case.guilty, case.innocent, case.truth)
        file.write_bytes(pickle.dumps(kept))
    return case


class _Chosen(random.Random):
    """Dice that show one side."""

    def __init__(self, side: int) -> None:
        super().__init__(0)
        self.side = side

    def randrange(self, *_: object) -> int:  # type: ignore[override]  # one use
        return self.side


def _again(number: int, found: tuple, fields: Fields) -> Case:
    name, job, guilty, innocent, truth = found
    field: Field = fields.get(name, _Chosen(job))
    new = field.run((*guilty, *innocent))
    alone = tuple(filter(None, (field.run([one]) for one in guilty)))
    if new is None or len(alone) != len(guilty):
        raise NoCaseError(f"case {number}: it was kept for other sources")
    sources = field.ground.sources
    return Case(
        number=number, laid=field.laid, job=job, guilty=guilty, innocent=innocent,
        sources=sources, changed=applied(sources, (*guilty, *innocent)), truth=truth,
        old=field.base, new=new, alone=alone,
    )  # fmt: skip


def lay_new(case: Case, directory: Path) -> Path:
    """Lay the new code of a case out in a directory that is made for it."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(case.laid.tree, directory)
    lay(case.changed, directory)
    for name, text in case.changed.items():
        folder = (directory / name).parent
        if text is None and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
    return directory


def keep(case: Case, directory: Path) -> Path:
    """Both trees and the trace of a case, to look at."""
    place = directory / f"case-{case.number}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(case.laid.tree, place / "old")
    lay_new(case, place / "new")
    trace = case.laid.traces[case.job]
    (place / "recorded.trace.json").write_text(tracefile.dumps(trace), encoding="utf-8")
    return place
