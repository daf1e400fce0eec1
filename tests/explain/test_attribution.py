"""Attribution on what goes wrong: loops, memory, dead processes, noise, many units, odd code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tracediff.api import open_project
from tracediff.config import load_config
from tracediff.explain.attribution import Attribution, attribute
from tracediff.model import Query, Trace

pytestmark = pytest.mark.in_turn

SETTINGS = '[tool.tracediff]\njobs = ["shop.*"]\n'
JOBS = """
import tracediff as td
from shop import calc

@td.job("price")
def price():
    return calc.price()
"""


class Sides:
    """Two directories with a project each, and a recording of the old one."""

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

    def record(self, *path: str) -> Trace:
        """Run the job on the old side, with directories in front of the import path."""
        code = "from shop.jobs import price\ntry: price()\nexcept Exception: pass"
        subprocess.run(
            [sys.executable, "-c", f"{code}\nimport tracediff; tracediff.flush()"],
            cwd=self.old,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*path, str(self.old)])},
            check=True,
            timeout=60,
        )
        with open_project(start=self.old) as project:
            return project.resolve(project.search(Query(limit=1)).rows[0].id)

    def attribute(self, **options: Any) -> Attribution:
        """Record and attribute."""
        trace = self.record()
        return attribute(trace, load_config(self.old), load_config(self.new), **options)


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


def shares(found: Attribution, path: tuple[str | int, ...] = ("result",)) -> dict[str, Fraction]:
    """The share of each cause in a field, by its units' names."""
    assert found.refused is None
    effect = next(one for one in found.effects if one.path == path)
    assert sum(effect.shares) == effect.change
    return {
        " + ".join(unit.name.removeprefix("shop.") for unit in cause.units): share
        for cause, share in zip(found.causes, effect.shares, strict=True)
    }


def test_the_result_itself_varies_from_run_to_run(sides: Sides) -> None:
    text = "import os\ndef price():\n    return {{'id': os.urandom(8), 'net': {}}}\n"
    sides.write("shop/calc.py", text.format(1), text.format(3))
    found = sides.attribute()
    assert found.noise == ("result.id",)
    assert shares(found, ("result", "net")) == {"calc:price": 2}


def test_nothing_but_noise_has_no_cause(sides: Sides) -> None:
    sides.write("shop/calc.py", "import os\ndef price():\n    return os.urandom(8)\n")
    found = sides.attribute()
    assert (found.causes, found.effects, found.refused) == ((), (), None)
    assert found.noise == ("result",)


@pytest.mark.slow
def test_a_mixture_that_never_ends_makes_one_player_of_two(sides: Sides) -> None:
    text = """
        def step():
            return {step}
        def price():
            total, left = 0, 4
            while left {test}:
                left -= step()
                total += 1
            return total
        """
    sides.write("shop/calc.py", text.format(step=1, test="!= 0"), text.format(step=3, test="> 0"))
    found = sides.attribute()
    assert shares(found) == {"calc:step + calc:price": -2}
    assert found.causes[0].merged == "apart, they do not come to an end"


@pytest.mark.parametrize(
    ("ending", "why"),
    [
        ("os._exit(3)", "apart, they end the process"),
        ("os.kill(os.getpid(), 9)", "apart, they end the process"),
        ("bytes(1 << 40)", "they take too much memory|MemoryError"),
        ("[].pop()", "IndexError"),
    ],
)
def test_a_mixture_that_dies_makes_one_player_of_two(sides: Sides, ending: str, why: str) -> None:
    text = """
        import os
        SAFE = {safe}
        def danger():
            return {danger}
        def price():
            return SAFE or danger()
        """
    sides.write("shop/calc.py", text.format(safe=1, danger=ending), text.format(safe=0, danger="5"))
    found = sides.attribute()
    assert shares(found) == {"calc:SAFE + calc:danger": 4}
    assert any(one in (found.causes[0].merged or "") for one in why.split("|"))


def test_what_a_job_prints_and_leaves_behind_spoils_nothing(sides: Sides) -> None:
    text = """
        import os, subprocess, sys, threading, time
        def price():
            print("x" * 100_000); sys.stderr.write("y" * 100_000)
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            os.chdir("/")
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            return {}
        """
    sides.write("shop/calc.py", text.format(1), text.format(2))
    assert shares(sides.attribute()) == {"calc:price": 1}


