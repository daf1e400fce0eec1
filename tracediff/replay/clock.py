"""The recorded surroundings of a job, put back while it runs again."""

from __future__ import annotations

import contextlib
import decimal
import locale
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType

from tracediff.model import Trace
from tracediff.recording.environment import timezone_name


@contextlib.contextmanager
def recorded_surroundings(trace: Trace) -> Iterator[Callable[[], None]]:
    """Tick from the recorded start; set time zone, locale, Decimal context and seed.

    The clock ticks rather than stands, since a frozen one makes deadline loops endless.

    Yields:
        What puts the clock at the recorded start again, for when the job begins.
    """
    time_machine = clock_library()
    surroundings = trace.environment
    with (
        _timezone(surroundings.timezone),
        _locale(surroundings.locale),
        _seeded(surroundings.seed),
        decimal.localcontext() as context,
    ):
        context.prec = surroundings.decimal_prec
        context.rounding = surroundings.decimal_rounding
        # A number, since a datetime would set its own time zone.
        start = trace.started_at / 1e9
        with time_machine.travel(start, tick=True) as clock:
            yield lambda: clock.move_to(start)


@contextlib.contextmanager
def _locale(name: str) -> Iterator[None]:
    before = locale.setlocale(locale.LC_ALL)
    with contextlib.suppress(locale.Error):  # a locale this machine lacks
        locale.setlocale(locale.LC_ALL, name)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    numpy_random = sys.modules.get("numpy.random")
    before = random.getstate()
    numpy_before = numpy_random.get_state() if numpy_random is not None else None
    random.seed(seed)
    if numpy_random is not None:
        numpy_random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
        if numpy_random is not None:
            numpy_random.set_state(numpy_before)


def clock_library() -> ModuleType:
    """The library that moves the clock, without what it imports wherever that is installed.

    It has a pytest plugin and reads dates with dateutil; the replay of a small job would spend a
    third of its time on them, and its trace would name them among the loaded distributions.
    """
    hidden = [name for name in ("dateutil", "pytest") if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say: not there
    try:
        import time_machine  # only a replay needs it
    finally:
        for name in hidden:
            del sys.modules[name]
    return time_machine


@contextlib.contextmanager
def _timezone(name: str) -> Iterator[None]:
    before, zone = os.environ.get("TZ"), _zone()
    os.environ["TZ"] = name
    if timezone_name(before) != name:  # to set it again would be slow
        time.tzset()
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = before
        if _zone() != zone:
            time.tzset()


def _zone() -> tuple[object, ...]:
    """What the process takes for its time zone."""
    return time.tzname, time.timezone, time.altzone
