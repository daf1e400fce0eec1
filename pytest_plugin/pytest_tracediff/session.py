"""What one pytest process knows of its run, and how the processes of a parallel run add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tracediff.options import Options, read_options

if TYPE_CHECKING:
    from pytest_tracediff.bench import Bench

Change = dict[str, str | None]
"""A file that was written over: file, was, now and summary, as an acceptance has them."""

KEY: pytest.StashKey[Session] = pytest.StashKey()


@dataclass(slots=True)
class Tally:
    """What happened in one process or in all. Everything in it travels as plain values."""

    compared: int = 0
    different: int = 0
    written: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    fields: int = 0
    worst: float | None = None
    place: str = ""
    used: list[str] = field(default_factory=list)
    stale: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    replayed: list[str] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)

    def add(self, other: Mapping[str, Any]) -> None:
        """Add what another process counted."""
        self.compared += other["compared"]
        self.different += other["different"]
        for name in ("written", "discarded", "used", "remarks", "modules", "partial", "replayed",
                     "recorded"):  # fmt: skip
            mine: list[str] = getattr(self, name)
            mine += [one for one in other[name] if one not in mine]
        self.changed += [one for one in other["changed"] if one not in self.changed]
        for cause, ids in other["waiting"].items():
            self.waiting[cause] = sorted({*self.waiting.get(cause, ()), *ids})
        self.stale |= other["stale"]
        self.note_use(other["fields"], other["worst"], other["place"])

    def note_use(self, fields: int, worst: float | None, place: str) -> None:
        """Add how much of the tolerances one comparison used up."""
        self.fields += fields
        if worst is not None and (self.worst is None or worst > self.worst):
            self.worst, self.place = worst, place

    def as_plain(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure with a place in the source, for an annotation."""

    path: str
    line: int
    message: str
    cause: str


class Session:
    """One process's run.

    Args:
        config: Pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options: Options = read_options(config)
        self.tally = Tally()
        self.failed: list[Failed] = []
        self.unfinished: set[str] = set()
        self.incomplete = False
        self.unused: list[str] = []
        self._bench: Bench | None = None

    @property
    def is_worker(self) -> bool:
        """Whether this is a process of a parallel run, which reports to another."""
        return hasattr(self.config, "workerinput")

    @property
    def touched(self) -> bool:
        """Whether anything of the plugin was used."""
        tally = self.tally
        return self._bench is not None or bool(tally.compared or tally.used or tally.recorded)

    @property
    def bench(self) -> Bench:
        """What replays and compares; made, and tracediff imported, when it is first used."""
        if self._bench is None:
            from pytest_tracediff.bench import Bench  # runs that use no trace do without
            from tracediff.errors import TracediffError

            try:
                self._bench = Bench(self.config.rootpath, self.options)
            except TracediffError as error:
                hint = f"; {error.hint}" if error.hint else ""
                raise pytest.UsageError(f"tracediff: {error.message}{hint}") from None
        return self._bench

    def close(self) -> None:
        """End what was started."""
        if self._bench is not None:
            self._bench.close()

    def wrote(self, change: Change) -> None:
        """Note a file that a test wrote; an update that wrote over one is an acceptance."""
        self.tally.written.append(str(change["file"]))
        if self.options.update and change["was"] not in (None, change["now"]):
            self.tally.changed.append(change)

    def collected(self, items: Iterable[pytest.Item]) -> None:
        """Note the test modules that take part."""
        names = {self.name(item.path) for item in items}
        self.tally.modules = sorted({*self.tally.modules, *names})

    def deselected(self, items: Iterable[pytest.Item]) -> None:
        """Note the test modules of which something was left out."""
        names = {self.name(item.path) for item in items}
        self.tally.partial = sorted({*self.tally.partial, *names})

    def reported(self, report: pytest.TestReport) -> None:
        """Note what a test ended like."""
        if not report.passed or hasattr(report, "wasxfail"):
            self.unfinished.add(report.nodeid.partition("::")[0])
        said = dict(report.user_properties)
        where = said.get("tracediff_where")
        if report.failed and report.when == "call" and isinstance(where, str):
            path, _, line = where.rpartition(":")
            message = str(said.get("tracediff_summary", "the trace differs"))
            cause = str(said.get("tracediff_cause", ""))
            self.failed.append(Failed(path, int(line), message, cause))

    def name(self, path: Path) -> str:
        """A path as it is named in records: relative to the root directory."""
        try:
            return path.relative_to(self.config.rootpath).as_posix()
        except ValueError:
            return path.as_posix()


def session_of(config: pytest.Config) -> Session:
    """The run of a configuration."""
    return config.stash[KEY]
