"""Which code, files and settings a replay's outcome depends on, told by the replaying process."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from types import CodeType
from typing import Self

import xxhash

from tracediff.check.codeunits import IMPORT, LINES, ModuleCode
from tracediff.check.noticing import Noticing
from tracediff.check.surroundings import (
    CODE,
    DATA,
    ENVIRONMENT,
    KIND,
    LIST,
    Places,
    Unit,
    environment_digest,
    names_in,
    surroundings,
)
from tracediff.config import Config

__all__ = ["Executed", "set_id"]


class Executed:
    """Tells what has run in this process, as a context around imports and replays.

    It is made before anything of the project is imported, entered around the imports and around
    each replay, and is passed on by a fork. What a process has run counts for all that it replays
    later, since a replay may find what an earlier one left: a process in which nothing was replayed
    yet tells most exactly.

    Args:
        config: The project's settings.
    """

    def __init__(self, config: Config) -> None:
        self._places = Places(config.root)
        self._common: list[Unit] = [("", name, one) for name, one in surroundings(config)]
        self._noticing = Noticing(self._places)
        self._modules: dict[int, tuple[str, ModuleCode]] = {}
        self._pieces: dict[int, tuple[str, str]] = {}
        self._ran: dict[str, set[str]] = {}
        self._noted: set[int] = set()
        self._size: tuple[int, ...] = ()
        self._last: tuple[str, tuple[Unit, ...]] = ("", ())
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        self._noticing.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._noticing.__exit__(*exc)

    @property
    def doubt(self) -> str:
        """Why nobody can be sure of what was replayed in this process; "" where one can."""
        return self._noticing.doubt

    def set(self) -> tuple[str, tuple[Unit, ...]]:
        """The id of all that the last replay depends on, and what that is, where it is new here.

        Both are empty where something cannot be followed.
        """
        if self.doubt:
            return "", ()
        noticing = self._noticing
        size = (
            len(noticing.stamps.called), len(noticing.read),
            sum(map(len, noticing.modules.values())),
            len(noticing.data), len(noticing.listed), len(noticing.kinds), len(noticing.asked),
            len(noticing.variables),
        )  # fmt: skip
        if size != self._size:
            self._size = size
            self._enter_modules()
            for number in noticing.stamps.called - self._noted:
                self._enter_piece(number)
            for code in noticing.read.values():
                self._enter(code)
            units = tuple(sorted({*self._common, *self._units()}))
            self._last = (set_id(units), units)
        name, units = self._last
        if not all(_travels(unit) for unit in units):
            return "", ()
        if name in self._told:
            return name, ()
        self._told.add(name)
        return name, units

    def _enter_modules(self) -> None:
        for file, codes in self._noticing.modules.items():
            for code in codes:
                if id(code) not in self._modules:
                    module = ModuleCode(code)
                    self._modules[id(code)] = (file, module)
                    self._ran.setdefault(file, set()).add(IMPORT)
                    self._pieces |= {at: (file, name) for at, name in module.names.items()}
                    if id(code) in self._noticing.whole:
                        self._ran[file].update(module.bodies)

    def _enter_piece(self, number: int) -> bool:
        """A function was called; whether it is one of a module's."""
        piece = self._pieces.get(number)
        if piece is not None:
            self._noted.add(number)
            self._ran[piece[0]].add(piece[1])
        return piece is not None

    def _enter(self, code: CodeType) -> None:
        """Something has looked into a function."""
        if self._enter_piece(id(code)):
            return
        file = self._places.ours(code.co_filename)
        if file is None or code.co_filename.startswith("<"):
            return  # made by code that counts, of what counts
        if file in self._ran:  # made anew of a module's code, of any of it
            for _, module in self._of(file):
                self._ran[file].update(module.bodies)
        else:
            self._noticing.note_file(file)

    def _of(self, file: str) -> list[tuple[str, ModuleCode]]:
        return [one for one in self._modules.values() if one[0] == file]

    def _units(self) -> Iterator[Unit]:
        short = self._places.short
        lines = False
        for file, module in self._modules.values():
            for name in self._ran[file]:
                body = module.body(name)
                if body is not None:
                    lines |= body.lines
                    yield short(file), f"{CODE}{name}", body.digest
        if lines:
            for file, module in self._modules.values():
                yield short(file), LINES, module.digest(LINES)
        noticing = self._noticing
        for kind, known in ((DATA, noticing.data), (LIST, noticing.listed), (KIND, noticing.kinds)):
            yield from ((short(path), kind, digest) for path, digest in known.items())
        for place, asked in groupby(sorted(noticing.asked), lambda one: one[0]):
            yield short(place), names_in(place, [name for _, name in asked]), ""
        if noticing.variables:
            names = sorted(noticing.variables)
            digest = environment_digest(names, noticing.environment)
            yield "", f"{ENVIRONMENT}{' '.join(names)}", digest


def set_id(units: tuple[Unit, ...]) -> str:
    """The id of a set of units, in their order."""
    digest = xxhash.xxh3_128()
    for unit in units:
        digest.update("\0".join(unit).encode("utf-8", "surrogatepass") + b"\0\0")
    return digest.hexdigest()


def _travels(unit: Unit) -> bool:
    """Whether it can be written: a name of a file may be no text."""
    try:
        "".join(unit).encode()
    except UnicodeEncodeError:
        return False
    return True
