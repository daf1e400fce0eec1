"""The steps that commands to MongoDB are."""

from __future__ import annotations

from functools import lru_cache

from tracediff.recording.libraries.mongo.messages import Command, Head
from tracediff.recording.libraries.mongo.told import NAME, Asked
from tracediff.recording.marks import Mark
from tracediff.recording.spans import Span, new_span

MAX_NAME = 200


def _command(*, collection: str, database: str, server: str) -> None:
    """A command: what is recorded is the server's reply."""


@lru_cache(maxsize=2048)
def _mark(head: Head, reads: bool) -> Mark:
    return Mark("input" if reads else "output", named(head), _command, drop=0)


def named(head: Head) -> str:
    """The name of a command's step: "pymongo find prices"."""
    return f"{NAME} {head.name} {head.collection}".rstrip()[:MAX_NAME]


def opened(parent: Span, sent: Command, server: str) -> Span:
    """The step of a command that is sent now."""
    parent.buffer.bytes += len(sent.message)
    mark = _mark(sent.head, sent.reads)
    return new_span(mark, parent.buffer, parent, Asked(sent, server), {})
