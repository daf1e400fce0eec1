"""Replays that a test asks for, and recorded inputs for any code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_tracediff.fixtures import FAILED, hold
from pytest_tracediff.marks import tolerances
from pytest_tracediff.running import asserted, different, forget
from pytest_tracediff.session import Session, session_of
from tracediff.config import Config
from tracediff.errors import TracediffError
from tracediff.expectations.baseline import baseline, obstacle
from tracediff.expectations.limits import used
from tracediff.expectations.reading import read_trace
from tracediff.expectations.rules import given_rules
from tracediff.expectations.warm import OnMiss, Request, Warm
from tracediff.model import Comparison, Step, Tolerance, Trace
from tracediff.replay.serving import served
from tracediff.replay.whatif import what_ifs
from tracediff.runtime import ReplayAbort
from tracediff.values import inert


def pinned_trace(request: pytest.FixtureRequest, path: Path) -> Trace:
    """The trace of a pinned file, for a test."""
    session = session_of(request.config)
    session.tally.used.append(session.bench.name(path))
    request.node.user_properties.append(("tracediff_file", session.bench.name(path)))
    with _failing():
        return read_trace(path)


def _failed(error: TracediffError, *, pytrace: bool) -> BaseException:
    """An error as a failure of the test: its message and hint, no traceback of ours."""
    hint = f"\n  hint: {error.hint}" if error.hint else ""
    said = f"{error.message}{hint}\n  see docs/errors.md#{error.slug}"
    return pytest.fail.Exception(said, pytrace=pytrace)


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Fail the test with an error's message and hint instead of its traceback."""
    try:
        yield
    except TracediffError as error:
        raise _failed(error, pytrace=False) from None


