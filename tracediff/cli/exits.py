"""The one table of exit codes, and the one place where errors become text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from itertools import pairwise

import click

from tracediff.errors import TracediffError

SAME = 0
DIFFERENT = 1
ERROR = 2
INTERRUPTED = 130


def run(command: click.Command, args: Sequence[str] | None) -> int:
    """Run a command and return its exit code; nothing it raises gets further."""
    try:
        result = command.main(args=args, prog_name="tracediff", standalone_mode=False)
        sys.stdout.flush()
    except TracediffError as error:
        return _say(error.message, error.hint, error.slug)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _say(error.format_message(), "tracediff --help shows the commands", "usage")
    except (KeyboardInterrupt, click.exceptions.Abort):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return SAME
    except Exception as error:
        if os.environ.get("TRACEDIFF_DEBUG"):
            raise
        return _say(
            f"{type(error).__name__}: {error}",
            "this is a bug in tracediff; TRACEDIFF_DEBUG=1 shows where",
            "bug",
        )
    return result if isinstance(result, int) else SAME


def _say(message: str, hint: str | None, slug: str) -> int:
    message, hint = _printable(message), _printable(hint or "")
    if "--format=json" in sys.argv or _pair(sys.argv):
        sys.stderr.write(json.dumps({"error": message, "hint": hint, "slug": slug}) + "\n")
        return ERROR
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"  hint: {hint}\n")
    sys.stderr.write(f"  see docs/errors.md#{slug}\n")
    return ERROR


def _pair(argv: Sequence[str]) -> bool:
    return any(a == "--format" and b == "json" for a, b in pairwise(argv))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
