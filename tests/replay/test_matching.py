"""Which recording serves a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracediff import values
from tracediff.model import Value

RATES = """
table = {}

@td.input("Rate")
def rate(country):
    if country not in table:
        raise LookupError(country)
    return table[country]

@td.job("shop/rates")
def job(countries):
    return [rate(country) for country in countries]
"""


def test_equal_calls_with_different_results_each_get_their_own(shop):
    shop.jobs("""
        from itertools import count
        ticket = count(1)

        @td.input("Ticket")
        def draw(kind):
            return next(ticket)

        @td.job("shop/tickets")
        def job():
            return [draw("a"), draw("b"), draw("a"), draw("a")]
        """)
    [trace] = shop.record("job()")
    new = shop.replay(trace)
    assert shop.result(new) == [1, 2, 3, 4]
    assert [old for old, _ in new.replay.served] == [1, 2, 3, 4]
    shop.change('draw("a"), draw("b"), draw("a"), draw("a")', 'draw("a"), draw("a"), draw("b")')
    assert shop.result(shop.replay(trace)) == [1, 3, 2]


def test_who_replays_with_another_secret_is_served(shop):
    shop.jobs("""
        KEYS = ["s3cret-of-one", "s3cret-of-two"]

        @td.input("Ask")
        def ask(api_key, number):
            return f"{api_key[-3:]} {number}"

        @td.job("shop/asking")
        def job():
            return [ask(key, number) for number in (1, 2) for key in KEYS]
        """)
    [trace] = shop.record("job()")
    expected = ["one 1", "two 1", "one 2", "two 2"]
    assert shop.result(shop.replay(trace)) == expected
    shop.change('["s3cret-of-one", "s3cret-of-two"]', '["dummy", "other"]')
    new = shop.replay(trace)
    assert shop.result(new) == expected
    assert not new.replay.misses


def test_the_users_key_says_which_recording_serves(shop):
    shop.jobs("""
        @td.input("Row", key=lambda session, id: id)
        def row(session, id):
            return f"{session}-{id}"

        @td.job("shop/rows")
        def job(session):
            return [row(session, 1), row(session, 2)]
        """)
    [trace] = shop.record('job("old")')
    shop.change("[row(session, 1), row(session, 2)]", '[row("new", 2), row("new", 1)]')
    new = shop.replay(trace)
    assert shop.result(new) == ["old-2", "old-1"]
    assert new.replay.misses == ()


def test_ignored_arguments_do_not_tell_calls_apart(shop):
    shop.jobs("""
        @td.input("Row", ignore=["session"])
        def row(session, id):
            return id

        @td.job("shop/rows")
        def job():
            return row("s1", 7)
        """)
    [trace] = shop.record("job()")
    shop.change('"s1"', "object()")
    assert shop.result(shop.replay(trace)) == 7


def test_arguments_are_told_apart_by_type_and_by_how_they_are_passed_alone(shop):
    shop.jobs("""
        @td.input("Row")
        def row(id, active=True):
            return repr(id)

        @td.job("shop/rows")
        def job():
            return [row(1), row(1.0), row(True), row("1")]
        """)
    [trace] = shop.record("job()")
    shop.change(
        'row(1), row(1.0), row(True), row("1")',
        'row("1"), row(id=True), row(1.0, True), row(active=True, id=1)',
    )
    assert shop.result(shop.replay(trace)) == ["'1'", "True", "1.0", "1"]


def test_a_call_that_moved_is_served_and_reported(shop):
    shop.jobs(
        RATES
        + """
@td.step("Inner")
def inner(country):
    return rate(country)
