"""What was read of foreign traces, until each is whole: on disk where memory does not suffice.

Spans of one trace may be anywhere in the input, and so may the parts of a payload. They are kept in
a private temporary database, which goes with the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final, Self

from tracediff import values
from tracediff.foreign import otel, trifle
from tracediff.foreign.spans import Event, Span

MAX_SPANS: Final = 100_000
"""Spans, or entries, of one trace that are kept: the earliest."""

MAX_BYTES: Final = 256 * 1024 * 1024
"""Bytes of one trace, as they are kept here."""

_TABLES: Final = """
PRAGMA cache_size = -65536;
CREATE TABLE spans (trace TEXT, span TEXT, start INTEGER, body BLOB, PRIMARY KEY (trace, span));
CREATE TABLE parts (reference TEXT, part INTEGER, place TEXT, body BLOB,
    PRIMARY KEY (reference, part));
CREATE TABLE facts (reference TEXT PRIMARY KEY, body BLOB);
"""


class Gathered:
    """All that was read, by the trace that it belongs to."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # on disk, and nowhere to find
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")
        self.twice = 0
        self.others = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, document: Any, path: str, tool: str | None) -> None:
        """Keep what a document holds.

        Args:
            document: A document.
            path: The path of its file, below what was named.
            tool: "otel" or "trifle" where nothing else is to be there.

        Raises:
            ValueError: It is of no tool that is known; the message says what is wrong with it.
        """
        if isinstance(document, dict):
            if tool != "trifle" and otel.is_request(document):
                self._add_spans(list(otel.spans_of(document)))
                return
            if tool != "trifle" and otel.is_printed(document):
                self._add_spans([otel.printed_span(document)])
                return
            if tool != "trifle" and otel.is_other_signal(document):
                self.others += 1
                return
            if tool != "otel" and trifle.is_index(document):
                self._add_fact(document)
                return
        elif isinstance(document, list):
            if tool != "otel" and trifle.is_entries(document):
                self._add_part(trifle.place_of(path), document)
                return
            if document and all(isinstance(one, dict) for one in document):
                for one in document:
                    self.add(one, path, tool)
                return
            if document == []:
                return
        raise ValueError(f"it is {_EXPECTED[tool]}")

    def _add_spans(self, spans: list[Span]) -> None:
        before = self._database.total_changes
        self._database.executemany(
            "INSERT OR IGNORE INTO spans VALUES (?, ?, ?, ?)",
            ((one.trace_id, one.span_id, _sortable(one.start), _packed(one)) for one in spans),
        )
        self.twice += len(spans) - (self._database.total_changes - before)

    def _add_part(self, place: trifle.Place, entries: list[Any]) -> None:
        before = self._database.total_changes
        self._database.execute(
            "INSERT OR IGNORE INTO parts VALUES (?, ?, ?, ?)",
            (_text(place.reference), place.part, _text(place.key), values.encode(entries)),
        )
        self.twice += 1 - (self._database.total_changes - before)

    def _add_fact(self, document: dict[str, Any]) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)",
            (_text(trifle.reference_of(document)), values.encode(document)),
        )

    def __len__(self) -> int:
        counts = (
            self._database.execute(f"SELECT count(DISTINCT {what}) FROM {table}").fetchone()[0]  # noqa: S608 - both are written here
            for what, table in (("trace", "spans"), ("reference", "parts"))
        )
        return sum(counts)

    def span_traces(self) -> Iterator[tuple[list[Span], int]]:
        """The spans of each OpenTelemetry trace, and how many were left out."""
        ids = self._database.execute("SELECT trace, count(*) FROM spans GROUP BY trace")
        for trace_id, count in ids:
            spans: list[Span] = []
            size = 0
            for (body,) in self._database.execute(
                "SELECT body FROM spans WHERE trace = ? ORDER BY start, span LIMIT ?",
                (trace_id, MAX_SPANS),
            ):
                size += len(body)
                if size > MAX_BYTES and spans:
                    break
                spans.append(_unpacked(body))
            yield spans, count - len(spans)

    def payloads(self) -> Iterator[tuple[trifle.Place, list[Any], dict[str, Any] | None, int]]:
        """Each payload: its place, entries and index document, and how many were left out."""
        references = self._database.execute("SELECT DISTINCT reference FROM parts")
        for (reference,) in references:
            entries: list[Any] = []
            size = left_out = 0
            place = trifle.Place(reference=reference, key="", part=1)
            for part, key, body in self._database.execute(
                "SELECT part, place, body FROM parts WHERE reference = ? ORDER BY part",
                (reference,),
            ):
                place = trifle.Place(reference=reference, key=place.key or key, part=part)
                more: Any = values.inert(body)
                size += len(body)
                room = 0 if size > MAX_BYTES and entries else MAX_SPANS - len(entries)
                left_out += max(len(more) - room, 0)
                entries += more[:room]
            found = self._database.execute(
                "SELECT body FROM facts WHERE reference = ?", (reference,)
            ).fetchone()
            fact: Any = None if found is None else values.inert(found[0])
            yield place, entries, fact, left_out


_EXPECTED: Final = {
    None: "neither OpenTelemetry's JSON (resourceSpans, or printed spans) nor Trifle::Traces'",
    "otel": "not OpenTelemetry's JSON: no resourceSpans, and no printed span",
    "trifle": "not Trifle::Traces': neither a list of entries nor a document of its index",
}


def _sortable(start: int | None) -> int:
    return min(max(start or 0, 0), (1 << 63) - 1)


def _text(found: str) -> str:
    """SQLite takes no half characters."""
    return found.encode("utf-8", "backslashreplace").decode()


def _packed(span: Span) -> bytes:
    events = [(one.name, one.time, one.attributes) for one in span.events]
    return values.encode(
        (
            span.trace_id, span.span_id, span.parent_id, span.name, span.kind, span.start, span.end,
            span.failed, span.message, span.attributes, events, span.resource, span.scope,
        )
    )  # fmt: skip


def _unpacked(body: bytes) -> Span:
    found: Any = values.inert(body)
    (
        trace_id, span_id, parent_id, name, kind, start, end, failed, message, attributes, events,
        resource, scope,
    ) = found  # fmt: skip
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        name=name,
        kind=kind,
        start=start,
        end=end,
        failed=failed,
        message=message,
        attributes=attributes,
        events=tuple(Event(name=one, time=at, attributes=said) for one, at, said in events),
        resource=resource,
        scope=scope,
    )
