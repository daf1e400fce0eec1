"""The fixtures and the mark."""

from __future__ import annotations

import pytest

REPLAYS = """\
import pytest
import shop
from tracediff.config import override


@pytest.mark.tracediff(key="shop/*", last=2)
def test_chosen(recorded_trace, replay_trace):
    replayed = replay_trace()
    assert recorded_trace == replayed
    assert replayed == recorded_trace
    assert replayed.same
    assert len(replayed.steps) == len(recorded_trace.steps)


@pytest.mark.tracediff(last=1)
def test_chosen_by_replay_alone(replay_trace):
    assert replay_trace()


def test_references(replay_trace, request):
    newest = replay_trace("shop/total@last")
    assert newest
    assert str(newest.result) == "396.27"
    assert replay_trace("shop/total@{2}").recorded.meta == "net=100, country='DE'"
    assert replay_trace(newest.recorded.id[:-1])
    assert replay_trace(newest.recorded)
    assert replay_trace(newest.file)
    assert replay_trace(f"traces/{newest.file.name}")


def test_what_ifs(replay_trace):
    dear = replay_trace("@last", sets=["VAT=Decimal('100')"])
    assert not dear
    assert str(dear.result) == "433"


def test_subtests(replay_trace, subtests):
    for nth in range(3):
        with subtests.test(nth=nth):
            assert replay_trace(f"@{{{nth}}}")


class TestOther:
    @pytest.fixture
    def tracediff_config(self, tracediff_config):
        return override(tracediff_config, jobs=["elsewhere"])

    def test_settings(self, replay_trace):
        replay_trace("@last")
"""

SNAPSHOTS = """\
import numpy
import pytest
import shop


@pytest.mark.parametrize("net", [7, 8])
def test_several(net, trace_snapshot):
    assert shop.total(net) == trace_snapshot
    assert shop.total(net + 1) * 2 == trace_snapshot
    assert trace_snapshot(name="by name") == shop.total(net + 2)


def test_numpy(trace_snapshot):
    shop.total(9)
    assert numpy.array([1.0, float("nan")]) == trace_snapshot
"""

WRONG = """\
import shop


def test_no_job(trace_snapshot):
    assert 7 == trace_snapshot


def test_two_jobs(trace_snapshot):
    shop.total(1), shop.total(2)
    assert shop.total(3) == trace_snapshot


def test_fails_later(trace_snapshot):
    assert shop.total(4) == trace_snapshot
    assert False
"""

INPUTS = """\
import os, random, shop, time


def test_served(recorded_inputs):
    before = time.time()
    with recorded_inputs("@last") as trace:
        assert str(shop.vat(100, "DE")) == "19.00"
        assert abs(time.time() - trace.started_at / 1e9) < 60
        first = random.random()
    assert time.time() >= before
    with recorded_inputs("@last"):
        assert random.random() == first


def test_missed(recorded_inputs):
    with recorded_inputs("@last"):
        shop.rate("SK")


def test_swallowed(recorded_inputs):
    with recorded_inputs("@last"):
        try:
            shop.rate("SK")
        except BaseException:
            pass
"""

RECORDED = """\
import shop


def test_recorded(recorded_inputs):
    with recorded_inputs("rates.trace.json"):
        assert str(shop.rate("DE")) == "0.19"
        {more}
"""


def test_replays(suite):
    suite.write("tests/test_replays.py", REPLAYS)
    done = suite.pytest("tests/test_replays.py", "-v")
    done.counts(passed=6, failed=1)
    assert "FAILED tests/test_replays.py::TestOther::test_settings" in done.out
    assert "not among the modules that may be replayed" in done.out
    assert done.out.count("test_chosen[total-") >= 2


def test_a_replay_nobody_looked_at_is_looked_at(suite):
    suite.break_it()
    suite.write("tests/test_one.py", "def test_forgets(replay_trace):\n    replay_trace('@last')\n")
    done = suite.pytest("tests/test_one.py")
    assert done.code == 1
    assert "a replay that the test never looked at differs: 396.27 → 396.3" in done.out


