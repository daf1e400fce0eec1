"""Starting a server that ends with the process that started it, and finding it a port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep

# PR_SET_PDEATHSIG: the kernel kills the server when the thread that started it ends. Set by a
# small program that then becomes the server: code between fork and exec may deadlock.
_LAUNCH = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, {int(signal.SIGKILL)})
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that wanted a server is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class ServerError(Exception):
    """A server that cannot be started."""


def launch(
    command: Sequence[str], log: Path, *, directory: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a server that dies with the thread that calls this.

    Args:
        command: The program, by its whole path, and its arguments.
        log: What it writes goes to the end of this file.
        directory: Where it runs.
    """
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=directory,
        )


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Ask until the answer is yes.

    Raises:
        ServerError: It was not within this time.
    """
    deadline = monotonic() + seconds
    while not ready():
        if monotonic() > deadline:
            raise ServerError(f"{what} took longer than {seconds:g} s")
        sleep(0.02)
