"""The frames of a body in HTTP/1.1's chunked transfer encoding (RFC 9112, section 7.1)."""

from __future__ import annotations

from collections.abc import Iterable


def unframed(wire: bytes) -> tuple[list[bytes], bool]:
    """What is in the frames of a body, or of its beginning; and whether its end is there."""
    pieces: list[bytes] = []
    at = 0
    while (end := wire.find(b"\n", at)) >= 0:
        try:
            size = int(wire[at:end].split(b";", 1)[0], 16)
        except ValueError:  # cut off, or no size: the rest is not kept
            break
        if size <= 0:
            return pieces, True
        piece = wire[end + 1 : end + 1 + size]
        if piece:
            pieces.append(piece)
        at = end + 1 + size + 2
    return pieces, False


def framed(pieces: Iterable[bytes], *, whole: bool) -> Iterable[bytes]:
    """Pieces in frames, with the end of the body if all of it is there."""
    for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    if whole:
        yield b"0\r\n\r\n"
