"""One of the processes that share the cases: ``python -m … .work``, with an order in JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.explain_accuracy.judging import judge
from benchmarks.explain_accuracy.keeping import keep, lay_new, recalled
from benchmarks.explain_accuracy.others import compared
from benchmarks.explain_accuracy.planting import Case, Fields, NoCaseError


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a process is to do. ``drawn`` and ``kept`` are directories, or None."""

    seed: int
    numbers: tuple[int, ...]
    drawn: str | None = None
    kept: str | None = None
    told: bool = False
    attribute: bool = True


def work(order: Order) -> Iterator[dict[str, Any]]:
    """Draw, judge and compare each case."""
    with tempfile.TemporaryDirectory(prefix="explain-accuracy-") as temporary:
        directory = Path(temporary).resolve()
        fields = Fields(directory)
        for number in order.numbers:
            yield _one(number, order, fields, directory)


def _one(number: int, order: Order, fields: Fields, directory: Path) -> dict[str, Any]:
    began = time.perf_counter()
    drawn = None if order.drawn is None else Path(order.drawn)
    try:
        case = recalled(number, order.seed, fields, drawn)
    except NoCaseError as error:
        return {"number": number, "none": str(error)}
    done: dict[str, Any] = {"number": number, "drawing": time.perf_counter() - began}
    if order.told:
        done["told"] = told(case)
    if order.attribute:
        tree = lay_new(case, directory / "new")
        judged = judge(case, tree)
        done["judged"] = asdict(judged)
        done["units"] = sum(len(one.units) for one in case.innocent)
        done["compared"] = []
        if len(case.guilty) > 1:
            field = fields.known(case)
            done["compared"] = [asdict(one) for one in compared(case, field.runner)]
        if order.kept is not None and judged.reasons:
            keep(case, Path(order.kept))
    return done


def told(case: Case) -> list[str]:
    """What was planted, one line each."""
    return [
        f"{'guilty' if one.guilty else 'innocent'}: {one.kind} in {' '.join(sorted(one.units))}: "
        f"{one.what}"
        for one in case.plantings
    ]


def main(text: str) -> None:
    """Do as an order says; one line of JSON for each case."""
    fields = json.loads(text)
    for done in work(Order(**{**fields, "numbers": tuple(fields["numbers"])})):
        sys.stdout.write(json.dumps(done) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
