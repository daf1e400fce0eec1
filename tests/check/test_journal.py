"""A check's journal: what was found is kept through kills, and an interrupted check goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff.check.journal import DIRECTORY, MOST_KEPT, Begun, Journal, interrupted, new_journal
from tracediff.check.results import Work
from tracediff.checked import Change, Moved, Result, Shares
from tracediff.checks import Wanted, resumed_check
from tracediff.checks import _kept_store as kept_store
from tracediff.checks import _state as state_of
from tracediff.config import load_config
from tracediff.errors import StoreError
from tracediff.model import Row, Tolerance
from tracediff.stores.memory import MemoryStore

BEGUN = Begun(
    state="code", store="prod", explain=7, matching=90, selected=3,
    work=Work(rules=(Tolerance(path="**", abs=0.5),), timeout=3.5, attributes=0.25),
)  # fmt: skip
CHANGE = Change(id="0badcafe", units=("a:X",), kind="constant", file="a.py", line=3, hunk=("-1",))


def row(number: int) -> Row:
    return Row(
        id=f"id{number}", key="k/é", state="success", started_at=number, duration=1, steps=2,
        meta="\ud800", location=("segments/one", number, 9),
    )  # fmt: skip


def changed(number: int, **more: object) -> Result:
    one = Result(
        id=f"id{number}", key="k", kind="changed", meta="m", size=3, cause="c", label="l",
        moved=(
            Moved(field="result", old="1", new="2", change=Fraction(1, 3)),
            Moved(field="text", old="ÿ", new="b"),
        ),
        attributes=(("n", 3), ("f", 0.5), ("s", "x"), ("none", None), ("b", True)),
        ran="set", surroundings="numpy 1 → 2", units=(("a.py", "f", "digest"),),
    )  # fmt: skip
    return replace(one, **more)


SHARES = Shares(
    id="id1", changes=(CHANGE,), numbers={"result": (Fraction(1, 3),)}, others={"text": (0,)},
    noise=("result.at", "result.by"), unproven=("result.by",),
)  # fmt: skip
REFUSED = Shares(id="id2", refused="why")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with new_journal(tmp_path) as found:
        yield found


def filled(journal: Journal) -> Journal:
    assert journal.select(map(row, range(3))) == 3
    journal.begin(BEGUN)
    fill(journal)
    return journal


def fill(journal: Journal) -> None:
    journal.add(changed(1))
    journal.add(Result(id="id0", key="k", kind="same"))
    journal.explain(SHARES)
    journal.explain(REFUSED)


def test_what_is_written_is_read_again_as_it_was(journal: Journal) -> None:
    filled(journal)
    assert list(journal.rows()) == [row(0), row(1), row(2)]
    assert list(journal.left()) == [row(2)]
    assert list(journal.results()) == [changed(1), Result(id="id0", key="k", kind="same")]
    assert list(journal.shares()) == [SHARES, REFUSED]
    surrogate = changed(3, meta="é \udcff", label="\ud800")
    journal.add(surrogate)
    *_, found = journal.results()
    assert (found.meta, found.label) == ("é \\udcff", "\\ud800")
    journal.skip(row(2))
    assert (journal.done, journal.skipped, list(journal.left())) == (4, 1, [])


def test_amounts_of_more_digits_than_python_writes_are_kept(journal: Journal) -> None:
    huge = Fraction(-(10**5000), 7)
    filled(journal)
    journal.add(changed(3, moved=(Moved(field="result", old="1", new="2", change=huge),)))
    journal.explain(replace(SHARES, id="id3", numbers={"result": (huge,)}))
    assert list(journal.results())[-1].moved[0].change == huge
    assert list(journal.shares())[-1].numbers == {"result": (huge,)}


def test_what_causes_explained_that_are_accepted_no_longer_counts_no_more(journal: Journal) -> None:
    filled(journal)
    journal.cover("id1", {"0badcafe", "deadbeef"})
    assert journal.covered(["deadbeef", "0badcafe"]) == {"id1"}
    assert not journal.covered(["0badcafe"])


def test_an_interrupted_check_is_opened_again_and_a_finished_one_is_gone(tmp_path: Path) -> None:
    with new_journal(tmp_path) as journal:
        filled(journal)
    with interrupted(tmp_path) as again:
        assert again.reopen() == BEGUN
        assert again.done == 2
        assert list(again.left()) == [row(2)]
        assert list(again.shares()) == [SHARES, REFUSED]
        again.add(changed(2))
        assert list(again.left()) == []
        again.finished = True
    with pytest.raises(StoreError) as caught:
        interrupted(tmp_path)
    assert caught.value.slug == "check-not-resumable"
    assert not list((tmp_path / DIRECTORY).glob("*/rows"))


def test_one_that_runs_is_not_taken_for_an_interrupted_one(tmp_path: Path) -> None:
    with new_journal(tmp_path) as journal:
        filled(journal)
        child = """if True:
            import sys, pathlib
            from tracediff.check.journal import interrupted
            from tracediff.errors import StoreError
            try:
                interrupted(pathlib.Path(sys.argv[1]))
            except StoreError as error:
                print(error.slug)
            """
        done = subprocess.run(
            [sys.executable, "-c", child, str(tmp_path)],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stdout == "check-not-resumable\n"


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 400), garbage=st.binary(max_size=30))
def test_a_torn_tail_costs_its_own_record_alone(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    root = tmp_path_factory.mktemp("journal")
    with new_journal(root) as journal:
        journal.select(map(row, range(3)))
        journal.begin(BEGUN)
        journal.flush()
        head = (journal.directory / "results").stat().st_size
        fill(journal)
        journal.flush()
        whole = list(journal.results())
    path = journal.directory / "results"
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - cut)] + garbage)
    with interrupted(root) as again:
        if len(data) - cut < head:
            with pytest.raises(StoreError, match="cannot be read"):
                again.reopen()
            return
        again.reopen()
        kept = list(again.results())
        assert kept == whole[: len(kept)]
        again.add(changed(2))
        assert list(again.results()) == [*kept, changed(2)]


def test_a_check_that_has_done_nothing_leaves_nothing(tmp_path: Path) -> None:
    with new_journal(tmp_path) as journal:
        journal.select(map(row, range(3)))
        journal.begin(BEGUN)
    assert not list((tmp_path / DIRECTORY).iterdir())
    assert (tmp_path / ".tracediff/.gitignore").read_text() == "*\n"


def test_only_the_newest_interrupted_checks_are_kept(tmp_path: Path) -> None:
    made = []
    for _ in range(MOST_KEPT + 3):
        with new_journal(tmp_path) as journal:
            made.append(filled(journal).directory)
    assert sorted((tmp_path / DIRECTORY).iterdir()) == made[-MOST_KEPT - 1 :]


def test_where_nothing_can_be_written_a_check_runs_all_the_same(tmp_path: Path) -> None:
    (tmp_path / ".tracediff").write_text("a file")
    with new_journal(tmp_path) as journal:
        filled(journal)
        assert list(journal.left()) == [row(2)]
        assert not journal.resumable
    assert not journal.directory.exists()


JOBS = """
import time
import tracediff as td

