"""How much of a result's change each changed piece of code or data has: attribution by code swap.

The players are the units whose normalised source differs and that ran on either side. A coalition's
worth is the result with its units new and all others old, every input answered from the recording.
The shares are Shapley values (L. S. Shapley, "A value for n-person games", 1953; of programs'
changes DESIGN, "Attribution by code swap"): they add up to the change, exactly.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tracediff.config import Config
from tracediff.explain import players as parts
from tracediff.explain.assembly import brought
from tracediff.explain.details import MOST_DETAILED, detailed, lines_of
from tracediff.explain.ends import Ends, RefusedError, both_ends
from tracediff.explain.hybrids import Covered, Hybrids
from tracediff.explain.merging import Player
from tracediff.explain.mixing import Atom, Bases, Mixing, MixInputs
from tracediff.explain.outcomes import Outcome, fields, mark
from tracediff.explain.outcomes import Path as FieldPath
from tracediff.explain.sharing import MOST_MIXTURES, Game, effects, play
from tracediff.explain.signatures import bound
from tracediff.explain.slots import Pairing
from tracediff.explain.telling import field_name
from tracediff.explained import Attribution, Cause, Effect, Interaction, Unit
from tracediff.model import MISSING, Trace
from tracediff.replay.deep import lacks_steps

END_LIMIT = 600.0
"""Seconds that one of the two sides may take, where ``replay_timeout`` says nothing else."""
BUDGET = 60.0
"""Seconds that running mixtures may take before some of them are left out."""
MOST_EFFECTS = 200

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fresh:
    """Another recording that may answer the inputs, and what differs in it.

    ``failed`` are the inputs that could not be read any more, and what they said.
    """

    inputs: tuple[str, ...]
    arguments: bool
    mix: MixInputs
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Attributed:
    """An attribution, and what can run its mixtures again while the context is open."""

    attribution: Attribution
    mixing: Mixing | None = None
    players: tuple[Player, ...] = ()


def attribute(trace: Trace, then: Config, config: Config, **options: Any) -> Attribution:
    """As ``attributing``, with the same options, where nothing is run after it."""
    with attributing(trace, then, config, **options) as found:
        return found.attribution


@contextlib.contextmanager
def attributing(
    trace: Trace,
    then: Config,
    config: Config,
    *,
    fresh: Fresh | None = None,
    told: Config | None = None,
    details: bool = True,
    progress: Progress | None = None,
) -> Iterator[Attributed]:
    """Share the change of a trace's outcome among what changed in the code.

    The worker is kept until the block ends.

    Args:
        trace: The recording that serves the inputs.
        then: The settings of the recorded code, laid out in a directory of its own.
        config: Those of the other code.
        fresh: Changed answers of inputs, which are players then.
        told: The settings of the project, where ``config`` is another directory's.
        details: Whether each cause is followed through variables and steps.
        progress: Called with what is being done.

    Raises:
        ReplayError: The mixtures cannot be run at all.
    """
    say = progress or (lambda said: None)
    with (
        Hybrids(trace, then, config, told=told) as hybrids,
        tempfile.TemporaryDirectory(prefix="tracediff-") as scratch,
    ):
        most = MOST_DETAILED if details else 0
        yield _Attributing(
            trace, hybrids, config, fresh, say, Path(scratch), most_detailed=most,
            deep=lacks_steps(trace, told or config),
        ).run()  # fmt: skip


class MismatchError(RefusedError):
    """The mixtures of nothing and of everything are not the two sides."""


class _Attributing:
    def __init__(
        self,
        trace: Trace,
        hybrids: Hybrids,
        config: Config,
        fresh: Fresh | None,
        say: Progress,
        scratch: Path,
        *,
        most_detailed: int,
        deep: bool,
    ) -> None:
        self.trace, self.hybrids, self.config = trace, hybrids, config
        self.fresh, self.say, self.scratch = fresh, say, scratch
        self.most_detailed, self.deep = most_detailed, deep
        self.noise: tuple[str, ...] = ()
        self.idle = self.cut = 0

    def run(self) -> Attributed:
        try:
            self.say("running the old and the new code")
            ends = both_ends(
                self.hybrids,
                self.trace,
                served=self._served(),
                limit=self.config.replay_timeout or END_LIMIT,
            )
            self.noise = tuple(field_name(one) for one in ends.told)
            changed = ends.changed()
            self.cut = max(0, len(changed) - MOST_EFFECTS)
            paths = spread(changed, MOST_EFFECTS)
            if not paths:
                found = Attribution(hybrids=self.hybrids.runs, noise=self.noise)
                return Attributed(found)
            return self._shared(ends, paths)
        except RefusedError as error:
            return Attributed(
                Attribution(refused=str(error), hybrids=self.hybrids.runs, noise=self.noise)
            )

    def _served(self) -> int:
        """The recording that serves the new side's inputs."""
        if self.fresh is None:
            return 0
        names = frozenset(self.fresh.inputs)
        return self.hybrids.serve(self.fresh.mix(names, self.fresh.arguments))

    def _shared(self, ends: Ends, paths: list[FieldPath]) -> Attributed:
        old, new = ends.old, ends.new
        mismatch: RefusedError | None = None
        project = self.hybrids.project
        for turn, (strict, everything) in enumerate(((False, False), (False, True), (True, True))):
            pairing = self._plan(old.covered, new.covered, strict=strict)
            files = parts.one_sided(project.old, project.new, pairing.modules) if strict else []
            try:
                mixing = self._mixing(
                    pairing, old.covered, new.covered, files, everything=everything
                )
                if not turn:
                    self._settle(pairing, old.covered, new.covered, mixing)
                return self._attributed(mixing, pairing, ends, paths)
            except MismatchError as error:
                mismatch = mismatch or error
        raise mismatch or RefusedError("no mixture can be made")

    def _plan(self, old: Covered, new: Covered, *, strict: bool) -> Pairing:
        files = sorted({file for side in (old, new) for _, file in side.modules})
        try:
            return self.hybrids.plan(files, strict=strict)
        except (SyntaxError, ValueError) as error:
            raise RefusedError(f"a source file cannot be read: {error}") from None

    def _settle(self, pairing: Pairing, old: Covered, new: Covered, mixing: Mixing) -> None:
        """Have imported what no mixture changes, unless a file that it may read is one's own."""
        if any(atom.unit.kind == "data file" for atom in mixing.atoms):
            return
        both = {name for name, _ in old.modules}
        names = [name for name, _ in new.modules if name in both]
        self.hybrids.settle(names, list(pairing.modules))

    def _mixing(
        self,
        pairing: Pairing,
        old: Covered,
        new: Covered,
        files: Sequence[str],
        *,
        everything: bool,
    ) -> Mixing:
        """What takes part, besides data files and these, and what is new in every mixture."""
        ran = parts.that_ran(pairing, old, new)
        numbers = range(len(pairing.units)) if everything else sorted(ran)
        self.idle = len(pairing.units) - len(numbers)
        project = self.hybrids.project
        modules = [file for side in (old, new) for _, file in side.modules]
        seen = [*old.opened, *new.opened, *files]
        opened = parts.read_files(project.old, project.new, seen, modules)
        data = parts.data_files(project.old, project.new, opened)
        loaded = [*old.libraries, *new.libraries]
        atoms = parts.atoms_of(pairing, numbers, data, self.hybrids.libraries, loaded)
        if self.fresh is not None:
            atoms += [Atom(Unit(kind="input", name=one)) for one in self.fresh.inputs]
            if self.fresh.arguments:
                atoms.append(Atom(Unit(kind="arguments", name="arguments")))
        if not atoms:
            raise MismatchError("the result differs, though no code that ran does")
        chosen = sum(1 << one for one in numbers)
        slowest = max(old.seconds, new.seconds)
        return Mixing(
            self.hybrids,
            atoms,
            rest=((1 << len(pairing.units)) - 1) & ~chosen,
            bases=Bases(project, self.scratch),
            loaded=[*opened, *modules],
            limit=max(5.0, 20 * slowest),
            memory=2 * max(old.memory, new.memory) + (1 << 30),
            mix=self.fresh.mix if self.fresh is not None else None,
            anew=everything,
        )

    def _attributed(
        self, mixing: Mixing, pairing: Pairing, ends: Ends, paths: list[FieldPath]
    ) -> Attributed:
        outcomes = ends.old.outcome, ends.new.outcome
        errors = {one.error[0] for one in outcomes if one.error is not None}
        check_ends(mixing, outcomes, paths)
        seconds = max(mixing.seconds, 0.001)
        affordable = max(64, min(MOST_MIXTURES, int(BUDGET / seconds)))
        game = play(
            mixing, errors, paths, self._counting,
            bound=list(bound(pairing, mixing.places)), affordable=affordable,
        )  # fmt: skip
        found = effects(mixing, game, paths)
        return self._told(mixing, pairing, game, found)

    def _counting(self, done: int, of: int) -> None:
        if done % 16 == 0 or done == of:
            self.say(f"running mixtures of old and new code {done}/{of}")

    def _left_out(self) -> Iterator[str]:
        if self.cut:
            yield (
                f"{MOST_EFFECTS} of {MOST_EFFECTS + self.cut:,} changed fields were looked at, of "
                "each column and each kind some: what changes others alone passes for innocent"
            )

    def _failed_inputs(self) -> Iterator[str]:
        for name, said in self.fresh.failed if self.fresh is not None else ():
            yield f"the input {name!r} could not be read anew: {said}"

    def _told(
        self, mixing: Mixing, pairing: Pairing, game: Game, found: list[Effect]
    ) -> Attributed:
        guilty = [
            at for at in range(len(game.players)) if any(effect.shares[at] for effect in found)
        ]
        main = _main(found)
        guilty.sort(key=lambda at: (-abs(found[main].shares[at]), at))
        self.say("following each cause through the steps")
        causes = detailed(
            mixing,
            game.players,
            [(at, _cause(mixing, game, at, brought(pairing))) for at in guilty],
            lines_of(pairing),
            deep=self.deep,
            most=self.most_detailed,
        )
        quiet = [
            mixing.atoms[atom].unit
            for at, player in enumerate(game.players)
            if at not in guilty
            for atom in player
        ] + [mixing.atoms[atom].unit for player in game.screened for atom in player]
        aside = (
            f"{len(game.screened)} changed units were set aside: they changed nothing alone, "
            "with all others, nor in the mixtures tried at random"
        )
        attribution = Attribution(
            causes=tuple(causes),
            effects=tuple(of_players(one, guilty) for one in found),
            main=main,
            method=game.method,
            hybrids=mixing.count,
            innocent=tuple(quiet),
            idle=self.idle,
            noise=self.noise,
            remarks=(
                *((aside,) if game.screened else ()),
                *self._left_out(),
                *self._failed_inputs(),
            ),
        )
        return Attributed(attribution, mixing, game.players)


