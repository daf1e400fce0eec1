"""The games of many traces, played in turns: what both sides give of each, and the mixtures.

A trace whose runs disagree is run again in processes of its own: what varies there too is noise,
else something was kept from one job to the next, and its mixtures are run apart from the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tracediff.explain.attribution import BUDGET, MismatchError, check_ends
from tracediff.explain.bulk import Bulk, Shared, WantedError
from tracediff.explain.ends import End, Ends, RefusedError, outcome_of, ticking
from tracediff.explain.hybrids import Answer, Covered, Task
from tracediff.explain.outcomes import Outcome, Path, differing, fields, mark, recorded
from tracediff.explain.sharing import MOST_MIXTURES, UNSCREENED, Game, play
from tracediff.explained import Unit
from tracediff.model import MISSING, Trace

MOST_ROUNDS = 500
MOST_LEARNED = 4
"""How often what a chunk runs may add to what is known before its traces are explained alone."""
MOST_MET = 3
"""How many traces of a job are tried before all are explained alone."""
VERIFIED = 2
"""Of how many traces of a job a mixture is run in a process of its own, to be compared."""

State = Literal["open", "done", "refused", "spoiled", "alone"]
Wanted = tuple["Case", Task, Callable[[Answer], None]]


@dataclass(slots=True, eq=False)
class Case:
    """One trace on its way.

    A ``spoiled`` one is to be run apart from the others, one ``alone`` to be explained by itself.
    ``old`` and ``new`` are the answers of all code old and all code new, ``sides`` those of the
    two sides as they are, old and new; ``isolated`` says which of them ran by themselves.
    """

    trace: Trace
    number: int
    state: State = "open"
    why: str = ""
    apart: bool = False
    old: Answer = field(default_factory=Answer)
    new: Answer = field(default_factory=Answer)
    sides: tuple[list[Answer], list[Answer]] = field(default_factory=lambda: ([], []))
    isolated: set[bool] = field(default_factory=set)
    ends: Ends | None = None
    paths: list[Path] = field(default_factory=list)
    mixing: Shared | None = None
    game: Game | None = None
    wanted: list[int] = field(default_factory=list)

    @property
    def job(self) -> str:
        """Its job."""
        return self.trace.job

    def task(self, task: Task) -> Task:
        """A task as it is run for this trace."""
        return replace(task, apart=True) if self.apart else task


class Games:
    """Plays the games of a chunk.

    Args:
        bulk: Runs code for many recordings.
        certified: Whether the old side is the code that the traces were recorded by, so that what
            it does not give as recorded is noise.
    """

    def __init__(self, bulk: Bulk, *, certified: bool) -> None:
        self.bulk, self.certified = bulk, certified

    def play(self, cases: Sequence[Case]) -> None:
        """Bring each case to an end."""
        self._meet(cases)
        self._run_sides(_open(cases))
        self._prove(_open(cases))
        self._finish(_open(cases))
        self._verify(cases)
        spoiled = [one for one in cases if one.state == "spoiled"]
        if spoiled:
            self._apart(spoiled)

    def cover(
        self, cases: Sequence[Case], choose: Callable[[Sequence[Unit]], frozenset[Unit]]
    ) -> None:
        """Leave each case done that a choice of units alone brings to what the new side gives.

        Where the old side is the code that recorded it, that has to give the recording: else both
        sides may give something new for another reason, such as an upgrade of a package.
        """
        self._meet(cases)
        bulk, left = self.bulk, _open(cases)
        self._run((case, bulk.side(new=True), case.sides[1].append) for case in left)
        if self.certified:
            self._run((case, bulk.side(new=False), case.sides[0].append) for case in left)
            left = [one for one in left if one.sides[0][0].outcome == recorded(one.trace)]
        for _ in range(MOST_LEARNED):
            tasks = {job: bulk.choice(job, choose) for job in {case.job for case in left}}
            self._run((case, tasks[case.job], _keeping(case)) for case in left)
            if not self._learn(left):
                break
        else:
            return
        for case in left:
            new = case.sides[1][0].outcome
            if new is not None and not new.misses and case.old.outcome == new:
                case.state = "done"

    def _finish(self, cases: Sequence[Case]) -> None:
        for case in cases:
            self._begin(case)
        left = _open(cases)
        for _ in range(MOST_ROUNDS):
            for case in left:
                self._advance(case)
            left = _open(left)
            if not left:
                return
            self._run(
                (case, case.task(case.mixing.task(one)), _filling(case.mixing, one))
                for case in left
                if case.mixing is not None
                for one in case.wanted
            )
        for case in left:
            case.state = "alone"

    def _run(self, wanted: Iterable[Wanted]) -> None:
        asked = list(wanted)
        tasks: dict[tuple[str, Task], list[int]] = defaultdict(list)
        for case, task, _ in asked:
            tasks[case.job, task].append(case.number)
        found = self.bulk.run(tasks)
        for case, task, fill in asked:
            fill(found[task, case.number])

    def _meet(self, cases: Sequence[Case]) -> None:
        """Learn of jobs that are met for the first time."""
        by_job: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            if not self.bulk.jobs[case.job].modules:
                by_job[case.job].append(case)
            case.apart = self.bulk.jobs[case.job].apart
        for job, some in by_job.items():
            if not any(self.bulk.meet(job, one.number) for one in some[:MOST_MET]):
                for one in some:
                    one.state = "alone"

    def _run_sides(self, cases: Sequence[Case]) -> None:
        """All code old and all new, until nothing more is learned; and the new side as it is."""
        bulk = self.bulk
        for turn in range(MOST_LEARNED):
            wanted: list[Wanted] = []
            for case in cases:
                wanted += self._marked(case)
                if not turn:
                    side = case.task(bulk.side(new=True))
                    wanted.append((case, side, case.sides[1].append))
                if not turn and not self.certified:
                    side = case.task(bulk.side(new=False))
                    wanted.append((case, side, case.sides[0].append))
            self._run(wanted)
            if not self._learn(cases):
                return
        for case in cases:
            case.state = "alone"

    def _marked(self, case: Case) -> list[Wanted]:
        old, new = (case.task(self.bulk.marked(case.job, new=new)) for new in (False, True))
        return [(case, old, _keeping(case)), (case, new, _keeping(case, "new"))]

    def _learn(self, cases: Sequence[Case]) -> bool:
        """Whether there is more to know of some job."""
        by_job: dict[str, list[Covered]] = defaultdict(list)
        for case in cases:
            by_job[case.job] += [
                one.covered for one in (case.old, case.new) if one.covered is not None
            ]
        more = [self.bulk.learn(job, found) for job, found in by_job.items()]
        return any(more)

    def _prove(self, cases: Sequence[Case]) -> None:
        """What each side gives, and what of it differs from run to run."""
        for case in cases:
            case.sides[0].extend([Answer(recorded(case.trace))] if self.certified else [])
        doubted = [
            (case, new)
            for case in cases
            for new in (False, True)
            if _outcome(case.new if new else case.old) != _outcome(case.sides[new][0])
        ]
        self._isolate(doubted)
        self._settle_ends(cases)

    def _isolate(self, doubted: Sequence[tuple[Case, bool]]) -> None:
        """Run sides twice, each in a process of its own: of each case the old or the new one."""
        for case, new in doubted:
            case.sides[new].clear()
            case.isolated.add(new)
        for _ in range(2):  # one of each at a time, so that they are two runs
            self._run(
                (case, self.bulk.side(new=new, apart=True), case.sides[new].append)
                for case, new in doubted
            )

    def _settle_ends(self, cases: Sequence[Case]) -> None:
        for case in cases:
            try:
                self._end(case)
            except RefusedError as error:
                case.state, case.why = "refused", str(error)

    def _end(self, case: Case) -> None:
        """The two sides of a case, and the fields that changed."""
        old, new = (
            outcome_of(some[0], which)
            for some, which in zip(case.sides, ("recorded", "new"), strict=True)
        )
        varying: dict[Path, None] = {}
        for some in case.sides:
            first, last = _outcome(some[0]), _outcome(some[-1])
            if first is not None and last is not None and first != last:
                varying.update(dict.fromkeys(differing(fields(first), fields(last))))
        unproven = []
        if self.certified and old != recorded(case.trace):
            unproven = differing(fields(recorded(case.trace)), fields(old))
        case.ends = Ends(
            End(old, case.old.covered or self.bulk.nothing),
            End(new, case.new.covered or self.bulk.nothing),
            tuple(varying),
            tuple(unproven),
            ticking(case.trace, (*varying, *unproven), (old, new)),
        )
        case.paths = case.ends.changed()
        if not case.paths:
            case.state = "done"

    def _begin(self, case: Case) -> None:
        """The players of a case, unless all code old or all new is not one of the sides."""
        ends = case.ends
        if ends is None or case.old.covered is None or case.new.covered is None:
            case.state = _spoiled(case)
            return
        for answer, outcome in ((case.old, ends.old.outcome), (case.new, ends.new.outcome)):
            if not _agree(answer.outcome, outcome, case.paths):
                case.state = _spoiled(case)
                return
        mixing = self.bulk.mixing(case.job, case.old.covered.ran | case.new.covered.ran)
        if mixing is None:
            case.state = _spoiled(case)
            return
        mixing.known[mixing.everything] = case.new
        if not mixing.rest:
            mixing.known[0] = case.old
        case.mixing = mixing

    def _advance(self, case: Case) -> None:
        """Play on; the mixtures that are missing, or the game where there are none."""
        mixing, ends = case.mixing, case.ends
        if mixing is None or ends is None:
            case.state = "alone"
            return
        outcomes = ends.old.outcome, ends.new.outcome
        errors = {one.error[0] for one in outcomes if one.error is not None}
        affordable = max(64, min(MOST_MIXTURES, int(BUDGET / max(self.bulk.mean, 0.001))))
        try:
            if 0 in mixing.known:
                check_ends(mixing, outcomes, case.paths)
            case.game = play(
                mixing, errors, case.paths, lambda done, of: None,
                bound=self.bulk.bound(mixing), affordable=affordable, quick=True,
            )  # fmt: skip
            case.state = "done"
        except MismatchError:
            case.state = _spoiled(case)
        except WantedError as wanted:
            case.wanted = wanted.mixtures
            if len(wanted.mixtures) == 1 and _are_few(
                mixing
            ):  # who is merged: it may want them all
                case.wanted = [one for one in range(mixing.everything) if one not in mixing.known]

    def _verify(self, cases: Sequence[Case]) -> None:
        """Run a mixture of a few alone; where it gives something else, all are run apart."""
        by_job: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            if case.state == "done" and case.game is not None and not case.apart:
                by_job[case.job].append(case)
        for some in by_job.values():
            if all(self._is_alike(one) for one in some[-1 :: -max(1, len(some) - 1)][:VERIFIED]):
                continue
            for one in some:
                one.state = "spoiled"

    def _is_alike(self, case: Case) -> bool:
        """Whether a mixture gives the same in a process of its own."""
        mixing = case.mixing
        if mixing is None:
            return True
        known = sorted(mixing.known)
        chosen = known[len(known) // 2]
        alone = self.bulk.alone(mixing.task(chosen), case.number)
        was = mixing.known[chosen]
        if alone.outcome is None or was.outcome is None:
            return alone.outcome is was.outcome
        return _agree(alone.outcome, was.outcome, case.paths)

    def _apart(self, cases: Sequence[Case]) -> None:
        """Play games with each run in a process of its own, which has the code imported."""
        for case in cases:
            case.apart, case.state, case.game = True, "open", None
        self._run(one for case in cases for one in self._marked(case))
        sides = [(case, new) for case in cases for new in (False, True) if new not in case.isolated]
        self._isolate(sides)
        self._settle_ends(cases)
        self._finish(_open(cases))
        by_job: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            by_job[case.job].append(case)
        for job, some in by_job.items():
            good = sum(one.state == "done" for one in some)
            if good > 1 and good * 2 > len(some):
                self.bulk.jobs[job].apart = True  # the next ones begin so


def _open(cases: Iterable[Case]) -> list[Case]:
    return [one for one in cases if one.state == "open"]


def _spoiled(case: Case) -> State:
    return "alone" if case.apart else "spoiled"


def _outcome(answer: Answer) -> Outcome | None:
    return answer.outcome


def _keeping(case: Case, name: str = "old") -> Callable[[Answer], None]:
    return lambda answer: setattr(case, name, answer)


def _filling(mixing: Shared, mixture: int) -> Callable[[Answer], None]:
    return lambda answer: mixing.known.update({mixture: answer})


def _agree(one: Outcome | None, other: Outcome | None, paths: Sequence[Path]) -> bool:
    """Whether two outcomes have the same in these fields."""
    if one == other:
        return True
    if one is None or other is None:
        return False
    left, right = fields(one), fields(other)
    return all(mark(left.get(path, MISSING)) == mark(right.get(path, MISSING)) for path in paths)


def _are_few(mixing: Shared) -> bool:
    """Whether all mixtures are soon run, and none of those that were has hung."""
    return len(mixing.atoms) <= UNSCREENED and not any(
        one.failure == "timeout" for one in mixing.known.values()
    )
