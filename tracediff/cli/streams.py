"""Writing results: to a file, or to a stdout of any encoding that may close at any time."""

from __future__ import annotations

import codecs
import os
import re
import sys
from typing import Literal, TextIO

from tracediff.errors import StoreError

_PLAIN = str.maketrans(
    dict.fromkeys("─━═", "-")
    | dict.fromkeys("│┃║", "|")
    | dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+")
    | dict.fromkeys("█▌▐", "#")
    | dict(zip("▁▂▃▄▅▆▇", "_.:-=+*", strict=True))
    | {"✓": "v", "✗": "x", "●": "*", "▲": "^", "◌": "o", "⊘": "?", "▤": "#", "▒": "-", "·": "."}
    | {"→": "->", "⇢": "->", "←": "<-", "⇠": "<-", "›": ">", "…": "...", "−": "-", "–": "-"}
    | {"µ": "u", "±": "+-", "×": "x", "Δ": "d", "≈": "~"}
)
Kind = Literal["text", "json", "commands"]
_COMMAND = re.compile(r"##(?=\[)|^(\s*):(?=:)", re.MULTILINE)


def prepare() -> None:
    """Make both streams safe to write to: there, and able to write every character somehow."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the shell closed it: >&-
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="tracediff.text")


def write(text: str, kind: Kind = "text") -> bool:
    """Write a result to stdout; False when its reader has seen enough, such as ``head``.

    That ends the writing and not the command, whose exit code still tells what was found.

    Raises:
        StoreError: ``output-unwritable``.
    """
    try:
        safe = commanding_nothing(text, kind) if os.environ.get("GITHUB_ACTIONS") else text
        sys.stdout.write(encodable(safe, sys.stdout.encoding or "utf-8", kind))
        sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)
        return False
    except OSError as error:
        drop(sys.stdout)
        raise StoreError(
            f"the result cannot be written to stdout: {error.strerror or error}",
            slug="output-unwritable",
            hint="write it to a file with -o",
        ) from None
    return True


def commanding_nothing(text: str, kind: Kind) -> str:
    """The text with nothing in it that GitHub Actions takes for a command to it.

    It reads whatever a step prints: a line that begins with two colons, and ``##[`` anywhere. A
    recorded text could be one, and is shown as ``clean`` shows an escape sequence.
    """
    if kind == "commands":
        return text
    if kind == "json":  # only a string can hold it
        return text.replace("##[", "#\\u0023[")
    return _COMMAND.sub(lambda found: "#\\x23" if found[1] is None else f"{found[1]}\\x3a", text)


def drop(stream: TextIO) -> None:
    """Send what is still written to a stream nowhere, also what Python flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def encodable(text: str, encoding: str, kind: Kind = "text") -> str:
    """The text in characters the encoding has: JSON stays the same document, text is likened."""
    handler = "tracediff.json" if kind == "json" else "tracediff.text"
    return text.encode(encoding, handler).decode(encoding)


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