@td.job("shop/price")
def price(number):
    time.sleep(0.0)
    return number * 2

if __name__ == "__main__":
    for number in range(120):
        price(number)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_check_that_is_stopped_goes_on_where_it_was(
    tmp_path: Path, how: int, laid_out: Callable[..., None]
) -> None:
    def make(directory: Path) -> None:
        (directory / "pyproject.toml").write_text('[tool.tracediff]\njobs = ["jobs"]\n')
        (directory / "jobs.py").write_text(JOBS)
        subprocess.run([sys.executable, "jobs.py"], cwd=directory, check=True, timeout=60)

    laid_out(tmp_path, "journal", make)
    slower = JOBS.replace("sleep(0.0)", "sleep(0.02)").replace("number * 2", "number * 3")
    (tmp_path / "jobs.py").write_text(slower)
    run = [sys.executable, "-m", "tracediff", "check", "--explain", "0"]
    first = subprocess.Popen(
        run, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not _results(tmp_path) > 2_000:
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    os.kill(first.pid, how)
    _, said = first.communicate(timeout=60)
    if how == signal.SIGINT:
        assert first.returncode == 130
        assert "tracediff check --resume" in said
    with interrupted(tmp_path) as journal:
        journal.reopen()
        done = journal.done
        left = len(list(journal.left()))
        assert 0 < done < 120
        assert left == 120 - done
    again = subprocess.run(
        [*run[:4], "--resume", "--format", "json"], cwd=tmp_path, timeout=120,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 1, again.stderr
    document = json.loads(again.stdout)
    assert document["checked"] == 120
    assert document["totals"][0]["change"]["exact"] == "7140/1"
    assert not list((tmp_path / DIRECTORY).glob("*/rows"))


def _results(root: Path) -> int:
    return sum(one.stat().st_size for one in (root / DIRECTORY).glob("*/results"))


@pytest.mark.slow
def test_a_check_is_not_resumed_with_other_code_or_other_options(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.tracediff]\njobs = ["jobs"]\n')
    (tmp_path / "jobs.py").write_text(JOBS.replace("range(120)", "range(2)"))
    subprocess.run([sys.executable, "jobs.py"], cwd=tmp_path, check=True, timeout=60)
    with new_journal(tmp_path) as journal:
        journal.select([row(1)])
        journal.begin(replace(BEGUN, state=state_of(load_config(tmp_path)), store=None))
        journal.add(changed(1))

    def said(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "tracediff", "check", "--resume", *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr

    code, text = said("--last", "3")
    assert code == 2
    assert "--last is for a new one" in text
    (tmp_path / "jobs.py").write_text(JOBS)
    code, text = said()
    assert code == 2
    assert "the code, the packages or the settings are not what they were" in text


def test_no_password_of_a_store_is_kept(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.tracediff]\njobs = ["jobs"]\n')
    (tmp_path / "jobs.py").write_text("")
    secret = load_config(tmp_path, store="mongodb://user:hunter2@127.0.0.1:1/traces")
    plain = load_config(tmp_path, store="mongodb://127.0.0.1:1/traces")
    assert kept_store(secret) == "?"
    assert kept_store(plain) == plain.store
    with new_journal(tmp_path) as journal:
        journal.select([row(1)])
        journal.begin(
            replace(BEGUN, state=state_of(load_config(tmp_path)), store=kept_store(secret))
        )
        journal.add(changed(1))
    with pytest.raises(StoreError, match="password is not kept"):
        resumed_check(Wanted(), load_config(tmp_path), lambda name: MemoryStore("m"))
