"""Pages in one file, opened from disk in a real browser, which asks nobody for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from servers import chromium
from servers.chromium import too_wide
from tracediff import values
from tracediff.compare import compare
from tracediff.model import Step, Value, make_step
from tracediff.reports.pages.onecomparison import comparison_html
from tracediff.reports.pages.onetrace import trace_html
from tracediff.testing import make_trace

pytestmark = [pytest.mark.in_turn, pytest.mark.slow]

MANY = 100_000
FAILED = 99_000
NOW = 1_800_000_000 * 10**9


def value(thing):
    return Value(values.encode(thing))


def many_steps():
    """Steps that hold a note each; one far down fails."""
    arguments, result = value({"country": "SK"}), value({"net": 19})
    yield Step(parent=-1, kind="job", name="many", duration=MANY, result=value(1))
    for at in range(1, MANY + 1):
        if at == FAILED:
            yield make_step(parent=0, kind="step", name="fails", state="error", args=arguments)
        elif at % 2:
            yield make_step(parent=at - 1, kind="note", name=f"says <{at}>")
        else:
            yield make_step(parent=0, kind="step", name="rule", args=arguments, result=result)


def steps(*given):
    many = (Step(parent=0, kind="step", name=name, args=value({"of": name}), result=value(one))
            for name, one in given)  # fmt: skip
    return (Step(parent=-1, kind="job", name="job", result=value(1)), *many)


@pytest.fixture
def opened(browser, tmp_path) -> Iterator[Callable[..., chromium.Visitor]]:
    """A function that opens a page from disk; whatever goes wrong in one fails the test."""
    visitor = chromium.Visitor(browser, f"file://{tmp_path}")

    def opened(text, **context):
        (tmp_path / "page.html").write_text(text, "ascii")
        return visitor("/page.html", **context)

    with chromium.inside(browser):
        yield opened
        visitor.close()
    assert visitor.troubles == []


def focused(page, line):
    page.locator(f"#line-{line}:focus").wait_for()


def test_a_file_of_a_hundred_thousand_lines_is_walked_searched_and_opened(opened):
    text = trace_html(make_trace("many", steps=tuple(many_steps()), duration=MANY), now=NOW)
    page = opened(text, width=1440, offline=True)
    page.locator("#line-1").wait_for()
    page.keyboard.press("G")
    focused(page, MANY)
    page.keyboard.press("g")
    focused(page, 0)

    # The next error is in a piece that nobody has seen; what it was given is in the file.
    page.keyboard.press("n")
    focused(page, FAILED)
    page.keyboard.press("Enter")
    page.locator(f"#line-{FAILED} .opened").get_by_text("'SK'").wait_for()
    page.keyboard.press("Escape")

    # Of a line far from it, the command that shows it.
    page.evaluate("location.hash = '#line-90000'")
    focused(page, 90_000)
    page.keyboard.press("Enter")
    page.locator("#line-90000 .opened").get_by_text("tracediff show many --step 90000").wait_for()
    page.keyboard.press("Escape")

    # Wherever one scrolls, there are lines, and few.
    page.mouse.move(600, 400)
    for _ in range(5):
        page.mouse.wheel(0, -9_000)
        page.locator(".piece:not([aria-busy]) .line").first.wait_for()
    assert page.locator(".line").count() < 4_000

    # What is searched for may be letters that markup has too.
    page.keyboard.press("/")
    page.keyboard.type("says <77777>")
    page.locator("#line-77777.hit:visible").wait_for()
    assert page.locator("[data-said]").inner_text().startswith("1 of 1")


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_a_file_of_a_comparison_shows_both_sides(opened, width, dark):
    equal = [(f"equal {at}", at) for at in range(900)]
    old = make_trace("old", steps=steps(("first", 10), *equal, ("last", 5)))
    new = make_trace("new", steps=steps(("first", 12), *equal, ("last", 6)))
    page = opened(comparison_html(compare(old, new), now=NOW), width=width, dark=dark)
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.locator(".line:focus", has_text="last").wait_for()
    page.keyboard.press("Enter")
    details = page.locator(".line.open .opened")
    details.get_by_text("+1", exact=True).wait_for()
    assert "+20.00%" in details.inner_text()
    page.keyboard.press("Escape")
    page.locator(".line.folds .whole").click()
    page.keyboard.press("End")
    page.get_by_text("equal 899", exact=True).first.wait_for()
    assert too_wide(page) == []


def test_without_a_script_the_verdict_and_the_first_lines_are_read(opened):
    equal = [(f"equal {at}", at) for at in range(900)]
    old, new = (make_trace(name, steps=steps((name, 10), *equal)) for name in ("old", "new"))
    page = opened(comparison_html(compare(old, new), now=NOW), script=False)
    page.get_by_text("equal 300", exact=True).first.wait_for()
    assert page.get_by_text("need the script of this page").count() == 3
