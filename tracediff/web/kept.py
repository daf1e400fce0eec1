"""The last few things that were made, by name, for many threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from tracediff.model import Step, Trace

K = TypeVar("K")
V = TypeVar("V")

BUDGET: Final = 256 << 20
"""Bytes of recorded data that the traces of one collection may hold."""
_STEP: Final = 800


class Kept(Generic[K, V]):
    """At most ``most`` things; the one that was longest not asked for goes first.

    Args:
        most: How many.
        budget: What they may weigh together; the newest is kept whatever it weighs.
    """

    def __init__(self, most: int, budget: int | None = None) -> None:
        self._most = most
        self._budget = budget
        self._lock = threading.Lock()
        self._found: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: K) -> V | None:
        """The thing of this name, None when it is not kept."""
        with self._lock:
            found = self._found.get(key)
            if found is None:
                return None
            self._found.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, weight: int = 0) -> None:
        """Keep a thing."""
        with self._lock:
            self._weight += weight - self._found.get(key, (None, 0))[1]
            self._found[key] = (value, weight)
            self._found.move_to_end(key)
            while len(self._found) > 1 and self._is_too_much():
                self._weight -= self._found.popitem(last=False)[1][1]

    def _is_too_much(self) -> bool:
        too_heavy = self._budget is not None and self._weight > self._budget
        return too_heavy or len(self._found) > self._most


class Turns:
    """Lets one thread at a time make the thing of a name: what many ask for is made once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Wait until no other thread makes it; whoever waited looks for it first."""
        with self._lock:
            making, waiting = self._making.get(name, (threading.Lock(), 0))
            self._making[name] = (making, waiting + 1)
        try:
            with making:
                yield
        finally:
            with self._lock:
                making, waiting = self._making.pop(name)
                if waiting > 1:
                    self._making[name] = (making, waiting - 1)


def weight(trace: Trace) -> int:
    """About how many bytes a trace takes in memory."""
    artifacts = sum(len(one.data or b"") for one in trace.artifacts)
    return artifacts + sum(map(_weight, trace.steps))


def _weight(step: Step) -> int:
    values = sum(len(one.data) for one in (step.args, step.key, step.result) if one is not None)
    error = step.error
    said = 0 if error is None else len(error.message) + len(error.traceback)
    return _STEP + len(step.name) + values + said
