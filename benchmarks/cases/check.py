"""Checking many traces: the speed of bare replays on all cores, what a check adds, its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Figure, ratio, spread
from benchmarks.measuring import in_turns

STEPS = 50
WORKERS = 2
PROJECT = {
    "pyproject.toml": '[tool.tracediff]\njobs = ["shop"]\n',
    "shop.py": f"""
from decimal import Decimal

import tracediff as td

@td.input("Fetching the rate")
def rate(line):
    return Decimal(line).scaleb(-2)

@td.step("Line")
def priced(line, price, factor):
    return price * factor

@td.job("shop/total")
def total(number):
    found = sum(rate(line) for line in range(5))
    for line in range({STEPS - 6}):
        found += priced(line, Decimal("19.90"), Decimal(number))
    return found
""",
    "record.py": """
import sys

import shop
import tracediff

for number in range(int(sys.argv[1])):
    shop.total(number)
    if number % 500 == 0:
        tracediff.flush()  # faster than anything stores them, some would be dropped
tracediff.flush()
""",
    # A process a core, which decodes from memory and replays, and nothing else.
    "bare.py": """
import gc
import json
import os
import resource
import sys
import time
from itertools import islice
from pathlib import Path

from tracediff import codec
from tracediff.config import load_config
from tracediff.model import Query
from tracediff.replay import replay_here
from tracediff.stores.local import LocalStore
from tracediff.stores.walking import every_row, loaded_packed

many, workers = map(int, sys.argv[1:])
store, config = LocalStore(Path(".tracediff")), load_config()
rows = list(islice(every_row(store, Query()), many))
packed = [data for _, data in loaded_packed(store, rows)]
replay_here(codec.load(packed[0]), config)
gc.collect()
gc.freeze()
start = time.perf_counter()
children = []
for number in range(workers):
    child = os.fork()
    if not child:
        for data in packed[number::workers]:
            replay_here(codec.load(data), config)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([time.perf_counter() - start, used.ru_utime + used.ru_stime, 0]))
""",
    "checked.py": """
import json
import resource
import sys
import time
from itertools import islice
from pathlib import Path

from tracediff.check.engines import LocalEngine
from tracediff.check.processes import Control, end_children
from tracediff.check.results import Work
from tracediff.config import load_config
from tracediff.model import Query
from tracediff.stores.local import LocalStore
from tracediff.stores.walking import every_row

if __name__ == "__main__":
    many, workers = map(int, sys.argv[1:])
    store = LocalStore(Path(".tracediff"))
    Control().adopt()  # so that what the processes that replay took counts below
    start = time.perf_counter()
    engine = LocalEngine(load_config(), store, Work(), workers=workers)
    same = sum(one.kind == "same" for one in engine.run(islice(every_row(store, Query()), many)))
    lasted = time.perf_counter() - start
    if same != many:
        sys.exit(f"{same} of {many} are the same")
    end_children()
    own, below = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    used = own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime
    print(json.dumps([lasted, used, (own.ru_maxrss + workers * below.ru_maxrss) / 1024]))
""",
}


def ran(directory: Path, *command: str) -> str:
    """Run one of the programs and give what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, *command], cwd=directory, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def measured(directory: Path, program: str, many: int) -> tuple[float, float, float]:
    """Seconds, seconds of processors, and megabytes at most."""
    lasted, used, most = json.loads(ran(directory, program, str(many), str(WORKERS)))
    return lasted, used, most


def measure(quick: bool) -> list[Figure]:
    few, many, rounds = (50, 250, 1) if quick else (500, 8_500, 5)
    runs: dict[str, list[tuple[float, float, float]]] = {}

    def noted(name: str, program: str, count: int) -> float:
        found = measured(directory, program, count)
        runs.setdefault(name, []).append(found)
        return found[0]

    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        for name, text in PROJECT.items():
            (directory / name).write_text(text)
        ran(directory, "record.py", str(many))
        in_turns(
            {
                "bare, few": lambda: noted("bare, few", "bare.py", few),
                "bare": lambda: noted("bare", "bare.py", many),
                "few": lambda: noted("few", "checked.py", few),
                "many": lambda: noted("many", "checked.py", many),
            },
            rounds,
        )
    # Starting takes as long whatever their number: the difference is what each takes.
    more = many - few

    def each(name: str, base: str, at: int) -> list[float]:
        pairs = zip(runs[name], runs[base], strict=True)
        return [(a[at] - b[at]) / more for a, b in pairs][1:]

    wall = (each("bare", "bare, few", 0), each("many", "few", 0))
    used = (each("bare", "bare, few", 1), each("many", "few", 1))
    added = [(b - a) * 1e3 for a, b in zip(*used, strict=True)]
    cores = f"{WORKERS} cores"
    what = f"traces of {STEPS} steps a second, checked on {cores}"
    often = [1 / one for one in wall[1]]
    growth = [(a[2] - b[2]) for a, b in zip(runs["many"], runs["few"], strict=True)][1:]
    return [
        Figure(what=what, unit="/s", value=sorted(often)[len(often) // 2],
               ratio=ratio(*wall), against="times bare replays", spread=spread(often)),
        Figure(what="the speed of that, of bare replays", unit="%",
               value=100 * ratio(*wall), target=85, least=True),
        Figure(what="the same by time of processors", unit="%", value=100 * ratio(*used),
               target=85, least=True),
        Figure(what="what a check adds to a replay: selecting, loading, comparing, answering",
               unit="ms", value=sorted(added)[len(added) // 2], target=0.3, spread=spread(added)),
        Figure(what=f"memory of all processes of a check of {many:,} traces", unit="MB",
               value=max(one[2] for one in runs["many"]), target=500),
        Figure(what=f"of which more than for {few:,}", unit="MB",
               value=sorted(growth)[len(growth) // 2], target=50),
    ]  # fmt: skip
