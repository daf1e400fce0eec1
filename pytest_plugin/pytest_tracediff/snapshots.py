"""Jobs that a test runs, compared step by step with the traces that were stored."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pytest_tracediff.fixtures import hold
from pytest_tracediff.items import ENDING, SNAPSHOTS
from pytest_tracediff.running import asserted, different, forget
from pytest_tracediff.session import Session, session_of
from tracediff import values
from tracediff.config import Config
from tracediff.errors import TracediffError
from tracediff.expectations.files import digest
from tracediff.expectations.limits import used
from tracediff.expectations.reading import read_trace
from tracediff.expectations.rules import given_rules
from tracediff.model import Step, Tolerance, Trace, Value
from tracediff.recording.capturing import Captured, captured
from tracediff.reports.clean import clean

ASSERTED = "asserted value"
"""The name of the output by which a value that is not the job's own result is kept."""

_ODD = re.compile(r"[^\w.-]+")


@dataclass(slots=True)
class _Shared:
    """What all snapshots of one test share."""

    item: pytest.Item
    session: Session
    captured: Captured
    count: int = 0


class TraceSnapshot:
    """Equal to what a test computed when the job behind it did what was stored.

    Called, it gives one with tolerances, or with a name of its own:
    ``trace_snapshot(rel_tol=1e-9, ignore="**/weight", name="export")``.
    """

    __array_ufunc__ = None  # numpy leaves the comparison to us
    __pandas_priority__ = 10_000  # and pandas too
    __hash__ = None  # type: ignore[assignment]  # equal to what it is compared with

    def __init__(
        self, shared: _Shared, rules: tuple[Tolerance, ...], *, strict: bool, name: str = ""
    ) -> None:
        self._shared = shared
        self._rules = rules
        self._strict = strict
        self._name = name
        self.said: list[str] = []

    def __call__(
        self,
        *,
        name: str = "",
        rel_tol: object = None,
        abs_tol: object = None,
        ignore: object = (),
        strict_steps: bool | None = None,
    ) -> TraceSnapshot:
        """The snapshot with tolerances on top, or under a name instead of the next number."""
        rules = given_rules(rel_tol=rel_tol, abs_tol=abs_tol, ignore=ignore, where="trace_snapshot")
        strict = self._strict if strict_steps is None else strict_steps
        return TraceSnapshot(self._shared, (*self._rules, *rules), strict=strict, name=name)

    def __repr__(self) -> str:
        return "trace_snapshot"

    def __ne__(self, value: object) -> bool:
        return not self == value

    def __eq__(self, value: object) -> bool:
        """Whether the job that finished since the last comparison is the stored one."""
        __tracebackhide__ = True
        shared, options = self._shared, self._shared.session.options
        new = _with_value(self._one_job(), value)
        path = self._path()
        bench, tally = shared.session.bench, shared.session.tally
        tally.used.append(bench.name(path))
        if not path.is_file():
            if options.update or options.new_only:
                hold(shared.item, (path, new))
                return True
            self._missing(path, new)
            return False
        old = _read(path)
        rules = (*bench.config.tolerances, *bench.rules, *self._rules)
        comparison = bench.compare(old, new, rules, strict=self._strict, beside=path)
        tally.compared += 1
        if not comparison.different:
            use = used(comparison, rules)
            tally.note_use(use.fields, use.worst, use.place)
            forget(shared.session, path)
            return True
        if options.update:
            hold(shared.item, (path, replace(new, id=old.id)))
            return True
        about = shared.item.user_properties
        error = different(shared.session, comparison, path, shared.item.nodeid, about)
        self.said = asserted(shared.session, error)
        return False

    def _one_job(self) -> Trace:
        __tracebackhide__ = True
        finished = self._shared.captured.take()
        if len(finished) == 1:
            return finished[0]
        if not finished:
            pytest.fail(
                "no job finished since the last comparison: call a function that @td.job marks, "
                "in this process and outside recorded_inputs, and compare what it returns"
            )
        listed = "\n".join(f"  {clean(one.key)}({clean(one.meta)})" for one in finished[:20])
        more = f"\n  … and {len(finished) - 20} more" if len(finished) > 20 else ""
        pytest.fail(
            f"{len(finished)} jobs finished since the last comparison, and trace_snapshot compares "
            f"one: compare after each of them\n{listed}{more}"
        )

    def _path(self) -> Path:
        shared = self._shared
        item = shared.item
        if not self._name:
            shared.count += 1
        part = self._name or (str(shared.count) if shared.count > 1 else "")
        module = shared.session.name(item.path).removesuffix(".py")
        test = item.nodeid.partition("::")[2]
        label = _ODD.sub("-", test.replace("::", "-")).strip("-.")[:80]
        mark = digest(f"{test}\0{part}".encode("utf-8", "surrogatepass"))[:6]
        extra = f"-{_ODD.sub('-', part)[:40]}" if part else ""
        directory = shared.session.options.directory / SNAPSHOTS / module
        return directory / f"{label}{extra}-{mark}{ENDING}"

    def _missing(self, path: Path, new: Trace) -> None:
        session = self._shared.session
        session.tally.different += 1
        kept = None
        with contextlib.suppress(TracediffError):  # the test fails all the same, without a result
            kept = session.bench.keep_new(new, path, self._shared.item.nodeid)
        if kept is not None:
            session.tally.waiting.setdefault(f"{kept.cause} {kept.cause_label}", []).append(kept.id)
        name = session.bench.name(path)
        self.said = [
            f"nothing is stored yet to compare with: {name}",
            "  hint: --tracediff-update-new-only stores it"
            + (f", or tracediff review: result {kept.id} waits" if kept is not None else ""),
        ]


def _with_value(trace: Trace, value: object) -> Trace:
    """The trace, with the value that was compared where it is not what the job returned."""
    data = values.encode(value)
    root = trace.steps[0]
    if root.result is not None and root.result.data == data:
        return trace
    kept = Step(
        parent=0, kind="output", name=ASSERTED, args=Value(values.encode({"value": value})),
        start=trace.duration,
    )  # fmt: skip
    return replace(trace, steps=(*trace.steps, kept))


def _read(path: Path) -> Trace:
    try:
        return read_trace(path)
    except TracediffError as error:
        said = f"{error.message}\n  hint: {error.hint}"
        raise pytest.fail.Exception(said, pytrace=False) from None


@contextlib.contextmanager
def snapshots(request: pytest.FixtureRequest, config: Config) -> Iterator[TraceSnapshot]:
    """The snapshots of one test, which records its jobs meanwhile."""
    from pytest_tracediff.marks import tolerances  # its errors are those of a mark

    session = session_of(request.config)
    rules, strict = tolerances(request.node)
    with captured(config) as found:
        shared = _Shared(request.node, session, found)
        strict = session.options.strict_steps if strict is None else strict
        yield TraceSnapshot(shared, rules, strict=strict)
