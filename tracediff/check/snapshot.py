"""The state of a process that a job may change for the next one, taken in some microseconds."""

from __future__ import annotations

import _locale
import _signal  # type: ignore[import-not-found]  # the C part of signal: no enums are made
import _thread
import builtins
import contextlib
import decimal
import gc
import os
import signal
import sys
import threading
from typing import Any

MOST_DESCRIPTORS = 64
"""How many descriptors may be left open before the process counts as another."""

_SIGNALS = tuple(int(one) for one in signal.valid_signals() if one < 32 and one not in (9, 19))
_CONTEXT = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def snapshot(own: tuple[int, ...] = ()) -> tuple[Any, ...]:
    """What is compared with a later one: equal where the process is as it was.

    Args:
        own: Descriptors that must stay what they are, beside 0 to 2.
    """
    context = decimal.getcontext()
    return (
        _directory(),
        _umask(),
        _locale.setlocale(_locale.LC_ALL),
        [_signal.getsignal(one) for one in _SIGNALS],
        _signal.getitimer(_signal.ITIMER_REAL)[0] > 0,
        [getattr(context, name) for name in _CONTEXT],
        list(context.traps.values()),
        sys.getrecursionlimit(),
        sys.getswitchinterval(),
        gc.isenabled(),
        os.getpgrp(),
        _thread._count(),  # noqa: SLF001 - the one count of threads that nobody can leave out
        (sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__),
        (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook),
        (sys.gettrace(), sys.getprofile()),
        (builtins.__import__, builtins.open, builtins.print, builtins.input),
        os.environ._data,  # type: ignore[attr-defined]  # noqa: SLF001 - as bytes, not decoded
        sys.path,
        sys.meta_path,
        sys.path_hooks,
        [_file(one) for one in (0, 1, 2, *own)],
    )


def kept(state: tuple[Any, ...]) -> tuple[Any, ...]:
    """A snapshot that does not change with the process."""
    return tuple(
        dict(one) if isinstance(one, dict) else list(one) if isinstance(one, list) else one
        for one in state
    )


def lowest_descriptor() -> int:
    """The number that the next file would get: how many are open, as good as."""
    try:
        found = os.dup(0)
    except OSError:  # none is left, or 0 is closed
        return -1
    os.close(found)
    return found


def has_children() -> bool:
    """Whether a process that was started is still there, or was not waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:
        return False
    return True


def _directory() -> str | None:
    with contextlib.suppress(OSError):  # it was removed
        return os.getcwd()  # noqa: PTH109 - a text, five times as fast as a path
    return None


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def _file(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino
