"""A value as a tree that opens level by level: each level is small, however large the value is.

A place in a value is a path of positions among what ``valuekinds.inside`` gives, never of names: so
nothing that a request says is looked up by name.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tracediff import values
from tracediff.reports.pages import valuekinds, valuetables
from tracediff.reports.wording import many

CHILDREN: Final = 100
CHARACTERS: Final = 2_000
BYTES: Final = 1_024
_LINE: Final = 120
_ROW: Final = 16
_DEEPEST: Final = 8
_LONGEST_PATH: Final = 600
_MATCHES: Final = 50
_VISITED: Final = 200_000
_SECONDS: Final = 0.5

Path = tuple[int, ...]
Address = Callable[[Path, int], str]
"""Gives the address of the level at a path, from a position on."""


class PathError(Exception):
    """A path that leads to nothing in this value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of a table: a heading each, cells as texts, which columns hold numbers."""

    summary: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Rest:
    """How much is left of a level, and the address that gives the next part of it, if any does."""

    said: str
    source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What shows where a value is opened: members, or a piece of a text, of bytes, of a table.

    ``first`` is False for what continues what is there already.
    """

    nodes: tuple[Node, ...] = ()
    text: str | None = None
    dump: str | None = None
    table: Table | None = None
    first: bool = True
    rest: Rest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One value in its line. It opens if it has ``inside`` (there already) or ``source``.

    ``cut`` says that there is more in it than this page holds.
    """

    label: str
    role: str
    type: str
    type_in_full: str
    look: str
    text: str
    hint: str
    count: str
    inside: Level | None = None
    source: str | None = None
    cut: bool = False


@dataclass(slots=True)
class _Budget:
    left: int


def tree(
    obj: object, *, label: str = "", address: Address | None = None, budget: int = 150
) -> Node:
    """Return a value with its first levels opened, as far as a budget of lines goes.

    Args:
        obj: An inert value.
        label: What it is called.
        address: Gives the address of a level; None where there is no server to ask.
        budget: About how many lines may be there to begin with.
    """
    return _node(label, "", obj, (), address, _Budget(budget), 0)


def complete(node: Node) -> bool:
    """Whether a tree shows all of its value, where there is no server to ask for more."""
    inside = node.inside
    if inside is None:
        return not node.cut
    table = inside.table
    return (
        inside.rest is None
        and not (table is not None and table.left_out)
        and all(map(complete, inside.nodes))
    )


def level(obj: object, path: Path, start: int, address: Address, budget: int = 150) -> Level:
    """Return what shows where a value is opened, from a position on."""
    return _level(obj, path, start, address, _Budget(budget), 0)


def read_path(text: str) -> Path:
    """Read a path as a request gives it.

    Raises:
        PathError: It is none.
    """
    if len(text) > 8 * _LONGEST_PATH:
        raise PathError("a path that is too long")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise PathError("a path that is not a list of positions") from None
    if (
        not isinstance(found, list)
        or len(found) > _LONGEST_PATH
        or not all(type(one) is int and 0 <= one < 2**53 for one in found)
    ):
        raise PathError("a path that is not a list of positions")
    return tuple(found)


def descend(obj: object, path: Path) -> object:
    """Return the value at a path.

    Raises:
        PathError: It leads to nothing.
    """
    for position in path:
        within = valuekinds.inside(obj)
        if within is None or position >= within.count:
            raise PathError("a path that leads to nothing in this value")
        ((_, _, obj),) = within.take(position, 1)
    return obj


def _node(
    label: str, role: str, obj: object, path: Path, address: Address | None, budget: _Budget,
    depth: int,
) -> Node:  # fmt: skip
    name, in_full = valuekinds.type_name(obj)
    scalar = valuetables.scalar(obj)
    opens = 0 if scalar else _size(obj)
    text, count = valuekinds.line(obj, _LINE), _count(obj)
    if scalar:
        (name, text), in_full, count = scalar, scalar[0], ""
    table = valuetables.grid(obj)
    if table is not None:
        text, count = table.summary, ""
    inline = opens and depth < _DEEPEST and budget.left >= opens
    if inline:
        budget.left -= opens
    return Node(
        label=label,
        role=role,
        type=name,
        type_in_full=in_full,
        look=valuekinds.look(obj),
        text=text,
        hint=valuekinds.hint(obj),
        count=count,
        inside=_level(obj, path, 0, address, budget, depth + 1) if inline else None,
        source=address(path, 0) if opens and not inline and address is not None else None,
        cut=bool(opens and not inline and address is None),
    )


def _size(obj: object) -> int:
    """About how many lines a value takes when it is opened; 0 for one that does not open."""
    if valuetables.grid(obj) is not None:
        return CHILDREN
    body = _body(obj)
    if body is not None:
        return 1 + min(len(body), CHARACTERS) // 100
    if isinstance(obj, bytes | bytearray):
        return BYTES // _ROW if len(obj) > valuekinds.LONG_BYTES else 0
    within = valuekinds.inside(obj)
    return min(within.count, CHILDREN) if within else 0


def _body(obj: object) -> str | None:
    """The text of what opens as a text."""
    if isinstance(obj, str):
        return obj if len(obj) > valuekinds.LONG_TEXT or "\n" in obj else None
    if isinstance(obj, values.Opaque):
        return obj.text if len(obj.text) > _LINE else None
    if isinstance(obj, int) and obj.bit_length() > 400:
        return str(obj) if obj.bit_length() < 12_000 else f"{obj:#x}"
    return None


def _count(obj: object) -> str:
    within = valuekinds.inside(obj)
    return many(within.count, within.noun) if within else ""


def _level(
    obj: object, path: Path, start: int, address: Address | None, budget: _Budget, depth: int
) -> Level:
    table = valuetables.grid(obj)
    if table is not None:
        return _rows(table, path, start, address)
    body = _body(obj)
    if body is not None:
        left = len(body) - start - CHARACTERS
        return Level(
            text=body[start : start + CHARACTERS],
            first=start == 0,
            rest=_rest(left, "more character", path, start + CHARACTERS, address),
        )
    if isinstance(obj, bytes | bytearray):
        left = len(obj) - start - BYTES
        return Level(
            dump="\n".join(hex_dump(bytes(obj[start : start + BYTES]), start)),
            first=start == 0,
            rest=_rest(left, "more byte", path, start + BYTES, address),
        )
    within = valuekinds.inside(obj)
    if within is None:
        return Level()
    nodes = tuple(
        _node(label, role, one, (*path, at), address, budget, depth)
        for at, (label, role, one) in enumerate(within.take(start, CHILDREN), start)
    )
    left = within.count - start - CHILDREN
    return Level(
        nodes=nodes,
        first=start == 0,
        rest=_rest(left, f"more {within.noun}", path, start + CHILDREN, address),
    )


def _rest(left: int, noun: str, path: Path, start: int, address: Address | None) -> Rest | None:
    if left <= 0:
        return None
    return Rest(f"… {many(left, noun)}", address(path, start) if address is not None else None)


def hex_dump(data: bytes, at: int) -> Iterator[str]:
    """Lines as hexadecimal dumps have them: place, bytes, the letters among them."""
    for start in range(0, len(data), _ROW):
        row = data[start : start + _ROW]
        letters = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        yield f"{at + start:08x}  {row.hex(' '):<{3 * _ROW - 1}}  {letters}"


def _rows(grid: valuetables.Grid, path: Path, start: int, address: Address | None) -> Level:
    stop = min(start + CHILDREN, grid.rows)
    rows = tuple(
        (str(grid.index(row)), tuple(_cell(one.cell, row) for one in grid.columns))
        for row in range(start, stop)
    )
    table = Table(
        summary=grid.summary,
        columns=tuple((one.name, one.number) for one in grid.columns),
        rows=rows,
        left_out=f"{many(grid.left_out, 'more column')}" if grid.left_out else "",
    )
    return Level(
        table=table,
        first=start == 0,
        rest=_rest(grid.rows - stop, "more row", path, stop, address),
    )


def _cell(cell: Callable[[int], object], row: int) -> str:
    try:
        return valuetables.cell_text(cell(row))
    except Exception:  # noqa: BLE001 - what was recorded may not add up in any way
        return "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """What a search in a value found; ``stopped`` says where it ended early, or nothing."""

    nodes: tuple[Node, ...]
    stopped: str


def find(obj: object, wanted: str, address: Address) -> Matches:
    """Search a value's names and texts, without regard to case, within bounds of number and time.

    Args:
        obj: An inert value.
        wanted: What to search for.
        address: Gives the address of a level.
    """
    wanted, until = wanted.casefold(), time.monotonic() + _SECONDS
    found: list[tuple[Path, str, object]] = []
    stopped = ""
    for visited, (place, label, one, path) in enumerate(_walk(obj)):
        if _holds(label, one, wanted):
            found.append((path, place, one))
        if len(found) == _MATCHES:
            stopped = f"the first {_MATCHES}"
            break
        if visited == _VISITED or (visited % 500 == 499 and time.monotonic() > until):
            stopped = f"stopped after {many(visited + 1, 'value')}"
            break
    found.sort(key=lambda one: one[0])
    nodes = (_node(place, "", one, path, address, _Budget(0), 0) for path, place, one in found)
    return Matches(nodes=tuple(nodes), stopped=stopped)


def _walk(obj: object) -> Iterator[tuple[str, str, object, Path]]:
    """Yield what is inside with its place in words, its name, and its path.

    Outer ones come first, and containers take turns: what is large hides nothing beside it.
    """
    waiting: deque[tuple[str, Path, object, int]] = deque([("", (), obj, 0)])
    while waiting:
        place, path, container, start = waiting.popleft()
        within = valuekinds.inside(container)
        if within is None or isinstance(container, memoryview | range):
            continue
        for at, (label, role, one) in enumerate(within.take(start, _TURN), start):
            inner = f"{place}[{label}]" if role == "index" else f"{place}.{label}".lstrip(".")
            yield inner, label if role != "index" else "", one, (*path, at)
            if not isinstance(one, _LEAVES):
                waiting.append((inner, (*path, at), one, 0))
        if start + _TURN < within.count:
            waiting.append((place, path, container, start + _TURN))


_TURN: Final = 500
_LEAVES: Final = (str, int, float, bytes, type(None))


def _holds(label: str, obj: object, wanted: str) -> bool:
    if label and wanted in label.casefold():
        return True
    if isinstance(obj, str):
        return wanted in obj.casefold()
    if type(obj) is int and obj.bit_length() < 64:
        return wanted in str(obj)
    if valuekinds.inside(obj) is not None or isinstance(obj, bytes | bytearray):
        return False
    return wanted in valuekinds.line(obj, 200).casefold()
