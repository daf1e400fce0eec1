"""Flask's ``g`` in a view: what ran before the view and put something there is no part of its job.

What the view asks for by name is an input, as it is of ``request.state``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flask.globals import g

from tracediff.frameworks.sessions import ON_G, RequestState


class _Names(dict[str, Any]):
    """The names on ``g``: it looks each of them up here, and nothing is in the dict itself."""

    def __init__(self, state: RequestState) -> None:
        super().__init__()
        self._state = state

    def __getitem__(self, name: str) -> Any:
        return self._state[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._state[name] = value

    def __delitem__(self, name: str) -> None:
        del self._state[name]

    def __contains__(self, name: object) -> bool:
        return name in self._state

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    def get(self, name: str, default: Any = None) -> Any:
        """What is there, or the default."""
        return self._state.get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        """What was there."""
        return self._state.pop(name, *default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """What is there now."""
        return self._state.setdefault(name, default)


@contextlib.contextmanager
def followed() -> Iterator[None]:
    """See what is asked of ``g`` until the block ends; its values stay where they are."""
    own = g._get_current_object()
    kept = own.__dict__
    if isinstance(kept, _Names):
        yield
        return
    put = object.__setattr__  # its own would set a name on `g`
    put(own, "__dict__", _Names(RequestState(kept, ON_G)))
    try:
        yield
    finally:
        put(own, "__dict__", kept)
