"""``python -m benchmarks [NAME…]``: measure and print the table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.figures import Figure
from benchmarks.running import BenchmarkError, run


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; wrong ones end the process with exit code 2."""
    listed = "\n".join(f"  {name:11}{what}" for name, what in CASES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Measure and print what was found beside what is aimed for.\n\n{listed}",
        epilog="Exit code 1: a benchmark failed. A target that is missed is no failure.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="the benchmarks; all by default")
    parser.add_argument("--quick", action="store_true", help="few repeats: do they still run?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    parser.add_argument(
        "--write",
        action="store_true",
        help="put them into docs/performance.md, in place of those of the same benchmarks",
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in CASES]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(CASES)}")
    if options.write and options.quick:
        parser.error("--write needs a full run")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks one after the other; returns the exit code."""
    options = parsed(arguments)
    figures: list[Figure] = []
    failed: list[str] = []
    for name in options.names or CASES:
        print(f"measuring {name}: {CASES[name]}", file=sys.stderr, flush=True)
        try:
            found = run(name, quick=options.quick)
        except BenchmarkError as error:
            failed.append(str(error))
        else:
            figures += found
    about = report.machine()
    print(report.as_text(figures))
    if options.quick:
        print("\nquick: too few repeats to judge anything by")
    for problem in failed:
        print(f"benchmarks: {problem}", file=sys.stderr)
    if options.json:
        options.json.write_text(report.as_json(figures, about), encoding="utf-8")
    if options.write and not failed:
        others = report.rows_of_others(options.names or CASES)
        report.write_page(report.as_markdown(figures, about, others))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
