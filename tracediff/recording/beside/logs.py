"""Records of ``logging`` as notes: below the loggers' own filters, beside their handlers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tracediff.recording.beside.saying import LEVELS, say, thread, without_secrets
from tracediff.recording.faults import brief
from tracediff.recording.libraries.patching import Patch
from tracediff.runtime import current


def patches(level: str) -> list[Patch]:
    """What stands in where a logger hands a record that passed it to its handlers."""
    plain: Any = logging.Logger.callHandlers
    least = LEVELS[level]

    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        if current.get() is not None and not thread.inside:
            say(lambda: _text(record, least), lambda file, module: file == record.pathname)
        plain(self, record)

    return [Patch(logging.Logger, "callHandlers", call_handlers)]


def _text(record: logging.LogRecord, least: int) -> str | None:
    """What a record says; None where it is none of the wanted, or one of our own."""
    if record.levelno < least or f"{record.name}.".startswith("tracediff."):
        return None  # what our loggers say of a note could be a note
    text = f"{record.levelname} {record.name}: {_message(record)}"
    error = record.exc_info[1] if record.exc_info else None
    return text if error is None else f"{text} ({brief(error)})"


def _message(record: logging.LogRecord) -> str:
    """The message, in which what a secret name stands for is taken out."""
    args: Any = record.args
    own = type(record).getMessage is not logging.LogRecord.getMessage
    if own or not isinstance(args, Mapping):
        return record.getMessage()
    return str(record.msg) % without_secrets(args)
