"""Refuses the network and other programs while a trace is replayed.

One audit hook a process (a hook cannot be removed), switched by a flag. It sees what goes through
Python's own ``socket``, ``subprocess`` and ``os``; a C library that calls the system by itself
(libpq, for one) escapes it. ``socket.socket`` itself stays, because ``asyncio.run`` needs it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from tracediff.replay.permissions import Permissions
from tracediff.runtime import ReplayAbort

_MAX_NOTED = 50
_MAX_LINE = 500
_LOOPBACK = frozenset({"127.0.0.1", "::1"})


class Guard:
    """What one replay may reach, and what it was refused.

    Args:
        permissions: The parsed setting ``replay_allow``.
        reading: Tells whether the code that runs is that of an input which runs for real.
    """

    def __init__(self, permissions: Permissions, reading: Callable[[], bool]) -> None:
        self._permissions = permissions
        self._reading = reading
        self._resolved: dict[str, frozenset[str]] = {}
        self._asking = threading.local()
        self._refused: dict[str, None] = {}
        self._pid = os.getpid()
        self._pipe: tuple[int, int] | None = None

    def close(self) -> tuple[str, ...]:
        """What was refused, to forked children too; each once, in order, bounded."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):  # nothing to read, or the job closed the pipe
                said = os.read(self._pipe[0], 1 << 16)
                for line in said.decode("utf-8", "replace").splitlines():
                    self._note(line)
            for end in self._pipe:
                with contextlib.suppress(OSError):
                    os.close(end)
        return tuple(self._refused)

    def listen(self) -> None:
        """The process forks: from now on, hear what its children were refused."""
        if self._pipe is None:
            with contextlib.suppress(OSError):  # no descriptors left: what they were is not told
                self._pipe = os.pipe()
                for end in self._pipe:
                    os.set_blocking(end, False)

    def _note(self, what: str) -> None:
        if len(self._refused) < _MAX_NOTED:
            self._refused[what] = None

    def judge(self, event: str, args: tuple[Any, ...]) -> None:
        """Raise ``ReplayAbort`` (slug ``network-refused``) unless this event is permitted."""
        if getattr(self._asking, "on", False):
            return
        described = _EVENTS[event](self, args)
        if described is None or self._is_reading():
            return
        what, entry = described
        self._note(what)
        if os.getpid() != self._pid:
            line = f"{what} in a forked process\n"[:_MAX_LINE]
            with contextlib.suppress(OSError):
                if self._pipe is not None:
                    os.write(self._pipe[1], line.encode())
        raise ReplayAbort(
            f"the replay was refused {what}",
            slug="network-refused",
            hint="make the call a recorded input (@td.input) or output (@td.output), or allow it: "
            f'replay_allow = ["{entry}"]',
        )

    def passes(self) -> bool:
        """Whether whatever is reached now is permitted: the guard itself asks, or an input runs."""
        return getattr(self._asking, "on", False) or self._is_reading()

    def _is_reading(self) -> bool:
        return self._permissions.inputs and self._reading()

    def program(self, event: str, name: object) -> tuple[str, str] | None:
        """Judge the start of a program."""
        text = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else str(name)
        if self._permissions.program(text):
            return None
        return f"the program {text!r} ({event})", f"subprocess:{text.rsplit('/', 1)[-1]}"

    def lookup(self, event: str, host: object, port: object) -> tuple[str, str] | None:
        """Judge the look-up of a name; no name, or a number to read, asks nobody."""
        if host is None:
            return None
        text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if event != "socket.gethostbyaddr" and _is_number(text):
            return None
        number = _port(port)
        if self._permissions.host(text, number) or self._is_permitted_address(text, number):
            return None
        return f"the look-up of {text!r} ({event})", _entry(text, number)

    def address(self, event: str, address: object) -> tuple[str, str] | None:
        """Judge a connection, a datagram or a listener by its address."""
        if address is None:
            return None
        if isinstance(address, (str, bytes)):
            path = os.fsdecode(address)
            if self._permissions.host(path, None):
                return None
            return f"the Unix socket {path!r} ({event})", f"socket:{path}"
        if not isinstance(address, tuple) or len(address) < 2:
            return f"the address {address!r} ({event})", "socket"
        host, port = str(address[0]), _port(address[1])
        # A free port of this machine asks nobody, and urllib3 looks so for IPv6 when imported.
        if event == "socket.bind" and port == 0 and host in _LOOPBACK and _is_importing():
            return None
        if self._permissions.host(host, port) or self._is_permitted_address(host, port):
            return None
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"{shown} ({event})", _entry(host, port)

    def _is_permitted_address(self, host: str, port: int | None) -> bool:
        return any(host in self._addresses(name) for name in self._permissions.names(port))

    def _addresses(self, name: str) -> frozenset[str]:
        """The addresses a permitted name stands for, looked up once with the guard aside."""
        known = self._resolved.get(name)
        if known is None:
            import socket

            self._asking.on = True
            try:
                found = socket.getaddrinfo(name, None)
            except OSError:
                # A name that does not resolve permits no address; connecting to it by name
                # then fails with the real error.
                found = []
            finally:
                self._asking.on = False
            known = self._resolved[name] = frozenset(str(item[4][0]) for item in found)
        return known


