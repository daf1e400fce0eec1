"""Many traces attributed at once: the shares of one by one, and what may go wrong on the way."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tracediff import demo
from tracediff.api import open_project
from tracediff.checked import Shares
from tracediff.codefiles import source_reader
from tracediff.config import load_config
from tracediff.errors import ReplayError
from tracediff.explain import portfolio
from tracediff.explain.attribution import attribute
from tracediff.explain.certificate import recorded_code
from tracediff.explain.outcomes import number
from tracediff.explain.portfolio import attribute_many, explained_by
from tracediff.explain.telling import field_name
from tracediff.model import Query, Trace

pytestmark = pytest.mark.in_turn

SETTINGS = '[tool.tracediff]\njobs = ["shop.*"]\n'
JOBS = """
import tracediff as td
from shop import calc

@td.input("Weight")
def weight(number):
    return number % 5

@td.job("price")
def price(number):
    return calc.price(number)
"""
RATES = """
    RATE = {rate}
    FEE = {fee}
    """
CALC = """
    from pathlib import Path
    from shop import jobs
    from shop.rates import FEE, RATE

    def {name}(amount):
        if amount > {most}:
            raise ValueError(f"{{amount}} is too much")
        return amount

    def lines(total, discount):
        return [total, total {sign} 1, discount]

    def fine(number):
        {fine}

    def price(number):
        discount = int(Path(__file__).with_name("discount.txt").read_text())
        heavy = jobs.weight(number) > 3
        total = {name}(number * RATE + (FEE if heavy else 0) - discount + fine(number))
        return {{"total": total, "lines": lines(total, discount), "text": f"{{total}} EUR"}}
    """
ODD = "return jobs.weight(number + 1) if number == 7 else 0"


class Sides:
    """Two directories with a project each, and recordings of the old one."""

    def __init__(self, directory: Path) -> None:
        self.old, self.new = directory / "old", directory / "new"
        self.write("pyproject.toml", SETTINGS)
        self.write("shop/__init__.py", "")
        self.write("shop/jobs.py", JOBS)

    def write(self, name: str, old: str, new: str | None = None) -> None:
        """A file; the same on both sides unless told otherwise."""
        for root, text in ((self.old, old), (self.new, old if new is None else new)):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))

    def record(self, count: int) -> list[Trace]:
        """Run the job on the old side so many times; in the order in which they ran."""
        code = f"""
            from shop.jobs import price
            import tracediff
            for number in range({count}):
                try: price(number)
                except Exception: pass
            tracediff.flush()
            """
        subprocess.run([sys.executable, "-c", dedent(code)], cwd=self.old, check=True, timeout=60)
        found: list[Trace] = []
        with open_project(start=self.old) as project:
            page = project.search(Query(limit=200))
            while True:
                found += [project.resolve(row.id) for row in page.rows]
                if page.cursor is None:
                    break
                page = project.search(Query(limit=200, cursor=page.cursor))
        return sorted(found, key=lambda one: one.started_at)

    def many(self, traces: list[Trace], **options: Any) -> list[Shares]:
        """The shares of traces, in their order."""
        then, config = load_config(self.old), load_config(self.new)
        found = {one.id: one for one in attribute_many(traces, then, config, **options)}
        return [found[one.id] for one in traces]

    def same_as_one_by_one(self, traces: list[Trace], found: list[Shares]) -> None:
        """Compare with what each trace gives by itself."""
        for trace, shares in zip(traces, found, strict=True):
            assert said(shares) == alone(trace, self)
            adds_up(trace, shares)


def said(shares: Shares) -> tuple[Any, ...]:
    """Shares by the units of their changes, whatever their order."""
    names = [" + ".join(one.units) for one in shares.changes]
    return (
        {
            field: {names[at]: one for at, one in enumerate(amounts) if one}
            for field, amounts in shares.numbers.items()
        },
        {field: {names[at] for at in some} for field, some in shares.others.items()},
        set(shares.noise),
        shares.refused,
    )


def alone(trace: Trace, sides: Sides) -> tuple[Any, ...]:
    """The same of one attribution."""
    found = attribute(trace, load_config(sides.old), load_config(sides.new), details=False)
    names = [" + ".join(unit.name for unit in cause.units) for cause in found.causes]
    numbers, others = {}, {}
    for effect in found.effects:
        name = field_name(effect.path)
        shares = {names[at]: one for at, one in enumerate(effect.shares) if one}
        before, after = number(effect.old), number(effect.new)
        if effect.kind == "number":
            numbers[name] = shares
            continue
        others[name] = set(shares)
        if before is not None and after is not None:
            numbers[name] = {one: (after - before) * part for one, part in shares.items()}
    return numbers, others, set(found.noise), found.refused


def adds_up(trace: Trace, shares: Shares) -> None:
    """Each change has a share in something."""
    assert all(len(one) == len(shares.changes) for one in shares.numbers.values())
    guilty = {at for some in shares.others.values() for at in some}
    guilty |= {at for one in shares.numbers.values() for at, share in enumerate(one) if share}
    assert guilty == set(range(len(shares.changes)))


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """No trace may be explained by itself: that would give the same, and take far longer."""

    def fail(trace: Trace, *_: object, **__: object) -> None:
        pytest.fail(f"{trace.id} is explained alone")

    monkeypatch.setattr(portfolio, "attribute", fail)


@pytest.fixture
def shop(sides: Sides) -> Sides:
    """Constants, a data file, a function with another name, errors, and a miss."""
    sides.write("shop/rates.py", RATES.format(rate=2, fee=10), RATES.format(rate=3, fee=4))
    sides.write(
        "shop/calc.py",
        CALC.format(name="limited", most=30, sign="+", fine="return 0"),
        CALC.format(name="capped", most=25, sign="-", fine=ODD),
    )
    sides.write("shop/discount.txt", "1", "2")
    return sides


@pytest.mark.usefixtures("together")
def test_shares_are_those_of_one_by_one(shop: Sides) -> None:
    traces = shop.record(14)
    found = shop.many(traces)
    some = [4, 7, 13]
    shop.same_as_one_by_one([traces[at] for at in some], [found[at] for at in some])
    assert "were not recorded: Weight" in (found[7].refused or "")
    changes = {one.units: one for each in found for one in each.changes}
    assert ("shop.rates:RATE",) in changes
    assert changes["shop/discount.txt",].kind == "data file"
    fee = changes["shop.rates:FEE",]
    assert (fee.file, fee.line, fee.hunk) == ("shop/rates.py", 3, ("-FEE = 10", "+FEE = 4"))


def test_what_a_change_is_called_holds_whatever_else_changes(shop: Sides) -> None:
    traces = shop.record(10)

    def ids() -> Mapping[tuple[str, ...], str]:
        return {one.units: one.id for each in shop.many(traces) for one in each.changes}

    first = ids()
    assert len(set(first.values())) == len(first) >= 5
    assert all(len(one) == 8 and set(one) <= set("0123456789abcdef") for one in first.values())
    text = (shop.new / "shop/calc.py").read_text()
    (shop.new / "shop/calc.py").write_text(f'"""Prices."""\n\n\n{text}\n# more\n')
    (shop.new / "shop/rates.py").write_text("RATE = 3\n# less\nFEE = 5\n")
    second = ids()
    assert second.keys() == first.keys()
    assert [one for one in first if first[one] != second[one]] == [("shop.rates:FEE",)]


def test_a_helper_that_came_along_belongs_to_what_the_change_is(sides: Sides) -> None:
    text = "def price(number):\n    return number\n"
    helper = "def more(number):\n    return number + {}\n\n"
    sides.write("shop/calc.py", text)
    traces, found = sides.record(1), []
    for amount in (1, 2):
        helped = helper.format(amount) + text.replace("return number", "return more(number)")
        (sides.new / "shop/calc.py").write_text(helped)
        (change,) = sides.many(traces)[0].changes
        found.append((change.units, change.id))
    assert found[0][0] == found[1][0] == ("shop.calc:price",)
    assert found[0][1] != found[1][1]


def test_a_trace_explained_alone_has_the_same_changes(
    shop: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = shop.record(5)[4:]
    (together,) = shop.many(traces)

    def fail(*_: object) -> None:
        raise ReplayError("the worker ended", slug="explain-failed", hint="")

    monkeypatch.setattr("tracediff.explain.games.Games.play", fail)
    (by_itself,) = shop.many(traces)
    assert said(by_itself) == said(together)
    assert set(by_itself.changes) == set(together.changes)


def test_accepted_changes_explain_a_trace_or_do_not(shop: Sides) -> None:
    traces = shop.record(14)
    found = shop.many(traces)
    then, config = load_config(shop.old), load_config(shop.new)
    ids = {one.units[0].rpartition(":")[2]: one.id for each in found for one in each.changes}

    def covered(*names: str) -> set[str]:
        accepted = frozenset(ids[one] for one in names) | {"00000000"}
        return {one for one, so in explained_by(traces, then, config, accepted) if so}

    assert covered() == set()
    everything = covered(*ids)
    assert everything == {one.id for one in found if one.changes}
    few = covered("RATE", "lines", "shop/discount.txt")
    assert few == {
        one.id for one in found
        if one.changes and {unit.rpartition(":")[2] for it in one.changes for unit in it.units}
        <= {"RATE", "lines", "shop/discount.txt"}
    }  # fmt: skip
    assert 0 < len(few) < len(everything)


@pytest.mark.usefixtures("together")
def test_units_that_cannot_run_apart_are_one_change_that_can_be_accepted(sides: Sides) -> None:
    text = """
        def net({parameters}):
            return {net}
        def price(number):
            return net({arguments}) + number
        """
    sides.write(
        "shop/calc.py",
        text.format(parameters="number", net="number", arguments="number"),
        text.format(parameters="number, rate", net="number * rate", arguments="number, 3"),
    )
    traces = sides.record(6)
    found = sides.many(traces)
    sides.same_as_one_by_one(traces[:3], found[:3])
    (change,) = found[1].changes
    assert change.units == ("shop.calc:net", "shop.calc:price")
    then, config = load_config(sides.old), load_config(sides.new)
    accepted = explained_by(traces, then, config, frozenset([change.id]))
    assert dict(accepted) == {one.id: True for one in traces}


CACHED = """
    @lru_cache
    def rate(kind):
        return RATES[kind] * {}
    """
KEPT = """
    KNOWN = {{}}

    def rate(kind):
        if kind not in KNOWN:
            KNOWN[kind] = work(kind)
        return KNOWN[kind]

    def work(kind):
        return RATES[kind] * {}
    """


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("cache", [CACHED, KEPT], ids=["functools", "its-own"])
def test_what_a_job_keeps_for_the_next_changes_no_shares(sides: Sides, cache: str) -> None:
    text = (
        "from functools import lru_cache\nRATES = [1, {}]\n"
        f"{dedent(cache)}\ndef price(number):\n    return number * rate(number % 2) + {{}}\n"
    )
    sides.write("shop/calc.py", text.format(2, 5, 0), text.format(3, 7, 1))
    traces = sides.record(8)
    found = sides.many(traces)
    sides.same_as_one_by_one(traces[4:6], found[4:6])
    for trace, shares in zip(traces, found, strict=True):
        at = int(trace.steps[0].result is not None and traces.index(trace))
        new = at * [1, 3][at % 2] * 7 + 1
        assert sum(shares.numbers["result"]) == new - at * [1, 2][at % 2] * 5


@pytest.mark.usefixtures("together")
def test_a_job_that_counts_its_calls_is_run_apart(sides: Sides) -> None:
    text = """
        CALLS = []
        def price(number):
            CALLS.append(1)
            return number + {} * len(CALLS)
        """
    sides.write("shop/calc.py", text.format(1), text.format(3))
    traces = sides.record(3)
    (first, *others) = sides.many(traces)
    assert said(first)[0] == {"result": {"shop.calc:price": 2}}
    assert all("gives another result now" in (one.refused or "") for one in others)


@pytest.mark.usefixtures("together")
def test_noise_is_told_apart_from_changes(sides: Sides) -> None:
    text = "import os\ndef price(number):\n    return {{'id': os.urandom(8), 'net': {}}}\n"
    sides.write("shop/calc.py", text.format("number"), text.format("number * 2"))
    traces = sides.record(3)
    found = sides.many(traces)
    assert [one.noise for one in found] == [("result.id",)] * 3
    assert [said(one)[0] for one in found] == [
        {}, {"result.net": {"shop.calc:price": 1}}, {"result.net": {"shop.calc:price": 2}},
    ]  # fmt: skip


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("ending", ["os._exit(3)", "os.kill(os.getpid(), 9)", "bytes(1 << 42)"])
def test_a_mixture_that_ends_its_process_makes_one_change_of_two(sides: Sides, ending: str) -> None:
    text = """
        import os
        SAFE = {safe}
        def danger(number):
            return {danger}
        def price(number):
            return SAFE or danger(number)
        """
    sides.write(
        "shop/calc.py", text.format(safe=1, danger=ending), text.format(safe=0, danger="number + 5")
    )
    traces = sides.record(5)
    found = sides.many(traces)
    sides.same_as_one_by_one(traces[:1], found[:1])
    assert [said(one)[0] for one in found] == [
        {"result": {"shop.calc:SAFE + shop.calc:danger": at + 4}} for at in range(5)
    ]
    assert len({one.changes[0].id for one in found}) == 1


@pytest.mark.usefixtures("together")
@pytest.mark.slow
def test_a_mixture_that_never_ends_costs_its_time_twice_and_not_for_each_trace(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
        def step():
            return {step}
        def price(number):
            total, left = number, 4
            while left {test}:
                left -= step()
                total += 1
            return total
        """
    sides.write("shop/calc.py", text.format(step=1, test="!= 0"), text.format(step=3, test="> 0"))
    traces = sides.record(40)
    monkeypatch.setattr("tracediff.explain.bulk.LEAST_LIMIT", 1.0)
    begun = time.monotonic()
    found = sides.many(traces)
    assert {tuple(said(one)[0]["result"].items()) for one in found} == {
        (("shop.calc:step + shop.calc:price", Fraction(-2)),)
    }
    assert time.monotonic() - begun < 40, "a second for each trace would be more"


