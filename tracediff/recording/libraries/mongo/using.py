"""The servers that a job uses: the first use of each is an input, and each failure to reach one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tracediff import values
from tracediff.recording.faults import brief
from tracediff.recording.libraries.mongo.told import NAME
from tracediff.recording.libraries.reach import Reach
from tracediff.recording.spans import Span

_SINGLE = "RSSecondary"
_PRIMARY = "RSPrimary"


def _connect(server: str, attempt: int) -> None:
    """Choose a server: what is recorded is of which kind it is."""


CONNECT = Reach("input", f"{NAME} connect", _connect)


class Used:
    """The deployments that a job has used so far, by the hosts of their URLs.

    Where a replay has other hosts than the recording, its first client stands for the first that
    was recorded, and so on.
    """

    def __init__(self, parent: Span) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.labels: dict[int, str] = {}
        self.attempts: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._kept: list[Any] = []
        server = parent.buffer.server
        self._recorded: list[tuple[str, int]] = []
        if server is not None:
            found: list[Any] = [values.inert(data) for data in server.recorded(CONNECT.mark.name)]
            self._recorded = [(one["server"], one["attempt"]) for one in found]

    @classmethod
    def of(cls, parent: Span) -> Used:
        """Those of a trace."""
        reached = parent.buffer.reached
        found: Used | None = reached.get(NAME)
        if found is None:
            found = reached.setdefault(NAME, cls(parent))
        return found

    def label(self, settings: Any) -> str:
        """The name in this trace of the deployment that these settings of a topology are for."""
        options = settings.pool_options
        found = self.labels.get(id(options))
        if found is None:
            self._kept.append(options)  # so that no other gets its id
            found = self.labels[id(options)] = self._named(settings)
        return found

    def _named(self, settings: Any) -> str:
        own = settings.fqdn or ",".join(
            sorted(host if port is None else f"{host}:{port}" for host, port in settings.seeds)
        )
        name = self._names.get(own)
        if name is None:
            recorded = dict.fromkeys(name for name, _ in self._recorded)
            left = [one for one in recorded if one not in self._names.values()]
            name = own if own in recorded or not left else left[0]
            self._names[own] = name
        return name

    def next_attempt(self, label: str) -> int:
        """How often a server was asked for, with this time."""
        found = self.attempts[label] = self.attempts.get(label, 0) + 1
        return found

    def times(self, label: str, attempt: int) -> int:
        """How often a replay asks the recording this time: of the first, and of failures."""
        return self._recorded.count((label, attempt)) or int(label not in self.known)

    def facts(self, parent: Span, label: str, attempt: int, run: Callable[..., Any]) -> Any:
        """What a deployment is: recorded, or as the recording says."""
        found = CONNECT(parent, label, attempt, run=run)
        self.known[label] = found if type(found) is dict else {}
        return self.known[label]

    def failed(self, parent: Span, label: str, error: BaseException) -> None:
        """Record that a server was not reached."""
        run = functools.partial(_again, error)
        try:
            CONNECT(parent, label, self.attempts.get(label, 1), run=run)
        except BaseException as raised:
            if raised is not error:  # the caller raises it
                unrecorded(parent, raised)


def _again(error: BaseException, *args: Any) -> None:
    raise error


def unrecorded(parent: Span, error: BaseException) -> None:
    """The recorder failed, and the job goes on."""
    parent.buffer.warn(f"a value could not be recorded: {brief(error)}")


def told(description: Any) -> dict[str, Any]:
    """What decides how a driver talks to a server."""
    kind = description.server_type_name
    return {
        "type": _PRIMARY if kind == _SINGLE else kind,
        "name": description.replica_set_name,
        "version": description.max_wire_version,
        "sessions": description.logical_session_timeout_minutes,
    }
