"""What a check costs a trace, measured on the example: ``python -m benchmarks.scale_measured``.

All times are of the processor, so that other programs disturb them little. With
``--servers`` a real MongoDB and a real S3 server are started and measured too.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.running import ROOT
from tracediff import codec
from tracediff.check.attributes import attributes_of
from tracediff.check.journal import Journal
from tracediff.check.marking import Marking
from tracediff.checked import Result
from tracediff.model import Query, Row, Trace
from tracediff.stores.base import Index
from tracediff.stores.local import LocalStore
from tracediff.stores.packing import unpack
from tracediff.stores.walking import every_row

EXAMPLE = ROOT / "fixtures" / "pricing" / "v1"
MANY = 350
ROWS = 20_000
SEGMENT = 8 << 20


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_measured")
    parser.add_argument("--servers", action="store_true", help="MongoDB and S3 as well")
    options = parser.parse_args(arguments)
    print(_line("load of the machine at the start", os.getloadavg()[0], ""))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "pricing"
        shutil.copytree(EXAMPLE, place)
        _run(place, "-m", "pricing.catalogue")
        _run(place, "-m", "pricing.run", "--last", str(MANY))
        for line in (*traces(place), *checking(place), *marking(place)):
            print(line, flush=True)
        if options.servers:
            for line in (*rows(Path(name)), *blobs(Path(name))):
                print(line, flush=True)


def _run(place: Path, *command: str) -> None:
    subprocess.run(
        [sys.executable, *command],
        cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def _line(what: str, value: float, unit: str) -> str:
    return f"{what:58} {value:12,.4g} {unit}"


@contextmanager
def _opened(place: Path) -> Iterator[LocalStore]:
    store = LocalStore(place / ".tracediff")
    try:
        yield store
    finally:
        store.close()


def traces(place: Path) -> Iterator[str]:
    """The size of traces, and what reading one takes."""
    with _opened(place) as store:
        found = list(every_row(store, Query()))
        journal = Path(place) / "journal"
        journal.mkdir()
        with Journal(journal, resumable=False) as written:
            written.select(found)
            selected = (journal / "rows").stat().st_size
            for row in found:
                written.add(Result(id=row.id, key=row.key, kind="same"))
            written.flush()
            results = (journal / "results").stat().st_size
        frames = [store.blobs.get(*row.location) for row in found[:100]]
        loaded = [unpack(frame, row.id) for frame, row in zip(frames, found, strict=False)]
    raw = [len(codec.dump(trace)) for trace in loaded]
    steps = median(row.steps for row in found)
    yield _line("steps of a trace", steps, "")
    yield _line("bytes of a trace in a segment", median(map(len, frames)), "bytes")
    yield _line("of its row in a check's journal", selected / len(found), "bytes")
    yield _line("of its result there, unchanged", results / len(found), "bytes")
    yield _line("of the trace, decompressed", median(raw), "bytes")
    seconds = _cpu(
        lambda: [unpack(frame, row.id) for frame, row in zip(frames, found, strict=False)]
    )
    yield _line("reading one: checking, decompressing, decoding", seconds / 100 * 1e6, "µs")


def checking(place: Path) -> Iterator[str]:
    """What replaying and comparing takes, in a process that has imported the job."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale_replaying"],
        cwd=place, env={**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    replayed, own, size = map(float, done.stdout.split())
    yield _line("reading, replaying and comparing one, unchanged", replayed * 1e3, "ms")
    yield _line("the job's own work in that, recording off", own * 1e3, "ms")
    yield _line("the largest that process was", size / 1e6, "MB")


def marking(place: Path) -> Iterator[str]:
    """Attributes, and the marks of causes."""
    with _opened(place) as store:
        found = list(every_row(store, Query()))[:100]
        loaded: list[Trace] = [store.load(row) for row in found]
    told = [attributes_of(one, row.path_signature) for one, row in zip(loaded, found, strict=True)]
    seconds = min(_cpu(lambda: [attributes_of(one) for one in loaded]) for _ in range(20))
    yield _line("the attributes of a trace", seconds / len(loaded) * 1e6, "µs")
    yield _line("how many", median(map(len, told)), "")
    many = 100_000
    dice = random.Random(1)
    noted = Marking()

    def adding() -> None:
        for number in range(many):
            causes = ("duty",) * (dice.random() < 0.5) + ("rounding",) * (dice.random() < 0.5)
            noted.add(told[number % len(told)], causes, id=str(number))

    yield _line(f"{many:,} traces noted for their marks", _cpu(adding), "s")
    yield _line(
        "marks of two causes", _cpu(lambda: [noted.marks(it) for it in ("duty", "rounding")]), "s"
    )


def rows(directory: Path) -> Iterator[str]:
    """Rows of an index, 500 a page, as a check reads them: local, and MongoDB."""
    from benchmarks.cases.mongo import made_up
    from servers.mongod import Mongod
    from tracediff.stores.mongo import MongoIndex
    from tracediff.stores.sqlite_index import SqliteIndex

    dice = random.Random(7)
    made = [made_up(number, dice) for number in range(ROWS)]
    local = SqliteIndex(directory / "rows.sqlite")
    yield from _paged("the local index", local, made)
    local.close()
    with Mongod(directory / "mongod", cache_gb=1) as mongod:
        index = MongoIndex(mongod.uri("bench"))
        index.prepare()
        yield from _paged("MongoDB", index, made)
        index.close()


def _paged(name: str, index: Index, made: list[Row]) -> Iterator[str]:
    for start in range(0, len(made), 1000):
        index.create(made[start : start + 1000])

    def walk() -> None:
        cursor, count = None, 0
        while True:
            page = index.search(Query(limit=500, cursor=cursor))
            count, cursor = count + len(page.rows), page.cursor
            if cursor is None:
                break
        if count != len(made):
            raise RuntimeError(f"{count:,} rows of {len(made):,}")

    walk()
    wall = time.perf_counter()
    cpu = _cpu(walk)
    wall = time.perf_counter() - wall
    yield _line(f"rows from {name}, 500 a page", len(made) / wall, "/s")
    yield _line("of the reader's processor, a row", cpu / len(made) * 1e6, "µs")


def blobs(directory: Path) -> Iterator[str]:
    """Traces from S3: each by a range of its own, and a whole segment at once."""
    from servers.seaweed import Seaweed
    from tracediff.stores.s3 import S3Blobs

    with Seaweed(directory / "weed") as server:
        os.environ.update(server.identities["admin"].environment())
        store = S3Blobs(f"s3://traces-a/bench?endpoint={server.endpoint}")
        store.put("30d/segments/read.seg", random.Random(2).randbytes(SEGMENT))
        size, count = 6_000, 200
        apart = _cpu(
            lambda: [store.get("30d/segments/read.seg", at * size, size) for at in range(count)]
        )
        whole = _cpu(lambda: [store.get("30d/segments/read.seg", 0, SEGMENT) for _ in range(10)])
        store.close()
    yield _line("a trace of 6 KB by a range read of its own, client", apart / count * 1e6, "µs")
    yield _line("the same, of a segment read at once", whole / 10 / (SEGMENT / size) * 1e6, "µs")


def _cpu(body: Callable[[], object]) -> float:
    start = time.process_time()
    body()
    return time.process_time() - start


if __name__ == "__main__":
    main()
