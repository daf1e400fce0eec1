"""The reviewed file of accepted causes: read with a reason when it cannot be, written whole."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from xxhash import xxh3_128_hexdigest

from tracediff.check.accepting import WAYS, Entry, entered, signed, ways_of, ways_text
from tracediff.errors import ExpectationError
from tracediff.expectations.accepting import who
from tracediff.expectations.files import locked, write_whole
from tracediff.expectations.pending import DIRECTORY, Results
from tracediff.recording.codeversion import git_commit
from tracediff.reports.amounts import decimal, plain
from tracediff.reports.clean import clean
from tracediff.reports.excerpt import cut
from tracediff.reports.explanation import exact

FILE: Final = "tracediff-causes.json"
SCHEMA: Final = "tracediff/causes/1"
LARGEST: Final = 16 * 1024 * 1024
"""Bytes that the file may have: more than anybody reviews."""
_TOP: Final = ("schema", "accepted")
_FIELD: Final = ("moves", "total", "exact")
_TEXTS: Final = ("label", "kind", "file", "reason", "who", "when")
_LISTS: Final = ("units", "hunk")
_ID = re.compile(r"[0-9a-f]{8}\Z")
_DECIMAL = re.compile(r"(-?[0-9]{1,4300})(?:/([0-9]{1,4300}))?\Z")
_HEXADECIMAL = re.compile(r"(-?0x[0-9a-f]{1,20000})/(0x[0-9a-f]{1,20000})\Z")
_MARKER = re.compile(r"^(<{7}|>{7}|\|{7}) ?.*$|^={7}\s*$", re.MULTILINE)


def document(entries: Iterable[Entry]) -> dict[str, Any]:
    """Accepted causes as a document; ``schemas/causes-1.json`` describes it."""
    return {"schema": SCHEMA, "accepted": [_packed(one) for one in entries]}


def _packed(one: Entry) -> dict[str, Any]:
    return {
        "cause": one.cause,
        "label": one.label,
        "kind": one.kind,
        "units": list(one.units),
        "file": one.file,
        "hunk": list(one.hunk),
        "explained": one.exact,
        "reason": one.reason,
        "who": one.who,
        "when": one.when,
        "commit": one.commit,
        "dirty": one.dirty,
        "keys": dict(sorted(one.keys.items())),
        "traces": one.traces,
        "fields": {name: _packed_field(one, name) for name in sorted(one.fields)},
    }


def _packed_field(one: Entry, name: str) -> dict[str, str]:
    found = {"moves": ways_text(ways_of(one.fields[name]))}
    if name in one.totals:
        amount = one.totals[name]
        found |= {"total": plain(decimal(amount), sign=True), "exact": exact(amount)}
    return found


def dumped(entries: Iterable[Entry]) -> bytes:
    """The file's bytes: one field a line, and nothing in it that hides or turns around what is."""
    text = json.dumps(document(entries), ensure_ascii=False, indent=1)
    text = "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)
    return f"{text}\n".encode()


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1]


def read_causes(root: Path) -> tuple[Entry, ...]:
    """The causes that a project accepts; none where there is no file.

    Raises:
        ExpectationError: ``causes-unreadable`` or ``schema-newer``.
    """
    path = root / FILE
    try:
        _refuse_outside(path, root)
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except FileNotFoundError:
        if path.is_symlink():
            raise _unreadable(path, "it is a link to nothing") from None
        return ()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    try:
        return _parsed(data, path)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None


def _refuse_outside(path: Path, root: Path) -> None:
    """A link may lead elsewhere in the project, not out of it: it is written through."""
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(
        os.path.realpath(root)
    ):
        raise _unreadable(path, "it is a link that leads out of the project")


def _unreadable(path: Path, why: str) -> ExpectationError:
    return ExpectationError(
        f"{path.name} cannot be used: {why[:300]}",
        slug="causes-unreadable",
        hint=f"mend it, or restore it with `git checkout -- {path.name}`",
    )


def _parsed(data: bytes, path: Path) -> tuple[Entry, ...]:
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST >> 20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8, from byte {error.start} on") from None
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_int=whole_number)
    except json.JSONDecodeError as error:
        marker = _MARKER.search(text)
        if marker is None:
            raise ValueError(f"it is no JSON in line {error.lineno}: {error.msg}") from None
        line = text.count("\n", 0, marker.start()) + 1
        raise ValueError(
            f"it holds the markers of a merge conflict, from line {line} on: "
            "keep the entries of both sides, and take the markers out"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"it is no {SCHEMA}")
    check_schema(found.get("schema"), SCHEMA, path)
    return _entries(found)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:80]!r} stands twice in one place")
        found[name] = value
    return found