"""
    )
    [trace] = shop.record('table["de"] = 19; job(["de"])')
    shop.change("[rate(country) for", "[inner(country) for")
    new = shop.replay(trace)
    assert shop.result(new) == [19]
    assert new.replay.moved == (1,)
    assert new.replay.misses == ()


def test_other_arguments_fail_with_the_nearest_recording_and_the_field(shop):
    shop.jobs("""
        @td.input("Product")
        def product(id, fields):
            return {"id": id}

        @td.job("shop/product")
        def job(id):
            return [product(id + 100, []), product(id, ["name", "price"])]
        """)
    [trace] = shop.record("job(1)")
    shop.change('"price"', '"cost"')
    new = shop.replay(trace)
    assert new.state == "error"
    [miss] = new.replay.misses
    assert (miss.name, miss.served) == ("Product", "failed")
    index, [change] = miss.nearest[0]
    assert index == 2
    assert (change.path, change.old, change.new) == (("fields", 1), "price", "cost")
    assert [near for near, _ in miss.nearest] == [2, 1]
    done = shop.cli("compare", trace.id)
    assert done.returncode == 1
    assert "1 call has no recording" in done.stdout
    assert "recorded 'price'  asked 'cost'" in done.stdout
    assert "--on-miss nearest" in done.stdout


def test_a_new_call_fails_and_says_that_the_recording_has_none(shop):
    shop.jobs(RATES)
    [trace] = shop.record('table["de"] = 19; job(["de"])')
    shop.change(
        "return [rate(country)",
        'stock("x"); return [rate(country)',
    )
    shop.write(
        "shop/jobs.py",
        (shop.directory / "shop/jobs.py").read_text()
        + '\n@td.input("Stock")\ndef stock(name):\n    return 5\n',
    )
    new = shop.replay(trace)
    [miss] = new.replay.misses
    assert miss.nearest == ()
    assert "has no call of this name" in miss.hint
    assert new.steps[0].error.type == "tracediff.runtime:ReplayAbort"


def test_on_miss_decides_what_a_call_without_a_recording_gets(shop):
    shop.jobs(RATES)
    [trace] = shop.record('table.update(de=19); job(["de"])')
    shop.change("table = {}", 'table = {"fr": 20}')
    shop.change("for country in countries", 'for country in [*countries, "fr"]')
    found = {}
    for on_miss in ("nearest", "stub", "live"):
        new = shop.replay(trace, on_miss=on_miss)
        found[on_miss] = shop.result(new)
        assert [miss.served for miss in new.replay.misses] == [on_miss]
    assert found == {"nearest": [19, 19], "stub": [19, None], "live": [19, 20]}
    failed = shop.replay(trace, on_miss="fail")
    assert [miss.served for miss in failed.replay.misses] == ["failed"]


def test_live_still_refuses_outputs(shop):
    shop.jobs(
        RATES
        + """
from pathlib import Path

@td.output("Save")
def save(what):
    Path("saved").touch()
    return "stored"
