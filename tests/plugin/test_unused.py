"""Pinned traces that nobody uses any more."""

from __future__ import annotations

import json

SNAPSHOTS = """\
import pytest
import shop


def test_a(trace_snapshot):
    assert shop.total(1) == trace_snapshot


def test_b(trace_snapshot):
    assert shop.total(2) == trace_snapshot
"""


def prepared(suite) -> str:
    """A test module of which one snapshot is used no more, and its name."""
    suite.write("tests/test_a.py", SNAPSHOTS)
    suite.write("tests/test_b.py", SNAPSHOTS)
    suite.pytest("--tracediff-update").counts(passed=7)
    used = "def test_b(trace_snapshot):\n    assert shop.total(2) == trace_snapshot"
    suite.change("tests/test_a.py", used, "def test_other():\n    assert shop.total(2)")
    (gone,) = (suite.directory / "tests/traces/snapshots/tests/test_a").glob("test_b-*")
    return gone.relative_to(suite.directory).as_posix()


def test_a_snapshot_nobody_uses_is_named_and_never_deleted_by_itself(suite):
    gone = prepared(suite)
    done = suite.pytest()
    assert done.code == 0
    assert "1 pinned trace unused: --tracediff-warn-unused lists" in done.out
    assert "unused" not in suite.pytest("--co", "--tracediff-warn-unused").out
    listed = suite.tracediff("unused")
    assert (listed.code, listed.out) == (1, f"unused  {gone}\n")
    assert (suite.directory / gone).is_file()
    assert f"  {gone}" in suite.pytest("-n2", "--tracediff-warn-unused").out
    assert suite.tracediff("unused", "--delete").out == f"deleted  {gone}\n"
    suite.pytest().counts(passed=7)
    assert suite.tracediff("unused").err == "every trace is used\n"


def test_what_a_run_cannot_judge_it_does_not_name(suite):
    prepared(suite)
    warn = "--tracediff-warn-unused"
    for some in (
        ("-k", "test_a and not other"),
        ("tests/test_a.py::test_a",),
        ("tests/test_b.py",),
    ):
        assert "unused" not in suite.pytest(warn, *some).out, some
    suite.change("tests/test_a.py", "shop.total(1)", "shop.total(9)")
    assert "no test used" not in suite.pytest(warn).out, (
        "a failure may have kept it from being used"
    )
    assert "no test used" not in suite.pytest(warn, "--lf").out
    suite.change("tests/test_a.py", "def test_a", "@pytest.mark.skip\ndef test_a")
    assert "no test used" not in suite.pytest(warn).out


def test_shards_are_merged(suite, tmp_path):
    gone = prepared(suite)
    for shard, chosen in enumerate(("test_a.py or traces", "test_b.py")):
        kept = tmp_path / str(shard)
        done = suite.pytest("-k", chosen, "--tracediff-artifacts", kept, CI="1")
        assert done.code == 0
    one = suite.tracediff("unused", tmp_path / "0")
    assert one.code in (0, 1)
    merged = suite.tracediff("unused", "--merge", tmp_path / "0", tmp_path / "1")
    assert (merged.code, merged.out) == (1, f"unused  {gone}\n")
    broken = tmp_path / "1" / "usage.json"
    broken.write_text(json.dumps({"schema": "tracediff/usage/1"}), "utf-8")
    assert suite.tracediff("unused", "--merge", broken).code == 2
    assert suite.tracediff("unused", tmp_path / "0", tmp_path / "0").code == 2


def test_a_trace_whose_job_is_gone_is_stale(suite):
    suite.change("shop.py", '@td.job("shop/total")\ndef total', '@td.job("shop/sum")\ndef summed')
    suite.pytest("-n2").counts(failed=3)
    listed = suite.tracediff("unused", "--format", "json")
    assert listed.code == 1
    assert len(listed.document["stale"]) == 3
