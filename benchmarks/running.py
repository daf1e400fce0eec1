"""Each benchmark in a process of its own: ``python -m benchmarks.running NAME FILE [quick]``."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Figure

ROOT = Path(__file__).resolve().parent.parent


class BenchmarkError(Exception):
    """A benchmark that could not be measured."""


def run(name: str, *, quick: bool) -> list[Figure]:
    """The figures of one benchmark, from a new process in an empty directory.

    Raises:
        BenchmarkError: The process failed; what it wrote is on standard error.
    """
    kept = {key: text for key, text in os.environ.items() if not key.startswith("TRACEDIFF_")}
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as directory:
        answer = Path(directory) / "figures.json"
        command = [sys.executable, "-m", "benchmarks.running", name, str(answer)]
        done = subprocess.run(
            command + ["quick"] * quick, cwd=directory, env=kept, stdout=sys.stderr, check=False
        )
        if done.returncode:
            raise BenchmarkError(f"{name} ended with exit code {done.returncode}")
        fields = json.loads(answer.read_text(encoding="utf-8"))
    return [Figure.from_json(one) for one in fields]


def main(name: str, answer: str, *, quick: bool) -> None:
    """Measure here, and write the figures as JSON."""
    figures = importlib.import_module(f"benchmarks.cases.{name}").measure(quick)
    text = json.dumps([one.of(name).as_json() for one in figures])
    Path(answer).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], quick="quick" in sys.argv[3:])
