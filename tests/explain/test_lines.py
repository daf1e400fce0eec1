"""The first local variable that differs, with its line on both sides."""

from __future__ import annotations

from typing import Any

from tracediff.explain.hybrids import Hybrids, Task
from tracediff.explain.lines import first_difference
from tracediff.model import Source
from tracediff.replay import checked_out
from tracediff.replay.watching import Watch


def differing(shop: Any, trace: Any, commit: str, unit: str, call: int | None = 0) -> Any:
    config = shop.project().config
    watch = Watch(unit, call)
    tasks = [Task(side="old", watch=watch), Task(side="new", watch=watch)]
    with checked_out(config, commit) as (then, _), Hybrids(trace, then, config) as hybrids:
        found = dict(hybrids.run(tasks))
    where = Source("shop/jobs.py", 1, unit)
    return first_difference(found[0].locals, found[1].locals, old_source=where, new_source=where)


def watched(shop: Any, trace: Any, unit: str) -> Any:
    config = shop.project().config
    with Hybrids(trace, config, config) as hybrids:
        return dict(hybrids.run([Task(side="new", watch=Watch(unit), steps=True)]))[0]


def test_the_first_variable_and_both_lines(priced: Any) -> None:
    priced.change("tax = net * rate()", "rebate = 0\n    tax = net * rate() - 1")
    found = differing(priced, priced.trace, priced.first, "shop.jobs:taxed")
    assert (found.name, found.old, found.new) == ("tax", "20", "19")
    text = (priced.directory / "shop/jobs.py").read_text().splitlines()
    assert "tax = " in text[found.new_source.line - 1]
    assert found.old_source.line == found.new_source.line - 1


def test_the_return_value_counts_and_secrets_stay_sealed(shop: Any, commit: Any) -> None:
    shop.jobs("""
        def one(n):
            password = "hunter" + str(n)
            return n

        @td.job("price")
        def price(net):
            return one(1) + one(net)
        """)
    first = commit("one")
    trace = shop.record("price(10)")[0]
    shop.change("    return n\n", "    return n + 1\n")
    found = differing(shop, trace, first, "shop.jobs:one", 1)
    assert (found.name, found.old, found.new) == ("(returned)", "10", "11")
    shop.change('"hunter"', '"hunted"')
    found = differing(shop, trace, first, "shop.jobs:one", 1)
    assert found.name == "password"
    assert "hunt" not in found.old + found.new


def test_no_difference_is_none(priced: Any) -> None:
    assert differing(priced, priced.trace, priced.first, "shop.jobs:taxed") is None
    assert differing(priced, priced.trace, priced.first, "shop.jobs:nothing") is None


CALLS = """
    def one(n, most=3):
        total = 0
        for at in range(n):
            total += min(at, most)
        return total

    def tree(n):
        return n if n < 2 else tree(n - 1) + tree(n - 2)

    def items(n):
        for at in range(n):
            double = at * 2
            yield double

    @td.job("price")
    def price(net):
        return sum(one(n) for n in range(net)) + tree(4) + sum(a + b for a, b in zip(
            items(3), items(4)))
    """


def test_the_first_call_in_which_a_variable_differs_is_found(shop: Any, commit: Any) -> None:
    shop.jobs(CALLS)
    first = commit("calls")
    trace = shop.record("price(9)")[0]
    shop.change("most=3", "most=4")
    found = differing(shop, trace, first, "shop.jobs:one", None)
    assert (found.name, found.old, found.new) == ("most", "3", "4")
    shop.change("most=4", "most=3")
    shop.change("min(at, most)", "(at if at < 5 else most)")
    found = differing(shop, trace, first, "shop.jobs:one", None)
    # The sixth call is the first that goes as far as 4, and 6 = 0 + 1 + 2 + 3 is what it has then.
    assert (found.name, found.old, found.new) == ("total", "9", "10")
    assert differing(shop, trace, first, "shop.jobs:one", 4) is None
    shop.change("n < 2 else tree(n - 1) + tree(n - 2)", "n < 2 else tree(n - 2) + tree(n - 1)")
    found = differing(shop, trace, first, "shop.jobs:tree", None)
    assert (found.name, found.old, found.new) == ("n", "3", "2")  # of the second call that began
    shop.change("double = at * 2", "double = at * 2 + (at > 2)")
    found = differing(shop, trace, first, "shop.jobs:items", None)
    assert found is None  # the generator that goes so far is asked no more
    shop.change("items(3), items(4)", "items(9), items(4)")
    found = differing(shop, trace, first, "shop.jobs:items", None)
    assert (found.name, found.new) == ("n", "9")


def test_a_call_that_only_one_side_makes_is_the_last_that_is_told(shop: Any, commit: Any) -> None:
    shop.jobs(CALLS)
    first = commit("calls")
    trace = shop.record("price(3)")[0]
    shop.change("range(net))", "range(net + 1))")
    more = differing(shop, trace, first, "shop.jobs:one", None)
    assert (more.name, more.old, more.new) == ("n", None, "3")
    shop.change("range(net + 1))", "range(net - 1))")
    less = differing(shop, trace, first, "shop.jobs:one", None)
    assert (less.name, less.old, less.new, less.new_source) == ("n", "2", None, None)


def test_what_is_followed_is_bounded_and_leaves_the_result(shop: Any, commit: Any) -> None:
    shop.jobs("""
        import sys, weakref

        class Thing:
            pass

        def one(n):
            thing = Thing()
            one.last = weakref.ref(thing)
            return n

        def loop(n):
            for at in range(n):
                pass
            return sys.gettrace() is None

        @td.job("price")
        def price(net):
            alive = 0
            for n in range(net):
                one(n)
                alive += one.last() is not None
            return alive, loop(net * 10)
        """)
    trace = shop.record("price(300)")[0]
    done = watched(shop, trace, "shop.jobs:one")
    assert {one.call for one in done.locals} == set(range(200))
    assert shop.result(done.trace)[0] == 0  # a call's objects live no longer than without
    done = watched(shop, trace, "shop.jobs:loop")
    assert len(done.locals) == 2_000
    assert shop.result(done.trace)[1] is True  # no line is traced once there is enough
