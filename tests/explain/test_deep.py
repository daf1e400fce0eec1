"""In a deep replay the functions of the job's own modules are steps, and stay what they are."""

from __future__ import annotations

from typing import Any

SHAPES = """
    import asyncio, dataclasses, functools, inspect, pickle

    def table(f):
        TABLE["f"] = f
        return f

    TABLE = {}

    @table
    def registered(x):
        return x + 1

    @dataclasses.dataclass(frozen=True)
    class Money:
        cents: int

        def plus(self, more):
            return Money(self.cents + more)

        @property
        def euros(self):
            return self.cents / 100

        @functools.cached_property
        def twice(self):
            return self.cents * 2

        @classmethod
        def of(cls, euros):
            return cls(euros * 100)

        @staticmethod
        def zero():
            return 0

    def items(n):
        yield from range(n)

    async def later(x):
        return x

    @td.step("Marked")
    def marked(x):
        return x

    def fact(n: int, /, *, by: int = 1) -> int:
        return 1 if n < 2 else n * fact(n - 1, by=by)

    @td.job("shapes", depth="inputs")
    def shapes():
        money = Money.of(3).plus(Money.zero())
        assert pickle.loads(pickle.dumps(fact)) is fact
        assert str(inspect.signature(fact)) == "(n: 'int', /, *, by: 'int' = 1) -> 'int'" \\
            or "n: int" in str(inspect.signature(fact))
        assert inspect.iscoroutinefunction(later) and inspect.isgeneratorfunction(items)
        assert "def fact" in inspect.getsource(fact)
        assert money == Money(300)
        return [money.euros, money.twice, sum(items(3)), asyncio.run(later(5)),
                TABLE["f"](1), marked(2), (lambda x: x)(3), fact(3)]
    """


def test_every_sort_of_function_is_a_step_once(shop: Any) -> None:
    shop.jobs(SHAPES)
    trace = shop.record("shapes()")[0]
    assert len(trace.steps) == 1
    deep = shop.replay(trace, deep=True)
    assert shop.result(deep) == shop.result(trace)
    names = [step.name for step in deep.steps[1:]]
    assert sorted(names) == sorted(
        ["Money.of", "Money.plus", "Money.zero", "Money.euros", "Money.twice", "items", "later",
         "registered", "Marked", "fact", "fact", "fact"]
    )  # fmt: skip
    assert deep.depth == "full"
    (outer, middle, inner) = [at for at, step in enumerate(deep.steps) if step.name == "fact"]
    assert (deep.steps[middle].parent, deep.steps[inner].parent) == (outer, middle)
    assert deep.steps[outer].source.file == "shop/jobs.py"


def test_the_setting_says_which_modules(priced: Any) -> None:
    priced.settings('autotrace = ["shop.*", "!shop.rates"]\n')
    deep = priced.replay(priced.trace, deep=True)
    assert [step.name for step in deep.steps] == ["price", "taxed"]


def test_both_sides_of_a_comparison_are_deep(priced: Any, commit: Any) -> None:
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    found = priced.project().compare(priced.trace.id, deep=True)
    assert found.different
    assert [step.name for step in found.old.steps] == ["price", "taxed", "rate"]
    assert found.new.steps[found.first.new].name == "rate"
    done = priced.cli("compare", "@last", "--deep")
    assert done.returncode == 1, done.stderr
    assert "rate" in done.stdout
    assert "taxed" in priced.cli("replay", "@last", "--deep").stdout


def test_too_deep_a_tree_is_cut_and_says_so(shop: Any) -> None:
    shop.jobs("""
        def down(n):
            return 0 if n == 0 else down(n - 1)

        @td.job("deep", depth="inputs")
        def deep():
            return down(150)
        """)
    deep = shop.replay(shop.record("deep()")[0], deep=True)
    assert shop.result(deep) == 0
    assert 90 <= len(deep.steps) <= 100
    assert any("a deep trace ends at 100 levels" in said for said in deep.warnings)


AUTOTRACED = """
    def vat(net, *, rate=2):
        return net * rate

    def spread(n):
        yield from (vat(one) for one in range(n))

    @td.job("full", depth="full")
    def full():
        return sum(spread(30)) + vat(7)
    """


def test_a_trace_of_autotraced_functions_is_replayed_with_them(shop: Any) -> None:
    for more, calls in (("", 31), ("autotrace_values = false\nautotrace_calls = 10\n", 10)):
        shop.settings(f'autotrace = ["shop.*"]\n{more}')
        shop.jobs(AUTOTRACED)
        trace = shop.record("full()")[-1]
        assert sorted(step.name for step in trace.steps[1:]) == ["spread", *["vat"] * calls]
        assert (trace.steps[2].args is None) == bool(more)
        again = shop.replay(trace)
        assert shop.result(again) == shop.result(trace)
        assert [(step.parent, step.name, step.args, step.result) for step in again.steps] == [
            (step.parent, step.name, step.args, step.result) for step in trace.steps
        ]
        assert again.warnings == trace.warnings
        assert bool(trace.warnings) == bool(more)


def test_the_trace_says_what_is_traced_in_its_replay_and_short_calls_are_no_difference(
    shop: Any,
) -> None:
    shop.settings('autotrace = ["shop.*"]\nautotrace_min_duration = 3600\n')
    shop.jobs(AUTOTRACED)
    trace = shop.record("full()")[-1]
    assert [step.name for step in trace.steps] == ["full"]
    shop.settings("")
    again = shop.replay(trace)
    assert sorted(step.name for step in again.steps[1:]) == ["spread", *["vat"] * 31]
    same = shop.project().compare(trace.id)
    assert not same.divergences
    assert any("(spread, vat)" in said for said in same.remarks)
    shop.change("net * rate", "net * rate + 1")
    changed = shop.project().compare(trace.id)
    assert [one.new for one in changed.divergences] == [0]
    shown = shop.cli("show", "@last").stdout
    assert "32 calls are no steps: they took less than 3600 s each: vat (31, " in shown