def test_an_exception_of_one_side_is_a_result(sides: Sides) -> None:
    text = """
        LIMIT = {}
        def price():
            if LIMIT < 5:
                raise ValueError("low")
            return 7
        """
    sides.write("shop/calc.py", text.format(9), text.format(1))
    found = sides.attribute()
    assert shares(found, ("error",)) == {"calc:LIMIT": 1}
    assert {one.path for one in found.effects} == {("result",), ("error",)}


def test_code_that_cannot_be_imported_any_more_is_refused(sides: Sides) -> None:
    sides.write("shop/calc.py", "def price():\n    return 1\n", "def price():\n    return 2\n")
    trace = sides.record()
    (sides.old / "shop/calc.py").write_text("import nowhere_to_be_found\n")
    found = attribute(trace, load_config(sides.old), load_config(sides.new))
    assert found.refused is not None
    assert "the recorded code cannot be run" in found.refused
    assert "nowhere_to_be_found" in found.refused


def test_inputs_that_nobody_recorded_are_named(sides: Sides) -> None:
    text = """
        import tracediff as td
        @td.input("stock")
        def stock(name):
            return 3
        def price():
            return stock("{}")
        """
    sides.write("shop/calc.py", text.format("a"), text.format("b"))
    found = sides.attribute()
    assert found.refused is not None
    assert "inputs that were not recorded: stock" in found.refused


@pytest.mark.slow
def test_two_hundred_and_fifty_units_of_which_three_matter(sides: Sides) -> None:
    def module(side: int) -> str:
        lines = [
            f"def f{at}(x):\n    return x + {at % 7 - 3} + {side} - {side}\n" for at in range(250)
        ]
        for guilty, amount in ((17, 5), (111, 11), (200, 2)):
            lines[guilty] = f"def f{guilty}(x):\n    return x + {side * amount}\n"
        calls = "".join(f"    x = f{at}(x)\n" for at in range(250))
        return "".join(lines) + f"def price():\n    x = 0\n{calls}    return x\n"

    sides.write("shop/calc.py", module(0), module(1))
    found = sides.attribute()
    assert shares(found) == {"calc:f111": 11, "calc:f17": 5, "calc:f200": 2}
    assert len(found.innocent) == 247
    assert found.remarks


@pytest.mark.slow
def test_fourteen_causes_are_shared_without_all_mixtures(sides: Sides) -> None:
    def module(side: int) -> str:
        lines = [f"def f{at}(x):\n    return x + {side * (at + 1)}\n" for at in range(14)]
        calls = "".join(f"    x = f{at}(x)\n" for at in range(14))
        return "".join(lines) + f"def price():\n    x = 0\n{calls}    return x\n"

    sides.write("shop/calc.py", module(0), module(1))
    found = sides.attribute()
    assert found.method == "sampling"
    assert shares(found) == {f"calc:f{at}": at + 1 for at in range(13, -1, -1)}


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_units_makes_no_difference(sides: Sides, order: int) -> None:
    def module(side: int) -> str:
        lines = [
            f"def rate():\n    return {2 + side}\n",
            f"def amount():\n    return {10 + 5 * side}\n",
            f"def fee():\n    return {side}\n",
        ][::order]
        return "".join(lines) + "def price():\n    return rate() * amount() + fee()\n"

    sides.write("shop/calc.py", module(0), module(1))
    assert shares(sides.attribute()) == {
        "calc:rate": Fraction(25, 2),
        "calc:amount": Fraction(25, 2),
        "calc:fee": 1,
    }


def test_lambdas_closures_and_generated_code(sides: Sides) -> None:
    text = """
        import functools
        def times(factor):
            def of(x):
                return x * factor
            return of
        def plus(amount):
            def decorate(function):
                @functools.wraps(function)
                def wrapped(*args):
                    return function(*args) + amount
                return wrapped
            return decorate
        TWICE = times({factor})
        LATER = lambda x: x + {later}
        exec("def made(x):\\n    return x - {made}")
        @plus({plus})
        def base():
            return 100
        def price():
            return made(LATER(TWICE(base())))
        """
    old = text.format(factor=2, later=1, made=1, plus=0)
    new = text.format(factor=3, later=11, made=2, plus=10)
    sides.write("shop/calc.py", dedent(old), dedent(new))
    found = shares(sides.attribute())
    assert found == {
        "calc:TWICE": 105,
        "calc:base": 25,
        "calc:LATER": 10,
        "calc:exec(…)": -1,
    }


