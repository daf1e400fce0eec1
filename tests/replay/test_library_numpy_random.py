"""``numpy.random`` as a library of ``inputs``: the same numbers in a replay, no draw recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tracediff import values
from tracediff.model import Trace, Value

JOBS = """
    import copy, pickle, random, threading
    import numpy as np
    from numpy.random import default_rng, normal
    from concurrent.futures import ThreadPoolExecutor

    HERE = np.random.default_rng()
    SEEDED = default_rng(5)
    BUILT = np.random.Generator(np.random.Philox())
    OLD = np.random.RandomState()

    def numbers(found):
        return [float(one) for one in found]

    @td.job("made")
    def made():
        rng = default_rng()
        first = numbers(rng.normal(size=3)) + [int(rng.integers(1000))]
        others = [np.random.Generator(np.random.MT19937()).random(),
                  np.random.RandomState().random_sample(),
                  np.random.Generator(np.random.SFC64()).random()]
        entropy = np.random.SeedSequence().entropy
        children = numbers(one.random() for one in rng.spawn(2))
        np.random.seed()
        return [first, others, entropy, children, np.random.random()]

    @td.job("seeded")
    def seeded():
        np.random.seed(3)
        rng = np.random.default_rng(7)
        return [rng.random(), np.random.rand(), normal()]

    @td.job("shared")
    def shared():
        drawn = [HERE.random(), SEEDED.random(), BUILT.random(), OLD.rand()]
        drawn += [np.random.normal(), normal(), np.random.mtrand._rand.rand()]
        drawn += numbers(np.random.permutation(4)) + [HERE.random()]
        with td.step("shuffled") as step:
            order = list(range(5))
            HERE.shuffle(order)
            step.result = order
        drawn.append(copy.deepcopy(HERE).random())
        drawn.append(HERE.bit_generator.random_raw() % 1000)
        drawn += numbers(one.random() for one in HERE.spawn(1))
        return [float(one) for one in drawn]

    @td.input("simulated")
    def simulated():
        return float(HERE.random() + np.random.random())

    def elsewhere():
        HERE.random(3)
        np.random.random(3)

    @td.job("between")
    def between():
        found = [HERE.random(), simulated(), HERE.random(), np.random.random()]
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return [float(one) for one in (*found, HERE.random(), np.random.random())]

    @td.job("threads")
    def threads():
        draw = td.propagate(lambda number: float(HERE.random() + np.random.random()))
        with ThreadPoolExecutor(1) as pool:
            return list(pool.map(draw, range(5)))

    @td.job("many")
    def many():
        rng = default_rng()
        return float(sum(rng.random() for _ in range(5000)) + normal(size=10_000).sum())

    @td.job("everything")
    def everything():
        return [made(), seeded(), shared(), between(), threads(), many()]
"""

NAMES = "made seeded shared between threads many".split()


@pytest.fixture(scope="module")
def traces(new_shop: Callable[[], Any]) -> tuple[Any, dict[str, Trace]]:
    shop = new_shop()
    shop.settings('inputs = ["numpy.random"]\n')
    shop.jobs(JOBS)
    found = shop.record(
        "shared(); HERE.random(); np.random.random(); everything(); shared(); many(); seeded()"
    )
    return shop, {one.key: one for one in found}


def names(trace: Trace) -> list[str]:
    return [step.name for step in trace.steps if step.kind == "input"]


@pytest.fixture(scope="module")
def again(traces: tuple[Any, dict[str, Trace]], repeats: Callable[..., Any]) -> dict[str, Any]:
    """What each job gave, which one replay of them all gave as well."""
    shop, by_key = traces
    repeats(shop, by_key["everything"])
    assert not by_key["everything"].warnings
    return dict(zip(NAMES, shop.result(by_key["everything"]), strict=True))


def test_a_replay_draws_the_recorded_numbers(again: dict[str, Any]) -> None:
    assert len(set(map(str, again.values()))) == len(NAMES)


def test_no_draw_is_a_step(traces: tuple[Any, dict[str, Trace]]) -> None:
    _, by_key = traces
    assert names(by_key["many"]) == ["numpy.random seed", "numpy.random state"]
    assert names(by_key["seeded"]) == []


def test_a_generator_is_told_by_where_it_is_kept(traces: tuple[Any, dict[str, Trace]]) -> None:
    _, by_key = traces
    told = [values.inert(one.args)["generator"] for one in by_key["shared"].steps
            if one.name == "numpy.random state"]  # fmt: skip
    assert told[:5] == [
        "shop.jobs:HERE", "shop.jobs:SEEDED", "shop.jobs:BUILT", "shop.jobs:OLD", "numpy.random",
    ]  # fmt: skip


def test_new_code_draws_on_from_the_recorded_state(traces: tuple[Any, dict[str, Trace]]) -> None:
    shop, by_key = traces
    shop = shop.copy(shop.directory.with_name("further"))
    shop.change("for _ in range(5000)", "for _ in range(5001)")
    new = shop.replay(by_key["many"])
    assert not new.replay.misses
    assert 0 < shop.result(new) - shop.result(by_key["many"]) < 1


@pytest.mark.in_turn
def test_a_forged_state_is_refused(traces: tuple[Any, dict[str, Trace]]) -> None:
    shop, by_key = traces
    trace = by_key["many"]
    (at,) = [at for at, one in enumerate(trace.steps) if one.name == "numpy.random state"]
    for name, value in (("pos", 1 << 40), ("key", "no")):
        state = {"bit_generator": "MT19937", "has_gauss": 0, "gauss": 0.0,
                 "state": {"key": [0] * 624, "pos": 0} | {name: value}}  # fmt: skip
        steps = list(trace.steps)
        steps[at] = dataclasses.replace(steps[at], result=Value(values.encode(state)))
        new = shop.replay(dataclasses.replace(trace, steps=tuple(steps)))
        assert new.steps[0].error is not None
        assert "cannot take the recorded state" in new.steps[0].error.message
