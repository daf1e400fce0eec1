"""Where traces are found, replayed and compared, and where what differs is kept."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pytest_tracediff.items import ENDING, SNAPSHOTS
from pytest_tracediff.options import Options
from pytest_tracediff.session import Change
from tracediff import values
from tracediff.api import Project
from tracediff.codefiles import source_reader
from tracediff.compare import compare
from tracediff.config import Config, load_config, override
from tracediff.errors import StoreError, TracediffError, TraceReferenceError
from tracediff.expectations.accepting import write_expectation
from tracediff.expectations.baseline import baseline, obstacle
from tracediff.expectations.causes import beginning, cause_of, step_of, summary
from tracediff.expectations.files import digest, relative_name
from tracediff.expectations.manifest import Pinned, read_manifest
from tracediff.expectations.pending import DIRECTORY, Pending, Results, pending_id
from tracediff.expectations.reading import head, read_trace
from tracediff.expectations.rules import given_rules, parse_rule
from tracediff.expectations.warm import Warm
from tracediff.model import Comparison, Tolerance, Trace, Value
from tracediff.recording.codeversion import git_commit
from tracediff.reports.json import comparison_document
from tracediff.stores.base import Store
from tracediff.stores.files import FileBlobs
from tracediff.stores.sources import load_source

SHOWN = 256 * 1024
"""Bytes of a job's result above which a report does not repeat it."""

_PLACE = re.compile(r"(?P<key>.*)@(?:last|\{(?P<nth>\d{1,6})\})")


