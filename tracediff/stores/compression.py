"""zstd, with one compressor and decompressor a thread and dictionary."""

from __future__ import annotations

import threading
from typing import Any

import zstandard

from tracediff.stores.dictionaries import Dictionary

_CHUNK = 1 << 20
_MAX_WINDOW = 1 << 27
_LEVEL = 3
_REMEMBERED = 8  # a thread's compressors and dictionaries: few are in use at a time
_thread = threading.local()


def compress(raw: bytes, dictionary: Dictionary | None) -> bytes:
    """One zstd frame with its content size, made with the dictionary if there is one.

    There is one compressor a thread and dictionary: sharing one between threads crashes Python.
    """
    made = _of_this_thread("compressors")
    compressor: zstandard.ZstdCompressor | None = made.get(dictionary)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(
            level=_LEVEL, write_checksum=True, dict_data=_prepared(dictionary, for_writing=True)
        )
        _remember(made, dictionary, compressor)
    return compressor.compress(raw)


def expand(payload: bytes, declared: int, raw_length: int, dictionary: Dictionary | None) -> bytes:
    """What a zstd frame holds, at most one byte more than ``raw_length``.

    Args:
        payload: The zstd frame.
        declared: The size that it declares.
        raw_length: The size that it should have.
        dictionary: What it was compressed with.
    """
    if declared == raw_length:  # so much is taken, and never more
        return _decompressor(dictionary).decompress(payload)
    return _streamed(payload, raw_length, dictionary)


def _decompressor(dictionary: Dictionary | None) -> zstandard.ZstdDecompressor:
    made = _of_this_thread("decompressors")
    found: zstandard.ZstdDecompressor | None = made.get(dictionary)
    if found is None:
        found = zstandard.ZstdDecompressor(
            max_window_size=_MAX_WINDOW, dict_data=_prepared(dictionary)
        )
        _remember(made, dictionary, found)
    return found


def _streamed(payload: bytes, raw_length: int, dictionary: Dictionary | None) -> bytes:
    """A payload that does not tell, or not the truth, how much it comes to: no more is taken."""
    out = bytearray()
    decompressor = zstandard.ZstdDecompressor(
        max_window_size=_MAX_WINDOW, dict_data=_prepared(dictionary)
    )
    with decompressor.stream_reader(payload) as reader:
        while len(out) <= raw_length and (
            chunk := reader.read(min(_CHUNK, raw_length + 1 - len(out)))
        ):
            out += chunk
    return bytes(out)


def _prepared(
    dictionary: Dictionary | None, *, for_writing: bool = False
) -> zstandard.ZstdCompressionDict | None:
    """The library's form of a dictionary, of this thread alone: it fills it in when first used."""
    if dictionary is None:
        return None
    if for_writing:  # a compressor keeps it
        made = zstandard.ZstdCompressionDict(dictionary.data)
        made.precompute_compress(level=_LEVEL)
        return made
    known = _of_this_thread("dictionaries")
    found: zstandard.ZstdCompressionDict | None = known.get(dictionary)
    if found is None:
        found = zstandard.ZstdCompressionDict(dictionary.data)
        _remember(known, dictionary, found)
    return found


def _of_this_thread(name: str) -> dict[Dictionary | None, Any]:
    made: dict[Dictionary | None, Any] | None = getattr(_thread, name, None)
    if made is None:
        made = {}
        setattr(_thread, name, made)
    return made


def _remember(made: dict[Dictionary | None, Any], key: Dictionary | None, what: object) -> None:
    while len(made) >= _REMEMBERED:
        del made[next(iter(made))]
    made[key] = what
