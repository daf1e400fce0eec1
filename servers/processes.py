"""A server as a process, which ends with the one that started it; and finding it a port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import ClassVar, Self

# PR_SET_PDEATHSIG: the kernel kills the server when the thread that started it ends. Set by a
# small program that then becomes the server: code between fork and exec may deadlock.
_LAUNCH = f"""
import ctypes, os, pwd, sys
if sys.argv[2]:  # first: a change of the user would undo what follows
    account = pwd.getpwnam(sys.argv[2])
    os.initgroups(sys.argv[2], account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
ctypes.CDLL(None).prctl(1, {int(signal.SIGKILL)})
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that wanted a server is gone")
os.execv(sys.argv[3], sys.argv[3:])
"""


class ServerError(Exception):
    """A server that cannot be started."""


class Server(ABC):
    """A server that runs inside a ``with`` block, and can be killed and started again in it.

    It ends with the thread that started it, so start it from the main thread.

    Args:
        directory: Where its log goes, and what else it keeps; made when it is not there.
    """

    name: ClassVar[str]
    """What it is called in errors."""

    program: ClassVar[str]
    """What its log is called after."""

    to_start: ClassVar[float] = 30.0
    to_end: ClassVar[float] = 30.0
    """Seconds that starting and ending it may take."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def log(self) -> Path:
        """What it says."""
        return self.directory / f"{self.program}.log"

    def start(self) -> None:
        """Start it, where and with what it had before, and wait until it answers.

        Raises:
            ServerError: It ended, or did not answer in time.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = self._launch()
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a crash would (SIGKILL), if it runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order (SIGTERM), if it runs; killed when it does not."""
        self._end(signal.SIGTERM)

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Start its process."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it takes what is asked."""

    def _wait(self) -> None:
        wait_until(self._is_ready, f"starting {self.name}", self.to_start)

    def _is_ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"{self.name} ended at once; the end of its log:\n{self._said()}")
        return self._answers()

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            end(process, how, self.to_end)


def launch(
    command: Sequence[str],
    log: Path,
    *,
    directory: Path | None = None,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server that dies with the thread that calls this.

    Args:
        command: The program, by its whole path, and its arguments.
        log: What it writes goes to the end of this file.
        directory: Where it runs.
        user: Who it runs as, if not as the caller, who is root then.
        environment: Its environment; the caller's by default.
    """
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), user or "", *command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=environment,
        )


def end(
    process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, seconds: float = 30.0
) -> None:
    """End a process by a signal; killed when it does not end within this time."""
    process.send_signal(how)
    wait_for(process, seconds)


def wait_for(process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Wait until a process has ended; killed when it does not within this time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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