class Bench:
    """What one pytest process needs of tracediff.

    Args:
        start: The directory whose settings hold.
        options: What the run was asked for.
    """

    def __init__(self, start: Path, options: Options) -> None:
        self.options = options
        config = load_config(start, store=options.store)
        if options.redact:
            redact = [*config.redact, *options.redact]
            config = override(config, redact=redact, enabled=config.enabled)
        self.config: Config = config
        self.root = config.root
        self.rules = tuple(_rules(options))
        self.project = Project(config)
        self.warm = Warm(config)
        self._pinned: list[Pinned] | None = None
        self._commit: tuple[str | None, bool | None] | None = None

    def close(self) -> None:
        """End the warm process and close stores."""
        self.warm.close()
        self.project.close()

    @property
    def results(self) -> Results | None:
        """Where results are kept; None in CI without a directory for them."""
        if self.options.artifacts is not None:
            return Results(self.options.artifacts)
        return None if self.options.ci else Results(self.root / DIRECTORY)

    def name(self, path: Path) -> str:
        """A file as records name it."""
        return relative_name(path, self.root)

    def pinned(self) -> list[Pinned]:
        """The pinned traces, oldest first: what manifests say, else each file's first lines."""
        if self._pinned is None:
            directory = self.options.directory
            found: dict[str, Pinned] = {}
            folders = sorted({path.parent for path in directory.rglob(f"*{ENDING}")})
            for folder in folders:
                if folder.relative_to(directory).parts[:1] == (SNAPSHOTS,):
                    continue
                where = folder.relative_to(directory)
                pins = {one.file: one for one in read_manifest(folder)}
                for path in sorted(folder.glob(f"*{ENDING}")):
                    one = pins.get(path.name) or _unpinned(path)
                    if one is not None:
                        name = (where / path.name).as_posix()
                        found[name] = Pinned(file=name, id=one.id, key=one.key, state=one.state,
                                             sha256=one.sha256)  # fmt: skip
            self._pinned = sorted(found.values(), key=lambda one: (one.id, one.file))
        return self._pinned

    def choose(self, *, of_id: Any = None, key: Any = None, last: Any = None) -> list[Pinned]:
        """The pinned traces that a mark chooses, oldest first.

        Raises:
            TraceReferenceError: ``trace-unknown`` or ``trace-ambiguous``.
        """
        ids = [of_id] if isinstance(of_id, str) else of_id
        chosen = self.pinned()
        if ids is not None:
            chosen = [self._by_id(str(one)) for one in ids]
        if key is not None:
            chosen = [one for one in chosen if fnmatchcase(one.key, str(key))]
        if last is not None:
            chosen = chosen[-int(last):]  # fmt: skip
        if chosen:
            return chosen
        keys = sorted({one.key for one in self.pinned()})
        raise TraceReferenceError(
            f"no pinned trace in {self.options.directory} is chosen",
            slug="trace-unknown",
            hint=f"there are traces of {', '.join(keys[:5])}"
            if keys
            else "`tracediff pull REF -o DIRECTORY` pins one there",
        )

    def _by_id(self, start: str) -> Pinned:
        found = [one for one in self.pinned() if one.id == start] or [
            one for one in self.pinned() if one.id.startswith(start)
        ]
        if len(found) > 1:
            files = ", ".join(one.file for one in found[:5])
            raise TraceReferenceError(
                f"{start!r} is the id of several pinned traces: {files}",
                slug="trace-ambiguous",
                hint="type more of the id, or keep one of the files",
            )
        if not found:
            raise TraceReferenceError(
                f"no pinned trace in {self.options.directory} has an id that starts with {start!r}",
                slug="trace-unknown",
                hint="`tracediff pull REF -o DIRECTORY` pins one there",
            )
        return found[0]

    def resolve(self, reference: str | Path | Trace, beside: Path) -> tuple[Trace, Path | None]:
        """A trace, and its file if it is pinned or a file.

        A file is looked for beside the test, in the directory of pinned traces and from the root;
        an id or KEY@last among the pinned ones; what is not there, in the store, but not in CI.
        """
        if isinstance(reference, Trace):
            return reference, None
        path = self.find_file(reference, beside)
        if path is not None:
            return read_trace(path), path
        text = str(reference)
        place = _PLACE.fullmatch(text)
        try:
            if place is not None:
                key = place["key"] or "*"
                some = self.choose(key=key, last=int(place["nth"] or 0) + 1)
                pinned = some[-1 - int(place["nth"] or 0)]
            else:
                pinned = self._by_id(text)
        except (TraceReferenceError, IndexError) as error:
            missing = isinstance(error, IndexError) or error.slug == "trace-unknown"
            if not missing or self.options.ci:
                raise self._offline(text) if missing else error from None
            return self.project.recorded(text), None
        path = self.options.directory / pinned.file
        return read_trace(path), path

    def _offline(self, text: str) -> TracediffError:
        return TraceReferenceError(
            f"{text!r} names no pinned trace, and in CI no store is asked",
            slug="trace-unknown",
            hint="pin it: `tracediff pull REF --bundle -o DIRECTORY`, and commit the directory",
        )

    def find_file(self, reference: str | Path, beside: Path) -> Path | None:
        """The file a reference names; None when it names none by its form."""
        text = str(reference)
        if not (isinstance(reference, Path) or text.endswith(".json")):
            return None
        places = [one / text for one in (beside, self.options.directory, self.root)]
        return next((one for one in places if one.is_file()), places[1])

    def compare(
        self,
        old: Trace,
        new: Trace,
        rules: Sequence[Tolerance],
        *,
        strict: bool,
        beside: Path | None,
    ) -> Comparison:
        """Lay two traces against each other, with the sources a bundle holds."""
        load = source_reader(self.root, self._store_of_sources)

        def read(path: str, blob: str) -> str | None:
            found = load(path, blob)
            places = [beside.parent] if beside is not None else []
            for place in (*places, self.options.directory):
                if found is None and (place / "sources").is_dir():
                    found = _bundled(place, blob)
            return found

        return compare(old, new, tolerances=rules, strict_steps=strict, load=read)

    def _store_of_sources(self) -> Store:
        if self.options.ci:
            raise StoreError("no store is asked in CI", slug="store-missing", hint=None)
        return self.project.store

    def keep(self, comparison: Comparison, made: Pending) -> Pending | None:
        """Keep a result that differs from a file; None where nothing is kept.

        Raises:
            ExpectationError: ``expectation-unwritable``.
        """
        results = self.results
        if results is None:
            return None
        document = comparison_document(_light(comparison))
        return results.keep(made, baseline(comparison), document)

    def described(self, comparison: Comparison, path: Path, test: str) -> Pending:
        """What is to be said of a result that differs from a file."""
        cause = cause_of(comparison)
        commit, dirty = self._git()
        name = self.name(path)
        return Pending(
            id=pending_id(name),
            file=name,
            test=test,
            key=comparison.new.key,
            cause=cause.id,
            cause_label=cause.label,
            summary=summary(comparison),
            where=":".join(map(str, place_of(comparison, path))),
            was=digest(path.read_bytes()) if path.is_file() else None,
            commit=commit,
            dirty=dirty,
            made_at=time.time_ns(),
            obstacle=obstacle(comparison),
        )

    def keep_new(self, trace: Trace, path: Path, test: str) -> Pending | None:
        """Keep the first result of a test, which expects nothing yet."""
        results = self.results
        if results is None:
            return None
        commit, dirty = self._git()
        name = self.name(path)
        made = Pending(
            id=pending_id(name), file=name, test=test, key=trace.key, cause="new",
            cause_label="new: nothing was expected yet", summary="a first result",
            commit=commit, dirty=dirty, made_at=time.time_ns(),
        )  # fmt: skip
        return results.keep(made, trace, None)

    def forget(self, path: Path) -> None:
        """A result that waited is what is expected now."""
        results = self.results
        if results is not None:
            results.drop([pending_id(self.name(path))])

    def write(self, path: Path, trace: Trace) -> Change:
        """Write a trace as what is expected from now on; what to enter about it."""
        was = digest(path.read_bytes()) if path.is_file() else None
        now = write_expectation(path, trace)
        self.forget(path)
        self._pinned = None
        return {"file": self.name(path), "was": was, "now": now, "summary": "updated by a run"}

    def _git(self) -> tuple[str | None, bool | None]:
        if self._commit is None:
            self._commit = git_commit(self.root)
        return self._commit


