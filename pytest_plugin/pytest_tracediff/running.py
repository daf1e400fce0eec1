"""Replaying a trace file's test, and showing how it failed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tracediff.bench import place_of
from pytest_tracediff.failing import failure
from pytest_tracediff.session import Session, session_of
from tracediff.errors import TracediffError
from tracediff.expectations.baseline import baseline, obstacle
from tracediff.expectations.causes import beginning, step_of, summary
from tracediff.expectations.limits import used
from tracediff.expectations.pending import Pending
from tracediff.expectations.warm import Outcome, Request
from tracediff.model import Comparison, Tolerance, Trace
from tracediff.reports import excerpt, wording
from tracediff.reports.clean import clean

if TYPE_CHECKING:
    from pytest_tracediff.items import TraceItem

LINES = 60
DETAILED_STEPS = 8
GONE = ("job-unknown", "job-not-importable", "job-signature-changed")


class DifferentError(Exception):
    """A trace that is not what was recorded.

    Args:
        comparison: Both sides.
        path: The file that was expected.
        kept: The result that waits now, if it does.
        note: What hindered keeping it.
        output: What the job printed.
    """

    def __init__(
        self, comparison: Comparison, path: Path, kept: Pending | None, note: str, output: str = ""
    ) -> None:
        super().__init__(summary(comparison))
        self.comparison = comparison
        self.path = path
        self.kept = kept
        self.note = note
        self.output = output


def replay_item(item: TraceItem) -> None:
    """Replay a trace file and compare; raises DifferentError or TracediffError."""
    session = session_of(item.config)
    bench = session.bench
    session.tally.used.append(bench.name(item.path))
    request = request_for(item, session)
    bench.warm.ahead(request)
    following = _following(item)
    if following is not None:
        bench.warm.ahead(request_for(following, session))
    item.user_properties.append(("tracediff_file", bench.name(item.path)))
    try:
        outcome = bench.warm.replay(request)
    except TracediffError as error:
        if error.slug in GONE:
            session.tally.stale[bench.name(item.path)] = error.message
        raise
    item.request = None
    judge(item, session, outcome, item.path, rules=bench.rules)


def request_for(item: TraceItem, session: Session) -> Request:
    """What is asked for a test; the same each time, since it may have been sent ahead."""
    if item.request is None:
        mode = session.options.record_mode
        item.request = Request(
            of=item.path,
            rules=(*session.bench.config.tolerances, *session.bench.rules),
            strict=session.options.strict_steps,
            on_miss="live" if mode in ("new_episodes", "all", "rewrite") else "fail",
            refresh=mode in ("all", "rewrite"),
        )
    found: Request = item.request
    return found


def _following(item: TraceItem) -> TraceItem | None:
    """The next test, if it is a trace file's: its replay may begin."""
    found = item.stash.get(NEXT, None)
    return found if found is not None and type(found) is type(item) else None


NEXT: pytest.StashKey[Any] = pytest.StashKey()


def judge(
    item: TraceItem, session: Session, outcome: Outcome, path: Path, *, rules: tuple[Tolerance, ...]
) -> None:
    """Say what came of a replay: nothing, or that it differs."""
    bench, tally = session.bench, session.tally
    tally.compared += 1
    about = item.user_properties
    about += [("tracediff_trace", outcome.id), ("tracediff_key", outcome.key)]
    if outcome.remark:
        tally.remarks.append(f"{bench.name(path)}: {outcome.remark}")
    if outcome.old is None or outcome.new is None:
        _passed(session, about, path, outcome)
        return
    rules = (*bench.config.tolerances, *rules)
    comparison = bench.compare(
        outcome.old, outcome.new, rules, strict=session.options.strict_steps, beside=path
    )
    renewed = session.options.record_mode in ("new_episodes", "all", "rewrite")
    if not _differs(comparison, renewed=renewed):
        use = used(comparison, rules)
        if renewed and comparison.new.replay is not None and comparison.new.replay.misses:
            write(session, path, baseline(comparison))
        _passed(session, about, path, replace(outcome, use=use))
        return
    if session.options.update and obstacle(comparison) is None:
        write(session, path, baseline(comparison))
        about.append(("tracediff_verdict", "updated"))
        return
    raise different(session, comparison, path, item.nodeid, about, outcome.output)


def _differs(comparison: Comparison, *, renewed: bool) -> bool:
    """Whether the outcome differs; an input that was read anew, as was asked for, does not."""
    replay = comparison.new.replay
    if not comparison.different or replay is None or not renewed:
        return comparison.different
    if any(miss.served == "failed" for miss in replay.misses):
        return True
    decided = [one for one in comparison.divergences if one.old == 0 and one.new == 0]
    outputs = [
        one for one in comparison.divergences
        if one.old is not None and comparison.old.steps[one.old].kind == "output" and not one.within
    ]  # fmt: skip
    return bool(outputs) or any(not one.within and one.aspects for one in decided)


def _passed(
    session: Session, about: list[tuple[str, object]], path: Path, outcome: Outcome
) -> None:
    use = outcome.use
    session.tally.note_use(use.fields, use.worst, use.place)
    about.append(("tracediff_verdict", "same"))
    if use.fields:
        about.append(("tracediff_tolerance", str(use)))
    if session.options.details:
        said = f"{outcome.key} {outcome.id}: {outcome.steps} steps"
        session.tally.replayed.append(said + (f", {use}" if use.fields else ""))
    forget(session, path)


def forget(session: Session, path: Path) -> None:
    """Nothing waits for a file any more, where that may be written down."""
    try:
        session.bench.forget(path)
    except OSError:
        session.tally.remarks.append(f"{path}: a result that waited cannot be removed")


