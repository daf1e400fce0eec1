"""Trace ids: time-sortable, made without I/O, unique across threads and forked processes."""

from __future__ import annotations

import os
import threading
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, lower case: no i, l, o or u."""

LENGTH = 20
_RANDOM_BITS = 55
_RANDOM = (1 << _RANDOM_BITS) - 1


_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_SHIFTS = tuple(range(90, -1, -10))


class _Clock:
    """The last id's number; ids of one process grow even when the clock goes back."""

    def __init__(self) -> None:
        self.last = 0
        self.lock = threading.Lock()

    def next(self) -> int:
        fresh = int.from_bytes(os.urandom(7), "big") & _RANDOM
        now = (time.time_ns() // 1_000_000) << _RANDOM_BITS | fresh
        with self.lock:
            if now <= self.last:
                now = self.last + 1 + (fresh >> 20)
            self.last = now
        return now


_clock = _Clock()


def _after_fork() -> None:
    _clock.lock = threading.Lock()  # the inherited one may be held by a thread that is gone


os.register_at_fork(after_in_child=_after_fork)


def new_id() -> str:
    """A new id: 45 bits of milliseconds since the epoch, then 55 random bits."""
    number = _clock.next()
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def timestamp(trace_id: str) -> int:
    """The milliseconds since the epoch at which an id was made."""
    number = 0
    for digit in trace_id:
        number = number << 5 | ALPHABET.index(digit)
    return number >> _RANDOM_BITS
