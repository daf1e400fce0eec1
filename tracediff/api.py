"""The use cases, and the only place that joins the parts."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tracediff import tracefile
from tracediff.config import Config, load_config, mask
from tracediff.errors import StoreError, TracediffError
from tracediff.model import Comparison, Page, Query, Tolerance, Trace
from tracediff.references import read_reference
from tracediff.stores import open_store
from tracediff.stores.base import Store

if TYPE_CHECKING:
    from tracediff.replay import Replayed

OnMiss = Literal["fail", "nearest", "stub", "live"]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing ``doctor`` looked at."""

    ok: bool
    what: str
    hint: str | None = None


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

    @property
    def store(self) -> Store:
        """The configured store, opened when it is first used."""
        return self.named_store(None)

    def named_store(self, name: str | None) -> Store:
        """A store by its name in the configuration; the default one for None."""
        if name not in self._stores:
            self._stores[name] = open_store(self.config.store_url(name), root=self.config.root)
        return self._stores[name]

    def resolve(self, reference: str) -> Trace:
        """The trace that a reference names; see ``tracediff.references``."""
        return read_reference(reference, self.config.stores, self.named_store)

    def search(self, query: Query) -> Page:
        """One page of the traces that match, newest first."""
        return self.store.search(query)

    def pull(self, references: Sequence[str], out: Path | None = None) -> list[Path]:
        """Write traces as trace files and return their paths.

        Args:
            references: The traces.
            out: A directory, or for one trace the file; the working directory by default.
        """
        traces = [self.resolve(reference) for reference in references]
        to_file = out is not None and out.suffix == ".json" and not out.is_dir()
        if to_file and len(traces) > 1:
            raise StoreError(
                f"{len(traces)} traces do not fit in the one file {out}",
                slug="output-unwritable",
                hint="name a directory with -o",
            )
        paths = []
        for trace in traces:
            path = out if to_file and out is not None else (out or Path()) / file_name(trace)
            write_file(path, tracefile.dumps(trace))
            paths.append(path)
        return paths

    def replay(
        self,
        reference: str | Trace,
        *,
        on_miss: OnMiss = "fail",
        sets: Sequence[str] = (),
        pins: Sequence[str] = (),
    ) -> Replayed:
        """Run a trace's job again, in a process of its own, with its recorded inputs.

        Args:
            reference: The trace.
            on_miss: What to do about a call that was not recorded.
            sets: What-ifs "STEP=VALUE": steps that are answered with a literal value.
            pins: What-ifs "STEP": steps that are answered with their recorded result.
        """
        from tracediff.replay import replay, what_ifs  # listing and showing traces do without

        trace = reference if isinstance(reference, Trace) else self.resolve(reference)
        return replay(trace, self.config, on_miss=on_miss, what_ifs=what_ifs(trace, sets, pins))

    def compare(
        self,
        reference: str,
        other: str | None = None,
        *,
        strict_steps: bool = False,
        tolerances: Iterable[Tolerance] = (),
        on_miss: OnMiss = "fail",
        progress: Progress | None = None,
    ) -> Comparison:
        """Lay a trace against another, or against its replay on the code as it is now.

        Args:
            reference: The recorded trace.
            other: The trace to compare it with; None replays the recorded one.
            strict_steps: Let any differing step decide the verdict.
            tolerances: On top of the configured ones.
            on_miss: What a replay does about a call that was not recorded.
            progress: Called with the name of each phase as it begins.
        """
        from tracediff.codefiles import source_reader  # listing and showing traces do without
        from tracediff.compare import compare  # as above

        say = progress or (lambda phase: None)
        say("reading")
        old = self.resolve(reference)
        if other is not None:
            new = self.resolve(other)
        else:
            say("replaying")
            new = self.replay(old, on_miss=on_miss).trace
        say("comparing")
        rules = (*self.config.tolerances, *tolerances)
        load = source_reader(self.config.root, lambda: self.store)
        return compare(old, new, tolerances=rules, strict_steps=strict_steps, load=load)

    def init(self, *, dry_run: bool = False) -> list[str]:
        """What the store needs, one sentence each; made unless ``dry_run``."""
        url = self.config.store_url()
        directory = self.config.root / url
        if ":" in url:
            if not dry_run:
                self.store.search(Query(limit=1))
            return [f"open the store {mask(url)}"]
        if directory.is_dir():
            self.store.search(Query(limit=1))
            return []
        if not dry_run:
            self.store.search(Query(limit=1))
        return [f"make the directory {directory} for traces, ignored by git"]

    def doctor(self) -> list[Finding]:
        """Look at the settings, the store and what a replay needs."""
        config = self.config
        findings = [_found_settings(config), _found_jobs(config)]
        try:
            findings += _found_store(self.store)
        except TracediffError as error:
            findings.append(Finding(False, str(error), error.hint))
        git = shutil.which("git")
        findings.append(
            Finding(git is not None, f"git: {git or 'not found'}",
                    None if git else "without git, traces name no commit")
        )  # fmt: skip
        return findings


def _found_settings(config: Config) -> Finding:
    if config.file is None:
        return Finding(
            config.enabled,
            f"settings: no [tool.tracediff] in a pyproject.toml from {config.root} upwards",
            "add the table; without it nothing is recorded unless TRACEDIFF_STORE is set",
        )
    if not config.enabled:
        return Finding(False, f"settings: {config.file}, recording is off", "unset `enabled`")
    return Finding(True, f"settings: {config.file}, recording is on")


def _found_jobs(config: Config) -> Finding:
    if not config.jobs:
        return Finding(
            False,
            "jobs: none may be replayed",
            'name their modules: jobs = ["pricing.*"] in [tool.tracediff]',
        )
    return Finding(True, f"jobs: {', '.join(config.jobs)} may be replayed")


def _found_store(store: Store) -> list[Finding]:
    page = store.search(Query(limit=1))
    newest = f"newest {page.rows[0].id}" if page.rows else "empty"
    findings = [Finding(True, f"store: {store.url}, {newest}")]
    hurt = store.check()
    findings += [Finding(False, one, "the other traces stay readable") for one in hurt]
    if not hurt:
        findings.append(Finding(True, "store: every trace reads back"))
    return findings


def file_name(trace: Trace) -> str:
    """The name of a trace's file: its key and id, with nothing a file system minds."""
    key = re.sub(r"[^\w.-]+", "-", trace.key).strip("-.")[:80] or "trace"
    return f"{key}-{trace.id}.trace.json"


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        StoreError: ``output-unwritable``.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}",
            slug="output-unwritable",
            hint="name another file or directory with -o",
        ) from None
