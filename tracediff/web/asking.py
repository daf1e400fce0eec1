"""Reads what the list's address asks for: as typed, as a query, and what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar, get_args

from starlette.datastructures import ImmutableMultiDict

from tracediff import filters
from tracediff.model import Query, State
from tracediff.reports.pages.listview import Asked

PAGE: Final = 50
_MOST: Final = 64  # tags, or context fields
_INT64: Final = 1 << 63
_STATES: Final[tuple[State, ...]] = get_args(State)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A search.

    ``at`` is the time from which "2h" counts: that of the first page, on all that follow.
    ``problems`` say of fields what is wrong with them; there is a query when there are none.
    """

    asked: Asked
    query: Query
    at: int
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def first(self) -> bool:
        """Whether this is the page of the newest traces."""
        return self.query.cursor is None


class _Reader:
    def __init__(self, params: ImmutableMultiDict[str, str]) -> None:
        self.params = params
        self.problems: dict[str, str] = {}

    def one(self, name: str) -> str:
        return self.params.get(name, "").strip()

    def several(self, name: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(one for one in self.params.getlist(name) if one))
        if len(found) > _MOST:
            self.problems[name] = f"{_MOST} are the most at once"
        return found[:_MOST]

    def moment(self, name: str, now: int) -> int | None:
        text = self.one(name)
        try:
            return filters.moment(text, now) if text else None
        except ValueError as error:
            self.problems[name] = str(error)
            return None

    def context(self, texts: tuple[str, ...]) -> dict[str, filters.Scalar]:
        try:
            return filters.context_fields(texts)
        except ValueError as error:
            self.problems["context"] = str(error)
            return {}


def read(params: ImmutableMultiDict[str, str]) -> Reading:
    """Read the query of an address."""
    reader = _Reader(params)
    cursor = reader.one("cursor") or None
    at = _pinned(reader.one("at")) if cursor else None
    now = time.time_ns() if at is None else at
    asked = Asked(
        key=params.get("key", ""), tags=reader.several("tag"), context=reader.several("context"),
        state=reader.one("state"), since=reader.one("since"), until=reader.one("until"),
    )  # fmt: skip
    since, until = reader.moment("since", now), reader.moment("until", now)
    if since is not None and until is not None and since >= until:
        reader.problems["until"] = "this is not after the beginning"
    state = next((one for one in _STATES if one == asked.state), None)
    if asked.state and state is None:
        reader.problems["state"] = f"there is no state {asked.state!r}"
    query = Query(
        key=asked.key or None, tags=asked.tags, state=state, since=since, until=until,
        context=reader.context(asked.context), limit=PAGE, cursor=cursor,
    )  # fmt: skip
    return Reading(asked=asked, query=query, at=now, problems=reader.problems)


def _pinned(text: str) -> int | None:
    return integer(text) if text else None


def integer(text: str) -> int | None:
    """A number of nanoseconds from an address; None when it is none."""
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 20:
        return None
    found = int(text)
    return found if -_INT64 <= found < _INT64 else None
