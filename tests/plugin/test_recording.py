"""Tests that record the jobs they run."""

from __future__ import annotations

import pytest

PLAIN = """\
from decimal import Decimal

import shop


def doubled(net):
    with shop.td.step("Twice"):
        return net * 2
"""

TESTS = """\
import pytest
import plain
import shop
from decimal import Decimal


def test_any_function(record_job):
    double = record_job(plain.doubled)
    assert double(21) == 42
    assert record_job.trace.key == "plain/doubled"
    assert [one.name for one in record_job.trace.steps] == ["plain/doubled", "Twice"]
    assert double(5) == 10
    assert [one.meta for one in record_job.traces] == ["net=21", "net=5"]


def test_a_job(record_job):
    assert record_job(shop.total)(100) == 119
    assert record_job(plain.doubled, key="twice", meta=lambda net: "a half")(1) == 2
    assert record_job.traces[0].key == "shop/total"
    assert (record_job.trace.key, record_job.trace.meta) == ("twice", "a half")


@pytest.mark.parametrize("net", [250])
def test_that_fails(record_job, net):
    assert record_job(shop.total)(net) == 0


def test_without_a_job(record_job):
    with pytest.raises(pytest.fail.Exception, match="no job has finished"):
        record_job.trace


def test_a_job_with_a_key(record_job):
    with pytest.raises(pytest.UsageError, match="'shop/total' is a job already"):
        record_job(shop.total, key="other")


def test_errors(record_job):
    with pytest.raises(KeyError):
        record_job(shop.total)(1, country="XX")
    assert record_job.trace.state == "error"
"""


@pytest.fixture
def recording(suite):
    suite.write("plain.py", PLAIN)
    suite.write("tests/test_recording.py", TESTS)
    suite.change(
        "pyproject.toml", 'jobs = ["shop"]', 'jobs = ["shop", "plain"]\nentry = ["plain:doubled"]'
    )
    return suite


def listed(suite, *arguments):
    done = suite.tracediff("ls", "--format", "json", *arguments)
    assert done.code == 0, done.err
    return [(one["key"], one["meta"], one["state"]) for one in done.document["traces"]]


def test_a_test_leaves_its_traces_under_its_name_and_they_replay(recording):
    done = recording.pytest("tests/test_recording.py")
    done.counts(passed=5, failed=1)
    assert "6 traces recorded" in done.out
    name = "test:tests/test_recording.py::"
    assert listed(recording, "--tag", f"{name}test_any_function") == [
        ("plain/doubled", "net=5", "success"), ("plain/doubled", "net=21", "success"),
    ]  # fmt: skip
    (failed,) = listed(recording, "--tag", f"{name}test_that_fails[250]")
    assert failed == ("shop/total", "net=250, country='DE'", "success")
    assert listed(recording, "--tag", f"{name}test_errors")[0][2] == "error"
    recording.change("plain.py", "net * 2", "net * 3")
    same = recording.tracediff("compare", "shop/total@{1}")
    assert same.code == 0, same.out + same.err
    other = recording.tracediff("compare", "plain/doubled@last")
    assert other.code == 1, other.out + other.err
    assert "10" in other.out
    assert "15" in other.out


@pytest.mark.slow
def test_all_jobs_of_all_tests_are_kept_when_asked_for(recording):
    recording.write("tests/test_recording.py", "")
    recording.write(
        "tests/test_other.py",
        "import shop\n\n\n"
        "def test_sum():\n    assert shop.total(100) + shop.total(200) == 357\n\n\n"
        "def test_none():\n    assert True\n\n\n"
        "def test_snapshot(trace_snapshot):\n    assert shop.total(9) == trace_snapshot\n",
    )
    before = len(listed(recording))
    done = recording.pytest(
        "--tracediff-record", "--tracediff-update-new-only", "tests/test_other.py", "-n2"
    )
    done.counts(passed=3)
    assert "2 traces recorded" in done.out
    assert len(listed(recording)) == before + 2
    assert len(listed(recording, "--tag", "test:tests/test_other.py::test_sum")) == 2


@pytest.mark.slow
def test_nothing_is_written_in_ci(recording):
    before = listed(recording)
    recording.pytest("tests/test_recording.py", CI="true").counts(passed=5, failed=1)
    assert listed(recording) == before
    refused = recording.pytest("--tracediff-record", CI="true")
    assert refused.code == 4
    assert "--tracediff-record is refused in continuous integration" in refused.err


@pytest.mark.slow
def test_what_cannot_be_kept_is_said_and_fails_no_test(recording):
    recording.change(
        "pyproject.toml", "[tool.tracediff]\n", '[tool.tracediff]\nstore = "blocked"\n'
    )
    recording.write("blocked", "a file where the store should be")
    done = recording.pytest("tests/test_recording.py")
    done.counts(passed=5, failed=1)
    assert "note: traces were not kept: " in done.out


def test_it_does_not_go_with_a_snapshot(recording):
    recording.write(
        "tests/test_recording.py", "def test_both(record_job, trace_snapshot):\n    pass\n"
    )
    done = recording.pytest("tests/test_recording.py")
    done.counts(error=1)
    assert "both take the traces of its jobs" in done.out
