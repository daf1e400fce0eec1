"""What middleware gave a request, in a replay: a session, and values by name."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from tracediff import values
from tracediff.frameworks.replaying import is_replayed
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.values.placeholder import node_of


class Session(dict[str, Any]):
    """The session of a replayed request: it holds what the view writes, and has nothing to read."""

    accessed = modified = False
    session_key = None

    def _unknown(self, name: object) -> Any:
        said = f"<request.session[{name!r}], which is never recorded>"
        return str(values.Placeholder(values.Opaque("tracediff:ignored", said)))

    def __missing__(self, key: str) -> Any:
        return self._unknown(key)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or bool(self._unknown(key))

    def get(self, key: str, default: Any = None) -> Any:
        """What the view wrote there; else the replay stops."""
        return self[key]

    def __iter__(self) -> Iterator[str]:
        self._unknown("…")
        return super().__iter__()

    def nothing(self, *_: Any, **__: Any) -> None:
        """The store's own work, which is none of the job's."""

    save = create = delete = cycle_key = flush = set_expiry = clear_expired = nothing

    async def aget(self, key: str, default: Any = None) -> Any:
        """The same."""
        return self[key]

    async def aset(self, key: str, value: Any) -> None:
        """Hold what the view writes."""
        self[key] = value

    async def anothing(self, *_: Any, **__: Any) -> None:
        """The store's own work."""

    asave = acreate = adelete = acycle_key = aflush = aset_expiry = anothing


def _state(name: str) -> Any:
    """What middleware had set on the request under a name."""


ON_REQUEST = Reach("input", "request.state", _state)
ON_G = Reach("input", "flask.g", _state)


class RequestState(MutableMapping[str, Any]):
    """What is set on a request: what a job asks for and did not set itself is an input.

    Args:
        kept: Where it is; in a replay what the application's own start has set.
        reach: The input.
    """

    def __init__(self, kept: MutableMapping[str, Any], reach: Reach = ON_REQUEST) -> None:
        self._kept = kept
        self._reach = reach
        self._known: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        parent = recorded_here() if name not in self._known else None
        if parent is None:
            return self._kept[name]
        found = self._reach(parent, name, run=self._kept.__getitem__)
        self._known.add(name)
        if is_replayed() and not (_is_opaque(found) and name in self._kept):
            self._kept[name] = found
        return self._kept[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._known.add(name)
        self._kept[name] = value

    def __delitem__(self, name: str) -> None:
        self._known.add(name)
        del self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def _is_opaque(value: Any) -> bool:
    """Whether a recorded value is one that has no exact form, as a pool of connections."""
    return type(value) is values.Placeholder and isinstance(node_of(value), values.Opaque)


def unrecorded(what: str) -> Any:
    """What a replay has in the place of something that is never recorded; it stops where used."""
    return values.Placeholder(
        values.Opaque("tracediff:ignored", f"<{what}, which is never recorded>")
    )
