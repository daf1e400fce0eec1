"""A replay ticks from the recorded start, in the recorded surroundings."""

from __future__ import annotations

import os
import time

import pytest

from tracediff.model import Environment, Trace
from tracediff.recording.environment import timezone_name
from tracediff.replay.clock import recorded_surroundings


def test_every_clock_starts_at_the_recorded_start_and_ticks(shop):
    shop.jobs("""
        import time
        from datetime import date, datetime, timezone

        @td.job("shop/clock")
        def job():
            first = time.time()
            while time.time() == first:
                pass
            return {
                "now": datetime.now(),
                "utc": datetime.now(timezone.utc),
                "today": date.today(),
                "time": first,
                "ns": time.time_ns(),
                "local": time.localtime().tm_hour,
                "text": time.strftime("%Z"),
            }
        """)
    [trace] = shop.record("job()", TZ="Asia/Kolkata")
    assert trace.environment.timezone == "Asia/Kolkata"
    recorded, now = shop.result(trace), shop.result(shop.replay(trace))
    started = trace.started_at / 1e9
    assert now["time"] == pytest.approx(started, abs=20)
    assert now["ns"] / 1e9 == pytest.approx(started, abs=20)
    assert (now["utc"] - recorded["utc"]).total_seconds() == pytest.approx(0, abs=20)
    assert (now["now"] - recorded["now"]).total_seconds() == pytest.approx(0, abs=20)
    assert now["now"].date() == now["today"]
    assert now["text"] == "IST"
    assert now["local"] == now["now"].hour


def test_the_day_is_the_recorded_one(shop):
    shop.jobs("""
        from datetime import date

        @td.job("shop/day")
        def job():
            return date.today()
        """)
    [trace] = shop.record("job()")
    from dataclasses import replace

    noon_in_1999 = 915_192_000 * 10**9
    old = replace(trace, started_at=noon_in_1999)
    assert shop.result(shop.replay(old)).isoformat() == "1999-01-01"


@pytest.mark.parametrize("clock", ["time.time", "time.monotonic", "time.perf_counter"])
def test_a_deadline_loop_ends(shop, clock):
    shop.settings("replay_timeout = 30")
    shop.jobs(f"""
        import time

        @td.job("shop/deadline")
        def job():
            end = {clock}() + 0.02
            while {clock}() < end:
                pass
            time.sleep(0.01)
            return "done"
        """)
    [trace] = shop.record("job()")
    assert shop.result(shop.replay(trace)) == "done"


def test_random_is_seeded_where_the_job_asks_for_it(shop):
    shop.jobs("""
        import random

        @td.job("shop/seeded", seed=True)
        def seeded():
            return [random.random(), random.choice("abcdef"), random.gauss(0, 1)]
        """)
    [first, second] = shop.record("seeded(); seeded()")
    assert shop.result(first) != shop.result(second)
    for trace in (first, second):
        assert shop.result(shop.replay(trace)) == shop.result(trace)


def test_what_the_job_asks_tracediff_for_is_served(shop):
    shop.jobs("""
        from datetime import timezone

        @td.job("shop/ambient")
        def job():
            return [td.now(), td.now(timezone.utc), td.random(), td.random(), td.uuid4()]
        """)
    [trace] = shop.record("job()")
    new = shop.replay(trace)
    assert shop.result(new) == shop.result(trace)
    assert new.replay.misses == ()


def test_the_time_asked_for_newly_is_the_ticking_clocks(shop):
    shop.jobs("""
        @td.job("shop/ambient")
        def job():
            return None
        """)
    [trace] = shop.record("job()")
    shop.change("return None", "return td.now()")
    new = shop.replay(trace)
    assert abs(shop.result(new).timestamp() - trace.started_at / 1e9) < 20
    assert any("'now' was asked for but not recorded" in one for one in new.warnings)


def test_decimal_context_locale_and_zone_are_the_recorded_ones(shop):
    shop.jobs("""
        import decimal, locale, os, time

        @td.job("shop/surroundings")
        def job():
            return [
                decimal.getcontext().prec,
                decimal.Decimal(1) / 3,
                decimal.Decimal("0.125").quantize(decimal.Decimal("0.01")),
                locale.setlocale(locale.LC_ALL),
                time.localtime(0).tm_hour,
            ]
        """)
    [trace] = shop.record(
        """
        decimal.getcontext().prec = 7
        decimal.getcontext().rounding = decimal.ROUND_UP
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
        job()
        """,
        TZ="America/New_York",
    )
    recorded = shop.result(trace)
    assert recorded == [7, recorded[1], recorded[2], "C.UTF-8", 19]
    assert str(recorded[2]) == "0.13"
    assert shop.result(shop.replay(trace)) == recorded
    assert shop.replay(trace).environment == trace.environment


def test_a_zone_that_the_job_sets_does_not_outlive_its_replay_in_the_process_s_own_zone():
    before, zone = time.tzname, os.environ.get("TZ")
    environment = Environment(timezone=timezone_name(zone))
    with recorded_surroundings(
        Trace(id="t", key="k", job="m:f", steps=(), environment=environment)
    ):
        assert time.tzname == before
        os.environ["TZ"] = "Asia/Tokyo"
        time.tzset()
        assert time.tzname == ("JST", "JST")
    assert time.tzname == before
    assert os.environ.get("TZ") == zone


def test_the_replay_reports_its_real_duration_and_the_recorded_start(shop):
    shop.jobs("""
        import time

        @td.job("shop/took")
        def job():
            time.sleep(0.05)
        """)
    [trace] = shop.record("job()")
    new = shop.replay(trace)
    assert new.started_at == trace.started_at
    assert new.duration >= 50_000_000


def test_instants_of_a_job_lie_in_its_span_however_long_it_was_prepared(shop):
    shop.jobs("""
        import time
        from datetime import datetime, timezone

        class Large:
            pass

        def slowly(large):
            end = time.perf_counter() + 0.03
            while time.perf_counter() < end:
                pass
            return []

        td.register(Large, encode=slowly, decode=lambda _: Large())

        @td.job("shop/now")
        def now(large):
            return datetime.now(timezone.utc)
        """)
    [trace] = shop.record("now(Large())")
    for one in (trace, shop.replay(trace)):
        late = shop.result(one).timestamp() * 1e9 - one.started_at
        assert late <= one.duration + 1_000_000
