"""``python -m benchmarks.explain_accuracy``: plant, attribute, judge; print the tables."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.explain_accuracy.report import as_markdown, summary, write_page
from benchmarks.explain_accuracy.work import Order

CASES = 312


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; wrong ones end the process with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.explain_accuracy",
        description="Plant changes, have them attributed, and judge what is named.",
        epilog="Exit code 1: some cases could not be run. Wrong answers are results, no failures.",
    )
    parser.add_argument("--cases", type=int, default=CASES, help=f"how many ({CASES})")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case (0)")
    parser.add_argument("--seed", type=int, help="repeat a run; drawn and printed otherwise")
    parser.add_argument("--only", type=int, action="append", metavar="CASE", help="just this one")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes (2)")
    parser.add_argument("--drawn", type=Path, metavar="DIR", help="keep the drawn cases here")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="both trees of what went wrong")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts as JSON")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="go on with a run kept there")
    parser.add_argument("--draw", action="store_true", help="draw the cases and judge nothing")
    parser.add_argument("--write", action="store_true", help="put the tables in docs/accuracy.md")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases in some processes; returns the exit code."""
    options = parsed(arguments)
    before = _before(options.resume)
    seed = options.seed
    if seed is None:
        seed = before[0]["seed"] if before else random.SystemRandom().randrange(10**6)
    before = [one for one in before if one["seed"] == seed]
    print(f"seed {seed}", file=sys.stderr, flush=True)
    for directory in (options.drawn, options.keep):
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
    numbers = options.only or list(range(options.first, options.cases))
    known = {one["number"] for one in before}
    done = _shared(seed, [one for one in numbers if one not in known], options)
    done += [one for one in before if one["number"] in set(numbers)]
    done.sort(key=lambda one: one["number"])
    if options.json:
        options.json.write_text(json.dumps({"seed": seed, "cases": done}), encoding="utf-8")
    if options.draw:
        return 0
    if options.only:
        for one in done:
            print(json.dumps(one, indent=2, ensure_ascii=False))
        return 0
    found = summary(seed, done)
    page = as_markdown(found)
    print(page)
    if options.write:
        write_page(page)
    return 1 if len(done) < len(numbers) else 0


def _before(file: Path | None) -> list[dict[str, Any]]:
    """The cases that a run has done so far, each a line of a file."""
    if file is None or not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _shared(seed: int, numbers: list[int], options: argparse.Namespace) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    threads = []
    for at in range(min(options.jobs, len(numbers))):
        order = Order(
            seed=seed,
            numbers=tuple(numbers[at :: options.jobs]),
            drawn=str(options.drawn.resolve()) if options.drawn else None,
            kept=str(options.keep.resolve()) if options.keep else None,
            told=options.only is not None,
            attribute=not options.draw,
        )
        threads.append(
            threading.Thread(target=_one, args=(order, done, len(numbers), options.resume))
        )
        threads[-1].start()
    for thread in threads:
        thread.join()
    return done


def _one(order: Order, done: list[dict[str, Any]], count: int, file: Path | None) -> None:
    command = [sys.executable, "-m", "benchmarks.explain_accuracy.work", json.dumps(asdict(order))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        for line in process.stdout or ():
            one = json.loads(line)
            done.append(one)
            if file is not None:
                with file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps({"seed": order.seed, **one}) + "\n")
            judged = one.get("judged", {})
            wrong = "; ".join(judged.get("reasons", ())) or one.get("none") or "right"
            who = " ".join((judged.get("calculator", ""), *judged.get("kinds", ())))
            took = f"{one.get('drawing', 0):.1f} + {judged.get('seconds', 0):.1f} s"
            print(
                f"[{len(done)}/{count}] {one['number']} {who} ({took}): {wrong}",
                file=sys.stderr,
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
