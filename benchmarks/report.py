"""The figures as a table: on the terminal, as JSON, in docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.figures import Figure
from benchmarks.running import ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- figures: `make bench ARGS=--write` writes what follows -->"
END = "<!-- figures end -->"
HEAD = ("what", "figure", "ratio", "target", "")
LIBRARIES = ("ormsgpack", "xxhash", "zstandard", "deepdiff", "opentelemetry-sdk")


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    versions = []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()}",
        "load": f"{os.getloadavg()[0]:.1f}",
        "libraries": ", ".join(versions),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def as_text(figures: Iterable[Figure]) -> str:
    """Columns for a terminal, a heading for each benchmark."""
    shown = [(one.benchmark, one.cells()) for one in figures]
    widths = [max((len(cells[at]) for _, cells in shown), default=0) for at in range(4)]
    lines: list[str] = []
    last = ""
    for benchmark, cells in shown:
        if benchmark != last:
            lines.append(f"{benchmark}")
            last = benchmark
        columns = [cell.ljust(width) for cell, width in zip(cells, widths, strict=False)]
        lines.append(f"  {'  '.join((*columns, cells[4]))}".rstrip())
    return "\n".join(lines)


def rows_of_others(names: Iterable[str], page: Path = PAGE) -> list[str]:
    """The rows that stand in the page and are of other benchmarks than these."""
    table = page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in table.splitlines() if "`python -m benchmarks " in line]
    return [row for row in rows if _benchmark(row) not in set(names)]


def _benchmark(row: str) -> str:
    return row.rpartition("`python -m benchmarks ")[2].partition("`")[0]


def as_markdown(
    figures: Sequence[Figure], about: dict[str, str], others: Sequence[str] = ()
) -> str:
    """One table; each row names the command that prints it. ``others`` are rows to keep."""
    lines = [
        f"Measured on {about['date']} with {about['python']} on {about['machine']};",
        f"{about['libraries']}. The load was {about['load']} at the end, of which the benchmarks",
        "themselves are 1: what is above that is other programs, and makes microseconds longer.",
        "",
        f"| {' | '.join((*HEAD, 'printed by'))} |",
        f"|{'---|' * (len(HEAD) + 1)}",
    ]
    rows = list(others)
    for one in figures:
        *cells, verdict = one.cells()
        cells.append(f"**{verdict}**" if verdict == "missed" else verdict)
        cells.append(f"`python -m benchmarks {one.benchmark}`")
        rows.append(f"| {' | '.join(cells)} |")
    lines += sorted(rows, key=lambda row: list(CASES).index(_benchmark(row)))
    met = sum("| met |" in row for row in rows)
    judged = met + sum("**missed**" in row or "| not measured |" in row for row in rows)
    lines += ["", f"{met} of {judged} targets are met."]
    return "\n".join(lines)


def as_json(figures: Iterable[Figure], about: dict[str, str]) -> str:
    """All figures with what they were measured on."""
    fields = {"measured": about, "figures": [one.as_json() for one in figures]}
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def write_page(table: str, page: Path = PAGE) -> None:
    """Put the table between the page's markers.

    Raises:
        ValueError: The page has no such markers.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no markers for the figures")
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
