"""A check of recorded jobs: what it selects, what it says of changes, and what breaks it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.api import Project, open_project
from tracediff.check.accepting import Entry
from tracediff.check.causesfile import accept_causes
from tracediff.check.lastcheck import causes_of, last_check
from tracediff.check.selecting import Selection, select
from tracediff.check.tallying import Gates
from tracediff.checked import Checked, Total
from tracediff.checks import Wanted, run_check
from tracediff.cli import exits, group
from tracediff.cli.check import _bytes as size
from tracediff.demo import git
from tracediff.errors import ReplayError, StoreError
from tracediff.model import Page, Query, Row, Trace
from tracediff.stores.local import LocalStore
from tracediff.stores.memory import MemoryStore

JOBS = """
    import os, time
    import tracediff as td
    from shop.rates import FEE, RATE

    @td.input("Weight")
    def weight(number):
        return number % 5

    @td.job("shop/price")
    def price(number):
        td.tag(f"n:{number}")
        if number == 13:
            DANGER
        heavy = weight(number) > 3
        total = number * RATE + (FEE if heavy else 0)
        return {"total": total, "text": f"{total} EUR"}

    if __name__ == "__main__":
        for number in range(40):
            price(number)
    """


class Shop:
    """A project in git with forty recorded jobs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self, jobs: str = JOBS) -> Shop:
        """Write it, and record its jobs."""
        directory = self.directory
        self.write("pyproject.toml", '[tool.tracediff]\njobs = ["shop.*"]\nreplay_timeout = 20\n')
        self.write(".gitignore", ".tracediff/\n__pycache__/\n")
        self.write("shop/__init__.py", "")
        self.write("shop/rates.py", "RATE = 2\nFEE = 10\n")
        self.write("shop/jobs.py", jobs.replace("DANGER", "pass"))
        git(directory, "init", "--quiet", "--template=")
        self.commit("first")
        subprocess.run([sys.executable, "-m", "shop.jobs"], cwd=directory, check=True, timeout=60)
        return self

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))

    def commit(self, message: str) -> None:
        git(self.directory, "add", "--all")
        git(self.directory, "commit", "--quiet", "--message", message)


@pytest.fixture
def shop(tmp_path: Path, laid_out: Callable[..., None]) -> Shop:
    laid_out(tmp_path, Shop, lambda place: Shop(place).make())
    return Shop(tmp_path)


@pytest.fixture
def project(shop: Shop) -> Iterator[Project]:
    with open_project(start=shop.directory) as found:
        yield found


def check(project: Project, **options: Any) -> Checked:
    gates = Gates(
        **{one: options.pop(one) for one in ("max_changed", "max_total") if one in options}
    )
    chosen = {one: options.pop(one) for one in ("query", "last", "sample") if one in options}
    wanted = Wanted(
        selection=Selection(**chosen), gates=gates, workers=2, **{"explain": 0, **options}
    )
    return project.check(wanted)


def total(found: Checked, name: str = "result.total") -> Fraction:
    return total_of(found.totals, name)


def total_of(totals: Iterable[Total], name: str = "result.total") -> Fraction:
    return next(one.change for one in totals if one.field == name)


def test_code_that_did_not_change_passes(project: Project) -> None:
    found = check(project)
    assert (found.checked, found.same, found.changed, found.failed) == (40, 40, 0, 0)
    assert (found.broken, found.groups, found.totals) == ((), (), ())


def test_changes_are_grouped_by_cause_and_their_sums_add_up(shop: Shop, project: Project) -> None:
    shop.write("shop/rates.py", "RATE = 3\nFEE = 4\n")
    found = check(project, explain=40)
    assert (found.checked, found.same, found.changed) == (40, 1, 39)
    assert total(found) == sum(range(40)) - 6 * 8
    per_group = [
        sum(one.change for one in group.totals if one.field == "result.total")
        for group in found.groups
    ]
    assert sum(per_group) == total(found)
    assert found.explained == 39
    reasons = {group.change.units: total_of(group.totals) for group in found.groups if group.change}
    assert reasons == {("shop.rates:RATE",): sum(range(40)), ("shop.rates:FEE",): -48}
    assert [one.count for one in found.groups] == [39, 8]
    places = {(one.change.file, one.change.line) for one in found.groups if one.change}
    assert places == {("shop/rates.py", 1), ("shop/rates.py", 2)}


