"""Handing a finished trace to the background writer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.figures import Figure, timed
from benchmarks.made_up import price_trace
from benchmarks.measuring import FLOOR, floor, in_turns, per_call
from tracediff.recording.writer import Finished, Writer
from tracediff.stores.base import Capabilities

BURST = 200


class Nowhere:
    """A store that keeps nothing: what it costs is not what is measured here."""

    capabilities = Capabilities()

    def save(self, traces: object) -> None:
        """Forget them."""

    def close(self) -> None:
        """Nothing to give back."""


def measure(quick: bool) -> list[Figure]:
    store: Any = Nowhere()
    writer = Writer(lambda: store)
    trace = price_trace(1)

    def handed_over(calls: int) -> Callable[[], float]:
        def submit(count: int) -> None:
            for finished in waiting[:count]:
                writer.submit(finished)

        def sample() -> float:
            waiting[:] = [Finished(lambda: trace, 40_000) for _ in range(calls)]
            seconds = per_call(submit, calls)
            writer.flush(60)
            time.sleep(0.002)  # the writer is waiting again: its turn is not part of the next
            return seconds

        waiting: list[Finished] = []
        return sample

    found = in_turns(
        {
            "floor": lambda: per_call(floor, BURST),
            "burst": handed_over(BURST),
            "first": handed_over(1),
        },
        5 if quick else 200,
    )
    writer.close()
    if writer.dropped or writer.failed:
        raise RuntimeError("the writer dropped what was measured")
    against = {"base": found["floor"], "against": FLOOR}
    return [
        timed("submit a finished trace", found["burst"], "µs", **against, target=1),
        timed("submit one after a pause, which wakes the writer", found["first"], "µs", **against),
    ]