def whole_number(text: str) -> int:
    """A whole number of a document; none in it has so many digits as to cost time."""
    if len(text) > 18:
        raise ValueError(f"{text[:20]}… is no count")
    return int(text)


def check_schema(said: object, schema: str, path: Path) -> None:
    """Refuse a document of another schema than, say, "tracediff/causes/1".

    Raises:
        ExpectationError: ``schema-newer``.
        ValueError: It is of another kind.
    """
    if said == schema:
        return
    if not isinstance(said, str):
        raise ValueError(f"it names no schema, where {schema} belongs")
    kind, _, newest = schema.rpartition("/")
    if said.startswith(f"{kind}/") and said.removeprefix(f"{kind}/").isdecimal():
        raise ExpectationError(
            f"{path.name} has the schema {said[:80]}; this tracediff reads up to {newest}",
            slug="schema-newer",
            hint="upgrade tracediff here to at least the version that wrote the file",
        )
    raise ValueError(f"it is {said[:80]}, not {schema}")


def _entries(found: Mapping[str, Any]) -> tuple[Entry, ...]:
    _refuse_unknown(found, _TOP, "it")
    listed = found.get("accepted")
    if not isinstance(listed, list):
        raise ValueError("'accepted' is no list")
    entries: dict[str, Entry] = {}
    for one in listed:
        entry = _unpacked(one)
        if entry.cause in entries:
            raise ValueError(f"the cause {entry.cause} stands in it twice: take out one of the two")
        entries[entry.cause] = entry
    return entered((), entries.values())