def place_of(comparison: Comparison, path: Path) -> tuple[str, int]:
    """The file and line of the step where two traces part; of the trace file where nobody knows."""
    first = beginning(comparison)
    steps = [step_of(comparison, first)] if first is not None else []
    for step in (*steps, comparison.new.steps[0]):
        if step.source is not None and step.source.file and step.source.line > 0:
            return step.source.file, step.source.line
    return str(path), 1


def _light(comparison: Comparison) -> Comparison:
    """A comparison whose job has no argument or result of many megabytes: what differs is kept."""
    return replace(comparison, old=_cut(comparison.old), new=_cut(comparison.new))


def _cut(trace: Trace) -> Trace:
    def small(value: Value | None) -> Value | None:
        if value is None or len(value.data) <= SHOWN:
            return value
        return Value(values.encode(f"{len(value.data):,} bytes, which are not repeated here"))

    root = trace.steps[0]
    root = replace(root, args=small(root.args), result=small(root.result))
    return replace(trace, steps=(root, *trace.steps[1:]))


def _bundled(directory: Path, blob: str) -> str | None:
    try:
        data = load_source(FileBlobs(directory), blob)
        return data.decode() if data is not None else None
    except (TracediffError, UnicodeDecodeError):
        return None


def _unpinned(path: Path) -> Pinned | None:
    said = head(path)
    if "id" not in said or "key" not in said:
        return None  # its own test says what is wrong with it
    return Pinned(file=path.name, id=said["id"], key=said["key"], state=said.get("state", ""))


def _rules(options: Options) -> list[Tolerance]:
    rules = given_rules(
        rel_tol=options.rel_tol,
        abs_tol=options.abs_tol,
        ignore=options.ignore,
        where="tracediff ini",
    )
    return [*rules, *(parse_rule(one) for one in options.tolerance)]
