"""Each reason is told rightly, and what it says to write lets the next recording replay exactly."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.slow

SETTINGS = [
    ("file", "weight.txt", "shop.jobs:weight", 'inputs = ["open"]'),
    ("variable", "FEE", "shop.jobs:fee", 'inputs = ["os.environ"]'),
    ("random", "random", "shop.jobs:draw", 'inputs = ["random"]'),
    ("uuid", "uuid.uuid4", "shop.jobs:label", 'inputs = ["uuid"]'),
    ("program", "date", "shop.jobs:nanoseconds", 'inputs = ["subprocess"]'),
    ("database", "prices.sqlite", "shop.jobs:rows", 'inputs = ["sqlite3"]'),
]

DECORATORS = [
    ("network", "127.0.0.1:", "shop.jobs:ask", '@td.input("Ask")'),
    ("network", "127.0.0.1:", "shop.jobs:ask_later", '@td.input("Ask later")'),
    ("secrets", "secrets.token_hex", "shop.jobs:mark", '@td.input("Mark")'),
    ("unseeded", "random.Random()", "shop.jobs:chance", '@td.input("Chance")'),
    ("global", "COUNT", "shop.jobs:number", '@td.input("Number")'),
    ("cache", "cached_rate", "shop.jobs:cached_rate", '@td.input("Cached rate")'),
    ("cache", "RATES", "shop.jobs:kept_rate", '@td.input("Kept rate")'),
    ("sealed-secret", "Login", "shop.jobs:signed", '@td.input("Signed")'),
]


def found(ailing: Any, kind: str, unit: str) -> dict[str, Any]:
    (reason,) = [
        one
        for one in ailing.before.reasons(kind)
        if unit in [place["unit"] for place in one["places"]]
    ]
    return reason


@pytest.mark.parametrize(("kind", "subject", "unit", "line"), SETTINGS)
def test_what_a_library_covers_is_told_with_the_setting(ailing, kind, subject, unit, line):
    reason = found(ailing, kind, unit)
    assert subject in reason["subjects"][0]
    remedy = reason["remedies"][0]
    assert remedy["lines"] == [line]
    assert remedy["proof"].startswith("tried: with it the replay asks the recording")


@pytest.mark.parametrize(("kind", "subject", "unit", "line"), DECORATORS)
def test_what_no_library_covers_is_told_with_the_function(ailing, kind, subject, unit, line):
    reason = found(ailing, kind, unit)
    assert subject in reason["subjects"][0]
    remedy = reason["remedies"][0]
    assert remedy["change"] == "decorator"
    assert remedy["place"]["unit"] == unit
    assert remedy["lines"][0] == line


def test_one_setting_for_several_traces_is_one_reason_and_comes_first(ailing):
    first = ailing.before.document["reasons"][0]
    assert (first["kind"], len(first["traces"]), first["mends"]) == ("file", 2, 2)


def test_a_step_that_reads_becomes_an_input_in_its_place(ailing):
    assert (
        "in the place of @td.step"
        in found(ailing, "secrets", "shop.jobs:mark")["remedies"][0]["said"]
    )


def test_the_order_of_a_set_is_proved_and_told_with_its_line(ailing):
    reason = ailing.before.reason("hash-order")
    assert reason["places"][0]["text"] == "for word in found:"
    assert reason["remedies"][0]["lines"] == ["for word in sorted(found):"]
    assert "PYTHONHASHSEED" in reason["proof"]


def test_state_between_jobs_is_proved_by_a_second_replay(ailing):
    assert found(ailing, "global", "shop.jobs:number")["proof"] == (
        "replayed a second time in the same process it is as recorded"
    )


def test_the_clock_is_told_with_the_line_that_asks_for_the_instant(ailing):
    (remedy,) = ailing.before.reason("clock")["remedies"]
    assert remedy["lines"] == ['return f"at {td.now().timestamp()}"']


def test_a_thread_is_told_with_the_line_that_starts_it(ailing):
    (remedy,) = ailing.before.reason("thread")["remedies"]
    assert remedy["lines"] == ['return pool.submit(td.propagate(rate), "DE").result()']


def test_a_class_without_an_exact_form_is_told_with_its_encoder(ailing):
    reason = ailing.before.reason("opaque-result")
    assert reason["subjects"] == ["shop.jobs.Track"]
    assert reason["remedies"][0]["lines"][1:3] == ["td.register(", "    Track,"]


def test_a_method_is_told_with_a_factory(ailing):
    (remedy,) = ailing.before.reason("job-needs-factory")["remedies"]
    assert remedy["lines"] == ['@td.job("r/method", factory=lambda: Pricer(…))']


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("job-not-allowed", 'jobs = ["aside.jobs"]'),
        ("class-not-allowed", 'jobs = ["aside.models"]'),
        ("job-not-importable", 'pythonpath = ["lib"]'),
    ],
)
def test_what_may_not_be_run_or_found_is_told_with_its_setting(ailing, kind, line):
    assert ailing.before.reason(kind)["remedies"][0]["lines"] == [line]


def test_all_settings_are_told_once_with_what_was_there(ailing):
    assert ailing.before.document["settings"] == [
        'inputs = ["open", "os.environ", "random", "sqlite3", "subprocess", "uuid"]',
        'jobs = ["shop.*", "aside.jobs", "aside.models"]',
        'pythonpath = [".", "lib"]',
    ]


def test_an_exact_trace_that_read_a_file_is_exact_and_the_file_is_named(ailing):
    (silent,) = [one for one in ailing.before.document["reasons"] if not one["fatal"]]
    assert silent["kind"] == "file"
    assert set(silent["traces"]) <= set(ailing.before.document["exact"])


def test_the_advice_works(ailing):
    assert ailing.before.code == 1
    document = ailing.after.document
    assert document["reasons"] == [], ailing.after.out
    assert document["inexact"] == []
    assert ailing.after.code == 0
    assert len(document["exact"]) == ailing.before.document["checked"] == document["checked"]