def test_a_data_file_is_a_cause_and_the_project_stays_as_it_is(sides: Sides) -> None:
    sides.write(
        "shop/calc.py",
        """
        import json, pathlib
        RATES = json.loads(pathlib.Path(__file__).with_name("rates.json").read_text())
        def price():
            return RATES["vat"] + int(open("shop/fee.txt").read())
        """,
    )
    sides.write("shop/rates.json", '{\n"a": 1,\n"vat": 19\n}', '{\n"a": 1,\n"vat": 21\n}')
    sides.write("shop/fee.txt", "1", "4")
    found = sides.attribute()
    assert shares(found) == {"shop/fee.txt": 3, "shop/rates.json": 2}
    unit = found.causes[1].units[0]
    assert unit.new is not None
    assert (unit.new.first, unit.new.last) == (3, 3)
    assert (sides.new / "shop/fee.txt").read_text() == "4"


def test_progress_is_told(sides: Sides) -> None:
    text = "A = {0}\nB = {0}\ndef price():\n    return A + B\n"
    sides.write("shop/calc.py", text.format(1), text.format(2))
    said: list[str] = []
    tell: Callable[[str], None] = said.append
    sides.attribute(progress=tell)
    assert said[0] == "running the old and the new code"
    assert any("mixtures" in one for one in said)


def test_the_line_of_a_guard_that_is_gone_is_the_one_in_its_place(sides: Sides) -> None:
    sides.write(
        "shop/calc.py",
        '''
        def price():
            """In cents."""
            net = 10
            if net > 5:
                return 5
            return net
        ''',
        '''
        def price():
            """In cents."""
            net = 10
            return net
        ''',
    )
    found = sides.attribute()
    line = found.causes[0].line
    assert line is not None
    assert (line.file, line.line) == ("shop/calc.py", 5)


def test_a_renamed_function_beside_a_change_is_no_unit(sides: Sides) -> None:
    sides.write(
        "shop/calc.py",
        """
        STEP = 2
        def round_up(amount):
            return amount + STEP
        def price():
            return round_up(10)
        """,
        """
        STEP = 3
        def up(amount):
            return amount + STEP
        def price():
            return up(10)
        """,
    )
    found = sides.attribute()
    assert shares(found) == {"calc:STEP": 1}
    assert found.innocent == ()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_got_another_name_and_another_body_is_the_cause_and_not_its_caller(
    sides: Sides, elsewhere: bool
) -> None:
    old = "RATE = 3\ndef tax(net):\n    return net * RATE\n"
    new = "RATE = 4\ndef vat(net):\n    return net * RATE + 1\n"
    body = "def price():\n    return {name}(10)\n"
    if elsewhere:
        sides.write("shop/taxes.py", old, new)
        imported = "from shop.taxes import {name}\n"
        sides.write(
            "shop/calc.py",
            *((imported + body).format(name=one) for one in ("tax", "vat")),
        )
    else:
        sides.write("shop/calc.py", old + body.format(name="tax"), new + body.format(name="vat"))
    found = sides.attribute()
    module = "taxes" if elsewhere else "calc"
    assert shares(found) == {f"{module}:RATE": 10, f"{module}:vat": 1}
    assert {one.line.line for one in found.causes if one.line} == {1, 3}


def test_callers_that_disagree_name_no_successor(sides: Sides) -> None:
    sides.write(
        "shop/calc.py",
        """
        def tax(net): return net * 3
        def one(): return tax(1)
        def other(): return tax(2)
        def price(): return one() + other()
        """,
        """
        def vat(net): return net * 4
        def duty(net): return net * 5
        def one(): return vat(1)
        def other(): return duty(2)
        def price(): return one() + other()
        """,
    )
    assert shares(sides.attribute()) == {"calc:one": 1, "calc:other": 4}


def test_another_function_that_is_called_instead_leaves_the_change_with_the_caller(
    sides: Sides,
) -> None:
    sides.write(
        "shop/calc.py",
        """
        def product(net, times): return net * times
        def price(): return product(3, 4)
        """,
        """
        def total(net, times):
            found = 1
            for _ in range(times):
                found += net
            return found
        def price(): return total(3, 4)
        """,
    )
    assert shares(sides.attribute()) == {"calc:price": 1}


