"""What-ifs: steps of a replay answered with a given value, or with their recording."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tracediff import values
from tracediff.errors import ReplayError, TracediffError
from tracediff.replay.whatif import literal

PRICE = """
from decimal import Decimal
from pathlib import Path

@td.input("Rate")
def rate(country):
    return Decimal({"de": "0.19", "fr": "0.20"}[country])

@td.step("VAT")
def vat(net, country):
    Path("vat-ran").touch()
    return net * rate(country)

@td.step("Line")
def line(net, country):
    return net + vat(net, country)

@td.output("Save")
def save(total):
    Path("saved").touch()
    return "stored"

@td.job("shop/price")
def price(nets, country):
    with td.step("Sum") as step:
        step.result = total = sum(line(net, country) for net in nets)
    td.note("done")
    td.tag(save(total))
    return total
"""


@pytest.fixture(scope="module")
def recorded(new_shop):
    made = new_shop()
    made.jobs(PRICE)
    traces = made.record('price([Decimal(100), Decimal(200), Decimal(100)], "de")')
    for name in ("vat-ran", "saved"):
        (made.directory / name).unlink()
    return made, traces


@pytest.fixture
def shop(recorded, tmp_path):
    return recorded[0].copy(tmp_path / "project")


@pytest.fixture
def priced(recorded):
    return recorded[1][0]


def test_every_call_of_a_name_is_answered_with_the_value(shop, priced):
    new = shop.replay(priced, sets=['VAT=Decimal("1")'])
    assert shop.result(new) == Decimal(403)
    assert shop.results(new, "VAT") == [Decimal(1)] * 3
    assert not (shop.directory / "vat-ran").exists()
    assert "what-if: 'VAT' set to Decimal(\"1\") (3 calls)" in new.warnings


def test_a_line_number_answers_that_one_of_equal_calls(shop, priced):
    lines = [index for index, step in enumerate(priced.steps) if step.name == "VAT"]
    new = shop.replay(priced, sets=[f"{lines[2]}=0"])
    assert shop.results(new, "VAT") == [Decimal("19.00"), Decimal("38.00"), 0]
    assert f"what-if: line {lines[2]}, 'VAT', set to 0 (1 call)" in new.warnings


def test_a_line_number_wins_over_a_name(shop, priced):
    line = next(index for index, step in enumerate(priced.steps) if step.name == "VAT")
    new = shop.replay(priced, sets=[f"{line}=7", "VAT=1"])
    assert shop.results(new, "VAT") == [7, 1, 1]


def test_a_path_answers_only_the_calls_in_that_place(shop, priced):
    shop.change('td.note("done")', 'td.note("done"); vat(total, country)')
    new = shop.replay(priced, sets=["Line/VAT=1", 'Rate=Decimal("0.1")'])
    assert shop.results(new, "VAT") == [1, 1, 1, Decimal("40.3")]


def test_an_input_is_answered_with_the_value(shop, priced):
    new = shop.replay(priced, sets=['Rate=Decimal("0.5")'])
    assert shop.result(new) == Decimal(600)
    assert new.replay.unused == ()
    assert new.replay.misses == ()


def test_an_answered_output_still_does_not_run(shop, priced):
    new = shop.replay(priced, sets=['Save="elsewhere"'])
    assert new.tags == ("elsewhere",)
    assert not (shop.directory / "saved").exists()


def test_a_pinned_step_keeps_its_recorded_results_and_does_not_run(shop, priced):
    shop.change("return net * rate(country)", "raise ValueError")
    new = shop.replay(priced, pins=["VAT"])
    assert shop.result(new) == shop.result(priced)
    assert shop.results(new, "VAT") == [Decimal("19.00"), Decimal("38.00"), Decimal("19.00")]
    assert not (shop.directory / "vat-ran").exists()
    assert "what-if: 'VAT' pinned to its recorded result (3 calls)" in new.warnings
    assert [priced.steps[index].name for index in new.replay.unused] == ["Rate"] * 3


def test_a_pin_holds_though_the_arguments_changed(shop, priced):
    shop.change("net + vat(net, country)", "net + vat(net + 1, country)")
    new = shop.replay(priced, pins=["VAT"])
    assert shop.result(new) == shop.result(priced)
    assert new.steps[3].args.data == values.encode({"net": Decimal(101), "country": "de"})


def test_a_pinned_input_keeps_its_result_though_its_query_changed(shop, priced):
    shop.change("net * rate(country)", 'net * rate("fr")')
    assert shop.replay(priced).replay.misses
    new = shop.replay(priced, pins=["Rate"])
    assert shop.result(new) == shop.result(priced)
    assert new.replay.misses == ()


def test_a_pinned_step_raises_what_it_raised(shop):
    shop.jobs("""
        @td.step("Parse")
        def parse(text):
            return int(text)

        @td.job("shop/parse")
        def job(text):
            try:
                return parse(text)
            except ValueError as error:
                return str(error)
        """)
    [trace] = shop.record('job("x")')
    shop.change("int(text)", "7")
    assert shop.result(shop.replay(trace)) == 7
    assert "invalid literal" in shop.result(shop.replay(trace, pins=["Parse"]))


def test_calls_beyond_the_recorded_ones_run_and_are_counted(shop, priced):
    shop.change("for net in nets", "for net in [*nets, Decimal(1)]")
    new = shop.replay(priced, pins=["VAT"], on_miss="stub", sets=['Rate=Decimal("0.5")'])
    assert shop.results(new, "VAT")[3] == Decimal("0.5")
    assert (
        "what-if: 'VAT' pinned to its recorded result "
        "(3 calls, not for 1 that the recording does not have)"
    ) in new.warnings


def test_coroutines_and_generators_are_answered(shop):
    shop.jobs("""
        import asyncio

        @td.step("Fetch")
        async def fetch(n):
            return n

        @td.step("Rows")
        def rows(n):
            yield from range(n)

        @td.job("shop/async")
        async def job(n):
            return [sum(await asyncio.gather(fetch(n), fetch(n + 1))), *rows(n)]
        """)
    [trace] = shop.record("asyncio.run(job(2))")
    assert shop.result(shop.replay(trace)) == [5, 0, 1]
    assert shop.result(shop.replay(trace, sets=["Fetch=10", "Rows=[8, 9]"])) == [20, 8, 9]
    shop.change("yield from range(n)", "yield 77")
    assert shop.result(shop.replay(trace, pins=["Rows"])) == [5, 0, 1]


def test_each_answered_call_gets_an_object_of_its_own(shop):
    shop.jobs("""
        @td.step("Basket")
        def basket():
            return []

        @td.job("shop/fresh")
        def job():
            first = basket()
            first.append(1)
            return [first, basket()]
        """)
    [trace] = shop.record("job()")
    assert shop.result(shop.replay(trace, sets=["Basket=[0]"])) == [[0, 1], [0]]


def test_a_what_if_that_no_call_reaches_says_so(shop, priced):
    shop.change("td.tag(save(total))", "pass")
    new = shop.replay(priced, sets=["Save=1"])
    assert "what-if: 'Save' set to 1 (never reached)" in new.warnings


@pytest.mark.parametrize(
    ("sets", "pins", "slug", "said"),
    [
        (["Vat=1"], [], "step-unknown", "did you mean 'VAT'?"),
        ([], ["Vta"], "step-unknown", "did you mean 'VAT'?"),
        (["VAT=rate"], [], "what-if-invalid", "Decimal("),
        (["VAT"], [], "what-if-invalid", "--set"),
        (["Sum=1"], [], "what-if-invalid", "function"),
        ([], ["done"], "what-if-invalid", "function"),
        ([], ["0"], "what-if-invalid", "function"),
        ([], ["99"], "step-unknown", "line number"),
    ],
)
def test_what_cannot_be_answered_is_an_error_with_a_hint(shop, priced, sets, pins, slug, said):
    with pytest.raises(TracediffError) as caught:
        shop.replay(priced, sets=sets, pins=pins)
    assert caught.value.slug == slug
    assert said in str(caught.value.hint)


def test_a_name_may_hold_an_equals_sign(shop):
    shop.jobs("""
        @td.step("a=b?")
        def same(a, b):
            return a == b

        @td.job("shop/same")
        def job(a, b):
            return same(a, b)
        """)
    [trace] = shop.record("job(1, 1)")
    assert shop.result(shop.replay(trace, sets=["a=b?='=1'"])) == "=1"


def test_the_command_shows_the_what_if_and_a_bad_one_exits_2(shop, priced):
    done = shop.cli("replay", priced.id, "--set", "VAT=1", "--pin", "Save")
    assert done.returncode == 0, done.stderr
    assert "what-if: 'VAT' set to 1 (3 calls)" in done.stdout
    assert "what-if: 'Save' pinned" in done.stdout
    wrong = shop.cli("replay", priced.id, "--set", "Vat=1")
    assert wrong.returncode == 2
    assert "did you mean 'VAT'?" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert shop.cli("replay", priced.id, "--set", "VAT=open('x')").returncode == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-1.5", -1.5),
        ("None", None),
        ("'a b'", "a b"),
        ('Decimal("1.10")', Decimal("1.10")),
        ("Decimal(3)", Decimal(3)),
        ('[Decimal("1"), {"a": (Decimal("NaN"),)}]', [Decimal("1"), {"a": (Decimal("NaN"),)}]),
        ("{1, 2}", {1, 2}),
        ("b'x'", b"x"),
    ],
)
def test_literals_mean_their_objects(text, value):
    assert values.encode(literal(text)) == values.encode(value)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "1 +", "open('x')", "__import__('os')", "Decimal('no number')", "Decimal(1.5)",
        "Decimal('1', 2)", "decimal.Decimal('1')", "[" * 10_000, "f'{1}'",
        "'" + "x" * 200_000 + "'", "1\x00", "10**10**10",
    ],
)  # fmt: skip
def test_what_is_no_literal_is_refused(text):
    with pytest.raises(ReplayError) as caught:
        literal(text)
    assert caught.value.slug == "what-if-invalid"
