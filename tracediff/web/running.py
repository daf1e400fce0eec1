"""Work that takes seconds, done in the background while pages ask how far it is.

A run is named by what it is about and by the state of the code, so that asking twice is one run,
and a file that was edited makes another one. Few run at a time, few wait, and what they gave is
kept for a while.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tracediff.config import mask
from tracediff.errors import ReplayError, TracediffError
from tracediff.replay.ending import Ended, Ending

AT_ONCE: Final = 2
"""Runs at the same time; each of them may use all processors."""

WAITING: Final = 8
"""Runs that wait for their turn; more are refused."""

KEPT: Final = 16
"""Runs that are done and kept."""

KEPT_FOR: Final = 3600.0
"""Seconds that they are kept."""

PATIENCE: Final = 10.0
"""Seconds in which runs that are ended have to clear away what they made."""

_LONGEST: Final = 200
Standing = Literal["waiting", "running", "done", "failed", "ended"]
Say = Callable[[str], None]
Work = Callable[[Say], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a run is about.

    Args:
        kind: What is done: "compare", "explain".
        id: The trace.
        options: How, as pairs of texts that name nothing else than that.
    """

    kind: str
    id: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, eq=False)
class Run:
    """One piece of work; its thread writes it, and all others only read it.

    ``phase`` says what is done now, ``seconds`` how long it takes or took. ``result`` is what it
    gave, ``message`` and ``hint`` say why it gave nothing: they are there before ``standing`` says
    so. ``page`` is the address of the page that shows it.
    """

    name: str
    subject: Subject
    code: str
    page: str
    standing: Standing = "waiting"
    phase: str = ""
    result: Any = None
    message: str = ""
    hint: str | None = None
    _begun: float = field(default_factory=time.monotonic)
    _ended: float | None = None
    _ending: Ending = field(default_factory=Ending)

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.standing in ("done", "failed", "ended")

    @property
    def seconds(self) -> float:
        """How long it waits and runs already, or did."""
        return (self._ended if self._ended is not None else time.monotonic()) - self._begun

    def say(self, phase: str) -> None:
        """Take what is done now; ends the work that says it, if it is to end."""
        self._ending.heed()
        self.phase = phase[:_LONGEST]

    def end(self) -> None:
        """Have it end: the processes in which it runs code are killed."""
        if self.standing == "waiting":
            self.standing = "ended"
        self._ending.ask()

    def do(self, work: Work) -> None:
        """Do it, in this thread."""
        over: Standing = "ended"
        try:
            with self._ending.listening():
                self._ending.heed()
                self.standing = "running"
                self.result = work(self.say)
            over = "done"
        except Ended:  # asked for: it stays "ended"
            pass
        except Exception as error:  # noqa: BLE001 - shown where it was asked for
            self.message, self.hint = self._told(error)
            over = "ended" if self._ending.asked else "failed"
        finally:
            self._ended = time.monotonic()
            self.standing = over

    def _told(self, error: Exception) -> tuple[str, str | None]:
        """What failed and what to do; of what nobody foresaw, the rest goes to the log."""
        if isinstance(error, TracediffError):
            return mask(error.message), mask(error.hint) if error.hint else None
        text = mask("".join(traceback.format_exception(error)))
        safe = "".join(one if one.isprintable() or one == "\n" else "?" for one in text)
        sys.stderr.write(f"run {self.name}: {self.subject.kind} failed\n{safe}")
        return "it failed", f"the server's log says why, at run {self.name}"

    def past(self, seconds: float) -> bool:
        """Whether it is over since so many seconds."""
        return self._ended is not None and time.monotonic() - self._ended > seconds


class Runs:
    """The runs of a site. All may be asked from any thread."""

    def __init__(
        self,
        *,
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
        kept: int = KEPT,
        kept_for: float = KEPT_FOR,
    ) -> None:
        self._most, self._kept, self._kept_for = at_once + waiting, kept, kept_for
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="tracediff-run")
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._closed = False

    def start(
        self, subject: Subject, code: str, page: str, work: Work, *, again: bool = False
    ) -> Run:
        """Return the run of this subject on this code: the one there is, else a new one.

        Args:
            subject: What it is about.
            code: What names the state of the code.
            page: The address of the page that shows it.
            work: Does it; it is given what tells how far it is.
            again: Do it anew even if it was done.

        Raises:
            ReplayError: ``runs-busy``: too many run and wait.
        """
        name = _name(subject, code)
        with self._lock:
            self._drop()
            found = self._runs.get(name)
            if found is not None and (not found.over or (found.standing == "done" and not again)):
                self._runs.move_to_end(name)
                return found
            if self._closed or sum(not one.over for one in self._runs.values()) >= self._most:
                raise ReplayError(
                    "this server runs as much as it may already",
                    slug="runs-busy",
                    hint="repeat it when one of the runs is done",
                )
            made = Run(name, subject, code, page)
            self._runs[name] = made
            self._runs.move_to_end(name)
            self._pool.submit(made.do, work)
        return made

    def get(self, name: str) -> Run | None:
        """The run of this name, None when there is none any more."""
        with self._lock:
            self._drop()
            if name in self._runs:
                self._runs.move_to_end(name)
            return self._runs.get(name)

    def latest(self, subject: Subject) -> Run | None:
        """The run of this subject that was begun or looked at last, on whatever code."""
        with self._lock:
            self._drop()
            own = [one for one in self._runs.values() if one.subject == subject]
            return own[-1] if own else None

    def close(self) -> None:
        """End all runs, and wait until they have cleared away what they made."""
        with self._lock:
            self._closed = True
            left = [one for one in self._runs.values() if not one.over]
        self._pool.shutdown(wait=False, cancel_futures=True)
        for one in left:
            one.end()
        deadline = time.monotonic() + PATIENCE
        while any(one.standing == "running" for one in left) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _drop(self) -> None:
        """Forget what is over for long, and the oldest of what is over and too many."""
        over = [name for name, one in self._runs.items() if one.over]
        old = [name for name in over if self._runs[name].past(self._kept_for)]
        for name in dict.fromkeys([*old, *over[: max(len(over) - self._kept, 0)]]):
            del self._runs[name]


def _name(subject: Subject, code: str) -> str:
    parts = [subject.kind, subject.id, code]
    parts += [text for pair in subject.options for text in pair]
    said = "".join(f"{len(one)}:{one}" for one in parts)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:24]
