"""Replays the jobs of the example in the working directory: a part of ``scale_measured``."""

from __future__ import annotations

import resource
import time
from contextlib import suppress
from importlib import import_module
from statistics import median

import tracediff
from tracediff import digests
from tracediff.config import load_config, override
from tracediff.model import Query
from tracediff.replay.engine import replay_here
from tracediff.stores.configured import open_configured
from tracediff.stores.walking import every_row


def main() -> None:
    """Print seconds of a trace, seconds of its job alone, and the bytes of this process."""
    config = load_config()
    memory = override(config, store="memory:")
    tracediff.configure(enabled=False)
    calculate = import_module("pricing.job").calculate
    refused = import_module("pricing.models").PricingError  # some products have no price
    took, own = [], []
    store = open_configured(config)
    rows = list(every_row(store, Query()))
    for row in rows:
        start = time.process_time()
        new = replay_here(store.load(row), memory)
        if digests.outcome_digest(new) != row.outcome:
            raise SystemExit(f"{row.id} differs")
        took.append(time.process_time() - start)
    store.close()
    for row in rows[:100]:
        arguments = [int(part.partition("=")[2]) for part in row.meta.split(", ")]
        start = time.process_time()
        with suppress(refused):
            calculate(*arguments)
        own.append(time.process_time() - start)
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(median(took), median(own), size)


if __name__ == "__main__":
    main()
