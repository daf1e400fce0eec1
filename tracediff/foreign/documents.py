"""JSON documents of a stream, one after the other, in bounded memory.

One document, one a line, or several that are written over many lines, as the SDK's console exporter
prints them. What is no JSON is an error that says where.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final

from tracediff.errors import CodecError

MAX_DOCUMENT: Final = 64 * 1024 * 1024
"""Bytes of one document; a larger one is refused."""

_GZIP: Final = b"\x1f\x8b"
_BUFFER: Final = 1 << 18


def documents(stream: IO[bytes], place: str) -> Iterator[tuple[int, Any]]:
    """Each document with the number of the line it begins on.

    Args:
        stream: The bytes, compressed with gzip or not.
        place: What the stream is called in errors.

    Raises:
        CodecError: ``import-unreadable``: something is no JSON; ``import-too-large``: one document
            is larger than 64 MiB.
    """
    reading = _Reading(place)
    try:
        for line in _lines(_unpacked(stream), place):
            yield from reading.add(line)
        yield from reading.rest()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise unreadable(f"{place} is no whole gzip file: {error}") from None


def unreadable(message: str) -> CodecError:
    """The error for something that cannot be imported."""
    return CodecError(
        message,
        slug="import-unreadable",
        hint="mend or remove that part and import again: nothing was imported; --skip-bad imports "
        "the rest",
    )


def _unpacked(stream: IO[bytes]) -> IO[bytes]:
    buffered = io.BufferedReader(stream, _BUFFER)  # type: ignore[type-var]  # raw enough
    if buffered.peek(2)[:2] == _GZIP:
        return gzip.GzipFile(fileobj=buffered)  # type: ignore[return-value]  # it reads as one
    return buffered


def _lines(stream: IO[bytes], place: str) -> Iterator[bytes]:
    while line := stream.readline(MAX_DOCUMENT + 1):
        if len(line) > MAX_DOCUMENT:
            raise _too_large(place)
        yield line


class _Reading:
    """Collects lines until they are documents."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._decoder = json.JSONDecoder()
        self._waiting: list[str] = []
        self._size = 0
        self._first = 1
        self._line = 0
        self._tried = 0

    def add(self, data: bytes) -> Iterator[tuple[int, Any]]:
        """A line, and the documents that it completes."""
        self._line += 1
        try:
            text = data.decode("utf-8-sig" if self._line == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise unreadable(f"{self._place} line {self._line} is no UTF-8: {error}") from None
        if not self._waiting:
            if not text.strip():
                return
            self._first = self._line
        self._waiting.append(text)
        self._size += len(data)
        if self._size > MAX_DOCUMENT:
            raise _too_large(f"{self._place} line {self._first}")
        closes = text.rstrip().endswith(("}", "]"))
        outermost = len(self._waiting) == 1 or text.startswith(("}", "]"))
        if closes and outermost and self._size >= 2 * self._tried:
            yield from self._read(last=False)

    def rest(self) -> Iterator[tuple[int, Any]]:
        """The documents of what is left at the end."""
        if self._waiting:
            yield from self._read(last=True)

    def _read(self, *, last: bool) -> Iterator[tuple[int, Any]]:
        """Read what waits. A document that goes on after these lines waits for more."""
        text = "".join(self._waiting)
        at, end = 0, len(text.rstrip())
        while at < end:
            while text[at].isspace():
                at += 1
            line = self._first + text.count("\n", 0, at)
            try:
                found, after = self._decoder.raw_decode(text, at)
            except RecursionError:
                raise unreadable(f"{self._place} line {line} is nested too deep") from None
            except json.JSONDecodeError as error:
                if last or error.pos < end - 1:
                    where = self._first + text.count("\n", 0, error.pos)
                    raise unreadable(
                        f"{self._place} line {where} is no JSON: {error.msg}"
                    ) from None
                break
            except ValueError as error:  # integers of thousands of digits
                raise unreadable(f"{self._place} line {line} is no JSON: {error}") from None
            yield line, found
            at = after
        rest = text[at:]
        self._first += text.count("\n", 0, at)
        self._waiting = [rest] if rest.strip() else []
        self._size = self._tried = len(rest) if self._waiting else 0


def _too_large(place: str) -> CodecError:
    return CodecError(
        f"{place} is one JSON document of more than {MAX_DOCUMENT // 1024 // 1024} MiB",
        slug="import-too-large",
        hint="write one request, or one span, a line, as the Collector's file exporter does",
    )
