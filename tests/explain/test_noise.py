"""What the recorded code does not reproduce either is no difference, and is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tracediff.api import open_project
from tracediff.explain.certificate import run_again
from tracediff.explain.noise import Certified, without_noise
from tracediff.model import Tolerance

SALTED = """
    import os

    @td.step("Salt")
    def salt():
        return os.urandom(4).hex()

    @td.step("Rate")
    def rate(day):
        return int(os.environ.get("SHOP_RATE", "2"))

    @td.step("Net")
    def net(amount):
        return amount * 3

    @td.job("price")
    def price(amount):
        return {"net": net(amount), "gross": net(amount) * rate("today"), "salt": salt()}
    """


@pytest.fixture
def salted(shop: Any, commit: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A job that reads chance and the environment, neither recorded."""
    shop.jobs(SALTED)
    shop.first = commit("salted")
    shop.trace = shop.record("price(10)")[0]
    monkeypatch.setenv("SHOP_RATE", "5")
    return shop


def cleared(shop: Any, **options: Any) -> Certified:
    found: Certified = shop.project().compare_certified(shop.trace.id, **options)
    return found


def names(found: Certified) -> list[str]:
    steps = found.comparison.old.steps
    return [steps[one.old or 0].name for one in found.noise]


def test_nothing_but_noise_is_the_same(salted: Any) -> None:
    before = salted.project().compare(salted.trace.id)
    assert before.different
    found = cleared(salted)
    assert not found.comparison.different
    assert found.comparison.divergences == ()
    assert found.comparison.first is None
    assert names(found) == ["price", "Rate", "Salt"]
    assert found.certificate.unrecorded == (("Rate",), ("Salt",))
    assert any("differ each time" in said for said in found.comparison.remarks)


def test_a_change_beside_noise_counts_with_its_own_fields_only(salted: Any) -> None:
    salted.change("amount * 3", "amount * 4")
    found = cleared(salted)
    assert found.comparison.different
    first = found.comparison.first
    assert first is not None
    assert found.comparison.old.steps[first.old or 0].name == "Net"
    root = found.comparison.divergences[0]
    # The gross price is another for another rate, and for other code: 60, then 150, then 200.
    assert [change.path for change in root.changes["result"]] == [("net",), ("gross",)]
    assert [change.path for change in found.noise[0].changes["result"]] == [("salt",)]
    assert names(found) == ["price", "Rate", "Salt"]


def test_without_a_second_run_what_may_be_either_is_noise(salted: Any) -> None:
    salted.change("amount * 3", "amount * 4")
    project = salted.project()
    certificate = cleared(salted).certificate
    comparison = project.compare(salted.trace.id)
    found = without_noise(comparison, certificate)
    paths = [change.path for change in found.noise[0].changes["result"]]
    assert paths == [("gross",), ("salt",)]
    assert without_noise(comparison, certificate, again=lambda: None) == found

    def again() -> Any:
        return run_again(salted.trace, project.config)

    assert len(without_noise(comparison, certificate, again=again).noise[0].changes["result"]) == 1


@pytest.mark.slow
def test_steps_and_outputs_that_come_and_go_by_chance_are_noise(shop: Any, commit: Any) -> None:
    shop.jobs("""
        import os

        @td.output("Tell")
        def tell(what):
            pass

        @td.step("Odd")
        def odd():
            return 1

        @td.job("price")
        def price(amount):
            tell("all")
            if os.environ.get("SHOP_ODD"):
                return odd() * amount
            tell("more")
            return amount
        """)
    commit("odd")
    shop.trace = shop.record("price(10)", SHOP_ODD="")[0]
    done = shop.record("price(10)", SHOP_ODD="1")[0]
    assert cleared(shop).noise == ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_ODD", "1")
        assert shop.project().compare(shop.trace.id).different
        found = cleared(shop)
        assert not found.comparison.different
        assert {one.kind for one in found.noise} == {"added", "removed"}
        shop.change('tell("all")', 'tell("few")')
        assert cleared(shop).comparison.different
        shop.change('tell("few")', "pass")
        assert cleared(shop).comparison.different
    assert done.steps


@pytest.mark.slow
def test_a_tolerance_and_strictness_hold_as_without(salted: Any) -> None:
    salted.change("amount * 3", "amount * 4")
    loose = [Tolerance(path="**", rel=0.4)]
    assert not cleared(salted, tolerances=iter(loose)).comparison.different
    salted.change("amount * 4", "amount * 3")
    salted.change('rate("today")', 'rate("now")')
    assert not cleared(salted).comparison.different
    assert cleared(salted, strict_steps=True).comparison.different


