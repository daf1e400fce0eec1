"""Writing traces as files: one each, or a bundle that needs no store."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracediff import tracefile
from tracediff.errors import StoreError
from tracediff.expectations import manifest
from tracediff.expectations.files import digest
from tracediff.model import Trace
from tracediff.stores.base import Store
from tracediff.stores.files import FileBlobs
from tracediff.stores.sources import save_source


@dataclass(frozen=True, slots=True)
class Bundle:
    """Traces and the sources they ran, in one directory.

    ``missing`` counts the sources that no store keeps.
    """

    directory: Path
    files: tuple[Path, ...]
    sources: int
    missing: int


def pull_traces(traces: Sequence[Trace], out: Path | None) -> list[Path]:
    """Write trace files and return their paths.

    Args:
        traces: The traces.
        out: A directory, or for one trace the file; the working directory by default.

    Raises:
        StoreError: ``output-unwritable``.
    """
    to_file = out is not None and out.suffix == ".json" and not out.is_dir()
    if to_file and len(traces) > 1:
        raise StoreError(
            f"{len(traces)} traces do not fit in the one file {out}",
            slug="output-unwritable",
            hint="name a directory with -o",
        )
    paths = []
    for trace in traces:
        path = out if to_file and out is not None else (out or Path()) / file_name(trace)
        write_file(path, tracefile.dumps(trace))
        paths.append(path)
    return paths


def bundle_traces(traces: Sequence[tuple[Trace, Store]], out: Path | None) -> Bundle:
    """Write traces and the sources they ran into a directory.

    Args:
        traces: Each with the store that may keep its sources.
        out: The directory; one named after the first trace by default.

    Raises:
        StoreError: ``output-unwritable``.
    """
    directory = out or Path(file_name(traces[0][0]).removesuffix(".trace.json") + ".bundle")
    if directory.exists() and not directory.is_dir():
        raise StoreError(
            f"{directory} is a file, and a bundle is a directory",
            slug="output-unwritable",
            hint="name a directory with -o",
        )
    files, pinned = [], []
    kept: dict[str, bytes | None] = {}
    for trace, store in traces:
        for blob in set(trace.code.files.values()) - kept.keys():
            kept[blob] = store.load_source(blob)
        path, text = directory / file_name(trace), tracefile.dumps(trace)
        write_file(path, text)
        files.append(path)
        pinned.append(manifest.entry(path.name, trace, text.encode()))
    sources = FileBlobs(directory)
    for blob, data in kept.items():
        if data is not None:
            save_source(sources, blob, data)
    hashes = {key: digest(sources.get(key)) for key in sources.keys("sources/")}
    manifest.write_manifest(directory, pinned, hashes)
    missing = sum(data is None for data in kept.values())
    return Bundle(directory, tuple(files), len(kept) - missing, missing)


def file_name(trace: Trace) -> str:
    """The name of a trace's file: its key and id, with nothing a file system minds."""
    return f"{_plain(trace.key)[:80]}-{_plain(trace.id)[:40]}.trace.json"


def _plain(text: str) -> str:
    """What a trace says, as a part of a file's name: it may say anything, even ``../x``."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "trace"


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        StoreError: ``output-unwritable``.
    """
    if path.is_dir():
        raise _unwritable(path, "it is a directory")
    try:
        path = Path(os.path.realpath(path))  # what a link points to is written, not the link
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")  # a device or a pipe cannot be replaced
        else:
            _replace(path, text)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _unwritable(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} cannot be written: {why}",
        slug="output-unwritable",
        hint="name another file or directory with -o",
    )
