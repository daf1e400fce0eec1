"""The parts of expectations that need no test run to be tested."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from tracediff import tracefile
from tracediff.compare import compare
from tracediff.errors import TracediffError
from tracediff.expectations.accepting import in_ci, write_expectation
from tracediff.expectations.baseline import baseline
from tracediff.expectations.causes import cause_of
from tracediff.expectations.files import inside, locked, write_whole
from tracediff.expectations.limits import Used, used
from tracediff.expectations.manifest import entry, exchange, verify, write_manifest
from tracediff.expectations.reading import head, read_trace
from tracediff.expectations.rules import packed, parse_rule, unpacked
from tracediff.expectations.usage import Usage, merged, read_usage, write_usage
from tracediff.model import ReplayInfo, Tolerance
from tracediff.testing import make_trace


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("**/weight rel=1e-9", Tolerance(path="**/weight", rel=1e-9)),
        ("Rounding to cents/result abs=0.01 ulp=4",
         Tolerance(path="Rounding to cents/result", abs=0.01, ulp=4)),
        ("abs=2", Tolerance(abs=2.0)),
        ("result/tags unordered", Tolerance(path="result/tags", unordered=True)),
        ("a quantum=0.01 ignore", Tolerance(path="a", quantum="0.01", ignore=True)),
    ],
)  # fmt: skip
def test_a_rule_of_one_line(text, rule):
    assert parse_rule(text) == rule
    assert unpacked(packed([rule])) == [rule]


@pytest.mark.parametrize("text", ["", "**/weight", "a rel=x", "a rel=-1", "a rel=nan", "a ulp=1.5"])
def test_a_rule_that_cannot_be_read(text):
    with pytest.raises(TracediffError) as error:
        parse_rule(text)
    assert error.value.slug == "tolerance-invalid"


@pytest.mark.parametrize(
    ("old", "new", "rule", "share"),
    [
        (Decimal("10.00"), Decimal("10.08"), Tolerance(abs=0.1), 0.8),
        (100.0, 100.5, Tolerance(rel=0.01, abs=1.0), 0.4975),
        (1.0, 1.0000000000000002, Tolerance(ulp=4), 0.25),
        (Decimal("1.001"), Decimal("1.002"), Tolerance(quantum="0.01"), None),
    ],
)
def test_the_share_of_a_limit_that_is_used(old, new, rule, share):
    comparison = compare(make_trace(result=old), make_trace(result=new), tolerances=[rule])
    found = used(comparison, [rule])
    assert found.fields
    assert found.worst == pytest.approx(share, rel=1e-3) if share else found.worst is None


def test_shares_add_up_to_the_worst():
    whole = Used(2, 0.5, "a") + Used() + Used(3, 0.8, "b")
    assert str(whole) == "5 fields within tolerance, worst 0.8 of its limit"
    assert str(Used(1)) == "1 field within tolerance"


@pytest.mark.parametrize(
    "name", ["../x.trace.json", "/x.trace.json", "a/../../x.trace.json", "x.json", "x\0.trace.json",
             "out/x.trace.json"],
)  # fmt: skip
def test_a_path_never_leads_out_of_the_project(tmp_path, name):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    with pytest.raises(TracediffError) as error:
        inside(tmp_path / "root", name)
    assert error.value.slug == "expectation-outside"


def test_a_write_that_fails_leaves_what_was_there_and_no_litter(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "directory").mkdir()
    with pytest.raises(TracediffError) as error:
        write_whole(tmp_path / "directory", b"new")
    assert error.value.slug == "expectation-unwritable"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["directory", "file"]
    with pytest.raises(TracediffError), locked(tmp_path / "file"):
        pass


def test_a_file_is_true_to_its_manifest_at_every_moment_of_its_exchange(tmp_path):
    old, new = make_trace(result=1), make_trace(result=2)
    path = tmp_path / "a.trace.json"
    write_expectation(path, old)
    write_manifest(tmp_path, [entry(path.name, old, path.read_bytes())], {})
    data = tracefile.dumps(new).encode()
    exchange(path, new, data)
    assert read_trace(path) == old, "killed before the file was written"
    path.write_bytes(data)
    assert read_trace(path) == new
    write_expectation(path, old)
    with pytest.raises(TracediffError) as error:
        verify(path, b"something else")
    assert error.value.slug == "trace-altered"


def test_the_first_lines_tell_what_a_file_is(tmp_path):
    path = tmp_path / "a.trace.json"
    path.write_text(tracefile.dumps(make_trace("abc", key='odd "key"')))
    assert head(path) == {"id": "abc", "key": 'odd "key"'}
    path.write_text("{}")
    assert head(path) == {}
    assert head(tmp_path / "nothing") == {}


def test_a_baseline_keeps_the_identity_of_what_was_replayed():
    old = make_trace("old", result=1, tags=("a",))
    new = replace(make_trace("new", result=2), started_at=5, replay=ReplayInfo(of="old"))
    made = baseline(compare(old, new))
    assert (made.id, made.tags, made.started_at, made.replay) == (
        "old",
        ("a",),
        old.started_at,
        None,
    )
    assert made.steps[0].result == new.steps[0].result


def test_equal_causes_have_equal_ids_whatever_the_values():
    one = cause_of(compare(make_trace(result=1), make_trace(result=2)))
    other = cause_of(compare(make_trace(result=3), make_trace(result=5)))
    assert one == other


def test_usage_of_shards_is_merged(tmp_path):
    every = frozenset({"a", "b", "c"})
    write_usage(tmp_path / "1.json", Usage(every, frozenset({"a"}), frozenset({"a"})))
    write_usage(tmp_path / "2.json", Usage(every, frozenset(), frozenset({"b"}), (("d", "gone"),)))
    whole = merged(read_usage(tmp_path / name) for name in ("1.json", "2.json"))
    assert whole.unused() == []
    assert whole.unused(whole=True) == ["c"]
    assert whole.stale == (("d", "gone"),)
    (tmp_path / "3.json").write_text(json.dumps({"schema": "tracediff/usage/2"}))
    with pytest.raises(TracediffError) as error:
        read_usage(tmp_path / "3.json")
    assert error.value.slug == "schema-newer"


@pytest.mark.parametrize(
    ("value", "on"),
    [("true", True), ("1", True), ("yes", True), ("", False), ("0", False), ("False", False)],
)
def test_what_counts_as_ci(value, on):
    assert in_ci({"CI": value}) is on
    assert in_ci({}) is False
