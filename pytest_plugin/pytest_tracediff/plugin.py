"""The hooks. This module and what it imports need the standard library and pytest, nothing else."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_tracediff import fixtures
from pytest_tracediff.items import ENDING, TraceFile, TraceItem, is_trace_test
from pytest_tracediff.options import MARK, add_options
from pytest_tracediff.session import KEY, Session, session_of

record_job = fixtures.record_job
recorded_inputs = fixtures.recorded_inputs
recorded_trace = fixtures.recorded_trace
replay_trace = fixtures.replay_trace
trace_snapshot = fixtures.trace_snapshot
tracediff_config = fixtures.tracediff_config


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and ini keys."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read them, and listen to the processes of a parallel run."""
    config.addinivalue_line("markers", MARK)
    session = Session(config)
    config.stash[KEY] = session
    config.pluginmanager.register(_Listener(session), "tracediff-listener")
    add_directory(config, session)


def add_directory(config: pytest.Config, session: Session) -> None:
    """Collect the directory of traces where the whole suite is run, wherever it lies."""
    directory, options = session.options.directory, session.options
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not whole or not options.collect or not directory.is_dir():
        return
    here = config.invocation_params.dir
    if not any(directory.is_relative_to((here / one).resolve()) for one in config.args):
        config.args.append(str(directory))


class _Listener:
    """Notes what the processes and tests of one run say."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Add what a process of a parallel run counted."""
        output = getattr(node, "workeroutput", None) or {}
        if "tracediff" in output:
            self.session.tally.add(output["tracediff"])
        else:  # it died: what its tests used is not known
            self.session.incomplete = True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note that the list of tests is not whole."""
        if report.failed:
            self.session.incomplete = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how each test ended."""
        self.session.reported(report)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what was started."""
    if KEY in config.stash:
        session_of(config).close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> TraceFile | None:
    """A trace file is a test."""
    if not file_path.name.endswith(ENDING):
        return None
    session = session_of(parent.config)
    if is_trace_test(file_path, session, parent.config.args):
        found: TraceFile = TraceFile.from_parent(parent, path=file_path)
        return found
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the mark runs once for each trace it chooses."""
    if metafunc.definition.get_closest_marker("tracediff") is not None:
        from pytest_tracediff.marks import parametrize  # tests without the mark do without

        parametrize(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, Any, Any]:
    """Remember which test comes next, so that its replay may begin."""
    if isinstance(item, TraceItem) and isinstance(nextitem, TraceItem):
        from pytest_tracediff.running import NEXT  # as above

        item.stash[NEXT] = nextitem
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Keep what the test's jobs do, where that was asked for of all tests."""
    if not session_of(item.config).options.record or not fixtures.is_recordable(item):
        return (yield)
    from pytest_tracediff.recording import recorded  # runs that record nothing do without

    with recorded(item, session_of(item.config).bench.config):
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note what takes part; settings that cannot be used end the run before it begins."""
    session = session_of(config)
    session.collected(items)
    listing = session.is_worker or config.getoption("collectonly")
    if not listing and any(fixtures.is_used_by(item) for item in items):
        _ = session.bench


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note what does not."""
    if items:
        session_of(items[0].config).deselected(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Write what a test that passed makes the new expectation, and nothing of one that failed."""
    report: Any = yield
    if call.when == "call":
        problem = fixtures.finish(item, passed=report.passed and not hasattr(report, "wasxfail"))
        item.stash[fixtures.FAILED] = report.failed
        if problem is not None:
            report.outcome, report.longrepr = "failed", problem
    return report


def pytest_assertrepr_compare(
    config: pytest.Config, op: str, left: object, right: object
) -> list[str] | None:
    """The step-by-step difference, where one side is a trace, a step, a value or a snapshot."""
    kinds = {type(left).__module__, type(right).__module__}
    if op not in ("==", "!=") or not kinds & {
        "tracediff.model", "pytest_tracediff.snapshots", "pytest_tracediff.replays",
    }:  # fmt: skip
        return None
    from pytest_tracediff.introspection import explain  # only where there is one

    return explain(session_of(config), op, left, right)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Where the traces are, in a project that has some."""
    from pytest_tracediff.summary import header  # not in the processes of a parallel run

    return header(session_of(config))


def _may_tell(run: Session) -> bool:
    """Whether a run says anything of traces: it used some, or all of a suite that has some ran."""
    if run.config.getoption("collectonly"):
        return False
    whole = run.config.args_source is not pytest.Config.ArgsSource.ARGS
    return run.touched or (whole and run.options.directory.is_dir())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Hand over what was counted, or keep it."""
    run = session_of(session.config)
    if run.is_worker:
        session.config.workeroutput["tracediff"] = run.tally.as_plain()  # type: ignore[attr-defined]  # xdist adds it
    elif _may_tell(run):
        from pytest_tracediff.summary import finish  # runs without traces do without

        finish(run, session, int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was compared, what waits, what is unused."""
    run = session_of(config)
    if _may_tell(run):
        from pytest_tracediff.summary import summarise  # as above

        summarise(run, terminalreporter)
