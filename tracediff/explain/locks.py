"""Which distributions the lock files of two trees ask for otherwise."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PATTERNS = (
    "requirements*.txt", "constraints*.txt", "requirements/*.txt", "poetry.lock", "uv.lock",
    "pdm.lock", "Pipfile.lock",
)  # fmt: skip
_MAX_BYTES = 8 << 20
_MAX_NAMED = 5
_PINNED = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(===?|[<>~!]=?)\s*([^\s;#\\]+)"
)


def changed_locks(then: Path, now: Path) -> Iterator[str]:
    """One sentence for each lock file that asks for other distributions.

    Args:
        then: The recorded tree.
        now: The work tree.
    """
    names = {
        path.relative_to(tree).as_posix()
        for tree in (then, now)
        for pattern in _PATTERNS
        for path in tree.glob(pattern)
        if path.is_file()
    }
    for name in sorted(names):
        before, after = _bytes(then / name), _bytes(now / name)
        if before == after:
            continue
        try:
            moved = list(_moved(_locked(name, before), _locked(name, after)))
        except (ValueError, TypeError, AttributeError, KeyError):
            yield f"{name} is another than at the recorded commit, and cannot be read"
            continue
        if moved:
            more = f" and {len(moved) - _MAX_NAMED} more" if len(moved) > _MAX_NAMED else ""
            said = ", ".join(moved[:_MAX_NAMED]) + more
            yield f"{name} is another than at the recorded commit: {said}"


def _moved(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield f"{name} {old or 'not there'} -> {new or 'not there'}"


def _bytes(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_BYTES)
    except OSError:
        return None


def _locked(name: str, data: bytes | None) -> dict[str, str]:
    """The version of each distribution, as a lock file says it."""
    text = (data or b"").decode("utf-8")
    if not text:
        return {}
    if name.endswith(".txt"):
        return dict(_required(text))
    if name == "Pipfile.lock":
        found = json.loads(text)
        return {
            _plain(one): str(said.get("version", said.get("ref", "?"))).removeprefix("==")
            for group in ("default", "develop")
            for one, said in found.get(group, {}).items()
        }
    packages: list[dict[str, Any]] = tomllib.loads(text).get("package", [])
    return {_plain(one["name"]): str(one.get("version", "?")) for one in packages}


def _required(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        pinned = _PINNED.match(line.strip())
        if pinned is not None:
            sign = "" if pinned[2].startswith("==") else pinned[2]
            yield _plain(pinned[1]), sign + pinned[3]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
