"""From a choice of what is new to the run of it, and what came of each run.

*Atoms* are what can be chosen: units of code, data files, answers of inputs, the job's arguments.
A mixture is a number whose bit ``i`` says that atom ``i`` is the new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tracediff.explain.hybridimport import Project
from tracediff.explain.hybrids import Answer, Hybrids, Task
from tracediff.explained import Unit
from tracediff.model import Trace
from tracediff.replay.watching import Watch

MixInputs = Callable[[frozenset[str], bool], Trace]
"""Gives the recording with the answers of these inputs, and the arguments if so, of the new one."""

_MOST_COPIED = 20_000


@dataclass(frozen=True, slots=True)
class Atom:
    """Something that can be chosen; ``number`` is that of a unit of code.

    ``library`` is the distribution of a dependency.
    """

    unit: Unit
    number: int | None = None
    library: str = ""


class Mixing:
    """Runs mixtures and keeps what came of them.

    Args:
        hybrids: The worker.
        atoms: What can be chosen, each a bit.
        rest: The units of code that are new in every mixture.
        bases: Makes directories of data files.
        loaded: The files that the job loads or opens, relative to the project's directory.
        limit: Seconds a mixture may take.
        memory: Bytes of address space it may have; 0 for no limit.
        mix: See ``MixInputs``.
        anew: Whether each mixture imports even what is the same in all.
    """

    def __init__(  # noqa: PLR0913 - what one attribution has decided on
        self,
        hybrids: Hybrids,
        atoms: Sequence[Atom],
        *,
        rest: int,
        bases: Bases,
        loaded: Iterable[str],
        limit: float,
        memory: int,
        mix: MixInputs | None = None,
        anew: bool = False,
    ) -> None:
        self.atoms = atoms
        self._anew = anew
        self._hybrids = hybrids
        self.rest, self._limit, self._memory = rest, limit, memory
        self._bases, self._loaded = bases, sorted(set(loaded))
        self._mix = mix
        self._traces: dict[tuple[frozenset[str], bool], int] = {}
        self.known: dict[int, Answer] = {}
        self._spent = 0.0

    @property
    def everything(self) -> int:
        """The mixture that is all new."""
        return (1 << len(self.atoms)) - 1

    @property
    def count(self) -> int:
        """How many mixtures were run, each counted once."""
        return len(self.known)

    @property
    def seconds(self) -> float:
        """What a mixture has taken so far, on average."""
        return self._spent / max(self.count, 1)

    @property
    def places(self) -> dict[int, int]:
        """Which atom each unit of code is."""
        return {one.number: at for at, one in enumerate(self.atoms) if one.number is not None}

    def relative(self, file: str) -> str:
        """A file's path in the project, whichever side it is on; elsewhere its whole path."""
        for root in (self._hybrids.project.old, self._hybrids.project.new):
            if Path(file).is_relative_to(root):
                return Path(file).relative_to(root).as_posix()
        return file

    def without_places(self, text: str) -> str:
        """A text in which the project's files are named by their path in it."""
        project = self._hybrids.project
        for root in (project.old, project.new, *self._bases.places()):
            text = text.replace(f"{root}{os.sep}", "")
        return text

    def run(self, mixtures: Iterable[int], progress: Callable[[int, int], None]) -> None:
        """Run what has not been run yet."""
        missing = [one for one in dict.fromkeys(mixtures) if one not in self.known]
        tasks = [self.task(one) for one in missing]
        begun = perf_counter()
        for done, (number, answer) in enumerate(self._hybrids.run(tasks) if tasks else (), 1):
            self.known[missing[number]] = answer
            progress(done, len(missing))
        self._spent += perf_counter() - begun

    def __getitem__(self, mixture: int) -> Answer:
        if mixture not in self.known:
            self.run([mixture], lambda done, of: None)
        return self.known[mixture]

    def in_detail(
        self, mixtures: Sequence[int], *, deep: bool, watches: Mapping[int, Watch] | None = None
    ) -> list[Answer]:
        """Run mixtures with their steps or, where a call is to be watched, with its variables."""
        tasks = []
        for at, mixture in enumerate(mixtures):
            watch = (watches or {}).get(at)
            tasks.append(self.task(mixture, steps=watch is None, deep=deep, watch=watch))
        answers: list[Answer | None] = [None] * len(tasks)
        for number, answer in self._hybrids.run(tasks) if tasks else ():
            answers[number] = answer
        return [one for one in answers if one is not None]

    def task(
        self, mixture: int, *, steps: bool = False, deep: bool = False, watch: Watch | None = None
    ) -> Task:
        """What the worker is asked to run."""
        choice = self.rest
        data, inputs, arguments = set(), set(), False
        libraries = {one.unit.name: one.library for one in self.atoms if one.library}
        for at, atom in enumerate(self.atoms):
            if not mixture >> at & 1:
                continue
            libraries.pop(atom.unit.name, None)
            if atom.number is not None:
                choice |= 1 << atom.number
            elif atom.unit.kind == "data file":
                data.add(atom.unit.name)
            elif atom.unit.kind == "arguments":
                arguments = True
            elif atom.unit.kind == "input":
                inputs.add(atom.unit.name)
        return Task(
            choice=choice,
            trace=self._trace(frozenset(inputs), arguments),
            base=self._base(frozenset(data)),
            libraries=tuple(libraries.values()),
            limit=self._limit,
            memory=self._memory,
            steps=steps,
            deep=deep,
            anew=self._anew,
            watch=watch,
        )

    def _trace(self, inputs: frozenset[str], arguments: bool) -> int:
        if self._mix is None:
            return 0
        if (inputs, arguments) not in self._traces:
            mixed = self._mix(inputs, arguments)
            self._traces[inputs, arguments] = self._hybrids.serve(mixed)
        return self._traces[inputs, arguments]

    def _base(self, chosen: frozenset[str]) -> Path | None:
        """A directory with the files the job reads, some as they were and some as they are."""
        differing = [one.unit.name for one in self.atoms if one.unit.kind == "data file"]
        return self._bases.at(differing, chosen, self._loaded) if differing else None


