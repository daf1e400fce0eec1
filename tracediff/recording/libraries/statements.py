"""What the text of an SQL statement says of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

_T = TypeVar("_T")

_SKIPPED = re.compile(
    r"""'[^']*' | "[^"]*" | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*.*?\*/""",
    re.DOTALL | re.VERBOSE,
)
"""Texts, quoted names and comments."""

_HEAD = re.compile(r"[\s(]*(\w*)")
_READS = frozenset("copy select values explain show table describe desc fetch with pragma".split())
_TO_CLIENT = re.compile(r"\bto \s+ stdout \b", re.IGNORECASE | re.VERBOSE)
_CHANGES = re.compile(
    r"\b(?: insert \s+ (?: or \s+ \w+ \s+ )? into | delete \s+ from | merge \s+ into"
    r"| replace \s+ into | (?<!for\s) (?<!key\s) update \s )",
    re.IGNORECASE | re.VERBOSE,
)
_ACTS = re.compile(
    r"\b(?: into \s | (?: setval | set_config | pg_notify | pg_\w*advisory\w*"
    r"| pg_terminate_backend | pg_cancel_backend | lo_\w+ | dblink_exec ) \s* \( )",
    re.IGNORECASE | re.VERBOSE,
)
"""``SELECT … INTO``, and functions of databases whose purpose is what they do."""


_NOT_SQL = re.compile(r"'[^']*' | --[^\n]* | /\*.*?\*/", re.DOTALL | re.VERBOSE)
_NAME = r"""(?: ["`\[]? [\w$]+ ["`\]]? \. )* ["`\[]? ([\w$]+)"""
_TABLE = re.compile(
    rf"""(?i) ^ [\s(]* (?:
    ( select | with | delete ) \b .*? \b from \s+ (?: only \s+ )? {_NAME}
    | ( insert | replace | merge ) \b .*? \b into \s+ {_NAME}
    | ( copy ) \s+ {_NAME}
    | ( update ) \s+ (?: only \s+ | or \s+ \w+ \s+ )? {_NAME}
    | ( (?: create | drop | alter | truncate ) \s+ (?: (?: or | replace | unique | temp
        | temporary | unlogged | materialized ) \s+ )* \w+ ) \s+
        (?: concurrently \s+ | if \s+ (?: not \s+ )? exists \s+ )* {_NAME} )""",  # noqa: S608 - a pattern, no statement
    re.DOTALL | re.VERBOSE,
)
MAX_SUBJECT = 80

MAX_LOOKED_AT = 5_000
"""Characters of a statement in which its first table is looked for."""


MAX_KEPT = 20_000
"""Characters of a statement of which is remembered what is read from it."""


def remembered(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """The function, which reads each of the last statements once, those that are not too long."""
    kept = lru_cache(maxsize=1024)(read)

    @wraps(read)
    def reading(sql: str) -> _T:
        return kept(sql) if len(sql) < MAX_KEPT else read(sql)

    return reading


@remembered
def subject(sql: str) -> str:
    """What a statement does, and to which table first: "SELECT item", "CREATE INDEX by_name"."""
    bare = _NOT_SQL.sub(" ", sql[:MAX_LOOKED_AT])
    found = _TABLE.match(bare)
    if found is not None:
        verb, table = (one for one in found.groups() if one is not None)
        return f"{' '.join(verb.upper().split())} {table}"[:MAX_SUBJECT]
    words = re.findall(r"\w+", bare[:MAX_SUBJECT])[:2]
    if words and words[0].lower() not in ("rollback", "release"):
        del words[1:]
    return " ".join(words).upper() or "statement"


@remembered
def changing(sql: str) -> bool:
    """Whether a statement writes, or begins or ends a transaction.

    Those that read are SELECT, also one FOR UPDATE or one that draws from a sequence, VALUES,
    EXPLAIN, SHOW and the like, PRAGMA without a value, COPY TO STDOUT, and WITH unless there is an
    INSERT, UPDATE, DELETE or MERGE in it. A SELECT of a function that the database defines is taken
    for reading.
    """
    bare = _SKIPPED.sub(" ", sql)
    found = _HEAD.match(bare)
    word = found[1].lower() if found is not None else ""
    if word not in _READS:
        return True
    if word == "pragma":
        return "=" in bare
    if word in ("select", "with") and _ACTS.search(bare) is not None:
        return True
    if word == "copy" and _TO_CLIENT.search(bare) is None:
        return True
    return word in ("with", "explain", "copy") and _CHANGES.search(bare) is not None


_BEGINS = frozenset({"BEGIN", "START"})
_ENDS = frozenset({"COMMIT", "END", "ROLLBACK", "ABORT"})


def transaction_after(sql: str, before: bool) -> bool:
    """Whether a transaction is open after a statement.

    Args:
        sql: The statement, which worked.
        before: Whether one was open.
    """
    words = sql[:MAX_SUBJECT].lstrip(" \n\t(;").replace(";", " ").upper().split(None, 2)
    first = words[0] if words else ""
    if first in _ENDS:
        return first == "ROLLBACK" and words[1:2] == ["TO"]
    return before or first in _BEGINS


_RETURNING = re.compile(r"\breturning\b", re.IGNORECASE)


def returned(sql: str) -> list[str]:
    """The names of the columns that a statement which writes gives; none where it gives none."""
    bare = _NOT_SQL.sub(" ", sql)
    found = _RETURNING.search(bare)
    if found is None:
        return []
    return selected(f"SELECT {bare[found.end() :]}") or ["id"]


_PIECE = re.compile(
    r"""["`\[] (?P<quoted> [^"`\]]+ ) ["`\]] | (?P<word> [\w$]+ ) | (?P<mark> [(),*] )""",
    re.VERBOSE,
)


def selected(sql: str) -> list[str] | None:
    """The names of the columns that a SELECT gives; None where its text does not say."""
    names: list[str] = []
    name, depth, begun = "", 0, False
    for piece in _PIECE.finditer(_NOT_SQL.sub(" ", sql)):
        word, mark = piece["word"] or piece["quoted"], piece["mark"]
        if mark in ("(", ")"):
            depth += 1 if mark == "(" else -1
        elif depth:
            continue
        elif not begun:
            begun = (word or "").lower() == "select"
        elif mark == "*":
            return None
        elif mark == "," or (piece["word"] or "").lower() == "from":
            names.append(name)
            if mark is None:
                return names
        else:
            name = word
    return [*names, name] if begun else None