def test_an_assertion_shows_where_it_begins_before_it_is_cut(suite, source_line):
    suite.break_it()
    suite.write(
        "tests/test_one.py",
        "def test_bool(replay_trace):\n    assert replay_trace('@last')\n\n"
        "def test_equal(replay_trace):\n"
        "    replayed = replay_trace('@last')\n    assert replayed.recorded == replayed\n",
    )
    done = suite.pytest("tests/test_one.py")
    done.counts(failed=2)
    assert "<replay of shop/total " in done.out
    assert "assert 396.27 → 396.3 (+0.03), first at VAT" in done.out
    assert f"VAT at shop.py:{source_line} · changed, origin" in done.out
    assert "result: 63.27 → 63.3" in done.out
    assert "first divergence" not in done.out
    assert "first divergence" in suite.pytest("tests/test_one.py", "-vv").out


def test_snapshots_are_stored_compared_and_renewed(suite):
    suite.write("tests/test_snapshots.py", SNAPSHOTS)
    run = ("tests/test_snapshots.py",)
    missing = suite.pytest(*run)
    missing.counts(failed=3)
    assert "nothing is stored yet to compare with: tests/traces/snapshots/" in missing.out
    assert not (suite.directory / "tests/traces/snapshots").exists()
    assert "3 results of 1 cause wait" in missing.out
    stored = suite.pytest(*run, "--tracediff-update-new-only", "-n2")
    stored.counts(passed=3)
    assert "7 written: " in stored.out
    before = suite.files()
    suite.pytest(*run).counts(passed=3)
    suite.break_it()
    kept = suite.pytest(*run, "--tracediff-update-new-only")
    kept.counts(failed=3)
    assert "8.33 → 8.3 (-0.03), first at VAT" in kept.out
    snapshots = {name for name in before if "/snapshots/" in name}
    assert {name: suite.files()[name] for name in snapshots} == {n: before[n] for n in snapshots}
    suite.pytest(*run, "--tracediff-update", "-k", "several and 7").counts(passed=1, deselected=2)
    changed = [name for name in snapshots if suite.files()[name] != before[name]]
    assert changed
    assert all("test_several-7" in name for name in changed), "no other test's"
    suite.pytest(*run, "-k", "several and 7").counts(passed=1, deselected=2)


def test_a_snapshot_says_what_is_wrong_and_a_failing_test_stores_nothing(suite):
    suite.write("tests/test_wrong.py", WRONG)
    done = suite.pytest("tests/test_wrong.py", "--tracediff-update")
    done.counts(failed=3)
    assert "no job finished since the last comparison" in done.out
    assert "3 jobs finished since the last comparison" in done.out
    assert "shop/total(net=2, " in done.out
    assert "1 not written, since their tests failed: " in done.out
    assert not (suite.directory / "tests/traces/snapshots").exists()


def test_jobs_of_snapshots_are_recorded_nowhere_else_and_whatever_is_sampled(suite):
    suite.change("pyproject.toml", "[tool.tracediff]\n", "[tool.tracediff]\nsample = 0.0\n")
    suite.write("tests/test_one.py", "import shop\n\ndef test_one(trace_snapshot):\n"
                "    assert shop.total(100) == trace_snapshot\n")  # fmt: skip
    before = suite.tracediff("ls", "--format", "json").out
    suite.pytest("tests/test_one.py", "--tracediff-update").counts(passed=1)
    assert suite.tracediff("ls", "--format", "json").out == before


def test_secrets_are_taken_out_of_snapshots(suite):
    suite.ini('tracediff_redact = ["net"]')
    suite.write("tests/test_one.py", "import shop\n\ndef test_one(trace_snapshot):\n"
                "    assert shop.total(7777) == trace_snapshot\n")  # fmt: skip
    suite.pytest("tests/test_one.py", "--tracediff-update").counts(passed=1)
    (stored,) = (suite.directory / "tests/traces/snapshots").rglob("*.trace.json")
    assert "$redacted" in stored.read_text("utf-8")
    assert '"net": 7777' not in stored.read_text("utf-8")


def test_inputs_are_served_to_any_code_and_everything_is_put_back(suite):
    suite.write("tests/test_inputs.py", INPUTS)
    done = suite.pytest("tests/test_inputs.py")
    done.counts(passed=1, failed=2)
    assert "the input 'Fetching the rate' was called with arguments that were not rec" in done.out
    assert "no recording answers the input 'Fetching the rate'" in done.out


