"""The causes of a check that was kept: of this project's last one, or of CI's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from tracediff.check.accepting import TOGETHER, Entry, entry_of
from tracediff.check.causesfile import amount_of, check_id, check_schema, whole_number
from tracediff.check.journal import DIRECTORY
from tracediff.checked import Change, Group, Result, Total
from tracediff.errors import ExpectationError

NAME: Final = "last.json"
LARGEST: Final = 64 * 1024 * 1024
"""Bytes that a kept check may have."""
_KIND: Final = "tracediff/check"
_NEWEST: Final = 1
_T = TypeVar("_T")


def last_check(root: Path) -> Path:
    """Where the last check of a project is kept."""
    return root / DIRECTORY / NAME


def causes_of(path: Path) -> list[Entry]:
    """The causes that a check found, in its order, as they would be accepted.

    Args:
        path: Its JSON report, or a directory that holds it.

    Raises:
        ExpectationError: ``check-missing``, ``check-unreadable`` or ``schema-newer``.
    """
    return parsed(path, _entries)


def parsed(path: Path, made: Callable[[Mapping[str, Any]], _T]) -> _T:
    """What is made of a kept check's document, which anybody may have written.

    Args:
        path: The file, or a directory that holds it.
        made: Makes it; raises ValueError for what cannot be.

    Raises:
        ExpectationError: ``check-missing``, ``check-unreadable`` or ``schema-newer``.
    """
    if path.is_dir():
        path /= NAME
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise ExpectationError(
            f"no check is kept at {path}",
            slug="check-missing",
            hint="run `tracediff check` first, or name the JSON report of one with --from",
        ) from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    try:
        return made(_document(data, path))
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None


def _unreadable(path: Path, why: str) -> ExpectationError:
    return ExpectationError(
        f"{path} is no check that can be read: {why[:300]}",
        slug="check-unreadable",
        hint="give --from what `tracediff check --format json` printed, or run the check again",
    )


def _document(data: bytes, path: Path) -> Mapping[str, Any]:
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST >> 20} MB")
    try:
        found = json.loads(data.decode("utf-8-sig"), parse_int=whole_number)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8, from byte {error.start} on") from None
    if not isinstance(found, dict):
        raise ValueError("it is no document")
    check_schema(found.get("schema"), f"{_KIND}/{_NEWEST}", path)
    return found


def _entries(found: Mapping[str, Any]) -> list[Entry]:
    # Those that were not told apart pass by what is accepted already: there is nothing to accept.
    return [
        entry_of(_group(one)) for one in objects(found, "groups") if one.get("cause") != TOGETHER
    ]


def _group(one: Mapping[str, Any]) -> Group:
    cause = field_of(one, "cause", str)
    check_id(cause)
    change = field_of(one, "change", dict | None, None)
    return Group(
        cause=cause,
        label=field_of(one, "label", str),
        count=field_of(one, "count", int),
        smallest=Result(id="", key="", kind="changed"),  # of no use to an acceptance
        exact=field_of(one, "exact", bool, change is not None),
        change=_change(cause, change) if change is not None else None,
        totals=tuple(_total(it) for it in field_of(one, "totals", list)),
        others=_counts(one, "others"),
        keys=_counts(one, "keys"),
    )


def _change(cause: str, one: Mapping[str, Any]) -> Change:
    units, hunk = (field_of(one, name, list, []) for name in ("units", "hunk"))
    if not all(isinstance(text, str) for text in (*units, *hunk)):
        raise ValueError(f"the change {cause} holds what is no text")
    return Change(
        id=cause,
        units=tuple(units),
        kind=field_of(one, "kind", str, ""),
        file=field_of(one, "file", str, ""),
        hunk=tuple(hunk),
    )


def _total(one: object) -> Total:
    if not isinstance(one, dict):
        raise ValueError("a sum in it is none")
    change = amount_of(field_of(one, "change", dict).get("exact"))
    count, up, down = (field_of(one, name, int) for name in ("count", "up", "down"))
    return Total(
        field=field_of(one, "field", str), count=count, change=change, least=change, most=change,
        up=up, down=down,
    )  # fmt: skip


def _counts(one: Mapping[str, Any], name: str) -> dict[str, int]:
    found = field_of(one, name, dict, {})
    return {key: field_of(found, key, int) for key in found}


_MISSING: Final = object()


def objects(one: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A field that is a list of objects.

    Raises:
        ValueError: It is another thing.
    """
    found: list[Mapping[str, Any]] = field_of(one, name, list)
    if not all(isinstance(it, dict) for it in found):
        raise ValueError(f"its {name} are none")
    return found


def field_of(one: Mapping[str, Any], name: str, kind: Any, default: object = _MISSING) -> Any:
    """A field of a document, of a kind as for ``isinstance``.

    Raises:
        ValueError: It is missing, or of another kind.
    """
    value = one.get(name, default)
    if value is _MISSING or not isinstance(value, kind) or (kind is int and value is True):
        raise ValueError(f"{name[:80]!r} is missing in it, or of another kind")
    return value
