"""One command of Redis, or one pipeline, in a recorded job or a replayed one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from functools import lru_cache
from time import perf_counter_ns
from typing import Any

from tracediff import values
from tracediff.model import Kind
from tracediff.recording.buffers import LONG, Packed
from tracediff.recording.libraries.keyvalue.commands import CONTAINERS, name_of, reads
from tracediff.recording.libraries.keyvalue.madeup import made_up, may_be_none
from tracediff.recording.libraries.keyvalue.told import (
    NAME,
    Asked,
    Command,
    Replies,
    copied,
    kept,
    wire,
)
from tracediff.recording.marks import Mark
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, leave, new_span
from tracediff.runtime import ReplayAbort, current

MAX_NAME = 60
MULTI = f"{NAME} MULTI"
MOST_MARKS = 500
_TEXTS = frozenset({str, bytes})
_marks: dict[Any, Mark] = {}

active: ContextVar[Exchange | None] = ContextVar("tracediff.redis", default=None)
"""The exchange that runs, so that a connection knows whose replies it reads."""


def _command(*, arguments: list[str], database: int) -> None:
    """A command: what is recorded is the server's reply."""


def _pipeline(*, commands: list[list[str]], database: int) -> None:
    """A pipeline: what is recorded are the server's replies."""


@lru_cache(maxsize=1024)
def _mark(kind: Kind, name: str, single: bool) -> Mark:
    return Mark(kind, name, _command if single else _pipeline, drop=0)


def _known(command: Command) -> Mark:
    """The step of a single command; of most the first word says all."""
    mark = _marks.get(command[0])
    if mark is None:
        mark = _mark(*named([command]), True)
        if type(command[0]) is str and command[0] not in CONTAINERS and len(_marks) < MOST_MARKS:
            _marks[command[0]] = mark
    return mark


def named(commands: Sequence[Command], how: str = "") -> tuple[Kind, str]:
    """Whether commands read, and the name of their step: "redis GET", "redis pipeline"."""
    kind: Kind = "input" if all(map(reads, commands)) else "output"
    name = how or name_of(commands[0]).replace(":", " ")
    return kind, f"{NAME} {name}"[:MAX_NAME]


class Exchange:
    """What is sent at once.

    Args:
        parent: What ``recorded_here`` gave.
        commands: The commands, as the program gave them.
        how: What a pipeline is called; empty for a single command.
        database: The number of the database.
    """

    __slots__ = ("_token", "_within", "parent", "replies", "served", "single", "span")

    def __init__(
        self, parent: Span, commands: Sequence[Sequence[Any]], how: str, database: Any
    ) -> None:
        self.parent = parent
        self.single = not how
        if how:
            given = [kept(one) for one in commands]
            mark = _mark(*named(given, how), False)
        else:
            given = [kept(commands[0])]
            mark = _known(given[0])
        asked = Asked(given, self.single, database)
        buffer = parent.buffer
        self.span = new_span(mark, buffer, parent, asked, {})
        self.replies = Replies(asked, self.single)
        for one in given:
            for word in one:
                if type(word) in _TEXTS and len(word) > LONG:
                    buffer.bytes += len(word)

    def ask(self) -> None:
        """In a replay: take what the recording says; raises the recorded error."""
        span = self.span
        try:
            found = answer(span, items=True)
            if found.live:
                raise ReplayAbort(
                    "commands to Redis that were not recorded cannot be sent in a replay",
                    slug="input-not-recorded",
                    hint="record the job again, or replay with --on-miss nearest or stub",
                )
            if found.error is not None:
                raise found.error
        except BaseException as error:
            span.error = span.buffer.fault(error, self.parent)
            raise
        finally:
            span.end = perf_counter_ns()
        span.result = Packed(found.data or values.encode(None))
        self.served = deque([found.result] if self.single else found.result or ())
        asked = self.replies.asked.commands
        if found.result is None and not (self.single and may_be_none(asked[0])):
            name = span.mark.name
            span.buffer.warn(f"an answer that was not recorded is an empty one: {name}")
            self.served = deque(made_up(asked, transaction=name == MULTI))

    def __enter__(self) -> None:
        """Send: what runs below it is no input of its own."""
        self._token = current.set(self.span)
        self._within = active.set(self)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        leave(self._token)
        try:
            active.reset(self._within)
        except ValueError:  # ended in another context than it began
            active.set(None)
        span = self.span
        if span.buffer.server is not None:
            return
        span.end = perf_counter_ns()
        if error is not None:
            self.replies.asked.hide(span.buffer)  # redis-py quotes commands in its errors
            span.error = span.buffer.fault(error, self.parent)
        elif self.replies.noted:
            span.result = self.replies
        else:
            span.result = None
            span.buffer.warn(f"redis answered from the memory of its client: {span.mark.name}")

    def note(self, reply: Any) -> None:
        """Keep a reply, as it is read."""
        if self.single:
            self.replies.noted.clear()
        self.replies.noted.append(copied(reply))
        kind = type(reply)
        if kind is bytes or kind is str:
            self.span.buffer.bytes += len(reply)
        elif kind is list:
            self.span.buffer.bytes += 64 * len(reply)

    def again(self) -> None:
        """What was read so far counts no more: a client tries again."""
        self.replies.noted.clear()

    def next(self, decodes: bool, encoding: str, errors: str) -> Any:
        """The next recorded reply; raises what was an error of the server."""
        if not self.served:
            raise ReplayAbort(
                f"the recording has fewer replies than {self.span.mark.name!r} reads",
                slug="input-not-recorded",
                hint="record the job again",
            )
        found = wire(self.served.popleft(), decodes, encoding, errors)
        if isinstance(found, Exception):
            raise found
        return found