@pytest.mark.slow
def test_deep_traces_of_both_sides_are_cleared_too(shop: Any, commit: Any) -> None:
    shop.jobs("""
        import os

        def salt():
            return os.urandom(4).hex()

        def net(amount):
            return amount * 3

        @td.job("price", depth="inputs")
        def price(amount):
            return net(amount), salt()
        """)
    commit("salted")
    shop.trace = shop.record("price(10)")[0]
    found = cleared(shop, deep=True)
    assert not found.comparison.different
    assert names(found) == ["price", "salt"]
    shop.change("amount * 3", "amount * 4")
    found = cleared(shop, deep=True)
    first = found.comparison.first
    assert first is not None
    assert found.comparison.old.steps[first.old or 0].name == "net"


def test_recorded_code_that_cannot_run_leaves_all_as_it_is(salted: Any) -> None:
    (salted.directory / ".git").rename(salted.directory / "gone")
    (salted.directory / ".tracediff/sources").rename(salted.directory / "gone sources")
    salted.change("amount * 3", "amount * 4")
    found = cleared(salted)
    assert not found.certificate.certified
    assert found.noise == ()
    assert found.comparison.different


def test_the_command_shows_what_it_left_out(salted: Any) -> None:
    done = salted.cli("compare", "@last", "--certify")
    assert done.returncode == 0, done.stderr
    assert f"2/5 steps reproduced at {salted.first[:7]}" in done.stdout
    assert "reads something unrecorded: Rate, Salt" in done.stdout
    assert "3 steps differ without a change of the code, and did not count:" in done.stdout
    assert "     Rate: result  2 → 5" in done.stdout
    salted.change("amount * 3", "amount * 4")
    done = salted.cli("compare", "@last", "--certify", "--format", "json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["different"]
    assert found["certificate"]["unrecorded"] == [["Rate"], ["Salt"]]
    assert [one["step"] for one in found["noise"]] == ["price", "Rate", "Salt"]
    assert found["first"]["step"] == "Net"
    done = salted.cli("compare", "@last", "@last", "--certify")
    assert done.returncode == 2
    assert "--certify" in done.stderr


NOISY = """
    import os

    RATE = 2

    @td.job("price", depth="{depth}")
    def price(net):
        return {{"total": net * RATE, "id": os.urandom(8).hex()}}
    """


@pytest.mark.parametrize("depth", ["steps", "inputs"])
def test_noise_alone_is_no_change_and_nobodys_beside_one(
    depth: str, shop: Any, commit: Any
) -> None:
    shop.jobs(NOISY.format(depth=depth))
    commit("first")
    shop.record("price(10)")
    with open_project(start=shop.directory) as project:
        found = project.explain("@last")
        assert not found.comparison.different
        assert (found.noise, found.causes) == (("result.id",), ())
        shop.jobs(NOISY.format(depth=depth).replace("RATE = 2", "RATE = 3"))
        found = project.explain("@last")
    assert found.comparison.different
    assert [cause.units[0].name for cause in found.causes] == ["shop.jobs:RATE"]
    (effect,) = found.effects
    assert effect.path == ("result", "total")
    assert sum(effect.shares) == 10
    assert found.noise == ("result.id",)


BOUND = """
    import os

    @td.input("Rate")
    def rate(place):
        return 5

    @td.job("price")
    def price(amount):
        return amount * rate(os.environ["SHOP_PLACE"]) + 1
    """


@pytest.mark.parametrize(("place", "said"), [(None, "KeyError"), ("there", "it asks for Rate")])
def test_code_that_fails_here_whatever_changed_is_not_the_same(
    shop: Any, commit: Any, monkeypatch: pytest.MonkeyPatch, place: str | None, said: str
) -> None:
    shop.jobs(BOUND)
    commit("bound")
    (shop.trace,) = shop.record("price(10)", SHOP_PLACE="here")
    shop.change("+ 1", "+ 2")
    if place:
        monkeypatch.setenv("SHOP_PLACE", place)
    assert cleared(shop).comparison.different
    with open_project(start=shop.directory) as project:
        found = project.explain(shop.trace.id)
    assert found.comparison.different
    assert found.refused is not None
    assert said in found.refused