@pytest.mark.parametrize("ending", ["os._exit(3)", "os.kill(os.getpid(), 9)", "time.sleep(600)"])
def test_a_job_that_ends_its_process_or_never_ends_fails_alone(shop: Shop, ending: str) -> None:
    shop.write("pyproject.toml", '[tool.tracediff]\njobs = ["shop.*"]\nreplay_timeout = 2\n')
    shop.write("shop/jobs.py", JOBS.replace("DANGER", ending))
    with open_project(start=shop.directory) as project:
        found = check(project)
    assert (found.checked, found.same, found.failed) == (40, 39, 1)
    assert found.failures[0].slug in ("replay-died", "replay-timeout")
    assert found.broken == ("1 trace could not be replayed",)


def test_what_is_not_explained_passes_where_accepted_causes_alone_give_it(
    shop: Shop, project: Project
) -> None:
    shop.write("shop/rates.py", "RATE = 3\nFEE = 4\n")
    check(project, explain=None)
    seen = causes_of(last_check(shop.directory))
    accept_causes(shop.directory, seen, "rates of the new year")
    passed = check(project, explain=1)
    assert (passed.broken, passed.changed, passed.accepted) == ((), 39, 39)
    assert sum(total_of(one.totals) for one in passed.groups) == total(passed)
    shop.write("shop/jobs.py", JOBS.replace("DANGER", "pass").replace("> 3", "> 2"))
    drifted = check(project, explain=1)
    assert 0 < drifted.accepted < 39
    assert drifted.broken


def test_against_a_revision_both_sides_are_replayed_and_no_recording_is_trusted(
    shop: Shop, project: Project
) -> None:
    shop.write("shop/rates.py", "RATE = 3\nFEE = 10\n")
    shop.commit("raise the rate")
    shop.write("shop/rates.py", "RATE = 3\nFEE = 4\n")
    assert check(project).changed == 39
    found = check(project, against="HEAD", explain=None)
    assert (found.checked, found.same, found.changed, found.explained) == (40, 32, 8, 8)
    assert [(one.change.units, total_of(one.totals)) for one in found.groups if one.change] == [
        (("shop.rates:FEE",), Fraction(-48))
    ]
    assert (found.noise, len(found.against)) == ((), 40)
    shop.write("shop/rates.py", "RATE = 3\nFEE = 10\n")
    assert check(project, against="HEAD").broken == ()
    with pytest.raises(ReplayError) as caught:
        check(project, against="nothing")
    assert caught.value.slug == "revision-unknown"


def test_code_that_is_edited_while_a_check_runs_is_noticed(shop: Shop, project: Project) -> None:
    def edit(what: str, done: int, of: int) -> None:
        if done == of:
            shop.write("shop/rates.py", "RATE = 2\nFEE = 99\n")

    found = project.check(Wanted(explain=0, workers=1), progress=edit)
    assert any("edited while the check ran" in one for one in found.remarks)
    assert not any("edited" in one for one in check(project).remarks)


NOISY = JOBS.replace('"text":', '"process": os.getpid(), "text":')


@pytest.fixture
def noisy(tmp_path: Path) -> Shop:
    return Shop(tmp_path).make(NOISY)


@pytest.mark.slow
def test_what_differs_without_a_change_is_shown_apart_and_breaks_nothing(noisy: Shop) -> None:
    with open_project(start=noisy.directory) as project:
        found = check(project, explain=5)
        assert (found.checked, found.same, found.changed, found.broken) == (40, 40, 0, ())
        assert [(one.field, one.count) for one in found.noise] == [("result.process", 40)]
        assert found.reproduced == (0, 5)
        noisy.write("shop/rates.py", "RATE = 2\nFEE = 11\n")
        found = check(project, explain=None)
        assert (found.same, found.changed) == (32, 8)
        assert [one.field for one in found.totals] == ["result.total"]
        assert [group.change.units for group in found.groups if group.change] == [
            ("shop.rates:FEE",)
        ]
        assert found.explained == 8


