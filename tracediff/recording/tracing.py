"""Which calls of autotraced functions become steps of one trace, and what was left out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracediff.config import Config

if TYPE_CHECKING:
    from tracediff.recording.buffers import Buffer

MOST_NAMED = 5
"""Functions that a trace's warning names."""


class Tracing:
    """The limits of one trace, and what they took out of it.

    How long a call took is no limit: it differs from run to run, and a step that is in one tree and
    not in the other would be a difference.

    Args:
        max_depth: How many levels the tree may have.
        max_steps: The number of steps of the trace from which on no call becomes one.
        max_calls: How many calls of one function become steps.
        values: Whether arguments and results are recorded.
    """

    __slots__ = ("calls", "max_calls", "max_depth", "max_steps", "skipped", "values")

    def __init__(self, max_depth: int, max_steps: int, max_calls: int, values: bool = True) -> None:
        self.max_depth = max_depth
        self.max_steps = max_steps
        self.max_calls = max_calls
        self.values = values
        self.calls: dict[Any, int] = {}
        self.skipped = {"depth": 0, "steps": 0}

    def cut(self, function: Any, depth: int, made: int, buffer: Buffer) -> None:
        """Count a call that becomes no step."""
        if depth >= self.max_depth:
            self.skipped["depth"] += 1
            self.calls[function] = made - 1
        elif made <= self.max_calls:
            self.skipped["steps"] += 1
            self.calls[function] = made - 1

    def notes(self) -> list[str]:
        """What was left out, for the trace's warnings."""
        limits = {"steps": f"{self.max_steps} steps", "depth": f"{self.max_depth} levels"}
        found = [
            f"{count} calls are no steps: a deep trace ends at {limits[what]}"
            for what, count in self.skipped.items()
            if count
        ]
        hot = {one.name: made for one, made in self.calls.items() if made > self.max_calls}
        if hot:
            most = sorted(hot, key=lambda name: (-hot[name], name))
            named = ", ".join(
                f"{name} ({hot[name] - self.max_calls})" for name in most[:MOST_NAMED]
            )
            more = f" and {len(most) - MOST_NAMED} more" if len(most) > MOST_NAMED else ""
            found.append(
                f"calls of a function after its first {self.max_calls} are no steps: {named}{more}"
            )
        return found


def tracing_of(config: Config) -> Tracing:
    """The limits that the settings give a trace."""
    return Tracing(
        config.autotrace_depth,
        config.autotrace_steps,
        config.autotrace_calls,
        config.autotrace_values,
    )
