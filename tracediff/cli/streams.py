"""Writing results: to a file, or to a stdout of any encoding that may close at any time."""

from __future__ import annotations

import codecs
import os
import sys
from typing import Literal, TextIO

from tracediff.errors import StoreError

_PLAIN = str.maketrans(
    dict.fromkeys("─━═", "-")
    | dict.fromkeys("│┃║", "|")
    | dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+")
    | dict.fromkeys("█▌▐", "#")
    | dict(zip("▁▂▃▄▅▆▇", "_.:-=+*", strict=True))
    | {"✓": "v", "✗": "x", "●": "*", "▲": "^", "◌": "o", "▤": "#", "▒": "-", "·": "."}
    | {"→": "->", "⇢": "->", "←": "<-", "⇠": "<-", "›": ">", "…": "...", "−": "-", "–": "-"}
    | {"µ": "u", "±": "+-", "×": "x", "Δ": "d", "≈": "~"}
)
Kind = Literal["text", "json"]


def prepare() -> None:
    """Make both streams safe to write to: there, and able to write every character somehow."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the shell closed it: >&-
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="tracediff.text")


def write(text: str, kind: Kind = "text") -> None:
    """Write a result to stdout.

    A reader that has seen enough, such as ``head``, ends the writing and not the command, whose
    exit code still tells what was found.

    Raises:
        StoreError: ``output-unwritable``.
    """
    try:
        sys.stdout.write(encodable(text, sys.stdout.encoding or "utf-8", kind))
        sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)
    except OSError as error:
        drop(sys.stdout)
        raise StoreError(
            f"the result cannot be written to stdout: {error.strerror or error}",
            slug="output-unwritable",
            hint="write it to a file with -o",
        ) from None


def drop(stream: TextIO) -> None:
    """Send what is still written to a stream nowhere, also what Python flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def encodable(text: str, encoding: str, kind: Kind = "text") -> str:
    """The text in characters the encoding has: JSON stays the same document, text is likened."""
    return text.encode(encoding, f"tracediff.{kind}").decode(encoding)


def _as_text(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    likened = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(c if c.isascii() else "?" for c in likened), error.end


def _as_json(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return "".join(f"\\u{pair}" for pair in pairs), error.end


codecs.register_error("tracediff.text", _as_text)
codecs.register_error("tracediff.json", _as_json)
