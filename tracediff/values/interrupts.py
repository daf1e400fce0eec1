"""Exceptions that interrupt the program, which nobody may take for a fault of a value.

A handler of a signal raises wherever the program is: a time limit may end a job while one of its
values is written.
"""

from __future__ import annotations

import signal
import threading

from ormsgpack import MsgpackEncodeError

from tracediff.values.leaves import InexactError

_OF_VALUES = (InexactError, MsgpackEncodeError)
"""What no handler raises, but many a value without an exact form: asking all signals is slow."""


def is_interrupt(error: BaseException) -> bool:
    """Whether the handler of a signal raised an exception; in Python that is the main thread's."""
    if isinstance(error, _OF_VALUES):
        return False
    if threading.current_thread() is not threading.main_thread():
        return False
    codes = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        codes.add(getattr(getattr(handler, "__func__", handler), "__code__", None))
    place = error.__traceback__
    while place is not None:
        if place.tb_frame.f_code in codes:
            return True
        place = place.tb_next
    return False
