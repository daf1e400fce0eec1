"""Replaying each trace, and again under other circumstances where that tells more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from tracediff.config import Config
from tracediff.errors import TracediffError
from tracediff.explain.recorded import Source, laid_out_again
from tracediff.model import Trace
from tracediff.recording.codeversion import blob_id
from tracediff.replay.libraries import told as libraries_told
from tracediff.replay.revisions import environment_at
from tracediff.replayability.difference import difference, first_function, unlike
from tracediff.replayability.evidence import Asked, Code, Examined, Seen
from tracediff.replayability.replaying import LONGEST
from tracediff.replayability.running import HASH_SEEDS, Place, Running, Wanted

PATIENCE: Final = 5
"""How many times the limit a replay gets that took too long."""

OTHER: Final = 0x5EED
"""What makes another seed for chance of the recorded one."""

HELD_UP: Final = 2
"""How many times a replay is tried again of which nothing but instants are others."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Traces that the same code replays."""

    code: Code
    traces: dict[int, Trace]
    missing: str = ""


def examine(
    traces: Sequence[Trace], config: Config, load: Source, progress: Progress
) -> list[Examined]:
    """Replay all traces, twice at the least; in their order.

    Args:
        traces: The recordings.
        config: The project's settings as they are now.
        load: Finds recorded sources.
        progress: Called with what is being done, how many are done and of how many.
    """
    found: dict[int, Examined] = {}
    for group in _groups(traces, config, load):
        found |= _examined(group, config, load, progress)
    return [found[at] for at in sorted(found)]


def _groups(traces: Sequence[Trace], config: Config, load: Source) -> Iterator[_Group]:
    present: dict[int, Trace] = {}
    others: dict[tuple[object, ...], dict[int, Trace]] = {}
    for at, trace in enumerate(traces):
        if is_present(trace, config.root):
            present[at] = trace
            continue
        code = trace.code
        files = () if code.dirty is False else tuple(sorted(code.files.items()))
        others.setdefault((code.commit, files), {})[at] = trace
    if present:
        yield _Group(code="present", traces=present)
    for same in others.values():
        yield _Group(code="recorded", traces=same)


def is_present(trace: Trace, root: Path) -> bool:
    """Whether the files that a trace ran are today as they were then."""
    for name, blob in trace.code.files.items():
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            return False
        try:
            if blob_id((root / relative).read_bytes()) != blob:
                return False
        except (OSError, ValueError):  # gone, or no path here: not as it was
            return False
    return True


@contextlib.contextmanager
def _placed(group: _Group, config: Config, load: Source) -> Iterator[tuple[Place, _Group]]:
    """Where a group is replayed; where its own code is not to be had, in today's."""
    libraries = libraries_told(config.recorded_libraries)
    here = Place(config=config, tree=config.root, environment=libraries)
    if group.code == "present":
        yield here, group
        return
    with contextlib.ExitStack() as entered:
        whole: dict[str, str] = {}
        for trace in group.traces.values():
            whole |= trace.code.files
        first = next(iter(group.traces.values()))
        first = replace(first, code=replace(first.code, files=whole))
        try:
            then = entered.enter_context(laid_out_again(first, config, load))
        except TracediffError as error:
            yield here, replace(group, code="missing", missing=error.message)
            return
        told = {**environment_at(config, then.commit or first.code.commit), **libraries}
        # What may run is what the settings permit now; what was an input is as it was then.
        there = replace(then.config, jobs=tuple(dict.fromkeys((*then.config.jobs, *config.jobs))),
                        python=config.python, replay_timeout=config.replay_timeout,
                        replay_allow=config.replay_allow)  # fmt: skip
        lost = [one for one in then.remarks if "not kept" in one]
        yield (
            Place(config=there, tree=config.root, environment=told),
            replace(group, missing=lost[0] if lost else ""),
        )


def _examined(
    group: _Group, config: Config, load: Source, progress: Progress
) -> dict[int, Examined]:
    with _placed(group, config, load) as (place, known), Running(place, known.traces) as running:
        return _Examination(known, place, running, progress).all()