def write(session: Session, path: Path, trace: Trace) -> None:
    """Write what is expected from now on, and say so."""
    session.wrote(session.bench.write(path, trace))


def different(
    session: Session,
    comparison: Comparison,
    path: Path,
    test: str,
    about: list[tuple[str, object]],
    output: str = "",
    *,
    keep: bool = True,
) -> DifferentError:
    """Keep what differs, where there is a file it differs from, and the error that says so."""
    bench, tally = session.bench, session.tally
    tally.different += 1
    kept, note = None, ""
    described = bench.described(comparison, path, test)
    try:
        kept = bench.keep(comparison, described) if keep else None
    except TracediffError as error:
        note = f"the result was not kept: {error.message}"
    if kept is not None:
        label = f"{kept.cause} {kept.cause_label}"
        tally.waiting.setdefault(label, []).append(kept.id)
    file, line = place_of(comparison, path)
    about += [
        ("tracediff_verdict", "different"),
        ("tracediff_summary", f"{comparison.old.key}: {described.summary}"),
        ("tracediff_cause", described.cause_label),
        ("tracediff_where", f"{file}:{line}"),
    ]
    return DifferentError(comparison, path, kept, note, output)


def shown(item: TraceItem, error: BaseException) -> Any:
    """How a failure is shown; None for one that is not ours."""
    session = session_of(item.config)
    if isinstance(error, DifferentError):
        lines = explained(session, error)
        file, line = place_of(error.comparison, error.path)
        said = f"{clean(error.comparison.old.key)}: {error}"
        sections = [("Captured replay output", error.output)] if error.output.strip() else []
        return failure(lines, _near(item, file), line, said, sections)
    if isinstance(error, pytest.UsageError):
        return failure([str(error)], str(item.path), 1, str(error), [])
    if isinstance(error, TracediffError):
        path = _near(item, str(item.path))
        lines = [f"{error.message}", *([f"  hint: {error.hint}"] if error.hint else []),
                 f"  see docs/errors.md#{error.slug}"]  # fmt: skip
        return failure(lines, path, _line_of(error), error.message, [])
    return None


def _line_of(error: TracediffError) -> int:
    _, found, number = error.message.rpartition("at line ")
    return int(number) if found and number.isdigit() else 1


def _near(item: TraceItem, file: str) -> str:
    """A source file as pytest writes paths: from where it was started, if it is below."""
    session = session_of(item.config)
    path = session.bench.root / file
    try:
        return path.relative_to(session.config.invocation_params.dir).as_posix()
    except ValueError:
        return str(path)


def brief(comparison: Comparison) -> list[str]:
    """A few lines on where two traces part, for those who are shown no more."""
    first = beginning(comparison)
    if first is None:
        return []
    step = step_of(comparison, first)
    where = f" at {clean(step.source.file)}:{step.source.line}" if step.source else ""
    lines = [f"{clean(step.name)}{where} · {first.kind}, {first.label}"]
    for aspect, changes in first.changes.items():
        lines += [
            f"  {' '.join(filter(None, (aspect, wording.field_path(one.path))))}: "
            f"{excerpt.short(one.old, 60)} → {excerpt.short(one.new, 60)}"
            for one in [one for one in changes if not one.within][:2]
        ]
    for change in (first.code or ())[:1]:
        lines += [f"  - {clean(line.strip())[:90]}" for line in change.removed[:1]]
        lines += [f"  + {clean(line.strip())[:90]}" for line in change.added[:1]]
    return lines[:6]


def asserted(session: Session, error: DifferentError) -> list[str]:
    """What an assertion shows: the summary, where it begins, what to do, and then all of it.

    Pytest cuts what comes after the eighth line, unless it is told to show all.
    """
    lines = brief(error.comparison) if session.options.diff_mode == "detailed" else []
    kept = [f"result {error.kept.id} waits: tracediff review"] if error.kept is not None else []
    rest = explained(session, error) if session.options.diff_mode == "detailed" else []
    return [str(error), *lines, *kept, *(["", *rest] if rest else [])]


def explained(session: Session, error: DifferentError) -> list[str]:
    """The lines that explain a difference, as many as were asked for."""
    mode = session.options.diff_mode
    lines = [] if mode == "disabled" else report(error.comparison, session)
    if mode == "summary":
        lines = [f"{clean(error.comparison.old.key)}: {error}"]
    kept = error.kept
    if kept is not None:
        where = f", all of it in {_report_of(session, kept)}" if kept.report else ""
        lines += ["", f"result {kept.id} waits: tracediff review{where}"]
        if kept.obstacle is not None:
            lines.append(f"it cannot be accepted: {clean(kept.obstacle)}")
    if error.note:
        lines += ["", clean(error.note)]
    return lines


def _report_of(session: Session, kept: Pending) -> str:
    results = session.bench.results
    path = results.directory / kept.report if results is not None else Path(kept.report)
    try:
        return path.relative_to(session.config.invocation_params.dir).as_posix()
    except ValueError:
        return str(path)


def report(comparison: Comparison, session: Session) -> list[str]:
    """The report of a comparison, bounded."""
    from tracediff.reports.text.canvas import Look, paint  # what passes needs no report
    from tracediff.reports.text.comparison import comparison_lines  # as above

    details = session.options.details
    width = session.config.get_terminal_writer().fullwidth
    look = Look(
        now=time.time_ns(),
        width=width,
        limit=len(comparison.pairs) if details else DETAILED_STEPS,
    )
    lines = paint(comparison_lines(comparison, look), look).splitlines()
    if len(lines) > LINES and not details:
        more = len(lines) - LINES
        lines = [*lines[:LINES], f"… and {more} more lines: --tracediff-details shows them"]
    return lines