@pytest.mark.slow
def test_the_moment_of_a_run_is_no_noise(tmp_path: Path) -> None:
    jobs = JOBS.replace("range(40)", "range(10)").replace("import os,", "import datetime, os,")
    jobs = jobs.replace(
        '@td.job("', '@td.output("Save")\n    def save(**row): pass\n\n    @td.job("'
    )
    jobs = jobs.replace(
        'return {"total"', 'save(at=datetime.datetime.now(datetime.UTC))\n        return {"total"'
    )
    shop = Shop(tmp_path).make(jobs)
    shop.write("shop/rates.py", "RATE = 2\nFEE = 11\n")
    with open_project(start=shop.directory) as project:
        found = check(project, explain=None)
        assert (found.same, found.changed, found.noise, found.reproduced) == (8, 2, (), (2, 2))
        explained = project.explain(found.groups[0].smallest.id)
        assert (explained.noise, len(explained.causes)) == ((), 1)


LIBRARY = """
    import tariffs
    import tracediff as td

    @td.job("shop/price")
    def price(number):
        return {"total": number * tariffs.RATE}

    if __name__ == "__main__":
        for number in range(12):
            price(number)
    """


@pytest.mark.slow
def test_a_package_that_was_upgraded_is_no_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {}
    for version, rate in (("1.0", 2), ("2.0", 3)):
        place = places[version] = tmp_path / version
        folder = place / f"tariffs-{version}.dist-info"
        folder.mkdir(parents=True)
        head = f"Metadata-Version: 2.1\nName: tariffs\nVersion: {version}\n"
        (folder / "METADATA").write_text(head)
        (folder / "top_level.txt").write_text("tariffs")
        (place / "tariffs.py").write_text(f"RATE = {rate}\n")
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(places["1.0"]))
    shop = Shop(tmp_path / "project").make(LIBRARY)
    with open_project(start=shop.directory) as project:
        assert check(project, explain=None).broken == ()
        monkeypatch.setenv("PYTHONPATH", str(places["2.0"]))
        found = check(project, explain=None)
        assert (found.changed, found.same, found.noise) == (11, 1, ())
        assert total(found) == sum(range(12))
        assert any("tariffs 1.0 → 2.0" in one for one in found.remarks)
        assert found.broken
        moves = {"result.total": "up and down"}
        other = Entry(cause="0badcafe", label="RATE", reason="", fields=moves, exact=True)
        accept_causes(shop.directory, [other], "another change")
        assert check(project, explain=0).accepted == 0
    monkeypatch.setenv("TRACEDIFF_RECORDED_LIBRARIES", str(places["1.0"]))
    monkeypatch.syspath_prepend(str(places["2.0"]))
    with open_project(start=shop.directory) as project:
        found = check(project, explain=None)
        assert [(one.change.units, one.count) for one in found.groups if one.change] == [
            (("tariffs 1.0 → 2.0",), 11)
        ]


class Hurt(LocalStore):
    """A store with one trace that cannot be read."""

    hurt = ""
    slug = "trace-hurt"

    def load(self, row: Row) -> Trace:
        if row.id == self.hurt:
            raise StoreError("its bytes are damaged", slug=self.slug, hint="")
        return super().load(row)


def test_a_trace_that_cannot_be_read_fails_alone_and_a_store_that_goes_away_ends_it(
    shop: Shop, project: Project
) -> None:
    store = Hurt(shop.directory / ".tracediff")
    try:
        store.hurt = store.search(Query(limit=1)).rows[0].id
        found = run_check(Wanted(), project.config, store)
        assert (found.checked, found.same, found.failed) == (40, 39, 1)
        assert found.failures[0].slug == "trace-hurt"
        store.slug = "store-unreachable"
        with pytest.raises(StoreError) as caught:
            run_check(Wanted(), project.config, store)
        assert caught.value.slug == "store-unreachable"
    finally:
        store.close()


