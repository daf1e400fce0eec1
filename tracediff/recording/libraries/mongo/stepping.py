"""The steps that commands to MongoDB are."""

from __future__ import annotations

from functools import lru_cache

from tracediff.model import Kind
from tracediff.recording.libraries.mongo.messages import Command
from tracediff.recording.libraries.mongo.told import NAME, Asked
from tracediff.recording.marks import Mark
from tracediff.recording.spans import Span, new_span

MAX_NAME = 200


def _command(*, collection: str, database: str, server: str) -> None:
    """A command: what is recorded is the server's reply."""


@lru_cache(maxsize=1024)
def _mark(kind: Kind, name: str) -> Mark:
    return Mark(kind, name, _command, drop=0)


def named(sent: Command) -> str:
    """The name of a command's step: "pymongo find prices"."""
    name = f"{NAME} {sent.name} {sent.collection}" if sent.collection else f"{NAME} {sent.name}"
    return name[:MAX_NAME]


def opened(parent: Span, sent: Command, server: str) -> Span:
    """The step of a command that is sent now."""
    mark = _mark("input" if sent.reads else "output", named(sent))
    parent.buffer.bytes += len(sent.body)
    return new_span(mark, parent.buffer, parent, Asked(sent, server), {})
