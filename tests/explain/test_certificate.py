"""The certificate: what the recorded code reproduces, and what cannot be certified."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tracediff import demo
from tracediff.codefiles import source_reader
from tracediff.explain.certificate import Certificate, certify
from tracediff.replay import checked_out


def certified(shop: Any, trace: Any) -> Certificate:
    project = shop.project()
    load = source_reader(project.config.root, lambda: project.store)
    return certify(trace, project.config, load=load)


def test_the_recorded_code_reproduces_all_though_the_work_tree_changed(priced: Any) -> None:
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    found = certified(priced, priced.trace)
    assert found.whole
    assert str(found) == f"1/1 steps reproduced at {priced.first[:7]}"
    assert found.remarks == ()


def test_an_input_that_was_not_recorded_is_named(shop: Any, commit: Any) -> None:
    shop.jobs("""
        import os

        @td.step("Salt")
        def salt():
            return os.urandom(4).hex()

        @td.step("Sum")
        def add(a, b):
            return a + b

        @td.job("price")
        def price():
            return add(salt(), add("x", "y"))
        """)
    commit("random")
    found = certified(shop, shop.record("price()")[0])
    assert found.certified
    assert not found.whole
    assert found.unrecorded == (("Salt",),)
    assert set(found.unreproduced) == {(), ("Salt",), ("Sum",)}
    assert (found.reproduced, found.total) == (1, 4)


def test_what_an_input_asks_by_itself_is_reproduced_by_its_answer(shop: Any, commit: Any) -> None:
    shop.jobs("""
        @td.input("Rate")
        def rate():
            return 2

        @td.input("Rates")
        def rates():
            with td.step("Reading"):
                return [rate(), rate()]

        @td.job("price")
        def price():
            return sum(rates())
        """)
    commit("nested")
    found = certified(shop, shop.record("price()")[0])
    assert found.whole
    assert (found.reproduced, found.total) == (5, 5)


def test_a_dirty_tree_is_certified_from_the_store(priced: Any) -> None:
    priced.write("shop/rates.py", "def rate():\n    return 5\n")
    trace = priced.record("price(10)")[0]
    assert trace.code.dirty
    priced.write("shop/rates.py", "def rate():\n    return 7\n")
    found = certified(priced, trace)
    assert found.whole, found
    assert any("laid over" in said for said in found.remarks)
    without = certify(trace, priced.project().config)
    assert not without.whole
    assert any("not kept" in said for said in without.remarks)


def test_without_the_commit_the_recorded_files_stand_in(priced: Any) -> None:
    subprocess.run(["rm", "-rf", priced.directory / ".git"], check=True)
    priced.write("shop/rates.py", "def rate():\n    return 7\n")
    found = certified(priced, priced.trace)
    assert found.whole, found
    assert any("stand in" in said for said in found.remarks)
    alone = certify(priced.trace, priced.project().config)
    assert not alone.certified
    assert "not a git repository" in alone.remarks[0]
    assert str(alone) == f"not certified at {priced.first[:7]}"


def test_a_commit_that_is_gone_is_said(priced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["rm", "-rf", priced.directory / ".git"], check=True)
    demo.git(priced.directory, "init", "--quiet", "--template=")
    alone = certify(priced.trace, priced.project().config)
    assert not alone.certified
    assert priced.first in alone.remarks[0]
    monkeypatch.setenv("PATH", str(priced.directory / "no-programs"))
    assert not certify(priced.trace, priced.project().config).certified


def test_a_shallow_clone_says_how_to_get_the_rest(priced: Any, commit: Any, tmp_path: Path) -> None:
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    commit("rate 3")
    clone = priced.copy(tmp_path / "clone")
    subprocess.run(["rm", "-rf", clone.directory / ".git"], check=True)
    bare = str(clone.directory / ".git")
    demo.git(tmp_path, "clone", "-q", "--depth=1", "--bare", f"file://{priced.directory}", bare)
    demo.git(clone.directory, "config", "core.bare", "false")
    alone = certify(priced.trace, clone.project().config)
    assert not alone.certified
    assert "git fetch --unshallow" in alone.remarks[0]
    assert certified(clone, priced.trace).whole  # the store still has the files


def test_old_code_or_settings_that_work_no_more_are_said(priced: Any, commit: Any) -> None:
    priced.write("shop/rates.py", "import gone_library\ndef rate():\n    return 2\n")
    priced.write("gone_library.py", "")
    commit("with a library")
    trace = priced.record("price(10)")[0]
    demo.git(priced.directory, "rm", "-q", "gone_library.py")
    broken = replace(trace, code=replace(trace.code, commit=commit("without"), files={}))
    found = certify(broken, priced.project().config)
    assert not found.certified
    assert "gone_library" in found.remarks[0]
    priced.settings("unheard_of = 1\n")
    broken = replace(broken, code=replace(trace.code, commit=commit("odd settings"), files={}))
    priced.settings("")
    found = certify(broken, priced.project().config)
    assert "unheard_of" in found.remarks[0]


def test_a_file_that_git_ignores_is_there_and_named_if_it_was_used(shop: Any, commit: Any) -> None:
    shop.jobs("""
        from pathlib import Path
        from shop.generated import RATE

        @td.job("price")
        def price(net):
            return net * RATE + int(Path("rates/more.txt").read_text())
        """)
    commit("one")
    with (shop.directory / ".gitignore").open("a") as ignored:
        ignored.write("generated.py\nrates/\n")
    shop.write("shop/generated.py", "RATE = 2\n")
    shop.write("rates/more.txt", "1")
    shop.write("rates/unused.txt", "1")
    shop.write("rates/secret.env", "TOKEN=1")
    first = commit("ignoring")
    trace = shop.record("price(10)")[0]
    found = certified(shop, trace)
    assert found.whole, found
    assert found.remarks == ("ignored by git, and as they are now: rates/more.txt",)
    shop.write("shop/generated.py", "RATE = 3\n")
    found = certified(shop, trace)
    assert found.whole, found
    assert any("laid over it: shop/generated.py" in said for said in found.remarks)
    unkept = certify(trace, shop.project().config)
    assert not unkept.whole
    assert any("are not kept: shop/generated.py" in said for said in unkept.remarks)
    assert any("now: rates/more.txt, shop/generated.py" in said for said in unkept.remarks)
    with checked_out(shop.project().config, first) as (then, _):
        assert (then.root / "rates/unused.txt").is_file()
        assert not (then.root / "rates/secret.env").exists()
        assert not (then.root / ".tracediff").exists()


def test_distributions_that_a_lock_file_asks_for_otherwise_are_named(
    priced: Any, commit: Any
) -> None:
    priced.write("requirements-dev.txt", "# none\n")
    priced.write("uv.lock", '[[package]]\nname = "Six_Pack"\nversion = "1.0"\n')
    priced.write("Pipfile.lock", '{"default": {"numpy": {"version": "==1.26"}}}')
    commit("locked")
    trace = priced.record("price(10)")[0]
    assert certified(priced, trace).remarks == ()
    priced.write(
        "requirements-dev.txt", "-r base.txt\nattrs==23.1 ; x\nlxml[html]>=5,<6 --hash=1\n"
    )
    priced.write("uv.lock", '[[package]]\nname = "six-pack"\nversion = "1.1"\n')
    priced.write("Pipfile.lock", "{")
    (priced.directory / "pdm.lock").write_text("# nothing\n")
    wanted = "attrs not there -> 23.1, lxml not there -> >=5,<6"
    assert certified(priced, trace).remarks == (
        "Pipfile.lock is another than at the recorded commit, and cannot be read",
        f"requirements-dev.txt is another than at the recorded commit: {wanted}",
        "uv.lock is another than at the recorded commit: six-pack 1.0 -> 1.1",
    )
