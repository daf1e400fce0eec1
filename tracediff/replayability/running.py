"""The processes that replay, from outside: one a hash seed and processor, fed from one line."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tracediff import codec
from tracediff.check.machine import processors
from tracediff.check.processes import MARK, end_marked
from tracediff.config import Config
from tracediff.errors import ReplayError
from tracediff.expectations.warm import settings_told
from tracediff.model import Trace
from tracediff.replay.framing import receive, send
from tracediff.replay.starting import died, started
from tracediff.replayability.evidence import Asked, Seen

HASH_SEEDS = ("1", "2")
"""Sets of texts are walked in other orders under each."""

MANY: Final = 8
"""How many replays must wait for another process to be started for them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A replay that is to be done: of the trace with a number, under a hash seed.

    ``turn`` is whatever tells the asker which of its replays it is.
    """

    number: int
    asked: Asked
    hash_seed: str
    turn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where traces are replayed: the settings there, and what the process is told beside.

    ``tree`` is the project's directory as it is now.
    """

    config: Config
    tree: Path
    environment: Mapping[str, str]


class _Process:
    """A process that replays one trace after the other."""

    def __init__(self, place: Place, hash_seed: str) -> None:
        config = place.config
        self._mark = os.urandom(12).hex()
        self._answers, reply = os.pipe()
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        told = {**place.environment, "PYTHONHASHSEED": hash_seed, MARK: self._mark}
        try:
            self._process = started(
                "tracediff.replayability.replaying", config, [reply], out=self._out, told=told
            )
        except ReplayError:
            self._out.close()
            os.close(self._answers)
            raise
        finally:
            os.close(reply)
        given = {**settings_told(config), "inputs": list(config.inputs)}
        self._send([str(config.root), str(place.tree), given])

    def _send(self, message: Any) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # it died: reading the answer says how
                send(pipe.fileno(), message)

    def replay(self, trace: Trace, asked: Asked) -> Seen:
        """One replay. A process that is gone is an error of this trace's."""
        self._send([codec.dump(trace), asked.packed()])
        try:
            return Seen.unpacked(receive(self._answers))
        except EOFError:
            code = self._process.wait()
            self._out.seek(0)
            said = self._out.read()[-4_000:].decode("utf-8", "replace")
            hint = "importing the jobs may end it; import them by hand to see why"
            return Seen(error=died("the process that replays", code, said, hint))

    @property
    def is_gone(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        end_marked(self._mark)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it read no more
                self._process.stdin.close()
        os.close(self._answers)
        self._out.close()


class Running:
    """Replays traces of one code, several at once; as a context, it ends its processes.

    Args:
        place: Where.
        traces: What is replayed, by number.
    """

    def __init__(self, place: Place, traces: Mapping[int, Trace]) -> None:
        self._place, self._traces = place, traces
        self._idle: dict[str, list[_Process]] = {}
        self._every: list[_Process] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._every:
            one.close()

    def all(self, wanted: Sequence[Wanted], told: Callable[[], None]) -> dict[Wanted, Seen]:
        """Do these replays, in any order.

        Args:
            wanted: What to replay.
            told: Called, on a thread of its own, whenever one is done.
        """
        lines: dict[str, deque[Wanted]] = {}
        for one in wanted:
            lines.setdefault(one.hash_seed, deque()).append(one)
        found: dict[Wanted, Seen] = {}
        failed: list[BaseException] = []

        def work(own: list[str]) -> None:
            while not failed:
                one = self._next(lines, own)
                if one is None:
                    return
                try:
                    found[one] = self._replay(one)
                except BaseException as error:  # noqa: BLE001 - raised where it was asked for
                    failed.append(error)
                told()

        workers = min(processors(), len(wanted))
        seeds = sorted(lines)
        owned = [seeds[at::workers] or [seeds[at % len(seeds)]] for at in range(workers)]
        threads = [threading.Thread(target=work, args=(own,), daemon=True) for own in owned]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # so that an interrupt is heard
        if failed:
            raise failed[0]
        return found

    def _next(self, lines: dict[str, deque[Wanted]], own: Sequence[str]) -> Wanted | None:
        """What a worker does next: of another's line only what is worth a process of its own."""
        with self._lock:
            for seed, line in lines.items():
                if line and (seed in own or len(line) >= MANY):
                    return line.popleft()
        return None

    def _replay(self, one: Wanted) -> Seen:
        process = self._taken(one.hash_seed)
        seen = process.replay(self._traces[one.number], one.asked)
        with self._lock:
            if not process.is_gone:
                self._idle[one.hash_seed].append(process)
        return seen

    def _taken(self, hash_seed: str) -> _Process:
        with self._lock:
            waiting = self._idle.setdefault(hash_seed, [])
            if waiting:
                return waiting.pop()
        made = _Process(self._place, hash_seed)
        with self._lock:
            self._every.append(made)
        return made