@dataclass(eq=False)
class Replay:
    """A recorded trace and its replay.

    True, and equal to the recorded trace, when both are the same within the tolerances. ``trace``
    is the new trace, ``comparison`` both laid against each other.
    """

    recorded: Trace
    trace: Trace
    comparison: Comparison
    file: Path | None
    _judge: Any = field(repr=False)
    _looked: bool = field(default=False, repr=False)
    said: list[str] = field(default_factory=list, repr=False)

    @property
    def same(self) -> bool:
        """Whether nothing differs that counts."""
        if not self._looked:
            self._looked = True
            self.said = self._judge(self)
        return not self.comparison.different

    @property
    def result(self) -> Any:
        """What the replay returned, to look at; None where it raised."""
        self._looked = True
        result = self.trace.steps[0].result
        return inert(result) if result is not None else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the new trace."""
        self._looked = True
        return self.trace.steps

    @property
    def looked_at(self) -> bool:
        """Whether the test did anything with it."""
        return self._looked

    def __bool__(self) -> bool:
        return self.same

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Trace) and other.id == self.recorded.id:
            return self.same
        if isinstance(other, Replay):
            return self is other or self.trace == other.trace
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to the trace it replays

    def __repr__(self) -> str:
        said = (
            "same" if not self.comparison.different else self.said[0] if self.said else "different"
        )
        return f"<replay of {self.recorded.key} {self.recorded.id}: {said}>"


class Replays:
    """Replays traces for one test.

    Args:
        request: The test's.
        config: The settings that hold in it.
    """

    def __init__(self, request: pytest.FixtureRequest, config: Config) -> None:
        self._node: Any = request.node
        self._session: Session = session_of(request.config)
        self._rules, self._strict = tolerances(request.node)
        self._config = config
        self._own: Warm | None = None
        self._made: list[Replay] = []
        call = getattr(request.node, "callspec", None)
        self._given: Path | None = call.params.get("recorded_trace") if call is not None else None

    def __call__(
        self,
        reference: str | Path | Trace | None = None,
        *,
        rel_tol: object = None,
        abs_tol: object = None,
        ignore: object = (),
        strict_steps: bool | None = None,
        on_miss: OnMiss = "fail",
        sets: Sequence[str] = (),
        pins: Sequence[str] = (),
    ) -> Replay:
        """Replay a trace: the mark's by default; with tolerances and what-ifs as ``compare`` has.

        Args:
            reference: A trace, a trace file, the id of a pinned trace, KEY@last; in the end what
                the store knows by that name, except in CI.
            rel_tol: A bound for all numbers, or bounds by path.
            abs_tol: The same.
            ignore: Paths to leave out.
            strict_steps: Let any step that differs count.
            on_miss: What to do about an input that was not recorded.
            sets: What-ifs "STEP=VALUE".
            pins: What-ifs "STEP".
        """
        __tracebackhide__ = True
        try:
            given = given_rules(
                rel_tol=rel_tol, abs_tol=abs_tol, ignore=ignore, where="replay_trace"
            )
            old, path = self._recorded(reference)
            bench = self._session.bench
            rules = (*self._config.tolerances, *bench.rules, *self._rules, *given)
            strict = strict_steps if strict_steps is not None else self._strict
            strict = self._session.options.strict_steps if strict is None else strict
            mode = self._session.options.record_mode
            request = Request(
                of=old,
                rules=rules,
                strict=strict,
                on_miss="live" if mode in ("new_episodes", "all", "rewrite") else on_miss,
                refresh=mode in ("all", "rewrite"),
                whole=True,
                what_ifs=tuple(what_ifs(old, sets, pins)),
            )
            outcome = self._warm().replay(request)
            if outcome.new is None:
                raise RuntimeError("a whole answer has both traces")
            if outcome.remark:
                self._session.tally.remarks.append(f"{self._node.nodeid}: {outcome.remark}")
            comparison = bench.compare(old, outcome.new, rules, strict=strict, beside=path)
        except TracediffError as error:
            raise _failed(error, pytrace=True) from None
        asked = bool(sets or pins) or on_miss != "fail"
        made = Replay(
            old, outcome.new, comparison, path,
            lambda replay: self._judge(replay, rules, asked=asked),
        )  # fmt: skip
        self._made.append(made)
        return made

    def close(self) -> None:
        """Look at the replays the test forgot to look at; one that differs fails it."""
        if self._own is not None:
            self._own.close()
        failed = self._node.stash.get(FAILED, False)  # one message is enough
        for one in () if failed else self._made:
            if not one.looked_at and not one.same:
                text = "\n".join(one.said)
                pytest.fail(
                    f"a replay that the test never looked at differs: {text}", pytrace=False
                )

    def _warm(self) -> Warm:
        """The process that replays: the run's, unless the test has other settings."""
        bench = self._session.bench
        if self._config == bench.config:
            return bench.warm
        if self._own is None:
            self._own = Warm(self._config)
        return self._own

    def _recorded(self, reference: str | Path | Trace | None) -> tuple[Trace, Path | None]:
        chosen = self._given if reference is None else reference
        if chosen is None:
            __tracebackhide__ = True
            pytest.fail("replay_trace() needs a reference, or the mark tracediff to choose traces")
        bench, about = self._session.bench, self._node.user_properties
        trace, path = bench.resolve(chosen, self._node.path.parent)
        if path is None and self._given is not None and isinstance(chosen, Trace):
            pinned = read_trace(self._given)
            path = self._given if pinned.id == chosen.id else None
        if path is not None:
            self._session.tally.used.append(bench.name(path))
        about += [("tracediff_trace", trace.id), ("tracediff_key", trace.key)]
        return trace, path

    def _judge(self, replay: Replay, rules: Sequence[Tolerance], *, asked: bool) -> list[str]:
        """Count a replay that was looked at; what is to be said when it differs."""
        session, comparison = self._session, replay.comparison
        session.tally.compared += 1
        about = self._node.user_properties
        path = replay.file
        if not comparison.different:
            use = used(comparison, rules)
            session.tally.note_use(use.fields, use.worst, use.place)
            about.append(("tracediff_verdict", "same"))
            if path is not None and not asked:
                forget(session, path)
            return []
        updated = session.options.update and not asked and obstacle(comparison) is None
        if path is not None and updated:
            hold(self._node, (path, baseline(comparison)))
            replay.comparison = replace(comparison, different=False)
            return []
        beside = path if path is not None and not asked else None
        where = beside or Path(f"{replay.recorded.id}.trace.json")
        error = different(
            session, comparison, where, self._node.nodeid, about, keep=beside is not None
        )
        return asserted(session, error)