def test_an_error_that_came_is_what_is_explained_first(sides: Sides) -> None:
    old = """
        RATE = 2

        def price():
            return 10 * RATE
    """
    new = """
        RATE = 3

        def price():
            if RATE > 2:
                raise ValueError("too high")
            return 10 * RATE
    """
    sides.write("shop/calc.py", old, new)
    found = sides.attribute()
    assert found.main is not None
    assert found.effects[found.main].path == ("error",)
    assert shares(found, ("error",)) == {
        "calc:RATE": Fraction(1, 2),
        "calc:price": Fraction(1, 2),
    }


def test_what_brings_the_new_value_has_the_share_and_not_what_merely_moves_the_old(
    sides: Sides,
) -> None:
    old = """
        SOLD = True
        RATE = 2

        def price():
            return 10 * RATE if SOLD else None
    """
    sides.write("shop/calc.py", old, old.replace("True", "False").replace("= 2", "= 3"))
    assert shares(sides.attribute()) == {"calc:SOLD": 1}


def distribution(place: Path, name: str, version: str, text: str) -> None:
    """An installed distribution of one module."""
    folder = place / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "top_level.txt").write_text(name)
    (place / f"{name}.py").write_text(text)


def test_a_version_of_a_library_is_a_cause(
    sides: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then, now = tmp_path / "then", tmp_path / "now"
    for place, version, days in ((then, "1.0", 20), (now, "1.1", 19)):
        distribution(place, "workdays", version, f"def days():\n    return {days}\n")
        distribution(place, "unchanged", "3", "def one():\n    return 1\n")
    text = "import unchanged, workdays\ndef price():\n    return {} * workdays.days()\n"
    sides.write("shop/calc.py", text.format(10), text.format(11))
    monkeypatch.setenv("PYTHONPATH", str(then))
    trace = sides.record(str(then))
    monkeypatch.setenv("PYTHONPATH", str(now))
    monkeypatch.setenv("TRACEDIFF_RECORDED_LIBRARIES", str(then))
    monkeypatch.syspath_prepend(str(now))
    found = attribute(trace, load_config(sides.old), load_config(sides.new))
    assert shares(found) == {
        "calc:price": Fraction(39, 2),
        "workdays 1.0 → 1.1": Fraction(-21, 2),
    }
    assert found.causes[1].units[0].kind == "dependency"


def test_a_variable_of_recorded_code_is_named_by_its_place_in_the_project(sides: Sides) -> None:
    old = """
        import tracediff as td
        RATE = 2

        @td.step("Taxed")
        def taxed(net):
            return net * RATE

        def price():
            return taxed(10)
        """
    new = old.replace("RATE = 2", "RATE = 3").replace("net * RATE", "net * RATE + 1")
    sides.write("shop/calc.py", old, new)
    causes = {cause.units[0].name: cause for cause in sides.attribute().causes}
    variable = causes["shop.calc:RATE"].variable
    assert variable is not None
    assert [one and one.file for one in (variable.old_source, variable.new_source)] == [
        "shop/calc.py",
        "shop/calc.py",
    ]


def test_long_results_of_a_step_are_shown_where_they_part(sides: Sides) -> None:
    old = """
        import tracediff as td
        RATE = 2

        @td.step("Rows")
        def rows():
            return {"text": "x" * 3000, "rate": RATE}

        def price():
            return rows()["rate"]
        """
    sides.write("shop/calc.py", old, old.replace("RATE = 2", "RATE = 3"))
    found = sides.attribute()
    entered = found.causes[0].travelled[0]
    assert (entered.path, entered.old[-10:], entered.new[-10:]) == (
        ("Rows",),
        "'rate': 2}",
        "'rate': 3}",
    )
    assert found.hybrids == 2


def test_modules_that_do_not_differ_are_imported_once_for_all_mixtures(
    sides: Sides, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    sides.write("shop/same.py", f"open({str(log)!r}, 'a').write('same\\n')\nONE = 1\n")
    sides.write(
        "shop/both.py", f"open({str(log)!r}, 'a').write('both\\n')\nfrom shop.calc import A\n"
    )
    text = "from shop import same\nA = {0}\nB = {0}\nC = {0}\n"
    text += "def price():\n    from shop import both\n    return A + B + C + same.ONE\n"
    sides.write("shop/calc.py", text.format(1), text.format(2))
    trace = sides.record()
    log.write_text("")
    found = attribute(trace, load_config(sides.old), load_config(sides.new))
    assert shares(found) == {"calc:A": 1, "calc:B": 1, "calc:C": 1}
    said = log.read_text().split()
    ends, tried, settled, mixtures = 4, 1, 1, 2**3
    assert said.count("same") == ends + tried + settled
    assert said.count("both") >= ends + mixtures


@pytest.mark.parametrize(
    "line",
    [
        "import threading as t, time; t.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        "KEPT = open(__file__)",
        "import os; os._exit(3) if os.environ.get('TRACEDIFF_REPLAYING') and SETTLING else None",
        "stock()",
    ],
)
def test_modules_that_cannot_be_shared_are_left_to_each_mixture(sides: Sides, line: str) -> None:
    head = "import sys, tracediff as td\nSETTLING = 'shop.calc' not in sys.modules\n"
    head += "@td.input('stock')\ndef stock():\n    return 1\n"
    ignored = f"try:\n    {line}\nexcept BaseException:\n    pass\n" if line == "stock()" else line
    sides.write("shop/same.py", f"{head}{ignored}\nONE = 1\n")
    text = (
        "A = {0}\nB = {0}\ndef price():\n    from shop import same\n    return A + B + same.ONE\n"
    )
    sides.write("shop/calc.py", text.format(1), text.format(2))
    assert shares(sides.attribute()) == {"calc:A": 1, "calc:B": 1}


@pytest.mark.slow
def test_an_interrupt_leaves_no_mixture_running(sides: Sides, tmp_path: Path) -> None:
    text = """
        import pathlib, time
        A = {a}
        B = {b}
        def price():
            while A == B:
                pathlib.Path("LOG").open("a").write("x")
                time.sleep(0.01)
            return A
        """.replace("LOG", str(tmp_path / "log"))
    sides.write("shop/calc.py", text.format(a=1, b=2), text.format(a=2, b=3))
    sides.record()
    code = "import sys; from pathlib import Path; from tracediff.api import open_project;"
    code += "from tracediff.config import load_config as load;"
    code += "from tracediff.explain.attribution import attribute;"
    code += "old, new = Path(sys.argv[1]), Path(sys.argv[2]);"
    code += "attribute(open_project(start=old).resolve('@last'), load(old), load(new))"
    command = [sys.executable, "-c", code, str(sides.old), str(sides.new)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 60
        while not (tmp_path / "log").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        running.wait(timeout=30)
    size = (tmp_path / "log").stat().st_size
    time.sleep(0.5)  # fifty turns of a mixture that still ran
    assert (tmp_path / "log").stat().st_size == size


def test_a_cause_names_the_helpers_that_come_and_go_with_it(sides: Sides) -> None:
    old = """
        def base():
            return 10
        def price():
            return base() + 1
        """
    new = """
        EXTRA = 5
        def surcharge():
            return EXTRA
        def price():
            return 11 + surcharge()
        """
    sides.write("shop/calc.py", old, new)
    found = sides.attribute()
    assert shares(found) == {"calc:price": 5}
    assert found.causes[0].kept == ("shop.calc:base", "shop.calc:surcharge")


def test_files_of_a_directory_that_is_listed_are_causes(sides: Sides) -> None:
    text = """
        import os, pathlib
        RULES = pathlib.Path(__file__).with_name("rules")
        RATE = {}
        def price():
            return RATE * sum(int(one[1:]) for one in os.listdir(RULES))
        """
    sides.write("shop/calc.py", text.format(1), text.format(2))
    for name in ("r1", "r2"):
        sides.write(f"shop/rules/{name}", "same")
    (sides.new / "shop/rules/r4").write_text("new")
    found = sides.attribute()
    assert shares(found) == {"shop/rules/r4": 6, "calc:RATE": 5}


def test_surroundings_that_changed_are_told_from_code_that_did(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import os\ndef price():\n    return int(os.environ.get('RATE', '2')) * 10 + {}\n"
    sides.write("shop/calc.py", text.format(0), text.format(1))
    monkeypatch.setenv("RATE", "3")
    trace = sides.record()
    monkeypatch.delenv("RATE")
    found = attribute(trace, load_config(sides.old), load_config(sides.new))
    assert found.refused == "the recorded code gives another result now than it gave: result"
    assert found.noise == ("result",)
