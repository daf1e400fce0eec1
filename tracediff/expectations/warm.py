"""Replaying many traces in a process that stays warm, one after the other.

The process imports the jobs once. What was replayed after another trace and differs is replayed
again where no other was before it: a job that keeps something between calls (a cache around an
input) fails no test by the order in which tests run. A process that dies or takes too long is
started again. Requests for files may be sent ahead, so that it works while the asker does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ormsgpack

from tracediff import codec
from tracediff.config import Config
from tracediff.errors import ReplayError
from tracediff.expectations.limits import Used
from tracediff.expectations.rules import packed
from tracediff.model import Tolerance, Trace
from tracediff.replay.framing import HEAD, send, size_of
from tracediff.replay.starting import died, started
from tracediff.replay.whatif import WhatIf

MAX_OUTPUT = 1 << 16
OnMiss = Literal["fail", "nearest", "stub", "live"]
KEPT = (
    "it differs when another trace was replayed in the same process before: something is kept "
    "between jobs, such as a cache around an input"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to replay: a trace file, or a trace.

    ``refresh`` serves no recorded input: all are read anew. ``whole`` asks for both traces even
    where they are the same.
    """

    of: Path | Trace
    rules: tuple[Tolerance, ...] = ()
    strict: bool = False
    on_miss: OnMiss = "fail"
    refresh: bool = False
    whole: bool = False
    what_ifs: tuple[WhatIf, ...] = ()

    def packed(self) -> dict[str, Any]:
        """As it travels."""
        of = {"file": str(self.of)} if isinstance(self.of, Path) else {"trace": codec.dump(self.of)}
        return {
            **of,
            "rules": packed(self.rules),
            "strict": self.strict,
            "on_miss": self.on_miss,
            "refresh": self.refresh,
            "whole": self.whole,
            "what_ifs": [one.packed() for one in self.what_ifs],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a replay: both traces where they differ, else what is to be said of one.

    ``output`` is what the job printed, where it differs or failed.
    """

    id: str = ""
    key: str = ""
    steps: int = 0
    use: Used = field(default_factory=Used)
    old: Trace | None = None
    new: Trace | None = None
    output: str = ""
    remark: str = ""


class Warm:
    """Replays traces of one project; the process is started with the first of them.

    Args:
        config: The project's settings.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._process: _Process | None = None
        self._sent: deque[Request] = deque()
        self._answers: list[tuple[Request, list[Any]]] = []

    def ahead(self, request: Request) -> None:
        """Send a request for a file whose answer is asked for later."""
        known = [*self._sent, *(one for one, _ in self._answers)]
        if len(known) <= 1 and not any(one is request for one in known):
            self._send(request)

    def replay(self, request: Request) -> Outcome:
        """Replay a trace and compare it.

        Raises:
            TracediffError: The file cannot be read, or the replay failed.
        """
        try:
            answer = self._ask(request)
            remark = ""
            if answer[2] in ("different", "error") and not answer[0]:
                again = self._afresh(request)
                remark = KEPT if again[2] in ("same", "whole") else ""
                answer = again
            return self._outcome(answer, remark)
        except ReplayError:
            raise
        except BaseException:  # interrupted while an answer is under way: it must not be mixed up
            self.close()
            raise

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        self._sent.clear()
        self._answers.clear()
        if process is not None:
            process.close()

    def _outcome(self, answer: list[Any], remark: str) -> Outcome:
        _, place, kind, *rest = answer
        if kind == "same":
            name, key, steps, fields, worst, where = rest
            use = Used(fields, worst, where)
            return Outcome(id=name, key=key, steps=steps, use=use, remark=remark)
        if kind == "error":
            message, slug, hint = rest
            raise ReplayError(message, slug=slug, hint=hint)
        old, new = (codec.load(one) for one in rest)
        printed = self._process.printed(*place) if self._process is not None else ""
        return Outcome(
            id=old.id, key=old.key, steps=len(old.steps), old=old, new=new, output=printed
        )

    def _ask(self, request: Request) -> list[Any]:
        for at, (one, answer) in enumerate(self._answers):
            if one is request:
                del self._answers[at]
                return answer
        if not any(one is request for one in self._sent):
            self._drain()  # a pipe that is full in both directions would stand still
            self._send(request)
        while True:
            first = self._sent[0]
            answer = self._next()
            if first is request:
                return answer
            self._answers.append((first, answer))

    def _afresh(self, request: Request) -> list[Any]:
        """The same once more, in a process where nothing was replayed yet."""
        self._drain()
        if self._process is not None:
            self._process.send(None)
        return self._ask(request)

    def _drain(self) -> None:
        while self._sent:
            first = self._sent[0]
            self._answers.append((first, self._next()))

    def _send(self, request: Request) -> None:
        if self._process is None:
            self._process = _Process(self._config)
        self._sent.append(request)
        with contextlib.suppress(BrokenPipeError):  # it died: reading the answer says how
            self._process.send(request.packed())

    def _next(self) -> list[Any]:
        """The answer to the first request that was sent; after a failure the rest is sent again."""
        process = self._process
        if process is None:
            raise RuntimeError("nothing was sent")
        try:
            answer = process.receive(self._config.replay_timeout)
        except ReplayError:
            waiting = list(self._sent)[1:]
            answers = self._answers[:]
            self.close()
            self._answers = answers
            for one in waiting:
                self._send(one)
            raise
        self._sent.popleft()
        return answer


class _Process:
    """The process, and the pipes to it."""

    def __init__(self, config: Config) -> None:
        self._answers, reply = os.pipe()
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        flags = fcntl.fcntl(self._out, fcntl.F_GETFL)
        fcntl.fcntl(self._out, fcntl.F_SETFL, flags | os.O_APPEND)
        try:
            self._process = started(
                "tracediff.expectations.warmworker", config, [reply], out=self._out
            )
        except ReplayError:
            self._out.close()
            os.close(self._answers)
            raise
        finally:
            os.close(reply)
        os.set_blocking(self._answers, False)
        self.send([str(config.root), settings_told(config)])

    def send(self, message: Any) -> None:
        """Write one message."""
        pipe = self._process.stdin
        if pipe is not None:
            send(pipe.fileno(), message)

    def receive(self, limit: float | None) -> list[Any]:
        """Read one answer."""
        deadline = None if limit is None else time.monotonic() + limit
        size = size_of(self._read(HEAD, deadline, limit))
        found: list[Any] = ormsgpack.unpackb(self._read(size, deadline, limit))
        return found

    def _read(self, size: int, deadline: float | None, limit: float | None) -> bytes:
        parts = []
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while size:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            if not poll.poll(left):
                raise ReplayError(
                    f"the replay took longer than {limit:g} s",
                    slug="replay-timeout",
                    hint="raise replay_timeout in [tool.tracediff]",
                )
            part = os.read(self._answers, min(size, 1 << 20))
            if not part:
                raise died("the process that replayed it", self._process.wait(), self.printed())
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def printed(self, start: int = 0, end: int | None = None) -> str:
        """What was printed between two places of the output; without them, the end of all."""
        size = os.fstat(self._out.fileno()).st_size
        first = start if end is not None else max(0, size - MAX_OUTPUT)
        room = min((size if end is None else end) - first, MAX_OUTPUT)
        return os.pread(self._out.fileno(), max(0, room), first).decode("utf-8", "replace")

    def close(self) -> None:
        """End the process and whatever its jobs started."""
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it read no more
                self._process.stdin.close()
        os.close(self._answers)
        self._out.close()


def settings_told(config: Config) -> dict[str, list[str]]:
    """What a replay needs of settings that may differ from those of the project's files."""
    return {
        "jobs": list(config.jobs),
        "pythonpath": list(map(str, config.pythonpath)),
        "redact": list(config.redact),
        "replay_allow": list(config.replay_allow),
    }