def test_gates_let_pass_what_they_say(shop: Shop, project: Project) -> None:
    shop.write("shop/rates.py", "RATE = 2\nFEE = 11\n")
    assert check(project, max_changed=8).broken == ()
    assert check(project, max_changed=7).broken == ("8 traces differ, and at most 7 may",)
    assert check(project, max_changed=8, max_total=Fraction(8)).broken == ()
    broken = check(project, max_changed=8, max_total=Fraction(7)).broken
    assert broken == ("result.total moves by +8.00 in all, and may by at most 7.00",)


def test_a_selection_that_matches_nothing_is_an_error_and_no_pass(project: Project) -> None:
    with pytest.raises(StoreError) as caught:
        check(project, query=Query(key="shop/pirce"))
    assert caught.value.slug == "nothing-selected"


def test_tags_the_last_and_a_sample_select(project: Project) -> None:
    assert check(project, query=Query(tags=("n:3", "n:4"))).checked == 2
    assert check(project, last=5).checked == 5
    sampled = check(project, sample=7)
    assert (sampled.checked, sampled.matching) == (7, 40)


def test_the_command_says_it_and_its_exit_code_too(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop.directory)
    assert exits.run(group, ["check", "--last", "10"]) == 0
    assert "10 traces replayed: 10 the same" in capsys.readouterr().out
    shop.write("shop/rates.py", "RATE = 3\nFEE = 10\n")
    assert exits.run(group, ["check", "--last", "10", "--explain", "2"]) == 1
    said = capsys.readouterr().out
    assert "10 changed" in said
    assert "RATE" in said
    assert "tracediff explain" in said
    assert exits.run(group, ["check", "--last", "10", "--explain", "0", "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "tracediff/check/1"
    assert (document["changed"], document["passed"]) == (10, False)
    assert Fraction(document["totals"][0]["change"]["exact"]) == sum(range(30, 40))
    assert exits.run(group, ["check", "--key", "nothing"]) == 2
    assert "no trace matches" in capsys.readouterr().err


def row(number: int, path: bytes) -> Row:
    return Row(
        id=f"{number:06}", key="k", state="success", started_at=number, duration=1, steps=1,
        path_signature=path,
    )  # fmt: skip


class Rows(MemoryStore):
    """A store that has rows and nothing else."""

    def __init__(self, rows: list[Row]) -> None:
        super().__init__("rows")
        self._all = rows

    def search(self, query: Query) -> Any:
        start = int(query.cursor or 0)
        end = start + query.limit
        cursor = str(end) if end < len(self._all) else None
        return Page(tuple(self._all[start:end]), cursor)


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 40), st.integers(0, 5))
def test_a_sample_holds_every_path_and_is_the_same_again(
    paths: list[int], size: int, seed: int
) -> None:
    store = Rows([row(at, bytes([path])) for at, path in enumerate(paths)])
    selection = Selection(sample=size, seed=seed)
    found = select(store, selection)
    rows = list(found.rows)
    assert found.matching == len(paths)
    assert len(rows) == min(size, len(paths))
    assert len({one.id for one in rows}) == len(rows)
    assert rows == list(select(store, selection).rows)
    assert [one.id for one in rows] == sorted(one.id for one in rows)
    held = {one.path_signature[0] for one in rows}
    rare = [path for path, _ in sorted(Counter(paths).items(), key=lambda one: one[1])]
    if len(set(paths)) <= size:
        assert held == set(rare)


@pytest.mark.parametrize(
    ("text", "bytes_"), [("400M", 400_000_000), ("2g", 2_000_000_000), ("64kb", 64_000), ("9", 9)]
)
def test_a_size_is_what_it_says(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "0", "0G", "lots", "-1", "1.5G", "1P", "9" * 99])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        size(text)
