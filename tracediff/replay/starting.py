"""Starting a process that runs a project's jobs, and saying how one ended by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Final

from tracediff.config import Config
from tracediff.errors import ReplayError

DIED: Final = "the job or a library ended the whole process; run the job by itself to see why"


def started(
    module: str,
    config: Config,
    handles: Sequence[int],
    *,
    out: IO[bytes] | int,
    errors: IO[bytes] | None = None,
    told: Mapping[str, str] | None = None,
    python: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a module of tracediff in a project's directory, in a session of its own.

    Args:
        module: Its name.
        config: The project's settings, which may name another interpreter.
        handles: Descriptors that it inherits; their numbers are its arguments.
        out: Where what is printed goes.
        errors: Where errors go, if not there too.
        told: Variables to set, on top of this process's.
        python: The interpreter, if not the project's.

    Raises:
        ReplayError: ``replay-python``: it cannot be started.
    """
    executable = python or config.python or sys.executable
    try:
        return subprocess.Popen(
            # -P: a file of the project must not stand in for one of tracediff's or Python's own.
            [executable, "-P", "-m", module, *map(str, handles)],
            cwd=config.root,
            env={**os.environ, **(told or {})},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out if errors is None else errors,
            pass_fds=handles,
            start_new_session=True,
        )
    except OSError as error:
        raise ReplayError(
            f"{executable} cannot be started: {error.strerror or error}",
            slug="replay-python",
            hint="correct `python` in [tool.tracediff]",
        ) from None


def died(what: str, code: int, printed: str, hint: str = DIED) -> ReplayError:
    """A process that ended by itself: by its exit code, and by the last lines that it printed."""
    how = f"with exit code {code}"
    if code < 0:
        names = {int(one): one.name for one in signal.Signals}  # those of real time have none
        how = f"by signal {names.get(-code, -code)}"
    last = " | ".join(printed.strip().splitlines()[-3:])
    said = f"{what} ended {how}" + (f": {last}" if last else "")
    return ReplayError(said, slug="replay-died", hint=hint)
