"""The manifest of a directory of pinned traces: which there are, and the sha256 of each.

It makes a directory self-contained: what is in it can be listed and checked without a store and
without credentials. A file that is exchanged is first named with both digests, so that a process
killed in between leaves a manifest that still holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracediff.errors import ExpectationError
from tracediff.expectations.files import digest, read_document, unreadable, write_document
from tracediff.model import Trace

NAME = "manifest.json"
SCHEMA = "tracediff/manifest/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One trace file of a directory; ``sha256`` is None where no manifest pins it."""

    file: str
    id: str
    key: str
    state: str = "success"
    sha256: str | None = None
    was: str | None = None


def entry(name: str, trace: Trace, data: bytes) -> Pinned:
    """What a manifest says of a trace file with these bytes."""
    return Pinned(
        file=name, id=trace.id, key=trace.key, state=trace.state, sha256=digest(data)
    )  # fmt: skip


def write_manifest(directory: Path, pinned: Iterable[Pinned], sources: Mapping[str, str]) -> Path:
    """Write a directory's manifest, sorted, on top of what it pins already.

    Args:
        directory: Where the files are.
        pinned: The trace files.
        sources: The sha256 of every other file, by name.
    """
    path = directory / NAME
    known = {one.file: one for one in read_manifest(directory)} if path.exists() else {}
    before = read_document(path, SCHEMA).get("sources", {}) if known else {}
    known |= {one.file: one for one in pinned}
    _write(path, known.values(), {**before, **sources})
    return path


def _write(path: Path, pinned: Iterable[Pinned], sources: Mapping[str, str]) -> None:
    traces = [
        {
            name: value
            for name in ("file", "id", "key", "state", "sha256", "was")
            if (value := getattr(one, name)) is not None
        }
        for one in sorted(pinned, key=lambda one: one.file)
    ]
    sources = dict(sorted(sources.items()))
    write_document(path, {"schema": SCHEMA, "traces": traces, "sources": sources})


def read_manifest(directory: Path) -> list[Pinned]:
    """What a directory's manifest pins, sorted by file; nothing without one."""
    path = directory / NAME
    if not path.exists():
        return []
    document = read_document(path, SCHEMA)
    try:
        return sorted((_pinned(one) for one in document["traces"]), key=lambda one: one.file)
    except (KeyError, TypeError, AttributeError):
        raise unreadable(path, "a trace in it has no file, id, key or sha256") from None


def _pinned(found: Mapping[str, Any]) -> Pinned:
    texts = {name: found[name] for name in ("file", "id", "key", "sha256")}
    texts["state"] = found.get("state", "success")
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("texts only")
    was = found.get("was")
    return Pinned(**texts, was=was if isinstance(was, str) else None)


_known: dict[str, tuple[tuple[int, int], dict[str, Pinned]]] = {}
"""The manifests that were read, by directory, with the time and size they had."""


def pinned_beside(path: Path) -> Pinned | None:
    """What the manifest beside a file says of it."""
    directory = path.parent
    try:
        found = (directory / NAME).stat()
    except OSError:
        return None
    stamp = (found.st_mtime_ns, found.st_size)
    known = _known.get(str(directory))
    if known is None or known[0] != stamp:
        known = stamp, {one.file: one for one in read_manifest(directory)}
        _known[str(directory)] = known
    return known[1].get(path.name)


def verify(path: Path, data: bytes) -> None:
    """Check a file's bytes against the manifest beside it.

    Raises:
        ExpectationError: ``trace-altered``.
    """
    pinned = pinned_beside(path)
    if pinned is not None and digest(data) not in (pinned.sha256, pinned.was):
        raise ExpectationError(
            f"{path} is not the file that {NAME} beside it pins",
            slug="trace-altered",
            hint="restore it, or pin it anew: `tracediff pull --bundle`, `tracediff accept`",
        )


def exchange(path: Path, trace: Trace, data: bytes) -> None:
    """Name a file's next bytes in the manifest beside it, before they are written."""
    pinned = pinned_beside(path)
    if pinned is None:
        return
    new = entry(path.name, trace, data)
    old = digest(path.read_bytes()) if path.exists() else None
    document = read_document(path.parent / NAME, SCHEMA)
    others = [one for one in read_manifest(path.parent) if one.file != path.name]
    renewed = Pinned(
        file=new.file, id=new.id, key=new.key, state=new.state, sha256=new.sha256,
        was=old if old != new.sha256 else None,
    )  # fmt: skip
    _write(path.parent / NAME, [*others, renewed], document.get("sources", {}))
