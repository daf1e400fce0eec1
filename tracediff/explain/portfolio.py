"""Exact attribution of many traces that the same code has recorded, with little for each.

The mixtures of the two codes are the same for all of them, so a process that has imported one
replays many. Each trace is a game of its own, as in ``attribution``: its players are what ran of
what changed, its shares Shapley values over all its mixtures. The games take turns: each says which
mixtures it needs, those of all are run together, and it goes on.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from tracediff.checked import Change, Shares
from tracediff.config import Config
from tracediff.errors import TracediffError
from tracediff.explain.attribution import attribute
from tracediff.explain.bulk import Bulk
from tracediff.explain.ends import RefusedError
from tracediff.explain.evidence import Evidence
from tracediff.explain.games import Case, Games
from tracediff.explain.hybridimport import Project
from tracediff.explain.hybrids import Hybrids, entries
from tracediff.explain.hybridworker import sources
from tracediff.explain.identity import Identities
from tracediff.explain.outcomes import Path as FieldPath
from tracediff.explain.outcomes import number
from tracediff.explain.pairing import pair
from tracediff.explain.sharing import outcomes_of, shares_of, worths
from tracediff.explain.slots import Pairing
from tracediff.explain.telling import field_name
from tracediff.explained import Attribution, Unit
from tracediff.model import MISSING, Trace

CHUNK = 128
"""How many traces are held, and run together."""

Amounts = dict[str, tuple[Fraction, ...]]


def attribute_many(
    traces: Iterable[Trace],
    then: Config,
    config: Config,
    *,
    told: Config | None = None,
    revision: str | None = None,
    recorded: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Shares]:
    """The shares of each trace, in any order. Traces are taken a few at a time.

    Args:
        traces: Recordings that changed, all of the same code.
        then: The settings of the old code, laid out in a directory of its own.
        config: Those of the code now.
        told: Those of the project, where ``config`` is another directory's.
        revision: The commit of the code now, where it is not the work tree.
        recorded: Whether the old code is the one that the traces were recorded by.
        progress: Called with how many are done.
    """
    done = 0
    with _Portfolio(then, config, told or config, revision, recorded=recorded) as portfolio:
        for chunk in _chunks(traces):
            for shares in portfolio.explain(chunk):
                done += 1
                yield shares
                if progress is not None:
                    progress(done)


def explained_by(
    traces: Iterable[Trace],
    then: Config,
    config: Config,
    accepted: frozenset[str],
    *,
    told: Config | None = None,
    recorded: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Iterator[tuple[str, bool]]:
    """Whether some changes alone give exactly what the code now gives, of each trace.

    One mixture is run of each, in which these changes are new and everything else is old, and both
    sides as they are. Where it cannot be told, it is not so.

    Args:
        traces: Recordings that changed, all of the same code.
        then: The settings of the old code, laid out in a directory of its own.
        config: Those of the code now.
        accepted: The ids of changes.
        told: Those of the project, where ``config`` is another directory's.
        recorded: Whether the old code is the one that the traces were recorded by.
        progress: Called with how many are done.
    """
    done = 0
    with _Portfolio(then, config, told or config, None, recorded=recorded) as portfolio:
        for chunk in _chunks(traces):
            for found in portfolio.cover(chunk, accepted):
                done += 1
                yield found
                if progress is not None:
                    progress(done)


def _chunks(traces: Iterable[Trace]) -> Iterator[list[Trace]]:
    left = iter(traces)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


class _Portfolio:
    """The worker, and what was made of the changes so far."""

    def __init__(
        self, then: Config, config: Config, told: Config, revision: str | None, *, recorded: bool
    ) -> None:
        self._then, self._config, self._told = then, config, told
        self._revision, self._recorded = revision, recorded
        self._entered = contextlib.ExitStack()
        self._roots: list[str] = []
        self._bulk: Bulk | None = None
        self._identities: tuple[Pairing, Identities] | None = None
        self._pairings: dict[frozenset[str], Pairing] = {}
        self._changes: dict[tuple[str, tuple[Unit, ...]], Change] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._bulk = None
        self._entered.close()

    def explain(self, traces: Sequence[Trace]) -> Iterator[Shares]:
        """The shares of each."""
        cases = self._run(traces, lambda games, cases: games.play(cases))
        for at, trace in enumerate(traces):
            case = cases[at] if cases else None
            if case is None or case.state in ("alone", "spoiled", "open"):
                yield self._alone(trace)
            elif case.state == "refused":
                yield Shares(id=trace.id, refused=case.why, noise=())
            else:
                yield self._shares(case)

    def cover(
        self, traces: Sequence[Trace], accepted: frozenset[str]
    ) -> Iterator[tuple[str, bool]]:
        """Whether some changes alone give what the code now gives, of each."""

        def choose(units: Sequence[Unit]) -> frozenset[Unit]:
            return self._known(traces[0]).chosen(units, accepted)

        cases = self._run(traces, lambda games, cases: games.cover(cases, choose))
        done = {one.trace.id for one in cases if one.state == "done"}
        yield from ((one.id, one.id in done) for one in traces)

    def _run(
        self, traces: Sequence[Trace], run: Callable[[Games, Sequence[Case]], None]
    ) -> list[Case]:
        """What was made of traces; nothing where the worker has ended twice over them."""
        for _ in range(2):
            try:
                bulk = self._worker(traces)
                cases = [Case(one, bulk.hybrids.serve(one)) for one in traces]
                run(Games(bulk, certified=self._recorded), cases)
                bulk.hybrids.release([one.number for one in cases])
            except TracediffError:
                self._close()
            except RefusedError as error:
                return [Case(one, 0, "refused", str(error)) for one in traces]
            else:
                return cases
        return []

    def _worker(self, traces: Sequence[Trace]) -> Bulk:
        """The worker, another one where traces name an import root that it does not know."""
        roots = entries(self._then, self._config, traces)
        if self._bulk is None or not set(roots) <= set(self._roots):
            self._close()
            self._roots = list(dict.fromkeys((*self._roots, *roots)))
            scratch = self._entered.enter_context(tempfile.TemporaryDirectory(prefix="tracediff-"))
            hybrids = self._entered.enter_context(
                Hybrids(traces[0], self._then, self._config, told=self._told, roots=self._roots)
            )
            self._bulk = Bulk(hybrids, self._told, Path(scratch))
        return self._bulk

    def _alone(self, trace: Trace) -> Shares:
        """What a trace by itself gives."""
        try:
            found = attribute(trace, self._then, self._config, told=self._told, details=False)
        except TracediffError as error:
            found = Attribution(refused=error.message)
        numbers: Amounts = {}
        others = {}
        for effect in found.effects:
            name = field_name(effect.path)
            before, after = number(effect.old), number(effect.new)
            if effect.kind == "number":
                numbers[name] = effect.shares
            elif before is not None and after is not None:
                numbers[name] = tuple((after - before) * one for one in effect.shares)
            if effect.kind != "number":
                others[name] = tuple(at for at, one in enumerate(effect.shares) if one)
        changes = tuple(self._change(one.units, trace) for one in found.causes)
        return Shares(
            id=trace.id, changes=changes, numbers=numbers, others=others,
            noise=found.noise, unproven=found.noise, refused=found.refused,
        )  # fmt: skip

    def _shares(self, case: Case) -> Shares:
        """What a game gives, of the players that have a share in something."""
        noise = tuple(map(field_name, case.ends.told)) if case.ends is not None else ()
        varying = {field_name(one) for one in case.ends.varying} if case.ends is not None else ()
        unproven = tuple(one for one in noise if one not in varying)
        game, mixing = case.game, case.mixing
        if game is None or mixing is None:
            return Shares(id=case.trace.id, noise=noise, unproven=unproven)
        read = outcomes_of(mixing, game)
        every = (1 << len(game.players)) - 1
        found: dict[FieldPath, tuple[tuple[Fraction, ...], bool]] = {}
        for path in case.paths:
            values, numeric = worths(game, path, read)
            found[path] = shares_of(game, values)[0], numeric
        guilty = [
            at for at in range(len(game.players)) if any(one[at] for one, _ in found.values())
        ]
        numbers: Amounts = {}
        others = {}
        for path, (all_shares, numeric) in found.items():
            shares = tuple(all_shares[at] for at in guilty)
            name = field_name(path)
            if numeric:
                numbers[name] = shares
                continue
            others[name] = tuple(at for at, one in enumerate(shares) if one)
            before, after = (number(read[one].get(path, MISSING)) for one in (0, every))
            if before is not None and after is not None:
                numbers[name] = tuple((after - before) * one for one in shares)
        units = [tuple(mixing.atoms[one].unit for one in game.players[at]) for at in guilty]
        changes = tuple(self._change(one, case.trace) for one in units)
        return Shares(
            id=case.trace.id,
            changes=changes,
            numbers=numbers,
            others=others,
            noise=noise,
            unproven=unproven,
        )

    def _change(self, units: Sequence[Unit], trace: Trace) -> Change:
        """The change that units are: its lines and its commit are looked up once."""
        identities = self._known(trace, units)
        key = identities.id_of(units), tuple(units)
        if key not in self._changes:
            self._changes[key] = identities.change_of(units)
        return self._changes[key]

    def _known(self, trace: Trace, units: Sequence[Unit] = ()) -> Identities:
        """What tells changes apart, by the two sides of the modules that these units are in."""
        pairing = self._bulk.pairing if self._bulk is not None else None
        files = {
            span.file
            for unit in units
            for span in (unit.old, unit.new)
            if span is not None and unit.kind != "data file"
        }
        if pairing is None or not files <= pairing.modules.keys():
            pairing = self._paired(frozenset(files))
        if self._identities is None or self._identities[0] is not pairing:
            old, new = self._then.root, self._config.root
            evidence = Evidence(old, trace.code.commit, new, self._revision, self._told.root)
            self._identities = pairing, Identities(pairing, old, new, evidence)
        return self._identities[1]

    def _paired(self, files: frozenset[str]) -> Pairing:
        """The two sides of files that the worker has not met: of traces explained alone."""
        if files not in self._pairings:
            project = Project(self._then.root, self._config.root, self._roots or [""])
            self._pairings[files] = pair(*sources(project, sorted(files)))
        return self._pairings[files]
