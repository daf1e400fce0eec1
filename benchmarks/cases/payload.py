"""10 MB in one value, with one row inserted."""

from __future__ import annotations

from benchmarks.figures import Figure, timed
from benchmarks.made_up import rows
from benchmarks.measuring import in_turns, once
from tracediff import values
from tracediff.compare import value_changes
from tracediff.model import Value

BYTES = 10_000_000


def measure(quick: bool) -> list[Figure]:
    table = rows(115_000, seed=1)
    while len(values.encode(table)) < BYTES:
        table += rows(1_000, seed=len(table))
    old = Value(values.encode(table))
    middle = len(table) // 2
    new = Value(values.encode([*table[:middle], *rows(1, seed=2), *table[middle:]]))

    def changes() -> None:
        found = value_changes(old, new)
        if [(one.kind, one.path) for one in found] != [("added", (middle,))]:
            raise RuntimeError(f"{len(found)} changes were found, not the one inserted row")

    def decoded() -> None:
        values.inert(old)
        values.inert(new)

    found = in_turns(
        {"changes": lambda: once(changes), "decoded": lambda: once(decoded)}, 1 if quick else 15
    )
    return [
        timed(f"{len(table):,} rows, {len(old.data) / 1e6:.1f} MB, one inserted in the middle",
              found["changes"], "s", base=found["decoded"],
              against="times decoding both sides", target=0.5),
    ]  # fmt: skip
