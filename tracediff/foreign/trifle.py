"""Trifle::Traces 2.0 payloads (a Ruby gem, and its Elixir port) to traces.

Its data drivers keep a trace in parts, ``<retention>/<prefix>/<key>/<reference>/data_<n>.json``,
which are lists of entries: ``{at, message, state, type, level}``, in seconds. A block is one that
ends in " ↴", what is one level deeper, and an entry of the same message that ends in " ↵"; its
result follows as an entry of type ``raw`` that begins with "↳ ". Entries of version 1 have
``head``, ``meta`` and ``media`` flags in place of a type. Its index (one document a trace, as
``mongoexport`` writes them) says what the parts do not: state, tags, context, exact times.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from tracediff.foreign.cleaning import Cleaning, made_id
from tracediff.model import FROM_TRIFLE, Kind, State, Step, Trace

BEGUN: Final = " \u21b4"
ENDED: Final = " \u21b5"
RESULT: Final = "\u21b3 "
_STATES: Final = ("success", "warning", "error")
_PART: Final = re.compile(r"data_(\d{1,9})\.json(?:\.gz)?")
_MAX_LEVEL: Final = 10_000
_LATEST: Final = 4e9
"""Seconds since 1970: beyond, nothing is a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the path of a part says: which trace it is of, its key, and its number."""

    reference: str
    key: str
    part: int


def place_of(path: str) -> Place:
    """What a path says, relative to the directory that the data driver writes to."""
    *above, name = [one for one in path.split("/") if one not in ("", ".", "..")] or [path]
    match = _PART.fullmatch(name)
    if match is None:  # somebody saved it under a name of their own
        stem = name.removesuffix(".gz").removesuffix(".json")
        return Place(reference="/".join((*above, stem)), key=stem, part=1)
    reference = above[-1] if above else ""
    numbers = [at for at, one in enumerate(above[:-1]) if one.isdecimal()]
    key = above[numbers[0] + 1 : -1] if numbers else above[:-1]
    return Place(reference=reference, key="/".join(key), part=int(match[1]))


def is_entries(document: list[Any]) -> bool:
    """Whether this is one part of a payload."""
    return bool(document) and all(
        isinstance(one, dict) and "message" in one and "at" in one for one in document
    )


def is_index(document: dict[str, Any]) -> bool:
    """Whether this is one document of the index."""
    return "_id" in document and isinstance(document.get("key"), str) and "segments" in document


def reference_of(document: Mapping[str, Any]) -> str:
    """The trace that a document of the index is about."""
    return str(_plain(document.get("_id")))


def trace_of(
    place: Place,
    entries: Sequence[Mapping[str, Any]],
    index: Mapping[str, Any] | None,
    cleaning: Cleaning,
    key: str | None = None,
) -> Trace:
    """One trace of the entries of all its parts, in their order.

    Args:
        place: What the path of its first part says.
        entries: The entries.
        index: The index's document about it, or None.
        cleaning: Takes out secrets and counts oddities.
        key: The trace's key; the index's, or the path's, by default.
    """
    known = {name: _plain(value) for name, value in (index or {}).items()}
    times = [_nanoseconds(one.get("at"), cleaning) for one in entries]
    first = _date(known.get("first_at"))
    started_at = first if first is not None else min((one for one in times if one), default=0)
    named = cleaning.key(key or _text(known.get("key")) or place.key or "trifle")
    steps = _Laying(cleaning, started_at, named).steps(entries, times)
    if index is None:
        cleaning.warn("there was no document of the index: state, tags and times are the entries'")
    state = _text(known.get("state"))
    duration = known.get("duration")
    took = duration * 1_000_000 if type(duration) is int and 0 <= duration < 1 << 40 else 0
    steps[0] = replace(
        steps[0],
        state=state if state in _STATES else steps[0].state,  # type: ignore[arg-type]
        duration=took or steps[0].duration,
    )
    meta, context = _loaded(known.get("meta")), known.get("context")
    return Trace(
        id=made_id(started_at, _digest(place, entries, named)),
        key=named,
        job=FROM_TRIFLE,
        steps=tuple(steps),
        state=steps[0].state,
        started_at=started_at,
        duration=steps[0].duration,
        tags=cleaning.tags([one for one in known.get("tags") or () if isinstance(one, str)]),
        meta="" if meta is None else cleaning.text(_shown(meta), 160),
        context=cleaning.context(
            {**(context if isinstance(context, dict) else {}), "trifle_reference": place.reference}
        ),
        warnings=cleaning.told(),
    )


class _Laying:
    """Lays the flat list of entries out as a tree."""

    def __init__(self, cleaning: Cleaning, started_at: int, name: str) -> None:
        self._cleaning = cleaning
        self._started_at = started_at
        self._steps = [Step(parent=-1, kind="job", name=name)]
        self._open: list[tuple[int, str]] = [(0, "")]  # places of open blocks, their messages
        self._closed: int | None = None
        self._failed = False

    def steps(self, entries: Sequence[Mapping[str, Any]], times: Sequence[int]) -> list[Step]:
        for entry, time in zip(entries, times, strict=True):
            self._lay(entry, max(time - self._started_at, 0) if time else 0)
        end = max((one.start + one.duration for one in self._steps), default=0)
        for place, _ in self._open[1:]:
            self._cleaning.warn("blocks that never ended are shown as open")
            self._steps[place] = replace(self._steps[place], open=True, state="running")
        self._steps[0] = replace(
            self._steps[0], duration=end, state="error" if self._failed else "success"
        )
        return self._steps

    def _lay(self, entry: Mapping[str, Any], start: int) -> None:
        message, kind = _text(entry.get("message")), _type(entry)
        state: State = entry["state"] if entry.get("state") in _STATES else "success"
        closed, self._closed = self._closed, None
        if kind == "raw" and message.startswith(RESULT) and closed is not None:
            result = self._cleaning.value(_loaded(message[len(RESULT) :]))
            self._steps[closed] = replace(self._steps[closed], result=result)
        elif kind in ("head", "text") and message.endswith(BEGUN):
            self._begin(message.removesuffix(BEGUN), kind == "head", start, state)
        elif kind == "text" and message.endswith(ENDED) and self._end(message, start, state):
            return
        elif kind == "media":
            self._add("artifact", message, start, state)
        else:
            self._add("note", message, start, state, head=kind == "head")

    def _begin(self, name: str, head: bool, start: int, state: State) -> None:
        self._open.append((len(self._steps), name))
        self._add("step", name, start, state, head=head, above=self._open[-2][0])
        if len(self._open) > _MAX_LEVEL:
            self._open.pop()
            self._cleaning.warn(f"blocks more than {_MAX_LEVEL:,} deep were not nested")

    def _end(self, message: str, start: int, state: State) -> bool:
        """Close the innermost block of this message, and those in it that nothing closed."""
        name = message.removesuffix(ENDED)
        for at in range(len(self._open) - 1, 0, -1):
            place, begun = self._open[at]
            if begun == name:
                step = self._steps[place]
                self._steps[place] = replace(step, duration=max(start - step.start, 0), state=state)
                if at + 1 < len(self._open):
                    self._cleaning.warn("blocks that nothing closed end with the one around them")
                self._failed = self._failed or (at == 1 and state == "error")
                del self._open[at:]
                self._closed = place
                return True
        return False

    def _add(
        self,
        kind: Kind,
        name: str,
        start: int,
        state: State,
        *,
        head: bool = False,
        above: int | None = None,
    ) -> None:
        parent = self._open[-1][0] if above is None else above
        said = self._cleaning.text(name)
        self._steps.append(
            Step(parent=parent, kind=kind, name=said, state=state, start=start, head=head)
        )


def _type(entry: Mapping[str, Any]) -> str:
    said = entry.get("type")
    if isinstance(said, str):
        return said
    old = (("media", "media"), ("head", "head"), ("meta", "raw"))
    return next((kind for flag, kind in old if entry.get(flag) is True), "text")


def _nanoseconds(found: Any, cleaning: Cleaning) -> int:
    """Seconds since the epoch, or a date in text, in nanoseconds."""
    if isinstance(found, bool):
        found = None
    if isinstance(found, float):
        return cleaning.time(int(found * 1e9) if 0 <= found < _LATEST else -1)
    if isinstance(found, int):
        return cleaning.time(found * 1_000_000_000)
    date = _date(found)
    return cleaning.time(-1 if date is None else date)


def _date(found: Any) -> int | None:
    """A date of the index (text, or milliseconds as ``mongoexport`` writes some) in nanoseconds."""
    if type(found) is int:
        return found * 1_000_000 if 0 <= found < 1 << 42 else None
    if not isinstance(found, str) or len(found) > 60:
        return None
    try:
        date = datetime.fromisoformat(found)
        aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    whole = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return whole * 1_000 if whole >= 0 else None


def _plain(found: Any) -> Any:
    """A value of MongoDB's extended JSON as what it stands for."""
    while isinstance(found, dict) and len(found) == 1:
        ((name, inner),) = found.items()
        if name in ("$oid", "$date"):
            found = inner
        elif name in ("$numberInt", "$numberLong"):
            text = str(inner)
            return int(text) if len(text) < 30 and text.lstrip("-").isdecimal() else None
        else:
            break
    return found


def _loaded(found: Any) -> Any:
    """What a text says where it is JSON, as with the gem's JSON serializer; else the text."""
    if not isinstance(found, str) or not found.startswith(("{", "[")):
        return found
    try:
        return json.loads(found)
    except (ValueError, RecursionError):
        return found


def _shown(found: Any) -> str:
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _digest(place: Place, entries: Sequence[Mapping[str, Any]], key: str) -> bytes:
    """What tells this trace from others: its reference and shape; never what it says."""
    shape = [f"{one.get('at')} {one.get('type')} {one.get('level')}" for one in entries]
    text = "\n".join((FROM_TRIFLE, place.reference, key, *shape))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
