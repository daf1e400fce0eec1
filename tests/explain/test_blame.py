"""Who brought a line: commits, renames, odd names, changes that are not committed."""

from __future__ import annotations

from typing import Any

from tracediff import demo
from tracediff.api import open_project
from tracediff.explain.blame import blame, removed


def test_each_line_has_its_commit_or_is_uncommitted(priced: Any, commit: Any) -> None:
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    second = commit("rate 3: more")
    priced.write("shop/rates.py", "def rate():\n    return 3\n\n# new\n")
    found = blame(priced.directory, "shop/rates.py", (1, 4))
    assert [one.sha for one in found] == [priced.first, second, None, None]
    assert found[1].subject == "rate 3: more"
    assert found[1].date.year == 2024
    assert found[1].author


def test_odd_names_and_renames(priced: Any, commit: Any) -> None:
    body = "".join(f"A{at} = {at}\n" for at in range(30))
    odd = 'shop/-ä "x\ty.py'
    priced.write("shop/before.py", body)
    first = commit("before")
    demo.git(priced.directory, "mv", "shop/before.py", odd)
    priced.write(odd, body.replace("A7 = 7", "A7 = 70"))
    commit("after")
    assert blame(priced.directory, odd, (8, 8))[0].subject == "after"
    assert blame(priced.directory, odd, (9, 9))[0].sha == first


GUARDED = "def rate():\n    rate = 2\n    if rate < 5:\n        rate = 5\n    return rate\n"


def test_a_removed_line_is_of_the_commit_that_removed_it(priced: Any, commit: Any) -> None:
    where = priced.directory
    lines = GUARDED.splitlines()
    priced.write("shop/rates.py", GUARDED)
    guarded = commit("guard")
    assert [one.sha for one in removed(where, "shop/rates.py", 3, lines[2:4], since=guarded,
                                       revision=None)] == [None, None]  # fmt: skip
    priced.write("shop/rates.py", "def rate():\n    rate = 2\n    rate = 5\n    return rate\n")
    commit("one line less")
    priced.write("shop/rates.py", "def rate():\n    rate = 2\n    return rate\n")
    without = commit("without guard")
    priced.write("shop/rates.py", "def rate():\n    return 2\n")
    found = removed(where, "shop/rates.py", 2, lines[1:4], since=guarded, revision=None)
    assert [one.subject for one in found] == ["uncommitted", "one line less", "one line less"]
    found = removed(where, "shop/rates.py", 2, lines[1:4], since=guarded, revision=without)
    assert [one.subject for one in found][1:] == ["one line less", "one line less"]
    other = ["    rate = 3", *lines[2:4]]
    assert removed(where, "shop/rates.py", 2, other, since=guarded, revision=None) == ()
    assert removed(where, "shop/none.py", 2, lines, since=guarded, revision=None) == ()


def test_an_explanation_names_who_removed_a_guard(priced: Any, commit: Any) -> None:
    priced.write("shop/rates.py", GUARDED)
    commit("guard")
    priced.record("price(10)")
    priced.write("shop/rates.py", GUARDED.replace("    if rate < 5:\n        rate = 5\n", ""))
    commit("without guard")
    with open_project(start=priced.directory) as project:
        (cause,) = project.explain("@last").causes
    assert [one.subject for one in cause.commits] == ["without guard"]


def test_nothing_is_said_where_git_cannot(priced: Any, monkeypatch: Any) -> None:
    assert blame(priced.directory, "shop/none.py", (1, 1)) == ()
    assert blame(priced.directory, "shop/rates.py", (90, 91)) == ()
    assert blame(priced.directory, "shop/rates.py", (1, 1), revision="--output=/tmp/x") == ()
    assert blame(priced.directory, "shop/rates.py", (1, 1), revision="0" * 40) == ()
    monkeypatch.setenv("PATH", "")
    assert blame(priced.directory, "shop/rates.py", (1, 1)) == ()


def test_a_shallow_clone_blames_nobody_for_what_may_be_older(
    priced: Any, commit: Any, tmp_path: Any
) -> None:
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    commit("rate 3")
    priced.write("README", "new")
    commit("unrelated")
    priced.write("shop/rates.py", "def rate():\n    return 3\n\n\nLATER = 1\n")
    last = commit("later")
    shallow = tmp_path / "shallow"
    demo.git(tmp_path, "clone", "--quiet", "--depth", "2", f"file://{priced.directory}", "shallow")
    assert [(one.line, one.sha) for one in blame(shallow, "shop/rates.py", (1, 5))] == [
        (3, last),
        (4, last),
        (5, last),
    ]


def test_no_configured_program_is_run(priced: Any) -> None:
    mark = priced.directory / "ran"
    for name in ("core.pager", "diff.external", "core.fsmonitor", "diff.x.textconv"):
        demo.git(priced.directory, "config", name, f"touch {mark};")
    priced.write(".gitattributes", "*.py diff=x\n")
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    assert blame(priced.directory, "shop/rates.py", (1, 2))
    assert not mark.exists()
