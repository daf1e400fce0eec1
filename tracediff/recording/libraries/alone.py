"""What stands for a driver's connection where SQLAlchemy works without one: in a replay.

Dialects and listeners make settings on it; whoever reads through it is refused.
"""

from __future__ import annotations

from typing import Any

from tracediff.runtime import ReplayAbort


class Alone:
    """Stands for a driver's connection in a replay: it keeps its settings and does nothing."""

    closed = broken = False

    def __init__(self) -> None:
        self.info: dict[Any, Any] = {}
        self.record_info = self.info
        self.finalize_callback: list[Any] = []  # of settings that the pool would take back
        self._connection_record = self
        self.notices: list[Any] = []

    def cursor(self, *args: Any, **kwargs: Any) -> _Settings:
        """A cursor for settings."""
        return _Settings()

    def commit(self) -> None:
        """End no transaction."""

    def rollback(self) -> None:
        """Undo no transaction."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("set_"):
            return lambda *args, **kwargs: None
        raise AttributeError(f"a replay has no {name!r} of the database driver's own connection")


class _Settings:
    """A cursor that makes settings on a connection that is not there."""

    description = None
    rowcount = -1

    def execute(self, sql: Any, *args: Any, **kwargs: Any) -> None:
        """Make a setting."""

    def close(self) -> None:
        """Close it."""

    def _refuse(self, *args: Any) -> Any:
        raise ReplayAbort(
            "the job reads through the connection of the database driver itself",
            slug="driver-not-recorded",
            hint="run the statement with SQLAlchemy's Connection or Session",
        )

    fetchone = fetchmany = fetchall = _refuse