"""
    )
    [trace] = shop.record('table.update(de=19); job(["de"])')
    shop.change("return [rate(country)", "save(1); return [rate(country)")
    new = shop.replay(trace, on_miss="live")
    assert shop.result(new) == [19]
    assert not (shop.directory / "saved").exists()


@pytest.mark.parametrize("outer", ["input", "output"])
def test_what_an_input_asked_for_itself_answers_no_other_call(shop, outer):
    shop.jobs(f"""
        count = [0]

        @td.input("Next")
        def following():
            count[0] += 1
            return count[0]

        @td.step("Between")
        def between():
            return following()

        @td.{outer}("Outer")
        def outer():
            return 10 * between()

        @td.job("shop/nested")
        def job():
            return [outer(), following(), following()]
        """)
    [trace] = shop.record("job()")
    assert shop.result(trace) == [10, 2, 3]
    new = shop.replay(trace)
    assert shop.result(new) == [10, 2, 3]
    assert new.replay.unused == ()
    shop.change("outer(), following()", "following(), following()")
    assert shop.result(shop.replay(trace)) == [1, 2, 3]


def test_recordings_nobody_asked_for_are_listed(shop):
    shop.jobs(RATES)
    [trace] = shop.record('table.update(de=19, fr=20); job(["de", "fr"])')
    shop.change("in countries", "in countries[1:]")
    new = shop.replay(trace)
    assert new.replay.unused == (1,)
    shown = shop.cli("compare", trace.id).stdout
    assert "1 recording no longer asked for" in shown


def test_called_more_often_than_recorded_hints_at_a_cache(shop):
    shop.jobs("""
        from functools import lru_cache

        @lru_cache
        @td.input("Rate")
        def rate(country):
            return 19

        @td.job("shop/rates")
        def job():
            return rate("de") + rate("de")
        """)
    [trace] = shop.record("job()")
    shop.change("        @lru_cache\n".strip(), "")
    [miss] = shop.replay(trace).replay.misses
    assert "cache" in miss.hint


def test_threads_that_ask_at_once_each_get_a_recording_of_their_own(shop):
    shop.jobs("""
        from concurrent.futures import ThreadPoolExecutor
        from itertools import count
        numbers = count()

        @td.input("Next")
        def draw():
            return next(numbers)

        @td.job("shop/threads")
        def job():
            with ThreadPoolExecutor(8) as pool:
                return sorted(pool.map(td.propagate(lambda _: draw()), range(200)))
        """)
    [trace] = shop.record("job()")
    assert shop.result(shop.replay(trace)) == list(range(200))


def test_served_results_are_fresh_copies(shop):
    shop.jobs("""
        @td.input("Basket")
        def basket():
            return {"items": [1]}

        @td.job("shop/copies")
        def job():
            first = basket()
            first["items"].append(2)
            return [first, basket()]
        """)
    [trace] = shop.record("job()")
    new = shop.replay(trace)
    assert shop.result(new) == [{"items": [1, 2]}, {"items": [1]}]
    assert shop.results(new, "Basket") == [{"items": [1]}] * 2


def test_what_the_job_does_to_a_served_argument_does_not_hurt_later_calls(shop):
    shop.jobs("""
        @td.input("Sum")
        def total(items):
            return sum(items)

        @td.job("shop/mutated")
        def job():
            items = [1, 2]
            first = total(items)
            items.append(3)
            return [first, total(items)]
        """)
    [trace] = shop.record("job()")
    assert shop.result(shop.replay(trace)) == [3, 6]


def test_generator_inputs_are_served_item_by_item(shop):
    shop.jobs("""
        import asyncio
        calls = []

        @td.input("Rows")
        def rows(n):
            calls.append(n)
            yield from range(n)

        @td.input("Stream")
        async def stream(n):
            calls.append(n)
            for one in range(n):
                yield one

        @td.job("shop/generators")
        async def job():
            taken = [one async for one in stream(2)]
            return [taken, list(rows(3)), next(rows(5))]
        """)
    [trace] = shop.record("asyncio.run(job())")
    shop.change("calls = []", "calls = None")
    assert shop.result(shop.replay(trace)) == [[0, 1], [0, 1, 2], 0]


def test_method_and_class_method_inputs_are_served(shop):
    shop.jobs("""
        class Catalogue:
            def __init__(self, rows):
                self.rows = rows

            @td.input("Get")
            def get(self, id):
                return self.rows[id]

            @classmethod
            @td.input("Kind")
            def kind(cls, id):
                return cls.__name__ + id

            @td.input("Base")
            @staticmethod
            def base(id):
                return id * 2

        @td.job("shop/catalogue")
        def job(id):
            return [Catalogue({"a": 1}).get(id), Catalogue.kind(id), Catalogue.base(id)]
        """)
    [trace] = shop.record('job("a")')
    shop.change('Catalogue({"a": 1})', "Catalogue({})")
    new = shop.replay(trace)
    assert shop.result(new) == [1, "Cataloguea", "aa"]
    assert values.inert(new.steps[1].args) == {"id": "a"}


@pytest.mark.parametrize("depth", ["inputs", "steps"])
def test_inputs_match_at_every_depth_of_capture(shop, depth):
    shop.jobs(
        RATES.replace('"shop/rates"', f'"shop/rates", depth="{depth}"').replace(
            "[rate(country) for", "[inner(country) for"
        )
        + """
@td.step("Inner")
def inner(country):
    return rate(country)
"""
    )
    [trace] = shop.record('table["de"] = 19; job(["de"])')
    new = shop.replay(trace)
    assert shop.result(new) == [19]
    assert new.depth == depth
    assert (new.replay.moved, new.replay.misses) == ((), ())


def test_a_recorded_result_that_cannot_be_read_stops_the_replay_and_is_named(shop):
    shop.jobs("""
        @td.input("Rate")
        def rate(country):
            return 19

        @td.job("shop/rates")
        def job(country):
            try:
                return rate(country)
            except Exception:
                return 0
        """)
    [trace] = shop.record('job("de")')
    hurt = replace(trace.steps[1], result=Value(b"\xc1"))
    other = replace(trace.steps[0], args=Value(values.encode({"country": "fr"})))
    for job in (trace.steps[0], other):
        new = shop.replay(replace(trace, steps=(job, hurt)), on_miss="nearest")
        assert new.state == "error"
        assert "cannot be rebuilt" in new.steps[0].error.message
        assert new.replay.misses[-1].name == "Rate"
