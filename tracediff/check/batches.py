"""What a cluster's workers are told, as bytes: the check, and traces that are to be replayed.

Plain values only, and no credentials: a worker takes those from its own environment.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import ormsgpack

import tracediff
from tracediff.check.results import Work
from tracediff.check.state import code_state
from tracediff.config import Config, StoreSettings, mask
from tracediff.errors import ConfigError
from tracediff.model import Row
from tracediff.recording.codeversion import git_commit
from tracediff.stores.rows import dump_row, load_row
from tracediff.stores.urls import scheme_of

Packed = tuple[bytes, str, int, int]
"""A row's bytes and where its trace is."""

_SETTINGS = ("jobs", "redact", "replay_allow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What must be the same wherever traces of one check are replayed."""

    python: str
    tracediff: str
    code: str
    commit: str = ""

    @classmethod
    def of(cls, root: Path) -> Versions:
        """Those of this process and of a project."""
        commit, dirty = git_commit(root)
        named = (commit or os.environ.get("TRACEDIFF_CODE_VERSION", "")) + "+dirty" * bool(dirty)
        python = ".".join(platform.python_version_tuple()[:2])
        code = code_state(root, python)
        return cls(python=python, tracediff=tracediff.__version__, code=code, commit=named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the traces are, without credentials.

    ``hidden`` says that there were some. A local store is named by its whole path.
    """

    name: str
    index: str
    blobs: str | None = None
    context: tuple[str, ...] = ()
    hidden: bool = False

    @classmethod
    def of(cls, config: Config, store: str | None) -> Place:
        """That of a configured store, the default one for None.

        Raises:
            ConfigError: ``check-worker-store``: no other process could read it.
        """
        name = config.store if store is None else store
        found = config.store_settings(name)
        if scheme_of(found.index) == "memory":
            raise ConfigError(
                "a cluster's workers cannot read a store in this process's memory",
                slug="check-worker-store",
                hint="check a store in a directory that all share, or in MongoDB and S3",
            )
        directory = directory_of(config, found)
        if directory is not None:
            return cls(name=name, index=str(directory))
        index, blobs = mask(found.index), None if found.blobs is None else mask(found.blobs)
        return cls(
            name="" if name == found.index else name,
            index=index,
            blobs=blobs,
            context=found.context,
            hidden=(index, blobs) != (found.index, found.blobs),
        )


def directory_of(config: Config, found: StoreSettings) -> Path | None:
    """The whole path of a local store, None for any other."""
    scheme = scheme_of(found.index)
    if scheme not in ("", "file"):
        return None
    named = unquote(urlsplit(found.index).path) if scheme else found.index
    return (config.root / named).absolute()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is the same for all batches of one check.

    Args:
        check: Names it, so that a worker keeps what it started for it.
        root: The project's directory where the check was begun.
        place: Where the traces are.
        versions: What must be the same.
        work: What each worker is told.
        settings: Those that a command may have set otherwise than the project's files.
        pythonpath: Relative to the project's directory where they lie in it.
        idle: Seconds after which a worker ends what it keeps for the next batch.
    """

    check: str
    root: str
    place: Place
    versions: Versions
    work: Work = field(default_factory=Work)
    settings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pythonpath: tuple[str, ...] = ()
    idle: float = 30.0

    def packed(self) -> bytes:
        """As it travels."""
        place = [getattr(self.place, name) for name in Place.__slots__]
        versions = [getattr(self.versions, name) for name in Versions.__slots__]
        told = [
            self.check, self.root, place, versions, self.work.packed(), self.settings,
            self.pythonpath, self.idle,
        ]  # fmt: skip
        return json.dumps(told, separators=(",", ":")).encode("ascii")

    @classmethod
    def unpacked(cls, told: bytes) -> Head:
        """What was packed."""
        check, root, place, versions, work, settings, pythonpath, idle = json.loads(told)
        placed: dict[str, Any] = dict(zip(Place.__slots__, place, strict=True))
        return cls(
            check=check,
            root=root,
            place=Place(**{**placed, "context": tuple(placed["context"])}),
            versions=Versions(**dict(zip(Versions.__slots__, versions, strict=True))),
            work=Work.unpacked(work),
            settings={name: tuple(given) for name, given in settings.items()},
            pythonpath=tuple(pythonpath),
            idle=idle,
        )


def head_of(config: Config, work: Work, *, check: str, store: str | None, idle: float) -> Head:
    """What the workers of a check are told before anything else.

    Raises:
        ConfigError: ``check-worker-store``: no other process could read the store.
    """
    return Head(
        check=check,
        root=str(config.root),
        place=Place.of(config, store),
        versions=Versions.of(config.root),
        work=work,
        settings={name: getattr(config, name) for name in _SETTINGS},
        pythonpath=tuple(_relative(path, config.root) for path in config.pythonpath),
        idle=idle,
    )


def told_to(head: Head, config: Config) -> Config:
    """A worker's own settings with those of the check in place of them."""
    paths = tuple(config.root / one for one in head.pythonpath)
    given: dict[str, Any] = dict(head.settings)
    return replace(config, pythonpath=paths, **given)


def pack_row(row: Row) -> Packed:
    """A row as it travels."""
    return (dump_row(row), *row.location)


def unpack_row(told: Sequence[Any]) -> Row:
    """What was packed."""
    data, blob, start, length = told
    return load_row(data, (blob, start, length))


def pack(head: bytes, rows: Sequence[Packed]) -> bytes:
    """A batch."""
    return ormsgpack.packb([head, rows])


def unpack(told: bytes) -> tuple[bytes, Iterator[Row]]:
    """What was packed."""
    head, rows = ormsgpack.unpackb(told)
    return head, map(unpack_row, rows)


def split(rows: Sequence[Packed], parts: int) -> Iterable[Sequence[Packed]]:
    """About as many parts of about the same size."""
    size = -(-len(rows) // parts)
    return (rows[at : at + size] for at in range(0, len(rows), size))


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
