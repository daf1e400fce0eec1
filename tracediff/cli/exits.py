"""The one table of exit codes, and the one place where errors become text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from itertools import pairwise

import click

from tracediff.cli import streams
from tracediff.errors import TracediffError, UsageError

SAME = 0
DIFFERENT = 1
ERROR = 2
INTERRUPTED = 130


def run(command: click.Command, args: Sequence[str] | None) -> int:
    """Run a command and return its exit code; nothing it raises gets further."""
    given = sys.argv[1:] if args is None else list(args)
    streams.prepare()
    try:
        result = command.main(args=given, prog_name="tracediff", standalone_mode=False)
        streams.write("")
    except TracediffError as error:
        return _say(error, given)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _say(_usage(error), given)
    except (KeyboardInterrupt, click.exceptions.Abort):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except SystemExit:  # what click makes of a reader that closed the pipe
        streams.drop(sys.stdout)
        return SAME
    except Exception as error:
        if os.environ.get("TRACEDIFF_DEBUG"):
            raise
        return _say(_bug(error), given)
    return result if isinstance(result, int) else SAME


def _usage(error: click.ClickException) -> TracediffError:
    """The same error in the form all errors have."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tracediff"
    hint = f"`{path} --help` shows how it is used"
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):
        message = f"{path} has no option {error.option_name}"
        if error.possibilities:
            hint = f"did you mean {' or '.join(sorted(error.possibilities))}?"
    return UsageError(message[:1].lower() + message[1:].rstrip("."), slug="usage", hint=hint)


def _bug(error: Exception) -> TracediffError:
    return TracediffError(
        f"{type(error).__name__}: {error}",
        slug="bug",
        hint="this is a bug in tracediff; TRACEDIFF_DEBUG=1 shows where",
    )


def _say(error: TracediffError, given: Sequence[str]) -> int:
    from tracediff.config import mask  # --help does without

    message, hint = (_printable(mask(text)) for text in (error.message, error.hint or ""))
    if _wants_json(given):
        sys.stderr.write(json.dumps({"error": message, "hint": hint, "slug": error.slug}) + "\n")
        return ERROR
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"  hint: {hint}\n")
    sys.stderr.write(f"  see docs/errors.md#{error.slug}\n")
    return ERROR


def _wants_json(given: Sequence[str]) -> bool:
    pairs = any(pair == ("--format", "json") for pair in pairwise(given))
    return pairs or "--format=json" in given


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
