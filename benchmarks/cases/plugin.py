"""The pytest plugin: loading it, collecting and replaying trace files, and a large mismatch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, ratio, spread, timed
from benchmarks.measuring import in_turns, once

STEPS = 100
MEGABYTES = 10
PROJECT = {
    "pyproject.toml": '[tool.tracediff]\njobs = ["shop"]\n\n'
    '[tool.pytest.ini_options]\npythonpath = ["."]\n',
    "shop.py": f"""
import os
from decimal import Decimal

import tracediff as td

LAST = int(os.environ.get("LAST", "0"))

@td.input("Fetching the rate")
def rate(line):
    return Decimal(line).scaleb(-2)

@td.step("Line")
def priced(line, price, factor):
    return price * factor

@td.job("shop/total")
def total(number):
    factor = rate(number)
    return sum(priced(line, Decimal("19.90"), factor) for line in range({STEPS - 2}))

@td.job("shop/table")
def table(rows):
    found = [[row, row * 7, "a line of text that goes with it"] for row in range(rows)]
    found[-1][1] += LAST
    return found
""",
    "record.py": "import sys\n\nimport shop\n\nfor number in range(int(sys.argv[1])):\n"
    "    shop.total(number)\n",
    "test_one.py": "def test_one():\n    pass\n",
    "nothing.py": "",
    "bare.py": """
import sys
import time
from pathlib import Path

from tracediff.compare import compare
from tracediff.config import load_config
from tracediff.expectations.reading import read_trace
from tracediff.replay import replay_here

config, paths = load_config(), sorted(Path("traces").glob("*.trace.json"))
replay_here(read_trace(paths[0]), config)
start = time.perf_counter()
for path in paths:
    old = read_trace(path)
    if compare(old, replay_here(old, config)).different:
        sys.exit("a replay is not what it should be")
print(time.perf_counter() - start)
""",
}
METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: tracediff-measured\nVersion: 0\n",
    "entry_points.txt": "[pytest11]\ntracediff = pytest_tracediff.plugin\n",
}


def project(directory: Path, traces: int) -> None:
    """A project with that many pinned traces of 100 steps."""
    for name, text in PROJECT.items():
        (directory / name).write_text(text)
    info = directory / "metadata" / "tracediff_measured-0.dist-info"
    info.mkdir(parents=True)
    for name, text in METADATA.items():
        (info / name).write_text(text)
    ran(directory, sys.executable, "record.py", str(traces))
    refs = [f"shop/total@{{{nth}}}" for nth in range(traces)]
    ran(directory, sys.executable, "-m", "tracediff", "pull", *refs, "-o", "traces")


def environment(directory: Path) -> dict[str, str]:
    """This one without what would change the runs, with the plugin's metadata.

    Compiled modules are kept, as on any machine: else each run is mostly compilation.
    """
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("TRACEDIFF_", "PYTEST_", "GITHUB_"))
        and name not in ("CI", "PYTHONDONTWRITEBYTECODE")
    }
    kept["PYTHONPYCACHEPREFIX"] = str(directory / "compiled")
    root = Path(__file__).resolve().parents[2]
    paths = [directory / "metadata", root, root / "pytest_plugin"]
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fmt: skip


def ran(directory: Path, *command: str, code: int = 0) -> str:
    """Run a program and give what it printed."""
    done = subprocess.run(
        command, cwd=directory, env=environment(directory), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != code:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def pytest_run(directory: Path, *arguments: str, code: int = 0) -> str:
    """Run pytest without any other plugin."""
    return ran(directory, sys.executable, "-m", "pytest", "-q", *arguments, code=code)


def lasted(text: str) -> float:
    """The seconds that pytest says a run took, without starting and ending the interpreter."""
    found = re.search(r" in ([\d.]+)s", text)
    if found is None:
        raise RuntimeError(f"pytest says no time: {text[-500:]}")
    return float(found[1])


def large(directory: Path, megabytes: int) -> tuple[Callable[[], float], Callable[[], float]]:
    """A trace of so many megabytes: a run that finds it the same, and one that does not."""
    rows = megabytes * 1_000_000 // 45
    ran(directory, sys.executable, "-c", f"import shop; shop.table({rows})")
    ran(directory, sys.executable, "-m", "tracediff", "pull", "shop/table@last", "-o", "large")
    (path,) = (directory / "large").glob("*.trace.json")

    def run(code: int) -> float:
        os.environ["LAST"] = str(code)
        try:
            return lasted(pytest_run(directory, str(path), "-p", "tracediff", code=code))
        finally:
            del os.environ["LAST"]

    return (lambda: run(0)), (lambda: run(1))


def measure(quick: bool) -> list[Figure]:
    traces, rounds = (20, 1) if quick else (1_000, 9)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        project(directory, traces)
        with_it, ini = ("-p", "tracediff"), ("-o", "tracediff_dir=traces")
        empty = ("-p", "nothing")
        loading = in_turns(
            {
                # An empty plugin: pytest looks through what is installed for that one too.
                "without": lambda: once(lambda: pytest_run(directory, *empty, "test_one.py")),
                "with": lambda: once(lambda: pytest_run(directory, *with_it, "test_one.py")),
            },
            2 if quick else 40,
        )
        found = in_turns(
            {
                "collected": lambda: lasted(
                    pytest_run(directory, *with_it, *ini, "--co", "traces")
                ),
                "replayed": lambda: lasted(pytest_run(directory, *with_it, *ini, "traces")),
                "bare": lambda: float(ran(directory, sys.executable, "bare.py")),
            },
            rounds,
        )
        same, different = large(directory, 1 if quick else MEGABYTES)
        mismatch = in_turns({"same": same, "different": different}, rounds)
    added = [a - b for a, b in zip(loading["with"], loading["without"], strict=True)]
    failing = [a - b for a, b in zip(mismatch["different"], mismatch["same"], strict=True)]
    speed = ratio(found["bare"], found["replayed"])
    shares = [a / b for a, b in zip(found["bare"], found["replayed"], strict=True)]
    many = f"{traces:,} trace files of {STEPS} steps"
    return [
        timed("loading the plugin in a run that does not use it", added, "ms",
              base=loading["without"], against="times that run", target=10),
        timed(f"collecting {many}", found["collected"], "s", target=1),
        timed(f"replaying and comparing {many}, reading them included", found["replayed"], "s",
              base=found["bare"], against="times the same in a loop, without pytest"),
        Figure(what="the speed of that, of the same in a loop", unit="%", value=speed * 100,
               target=90, least=True, spread=spread(shares, 100)),
        timed(f"{MEGABYTES} MB that differ, beyond a run where they are the same", failing, "s",
              base=mismatch["same"], against="times that run", target=1),
    ]  # fmt: skip
