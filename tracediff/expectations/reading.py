"""Reading a pinned trace file, which may have been edited, merged, cut or exchanged."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tracediff import tracefile
from tracediff.errors import CodecError, TraceReferenceError
from tracediff.expectations.manifest import verify
from tracediff.model import Trace

_CONFLICT = re.compile(r"^(?:<{7}|>{7})(?: |$)", re.MULTILINE)
_HEAD = re.compile(r'^ "(id|key|state)": ("(?:[^"\\]|\\.)*")', re.MULTILINE)
_HEAD_BYTES = 2_000


def read_trace(path: Path) -> Trace:
    """The trace of a file, which is what its manifest pins, if there is one beside it.

    Raises:
        TraceReferenceError: ``trace-unknown``: there is no such file.
        CodecError: It is no trace, of a newer schema, or holds a merge conflict.
        ExpectationError: ``trace-altered``: it is not what the manifest beside it pins.
    """
    data = read_bytes(path)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise TraceReferenceError(
            f"{path} cannot be read: {error}",
            slug="trace-unknown",
            hint="name a .trace.json file that `tracediff pull` wrote",
        ) from None
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        raise CodecError(
            f"{path}: it holds a merge conflict, at line {line}",
            slug="trace-conflict",
            hint="take one side whole with `git checkout --ours` or `--theirs`, then run again",
        )
    verify(path, data)
    try:
        return tracefile.loads(text)
    except CodecError as error:
        raise CodecError(f"{path}: {error.message}", slug=error.slug, hint=error.hint) from None


def read_bytes(path: Path) -> bytes:
    """The bytes of a trace file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise TraceReferenceError(
            f"there is no file {path}",
            slug="trace-unknown",
            hint="`tracediff pull REF` writes one",
        ) from None
    except IsADirectoryError:
        raise TraceReferenceError(
            f"{path} is a directory",
            slug="trace-unknown",
            hint="name one of the .trace.json files in it",
        ) from None
    except OSError as error:
        raise TraceReferenceError(
            f"{path} cannot be read: {error.strerror or error}",
            slug="trace-unknown",
            hint="name a .trace.json file that `tracediff pull` wrote",
        ) from None


def head(path: Path) -> dict[str, str]:
    """Id, key and state of a trace file, from its first lines; {} when they do not tell."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_HEAD_BYTES).decode("utf-8", "replace")
        return {name: json.loads(value) for name, value in _HEAD.findall(text)}
    except (OSError, ValueError):
        return {}