class Inputs:
    """Serves the inputs of a trace to whatever runs in its block.

    ``--tracediff-record-mode`` says what happens to inputs that the file has no recording of, or
    that are to be read anew.
    """

    def __init__(self, request: pytest.FixtureRequest, config: Config) -> None:
        self._node: Any = request.node
        self._session: Session = session_of(request.config)
        self._config = config

    @contextlib.contextmanager
    def __call__(self, reference: str | Path | Trace) -> Iterator[Trace]:
        """Serve the inputs of a trace until the block ends.

        Args:
            reference: A trace, a trace file, the id of a pinned trace, KEY@last.

        Yields:
            The trace.
        """
        session, mode = self._session, self._session.options.record_mode
        bench, beside = session.bench, self._node.path.parent
        path = None if isinstance(reference, Trace) else bench.find_file(reference, beside)
        if path is not None and mode != "none" and not path.is_file():
            trace, mode = _empty(path, self._config), "rewrite"
        else:
            with _failing():
                trace, path = bench.resolve(reference, beside)
        if path is not None:
            session.tally.used.append(bench.name(path))
        live = mode in ("new_episodes", "all", "rewrite")
        source = trace if mode in ("none", "once", "new_episodes") else _nothing(trace)
        try:
            with served(source, self._config, on_miss="live" if live else "fail") as finished:
                yield trace
        except ReplayAbort as error:
            hint = error.hint or "--tracediff-record-mode=new_episodes records what is new"
            raise pytest.fail.Exception(f"{error}\n  hint: {hint}", pytrace=False) from None
        new = finished()
        misses = [one for one in new.replay.misses if one.served == "failed"] if new.replay else []
        if misses:  # the code under test swallowed it
            pytest.fail(f"no recording answers the {misses[0].kind} {misses[0].name!r}")
        if live and path is not None and new.replay is not None and new.replay.misses:
            kept = replace(_merged(trace, new, mode), replay=None)
            hold(self._node, (path, kept))


def _empty(path: Path, config: Config) -> Trace:
    """A recording without any input, of a file that is not there yet."""
    import time  # only where something is recorded

    from tracediff.recording.ids import new_id

    name = path.name.removesuffix(".trace.json")
    job = Step(parent=-1, kind="job", name=name)
    now = time.time_ns()
    return Trace(id=new_id(), key=name, job="tests:recorded", steps=(job,), started_at=now)


def _nothing(trace: Trace) -> Trace:
    return replace(trace, steps=trace.steps[:1])


def _merged(old: Trace, new: Trace, mode: str) -> Trace:
    """The new recording; unless it is written over, with the inputs nobody called this time."""
    root = replace(old.steps[0], duration=new.steps[0].duration)
    fresh = [one for one in new.steps[1:] if one.kind in ("input", "output")]
    kept: list[Step] = []
    if mode == "new_episodes":
        known = {_identity(one) for one in old.steps[1:]}
        kept = [one for one in old.steps[1:] if one.kind in ("input", "output")]
        fresh = [one for one in fresh if _identity(one) not in known]
    elif mode == "all":
        called = {_identity(one) for one in fresh}
        kept = [
            one for one in old.steps[1:]
            if one.kind in ("input", "output") and _identity(one) not in called
        ]  # fmt: skip
    flat = [replace(one, parent=0) for one in (*kept, *fresh)]
    return replace(
        old, steps=(root, *flat), depth="inputs", state="success", code=new.code,
        started_at=old.started_at,
    )  # fmt: skip


def _identity(step: Step) -> tuple[str, str, bytes]:
    value = step.key or step.args
    return step.kind, step.name, value.data if value is not None else b""