def spread(paths: Sequence[FieldPath], most: int) -> list[FieldPath]:
    """So many of the fields that some are of each row, each column and each name, in order."""
    if len(paths) <= most:
        return list(paths)
    seen: Counter[object] = Counter()
    ranked: list[tuple[int, int]] = []
    for at, path in enumerate(paths):
        below = path[:-1]
        named = "name", tuple(one for one in path if not isinstance(one, int))
        ranked.append((seen[below] + seen[named], at))
        seen[below] += 1
        seen[named] += 1
    return [paths[at] for at in sorted(at for _, at in sorted(ranked)[:most])]


def check_ends(
    mixing: Mixing, outcomes: tuple[Outcome, Outcome], paths: Sequence[FieldPath]
) -> None:
    """The mixtures of nothing and of everything have to be the two sides.

    Raises:
        MismatchError: They are not.
    """
    for mixture, outcome, which in zip(
        (0, mixing.everything), outcomes, ("old", "new"), strict=True
    ):
        answer = mixing[mixture]
        found = fields(answer.outcome) if answer.outcome is not None else {}
        wanted = fields(outcome)
        if all(mark(found.get(one, MISSING)) == mark(wanted.get(one, MISSING)) for one in paths):
            continue
        why = answer.why or (
            ": ".join(answer.outcome.error)
            if answer.outcome is not None and answer.outcome.error is not None
            else "it gives another result"
        )
        raise MismatchError(
            f"the {which} code put together from its pieces is not the {which} code: {why}"
        )


