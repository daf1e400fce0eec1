"""The command that says what traces are like: for people, for machines, and whether it is right."""

from __future__ import annotations

import sqlite3
from contextlib import closing


def test_what_was_recorded_is_told_for_people_and_machines(project):
    text, price, day, nobody = project.batch(
        ("stats",),
        ("stats", "price", "--since", "1h", "--format", "json"),
        ("stats", "--by", "day", "--tags", "0", "--format", "json"),
        ("stats", "nobody", "--since", "1h"),
    )
    assert (text.code, text.err) == (0, "")
    for word in ("all traces", "✓ success", "✗ error", "together", "p99", "item:apple", "took"):
        assert word in text.out
    assert (price.document["key"], price.document["count"]) == ("price", 3)
    assert price.document["by"] == "minute"
    assert price.document["states"].keys() == {"success"}
    assert (
        0 < price.document["states"]["success"]["p50"] <= price.document["states"]["success"]["max"]
    )
    assert sum(count for _, count in price.document["durations"]) == 3
    assert sum(part["count"] for part in price.document["parts"]) == 3
    assert day.document["states"]["error"]["tags"] == {}
    assert day.document["states"]["error"]["other_tags"] == 1
    assert day.document["parts"][0]["states"] == {"success": 4, "error": 1}
    assert (nobody.code, nobody.out, nobody.err) == (0, "", "no traces match\n")


def test_an_empty_store_says_so(empty):
    done = empty.run("stats")
    assert (done.code, done.out, done.err) == (0, "", "no traces yet\n")


def test_what_is_wrong_is_found_and_mended(project):
    assert project.run("stats", "--verify").code == 0
    (index,) = project.directory.glob(".tracediff/index.sqlite")
    with closing(sqlite3.connect(index)) as db, db:
        db.execute("UPDATE statistics SET data = x'00' WHERE key = ?", (b"price",))
        assert db.execute("SELECT count(*) FROM deltas").fetchone() == (0,)
    verified, machine, hurt, rebuilt, again = project.batch(
        ("stats", "--verify"),
        ("stats", "--verify", "--format", "json"),
        ("stats", "price"),
        ("stats", "--rebuild", "--format", "json"),
        ("stats", "--verify"),
    )
    assert verified.code == machine.code == 1
    assert "✗ day" in verified.out
    assert "price: says nothing that can be read, and there are 3 rows" in verified.out
    wrong = machine.document["different"]
    assert {one["key"] for one in wrong} == {"price"}
    assert {one["resolution"] for one in wrong} == {"minute", "hour", "day"}
    assert (hurt.code, hurt.out) == (2, "")
    assert "--rebuild" in hurt.err
    assert (rebuilt.document["rows"], rebuilt.document["written"]) == (5, len(wrong))
    assert again.code == 0


def test_bad_input_is_refused_with_a_hint(project):
    project.refused("stats", "a/b/c/d/e", slug="statistics-unkept", words=("name fewer",))
    project.refused("stats", "--since", "1h", "--until", "2h", slug="usage")
    project.refused("stats", "price", "--verify", slug="usage")
    project.refused("stats", "--by", "week", slug="usage")
    project.refused("stats", "--tags", "-1", slug="usage")