class _Examination:
    """The rounds of replays of one group: each asks what the one before left open."""

    def __init__(self, group: _Group, place: Place, running: Running, progress: Progress) -> None:
        self._group, self._place = group, place
        self._running, self._progress = running, progress
        self._rules = place.config.tolerances

    def all(self) -> dict[int, Examined]:
        """Examine each trace."""
        group = self._group
        plain = dict.fromkeys(group.traces, Asked())
        first, second = self._round("replaying", (plain, 0), (plain, 1))
        late = list(plain)
        for _ in range(HELD_UP):
            late = [at for at in late if self._is_held_up(at, first[at], second[at])]
            once = dict.fromkeys(late, Asked())
            others = self._round("replaying again", (once, 0), (once, 1))
            first, second = first | others[0], second | others[1]
        found = {
            at: Examined(trace=trace, code=group.code, first=first[at], second=second[at],
                         missing=group.missing, inputs=self._place.config.inputs)
            for at, trace in group.traces.items()
        }  # fmt: skip
        wrong = {at: one for at, one in found.items() if not self._exact(one)}
        return found | (self._looked_into(wrong) if wrong else {})

    def _is_held_up(self, at: int, *seen: Seen) -> bool:
        """Whether a replay's clock went past its own end, on a machine with too much to do."""
        recorded = self._group.traces[at]
        found = [difference(recorded, it.trace, self._rules) for it in seen if it.trace is not None]
        wrong = [one for one in found if not one.exact]
        return bool(wrong) and len(found) == 2 and all(one.by_instants for one in wrong)

    def _exact(self, one: Examined) -> bool:
        seen = (one.first, one.second)
        return all(
            it.trace is not None and difference(one.trace, it.trace, self._rules).exact
            for it in seen
        )

    def _looked_into(self, wrong: Mapping[int, Examined]) -> dict[int, Examined]:
        ran = {at: one for at, one in wrong.items() if one.first.trace is not None}
        late = [at for at, one in wrong.items() if _is_late(one.first)]
        varied = [at for at, one in ran.items() if unlike(one.first, one.second, self._rules)]
        limit = PATIENCE * (self._place.config.replay_timeout or LONGEST)
        deep = dict.fromkeys(varied, Asked(deep=True))
        patient, watched, again, *pair = self._round(
            "looking into what differs",
            (dict.fromkeys(late, Asked(timeout=limit)), 0),
            (dict.fromkeys(ran, Asked(watched=True)), 0),
            (dict.fromkeys(varied, Asked()), 0),
            (deep, 0),
            (deep, 1),
        )
        units = {at: self._unit(pair[0][at], pair[1][at]) for at in varied}
        followed = {at: Asked(deep=True, unit=unit) for at, unit in units.items() if unit}
        others = {at: ran[at].trace.environment.seed ^ OTHER for at in ran if _draws(watched[at])}
        left = [at for at in ran if _leaves(watched[at])]
        twice, reseeded, *variables = self._round(
            "trying what would mend it",
            (dict.fromkeys(left, Asked(twice=True)), 0),
            ({at: Asked(seed=seed) for at, seed in others.items()}, 0),
            (followed, 0),
            (followed, 1),
        )
        return {
            at: replace(
                one,
                patient=patient.get(at),
                watched=watched.get(at),
                twice=twice.get(at),
                again=again.get(at),
                reseeded=reseeded.get(at),
                deep=(pair[0][at], pair[1][at]) if at in deep else None,
                followed=(variables[0][at], variables[1][at]) if at in followed else None,
            )
            for at, one in wrong.items()
        }

    def _unit(self, one: Seen, other: Seen) -> str | None:
        if one.trace is None or other.trace is None:
            return None
        source = first_function(difference(one.trace, other.trace, self._rules))
        return source.unit if source is not None else None

    def _round(self, what: str, *plans: tuple[Mapping[int, Asked], int]) -> list[dict[int, Seen]]:
        """Replay what each plan asks for, with the hash seed of its number; all at once."""
        wanted = [
            Wanted(at, asked, HASH_SEEDS[seed], turn)
            for turn, (plan, seed) in enumerate(plans)
            for at, asked in plan.items()
        ]
        found: list[dict[int, Seen]] = [{} for _ in plans]
        if not wanted:
            return found
        done = 0
        self._progress(what, 0, len(wanted))

        def told() -> None:
            nonlocal done
            done += 1
            self._progress(what, done, len(wanted))

        for one, seen in self._running.all(wanted, told).items():
            found[one.turn][one.number] = seen
        return found


def _is_late(seen: Seen) -> bool:
    return seen.error is not None and seen.error.slug == "replay-timeout"


def _leaves(seen: Seen) -> bool:
    """Whether something is left for the next job, or there is nothing else to suspect."""
    kinds = {one.kind for one in seen.readings}
    return bool(kinds & {"global", "cache"}) or not kinds


def _draws(seen: Seen) -> bool:
    kinds = {one.kind for one in seen.readings}
    return not seen.seeded and bool(kinds & {"random", "numpy"})