def _cause(mixing: Mixing, game: Game, at: int, kept: Mapping[int, tuple[str, ...]]) -> Cause:
    player = game.players[at]
    atoms = [mixing.atoms[atom] for atom in player]
    numbers = [atom.number for atom in atoms if atom.number is not None]
    return Cause(
        units=tuple(atom.unit for atom in atoms),
        merged=game.why.get(player),
        kept=tuple(dict.fromkeys(name for one in numbers for name in kept.get(one, ()))),
    )


def _main(found: Sequence[Effect]) -> int:
    """The field that most causes reached, the later of equals; one of the result, and a number.

    An error that came or went is before all of them: no result can be laid against it.
    """
    return max(
        range(len(found)),
        key=lambda at: (
            found[at].path[0] == "error",
            found[at].kind == "number",
            found[at].path[0] == "result",
            sum(1 for one in found[at].shares if one),
            at,
        ),
    )


def of_players(effect: Effect, chosen: Sequence[int]) -> Effect:
    """An effect with the shares of some players only, in this order."""
    places = {player: at for at, player in enumerate(chosen)}
    kept = [
        Interaction(first=places[one.first], second=places[one.second], amount=one.amount)
        for one in effect.interactions
        if one.first in places and one.second in places
    ]
    return replace(
        effect,
        shares=tuple(effect.shares[at] for at in chosen),
        shown=tuple(effect.shown[at] for at in chosen),
        margins=tuple(effect.margins[at] for at in chosen) if effect.margins else (),
        interactions=tuple(kept),
    )
