"""Running mixtures of old and new code in a worker process; see ``hybridworker``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self

from tracediff import codec
from tracediff.config import Config
from tracediff.errors import ReplayError
from tracediff.explain.hybridimport import Project
from tracediff.explain.hybridworker import sources
from tracediff.explain.outcomes import Outcome
from tracediff.explain.pairing import pair
from tracediff.explain.slots import Pairing
from tracediff.model import Trace
from tracediff.replay import environment_at
from tracediff.replay.ending import when_ended
from tracediff.replay.framing import receive, send
from tracediff.replay.libraries import differing
from tracediff.replay.starting import started
from tracediff.replay.watching import Assigned, Watch

PATIENCE = 5.0
"""Seconds in which a worker has to end."""

Failure = Literal["refused", "died", "timeout", "memory"]


@dataclass(frozen=True, slots=True)
class Covered:
    """What an end needed: seconds, bytes of address space, modules, libraries, functions, files."""

    seconds: float
    memory: int
    modules: tuple[tuple[str, str], ...]
    libraries: tuple[str, ...]
    ran: frozenset[tuple[str, str, int]]
    opened: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a mixture gave: an outcome, or why there is none."""

    outcome: Outcome | None = None
    failure: Failure | None = None
    why: str = ""
    trace: Trace | None = None
    locals: tuple[Assigned, ...] = ()
    covered: Covered | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A mixture to run: bit ``i`` of ``choice`` takes unit ``i`` from the new side.

    ``side`` asks for the old or the new side as it is instead. ``trace`` indexes the recordings
    that serve it, ``base`` is the directory its files are read from, ``libraries`` are those taken
    in their recorded version, ``limit`` is in seconds, ``memory`` in bytes of address space (0: no
    limit). ``anew`` imports even what ``settle`` has imported for all. ``marked`` asks which
    functions that can be chosen ran. ``apart`` gives each trace of a batch a process of its own.
    """

    choice: int = 0
    side: Literal["", "old", "new"] = ""
    trace: int = 0
    base: Path | None = None
    libraries: tuple[str, ...] = ()
    limit: float = 60.0
    memory: int = 0
    steps: bool = False
    deep: bool = False
    anew: bool = False
    coverage: bool = False
    marked: bool = False
    apart: bool = False
    watch: Watch | None = None

    def packed(self, number: int) -> dict[str, Any]:
        """As the worker gets it."""
        return {
            "number": number,
            "choice": self.choice.to_bytes(self.choice.bit_length() // 8 + 1, "little"),
            "side": self.side,
            "trace": self.trace,
            "base": str(self.base) if self.base is not None else "",
            "libraries": list(self.libraries),
            "limit": self.limit,
            "memory": self.memory,
            "steps": self.steps,
            "deep": self.deep,
            "anew": self.anew,
            "coverage": self.coverage,
            "marked": self.marked,
            "apart": self.apart,
            "watch": self.watch.packed() if self.watch is not None else None,
        }


class Hybrids:
    """A worker, as a context.

    Args:
        trace: The recording that serves the inputs.
        then: The settings of the old side, laid out in a directory of its own.
        config: Those of the new side.
        told: Those of the project itself, where neither side is its work tree; its store's
            redaction key seals secrets as in the recording.
        roots: The import roots; by default those of the recording.
    """

    def __init__(
        self,
        trace: Trace,
        then: Config,
        config: Config,
        *,
        told: Config | None = None,
        roots: Sequence[str] | None = None,
    ) -> None:
        roots = list(roots if roots is not None else entries(then, config, [trace]))
        self.project = Project(then.root, config.root, roots)
        self.libraries = differing(config.recorded_libraries)
        self._config, self._told = config, told or config
        self._request = [
            str(then.root),
            str(config.root),
            roots,
            [str(one) for one in config.recorded_libraries],
            [codec.dump(trace)],
        ]
        self._commit = trace.code.commit
        self._traces = 1
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: int | None = None
        self._errors: IO[bytes] | None = None
        self._taken_back: Callable[[], None] = lambda: None
        self.runs = 0

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        reading, writing = os.pipe()
        told = environment_at(self._told, self._commit or "0" * 40)
        try:
            self._process = started(
                "tracediff.explain.hybridworker", self._config, [writing],
                out=subprocess.DEVNULL, errors=self._errors, told=told,
            )  # fmt: skip
        except ReplayError as error:
            os.close(reading)
            self._errors.close()
            raise _stopped(error.message) from None
        finally:
            os.close(writing)
        self._answers = reading
        self._taken_back = when_ended(self._process.terminate)
        try:
            self._send(self._request)
            kind, *said = self._receive()
            if kind != "ready":
                raise _stopped(str(said[0]))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._taken_back()
        if self._process is not None:
            with contextlib.suppress(OSError):  # it read no more
                if self._process.stdin is not None:
                    self._process.stdin.close()
            self._process.terminate()  # it ends the mixtures that still run
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._answers is not None:
            os.close(self._answers)
        if self._errors is not None:
            self._errors.close()

    def plan(self, files: Sequence[str], *, strict: bool) -> Pairing:
        """Lay these sources of both sides against each other, here and in the worker.

        Args:
            files: Their paths, relative to either side.
            strict: See ``pairing.pair``.
        """
        self._send(["plan", [list(files), strict]])
        return pair(*sources(self.project, files), strict=strict)

    def settle(self, modules: Sequence[str], differing: Sequence[str]) -> None:
        """Have modules of the project imported before the mixtures fork, where that is the same.

        Args:
            modules: Those that both sides load, in their order.
            differing: The files that differ.
        """
        self._send(["settle", [list(modules), list(differing)]])

    def warm(self, libraries: Sequence[str]) -> None:
        """Have these modules imported before the mixtures fork."""
        self._send(["warm", list(libraries)])

    def serve(self, trace: Trace) -> int:
        """Add a recording that may serve the inputs; its number."""
        self._send(["trace", [self._traces, codec.dump(trace)]])
        self._traces += 1
        return self._traces - 1

    def release(self, numbers: Sequence[int]) -> None:
        """Forget recordings that were added."""
        self._send(["release", list(numbers)])

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """Run mixtures; each answer with its task's index, as they come."""
        self._send(["run", [task.packed(number) for number, task in enumerate(tasks)]])
        for _ in tasks:
            number, kind, body = self._receive()
            self.runs += 1
            yield number, _answer(kind, body)

    def batch(
        self, tasks: Sequence[tuple[Task, Sequence[int]]]
    ) -> Iterator[tuple[int, int, Answer]]:
        """Run mixtures, each for many recordings one after the other in one process.

        Gives the index of a task, the number of a recording, and the answer, as they come.
        """
        packed = [
            {**task.packed(number), "traces": list(traces)}
            for number, (task, traces) in enumerate(tasks)
        ]
        self._send(["batch", packed])
        for _ in range(sum(len(traces) for _, traces in tasks)):
            number, trace, kind, body = self._receive()
            self.runs += 1
            yield number, trace, _answer(kind, body)

    def _send(self, message: object) -> None:
        try:
            if self._process is not None and self._process.stdin is not None:
                send(self._process.stdin.fileno(), message)
        except OSError:
            raise self._died() from None

    def _receive(self) -> Any:
        if self._answers is None:
            raise _stopped("the process that runs mixtures was not started")
        try:
            return receive(self._answers)
        except EOFError:
            raise self._died() from None

    def _died(self) -> ReplayError:
        said = ""
        if self._errors is not None:
            self._errors.seek(0)
            lines = self._errors.read(1 << 20).decode("utf-8", "replace").strip().splitlines()
            said = ": " + " | ".join(lines[-3:]) if lines else ""
        return _stopped(f"the process that runs mixtures ended{said}")


