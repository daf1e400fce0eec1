"""The use cases, and the only place that joins the parts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

from tracediff.config import Config, given_store, load_config, mask
from tracediff.doctor import Finding, examine, figures
from tracediff.errors import StoreError
from tracediff.model import Comparison, Page, Query, Row, Tolerance, Trace
from tracediff.pulling import Bundle, bundle_traces, pull_traces
from tracediff.pushing import Pushed, push_rows, push_traces
from tracediff.references import find_row, finished, read_reference, store_name
from tracediff.stores.base import Preparable, Store
from tracediff.stores.configured import local_directory, open_configured, spools
from tracediff.stores.memory import MemoryStore
from tracediff.stores.walking import finished_rows

if TYPE_CHECKING:
    from tracediff.checked import Checked
    from tracediff.checks import Wanted
    from tracediff.explain.bisect import Bisection
    from tracediff.explain.noise import Certified
    from tracediff.explained import Explanation
    from tracediff.foreign.importing import Imported, Wish
    from tracediff.replay import Replayed
    from tracediff.replayable import Replayability
    from tracediff.reports.prometheus import Figure
    from tracediff.reports.redaction import Trial
    from tracediff.statistics.checking import Checked as BucketChecked
    from tracediff.statistics.checking import Rebuilt
    from tracediff.statistics.places import Resolution
    from tracediff.statistics.summary import Summary
    from tracediff.stores.forwarder import Forwarder
    from tracediff.stores.remote import Training
    from tracediff.stores.upkeep.collecting import Collected
    from tracediff.stores.upkeep.erasing import Demand, Erasure
    from tracediff.stores.upkeep.receipts import Receipt

OnMiss = Literal["fail", "nearest", "stub", "live"]
Progress = Callable[[str], None]
Counted = Callable[[str, int, int], None]


def _untold(what: str, done: int, of: int) -> None:
    """Nobody is told what goes on."""


@runtime_checkable
class Trainable(Protocol):
    """A store whose traces can be compressed with a dictionary."""

    def train(self, query: Query) -> Training:
        """Make a dictionary of the newest traces that match."""


def open_project(*, start: Path | None = None, store: str | None = None) -> Project:
    """The project a directory belongs to.

    Args:
        start: A directory of the project; the working directory by default.
        store: The name or URL of the store to use, instead of the configured one.

    Raises:
        ConfigError: The settings cannot be used.
    """
    return Project(load_config(start, store=store))


class Project:
    """A project's settings and stores, and what can be done with its traces."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._stores: dict[str | None, Store] = {}
        self._opening = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the stores that were opened; the next use opens them again."""
        while self._stores:
            self._stores.popitem()[1].close()

    @property
    def store(self) -> Store:
        """The configured store, opened when it is first used."""
        return self.named_store(None)

    def named_store(self, name: str | None) -> Store:
        """A store by its name in the configuration; the default one for None.

        Reading makes nothing: a store that nothing was recorded in yet is an empty one.

        Raises:
            StoreError: It cannot be opened, or it was asked for by name and is not there.
        """
        with self._opening:  # one store, however many threads ask for it first
            if name not in self._stores:
                directory = self._directory(name)
                if directory is not None and not os.path.lexists(directory):
                    return self._not_made(name, directory)
                self._stores[name] = open_configured(self.config, name)
            return self._stores[name]

    def _directory(self, name: str | None = None) -> Path | None:
        """The directory of a local store, None for any other."""
        return local_directory(self.config, name)

    def _not_made(self, name: str | None, directory: Path) -> Store:
        if name is None and not self.config.origins.get("store", "").startswith("option"):
            return MemoryStore(str(directory))
        near = get_close_matches(directory.name, self.config.stores, 1)
        raise StoreError(
            f"there is no store {directory}",
            slug="store-missing",
            hint=f"did you mean {near[0]!r}?" if near else "`tracediff init --store` makes one",
        )

    def resolve(self, reference: str) -> Trace:
        """The trace that a reference names; see ``tracediff.references``."""
        return read_reference(reference, self.config.stores, self.named_store)

    def find(self, reference: str, *, unfinished: bool = False) -> tuple[Store, Row] | None:
        """The store and the row of a trace; None for a file. See ``tracediff.references``."""
        stores = self.config.stores
        return find_row(reference, stores, self.named_store, unfinished=unfinished)

    def recorded(self, reference: str) -> Trace:
        """As ``resolve``, of a job that has ended.

        Raises:
            TraceReferenceError: ``trace-running`` or ``trace-lost``: it has not.
        """
        return finished(self.resolve(reference))

    def _trace(self, given: str | Trace) -> Trace:
        return finished(given) if isinstance(given, Trace) else self.recorded(given)

    def _runnable(self, given: str | Trace) -> Trace:
        """As ``_trace``, of a trace that was recorded here, not imported."""
        from tracediff.replay.finding import check_replayable  # listing and showing do without

        trace = self._trace(given)
        check_replayable(trace)
        return trace

    def search(self, query: Query) -> Page:
        """One page of the traces that match, newest first."""
        return self.store.search(query)

    def statistics(
        self,
        key: str = "",
        *,
        since: int | None = None,
        until: int | None = None,
        by: Resolution | None = None,
    ) -> Summary:
        """What the traces of a key are like: from statistics, without reading any.

        Args:
            key: The first parts of a key, four at most; "" for all traces.
            since: Nanoseconds since the epoch; from the first trace on by default.
            until: The end, not included; now by default.
            by: How long the parts are that it is told by.

        Raises:
            StoreError: ``store-unsuitable``: the store keeps none. ``statistics-unkept``: none of
                so long a key.
        """
        from tracediff.stores.summing import summary  # listing and showing traces do without

        return summary(self.store, key, since=since, until=until, by=by)

    def verify_statistics(self) -> Iterator[BucketChecked]:
        """Count all traces, and say of each bucket of the statistics whether it says the same."""
        from tracediff.stores.summing import counting  # as above

        return counting(self.store).verify_statistics()

    def rebuild_statistics(self) -> Rebuilt:
        """Count all traces, and make the statistics say so."""
        from tracediff.stores.summing import counting  # as above

        return counting(self.store).rebuild_statistics()

    def pull(self, references: Sequence[str], out: Path | None = None) -> list[Path]:
        """Write traces as trace files and return their paths.

        Args:
            references: The traces.
            out: A directory, or for one trace the file; the working directory by default.
        """
        return pull_traces([self.recorded(reference) for reference in references], out)

    def bundle(self, references: Sequence[str], out: Path | None = None) -> Bundle:
        """Write traces and the sources they ran into a directory that needs no store.

        The sources are named by their git blob id, which is checked; no path of a trace is used. A
        manifest pins the sha256 of every file.

        Args:
            references: The traces.
            out: The directory; one named after the first trace by default.
        """
        traces = [self.recorded(reference) for reference in references]
        stores = [self.named_store(store_name(one, self.config.stores)) for one in references]
        return bundle_traces(list(zip(traces, stores, strict=True)), out)

    def replay(
        self,
        reference: str | Trace,
        *,
        on_miss: OnMiss = "fail",
        sets: Sequence[str] = (),
        pins: Sequence[str] = (),
        against: str | None = None,
        deep: bool = False,
    ) -> Replayed:
        """Run a trace's job again, in a process of its own, with its recorded inputs.

        Args:
            reference: The trace.
            on_miss: What to do about a call that was not recorded.
            sets: What-ifs "STEP=VALUE": steps that are answered with a literal value.
            pins: What-ifs "STEP": steps that are answered with their recorded result.
            against: A git revision, to run the code as it was there; None runs it as it is now.
            deep: Make steps of the functions of the job's own modules, or of ``autotrace``'s.
        """
        from tracediff.replay import (  # listing and showing traces do without
            checked_out,
            environment_at,
            replay,
            what_ifs,
        )

        trace = self._runnable(reference)
        chosen = what_ifs(trace, sets, pins)
        if against is None:
            return replay(trace, self.config, on_miss=on_miss, what_ifs=chosen, deep=deep)
        with checked_out(self.config, against) as (then, commit):
            return replay(
                trace,
                then,
                on_miss=on_miss,
                what_ifs=chosen,
                timeout=self.config.replay_timeout,
                python=self.config.python,
                environment=environment_at(self.config, commit),
                deep=deep,
            )

    def compare(
        self,
        reference: str | Trace,
        other: str | Trace | None = None,
        *,
        strict_steps: bool = False,
        tolerances: Iterable[Tolerance] = (),
        on_miss: OnMiss = "fail",
        against: str | None = None,
        deep: bool = False,
        progress: Progress | None = None,
    ) -> Comparison:
        """Lay a trace against another, or against its replay on the code as it is now.

        Args:
            reference: The recorded trace.
            other: The trace to compare it with; None replays the recorded one.
            strict_steps: Let any differing step decide the verdict.
            tolerances: On top of the configured ones.
            on_miss: What a replay does about a call that was not recorded.
            against: A git revision, to replay on the code as it was there.
            deep: Replay the recorded commit too, both with the functions of the job's own modules
                as steps.
            progress: Called with the name of each phase as it begins.
        """
        from tracediff.codefiles import source_reader  # listing and showing traces do without
        from tracediff.compare import compare  # as above

        say = progress or (lambda phase: None)
        say("reading")
        old = self._trace(reference)
        if other is not None:
            new = self._trace(other)
        else:
            say("replaying")
            new = self.replay(old, on_miss=on_miss, against=against, deep=deep).trace
            if deep:
                from tracediff.explain.certificate import recorded_commit  # as above

                then = recorded_commit(old)
                old = self.replay(old, on_miss=on_miss, against=then, deep=True).trace
        say("comparing")
        rules = (*self.config.tolerances, *tolerances)
        load = source_reader(self.config.root, lambda: self.store)
        return compare(old, new, tolerances=rules, strict_steps=strict_steps, load=load)

    def explain(
        self,
        reference: str | Trace,
        other: str | Trace | None = None,
        *,
        against: str | None = None,
        refresh_inputs: bool = False,
        field: str | None = None,
        tolerances: Iterable[Tolerance] = (),
        progress: Progress | None = None,
    ) -> Explanation:
        """Say why a trace's result is another one now; see ``explain.explaining``.

        Args:
            reference: The recorded trace.
            other: A trace whose code and inputs stand for the new ones; None takes the code as it
                is now.
            against: A git revision whose code stands for the new one.
            refresh_inputs: Ask the inputs anew as well.
            field: The field of the outcome that counts most, as ``result.total``.
            tolerances: On top of the configured ones.
            progress: Called with the name of each phase as it begins.
        """
        from tracediff.codefiles import source_reader  # listing and showing traces do without
        from tracediff.explain.explaining import explain  # as above

        return explain(
            self._runnable(reference),
            self.config,
            load=source_reader(self.config.root, lambda: self.store),
            other=self._runnable(other) if other is not None else None,
            against=against,
            refresh_inputs=refresh_inputs,
            field=field,
            tolerances=(*self.config.tolerances, *tolerances),
            progress=progress,
        )

    def compare_certified(
        self,
        reference: str,
        *,
        strict_steps: bool = False,
        tolerances: Iterable[Tolerance] = (),
        on_miss: OnMiss = "fail",
        against: str | None = None,
        deep: bool = False,
        progress: Progress | None = None,
    ) -> Certified:
        """As ``compare``, without what the recorded code does not reproduce either.

        Args:
            reference: The recorded trace.
            strict_steps: Let any differing step decide the verdict.
            tolerances: On top of the configured ones.
            on_miss: What a replay does about a call that was not recorded.
            against: A git revision, to replay on the code as it was there.
            deep: As for ``compare``.
            progress: Called with the name of each phase as it begins.
        """
        from tracediff.codefiles import source_reader  # listing and showing traces do without
        from tracediff.explain.certificate import certify
        from tracediff.explain.noise import certified

        trace, given = self._runnable(reference), tuple(tolerances)
        rules = (*self.config.tolerances, *given)
        load = source_reader(self.config.root, lambda: self.store)
        comparison = self.compare(
            trace,
            strict_steps=strict_steps,
            tolerances=given,
            on_miss=on_miss,
            against=against,
            deep=deep,
            progress=progress,
        )
        if progress is not None:
            progress("replaying the recorded code")

        certificate = certify(trace, self.config, load=load, tolerances=rules)
        return certified(
            comparison,
            trace,
            self.config,
            certificate,
            load=load,
            deep=deep,
            tolerances=rules,
            strict_steps=strict_steps,
        )

    def bisect(
        self,
        reference: str,
        *,
        good: str | None = None,
        bad: str = "HEAD",
        tolerances: Iterable[Tolerance] = (),
        progress: Progress | None = None,
    ) -> Bisection:
        """Find the commit that changed a trace's result; see ``explain.bisect``.

        Args:
            reference: The trace.
            good: A revision with the recorded result; the recorded commit by default.
            bad: A revision with another.
            tolerances: On top of the configured ones.
            progress: Called with the commit that is tried.
        """
        from tracediff.explain.bisect import bisect  # listing and showing traces do without

        trace = self._runnable(reference)
        rules = (*self.config.tolerances, *tolerances)
        return bisect(trace, self.config, good=good, bad=bad, tolerances=rules, progress=progress)

    def check(self, wanted: Wanted, *, progress: Counted | None = None) -> Checked:
        """Replay many traces on the code as it is now, and say what changes in all and why.

        Args:
            wanted: What is asked for.
            progress: Called with what is being done, how many are done and of how many.
        """
        from tracediff.checks import run_check  # listing and showing traces do without

        return run_check(wanted, self.config, self.store, progress)

    def resume_check(self, wanted: Wanted, *, progress: Counted | None = None) -> Checked:
        """Go on with the newest check that was interrupted.

        Args:
            wanted: Its gates, engine and workers count; all else is as the check was begun.
            progress: Called with what is being done, how many are done and of how many.
        """
        from tracediff.checks import resumed_check  # as above

        return resumed_check(wanted, self.config, self.named_store, progress)

    def replayability(
        self, key: str, *, last: int | None = None, progress: Counted | None = None
    ) -> Replayability:
        """Say which of the last traces of a key replay exactly, why others do not, what mends it.

        Args:
            key: A job's key or the first parts of one.
            last: How many traces; 20 by default.
            progress: Called with what is being done, how many are done and of how many.
        """
        from tracediff.codefiles import source_reader  # listing and showing traces do without
        from tracediff.replayability.diagnosis import LAST, diagnose  # as above

        load = source_reader(self.config.root, lambda: self.store)
        count = LAST if last is None else last
        return diagnose(key, self.config, self.store, load, last=count, progress=progress)

    def init(self, *, dry_run: bool = False) -> list[str]:
        """What the store needs, one sentence each; made unless ``dry_run``."""
        directory = self._directory()
        if directory is None:
            store = self.store
            return store.prepare(dry_run=dry_run) if isinstance(store, Preparable) else []
        if os.path.lexists(directory):
            return []
        if not dry_run:
            open_configured(self.config).close()
        return [f"make the directory {directory} for traces, ignored by git"]

    def gc(
        self,
        *,
        grace: float = 86_400.0,
        dry_run: bool = False,
        thorough: bool = False,
        rekey: bool = False,
        unsafe: bool = False,
        progress: Counted = _untold,
    ) -> Collected:
        """Free what nobody needs: expired and deleted traces, and what crashes left behind.

        Args:
            grace: Seconds for which bytes without a row are left alone.
            dry_run: Only say what would be done.
            thorough: Write segments anew however little that frees.
            rekey: Encrypt anew what is not encrypted by the key that writes now.
            unsafe: Take a grace that is too short for recorders that are cut off.
            progress: Called with what is being done, how many are done and of how many.
        """
        from tracediff.stores.upkeep.collecting import Wish  # no other use case needs it
        from tracediff.stores.upkeep.project import clean_up  # as above

        wish = Wish(grace=grace, dry_run=dry_run, thorough=thorough, rekey=rekey, unsafe=unsafe)
        return clean_up(self.config, lambda: self.store, wish, progress)

    def erasure(
        self, demand: Demand, progress: Counted = _untold
    ) -> AbstractContextManager[Erasure]:
        """An erasure of everything that carries a tag or a context value; nothing is done yet.

        Args:
            demand: What is to be erased, and why.
            progress: Called with what is being done, how many are done and of how many.
        """
        from tracediff.stores.upkeep.project import erasure  # no other use case needs it

        return erasure(self.config, self.store, demand, progress)

    def verify_receipt(
        self, receipt: str, progress: Counted = _untold
    ) -> tuple[Receipt, list[str]]:
        """A receipt by its file or id, and what is there again of what it says was erased."""
        from tracediff.stores.upkeep.project import verified  # no other use case needs it

        return verified(self.config, self.store, receipt, progress)

    def doctor(self, *, read_back: bool = True) -> list[Finding]:
        """Look at the settings, the store and what a replay needs.

        Args:
            read_back: Whether to read traces back, which takes longest.
        """
        return examine(self.config, lambda: self.store, read_back=read_back)

    def figures(self, findings: Sequence[Finding] | None = None) -> list[Figure]:
        """What this machine's recorders have, lose and wait for, and what ``doctor`` found."""
        return figures(self.config, findings)

    def forwarder(self, *, every_store: bool = True) -> Forwarder:
        """What moves the traces that processes of this machine record.

        Args:
            every_store: Those for each store that the settings name, not for the chosen one alone.

        Raises:
            StoreError: ``forwarder-idle``: no store of these has a spool.
        """
        from tracediff.stores.forwarder import Forwarder  # other use cases move nothing

        found = spools(self.config, every_store=every_store)
        if not found:
            raise StoreError(
                f"there is nothing to forward: {mask(self.store.url)} is on this machine",
                slug="forwarder-idle",
                hint="name a store of MongoDB and S3 with --store or in the settings",
            )
        return Forwarder(found, self.config.upload_every)

    def train(self, query: Query) -> Training:
        """Make a compression dictionary of the newest traces that match, for the new ones.

        Raises:
            StoreError: ``dictionary-untrainable``: they are too few or have nothing in common;
                ``store-unsuitable``: the store has no dictionaries.
        """
        if not isinstance(self.store, Trainable):
            raise StoreError(
                f"the store {mask(self.store.url)} has no dictionaries",
                slug="store-unsuitable",
                hint="stores of MongoDB and S3 have; name one with --store",
            )
        return self.store.train(query)

    def try_rules(
        self,
        query: Query,
        rules: Sequence[str] = (),
        *,
        last: int | None = None,
        progress: Counted | None = None,
    ) -> Trial:
        """What the redaction rules would take out of the newest traces that match.

        Args:
            query: Which traces.
            rules: More rules than those of the setting ``redact``.
            last: How many traces; 100 by default.
            progress: Called with what is being done, how many are done and of how many.

        Raises:
            ConfigError: ``config-invalid``: a rule that cannot be one.
        """
        from tracediff.recording.trying import LAST, try_rules  # listing and showing do without

        count = LAST if last is None else last
        configured = self.config.redact
        return try_rules(self.store, query, configured, rules, last=count, progress=progress)

    def import_traces(self, wish: Wish, progress: Counted = _untold) -> Imported:
        """Import traces of other tools, to be listed, shown and compared; see ``foreign``.

        Args:
            wish: Where they are, and what is asked.
            progress: Called with what is being done, how much is done and of how much.
        """
        from tracediff.foreign.importing import import_traces  # no other use case needs it

        def opened() -> Store:
            directory = self._directory()
            if directory is not None and not os.path.lexists(directory):
                open_configured(self.config).close()  # it is made, as the first recording would
            return self.store

        return import_traces(wish, self.config, opened, progress)

    def push(
        self,
        selected: Sequence[str] | Query,
        to: str,
        *,
        progress: Callable[[Pushed], None] | None = None,
    ) -> Pushed:
        """Copy traces, with the sources they ran where both stores keep them, to another store.

        What is there already is left as it is, so a push that was interrupted goes on where it was.

        Args:
            selected: References, or a search whose results are all pushed, whatever its limit.
            to: The name or URL of the store they go to.
            progress: Called with what is done so far, after each batch.
        """
        target = self.named_store(given_store(to, self.config.stores, Path.cwd(), "--to"))
        said = progress or (lambda done: None)
        if isinstance(selected, Query):
            return push_rows(self.store, finished_rows(self.store, selected), target, said)
        return push_traces([self.recorded(one) for one in selected], target, said)
