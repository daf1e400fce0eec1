"""arq's ``ctx`` in a job: what the job reads of it is an input, by its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracediff.frameworks.replaying import is_replayed
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.runtime import current

OWN = frozenset({"job_id", "job_try", "redis"})
"""What arq puts in that a replay makes by itself: from the trace's context, and a client."""

_MISSING = object()


def _read(key: Any) -> Any:
    """Read what a worker's start or an earlier hook put into ``ctx``."""


_KEY = Reach("input", "arq ctx", _read)


class Context(dict[Any, Any]):
    """``ctx`` as a job has it; what it changes is changed in arq's own too.

    Args:
        real: arq's.
    """

    def __init__(self, real: Mapping[Any, Any]) -> None:
        super().__init__(real)
        self._real = real
        self._known: set[Any] = set(OWN)  # keys that are no input, or not any more

    def __getitem__(self, key: Any) -> Any:
        if key in self._known or current.get() is None:
            return super().__getitem__(key)
        parent = recorded_here()
        if parent is None:
            return super().__getitem__(key)
        value = _KEY(parent, key, run=super().__getitem__)
        self._known.add(key)
        if is_replayed():
            super().__setitem__(key, value)
        return value

    def __missing__(self, key: Any) -> Any:
        raise KeyError(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """A value, or another where there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: Any) -> bool:
        return self.get(key, _MISSING) is not _MISSING

    def __setitem__(self, key: Any, value: Any) -> None:
        self._known.add(key)
        super().__setitem__(key, value)
        if isinstance(self._real, dict):
            self._real[key] = value

    def __delitem__(self, key: Any) -> None:
        self._known.add(key)
        super().__delitem__(key)
        if isinstance(self._real, dict):
            self._real.pop(key, None)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """A value, which is put there where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        """Take a value out."""
        if key not in self:
            if default:
                return default[0]
            raise KeyError(key)
        value = self[key]
        del self[key]
        return value

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Put values there."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]  # as `update` takes it
        self.update(other)
        return self

    def popitem(self) -> tuple[Any, Any]:
        """Take the last value out."""
        if not self:
            raise KeyError("popitem(): dictionary is empty")
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """Take all values out."""
        for key in list(self):
            del self[key]
