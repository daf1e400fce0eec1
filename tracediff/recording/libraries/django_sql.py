"""What Django's statements are recorded as: a name for the step, and parameters by their columns.

Drivers wrap parameters in types of their own, and Django counts savepoints by thread. What crosses
into a trace is plain data that is the same in every process.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from tracediff import values
from tracediff.recording.buffers import Buffer
from tracediff.recording.libraries.sealing import (
    columns_of,
    sealed,
    sealed_parameters,
    words_of,
)
from tracediff.recording.libraries.statements import MAX_KEPT, changing, subject

_LISTED = re.compile(r"(\bIN \()('\w+'(?:,'\w+')+)(\))")
_SAVEPOINT = re.compile(r"\bs\d+_x\d+\b")
_PARAMETERS = re.compile(
    r"""(?P<skip> '[^']*' | "[^"]*" | %% ) | (?P<any> \bin \s* \( \s* %s (?: \s*,\s* %s )* \s* \) )
    | (?P<one> %s )""",
    re.IGNORECASE | re.VERBOSE,
)
_UNNEST = re.compile(
    r"insert\s+into\s+\S+\s*\((?P<columns>[^)]*)\)\s*select\s.*\bunnest\(",
    re.IGNORECASE,
)
_RETURNING = re.compile(
    r"\breturning\b(?P<columns>(?:(?!\breturning\b).)*)$", re.IGNORECASE | re.DOTALL
)
_IGNORES = re.compile(r"^insert (?:or )?ignore|on conflict do nothing$", re.IGNORECASE)
_POINTS = frozenset({"SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO"})


def text_of(query: Any) -> str:
    """A statement as text, where a driver takes it in other forms."""
    if isinstance(query, str):
        return str.__str__(query)
    if isinstance(query, bytes):
        return query.decode("utf-8", "replace")
    as_string = getattr(query, "as_string", None)
    return str(as_string(None)) if as_string is not None else str(query)


class Statement(NamedTuple):
    """What the text of a statement says: the step's name, whether it writes, its savepoint.

    ``text`` is as it is recorded.
    ``columns`` are those of the parameters, ``groups`` how many go together and whether their order
    is none; of an INSERT, ``period`` is the length of a row. Unordered are the rows of relations,
    which Django takes from a set.
    """

    text: str
    name: str
    changes: bool
    savepoint: str | None
    columns: tuple[str, ...]
    groups: tuple[tuple[int, bool], ...]
    period: int
    is_unnested: bool
    is_unordered: bool


def read(sql: str) -> Statement:
    """What a statement is; remembered for those that are not too long."""
    return _read(sql) if len(sql) < MAX_KEPT else _statement(sql)


@lru_cache(maxsize=512)
def _read(sql: str) -> Statement:
    return _statement(sql)


def _statement(sql: str) -> Statement:
    what = subject(sql)
    groups = tuple(_groups(sql))
    columns = tuple(_columns(sql, sum(count for count, _ in groups)))
    period = 0
    if what.startswith("INSERT") and columns:
        period = columns.index(columns[0], 1) if columns[0] in columns[1:] else len(columns)
        if columns != columns[:period] * (len(columns) // period):
            period = 0
    found = _SAVEPOINT.search(sql) if what in _POINTS else None
    savepoint = found[0] if found is not None else None
    return Statement(
        _LISTED.sub(_sorted, sql),
        f"django.db {what}",
        changing(sql),
        savepoint,
        columns,
        groups,
        period,
        is_unnested=_UNNEST.match(sql) is not None,
        is_unordered=period > 0 and _IGNORES.search(sql) is not None,
    )


def _sorted(listed: re.Match[str]) -> str:
    """Django writes some of them from a set: each process has them in another order."""
    return f"{listed[1]}{','.join(sorted(listed[2].split(',')))}{listed[3]}"


def _groups(sql: str) -> Iterator[tuple[int, bool]]:
    """How many parameters each place takes, and whether their order says nothing."""
    for token in _PARAMETERS.finditer(sql):
        if token.lastgroup == "any":
            yield token["any"].count("%s"), True
        elif token.lastgroup == "one":
            yield 1, False


def _columns(sql: str, count: int) -> list[str]:
    unnest = _UNNEST.match(sql)
    if unnest is not None:
        names = [one.strip().strip('"`') for one in unnest["columns"].split(",")]
        return names if len(names) == count else []
    names = [column for key, column in columns_of(sql) if not key]
    return names if len(names) == count else []


def parameters(buffer: Buffer, sql: str, statement: Statement, given: Any, many: bool) -> Any:
    """What is recorded of a statement's parameters: by the names of their columns.

    Where they cannot be told, the parameters by place; all of them sealed where a word of the
    statement is a secret's name.

    Args:
        buffer: The trace.
        sql: The statement.
        statement: What was read from it.
        given: The parameters as the driver gets them.
        many: Whether there are many sets of them.
    """
    if given is None or (not many and len(given) == 0):
        return None
    if many:
        return [parameters(buffer, sql, statement, one, many=False) for one in given]
    if isinstance(given, dict):
        return sealed_parameters(buffer, sql, {name: plain(one) for name, one in given.items()})
    found = [plain(one) for one in given]
    if len(statement.columns) == len(found):
        for at, column in enumerate(statement.columns):
            if column and buffer.redactor.secret(column):
                found[at] = _as_text(found[at])
        return _by_column(statement, found)
    secret = next(filter(buffer.redactor.secret, sorted(words_of(sql))), None)
    return tuple(found) if secret is None else sealed(buffer, [secret] * len(found), tuple(found))


def _as_text(value: Any) -> Any:
    """A secret as a text: what is sealed counts by its type, and fields convert what they get."""
    if type(value) is list:
        return [_as_text(one) for one in value]
    if type(value) is values.Placeholder:
        node = values.node_of(value)
        if isinstance(node, values.Redacted):
            return values.Placeholder(replace(node, type="builtins:str"))
        return value
    return value if value is None or type(value) in (bool, str) else str(value)


def _by_column(statement: Statement, found: Sequence[Any]) -> Any:
    """By column; several rows that are inserted as a list of them."""
    period = statement.period
    rows: list[Sequence[Any]] = []
    if statement.is_unnested and all(type(one) is list for one in found):
        rows = [list(row) for row in zip(*found, strict=False)]
    elif period and period < len(found):
        rows = [found[at : at + period] for at in range(0, len(found), period)]
    if not rows:
        return _named(statement, found)
    if statement.is_unordered:
        rows.sort(key=lambda row: list(map(repr, row)))
    single = statement._replace(groups=((1, False),) * period)
    return [_named(single, row) for row in rows]


def _named(statement: Statement, found: Sequence[Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    at = 0
    for count, is_set in statement.groups:
        column = name = statement.columns[at] or "parameter"
        value = _in_order(found[at : at + count]) if is_set else found[at]
        number = 1
        while name in named:
            number += 1
            name = f"{column} {number}"
        named[name] = value
        at += count
    return named


def _in_order(members: Iterable[Any]) -> list[Any]:
    """What ``IN`` compares with, sorted: Django may take it from a set, whose order is no data."""
    given = list(members)
    try:
        return sorted(given)
    except Exception:  # of several types, or without an order
        return given


def returned(sql: str) -> int:
    """How many columns ``RETURNING`` gives; 0 where there is none."""
    found = _RETURNING.search(sql)
    return found["columns"].count(",") + 1 if found is not None else 0


def rows_of(shown: Any) -> int:
    """How many rows a statement inserts, as far as its parameters say."""
    if type(shown) is list:
        return len(shown)
    first = next(iter(shown.values()), None) if type(shown) is dict else None
    return len(first) if type(first) is list else 1


def _hide(buffer: Buffer, shown: Any) -> None:
    """Databases quote what they refuse: take that out of errors, and of texts made of errors.

    Not the secret itself out of all values: one that is sealed has to stay what it was.
    """
    rows: list[Any] = list(shown) if type(shown) is list else [shown]
    for row in rows:
        for name, value in dict(row if type(row) is dict else {}).items():
            if buffer.redactor.secret(name):
                for one in value if type(value) is list else [value]:
                    if type(one) is str:
                        buffer.hide(one)
                        for quoted in (f"=({one})", f", {one},", f", {one})", f"({one},"):
                            buffer.learn(quoted)


def failed(buffer: Buffer, shown: Any) -> None:
    """A driver raised: see that the secrets it may quote are recorded nowhere."""
    with contextlib.suppress(Exception):  # a recorder never breaks the job
        _hide(buffer, shown)


def plain(value: Any) -> Any:
    """A parameter as plain data: without the types of a driver, Django and the program."""
    kind = type(value)
    if kind in values.SCALARS or kind is values.Placeholder:
        return value
    if kind is list or kind is tuple:
        return [plain(one) for one in value]
    for base, made in _PLAIN:
        if isinstance(value, base):
            return made(value)
    if hasattr(value, "obj") and hasattr(value, "dumps"):  # JSON, as psycopg wraps it
        return _json(value)
    return str(value) if kind.__name__ == "__proxy__" else value  # a text to be translated


def _json(value: Any) -> Any:
    """What a JSON parameter holds, as it will be read back."""
    dumps = value.dumps or json.dumps
    try:
        return json.loads(dumps(value.obj))
    except Exception:  # the driver will say so
        return value.obj


_PLAIN: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: plain(value.value)),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (Decimal, Decimal),
    (bytes | bytearray | memoryview, bytes),
    (dt.datetime, lambda value: dt.datetime.combine(value.date(), value.timetz())),
)
