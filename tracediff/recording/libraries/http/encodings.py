"""Content encodings of HTTP: taken off where a body is recorded, put on again where it is served.

A body is readable, and its secrets are found, only without them. Each piece is encoded so that it
is decoded as one: a client that reads a stream gets it in the pieces it came in.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Sequence
from typing import Any

import zstandard

_LEVEL = 1
_GZIP = zlib.MAX_WBITS | 16
_STEP = 1024
"""Bytes of zstd that are decoded at once: the library has no bound, and they may become 32 MB."""


class CannotDecodeError(Exception):
    """A body is not in its encoding, is too large without it, or nobody here knows it."""


def named(header: str) -> tuple[str, ...]:
    """The encodings that a ``Content-Encoding`` names, in the order they were put on."""
    found = (one.strip().lower() for one in header.split(","))
    return tuple(one for one in found if one not in ("", "identity"))


def decoded(pieces: Sequence[bytes], names: Sequence[str], most: int) -> list[bytes]:
    """The pieces of a body as they were before it was encoded.

    Raises:
        CannotDecodeError: It cannot be read, or has more than ``most`` bytes.
    """
    coders = [_decoder(name) for name in reversed(names)]
    found: list[bytes] = []
    for piece in pieces:
        for coder in coders:
            try:
                piece = coder(piece, most + 1)  # noqa: PLW2901 - one after the other
            except Exception as error:  # each library has its own
                raise CannotDecodeError(str(error)) from None
        most -= len(piece)
        if most < 0:
            raise CannotDecodeError("it is too large")
        found.append(piece)
    return found


def encoded(pieces: Sequence[bytes], names: Sequence[str], *, whole: bool) -> list[bytes] | None:
    """The pieces in their encodings again; None where this process cannot.

    Args:
        pieces: What each piece is when it has been decoded.
        names: The encodings, in the order they are put on.
        whole: Whether the last piece ends the body.
    """
    for name in names:
        try:
            coder = _ENCODERS[name]()
        except (KeyError, ImportError):  # no such encoding here
            return None
        last = len(pieces) - 1 if whole else -1
        pieces = [coder(piece, at == last) for at, piece in enumerate(pieces)]
    return list(pieces)


def _decoder(name: str) -> Any:
    if name in ("gzip", "x-gzip"):
        return _Members()
    if name == "deflate":
        return _Deflated()
    if name == "zstd":
        return _Frames()
    if name == "br":
        return _brotli_decoder()
    raise CannotDecodeError(f"{name!r} is not known")


class _Members:
    """Decodes gzip, of one member or several."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP)

    def __call__(self, data: bytes, most: int) -> bytes:
        found = _bounded(self._inner, data, most)
        while self._inner.eof and self._inner.unused_data.strip(b"\0"):
            rest = self._inner.unused_data
            self._inner = zlib.decompressobj(_GZIP)
            found += _bounded(self._inner, rest, most - len(found))
        return found


class _Deflated:
    """Decodes deflate, with zlib's header as it should be or without, as some servers send it."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self._begun = False

    def __call__(self, data: bytes, most: int) -> bytes:
        begun, self._begun = self._begun, self._begun or bool(data)
        try:
            return _bounded(self._inner, data, most)
        except zlib.error:
            if begun:
                raise
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
            return _bounded(self._inner, data, most)


def _bounded(inner: Any, data: bytes, most: int) -> bytes:
    found: bytes = inner.decompress(data, max(most, 1))
    if inner.unconsumed_tail:
        raise CannotDecodeError("it is too large")
    return found


class _Frames:
    """Decodes zstd, of one frame or several."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()

    def __call__(self, data: bytes, most: int) -> bytes:
        found: list[bytes] = []
        for at in range(0, len(data), _STEP):
            found.append(self._decoded(data[at : at + _STEP]))
            most -= len(found[-1])
            if most < 0:
                raise CannotDecodeError("it is too large")
        return b"".join(found)

    def _decoded(self, data: bytes) -> bytes:
        found: bytes = self._inner.decompress(data)
        while self._inner.eof and self._inner.unused_data:
            rest = self._inner.unused_data
            self._inner = zstandard.ZstdDecompressor().decompressobj()
            found += self._inner.decompress(rest)
        return found


def _brotli() -> Any:
    """The library that the client has too; without it the client does not decode either."""
    try:
        return importlib.import_module("brotli")
    except ImportError:  # another library does the same
        return importlib.import_module("brotlicffi")


def _brotli_decoder() -> Any:
    try:
        inner = _brotli().Decompressor()
    except ImportError as error:
        raise CannotDecodeError(str(error)) from None
    process = getattr(inner, "process", None) or inner.decompress
    return lambda data, most: process(data) if data else b""


def _zlib_encoder(bits: int) -> Any:
    inner = zlib.compressobj(_LEVEL, zlib.DEFLATED, bits)

    def encode(data: bytes, last: bool) -> bytes:
        return inner.compress(data) + inner.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)

    return encode


def _zstd_encoder() -> Any:
    inner = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
    how = {True: zstandard.COMPRESSOBJ_FLUSH_FINISH, False: zstandard.COMPRESSOBJ_FLUSH_BLOCK}
    return lambda data, last: inner.compress(data) + inner.flush(how[last])


def _brotli_encoder() -> Any:
    inner = _brotli().Compressor(quality=_LEVEL)
    process = getattr(inner, "process", None) or inner.compress
    return lambda data, last: process(data) + (inner.finish() if last else inner.flush())


_ENCODERS = {
    "gzip": lambda: _zlib_encoder(_GZIP),
    "x-gzip": lambda: _zlib_encoder(_GZIP),
    "deflate": lambda: _zlib_encoder(zlib.MAX_WBITS),
    "zstd": _zstd_encoder,
    "br": _brotli_encoder,
}
