"""What a program is told of its recordings, and how long it says that traces are kept."""

from __future__ import annotations

import pytest

import tracediff as td
from tracediff.model import Query
from tracediff.stores import open_store


@pytest.fixture
def told(recording):
    """Calls of every callback, in order."""
    calls = []

    def note(name):
        return lambda *said: calls.append((name, *said))

    names = ("on_start", "on_end", "on_ack", "on_loss", "on_error")
    recording.configure(**{name: note(name) for name in names})
    return calls


def test_a_job_s_start_and_end_are_told_with_its_id_key_and_state(recording, told):
    @td.job("told/one")
    def one(fails):
        if fails:
            raise ValueError("no")

    one(False)
    with pytest.raises(ValueError, match="no"):
        one(True)
    assert td.flush(30)
    starts = [call for call in told if call[0] == "on_start"]
    ids = [call[1] for call in starts]
    assert starts == [("on_start", one_id, "told/one") for one_id in ids]
    ends = [call for call in told if call[0] == "on_end"]
    assert ends == [
        ("on_end", ids[0], "told/one", "success"), ("on_end", ids[1], "told/one", "error"),
    ]  # fmt: skip
    assert {call[1] for call in told if call[0] == "on_ack"} == set(ids)
    assert len(set(ids)) == 2


def test_a_warning_is_the_state_that_the_end_is_told_with(told):
    @td.job("told/warned")
    def warned():
        td.warn()

    warned()
    assert ("on_end", told[0][1], "told/warned", "warning") in told


def test_callbacks_that_raise_are_logged_and_hurt_no_job(recording, caplog):
    def broken(*_):
        raise RuntimeError("a callback's own fault")

    recording.configure(on_start=broken, on_end=broken, on_ack=broken)

    @td.job("told/unharmed")
    def job():
        return 7

    assert job() == 7
    assert [trace.steps[0].name for trace in recording.traces()] == ["told/unharmed"]
    assert {record.getMessage().split(" for ")[0] for record in caplog.records} == {
        "tracediff: on_start failed", "tracediff: on_end failed", "tracediff: on_ack failed",
    }  # fmt: skip


def test_a_function_says_of_the_finished_trace_how_long_it_is_kept(recording):
    @td.job("kept/by-state", retention=lambda trace: 90 if trace.state == "error" else 3)
    def job(fails):
        if fails:
            raise ValueError

    job(False)
    with pytest.raises(ValueError):
        job(True)
    assert [trace.retention for trace in recording.traces()] == [3, 90]
    rows = open_store(recording.url).search(Query()).rows
    assert all(row.expires_at is not None for row in rows)


@pytest.mark.parametrize("said", ["x", -1, 1.5, True])
def test_a_function_that_says_no_number_of_days_keeps_the_trace_for_ever(recording, said):
    job = td.job("kept/oddly", retention=lambda trace: said)(lambda: 1)
    job()
    (trace,) = recording.traces()
    assert trace.retention is None
    assert "the retention function of 'kept/oddly' raised TypeError" in trace.warnings[0]


def test_the_configuration_wins_over_the_job_s_function(recording):
    recording.configure(job={"kept/*": {"retention": 7}})
    td.job("kept/configured", retention=lambda trace: 1)(lambda: 1)()
    assert [trace.retention for trace in recording.traces()] == [7]
