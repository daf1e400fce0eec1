"""What the search box offers: the next parts of keys, tags, context fields, traces by their id.

Keys, tags and fields come from the newest traces that match so far; what was typed whole is also
looked up in the index, since the sample need not have it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from tracediff import filters
from tracediff.model import Page, Query, Row
from tracediff.reports import excerpt, wording
from tracediff.reports.pages.listview import LONGEST, Asked

SAMPLE: Final = 500
_EACH: Final = 6
_IDS: Final = 4
_SHOWN: Final = 80
_DEEPEST: Final = 40  # parts of a key
_OF_ONE: Final = 100  # tags, or context fields, of a trace
_ID: Final = re.compile(r"[0-9a-z]{3,20}")

Find = Callable[[str, int], list[Row]]
Search = Callable[[Query], Page]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A line of the list below the box: it leads to ``address``, or puts ``fill`` into the box.

    ``count`` is how many traces of the sample have it.
    """

    group: str
    text: str
    count: str = ""
    address: str = ""
    fill: str = ""


def offers(
    typed: str, asked: Asked, sample: Sequence[Row], search: Search, find: Find
) -> list[Offer]:
    """Return what to offer for a text.

    Args:
        typed: What stands in the box.
        asked: The filters that are on.
        sample: The newest traces that match them.
        search: Searches the store.
        find: Finds traces by the beginning of their ids.
    """
    text = typed.strip()
    found = list(_traces(text, find))
    name, equals, value = text.partition("=")
    if equals:
        return found + list(_values(name, value, text, asked, sample))
    if text.startswith("#"):
        return found + list(_tags(text[1:], asked, sample, search))
    keys = list(_keys(text, asked, sample))
    if text and not keys and (whole := known_key(text, asked, search)):
        keys.append(_offer("key", whole, 0, replace(asked, key=whole)))
    found += keys
    found += _tags(text, asked, sample, search)
    found += _names(text, sample)
    return [one for one in found if one.address or one.fill]


def chosen(typed: str, asked: Asked, search: Search, find: Find) -> str | None:
    """Return where a text leads that was typed and sent; None when nothing is called so."""
    text = typed.strip()
    if text.startswith("#") and text[1:]:
        return asked.with_tag(text[1:]).address()
    if "=" in text.lstrip("="):
        return asked.with_context(text).address()
    if whole := known_key(text, asked, search):
        return replace(asked, key=whole).address()
    if search(Query(tags=(text,), limit=1)).rows:
        return asked.with_tag(text).address()
    rows = find(text, 2) if _ID.fullmatch(text) else []
    exact = [row for row in rows if row.id == text] or rows
    return f"/trace/{exact[0].id}" if len(exact) == 1 else None


def known_key(text: str, asked: Asked, search: Search) -> str | None:
    """The key that a text means, below the one that is asked for or from the start."""
    plain = text.strip("/")
    candidates = [f"{asked.key}/{plain}"] if asked.key else []
    for key in (*candidates, plain):
        if key and search(Query(key=key, limit=1)).rows:
            return key
    return None


def _traces(text: str, find: Find) -> Iterator[Offer]:
    if _ID.fullmatch(text):
        for row in find(text, _IDS):
            shown = f"{row.id}  {row.key}({row.meta})"
            yield Offer(group="trace", text=excerpt.cut(shown, _SHOWN), address=f"/trace/{row.id}")


def _keys(text: str, asked: Asked, sample: Sequence[Row]) -> Iterator[Offer]:
    """Starts of keys, below the one that is asked for: the next part, or what the text is in."""
    depth = asked.key.count("/") + 1 if asked.key else 0
    wanted = text.strip("/").lower()
    counts: Counter[str] = Counter()
    for key, count in Counter(row.key for row in sample).items():
        parts = key.split("/", _DEEPEST)[:_DEEPEST]
        for length in range(depth + 1, len(parts) + 1):
            start = "/".join(parts[:length])
            if len(start) > LONGEST:
                break
            own = "/".join(parts[depth:length]).lower()
            if own.endswith(wanted) or wanted in parts[length - 1].lower() or (
                "/" in wanted and wanted in own
            ):  # fmt: skip
                counts[start] += count
            if not wanted:
                break
    for start in _best(counts, lambda key: key.rpartition("/")[2].lower().startswith(wanted)):
        yield _offer("key", start, counts[start], replace(asked, key=start))


def _tags(text: str, asked: Asked, sample: Sequence[Row], search: Search) -> Iterator[Offer]:
    wanted = text.lower()
    counts = Counter(tag for row in sample for tag in dict.fromkeys(row.tags[:_OF_ONE])
                     if wanted in tag.lower() and tag not in asked.tags)  # fmt: skip
    best = _best(counts, lambda tag: tag.lower().startswith(wanted))
    if text and text not in counts and text not in asked.tags and search(
        Query(tags=(text,), limit=1)
    ).rows:  # fmt: skip
        yield _offer("tag", text, 0, asked.with_tag(text))
    for tag in best:
        yield _offer("tag", tag, counts[tag], asked.with_tag(tag))


def _names(text: str, sample: Sequence[Row]) -> Iterator[Offer]:
    wanted = text.lower()
    counts = Counter(name for row in sample for name in islice(row.context, _OF_ONE)
                     if wanted in name.lower())  # fmt: skip
    for name in _best(counts, lambda name: name.lower().startswith(wanted)):
        if "=" not in name:
            yield Offer(group="context", text=excerpt.cut(f"{name}=", _SHOWN),
                        count=_many(counts[name]), fill=f"{name}=")  # fmt: skip


def _values(
    name: str, value: str, text: str, asked: Asked, sample: Sequence[Row]
) -> Iterator[Offer]:
    """The values of a context field; what was typed is the first, whether they have it or not."""
    wanted = value.lower()
    counts = Counter(
        filters.typed(row.context[name]) for row in sample
        if name in row.context and wanted in filters.typed(row.context[name]).lower()
    )  # fmt: skip
    if value and value not in counts:
        yield _offer("context", text, 0, asked.with_context(text))
    for one in _best(counts, lambda found: found.lower().startswith(wanted)):
        field = f"{name}={one}"
        yield _offer("context", field, counts[one], asked.with_context(field))


def _best(counts: Counter[str], starts: Callable[[str], bool]) -> Iterable[str]:
    """What begins as wanted first, then what most of the sample have."""
    order = sorted(counts, key=lambda one: (not starts(one), -counts[one], one))
    return order[:_EACH]


def _offer(group: str, text: str, count: int, then: Asked) -> Offer:
    return Offer(group=group, text=excerpt.cut(text, _SHOWN), count=_many(count),
                 address=then.address())  # fmt: skip


def _many(count: int) -> str:
    return wording.many(count, "trace") if count else ""
