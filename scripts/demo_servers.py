"""``make demo-servers``: record to real servers while a recorder and both servers are killed.

Starts MongoDB and SeaweedFS on this machine, lays out the pricing example, records its jobs from
several processes at once, and kills one of them and each server on the way. A job's id goes to a
ledger on disk when the recorder acknowledges it; afterwards pymongo, boto3 and the reader below,
which use nothing of tracediff's, look for every one of them. Then the code changes, and one of the
traces is compared by its id. In the end a job is watched while it runs, what was recorded is
counted, and what carries one tag is erased.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from servers.mongod import Mongod  # noqa: E402 - the checkout is put on the path above
from servers.processes import ServerError  # noqa: E402 - the same
from servers.seaweed import Seaweed  # noqa: E402 - the same
from tracediff import demo  # noqa: E402 - the same
from tracediff.stores.spooled import waiting  # noqa: E402 - the same

PATIENCE = 240.0
"""Seconds after which what does not come is given up."""

RECORDER = """
import os, sys
import tracediff as td
from pricing.job import calculate
from pricing.models import PricingError
from pricing.run import listings

ledger = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

def acknowledged(trace):
    os.write(ledger, f"{trace}\\n".encode())
    os.fsync(ledger)

td.configure(on_ack=acknowledged)
every = listings(2000)
for number in range(int(sys.argv[2])):
    try:
        calculate(*every[number % len(every)])
    except PricingError:
        pass
    print(number + 1, flush=True)
print("ended", td.flush(120), td.flush(120, upload=True), flush=True)
"""

LIVE = """
import time
import tracediff as td

@td.input("Price of the day")
def price(product):
    time.sleep(0.2)
    return product * 7

@td.job("catalogue/import", mode="live")
def run(store):
    td.note("Products", head=True)
    td.flush(60, upload=True)  # now it is seen that it runs
    with td.step("Importing products") as step:
        step.result = [price(product) for product in range(20)]
    return len(step.result)

run(3)
td.flush(60, upload=True)
"""

SETTINGS = """
store = "prod"
upload_every = 1
bump_every = 0.8

[tool.tracediff.stores.prod]
index = "{index}"
blobs = "s3://traces-a,traces-b/demo?endpoint={endpoint}"
"""


@dataclass
class Recorder:
    """A process that records, the file it prints its progress to, and its ledger."""

    process: subprocess.Popen[bytes]
    jobs: int
    said: Path
    ledger: Path
    killed: bool = False

    @property
    def done(self) -> int:
        """How many jobs it has run."""
        lines = self.said.read_bytes().split()
        return max((int(one) for one in lines if one.isdigit()), default=0)

    @property
    def acknowledged(self) -> list[str]:
        """The ids in its ledger; the last line may have been cut by a kill."""
        if not self.ledger.exists():
            return []
        return [one for one in self.ledger.read_text().splitlines(keepends=False) if one]


@dataclass
class Demo:
    """The servers, the example and the recorders."""

    directory: Path
    mongod: Mongod
    weed: Seaweed
    recorders: list[Recorder] = field(default_factory=list)

    @property
    def example(self) -> Path:
        """Where the pricing example is."""
        return self.directory / "pricing"

    @property
    def environment(self) -> dict[str, str]:
        """What the example's programs run with: the S3 server's credentials, and no settings."""
        who = self.weed.identities["admin"].environment()
        return {**demo.python_environment(os.environ), **who}

    def tracediff(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of tracediff's in the example."""
        return subprocess.run(
            [sys.executable, "-m", "tracediff", *arguments],
            cwd=self.example, env=self.environment, text=True, capture_output=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start_recorder(self, jobs: int) -> Recorder:
        """Start a process that records so many jobs."""
        number = len(self.recorders)
        said, ledger = (self.directory / f"{name}-{number}" for name in ("said", "ledger"))
        with said.open("wb") as out, (self.directory / f"log-{number}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", RECORDER, str(ledger), str(jobs)],
                cwd=self.example, env=self.environment, stdin=subprocess.DEVNULL, stdout=out,
                stderr=log,
            )  # fmt: skip
        recorder = Recorder(process, jobs, said, ledger)
        self.recorders.append(recorder)
        return recorder

    @property
    def done(self) -> int:
        """How many jobs all of them have run."""
        return sum(recorder.done for recorder in self.recorders)