@pytest.mark.usefixtures("together")
def test_another_revision_may_be_the_old_side(shop: Sides) -> None:
    traces = shop.record(6)
    then = shop.new.parent / "then"
    subprocess.run(["cp", "-r", shop.old, then], check=True)
    (then / "shop/rates.py").write_text("RATE = 5\nFEE = 4\n")
    found = {
        one.id: one
        for one in attribute_many(traces, load_config(then), load_config(shop.new), recorded=False)
    }
    assert {units for one in found.values() for it in one.changes for units in it.units} >= {
        "shop.rates:RATE", "shop.calc:lines",
    }  # fmt: skip
    one = found[traces[4].id]
    assert one.noise == ()
    assert sum(one.numbers["result.total"]) == (4 * 3 + 4 - 2) - (4 * 5 + 4 - 1)


def test_traces_are_taken_a_few_at_a_time_and_progress_is_told(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides.write(
        "shop/calc.py", "def price(number):\n    return 1\n", "def price(number):\n    return 2\n"
    )
    monkeypatch.setattr(portfolio, "CHUNK", 4)
    traces, taken, done = sides.record(10), [], []

    def given() -> Iterator[Trace]:
        for one in traces:
            taken.append(one.id)
            yield one

    then, config = load_config(sides.old), load_config(sides.new)
    found = attribute_many(given(), then, config, progress=done.append)
    assert next(found).id == traces[0].id
    assert len(taken) == 4
    assert len(list(found)) == 9
    assert done == list(range(1, 11))


def children(of: int) -> list[int]:
    """All processes below one."""
    said = Path(f"/proc/{of}/task/{of}/children").read_text().split()
    return [one for each in map(int, said) for one in (each, *children(each))]


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def soon(true: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether something is so before long."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("least", [2, 3])
def test_an_interrupt_leaves_no_process(
    sides: Sides, tmp_path: Path, sign: int, least: int
) -> None:
    text = "import os, time\ndef price(number):\n    time.sleep({})\n    return {}\n"
    sides.write("shop/calc.py", text.format(0, 1), text.format(600, 2))
    sides.record(3)
    slow = (sides.old / "shop/calc.py").read_text().replace("sleep(0)", "sleep(600)")
    (sides.old / "shop/calc.py").write_text(slow)
    code = f"""
        from pathlib import Path
        from tracediff.api import open_project
        from tracediff.config import load_config
        from tracediff.explain.portfolio import attribute_many
        from tracediff.model import Query
        then, config = load_config(Path({str(sides.old)!r})), load_config(Path({str(sides.new)!r}))
        with open_project(start=Path({str(sides.old)!r})) as project:
            traces = [project.resolve(one.id) for one in project.search(Query()).rows]
            list(attribute_many(traces, then, config))
        """
    process = subprocess.Popen(
        [sys.executable, "-c", dedent(code)], stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        assert soon(lambda: len(children(process.pid)) >= least, 120), "a worker, and children"
        below = children(process.pid)
        os.kill(process.pid, sign)
        process.wait(30)
        assert soon(lambda: not any(map(is_running, below)))
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_five_times_as_many_traces_take_no_more_memory(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
        RATE = {}
        def price(number):
            return {{"total": number * RATE, "texts": ["x" * 100_000]}}
        """
    sides.write("shop/calc.py", text.format(2), text.format(3))
    monkeypatch.setattr(portfolio, "CHUNK", 26)
    traces = sides.record(40)
    then, config = load_config(sides.old), load_config(sides.new)
    peaks = []
    for turns in (1, 5):
        gc.collect()
        tracemalloc.start()
        given = (one for _ in range(turns) for one in traces)
        assert sum(len(one.changes) for one in attribute_many(given, then, config)) == turns * 39
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


@pytest.mark.slow
def test_the_changed_traces_of_the_example_are_shared_as_one_by_one(tmp_path: Path) -> None:
    made = demo.build(tmp_path / "demo", jobs=60)
    with open_project(start=made.directory) as project:
        config = project.config
        traces = [project.resolve(one.id) for one in project.search(Query(limit=100)).rows]
        load = source_reader(config.root, lambda: project.store)
        with recorded_code(traces[0], config, load) as (then, *_):
            found = {one.id: one for one in attribute_many(traces, then, config)}
            changed = [one for one in traces if found[one.id].changes]
            assert len(changed) > 10
            for trace in changed[:3]:
                one = attribute(trace, then, config, details=False)
                shares = found[trace.id]
                names = [unit.name for cause in one.causes for unit in cause.units]
                assert {name for it in shares.changes for name in it.units} == set(names)
                for effect in one.effects:
                    pairs = zip(
                        shares.changes, shares.numbers[field_name(effect.path)], strict=True
                    )
                    by_name = {change.units[0]: share for change, share in pairs}
                    assert by_name == dict(zip(names, effect.shares, strict=True))
            commits = {it.units[0]: it.commit for one in found.values() for it in one.changes}
            assert commits["pricing.duty:DUTY_RATES"] == made.changes["duty"]
            assert commits["pricing.weights:VOLUMETRIC_DIVISOR"] == made.changes["volumetric"]
