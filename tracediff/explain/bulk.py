"""One worker for many recordings: what is known of the code that they ran, and the runs of it.

A chunk of recordings is run by both sides, each in one process; functions that can be chosen say
that they run. What is learned of modules, data files and libraries holds for all traces of a job:
a process that replays many of them loads a module, and reads a file that it keeps, only once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from tracediff.config import Config
from tracediff.explain import players as parts
from tracediff.explain.ends import RefusedError
from tracediff.explain.hybrids import Answer, Covered, Hybrids, Task
from tracediff.explain.mixing import Atom, Bases, Mixing
from tracediff.explain.signatures import bound
from tracediff.explain.slots import Pairing
from tracediff.explained import Unit

END_LIMIT = 600.0
"""Seconds that one of the two sides may take, where ``replay_timeout`` says nothing else."""
LEAST_LIMIT = 5.0
MOST_HUNG = 2
"""So many traces have to hang before a mixture is taken to hang for all."""
_ROOM = 2 << 30

Mark = tuple[str, str, int]
"""Side, file and first line of a function that ran."""


class WantedError(Exception):
    """Mixtures have to be run before it can go on."""

    def __init__(self, mixtures: list[int]) -> None:
        super().__init__(mixtures)
        self.mixtures = mixtures


class Shared(Mixing):
    """The mixtures of one of many traces: they are run elsewhere, and filled in."""

    def run(self, mixtures: Iterable[int], progress: object) -> None:
        """Raise ``WantedError`` for what has not been run yet."""
        missing = [one for one in dict.fromkeys(mixtures) if one not in self.known]
        if missing:
            raise WantedError(missing)


@dataclass(slots=True)
class Job:
    """What is known of one of the jobs: modules, libraries, files, and data that differs."""

    modules: dict[tuple[str, str], None] = field(default_factory=dict)
    libraries: dict[str, None] = field(default_factory=dict)
    opened: dict[str, None] = field(default_factory=dict)
    data: list[Unit] = field(default_factory=list)
    atoms: dict[frozenset[Mark], tuple[frozenset[int], list[Atom]]] = field(default_factory=dict)
    apart: bool = False

    def loaded(self) -> list[str]:
        """The files that it loads or opens."""
        return sorted({*self.opened, *(file for _, file in self.modules)})


class Bulk:
    """Runs code for many recordings.

    Args:
        hybrids: The worker.
        config: The project's settings.
        scratch: A directory for trees of data files.
    """

    def __init__(self, hybrids: Hybrids, config: Config, scratch: Path) -> None:
        self.hybrids, self.config = hybrids, config
        self.bases = Bases(hybrids.project, scratch)
        self.jobs: dict[str, Job] = defaultdict(Job)
        self.pairing: Pairing | None = None
        self.seconds, self.memory = 0.0, 0
        self._spent, self._runs = 0.0, 0
        self._planned: set[str] = set()
        self._settled: set[str] = set()
        self._hung: dict[Task, int] = {}
        self._bound: dict[tuple[tuple[int, int], ...], list[tuple[frozenset[int], str]]] = {}
        self.nothing = Covered(0.0, 0, (), (), frozenset(), ())

    @property
    def end_limit(self) -> float:
        """Seconds that a side may take."""
        return self.config.replay_timeout or END_LIMIT

    @property
    def limit(self) -> float:
        """Seconds that a mixture may take."""
        return max(LEAST_LIMIT, 20 * self.seconds)

    @property
    def mean(self) -> float:
        """Seconds that a replay takes, on average."""
        return self._spent / max(self._runs, 1)

    def meet(self, job: str, number: int) -> bool:
        """Run both sides of the first recording of a job; whether they ran."""
        libraries = tuple(one.name for one in self.hybrids.libraries)
        tasks = [
            Task(side="old", trace=number, limit=self.end_limit, coverage=True,
                 libraries=libraries),
            Task(side="new", trace=number, limit=self.end_limit, coverage=True),
        ]  # fmt: skip
        answers = dict(self.hybrids.run(tasks))
        found = [answers[at].covered for at in (0, 1)]
        covered = [one for one in found if one is not None]
        if len(covered) < len(tasks):
            return False
        self.hybrids.warm(sorted({name for one in covered for name in one.libraries}))
        self.memory = max(self.memory, *(one.memory for one in covered))
        self.learn(job, covered)
        both = {name for name, _ in covered[0].modules}
        self._settle([name for name, _ in covered[1].modules if name in both])
        return True

    def learn(self, job: str, found: Iterable[Covered]) -> bool:
        """Note what ran; whether that makes another plan, or other data, of it."""
        known = self.jobs[job]
        before = known.loaded()
        places = {str(PurePosixPath(one).parent) for one in before}
        for one in found:
            known.modules.update(dict.fromkeys(one.modules))
            known.libraries.update(dict.fromkeys(one.libraries))
            known.opened.update(dict.fromkeys(one.opened))
        known.atoms.clear()
        more = self._plan()
        if known.loaded() == before:
            return more
        project = self.hybrids.project
        files = [file for _, file in known.modules]
        opened = parts.read_files(project.old, project.new, known.opened, files)
        data = parts.data_files(project.old, project.new, opened)
        if data != known.data:
            known.data, more = data, True
        elif data and not {str(PurePosixPath(one).parent) for one in known.loaded()} <= places:
            more = True
        return more

    def _plan(self) -> bool:
        """Lay the sources of all modules against each other, if there are new ones."""
        files = {file for job in self.jobs.values() for _, file in job.modules}
        if files <= self._planned and self.pairing is not None:
            return False
        project = self.hybrids.project
        new = files - self._planned
        self._planned |= files
        if self.pairing is not None and not any(
            _differs(project.old, project.new, one) for one in new
        ):
            return False
        try:
            self.pairing = self.hybrids.plan(sorted(self._planned), strict=False)
        except (SyntaxError, ValueError) as error:
            raise RefusedError(f"a source file cannot be read: {error}") from None
        for job in self.jobs.values():
            job.atoms.clear()
        self._hung.clear()
        self._bound.clear()
        return True

    def _settle(self, names: Sequence[str]) -> None:
        """Have imported what no mixture changes, unless a file that it may read is one's own."""
        if self.pairing is None or any(job.data for job in self.jobs.values()):
            return
        new = [one for one in names if one not in self._settled]
        if new:
            self._settled.update(new)
            self.hybrids.settle(new, list(self.pairing.modules))

    def marked(self, job: str, *, new: bool) -> Task:
        """All code old, or all new, which says what runs."""
        known = self.jobs[job]
        every = (1 << len(self.pairing.units)) - 1 if self.pairing is not None else 0
        names = [one.name for one in known.data]
        base = None
        if names:
            base = self.bases.at(names, frozenset(names if new else ()), known.loaded())
        libraries = () if new else tuple(one.name for one in self.hybrids.libraries)
        return Task(
            choice=every if new else 0, base=base, libraries=libraries, limit=self.end_limit,
            anew=bool(names), marked=True,
        )  # fmt: skip

    def choice(self, job: str, choose: Callable[[Sequence[Unit]], frozenset[Unit]]) -> Task:
        """The code in which only what is chosen of all that differs is new.

        Args:
            job: The job that it is for.
            choose: Says which units are new.
        """
        known = self.jobs[job]
        units = self.pairing.units if self.pairing is not None else []
        others = [Unit(kind="dependency", name=str(one)) for one in self.hybrids.libraries]
        chosen = choose([*units, *known.data, *others])
        names = [one.name for one in known.data]
        new = frozenset(one.name for one in known.data if one in chosen)
        return Task(
            choice=sum(1 << at for at, one in enumerate(units) if one in chosen),
            base=self.bases.at(names, new, known.loaded()) if names else None,
            libraries=tuple(
                one.name
                for one, unit in zip(self.hybrids.libraries, others, strict=True)
                if unit not in chosen
            ),
            limit=self.end_limit, anew=bool(names), marked=True,
        )  # fmt: skip

    def side(self, *, new: bool, apart: bool = False) -> Task:
        """One side as it is."""
        libraries = () if new else tuple(one.name for one in self.hybrids.libraries)
        return Task(
            side="new" if new else "old", libraries=libraries, limit=self.end_limit, apart=apart
        )

    def mixing(self, job: str, marks: frozenset[Mark]) -> Shared | None:
        """The mixtures of a trace that ran these functions; None where nothing can be chosen."""
        pairing, known = self.pairing, self.jobs[job]
        if pairing is None:
            return None
        if marks not in known.atoms:
            found = replace(self.nothing, modules=tuple(known.modules), ran=marks)
            ran = parts.that_ran(pairing, found, self.nothing)
            atoms = parts.atoms_of(
                pairing, sorted(ran), known.data, self.hybrids.libraries, known.libraries
            )
            known.atoms[marks] = ran, atoms
        ran, atoms = known.atoms[marks]
        if not atoms:
            return None
        chosen = sum(1 << one for one in ran)
        return Shared(
            self.hybrids, atoms,
            rest=((1 << len(pairing.units)) - 1) & ~chosen,
            bases=self.bases, loaded=known.loaded(), limit=self.limit,
            memory=2 * self.memory + _ROOM, anew=bool(known.data),
        )  # fmt: skip

    def bound(self, mixing: Mixing) -> list[tuple[frozenset[int], str]]:
        """See ``signatures.bound``."""
        if self.pairing is None:
            return []
        places = mixing.places
        key = tuple(places.items())
        if key not in self._bound:
            self._bound[key] = list(bound(self.pairing, places))
        return self._bound[key]

    def run(
        self, wanted: Mapping[tuple[str, Task], Sequence[int]]
    ) -> dict[tuple[Task, int], Answer]:
        """Run tasks, each for recordings of a job by their numbers.

        What has hung often enough is not run.
        """
        found: dict[tuple[Task, int], Answer] = {}
        tasks = []
        for (_, task), numbers in wanted.items():
            if self._hung.get(_code(task), 0) >= MOST_HUNG:
                found |= {(task, one): Answer(failure="timeout") for one in numbers}
            elif numbers:
                tasks.append((task, list(dict.fromkeys(numbers))))
        for at, number, answer in self.hybrids.batch(tasks) if tasks else ():
            task = tasks[at][0]
            found[task, number] = answer
            if answer.failure == "timeout":
                self._hung[_code(task)] = self._hung.get(_code(task), 0) + 1
            if answer.covered is not None:
                self.seconds = max(self.seconds, answer.covered.seconds)
                self._spent += answer.covered.seconds
                self._runs += 1
        return found

    def alone(self, task: Task, number: int) -> Answer:
        """Run a task for one recording, in a process of its own."""
        return dict(self.hybrids.run([replace(task, trace=number)]))[0]


def _code(task: Task) -> Task:
    """A task whatever its limits are."""
    return replace(task, limit=0.0, memory=0)


def _differs(old: Path, new: Path, file: str) -> bool:
    sides = [path.read_bytes() if (path := root / file).is_file() else None for root in (old, new)]
    return sides[0] != sides[1]
