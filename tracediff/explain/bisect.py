"""Finding the commit that changed a result: the trace is replayed at one commit after the other.

The commits between the two ends are halved as ``git bisect`` does it, by ``git rev-list
--bisect-all``, which weighs a history with branches; the work tree is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tracediff.compare import compare
from tracediff.config import Config
from tracediff.errors import ReplayError, TracediffError
from tracediff.explain.blame import git
from tracediff.explain.certificate import recorded_commit
from tracediff.model import Tolerance, Trace
from tracediff.replay import checked_out, environment_at, replay
from tracediff.replay.layout import is_shallow

Progress = Callable[[str], None]
State = Literal["same", "different", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit as ``git log`` names it."""

    sha: str
    author: str = ""
    date: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What the replay at a commit gave; ``why`` says what failed where it was skipped."""

    commit: str
    state: State
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisection:
    """The commit that changed the result: the one of ``candidates``, or one of them.

    There are several where commits in between could not run. ``tried`` is in order. When nothing
    changed the result between the two ends there are none.
    """

    trace: str
    good: str
    bad: str
    candidates: tuple[Commit, ...]
    tried: tuple[Tried, ...]
    remarks: tuple[str, ...] = ()

    @property
    def commit(self) -> Commit | None:
        """The one commit, None when there is none or more than one may be it."""
        return self.candidates[0] if len(self.candidates) == 1 else None


def bisect(
    trace: Trace,
    config: Config,
    *,
    good: str | None = None,
    bad: str = "HEAD",
    tolerances: Sequence[Tolerance] = (),
    progress: Progress | None = None,
) -> Bisection:
    """Find the commit that changed a trace's result, with its recorded inputs, offline.

    Args:
        trace: The recording.
        config: The project's settings.
        good: A revision that gives the recorded result; the recorded commit by default.
        bad: A revision that gives another.
        tolerances: What counts as the same.
        progress: Called with the commit that is tried.

    Raises:
        ReplayError: ``bisect-range``, or what hinders the replay at one of the two ends.
    """
    return _Search(trace, config, tolerances, progress).run(good or recorded_commit(trace), bad)


class _Search:
    def __init__(
        self,
        trace: Trace,
        config: Config,
        tolerances: Sequence[Tolerance],
        progress: Progress | None,
    ) -> None:
        self.trace, self.config, self.tolerances = trace, config, tolerances
        self.say = progress or (lambda said: None)
        self.tried: dict[str, Tried] = {}

    def run(self, good: str, bad: str) -> Bisection:
        first, last = self._end(good, "--good"), self._end(bad, "--bad")
        if git(self.config.root, "merge-base", "--is-ancestor", first, last) is None:
            raise _range(
                f"{good} does not come before {bad}", "name with --good a commit before it"
            )
        if self._try(first, needed=True).state == "different":
            again = self._state(first)[0] == "different"
            why = (
                "differs at every run, or on something that was not recorded"
                if again
                else ("differs from run to run")
            )
            raise _range(
                f"the result at {first[:12]} is not the recorded one: it {why}",
                "`tracediff compare` with --against that commit shows where; record what it "
                "reads with @td.input, or name another commit with --good",
            )
        if first == last or self._try(last, needed=True).state == "same":
            said = f"the result at {last[:12]} is still the recorded one"
            return self._made(first, last, (), (said, "what changed it is not committed, if any"))
        goods = [first]
        end = last
        while True:
            between = self._between(end, goods)
            at = next((one for one in between if one != end and one not in self.tried), None)
            if at is None:
                left = [one for one in between if one == end or self._is_skipped(one)]
                return self._made(first, last, left, self._remarks(left))
            state = self._try(at).state
            if state == "same":
                goods.append(at)
            elif state == "different":
                end = at

    def _is_skipped(self, commit: str) -> bool:
        return commit in self.tried and self.tried[commit].state == "skipped"

    def _end(self, revision: str, option: str) -> str:
        said = git(self.config.root, "rev-parse", "--verify", "--quiet", "--end-of-options",
                   f"{revision}^{{commit}}")  # fmt: skip
        if said is None:
            hint = f"name one with {option}"
            if is_shallow(self.config.root):
                hint = "this clone is shallow: `git fetch --unshallow` gets the rest"
            raise _range(f"git knows no commit {revision!r} here", hint)
        return said.strip()

    def _between(self, end: str, goods: list[str]) -> list[str]:
        """The commits that may be it, the one that halves them best first."""
        said = git(self.config.root, "rev-list", "--bisect-all", end, *(f"^{one}" for one in goods))
        return [line.partition(" ")[0] for line in (said or "").splitlines()]

    def _try(self, commit: str, *, needed: bool = False) -> Tried:
        if commit not in self.tried:
            self.say(f"replaying at {commit[:12]}")
            state, error = self._state(commit)
            if error is not None and needed:
                raise error
            why = error.message if error is not None else ""
            self.tried[commit] = Tried(commit=commit, state=state, why=why)
        return self.tried[commit]

    def _state(self, commit: str) -> tuple[State, TracediffError | None]:
        try:
            with checked_out(self.config, commit) as (then, _):
                new = replay(
                    self.trace,
                    then,
                    timeout=self.config.replay_timeout,
                    python=self.config.python,
                    environment=environment_at(self.config, commit),
                ).trace
        except TracediffError as error:
            return "skipped", error
        found = compare(self.trace, new, tolerances=self.tolerances)
        return ("different" if found.different else "same"), None

    def _made(
        self, good: str, bad: str, left: Sequence[str], remarks: tuple[str, ...]
    ) -> Bisection:
        return Bisection(
            trace=self.trace.id,
            good=good,
            bad=bad,
            candidates=tuple(self._described(one) for one in left),
            tried=tuple(self.tried.values()),
            remarks=remarks,
        )

    def _remarks(self, left: Sequence[str]) -> tuple[str, ...]:
        if len(left) < 2:
            return ()
        return (f"one of {len(left)} commits: those that could not run were skipped",)

    def _described(self, commit: str) -> Commit:
        said = git(self.config.root, "show", "--no-patch", "--no-show-signature",
                   "--format=%an%x00%aI%x00%s", commit)  # fmt: skip
        author, date, subject = [*(said or "").rstrip("\n").split("\0"), "", ""][:3]
        return Commit(sha=commit, author=author, date=date, subject=subject)


def _range(message: str, hint: str) -> ReplayError:
    return ReplayError(message, slug="bisect-range", hint=hint)