def test_the_record_mode_says_what_becomes_of_inputs_without_recording(suite):
    def run(mode: str, more: str = "pass"):
        suite.write("tests/test_rec.py", RECORDED.format(more=more))
        return suite.pytest("tests/test_rec.py", f"--tracediff-record-mode={mode}")

    other = 'assert str(shop.rate("SK")) == "0.23"'
    assert "there is no file" in run("none").out
    run("once").counts(passed=1)
    run("none").counts(passed=1)
    assert "was called with arguments that were not recorded" in run("once", other).out
    run("new_episodes", other).counts(passed=1)
    run("none", other).counts(passed=1)
    suite.change("shop.py", 'Decimal("0.19")', 'Decimal("0.2")')
    run("none").counts(passed=1)
    assert "0.2" in run("all").out, "read anew"
    file = next((suite.directory / "tests").rglob("rates.trace.json"))
    suite.change("shop.py", 'Decimal("0.2")', 'Decimal("0.19")')
    run("rewrite").counts(passed=1)
    assert "SK" not in file.read_text("utf-8")


def test_record_modes_renew_the_inputs_of_pinned_traces(suite):
    before = suite.traces[2].read_text("utf-8")
    assert '"0.19"' in before
    suite.change("shop.py", 'Decimal("0.19")', 'Decimal("0.190")')
    suite.pytest(suite.traces[2]).counts(passed=1)
    done = suite.pytest(suite.traces[2], "--tracediff-record-mode=rewrite")
    done.counts(passed=1)
    assert "1 written" in done.out
    assert '"0.190"' in suite.traces[2].read_text("utf-8")
    suite.pytest(suite.traces[2]).counts(passed=1)
    suite.change("shop.py", 'Decimal("0.190")', 'Decimal("0.2")')
    suite.pytest(suite.traces[2], "--tracediff-record-mode=all").counts(failed=1)
    assert '"0.190"' in suite.traces[2].read_text("utf-8")


COMPARED = """\
def test_traces(replay_trace):
    one, two = replay_trace("@last"), replay_trace("@{1}")
    assert one and two
    assert one.recorded == two.recorded


def test_twins(replay_trace):
    one = replay_trace("@last")
    assert one.recorded == one.trace


def test_steps(replay_trace):
    one, two = replay_trace("@last"), replay_trace("@{1}")
    assert one.steps[2] == two.steps[2]


def test_values(replay_trace):
    one, two = replay_trace("@last"), replay_trace("@{1}")
    assert one.steps[0].result == two.steps[0].result
"""


def test_comparing_traces_steps_and_values_is_explained(suite):
    suite.write("tests/test_compared.py", COMPARED)
    done = suite.pytest("tests/test_compared.py", "-vv")
    done.counts(failed=4)
    assert "the traces of shop/total and shop/total differ" in done.out
    assert "the traces do the same, and are two executions" in done.out
    assert "the steps 'VAT' and 'VAT' differ" in done.out
    assert "result  63.27 → 47.50  -15.77" in done.out
    assert "the values differ" in done.out


@pytest.mark.parametrize("where", ["ini", "mark", "fixture", "path"])
def test_tolerances_hold_and_the_summary_says_how_much_is_used(suite, properties, where):
    suite.change("shop.py", "float(net) * 0.1", "float(net) * 0.1 + 1e-4")
    suite.change("shop.py", 'Decimal("0.01"))', 'Decimal("0.01")) + Decimal("0.02")')
    call = mark = ""
    if where == "ini":
        suite.ini('tracediff_abs_tol = "0.025"')
    elif where == "path":
        suite.ini('tracediff_tolerance = ["result abs=0.025", "**/VAT/result abs=0.025"]')
    elif where == "mark":
        mark = '\n@pytest.mark.tracediff(abs_tol=0.025, ignore="**/Weight")'
    else:
        call = ', abs_tol={"**": 0.025}'
    suite.write("tests/test_one.py", f"import pytest\n{mark}\ndef test_one(replay_trace):\n"
                f"    assert replay_trace('@last'{call})\n")  # fmt: skip
    args = suite.traces if where == "ini" else ["tests/test_one.py"]
    done = suite.pytest(*args, "--junitxml=junit.xml", "--tracediff-details")
    assert done.code == 0, done.out
    assert "within tolerance, worst 0.8 of its limit" in done.out
    if where == "ini":
        told = properties(suite.cases()[0])["tracediff_tolerance"]
        assert told == "3 fields within tolerance, worst 0.8 of its limit"
        assert suite.pytest(*args, "-n2").out.count("9 fields within tolerance, worst 0.8") == 1
