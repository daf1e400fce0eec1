"""A replay's process loads what it needs, and no more."""

from __future__ import annotations

import sys

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
    from tracediff import runtime
    from tracediff.replay import replay_here

    shop.write(
        "shop/jobs.py", "import tracediff as td\n@td.job('shop/here')\ndef job(): return 1\n"
    )
    [trace] = shop.record("job()")
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    try:
        new = replay_here(trace, shop.project().config)
    finally:
        for name in sys.modules.keys() - before.keys():
            if name.partition(".")[0] == "shop":
                del sys.modules[name]
    assert shop.result(new) == 1
    assert runtime.guard is None
    assert "pytest" in sys.modules
