"""What ``doctor --replayability`` found: frozen values, no I/O, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Change = Literal["setting", "decorator", "code", "command", "recording"]
"""What a remedy changes: ``recording`` is none of the program's, only another recording helps."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the project's code; ``unit`` is "module:qualname", ``first`` where it begins."""

    file: str
    line: int
    unit: str
    first: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What to write, and where.

    ``settings`` are those of ``[tool.tracediff]``, each with what is to be added to it or what it
    is to be. ``lines`` are those of code or of a shell. ``done``: the project has it already, so
    that only traces from before lack it. ``proof`` says what came of trying it.
    """

    change: Change
    said: str
    settings: Mapping[str, object] = field(default_factory=dict)
    place: Place | None = None
    lines: tuple[str, ...] = ()
    done: bool = False
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that keeps traces from being replayed exactly, of all traces that it concerns.

    ``kind`` is stable, ``subjects`` what it is about (files, variables, classes), ``said`` what it
    does. ``traces`` are ids, newest first; ``steps`` how many recorded steps are not reproduced
    for it. ``fatal`` says that these traces do not replay exactly; else they do here, by luck.
    ``mends`` counts the traces that have no other reason. ``example`` is a step with its recorded
    and its replayed value, ``proof`` what was tried to make sure.
    """

    kind: str
    said: str
    subjects: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    traces: tuple[str, ...] = ()
    steps: int = 0
    mends: int = 0
    fatal: bool = True
    places: tuple[Place, ...] = ()
    example: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayability:
    """The answer: of so many traces of a key, those that replay exactly and why others do not.

    ``settings`` are the lines of ``[tool.tracediff]`` to paste, with what is there already.
    """

    key: str
    checked: int
    exact: tuple[str, ...]
    inexact: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()
    settings: tuple[str, ...] = ()
    steps: int = 0
    reproduced: int = 0
    seconds: float = 0.0
