"""Keeping secrets out of what a statement is given and gives: by the names of their columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from tracediff import values
from tracediff.recording.buffers import Buffer, Packed
from tracediff.recording.libraries.statements import MAX_KEPT, remembered
from tracediff.recording.redaction import REDACTED, Redactor

_TOKEN = re.compile(
    r"""(?P<text> '[^']*' ) | (?P<skip> --[^\n]* | /\*.*?\*/ | ::\s*\w+ | %% )
    | " (?P<quoted> [^"]* ) " | ` (?P<ticked> [^`]* ) ` | \[ (?P<boxed> \w+ ) \]
    | %\( (?P<pyformat> [^)]* ) \)s | : (?P<named> [A-Za-z_]\w* ) | \$ (?P<numbered> \d+ )
    | (?P<plain> %s | %b | %t | \? )
    | (?P<word> [A-Za-z_]\w* ) | (?P<mark> [(),] )""",
    re.DOTALL | re.VERBOSE,
)
_NAMES = frozenset({"word", "quoted", "ticked", "boxed"})
_KEYED = ("pyformat", "named", "numbered")
_WORD = re.compile(r"[A-Za-z_]\w*")

_OPERATORS = frozenset(
    "and any all between ilike in is like not or set values value array on conflict do".split()
)
"""Words between a column and what it is compared with, or set to."""

_OTHERS = frozenset(
    """select from where limit offset returning group order by having fetch when then else case end
    join as with insert into update delete""".split()
)
"""Words after which a parameter belongs to no column that came before."""


_TELLS_LITTLE = frozenset(
    "count length char_length octet_length is exists case in like between".split()
)
"""Words of what is made of a secret column and shows nothing of it."""


def secret_names(redactor: Redactor, sql: str, columns: Sequence[str]) -> Sequence[str]:
    """The columns of a result; in the place of an alias the secret column that it was made of.

    Args:
        redactor: The rules.
        sql: The statement.
        columns: The names that its cursor says.
    """
    if not names_secret(redactor, sql):
        return columns
    given = _given(sql)
    if len(given) != len(columns):
        return columns
    found = []
    for name, words in zip(columns, given, strict=True):
        plain = redactor.secret(name) or not _TELLS_LITTLE.isdisjoint(map(str.lower, words))
        found.append(name if plain else next(filter(redactor.secret, words), name))
    return found


@remembered
def _given(sql: str) -> tuple[tuple[str, ...], ...]:
    """The names in each expression that a SELECT or RETURNING gives."""
    found: list[tuple[str, ...]] = []
    words: list[str] = []
    depth, begun, tables = 0, False, 0
    for token in _TOKEN.finditer(sql):
        kind = token.lastgroup
        text = token[kind or 0]
        word = text.lower() if kind == "word" else ""
        if kind == "mark" and text != ",":
            depth += 1 if text == "(" else -1
            tables = tables if depth >= tables else 0
        elif depth == 0 and word in ("select", "returning"):
            begun, words, found = True, [], []
        elif depth == 0 and begun and (text == "," or word == "from"):
            found.append(tuple(words))
            words = []
            if word:
                return tuple(found)
        elif word == "from":
            tables = tables or depth
        elif kind in _NAMES and not tables and sql[token.end() : token.end() + 1] != ".":
            words.append(text)
    return (*found, tuple(words)) if begun else ()


def sealed(buffer: Buffer, names: Sequence[str], cells: Any) -> Any:
    """What is captured of a tuple or list in the trace; what has a secret name is sealed in it.

    None stays None: that a secret is missing is none.

    Args:
        buffer: The trace.
        names: A name for each of the cells.
        cells: The tuple or list.
    """
    secret = buffer.redactor.secret
    places = [at for at, name in enumerate(names) if name and secret(name)]
    if not places or not isinstance(cells, tuple | list):
        return cells
    packed = [buffer.packed(buffer.capture(cell)) for cell in cells]
    for at in places:
        if at < len(cells) and cells[at] is not None:
            buffer.hide(cells[at])
            packed[at] = values.seal(_as_text(buffer, cells[at], packed[at]), buffer.redactor)
    join = values.encode_tuple if isinstance(cells, tuple) else values.encode_list
    return Packed(join(packed))


def _as_text(buffer: Buffer, value: Any, data: bytes) -> bytes:
    """A secret's canonical bytes: an identifier's as text, which it is elsewhere in the program."""
    return buffer.packed(str(value)) if type(value) is UUID else data


def sealed_parameters(buffer: Buffer, sql: str, given: Any, *, many: bool = False) -> Any:
    """What to give a ``Reach`` as the parameters of a statement.

    The names of those in a tuple or list are those of the columns that they are compared with, set
    or inserted into. A dict's are its keys, which are sealed anyway, and these columns.

    Args:
        buffer: The trace.
        sql: The statement, with ``?``, ``%s``, ``$1``, ``:name`` or ``%(name)s`` for parameters.
        given: A tuple, list or dict; a list of them where there are many.
        many: Whether the statement runs once for each of ``given``.
    """
    redactor = buffer.redactor
    if not given or not names_secret(redactor, sql):
        return given
    columns = columns_of(sql)
    if many or (isinstance(given, list) and all(type(one) is dict for one in given)):
        each = [_sealed(buffer, columns, one) for one in given]
        return Packed(values.encode_list([buffer.packed(buffer.capture(one)) for one in each]))
    return _sealed(buffer, columns, given)


def named_parameters(sql: str, given: Any) -> Any:
    """The parameters in a tuple or list as a dict by their columns, where that is clear.

    Of several rows that are inserted at once, a list of these.
    """
    if not given or not isinstance(given, tuple | list) or len(sql) >= MAX_KEPT:
        return given
    names = _in_order(columns_of(sql))
    if len(names) != len(given) or not all(names):
        return given
    width = names.index(names[0], 1) if names[0] in names[1:] else len(names)
    first = names[:width]
    if len(set(first)) != width or first * (len(names) // width) != names:
        return given
    rows = [
        dict(zip(first, given[at : at + width], strict=True)) for at in range(0, len(names), width)
    ]
    return rows if len(rows) > 1 else rows[0]


def column_names(sql: str) -> tuple[str, ...] | None:
    """The columns of a statement's parameters, where each has another; else None."""
    if len(sql) >= MAX_KEPT:
        return None
    names = _in_order(columns_of(sql))
    return tuple(names) if names and all(names) and len({*names}) == len(names) else None


