"""A signal's handler that raises while a value is written ends what the program does."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import pytest

from tracediff import values


class Limit(Exception):
    pass


class Big:
    """Takes long in the encoder of what is exact, or in that of what is not."""

    def __init__(self, size: int, exact: bool) -> None:
        self.parts = [[number, str(number)] for number in range(size)]
        self.handle = None if exact else threading.Lock()


def stop(number: int, frame: Any) -> None:
    raise Limit


def written_until_stopped(value: Any) -> None:
    """Write it again and again, with one signal, which the handler answers with an error."""
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        values.encode(value)


@pytest.mark.parametrize("exact", [True, False])
def test_what_a_signal_raises_is_no_fault_of_the_value(exact: bool) -> None:
    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(Limit):
            written_until_stopped(Big(50_000, exact))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
