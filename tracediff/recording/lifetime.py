"""What becomes of a process's writers when it forks and when it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import weakref
from typing import Any, Protocol

from tracediff.stores.base import Store


class Ending(Protocol):
    """A writer, as far as forks and ends concern it."""

    def before_fork(self) -> bool:
        """Let go of the store until ``after_fork``; False when it could not be had."""

    def after_fork(self) -> None:
        """Go on, in the parent."""

    def reset(self) -> None:
        """Start anew, in the child."""

    def upload_early(self) -> None:
        """Have all moved to the store while threads and imports still work as ever."""

    def close(self) -> None:
        """Save what is left."""


writers: weakref.WeakSet[Ending] = weakref.WeakSet()
"""All of this process's."""

inherited: list[Store] = []
"""Stores of a parent's that are left alone: closing one here could hurt the parent's."""

_held: list[Ending] = []
_registered: set[int] = set()


def _before_fork() -> None:
    _held.extend([writer for writer in list(writers) if writer.before_fork()])


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().after_fork()


def _after_fork_in_child() -> None:
    """What a child inherits is its parent's to write."""
    _held.clear()
    for writer in list(writers):
        writer.reset()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)


def _upload_early() -> None:
    for writer in list(writers):
        writer.upload_early()


def close_all() -> None:
    """Close every writer of this process; called when it ends."""
    for writer in list(writers):
        writer.close()


def register_exit() -> None:
    """Once a process: at exit, and where children of multiprocessing and Celery end.

    The former skip atexit, and Celery's skip both.
    """
    if os.getpid() in _registered:
        return
    _registered.add(os.getpid())
    # Clients start threads and import, which at exit is too late for both: Python refuses them by
    # then. The hook before that is the one that ends the pools of concurrent.futures.
    early = getattr(threading, "_register_atexit", None)
    if early is not None:
        with contextlib.suppress(RuntimeError):  # the process ends already
            early(_upload_early)
    atexit.register(close_all)
    finalizers: Any = sys.modules.get("multiprocessing.util")
    if finalizers is not None:
        finalizers.Finalize(None, close_all, exitpriority=100)
    signals: Any = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_at_celery_shutdown, weak=False)


def _at_celery_shutdown(**_: Any) -> None:
    close_all()
