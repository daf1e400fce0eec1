"""The certificate: what the recorded code reproduces, and what cannot be certified."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tracediff import demo
from tracediff.codefiles import source_reader
from tracediff.explain.certificate import Certificate, certify


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
