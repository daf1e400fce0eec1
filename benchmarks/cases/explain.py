"""Explaining a job of 100 steps and 5 ms: the whole command, and mixtures of ten changed units."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.cases.commands import GIT, tracediff
from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns, once
from tracediff.api import open_project
from tracediff.explain.hybrids import Hybrids, Task
from tracediff.replay import checked_out

AGAINST = "times a bare Python"
CHANGED = 10
"""How many functions differ; the command explains four of them."""
STEPS = 100
HEAD = """
import tracediff as td

def work(amount):
    for turn in range(450):
        amount = (amount * 31 + turn) % 1_000_003
    return amount

@td.step("Line")
def line(number, amount):
    return work(amount + number)

@td.job("shop/price")
def price(amount):
    total = 0
    for number in range(99):
        total += line(number, amount)
"""


def source(changed: int) -> str:
    """The module, with so many of its functions changed."""
    calls = "".join(f"    total += part{at}(amount)\n" for at in range(CHANGED))
    parts = "".join(
        f"\ndef part{at}(amount):\n    return amount * {at + 2 + (at < changed) * 2**at}\n"
        for at in range(CHANGED)
    )
    return f"{HEAD}{calls}    return total\n{parts}"


def project(directory: Path) -> None:
    """A project in git with one recorded trace, and four functions changed in another commit."""
    package = directory / "shop"
    package.mkdir()
    (directory / "pyproject.toml").write_text('[tool.tracediff]\njobs = ["shop.*"]\n')
    (directory / ".gitignore").write_text(".tracediff/\n__pycache__/\n")
    (package / "__init__.py").write_text("")
    (package / "prices.py").write_text(source(0))
    commit = (*GIT, "commit", "--quiet", "--all", "-m", "Price a product")
    for command in ((*GIT, "init", "--quiet"), (*GIT, "add", "."), commit):
        subprocess.run(command, cwd=directory, check=True)
    record = "from shop.prices import price; price(7); import tracediff; tracediff.flush()"
    subprocess.run([sys.executable, "-c", record], cwd=directory, check=True)
    (package / "prices.py").write_text(source(4))
    subprocess.run(commit, cwd=directory, check=True)


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        project(directory)
        explained = (*tracediff("explain", "@last", "--format", "json"), "-o", os.devnull)

        def ran(command: tuple[str, ...], code: int) -> float:
            def run() -> None:
                done = subprocess.run(command, cwd=directory, capture_output=True, check=False)
                if done.returncode != code:
                    raise RuntimeError(done.stderr.decode())

            return once(run)

        found = in_turns(
            {
                "bare": lambda: ran((sys.executable, "-c", "pass"), 0),
                "explain": lambda: ran(explained, 1),
            },
            1 if quick else 7,
        )
        (directory / "shop/prices.py").write_text(source(CHANGED))
        mixtures, each = _mixtures(directory, 2 ** (5 if quick else CHANGED))
    against = {"base": found["bare"], "against": AGAINST}
    return [
        timed("explain: 100 steps, 5 ms, four changed functions, all told", found["explain"], "s",
              **against, target=3.0),
        timed("2^10 mixtures of that job on two cores", [mixtures], "s", target=10.0),
        timed("a mixture, of a core's time, the job's own work taken off", [each], "ms",
              target=5.0),
    ]  # fmt: skip


def _mixtures(directory: Path, count: int) -> tuple[float, float]:
    """Seconds for all mixtures; and of one core for each, without what the job does itself."""
    with open_project(start=directory) as project:
        trace = project.resolve("@last")
        config = project.config
        with checked_out(config, "HEAD~1") as (then, _), Hybrids(trace, then, config) as hybrids:
            ends = dict(hybrids.run([Task(side="old", coverage=True)]))
            covered = ends[0].covered
            if covered is None:
                raise RuntimeError("the job does not run")
            hybrids.warm(covered.libraries)
            files = [file for _, file in covered.modules]
            pairing = hybrids.plan(files, strict=False)
            hybrids.settle([name for name, _ in covered.modules], list(pairing.modules))
            tasks = [Task(choice=choice) for choice in range(count)]
            outcomes = set()

            def run() -> None:
                outcomes.update(answer.outcome for _, answer in hybrids.run(tasks))

            own = _own_work(directory)
            taken = once(run)
    if len(pairing.units) != CHANGED or len(outcomes) < count // 2:
        raise RuntimeError("the mixtures are not what they should be")
    cores = min(len(os.sched_getaffinity(0)), 2)
    return taken * 2**CHANGED / count, taken * cores / count - own


def _own_work(directory: Path) -> float:
    """Seconds that the job takes where nothing is recorded."""
    code = (
        "from time import perf_counter as clock; from shop.prices import price; price(7);"
        "begun = clock(); [price(7) for turn in range(50)]; print((clock() - begun) / 50)"
    )
    told = {**os.environ, "TRACEDIFF_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, env=told, check=True, capture_output=True
    )
    return float(done.stdout)
