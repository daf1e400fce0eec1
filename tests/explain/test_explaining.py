"""Explanations of real projects: whose change it is, proven labels, and what is missing."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tracediff import demo
from tracediff.errors import ReplayError
from tracediff.explained import Explanation

TWO = """
    from shop.rates import rate, fee

    @td.step("Taxed")
    def taxed(net):
        return net * rate()

    @td.step("Final")
    def final(net):
        return taxed(net) + fee()

    @td.job("price")
    def price(net):
        return final(net)
    """
RATES = "def rate():\n    return {}\n\n\n\n\n\n\ndef fee():\n    return {}\n"


def commit_as(shop: Any, author: str, message: str) -> str:
    demo.git(shop.directory, "add", "--all")
    demo.git(shop.directory, "commit", "--quiet", "--message", message,
             "--author", f"{author} <{author}@example.com>")  # fmt: skip
    return demo.git(shop.directory, "rev-parse", "HEAD").strip()


def explained(shop: Any, trace: Any, other: str | None = None, **options: Any) -> Explanation:
    with shop.project() as project:
        found: Explanation = project.explain(trace.id, other, **options)
    assert found.refused is None, found.refused
    for effect in found.effects:
        assert sum(effect.shares) == effect.change
    return found


def names(found: Explanation) -> list[str]:
    return [" + ".join(unit.name for unit in cause.units) for cause in found.causes]


def shares(found: Explanation) -> dict[str, Fraction]:
    assert found.main is not None
    return dict(zip(names(found), found.effects[found.main].shares, strict=True))


def labels(found: Explanation) -> dict[str, str]:
    """The label of each step that differs, by name."""
    comparison = found.comparison
    return {
        comparison.new.steps[one.new].name: one.label
        for one in comparison.divergences
        if one.new is not None
    }


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of this test go to a directory of its own."""
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setenv("TMPDIR", str(own))
    monkeypatch.setattr(tempfile, "tempdir", str(own))


@pytest.fixture
def two(shop: Any, commit: Any) -> Any:
    """A job whose two changes are of two authors, and of two commits."""
    shop.jobs(TWO)
    shop.write("shop/rates.py", RATES.format(2, 1))
    shop.first = commit("first")
    shop.trace = shop.record("price(10)")[0]
    shop.write("shop/rates.py", RATES.format(3, 1))
    shop.second = commit_as(shop, "Ada", "Raise the rate")
    shop.write("shop/rates.py", RATES.format(3, 5))
    shop.third = commit_as(shop, "Bob", "Raise the fee")
    return shop


def test_two_commits_by_two_authors(two: Any) -> None:
    found = explained(two, two.trace)
    assert shares(found) == {"shop.rates:rate": 10, "shop.rates:fee": 4}
    assert found.certificate.whole
    (rate, fee) = found.causes
    assert [(one.sha, one.author, one.subject) for one in rate.commits] == [
        (two.second, "Ada", "Raise the rate")
    ]
    assert [(one.sha, one.author, one.subject) for one in fee.commits] == [
        (two.third, "Bob", "Raise the fee")
    ]
    assert [one.lines for one in rate.hunks] == [("-    return 2", "+    return 3")]
    assert [(one.path, one.old_line, one.line) for one in fee.hunks] == [("shop/rates.py", 10, 10)]
    assert (rate.line.file, rate.line.line) == ("shop/rates.py", 2)
    assert [one.path[-1:] for one in rate.travelled] == [("Taxed",), ("Final",), ()]
    assert (rate.variable.old, rate.variable.new) == ("2", "3")
    assert left_over() == ([], [])


