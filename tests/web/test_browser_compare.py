"""Two traces side by side in a real browser: keys, filters, folds, links, details, both widths."""

from __future__ import annotations

from contextlib import closing

import pytest

from tracediff import values
from tracediff.model import Step, Value
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace

pytestmark = [pytest.mark.in_turn, pytest.mark.slow]


def value(thing):
    return Value(values.encode(thing))


def steps(*given):
    """Steps of ``(depth, name, result)`` below a job."""
    found = [make_trace().steps[0]]
    above = {0: 0}
    for depth, name, result in given:
        above[depth] = len(found)
        found.append(Step(parent=above[depth - 1], kind="step", name=name, args=value({"of": name}),
                          result=value(result)))  # fmt: skip
    return tuple(found)


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    """A project with two traces: two changes far apart, a moved step, hundreds that are equal."""
    many = [(1, f"equal {at}", at) for at in range(600)]
    old = steps((1, "first", {"net": 10, "vat": 2}), (2, "goes along", 7), *many, (1, "last", 5))
    new = steps((1, "first", {"net": 12, "vat": 2}), *many, (1, "last", 6), (2, "goes along", 7))
    found = tmp_path_factory.mktemp("compared")
    (found / "pyproject.toml").write_text("[tool.tracediff]\n")
    with closing(LocalStore(found / ".tracediff")) as store:
        store.save([make_trace("old", steps=old), make_trace("new", steps=new)])
    return found


def name(page, *, of=None):
    """The name of the line that has the focus, once it is one of ``of``'s name."""
    wanted = f"() => document.activeElement.querySelector?.('.name')?.textContent === {of!r}"
    page.wait_for_function(wanted if of else "() => document.activeElement.matches('.line')")
    return page.locator(":focus .name").first.inner_text()


def test_two_traces_are_looked_through_by_keys_filters_folds_and_links(browse, directory):
    page = browse(directory)("/compare/old/new", width=1440)
    lines = page.locator(".line:visible")

    # A fold in place of what is equal; the next change is in a piece that is not there yet.
    assert "600 unchanged steps" in page.locator(".line.folds").inner_text()
    for key, wanted in zip("nnnp", ["first", "last", "goes along", "last"], strict=True):
        page.keyboard.press(key)
        assert name(page, of=wanted) == wanted

    # Details of both sides.
    page.keyboard.press("Enter")
    details = page.locator(".line.open .opened")
    details.get_by_text("+1", exact=True).wait_for()
    assert "+20.00%" in details.inner_text()
    page.keyboard.press("Escape")
    details.wait_for(state="hidden")

    # A filter keeps its lines with what they are in, and the way to the next change.
    moved = page.get_by_role("button", name="moved 1")
    moved.click()
    page.wait_for_function("() => document.querySelectorAll('.line:not([hidden])').length < 9")
    names = page.locator(".line:visible .side:not(.none) .name").all_inner_texts()
    assert set(names) == {"price", "first", "last", "goes along"}
    page.keyboard.press("g")
    page.keyboard.press("n")
    assert name(page, of="goes along") == "goes along"
    assert moved.get_attribute("aria-pressed") == "true"

    # A moved step and the place that it left lead to each other.
    page.get_by_role("link", name="now here").click()
    page.wait_for_function("() => document.activeElement.innerText.includes('was here')")
    page.locator(":focus").get_by_role("link", name="was here").click()
    page.wait_for_function("() => document.activeElement.innerText.includes('now here')")
    moved.click()

    # The fold opens in place, and its pieces come when they are near.
    before = lines.count()
    page.locator(".line.folds .whole").click()
    page.wait_for_function(
        f"() => document.querySelectorAll('.line:not([hidden])').length > {before} + 50"
    )
    assert page.get_by_text("equal 3", exact=True).count() == 2
    page.keyboard.press("G")
    page.get_by_text("equal 599", exact=True).first.wait_for()


def test_both_halves_are_side_by_side_or_on_a_phone_below_each_other(browse, directory):
    visit = browse(directory)
    boxes = []
    for width in (1440, 390):
        page = visit("/compare/old/new", width=width, dark=width == 390)
        line = page.locator(".line.differs", has_text="first").first
        boxes.append([line.locator(f".side.{side}").bounding_box() for side in ("old", "new")])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    (old, new), (above, below) = boxes
    assert abs(new["y"] - old["y"]) < 1
    assert abs(new["width"] - old["width"]) < 1
    assert below["y"] >= above["y"] + above["height"] - 1
    assert abs(above["x"] - below["x"]) < 1
