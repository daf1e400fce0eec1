"""Files of expectations: read with a reason when they cannot be, written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from tracediff.errors import ExpectationError

_MAX_DOCUMENT = 256 * 1024 * 1024


def digest(data: bytes) -> str:
    """The sha256 of some bytes, in hexadecimal."""
    return sha256(data).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; what a link points to is written, not the link.

    Raises:
        ExpectationError: ``expectation-unwritable``.
    """
    partial = None
    try:
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        name = f".{target.name[:180]}.{os.getpid()}-{threading.get_ident()}.partial"
        partial = target.with_name(name)
        with partial.open("wb") as stream:
            stream.write(data)
        partial.replace(target)
    except OSError as error:
        if partial is not None:
            with contextlib.suppress(OSError):  # one that is left does no harm
                partial.unlink()
        raise ExpectationError(
            f"{path} cannot be written: {error.strerror or error}",
            slug="expectation-unwritable",
            hint="make the directory writable, or run without updating",
        ) from None


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document, one field a line."""
    text = json.dumps(document, ensure_ascii=False, indent=1)
    write_whole(path, f"{text}\n".encode("utf-8", "surrogatepass"))


def read_document(path: Path, schema: str) -> dict[str, Any]:
    """Read a JSON document of a schema such as "tracediff/pending/1".

    Raises:
        ExpectationError: ``expectation-unreadable``, or ``schema-newer``.
    """
    try:
        if path.stat().st_size > _MAX_DOCUMENT:
            raise ValueError("it is too large")
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, str(getattr(error, "strerror", None) or error)[:200]) from None
    said = found.get("schema") if isinstance(found, dict) else None
    if said == schema:
        return dict(found)
    kind, _, number = schema.rpartition("/")
    if isinstance(said, str) and said.startswith(f"{kind}/") and said.rpartition("/")[2].isdigit():
        raise ExpectationError(
            f"{path} has the schema {said}; this tracediff reads up to {number}",
            slug="schema-newer",
            hint="upgrade tracediff here to at least the version that wrote the file",
        )
    raise unreadable(path, f"it is no {schema}")


def unreadable(path: Path, why: str) -> ExpectationError:
    """The error for a file that is not what it should be."""
    return ExpectationError(
        f"{path} cannot be read: {why}",
        slug="expectation-unreadable",
        hint="restore the file from version control, or delete it and run the tests again",
    )


def inside(root: Path, name: str) -> Path:
    """A path of a document, which anybody may have written, below the project's directory.

    Raises:
        ExpectationError: ``expectation-outside``: it leads out, or names no trace file.
    """
    relative = PurePosixPath(name)
    path = root / relative
    bad = relative.is_absolute() or ".." in relative.parts or "\0" in name
    if not bad and name.endswith(".trace.json"):
        real = Path(os.path.realpath(path))
        if real.is_relative_to(os.path.realpath(root)):
            return path
    raise ExpectationError(
        f"{name[:200]!r} is no trace file of this project",
        slug="expectation-outside",
        hint="take results only from runs of this project's own tests",
    )


def relative_name(path: Path, root: Path) -> str:
    """A path as documents name it: relative to the project's directory, with "/"."""
    return Path(os.path.relpath(path, root)).as_posix()


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let no other process change the expectations of a project until the block ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ExpectationError(
            f"{directory} cannot be written: {error.strerror or error}",
            slug="expectation-unwritable",
            hint="make the directory writable, or run without updating",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
