"""The databases that a job reaches through a driver: what they are called, and when for the first.

A database is named by its address, without user and password. Where the one of a replay has another
name than the recorded one, it takes that: the only one, or the next.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from tracediff import values
from tracediff.recording.libraries.reach import Reach
from tracediff.recording.spans import Span
from tracediff.runtime import current


def _connect(database: str) -> None:
    """Connect: what is recorded is what the server says of itself."""


def _take(database: str, attempt: int) -> None:
    """Take a connection from a pool."""


_ABOVE = {"django.db": "django", "sqlalchemy": "sqlalchemy"}
"""The package of a library that works on drivers, by its name in the setting."""


class Driver:
    """The inputs that a driver's connections are.

    Args:
        name: The driver's.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.connect = Reach("input", f"{name} connect", _connect)
        self.first = Reach("input", f"{name} connection", _connect)
        self.pool = Reach("input", f"{name} pool", _take)
        self.own = Reach("input", f"{name} itself", _connect).mark
        self._above: frozenset[str] = frozenset()
        self._passed = frozenset({"tracediff", "contextlib", "asyncio", name})

    def set_inputs(self, inputs: Iterable[str]) -> None:
        """Tell it which libraries are recorded: what these ask of the driver is theirs."""
        self._above = frozenset(_ABOVE[one] for one in inputs if one in _ABOVE)

    def is_at_work(self) -> bool:
        """Whether the library does something for itself here, as its pools do."""
        span = current.get()
        return span is not None and getattr(span, "mark", None) is self.own

    def serves_another(self) -> bool:
        """Whether a library that is recorded itself asks the driver, and not the program."""
        if not self._above:
            return False
        frame = sys._getframe(1)  # noqa: SLF001 - the only way to see who calls
        while frame.f_back is not None:
            top = (frame.f_globals.get("__name__") or "").partition(".")[0]
            if top not in self._passed:
                return top in self._above
            frame = frame.f_back
        return False

    def of(self, parent: Span) -> Databases:
        """What the job knows of its databases."""
        reached = parent.buffer.reached
        found: Databases | None = reached.get(self.name)
        if found is None:
            found = reached.setdefault(self.name, Databases(self, parent))
        return found


class Databases:
    """The databases of one job."""

    def __init__(self, driver: Driver, parent: Span) -> None:
        self._driver = driver
        self._names: dict[str, str] = {}
        self._known: dict[str, Any] = {}
        self._attempts: dict[str, int] = {}
        self._recorded: dict[str, None] = {}
        self._failed: set[tuple[str, int]] = set()
        self._shield = below = Span()
        below.mark, below.buffer, below.parent = driver.own, parent.buffer, parent
        server = parent.buffer.server
        if server is not None:
            for reach in (driver.connect, driver.first, driver.pool):
                for data in server.recorded(reach.mark.name):
                    given: Any = values.inert(data)
                    self._recorded[given["database"]] = None
                    if reach is driver.pool:
                        self._failed.add((given["database"], given["attempt"]))

    def name(self, own: str) -> str:
        """What a database is called in this trace."""
        found = self._names.get(own)
        if found is None:
            left = [one for one in self._recorded if one not in self._names.values()]
            found = own if own in self._recorded or not left else left[0]
            self._names[own] = found
        return found

    def connected(self, name: str, facts: Any) -> None:
        """The job has connected to a database, of which these facts are known."""
        self._known.setdefault(name, facts)

    def facts(self, name: str, parent: Span, ask: Callable[[], Any]) -> Any:
        """What a database says of itself: an input, when the job reaches it for the first time."""
        if name in self._known:
            return self._known[name]
        self._known[name] = None  # before it is asked: another thread need not ask as well
        found = self._driver.first(parent, name, run=lambda database: ask())
        self._known[name] = found
        return found

    def attempt(self, own: str) -> tuple[str, int, bool]:
        """A connection is taken from a pool: of which database, and whether a recording failed."""
        name = self.name(own)
        number = self._attempts[name] = self._attempts.get(name, 0) + 1
        return name, number, (name, number) in self._failed

    def took_none(self, parent: Span, name: str, number: int, error: BaseException | None) -> None:
        """Record that a pool gave no connection, or raise what it raised then."""

        def failed(database: str, attempt: int) -> None:
            if error is not None:
                raise error

        self._driver.pool(parent, name, number, run=failed)

    def enter_shield(self) -> Any:
        """Begin what the library does for itself, of which nothing is recorded."""
        return current.set(self._shield)


def address(scheme: str, host: object, port: object, database: object) -> str:
    """Where a database is, without who asks it."""
    parts = [
        one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one or "")
        for one in (host, port, database)
    ]
    where = f"[{parts[0]}]" if ":" in parts[0] else parts[0]
    return f"{scheme}://{where}:{parts[1] or 5432}/{parts[2]}"