def _sealed(buffer: Buffer, columns: Sequence[tuple[str, str]], given: Any) -> Any:
    if isinstance(given, dict):
        hidden = {key for key, name in columns if name and buffer.redactor.secret(name)}
        return _sealed_dict(buffer, hidden, given)
    return sealed(buffer, _in_order(columns), given)


def _sealed_dict(buffer: Buffer, hidden: set[str], given: dict[Any, Any]) -> Any:
    secret = buffer.redactor.secret
    if not all(type(name) is str for name in given):
        return given
    if not any(name in hidden or secret(name) for name in given):
        return given
    pairs = []
    for name, value in given.items():
        data = buffer.packed(buffer.capture(value))
        if (name in hidden or secret(name)) and value is not None:
            buffer.hide(value)
            data = values.seal(_as_text(buffer, value, data), buffer.redactor)
        pairs.append((name, data))
    return Packed(values.encode_map(pairs))


def _in_order(columns: Iterable[tuple[str, str]]) -> list[str]:
    """The columns of parameters by place; numbered ones may come in any order, and twice."""
    found: list[str] = []
    numbered: dict[int, str] = {}
    for key, name in columns:
        if key.isdecimal():
            at = int(key) - 1
            numbered[at] = numbered.get(at) or name
        else:
            found.append(name)
    if numbered:
        return [numbered.get(at, "") for at in range(min(max(numbered) + 1, 100_000))]
    return found


def sealed_statement(buffer: Buffer, sql: str) -> str:
    """The statement as it is shown: without texts that stand in it for a secret column."""
    redactor = buffer.redactor
    if "'" not in sql or not names_secret(redactor, sql):
        return sql
    parts: list[str] = []
    at = 0
    for token, key, column in _Reader().values(sql):
        if key is None and column and redactor.secret(column):
            buffer.hide(token["text"][1:-1])
            parts += (sql[at : token.start()], f"'{REDACTED}'")
            at = token.end()
    return "".join((*parts, sql[at:]))


def names_secret(redactor: Redactor, sql: str) -> bool:
    """Whether anything in a statement that could be a name is a secret's."""
    return any(map(redactor.secret, words_of(sql) - redactor.safe))


@remembered
def words_of(sql: str) -> frozenset[str]:
    """All that could be a name in a statement."""
    return frozenset(_WORD.findall(sql))


@remembered
def columns_of(sql: str) -> tuple[tuple[str, str], ...]:
    """For each parameter of a statement its name or number, and the column it goes with.

    Both are empty where there is none.
    """
    return tuple(_Reader().read(sql))


class _Reader:
    """Reads one statement; it knows no grammar, only what stands before a parameter."""

    def __init__(self) -> None:
        self.column = ""
        self.before = ""  # the column before the last token
        self.listed: list[str] | None = None  # the columns of an INSERT, once they were read
        self.listing = False
        self.inserting = False
        self.depth = 0
        self.at = 0  # in a row of values

    def read(self, sql: str) -> Iterable[tuple[str, str]]:
        """The parameters of a statement, as ``columns_of`` gives them."""
        for _, key, column in self.values(sql):
            if key is not None:
                yield key, column

    def values(self, sql: str) -> Iterable[tuple[re.Match[str], str | None, str]]:
        """Its parameters, by name or number, and the texts in it, with their columns."""
        for token in _TOKEN.finditer(sql):
            kind = token.lastgroup or "skip"
            text = token[kind]
            if kind in _KEYED:
                yield token, text, self._named()
            elif kind == "plain":
                yield token, "", self._named()
            elif kind == "text":
                yield token, None, self._named()
            elif kind == "mark":
                self._mark(text)
            elif kind != "skip":
                self._name(text, is_word=kind == "word")
                continue
            self.before = self.column

    def _named(self) -> str:
        listed = self.listed
        if listed is not None and self.depth:
            return listed[self.at] if self.at < len(listed) else ""
        return self.column

    def _mark(self, text: str) -> None:
        if text == "(":
            self.depth += 1
            self.column = self.before  # what stood there was a function's name
            if self.inserting and self.listed is None and self.depth == 1:
                self.listing = True
                self.listed = []
            elif self.depth == 1:
                self.at = 0
        elif text == ")":
            self.depth = max(0, self.depth - 1)
            self.listing = self.listing and self.depth > 0
        elif self.listed is not None and self.depth == 1 and not self.listing:
            self.at += 1

    def _name(self, text: str, *, is_word: bool) -> None:
        word = text.lower() if is_word else ""
        if word == "insert":
            self.inserting, self.listed = True, None
        elif word in ("on", "returning", "select", "update") and not self.listing:
            self.inserting, self.listed = False, None
        if self.listing and self.listed is not None:
            self.listed.append(text)
        elif word in _OTHERS:
            self.column = ""
        elif word not in _OPERATORS:
            self.before, self.column = self.column, text
            return
        self.before = self.column