def entries(then: Config, config: Config, traces: Iterable[Trace]) -> list[str]:
    """The import roots of both sides, relative to them, in order; "" is the directory itself.

    Those too that only an editable installation knows: under which a recorded step's module lies.
    """
    found: dict[str, None] = {}
    for side in (config, then):
        for path in side.pythonpath:
            if path.is_relative_to(side.root):
                relative = path.relative_to(side.root).as_posix()
                found["" if relative == "." else relative] = None
    sources = (step.source for trace in traces for step in trace.steps)
    for source in dict.fromkeys(one for one in sources if one is not None):
        module, file = source.unit.partition(":")[0].replace(".", "/"), f"/{source.file}"
        for tail in (f"/{module}.py", f"/{module}/__init__.py"):
            if file.endswith(tail) and not source.file.startswith("/"):
                found[file.removesuffix(tail).removeprefix("/")] = None
    found.setdefault("", None)
    return list(found)


def _answer(kind: str, body: Any) -> Answer:
    if kind != "ran":
        return Answer(failure=kind, why=body)  # type: ignore[arg-type]  # the worker's own words
    covered = None
    if "seconds" in body:
        covered = Covered(
            seconds=body["seconds"],
            memory=body["memory"],
            modules=tuple((name, file) for name, file in body["modules"]),
            libraries=tuple(body["libraries"]),
            ran=frozenset((side, file, line) for side, file, line in body["ran"]),
            opened=tuple(body["opened"]),
        )
    return Answer(
        outcome=Outcome.unpacked(body["outcome"]),
        trace=codec.load(body["trace"]) if body["trace"] else None,
        locals=tuple(Assigned(*one) for one in body["locals"]),
        covered=covered,
    )


def _stopped(message: str) -> ReplayError:
    return ReplayError(
        message,
        slug="explain-failed",
        hint="`tracediff compare` shows what changed without saying how much is whose",
    )
