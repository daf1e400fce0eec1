"""Checks of a project: what is asked for, put together from selection, engine and journal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from tracediff.check.affected import DIRECTORY, Known
from tracediff.check.causesfile import read_causes
from tracediff.check.checking import Plan, Progress, check
from tracediff.check.engines import Engine, LocalEngine
from tracediff.check.explaining import Explainer
from tracediff.check.journal import Begun, Journal, interrupted, new_journal
from tracediff.check.keptcheck import kept_document
from tracediff.check.lastcheck import last_check
from tracediff.check.results import Work
from tracediff.check.selecting import Selection, select
from tracediff.check.state import code_state
from tracediff.check.surroundings import surroundings
from tracediff.check.tallying import Gates
from tracediff.checked import Checked, Ran
from tracediff.codefiles import source_reader
from tracediff.compare.code import Load
from tracediff.config import Config, mask
from tracediff.errors import StoreError, TracediffError
from tracediff.expectations.files import write_document
from tracediff.model import Tolerance
from tracediff.recording.codeversion import git_commit
from tracediff.replay import checked_out
from tracediff.replay.ending import heed
from tracediff.stores.base import Store

TIMEOUT = 60.0
"""Seconds that one replay may take, where neither an option nor ``replay_timeout`` says it."""
_NOT_KEPT = "?"
"""Stands for a store that is not kept in a journal."""
_EDITED = "the code was edited while the check ran: some of it may be about the code before"
MOST_UNCHANGED = 2_000
"""Of about how many traces that did not change attributes are kept, to see what marks a cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of a check.

    Args:
        selection: Which traces.
        gates: What may change.
        tolerances: On top of the configured ones.
        explain: How many of those that changed are explained at most, None for all.
        against: A git revision that gives the old side, instead of the recordings.
        affected: Whether traces that run nothing that changed are left out.
        store: The name or URL of the store, as it was given.
        engine: "local", or the address of a cluster.
        workers: How many processes replay; one a processor by default.
        timeout: Seconds that one replay may take.
        memory: Bytes that one worker may take; 0 for no limit, None for its part of the machine's.
    """

    selection: Selection = field(default_factory=Selection)
    gates: Gates = field(default_factory=Gates)
    tolerances: tuple[Tolerance, ...] = ()
    explain: int | None = 1000
    against: str | None = None
    affected: bool = False
    store: str | None = None
    engine: str = "local"
    workers: int | None = None
    timeout: float | None = None
    memory: int | None = None


def run_check(
    wanted: Wanted, config: Config, store: Store, progress: Progress | None = None
) -> Checked:
    """Check what is selected.

    Args:
        wanted: What is asked for.
        config: The project's settings.
        store: Where the traces are.
        progress: Called with what is being done, how many are done and of how many.

    Raises:
        StoreError: ``nothing-selected``, or the store cannot be read any more.
    """
    _engine_known(wanted.engine)
    with _sides(config, wanted.against) as (then, commit), new_journal(config.root) as journal:
        state = _state(config)
        selected = select(store, wanted.selection)
        count = journal.select(selected.rows)
        work = Work(
            rules=(*config.tolerances, *wanted.tolerances),
            against=commit,
            timeout=wanted.timeout or config.replay_timeout or TIMEOUT,
            memory=wanted.memory or 0,
            attributes=min(1.0, MOST_UNCHANGED / max(count, 1)),
            executed=wanted.affected and wanted.against is None,  # it learns what recordings gave
        )
        begun = Begun(
            state=state,
            store=_kept_store(config) if wanted.store is not None else None,
            work=work,
            explain=wanted.explain,
            matching=count if selected.matching is None else selected.matching,
            selected=count,
            key=wanted.selection.query.key,
            whole=wanted.selection.is_whole and not wanted.affected,
        )
        journal.begin(begun)
        return _Checking(config, store, wanted, begun, then).run(journal, progress)


def resumed_check(
    wanted: Wanted,
    config: Config,
    opened: Callable[[str | None], Store],
    progress: Progress | None = None,
) -> Checked:
    """Go on with the newest check that was interrupted.

    Args:
        wanted: Its gates, engine and workers count; all else is as the check was begun.
        config: The project's settings.
        opened: Opens the store that was named then.
        progress: As for ``run_check``.

    Raises:
        StoreError: ``check-not-resumable``: there is none, or the code is another one now.
    """
    _engine_known(wanted.engine)
    with interrupted(config.root) as journal:
        begun = journal.reopen()
        if begun.state != _state(config):
            raise StoreError(
                "the code, the packages or the settings are not what they were when the check was "
                "interrupted",
                slug="check-not-resumable",
                hint="start it again without --resume",
            )
        store = opened(_store_again(wanted, begun))
        with _sides(config, begun.work.against or None) as (then, _):
            return _Checking(config, store, wanted, begun, then).run(journal, progress)


@dataclass(frozen=True, slots=True)
class _Checking:
    config: Config
    store: Store
    wanted: Wanted
    begun: Begun
    then: Config | None

    def run(self, journal: Journal, progress: Progress | None) -> Checked:
        load = source_reader(self.config.root, lambda: self.store)
        work = self.begun.work
        plan = Plan(
            config=self.config,
            known=Known(self.config.root / DIRECTORY, work.rules) if work.executed else None,
            gates=self.wanted.gates,
            explainer=Explainer(store=self.store, config=self.config, load=load, then=self.then),
            accepted=read_causes(self.config.root),
        )
        started, ran = time.perf_counter(), self._ran()
        found = check(journal, self.begun, self._engine(load, progress), plan, progress)
        heed()  # of a check that is stopped meanwhile no report is kept
        found = replace(found, seconds=time.perf_counter() - started)
        said = [] if _state(self.config) == self.begun.state else [_EDITED]
        return replace(found, remarks=(*said, *found.remarks, *_kept(self.config.root, found, ran)))

    def _ran(self) -> Ran:
        commit, dirty = git_commit(self.config.root)
        return Ran(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            state=self.begun.state.partition(" ")[0],
            commit=commit or "",
            dirty=dirty,
        )

    def _engine(self, load: Load, progress: Progress | None) -> Engine:
        if self.wanted.engine != "local":
            from tracediff.check.cluster import ClusterEngine  # a check of one machine does without

            say = progress or (lambda what, done, of: None)
            return ClusterEngine(
                self.config, self.begun.work, self.wanted.engine,
                # One that was named for this command is in its settings, as a whole path.
                store=self.begun.store if self.wanted.store is None else None,
                say=lambda text: say(text, 0, self.begun.selected),
            )  # fmt: skip
        return LocalEngine(
            self.config, self.store, self.begun.work,
            load=load, workers=self.wanted.workers, then=self.then,
        )  # fmt: skip


def _state(config: Config) -> str:
    """What has to be as it was for two halves of a check to be about the same."""
    return " ".join((code_state(config.root), *(digest for _, digest in surroundings(config))))


def _kept_store(config: Config) -> str:
    """The store that was named, as it may be kept: not with a password in it."""
    return config.store if mask(config.store) == config.store else _NOT_KEPT


def _store_again(wanted: Wanted, begun: Begun) -> str | None:
    if wanted.store is not None:
        return None  # it is in the settings now
    if begun.store == _NOT_KEPT:
        raise StoreError(
            "the check was begun with a --store whose password is not kept",
            slug="check-not-resumable",
            hint="name the store again: `tracediff check --resume --store URL`",
        )
    return begun.store


def _engine_known(engine: str) -> None:
    """Say that an engine is none before anything is done."""
    if engine != "local":
        from tracediff.check.cluster import address_of  # a check of one machine does without

        address_of(engine)


def _kept(root: Path, found: Checked, ran: Ran) -> list[str]:
    """Keep a check's report for `tracediff accept` and the pages; what is said where that fails."""
    try:
        write_document(last_check(root), kept_document(found, ran))
    except TracediffError as error:
        return [f"{error.message}: `tracediff accept` needs a report of --format json"]
    return []


@contextlib.contextmanager
def _sides(config: Config, against: str | None) -> Iterator[tuple[Config | None, str]]:
    """The old side's settings and commit, where it is not the recordings."""
    if against is None:
        yield None, ""
        return
    with checked_out(config, against) as (then, commit):
        yield then, commit