_Judge = Callable[[Guard, tuple[Any, ...]], "tuple[str, str] | None"]


def _on_program(event: str) -> _Judge:
    return lambda guard, args: guard.program(event, _program(event, args))


def _on_lookup(event: str) -> _Judge:
    return lambda guard, args: guard.lookup(event, args[0], args[1] if len(args) > 1 else None)


def _on_address(event: str) -> _Judge:
    return lambda guard, args: guard.address(event, args[1])


def _on_name(event: str) -> _Judge:
    return lambda guard, args: guard.address(event, args[0])


_EVENTS: dict[str, _Judge] = {
    **{
        event: _on_address(event)
        for event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")
    },
    **{
        event: _on_lookup(event)
        for event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
    },
    "socket.getnameinfo": _on_name("socket.getnameinfo"),
    "os.fork": lambda guard, _: guard.listen(),
    **{
        event: _on_program(event)
        for event in (
            "subprocess.Popen",
            "os.system",
            "os.exec",
            "os.posix_spawn",
            "os.startfile",
            "os.forkpty",
            "pty.spawn",
        )
    },
}


def _program(event: str, args: tuple[Any, ...]) -> object:
    """What an event starts; a shell's command line starts the shell, whatever it goes on to run."""
    if event in ("os.system", "os.forkpty"):
        return "sh"
    first = args[0]
    if first is None and event == "subprocess.Popen":
        first = args[1]
    return first[0] if isinstance(first, (list, tuple)) and first else first


def _port(port: object) -> int | None:
    if isinstance(port, int):
        return port
    if isinstance(port, (str, bytes)):
        text = port.decode("ascii", "replace") if isinstance(port, bytes) else port
        return int(text) if text.isascii() and text.isdigit() else None
    return None


def _is_number(host: str) -> bool:
    import socket  # the job that looks a name up has it

    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return True
    return False


def _is_importing() -> bool:
    """Whether a module is imported now, by this thread."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the one way to what calls
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _entry(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"socket:{name}" if port is None else f"socket:{name}:{port}"


class _Switch:
    """The state of the process's one audit hook."""

    guard: Guard | None = None
    installed = False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    # Called for every audit event of the process: imports, opens, attribute look-ups.
    if _Switch.guard is not None and event in _EVENTS:
        _Switch.guard.judge(event, args)


def refusal(event: str, args: tuple[Any, ...]) -> str | None:
    """What an audit event is, as it is told, if the guard that is active would refuse it."""
    guard = _Switch.guard
    if guard is None or event not in _EVENTS or guard.passes():
        return None
    described = _EVENTS[event](guard, args)
    return None if described is None else described[0]


@contextlib.contextmanager
def guarded(
    permissions: Permissions, reading: Callable[[], bool] = lambda: False
) -> Iterator[list[str]]:
    """Refuse the network and other programs, process-wide, until the block ends.

    Args:
        permissions: The parsed setting ``replay_allow``.
        reading: Tells whether the code that runs is that of an input which runs for real.

    Yields:
        What was refused, filled in when the block ends.
    """
    if not _Switch.installed:
        sys.addaudithook(_hook)
        _Switch.installed = True
    guard, previous = Guard(permissions, reading), _Switch.guard
    refused: list[str] = []
    _Switch.guard = guard
    try:
        yield refused
    finally:
        _Switch.guard = previous
        refused += guard.close()
