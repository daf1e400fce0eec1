"""Starting the command line: ``--help``, and ``compare`` with a job that does next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns, once

AGAINST = "times a bare Python"
PROJECT = {
    "pyproject.toml": '[tool.tracediff]\njobs = ["shop"]\n',
    "shop.py": """
from decimal import Decimal

import tracediff as td

@td.input("Fetching the rate")
def rate(country):
    return Decimal("1.19")

@td.step("VAT")
def vat(amount, country):
    return (amount * rate(country)).quantize(Decimal("0.01"))

@td.job("shop/price")
def price(product_id, country):
    return vat(Decimal(product_id), country)

if __name__ == "__main__":
    price(42, "DE")
""",
}
CHANGE = ('Decimal("0.01")', 'Decimal("0.1")')
GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.invalid")


def project(directory: Path) -> None:
    """A project in git with one recorded trace, whose code was changed since."""
    for name, text in PROJECT.items():
        (directory / name).write_text(text)
    for command in (
        (*GIT, "init", "--quiet"),
        (*GIT, "add", "."),
        (*GIT, "commit", "--quiet", "-m", "Price a product"),
        (sys.executable, "shop.py"),
    ):
        subprocess.run(command, cwd=directory, check=True)
    shop = directory / "shop.py"
    shop.write_text(shop.read_text().replace(*CHANGE))


def tracediff(*arguments: str) -> list[str]:
    """The command as it is installed beside this Python."""
    script = Path(sys.executable).with_name("tracediff")
    return [*([str(script)] if script.exists() else [sys.executable, "-m", "tracediff"]),
            *arguments]  # fmt: skip


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        project(directory)

        def ran(command: Sequence[str], code: int = 0) -> Callable[[], float]:
            def run() -> None:
                done = subprocess.run(
                    command, cwd=directory, env=_environment(), capture_output=True, check=False
                )
                if done.returncode != code:
                    raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr!r}")

            return lambda: once(run)

        found = in_turns(
            {
                "python": ran([sys.executable, "-c", "pass"]),
                "help": ran(tracediff("--help")),
                "compare": ran(tracediff("compare", "@last"), code=1),
                "ls": ran(tracediff("ls")),
            },
            2 if quick else 40,
        )
    base = found["python"]
    against = {"base": base, "against": AGAINST}
    return [
        timed("a bare Python: `python -c pass`", base, "ms"),
        timed("`tracediff --help`", found["help"], "ms", **against, target=150),
        timed("`tracediff ls`", found["ls"], "ms", **against),
        timed("`tracediff compare @last`, a job without work", found["compare"], "ms", **against,
              target=600),
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    """Without this machine's own settings of tracediff and of colour."""
    return {name: text for name, text in os.environ.items() if not name.startswith("TRACEDIFF_")}