def left_over() -> tuple[list[str], list[str]]:
    """What this test has in its temporary directory, and the processes that were told of it."""
    own = tempfile.gettempdir()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "environ").read_bytes()
            name = (entry / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if f"TMPDIR={own}\0".encode() in told and name:
            found.append(name)
    return sorted(one.name for one in Path(own).iterdir()), found


def test_a_revision_stands_for_the_new_code(two: Any) -> None:
    two.write("shop/rates.py", RATES.format(9, 9))  # what is not committed is of no concern
    found = explained(two, two.trace, against=two.second)
    assert shares(found) == {"shop.rates:rate": 10}
    assert [one.author for one in found.causes[0].commits] == ["Ada"]
    assert not explained(two, two.trace, against=two.first).comparison.different


@pytest.mark.slow
def test_the_command_says_by_its_exit_code_what_came_of_it(two: Any) -> None:
    done = two.cli("explain", "@last", "--format", "json", "--field", "result")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert [cause["units"][0]["name"] for cause in document["causes"]] == [
        "shop.rates:rate",
        "shop.rates:fee",
    ]
    same = two.cli("explain", "@last", "--against", two.first)
    assert same.returncode == 0, same.stderr
    unknown = two.cli("explain", "@last", "--field", "result.total")
    assert unknown.returncode == 2
    assert "result.total" in unknown.stderr
    assert "result" in unknown.stderr
    assert two.cli("explain", "no-such-trace").returncode == 2
    assert left_over() == ([], [])


LABELLED = """
    def rate():
        return {rate}

    @td.step("Net")
    def net():
        return 10 * rate()

    @td.step("Rounded")
    def rounded(amount):
        return amount // 100

    @td.step("Tax")
    def tax(amount):
        return amount * {tax}

    @td.step("More")
    def more(amount):
        return amount + 1

    @td.step("Inside")
    def inside(amount):
        return more(amount)

    @td.step("Tripled")
    def tripled(amount):
        return {tripled}

    @td.job("price")
    def price():
        found = net()
        return [inside(found), tax(found), rounded(found), tripled(found)]
    """


def test_labels_are_proven_by_running(shop: Any, commit: Any) -> None:
    shop.jobs(LABELLED.format(rate=2, tax=2, tripled="amount * 3"))
    commit("old")
    trace = shop.record("price()")[0]
    shop.jobs(LABELLED.format(rate=3, tax=3, tripled="sum([amount] * 3)"))
    found = explained(shop, trace)
    assert labels(found) == {
        "price": "propagated",
        "Net": "origin",
        "Rounded": "absorbed",
        "Tax": "mixed",
        "More": "propagated",
        "Inside": "propagated",
        "Tripled": "propagated",  # its code changed as well, and that changed nothing
    }
    assert [one.name for one in found.innocent] == ["shop.jobs:tripled"]
    paths = {effect.path: effect for effect in found.effects}
    tax = dict(zip(names(found), paths["result", 1].shares, strict=True))
    assert tax == {"shop.jobs:rate": 25, "shop.jobs:tax": 25}


def test_what_was_not_recorded_is_named_and_is_nobodys_fault(shop: Any, commit: Any) -> None:
    text = """
        import os

        @td.step("Salt")
        def salt():
            return os.urandom(8).hex()

        @td.job("price")
        def price():
            return {{"salt": salt(), "net": {}}}
        """
    shop.jobs(text.format(1))
    commit("old")
    trace = shop.record("price()")[0]
    shop.jobs(text.format(3))
    found = explained(shop, trace)
    assert found.certificate.unrecorded == (("Salt",),)
    assert found.noise == ("result.salt",)
    assert [one.path for one in found.effects] == [("result", "net")]
    assert shares(found) == {"shop.jobs:price": 2}


READING = """
    from pathlib import Path

    FILE = Path(__file__).parents[1] / "rate.txt"

    @td.input("Rate")
    def rate():
        return int(FILE.read_text())

    @td.job("price")
    def price(net):
        return net * rate() + {}
    """


@pytest.fixture
def reading(shop: Any, commit: Any) -> Any:
    """A job that read 2; then both the file and the code changed."""
    shop.jobs(READING.format(0))
    shop.write("rate.txt", "2")
    commit("old")
    shop.trace = shop.record("price(10)")[0]
    shop.write("rate.txt", "5")
    shop.jobs(READING.format(7))
    return shop


@pytest.mark.slow
def test_data_and_code_add_up_where_inputs_are_read_anew(reading: Any) -> None:
    assert shares(explained(reading, reading.trace)) == {"shop.jobs:price": 7}
    found = explained(reading, reading.trace, refresh_inputs=True)
    assert shares(found) == {"Rate": 30, "shop.jobs:price": 7}
    assert list(found.data.items()) == [(0, (Fraction(30), Fraction(7)))]
    assert [unit.kind for unit in found.causes[0].units] == ["input"]


@pytest.mark.slow
def test_another_recording_brings_its_inputs_and_arguments(reading: Any, commit: Any) -> None:
    commit("new")
    (other,) = reading.record("price(20)")
    found = explained(reading, reading.trace, other.id)
    # 10 * 2 -> 20 * 5: both together make 50 of the 80, which is halved.
    assert shares(found) == {"Rate": 45, "arguments": 35, "shop.jobs:price": 7}
    assert {unit.kind for cause in found.causes for unit in cause.units} == {
        "input", "arguments", "function"
    }  # fmt: skip
    done = reading.cli("explain", reading.trace.id, other.id, "--format", "json")
    assert done.returncode == 1, done.stderr


def test_without_git_the_sources_that_were_kept_stand_in(two: Any) -> None:
    shutil.rmtree(two.directory / ".git")
    found = explained(two, two.trace)
    assert shares(found) == {"shop.rates:rate": 10, "shop.rates:fee": 4}
    assert any("stand in" in said for said in found.certificate.remarks)
    assert [cause.commits for cause in found.causes] == [(), ()]
    assert found.causes[0].hunks


@pytest.mark.slow
@pytest.mark.parametrize("how", ["gone", "shallow"])
def test_a_commit_that_is_not_there_is_said_and_the_rest_explained(two: Any, how: str) -> None:
    bare = two.directory.parent / f"{how}.git"
    if how == "gone":
        demo.git(two.directory.parent, "init", "-q", "--bare", "--template=", str(bare))
    else:
        source = f"file://{two.directory}"
        demo.git(two.directory.parent, "clone", "-q", "--depth=1", "--bare", source, str(bare))
    shutil.rmtree(two.directory / ".git")
    shutil.move(bare, two.directory / ".git")
    demo.git(two.directory, "config", "core.bare", "false")
    found = explained(two, two.trace)
    assert shares(found) == {"shop.rates:rate": 10, "shop.rates:fee": 4}
    assert found.certificate.remarks


def test_a_dirty_recording_is_explained_from_what_was_kept(two: Any) -> None:
    two.write("shop/rates.py", RATES.format(4, 5))
    (trace,) = two.record("price(10)")
    assert trace.code.dirty
    two.write("shop/rates.py", RATES.format(4, 6))
    found = explained(two, trace)
    assert shares(found) == {"shop.rates:fee": 1}
    assert [one.sha for one in found.causes[0].commits] == [None]


def test_old_code_that_is_nowhere_is_refused_with_a_reason(two: Any) -> None:
    shutil.rmtree(two.directory / ".git")
    file = two.directory / "trace.trace.json"
    done = two.cli("pull", two.trace.id, "-o", str(file))
    assert done.returncode == 0, done.stderr
    shutil.rmtree(two.directory / ".tracediff")
    done = two.cli("explain", str(file))
    assert done.returncode == 1, done.stderr
    assert "without the recorded code there is nothing to mix" in done.stdout
    assert "30" in done.stdout or "35" in done.stdout


def test_a_recording_of_inputs_only_is_followed_through_its_functions(
    priced: Any, commit: Any
) -> None:
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    commit("rate 3")
    found = explained(priced, priced.trace)
    assert shares(found) == {"shop.rates:rate": 10}
    assert labels(found) == {"rate": "origin", "taxed": "propagated", "price": "propagated"}
    assert [one.path for one in found.causes[0].travelled] == [("taxed", "rate"), ("taxed",), ()]
    assert [step.name for step in found.old.steps] == ["price", "taxed", "rate"]


SORTS = {
    "a method with a factory": (
        """
        class Shop:
            def __init__(self):
                self.rate = {}

            @td.job("price", factory=lambda: Shop())
            def price(self, net):
                return net * self.rate
        """,
        "Shop().price(10)",
        {"shop.jobs:Shop.__init__": 10},
    ),
    "an async job": (
        """
        import asyncio

        async def rate():
            await asyncio.sleep(0)
            return {}

        @td.job("price")
        async def price(net):
            one, other = await asyncio.gather(rate(), rate())
            return net * (one + other) // 2
        """,
        "asyncio.run(price(10))",
        {"shop.jobs:rate": 10},
    ),
    "a job that raises": (
        """
        LIMIT = {}

        @td.job("price")
        def price(net):
            if LIMIT > 2:
                raise ValueError(f"more than {{LIMIT - 1}}")
            return net
        """,
        "price(10)",
        {"shop.jobs:LIMIT": 1},
    ),
}


@pytest.mark.parametrize("sort", SORTS)
def test_jobs_of_every_sort_are_explained(shop: Any, commit: Any, sort: str) -> None:
    text, call, wanted = SORTS[sort]
    shop.jobs(text.format(2))
    commit("old")
    (trace,) = shop.record(call)
    shop.jobs(text.format(3))
    assert shares(explained(shop, trace)) == wanted


def test_a_src_layout_and_an_interpreter_of_its_own(shop: Any, commit: Any) -> None:
    shop.settings(f'pythonpath = ["src"]\npython = "{sys.executable}"\nreplay_timeout = 60\n')
    shutil.rmtree(shop.directory / "shop")
    shop.write("src/shop/__init__.py", "")
    shop.write("src/shop/rates.py", "RATE = 2\n")
    shop.write(
        "src/shop/jobs.py",
        "import tracediff as td\nfrom .rates import RATE\n\n"
        '@td.job("price")\ndef price(net):\n    return net * RATE\n',
    )
    commit("old")
    path = ":".join([str(shop.directory / "src"), *sys.path])
    (trace,) = shop.record("price(10)", PYTHONPATH=path)
    shop.write("src/shop/rates.py", "RATE = 3\n")
    found = explained(shop, trace)
    assert shares(found) == {"shop.rates:RATE": 10}
    assert found.causes[0].line.file == "src/shop/rates.py"
    assert found.certificate.whole


def test_a_job_that_takes_too_long_is_an_error(shop: Any, commit: Any) -> None:
    text = """
        import time

        @td.job("price")
        def price():
            time.sleep({})
            return 1
        """
    shop.settings("replay_timeout = 1.5\n")
    shop.jobs(text.format(0))
    commit("old")
    (trace,) = shop.record("price()")
    shop.jobs(text.format(60))
    with pytest.raises(ReplayError, match=r"1\.5"):
        explained(shop, trace)
    assert left_over() == ([], [])


def test_secrets_are_nowhere_in_what_is_said(shop: Any, commit: Any) -> None:
    text = """
        def key(net):
            password = "hsifdrows"[::-1] + "{0}"
            return {{"password": password, "net": net * {1}}}

        @td.step("Login")
        def login(net, password):
            return key(net) | {{"api_key": password}}

        @td.job("price")
        def price(net):
            return login(net, "ukahs"[::-1] + str({1}))
        """
    shop.jobs(text.format("one", 1))
    commit("old")
    (trace,) = shop.record("price(10)")
    shop.jobs(text.format("two", 2))
    found = explained(shop, trace)
    assert {one.path[-1] for one in found.effects} == {"password", "net", "api_key"}
    for form in ("text", "json", "svg"):
        done = shop.cli("explain", trace.id, "--format", form, "--all")
        assert done.returncode == 1, done.stderr
        said = done.stdout + done.stderr
        assert "net" in said
        assert not any(one in said for one in ("swordfish", "shaku")), form


def test_a_refactoring_is_no_cause_and_nothing_is_run_for_it(two: Any) -> None:
    two.write("shop/rates.py", RATES.format("1 + 1", "int('1')"))
    found = explained(two, two.trace)
    assert not found.comparison.different
    assert (found.causes, found.hybrids) == ((), 0)


def test_traces_of_two_jobs_are_refused(priced: Any) -> None:
    priced.jobs(
        """
        @td.job("price")
        def price(net):
            return net

        @td.job("weight")
        def weight(net):
            return net
        """
    )
    first, second = priced.record("price(10)")[0], priced.record("weight(10)")[0]
    done = priced.cli("explain", first.id, second.id)
    assert done.returncode == 2
    assert "is of the job 'weight'" in done.stderr
    assert "explain-other-job" in done.stderr
