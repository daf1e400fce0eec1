"""The causes of a check that was kept: of this project's last one, or of CI's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

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
        return _parsed(data, path)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None


def _unreadable(path: Path, why: str) -> ExpectationError:
    return ExpectationError(
        f"{path} is no check that can be read: {why[:300]}",
        slug="check-unreadable",
        hint="give --from what `tracediff check --format json` printed, or run the check again",
    )


def _parsed(data: bytes, path: Path) -> list[Entry]:
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST >> 20} MB")
    try:
        found = json.loads(data.decode("utf-8-sig"), parse_int=whole_number)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8, from byte {error.start} on") from None
    if not isinstance(found, dict):
        raise ValueError("it is no document")
    check_schema(found.get("schema"), f"{_KIND}/{_NEWEST}", path)
    groups = _of(found, "groups", list)
    if not all(isinstance(one, dict) for one in groups):
        raise ValueError("its groups are none")
    # Those that were not told apart pass by what is accepted already: there is nothing to accept.
    return [entry_of(_group(one)) for one in groups if one.get("cause") != TOGETHER]


def _group(one: Mapping[str, Any]) -> Group:
    cause = _of(one, "cause", str)
    check_id(cause)
    change = _of(one, "change", dict | None, None)
    return Group(
        cause=cause,
        label=_of(one, "label", str),
        count=_of(one, "count", int),
        smallest=Result(id="", key="", kind="changed"),  # of no use to an acceptance
        exact=_of(one, "exact", bool, change is not None),
        change=_change(cause, change) if change is not None else None,
        totals=tuple(_total(it) for it in _of(one, "totals", list)),
        others=_counts(one, "others"),
        keys=_counts(one, "keys"),
    )


def _change(cause: str, one: Mapping[str, Any]) -> Change:
    units, hunk = (_of(one, name, list, []) for name in ("units", "hunk"))
    if not all(isinstance(text, str) for text in (*units, *hunk)):
        raise ValueError(f"the change {cause} holds what is no text")
    return Change(
        id=cause,
        units=tuple(units),
        kind=_of(one, "kind", str, ""),
        file=_of(one, "file", str, ""),
        hunk=tuple(hunk),
    )


def _total(one: object) -> Total:
    if not isinstance(one, dict):
        raise ValueError("a sum in it is none")
    change = amount_of(_of(one, "change", dict).get("exact"))
    count, up, down = (_of(one, name, int) for name in ("count", "up", "down"))
    return Total(
        field=_of(one, "field", str), count=count, change=change, least=change, most=change,
        up=up, down=down,
    )  # fmt: skip


def _counts(one: Mapping[str, Any], name: str) -> dict[str, int]:
    found = _of(one, name, dict, {})
    return {key: _of(found, key, int) for key in found}


_MISSING: Final = object()


def _of(one: Mapping[str, Any], name: str, kind: Any, default: object = _MISSING) -> Any:
    value = one.get(name, default)
    if value is _MISSING or not isinstance(value, kind) or (kind is int and value is True):
        raise ValueError(f"{name[:80]!r} is missing in it, or of another kind")
    return value
