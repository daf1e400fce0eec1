"""The page of a trace of 100,000 steps in a real browser: keys, folds, search, values, the map."""

from __future__ import annotations

import hashlib
from contextlib import closing

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # no stubs

from tracediff import values
from tracediff.model import Artifact, ErrorInfo, Step, Value, make_step
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace

pytestmark = [pytest.mark.in_turn, pytest.mark.slow]

MANY = 100_000
SECTION = 2_500
FAILED = 99_000
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c636060"
    "60f80f0001040100e2f3c2c50000000049454e44ae426082"
)


def value(obj):
    return Value(values.encode(obj))


def artifact(name, data):
    sha256 = hashlib.sha256(data).hexdigest()
    return Artifact(name=name, sha256=sha256, size=len(data), media_type="image/png", data=data)


def many_steps():
    """Sections of steps that hold a note each; one far down fails, one near it is unique."""
    arguments, result = value({"country": "SK"}), value({"net": 19})
    error = ErrorInfo(type="shop:NoRate", message="no rate for SK")
    yield Step(parent=-1, kind="job", name="many", duration=MANY, result=value(1))
    for at in range(1, MANY + 1):
        if at % SECTION == 1:
            yield make_step(
                parent=0, kind="note", name=f"Section {at // SECTION}", head=True, start=at
            )
        elif at == FAILED:
            yield make_step(parent=0, kind="step", name="fails", state="error", error=error)
        elif at % 2:
            yield make_step(parent=at - 1, kind="note", name=f"says {at}")
        else:
            yield make_step(parent=0, kind="step", name="rule", args=arguments, result=result)


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    """A project with a very long trace, and one with large values and an image."""
    found = tmp_path_factory.mktemp("traced")
    (found / "pyproject.toml").write_text("[tool.tracediff]\n")
    large = value({"rows": list(range(100_000)), "name": "x" * 9_000, "net": {"amount": 19}})
    few = (
        Step(parent=-1, kind="job", name="price", duration=900, result=large),
        Step(parent=0, kind="note", name="Loading", head=True),
        Step(parent=0, kind="input", name="rate", args=value({"c": "SK"}), result=value(0.2)),
        Step(parent=0, kind="note", name="Prices", head=True, start=400),
        Step(parent=0, kind="step", name="price", result=value(19), duration=400),
    )
    with closing(LocalStore(found / ".tracediff")) as store:
        store.save(
            [
                make_trace("many", steps=tuple(many_steps()), duration=MANY),
                make_trace("few", steps=few, duration=900, artifacts=(artifact("page.png", PNG),)),
            ]
        )
    return found


def focused(page, line):
    """Wait until a line has the focus."""
    page.locator(f"#line-{line}:focus").wait_for()
    return page.locator(".line").count()


def test_a_hundred_thousand_lines_are_walked_folded_and_searched(browse, directory):
    page = browse(directory)("/trace/many", width=1440)

    # To the end and back; few rows are ever there.
    page.keyboard.press("G")
    assert focused(page, MANY) < 4_000
    page.keyboard.press("k")
    focused(page, MANY - 1)
    page.keyboard.press("g")
    focused(page, 0)

    # The next error is in a piece nobody has seen; its link leads there too.
    page.keyboard.press("n")
    focused(page, FAILED)
    page.keyboard.press("Enter")
    page.locator(f"#line-{FAILED} .error-box").get_by_text("no rate for SK").wait_for()
    page.keyboard.press("Escape")
    page.evaluate("location.hash = '#line-54321'")
    focused(page, 54_321)

    # Wherever one scrolls, there are lines.
    for _ in range(8):
        page.mouse.move(600, 400)
        page.mouse.wheel(0, 9_000)
        page.locator(".piece:not([aria-busy]) .line").first.wait_for()
    top = page.evaluate("document.querySelector('.viewer').lines.topmost()")
    page.locator(f"#line-{top}").wait_for(state="attached")
    assert page.locator(".line").count() < 4_000

    # Folded to its sections, all of it is a few lines; a search opens what it finds.
    page.get_by_role("button", name="Fold", exact=True).click()
    page.locator("#line-97501").wait_for()
    page.locator("#line-1").wait_for()
    assert page.locator(".line:visible").count() == 1 + MANY // SECTION
    assert page.locator("#line-97501").get_attribute("aria-expanded") == "false"
    page.keyboard.press("/")
    page.keyboard.type("says 77777")
    page.locator("#line-77777.hit:visible").wait_for()
    assert page.locator("[data-said]").inner_text().startswith("1 of 1")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Unfold", exact=True).click()
    page.locator("#line-77776:visible").wait_for()

    # Only errors: the one, and the section that it is in.
    page.get_by_role("button", name="errors").click()
    page.locator(f"#line-{FAILED}:visible").wait_for()
    assert page.locator(".line:visible").count() == 2
    page.get_by_role("button", name="errors").click()

    # The map leads where it is clicked.
    box = page.locator(".minimap svg").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + box["height"] / 4)
    page.locator(f"#line-{MANY // 4}.current:visible").wait_for()


def test_values_open_level_by_level_and_are_copied_and_searched(browse, directory):
    page = browse(directory)("/trace/few", width=1440)
    page.locator("img.artifact").wait_for()
    assert page.locator("img.artifact").evaluate("one => one.decode().then(() => one.naturalWidth)")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    value = page.locator("#line-0 .values")
    value.get_by_text("100,000 items").click()
    value.get_by_text("99,900 more items").click()
    value.get_by_text("99,800 more items").wait_for()
    assert value.locator('[data-role="index"]').count() == 200
    value.get_by_role("searchbox").fill("amount")
    value.get_by_text("net.amount").wait_for()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    value.get_by_text("net.amount").hover()
    page.locator(".copier").get_by_text("copy").click()
    page.get_by_text("copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "19"


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_a_trace_is_accessible_and_fits_its_window(browse, directory, width, dark):
    page = browse(directory)("/trace/few", width=width, dark=dark)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("#line-0 .values").first.wait_for()
    page.get_by_text("Commands and facts").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog", name="Keys").wait_for(state="hidden")


def test_without_script_each_piece_is_a_link(browse, directory):
    page = browse(directory)("/trace/many", width=1440, script=False)
    page.get_by_role("link", name="Lines 99800 to 99999").click()
    page.locator("#line-99999").wait_for()