def _refuse_unknown(found: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in found:
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{where} has a field {name[:80]!r} that there is none of{meant}")


def _unpacked(one: object) -> Entry:
    if not isinstance(one, dict):
        raise ValueError("what it accepts are no causes")
    cause = str(one.get("cause"))
    check_id(cause)
    where = f"the cause {cause}"
    _refuse_unknown(one, (*_packed(_NOTHING), "cause"), where)
    if not _text(one, "reason", where).strip():
        raise ValueError(f"{where} has no reason")
    if "fields" not in one:
        raise ValueError(f"{where} has no fields")
    return Entry(
        cause=cause,
        **{name: _text(one, name, where) for name in _TEXTS},
        **{name: _lines(one, name, where) for name in _LISTS},
        exact=_of(one, "explained", where, bool, False),
        commit=_of(one, "commit", where, str | None, None),
        dirty=_of(one, "dirty", where, bool | None, None),
        keys={name: _count(many, where) for name, many in _mapping(one, "keys", where).items()},
        traces=_count(one.get("traces", 0), where),
        **_fields(_mapping(one, "fields", where), where),
    )


def check_id(cause: str) -> None:
    """Refuse what is no id of a cause.

    Raises:
        ValueError: It is none.
    """
    if not _ID.match(cause):
        raise ValueError(f"{cause[:80]!r} is no cause: it takes 8 hexadecimal digits")


def _of(one: Mapping[str, Any], name: str, where: str, kind: Any, default: Any) -> Any:
    value = one.get(name, default)
    if not isinstance(value, kind):
        raise ValueError(f"{name} of {where} cannot be {json.dumps(value)[:80]}")
    return value


def _text(one: Mapping[str, Any], name: str, where: str) -> Any:
    return _of(one, name, where, str, "")


def _lines(one: Mapping[str, Any], name: str, where: str) -> Any:
    found = _of(one, name, where, list, [])
    if not all(isinstance(line, str) for line in found):
        raise ValueError(f"{name} of {where} holds what is no text")
    return tuple(found)


def _mapping(one: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _of(one, name, where, dict, {})
    return found


def _count(value: object, where: str) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{where} has {str(value)[:40]!r} where a count belongs")
    return value


def _fields(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    ways: dict[str, str] = {}
    totals: dict[str, Fraction] = {}
    for name, said in found.items():
        place = f"{name[:80]!r} of {where}"
        if not isinstance(said, dict):
            raise ValueError(f"{place} says nothing of how it moves")
        _refuse_unknown(said, _FIELD, place)
        moving = ways_of(_text(said, "moves", place))
        if not moving <= set(WAYS):
            raise ValueError(f"{place} moves neither up, nor down, nor other")
        ways[name] = ways_text(moving)
        if "exact" in said:
            totals[name] = amount_of(said["exact"])
    return {"fields": ways, "totals": totals}


def amount_of(text: object) -> Fraction:
    """The exact amount that a text is, "n/d"; bounded, since anybody may have written it.

    Raises:
        ValueError: It is none.
    """
    said = text if isinstance(text, str) else ""
    for pattern, base in ((_DECIMAL, 10), (_HEXADECIMAL, 16)):
        found = pattern.match(said)
        if found is not None:
            below = int(found[2] or "1", base)
            if below:
                return Fraction(int(found[1], base), below)
    raise ValueError(f"{str(text)[:40]!r} is no exact amount, n/d")


_NOTHING: Final = Entry(cause="", label="", reason="")


@dataclass(frozen=True, slots=True)
class Entered:
    """What came of accepting: the new entries, and those that they stand in place of."""

    done: tuple[Entry, ...]
    replaced: tuple[Entry, ...] = ()


def stamp(one: Entry | None) -> str:
    """A digest of an acceptance, "" of none: equal for what says the same."""
    return xxh3_128_hexdigest(dumped([one])) if one is not None else ""


def accept_causes(
    root: Path,
    seen: Sequence[Entry],
    reason: str,
    *,
    by: str | None = None,
    expected: Mapping[str, str] | None = None,
) -> Entered:
    """Accept causes, in the project's file, with who, when, why and at which commit.

    Args:
        root: The project's directory.
        seen: The causes, as a check found them.
        reason: Why they are right.
        by: Who accepts them; who is at work on this machine, where it is None.
        expected: Of causes the stamp of what was accepted when whoever accepts looked.

    Raises:
        ExpectationError: ``accept-overtaken``, or the file cannot be read or written.
    """
    commit, dirty = git_commit(root)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    name = who(root) if by is None else by
    new = tuple(
        signed(one, reason=reason, who=name, when=when, commit=commit, dirty=dirty) for one in seen
    )
    with _alone(root):
        before = read_causes(root)
        _refuse_overtaken(before, expected or {})
        _write(root, entered(before, new))
    causes = {one.cause for one in new}
    return Entered(new, tuple(one for one in before if one.cause in causes))


def drop_causes(
    root: Path, dropped: Iterable[Entry], *, expected: Mapping[str, str] | None = None
) -> None:
    """Accept causes no longer.

    Args:
        root: The project's directory.
        dropped: The causes.
        expected: As for ``accept_causes``.

    Raises:
        ExpectationError: ``accept-overtaken``, or the file cannot be read or written.
    """
    causes = {one.cause for one in dropped}
    with _alone(root):
        before = read_causes(root)
        _refuse_overtaken(before, expected or {})
        _write(root, [one for one in before if one.cause not in causes])


def _refuse_overtaken(before: Iterable[Entry], expected: Mapping[str, str]) -> None:
    """Leave alone what somebody accepted or dropped since it was looked at."""
    there = {one.cause: one for one in before}
    for cause, said in expected.items():
        now = there.get(cause)
        if stamp(now) != said:
            by = clean(cut(now.who, 80)) if now is not None else ""
            done = f"was accepted by {by or 'somebody'}" if now is not None else "was dropped"
            raise ExpectationError(
                f"the cause {cause} {done} meanwhile",
                slug="accept-overtaken",
                hint="look at it again, then repeat what you did if it is still right",
            )


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let no other process change the file meanwhile; what a killed one left half is removed."""
    results = Results(root / DIRECTORY)
    results.prepare()
    with locked(results.directory):
        real = Path(os.path.realpath(root / FILE))
        with contextlib.suppress(OSError):  # one that is left does no harm
            for partial in real.parent.glob(f".{FILE}.*.partial"):
                partial.unlink()
        yield


def _write(root: Path, entries: Iterable[Entry]) -> None:
    data = dumped(entries)
    if len(data) > LARGEST:
        raise _unreadable(root / FILE, f"it would have more than {LARGEST >> 20} MB")
    write_whole(root / FILE, data)
