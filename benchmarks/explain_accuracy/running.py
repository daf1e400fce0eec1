"""Runs of a changed tree, each in a forked child, served by the recorded inputs."""

from __future__ import annotations

import argparse  # noqa: F401 - the example's job needs it: imported once, before all forks
import gc
import os
import pickle
import shutil
import signal
import sqlite3  # noqa: F401 - as above
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from numbers import Rational
from pathlib import Path
from types import FrameType
from typing import Any

import time_machine  # noqa: F401 - as above

from tracediff import codec, values
from tracediff.config import load_config
from tracediff.model import Code, Trace
from tracediff.recording.codeversion import assume
from tracediff.replay import replay_here
from tracediff.replay.whatif import what_ifs

TIME_LIMIT = 1.0
"""Seconds of work that a run may take: a job takes a twentieth."""
Path_ = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to: numbers by field, everything else as text; None where it failed.

    ``digest`` is equal exactly where result, error and outputs are, ``executed`` the lines that
    ran, by path.
    """

    numbers: Mapping[Path_, Fraction]
    others: Mapping[Path_, str]
    digest: bytes
    trace: Trace
    executed: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether it ended in an error."""
        return self.trace.steps[0].error is not None

    def same_fields(self, other: Outcome) -> bool:
        """Whether both have the same fields."""
        same = self.numbers.keys() == other.numbers.keys()
        return same and self.others.keys() == other.others.keys()


class Runner:
    """Runs variants of one laid-out tree.

    Args:
        tree: The tree; it stays as it is.
        scratch: A directory for a copy that variants are laid into.
        trace: The recording whose inputs are served.
    """

    def __init__(self, tree: Path, scratch: Path, trace: Trace) -> None:
        self.tree, self.scratch, self.trace = tree, scratch, trace
        self.runs = 0
        if not scratch.exists():
            shutil.copytree(tree, scratch)

    def run(
        self, changed: Mapping[str, str | None], *, pins: Sequence[str] = (), lines: bool = False
    ) -> Outcome | None:
        """The outcome with some files changed; None where it cannot be run."""
        self.runs += 1
        try:
            lay(changed, self.scratch)
            data = forked(lambda: _ran(self.scratch, self.trace, pins, lines))
        finally:
            restore(changed, self.tree, self.scratch)
        if data is None:
            return None
        packed, executed = data
        trace = codec.load(packed)
        kept = {path: frozenset(found) for path, found in executed.items()}
        return outcome(trace, kept)


def lay(changed: Mapping[str, str | None], tree: Path) -> None:
    """Write the changed files into a tree."""
    for name, text in changed.items():
        path = tree / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def restore(changed: Mapping[str, str | None], source: Path, tree: Path) -> None:
    """Take the changes back."""
    for name in changed:
        path = tree / name
        if (source / name).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, path)
        else:
            path.unlink(missing_ok=True)
        if not path.exists() and not (source / name).parent.exists():
            shutil.rmtree(path.parent, ignore_errors=True)


def forked(work: Callable[[], Any], limit: float = TIME_LIMIT) -> Any:
    """What a function returns in a child of this process; None where it fails or hangs."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(work, writing, limit)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        data = stream.read()
    os.waitpid(child, 0)
    return pickle.loads(data) if data else None


def _answer(work: Callable[[], Any], writing: int, limit: float) -> None:
    code = 1
    try:
        gc.disable()
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        signal.setitimer(signal.ITIMER_PROF, limit)
        signal.alarm(20)
        data = pickle.dumps(work())
        with os.fdopen(writing, "wb") as stream:
            stream.write(data)
        code = 0
    finally:
        os._exit(code)


def _ran(tree: Path, trace: Trace, pins: Sequence[str], lines: bool) -> tuple[bytes, Any]:
    sys.dont_write_bytecode = True
    assume(Code())  # what is installed is the same in each run; reading it is half the time
    os.chdir(tree)
    config = load_config(tree)
    seen: dict[str, set[int]] = {}
    root = f"{tree}{os.sep}"

    def watch(frame: FrameType, event: str, argument: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(root):
            return None
        seen.setdefault(name.removeprefix(root), set()).add(frame.f_lineno)
        return watch

    chosen = what_ifs(trace, [], pins) if pins else []
    if lines:
        sys.settrace(watch)
    new = replay_here(trace, config, what_ifs=chosen)
    sys.settrace(None)
    if new.replay is not None and new.replay.misses:
        raise RuntimeError("the changed code reads something that was not recorded")
    return codec.dump(new), seen


def outcome(trace: Trace, executed: Mapping[str, frozenset[int]] | None = None) -> Outcome:
    """The fields of a trace's outcome."""
    numbers: dict[Path_, Fraction] = {}
    others: dict[Path_, str] = {}
    job = trace.steps[0]
    exact: list[bytes] = [job.result.data if job.result else b""]
    _fields(("result",), values.inert(job.result) if job.result else None, numbers, others)
    if job.error is not None:
        others["error",] = f"{job.error.type}: {job.error.message}"
        exact.append(others["error",].encode())
    count: dict[str, int] = {}
    for step in trace.steps:
        if step.kind == "output" and step.args is not None:
            nth = count[step.name] = count.get(step.name, -1) + 1
            _fields(("output", step.name, nth), values.inert(step.args), numbers, others)
            exact.append(step.name.encode() + step.args.data)
    return Outcome(
        numbers=numbers,
        others=others,
        digest=b"\0".join(exact),
        trace=trace,
        executed=executed or {},
    )


def _fields(path: Path_, value: Any, numbers: dict[Path_, Fraction], others: Any) -> None:
    if isinstance(value, Decimal | float | Rational) and not isinstance(value, bool):
        try:
            numbers[path] = Fraction(value)
        except (ValueError, OverflowError):
            others[path] = repr(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _fields((*path, str(key)), inner, numbers, others)
    elif isinstance(value, values.Record):
        _fields(path, dict(value.fields), numbers, others)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            _fields((*path, at), inner, numbers, others)
    else:
        others[path] = repr(value)
