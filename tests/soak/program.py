"""A process that records jobs until it is killed. It is copied into a project and run there.

Usage: program.py DIRECTORY NAME THREADS LARGEST

DIRECTORY/NAME.acknowledged gets the id of each acknowledged trace, synced one by one.
DIRECTORY/NAME.finished gets the name of each job and when it finished.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from pathlib import Path

import tracediff as td

PAUSE = 0.03
"""Seconds between jobs at most, so that syncing a ledger for each of them keeps up."""


def noise(name: str) -> bytes:
    """What the job of this name returns: hardly to be compressed, known from the name alone."""
    rng = random.Random(name)
    return rng.randbytes(rng.randrange(1, int(name.rpartition("-")[2])))


@td.input("Noise")
def read(name: str) -> bytes:
    return noise(name)


@td.job("soak/one")
def job(name: str) -> bytes:
    td.tag(name)
    with td.step("Read"):
        found = read(name)
    td.note("done", head=True)
    return found


def ledger(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def work(name: str, threads: int, largest: int, finished: int) -> None:
    pace = random.Random(name)
    number = 0
    while True:
        number += 1
        size = 2 + int(largest ** pace.random())
        one = f"{name}-{number}-{size}"
        job(one)
        os.write(finished, f"{one} {time.monotonic_ns()}\n".encode())
        time.sleep(pace.random() * PAUSE * threads)


def main(directory: Path, name: str, threads: int, largest: int) -> None:
    acknowledged = ledger(directory / f"{name}.acknowledged")
    finished = ledger(directory / f"{name}.finished")

    def on_ack(trace_id: str) -> None:
        os.write(acknowledged, f"{trace_id}\n".encode())
        os.fsync(acknowledged)

    td.configure(on_ack=on_ack)
    for number in range(threads):
        threading.Thread(target=work, args=(f"{name}.{number}", threads, largest, finished)).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