def main() -> int:
    """Read the command line and run it all; 1 when an acknowledged trace is not there once."""
    parser = argparse.ArgumentParser(prog="make demo-servers", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="how many (10,000)")
    parser.add_argument("--processes", type=int, default=4, help="that record at once (4)")
    parser.add_argument("--directory", type=Path, help="keep everything here; else nothing stays")
    chosen = parser.parse_args()
    directory = chosen.directory or Path(tempfile.mkdtemp(prefix="tracediff-servers-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            say("starting MongoDB and SeaweedFS")
            mongod = stack.enter_context(Mongod(directory / "mongod"))
            weed = stack.enter_context(Seaweed(directory / "weed"))
            return run(Demo(directory, mongod, weed), chosen.jobs, chosen.processes)
    except ServerError as error:
        say(f"{error}")
        return 2
    finally:
        if chosen.directory is None:
            shutil.rmtree(directory, ignore_errors=True)


def run(shown: Demo, jobs: int, processes: int) -> int:
    """Record, kill, verify and compare."""
    new = lay_out(shown)
    show(shown.tracediff("init", "--yes"), lines=4)
    record(shown, jobs, processes)
    drain(shown)
    acknowledged = [one for recorder in shown.recorders for one in recorder.acknowledged]
    rows, frames = rows_of(shown), frames_of(shown)
    lost = [one for one in acknowledged if rows[one] != 1 or frames[one] != 1]
    twice = [one for one, count in (rows + frames).items() if count != 2]
    say("changing the code, and comparing one trace by its id")
    demo.checkout(shown.example, new)
    compared = compare_one(shown, acknowledged[-20:])
    print(compared.stdout or compared.stderr)
    watched = watch(shown)
    counted = count(shown)
    erased = erase(shown)
    print(
        f"demo-servers: {shown.done:,} jobs recorded by {len(shown.recorders)} processes, "
        f"{len(acknowledged):,} acknowledged, {len(rows):,} stored; one recorder, MongoDB and "
        f"SeaweedFS killed; {len(lost)} lost, {len(twice)} not exactly once; one job watched, "
        "one product erased"
    )
    wrong = lost or twice or watched or counted or erased or compared.returncode not in (0, 1)
    return int(bool(wrong))


def compare_one(shown: Demo, ids: list[str]) -> subprocess.CompletedProcess[str]:
    """The comparison of one of these traces, of one whose price changed if there is one."""
    first, *others = ids
    compared = shown.tracediff("compare", first)
    for one in others:
        if compared.returncode != 0:
            break
        compared = shown.tracediff("compare", one)
    return compared


def watch(shown: Demo) -> int:
    """Run a job that records live, and show it meanwhile; how many things went wrong."""
    say("a job that records live, watched from another process")
    job = subprocess.Popen(
        [sys.executable, "-c", LIVE], cwd=shown.example, env=shown.environment,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        followed = subprocess.Popen(
            [sys.executable, "-m", "tracediff", "show", "catalogue@last", "--follow"],
            cwd=shown.example, env=shown.environment, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        with followed:
            lines: list[str] = []
            for line in followed.stdout or ():
                lines.append(line)
                if line.startswith("━━"):  # before that it waits for the trace
                    break
            print("$ tracediff ls catalogue")
            show(shown.tracediff("ls", "catalogue"), lines=2)
            print("$ tracediff show catalogue@last --follow")
            lines += followed.stdout or ()
        print("".join(lines[:14]) + "  …\n" + "".join(lines[-4:]))
        return int(followed.returncode != 0) + int(job.wait(PATIENCE) != 0)
    finally:
        job.kill()


def count(shown: Demo) -> int:
    """Say what was counted with the rows as they were written; 1 if counting them gives others."""
    say("what was recorded, counted as it was written")
    show(shown.tracediff("stats", "commodity", "--tags", "3"), lines=5)
    verified = shown.tracediff("stats", "--verify")
    print(verified.stdout + verified.stderr)
    return int(verified.returncode != 0)


def erase(shown: Demo) -> int:
    """Erase what carries the tag of one product, and look again; how many things went wrong."""
    listed = shown.tracediff("ls", "commodity", "--limit", "1", "--format", "json")
    (row,) = json.loads(listed.stdout)["traces"]
    tag = next(one for one in row["tags"] if one.startswith("product:"))
    say(f"erasing what carries the tag {tag}")
    done = shown.tracediff(
        "erase", "--tag", tag, "--reason", "a request", "--yes", "-o", "receipt.json"
    )
    show(done, lines=8)
    left = shown.tracediff("erase", "--verify", "receipt.json")
    show(left, lines=4)
    return int(shown.tracediff("ls", "--tag", tag, "--format", "json").stdout.count('"id"') > 0)


def lay_out(shown: Demo) -> str:
    """The example in its first version, set to the servers; the last of those that change it."""
    say(f"laying out the example in {shown.example}")
    demo.copy(shown.example)
    settings = shown.example / "pyproject.toml"
    index, endpoint = shown.mongod.uri("demo"), shown.weed.endpoint
    with settings.open("a", encoding="utf-8") as file:
        file.write(SETTINGS.format(index=index, endpoint=endpoint))
    old, changed = demo.commit_versions(shown.example)
    demo.checkout(shown.example, old)
    demo.make_catalogue(shown.example)
    return list(changed.values())[-1]


def record(shown: Demo, jobs: int, processes: int) -> None:
    """Record, and kill a recorder, MongoDB and SeaweedFS when so much of it is done."""
    shares = [jobs // processes + (number < jobs % processes) for number in range(processes)]
    for share in shares:
        shown.start_recorder(share)

    def kill_recorder() -> None:
        victim = shown.recorders[0]
        victim.process.kill()
        victim.process.wait()
        victim.killed = True
        say(f"killed a recorder after {victim.done:,} of its jobs; another does the rest")
        if victim.jobs > victim.done:
            shown.start_recorder(victim.jobs - victim.done)

    plan: list[tuple[float, Callable[[], None]]] = [
        (0.2, kill_recorder),
        (0.4, lambda: killed("MongoDB", shown.mongod)),
        (0.6, lambda: killed("SeaweedFS", shown.weed)),
    ]
    until = time.monotonic() + PATIENCE
    for done in progress(lambda: shown.done, jobs, "recording"):
        while plan and done >= plan[0][0] * jobs:
            plan.pop(0)[1]()
        ended = [one.process.poll() for one in shown.recorders if not one.killed]
        if all(code is not None for code in ended) or time.monotonic() > until:
            break


def killed(name: str, server: Mongod | Seaweed) -> None:
    """Kill a server, leave it down for two seconds, and start it again."""
    server.kill()
    say(f"killed {name}; it is down for 2 s")
    time.sleep(2)
    server.start()


def drain(shown: Demo) -> None:
    """Wait until nothing lies in the spool any more."""
    for recorder in shown.recorders:
        if not recorder.killed:
            recorder.process.wait(PATIENCE)
    spool = shown.example / ".tracediff" / "spool"
    left = sum(waiting(one).segments for one in spool.iterdir() if one.is_dir())
    say(f"{left} segments wait in the spool")


def rows_of(shown: Demo) -> Counter[str]:
    """The ids of the rows, as pymongo sees them."""
    with shown.mongod.client() as client:
        return Counter(row["_id"] for row in client["demo"]["traces"].find({}, {"_id": 1}))


def frames_of(shown: Demo) -> Counter[str]:
    """The ids of the whole frames in all objects, as boto3 and the form of a segment say."""
    client = shown.weed.client()
    found: Counter[str] = Counter()
    for bucket in ("traces-a", "traces-b"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for one in page.get("Contents", ()):
                if one["Key"].endswith(".seg"):
                    body = client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
                    found.update(frame_ids(body))
    return found


def frame_ids(data: bytes) -> Iterator[str]:
    """The ids of a segment's frames, both of whose checksums hold."""
    at = 0
    while at + 56 <= len(data):
        magic, _, _, id_length = struct.unpack_from("<4sBBH", data, at)
        row_length, _, payload_length, _ = struct.unpack_from("<IIQQ", data, at + 8)
        start = at + 56 + id_length
        end = start + row_length + payload_length
        name = data[at + 56 : start]
        whole = magic == b"\x89TDF" and end <= len(data)
        whole = whole and data[at + 48 : at + 56] == xxhash.xxh3_64_digest(
            data[at : at + 48] + name
        )
        if not whole or data[at + 32 : at + 48] != xxhash.xxh3_128_digest(data[start:end]):
            return
        yield name.decode("ascii")
        at = end


def progress(count: Callable[[], int], total: int, what: str) -> Iterator[int]:
    """What is done, four times a second, shown on a terminal as a bar."""
    if not sys.stderr.isatty():
        while True:
            yield count()
            time.sleep(0.25)
    from rich.console import Console  # no bar without a terminal
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        while True:
            bar.update(task, completed=count())
            yield count()
            time.sleep(0.25)


def show(run: subprocess.CompletedProcess[str], *, lines: int) -> None:
    """The first and the last lines of what a command said."""
    said = (run.stdout + run.stderr).splitlines()
    if run.returncode:
        raise SystemExit(f"{run.args} failed:\n" + "\n".join(said))
    short = [*said[:lines], f"  … {len(said) - lines - 1} more …", *said[-1:]]
    print("\n".join(said if len(said) <= lines + 2 else short))


def say(text: str) -> None:
    """One line of what goes on."""
    print(f"demo-servers: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
