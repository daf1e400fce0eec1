"""A replay's process loads what it needs, and no more."""

from __future__ import annotations

import locale
import os
import random
import socket
import sys

from tracediff import runtime
from tracediff.replay import replay_here

HEAVY = (
    "asyncio", "click", "dateutil", "deepdiff", "email", "importlib.metadata", "numpy", "pandas",
    "pytest", "rich", "sqlite3", "tempfile", "tracediff.api", "tracediff.cli", "tracediff.compare",
    "tracediff.reports.text",
)  # fmt: skip


def test_the_worker_imports_no_heavy_library(shop):
    shop.jobs(f"""
        import sys

        @td.input("Rate")
        def rate():
            return 19

        @td.job("shop/loaded")
        def job():
            rate()
            return [name for name in {HEAVY!r} if name in sys.modules]
        """)
    [trace] = shop.record("job()")
    assert shop.result(shop.replay(trace)) == []


def test_a_recording_and_its_replay_name_the_same_distributions(shop):
    shop.jobs("""
        @td.job("shop/loaded")
        def job():
            return None
        """)
    [trace] = shop.record("job()")
    new = shop.replay(trace)
    extra = new.code.distributions.keys() - trace.code.distributions.keys()
    assert extra <= {"time-machine", "tzdata"}


def test_a_job_may_import_what_the_replay_does_without(shop):
    shop.jobs("""
        @td.job("shop/imports")
        def job():
            import dateutil.parser
            import pytest
            return [pytest.__name__, dateutil.parser.parse("2026-01-02").year]
        """)
    [trace] = shop.record("job()")
    assert shop.result(shop.replay(trace)) == ["pytest", 2026]


def test_a_replay_in_this_process_leaves_it_as_it_was(shop, monkeypatch):
    shop.jobs("""
        import locale, os, random

        @td.job("shop/here")
        def job():
            return [locale.setlocale(locale.LC_ALL), os.environ["TZ"], random.random()]
        """)
    [trace] = shop.record('locale.setlocale(locale.LC_ALL, "C.UTF-8"); job()', TZ="Asia/Kolkata")
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = (locale.setlocale(locale.LC_ALL), os.environ.get("TZ"), random.getstate())
    loaded = set(sys.modules)
    try:
        new = replay_here(trace, shop.project().config)
    finally:
        for name in sys.modules.keys() - loaded:
            if name.partition(".")[0] == "shop":
                del sys.modules[name]
    assert shop.result(new)[:2] == ["C.UTF-8", "Asia/Kolkata"]
    assert (locale.setlocale(locale.LC_ALL), os.environ.get("TZ"), random.getstate()) == before
    assert runtime.guard is None
    assert "pytest" in sys.modules
    with socket.create_server(("127.0.0.1", 0)):
        pass  # the guard is gone