class Bases:
    """Directories with the files that a job reads, some as they were and some as they are.

    Args:
        project: The two sides.
        scratch: Where they are made.
    """

    def __init__(self, project: Project, scratch: Path) -> None:
        self._project, self._scratch = project, scratch
        self._made: dict[tuple[tuple[str, ...], frozenset[str]], Path] = {}

    def at(self, differing: Sequence[str], chosen: frozenset[str], loaded: Sequence[str]) -> Path:
        """The one in which these of the files that differ are the new ones.

        Args:
            differing: All that differ.
            chosen: Those of them that are new.
            loaded: The files that the job loads or opens.
        """
        key = (*differing, "", *loaded), chosen
        if key not in self._made:
            base = self._scratch / f"files{len(self._made)}"
            project = self._project
            for name in _beside(project.new, project.old, [*loaded, *differing]):
                if name not in differing:
                    _copy(project.path(name), base / name)
            for name in differing:
                root = project.new if name in chosen else project.old
                _copy(root / name, base / name)
            self._made[key] = base
        return self._made[key]

    def places(self) -> Iterator[Path]:
        """All that were made."""
        yield from self._made.values()


def _beside(new: Path, old: Path, loaded: Sequence[str]) -> Iterator[str]:
    """All files in the directories of these files."""
    found: dict[str, None] = {"pyproject.toml": None}
    for directory in sorted({str(Path(one).parent) for one in loaded}):
        for root in (new, old):
            if not (root / directory).is_dir():
                continue
            for entry in os.scandir(root / directory):
                if entry.is_file() and len(found) < _MOST_COPIED:
                    found[entry.name if directory == "." else f"{directory}/{entry.name}"] = None
    yield from found


def _copy(source: Path, target: Path) -> None:
    """The file in another place, where a job that writes to it does no harm."""
    if source.is_file() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
