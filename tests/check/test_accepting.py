"""Accepting causes: the file, what an acceptance covers, and the command in real projects."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.check import causesfile
from tracediff.check.accepting import (
    MOST_DRIFT,
    Entry,
    chosen,
    entered,
    entry_of,
    judged,
    moves,
    narrowed,
    shortened,
    stale,
    together,
    ways_text,
    within,
)
from tracediff.check.causesfile import (
    FILE,
    accept_causes,
    document,
    drop_causes,
    dumped,
    read_causes,
    stamp,
)
from tracediff.check.lastcheck import causes_of, last_check
from tracediff.checked import Acceptance, Change, Checked, Group, Result, Total
from tracediff.cli import exits, group
from tracediff.errors import ExpectationError
from tracediff.reports.check import check_document


def total(field: str, change: str | int, up: int = 0, down: int = 0, **more: Any) -> Total:
    amount = Fraction(change)
    given = {"least": amount, "most": amount, "count": up + down, **more}
    return Total(field=field, change=amount, up=up, down=down, **given)


def group_of(cause: str = "1a2b3c4d", *totals: Total, **more: Any) -> Group:
    change = Change(
        id=cause, units=("pricing.weights:DIVISOR",), kind="constant", file="pricing/weights.py",
        line=13, hunk=("-DIVISOR = 5000", "+DIVISOR = 6000"), commit="abc",
    )  # fmt: skip
    given = {
        "cause": cause, "label": "DIVISOR (pricing/weights.py)", "count": 3, "exact": True,
        "smallest": Result(id="t1", key="price/one", kind="changed"), "change": change,
        "totals": totals, "keys": {"price/one": 3},
    }  # fmt: skip
    return Group(**{**given, **more})


def entry(cause: str = "1a2b3c4d", **more: Any) -> Entry:
    given = {
        "label": "DIVISOR", "reason": "as agreed", "who": "Ann",
        "when": "2026-01-02T03:04:05+00:00",
        "fields": {"result": "up"}, "keys": {"price/one": 3},
    }  # fmt: skip
    return Entry(cause=cause, **{**given, **more})


UP, DOWN = total("result", 5, up=3), total("result", "-6/5", down=3)
BOTH = total("result", 4, up=5, down=2, least=Fraction(-1, 4))


@pytest.mark.parametrize(
    ("given", "now", "others", "said"),
    [
        ("up", [UP], {}, []),
        ("up", [total("result", 5000, up=3000)], {}, []),
        ("up and down", [UP], {}, []),
        ("up and down", [BOTH], {}, []),
        ("up", [DOWN], {}, ["accepted to raise result, now lowers it in 3 traces (-1.20)"]),
        ("up", [BOTH], {},
         ["accepted to raise result, now also lowers it in 2 traces (by up to -0.25)"]),
        ("down", [total("result", 4, up=1, down=2, most=Fraction(9))], {},
         ["accepted to lower result, now also raises it in 1 trace (by up to +9.00)"]),
        ("", [UP], {}, ["not accepted to move result, now raises it in 3 traces (+5.00)"]),
        ("", [BOTH], {},
         ["not accepted to move result, now raises and lowers it in 7 traces (+4.00)"]),
        ("", [], {"result": 2}, ["not accepted to move result, now changes it in 2 traces"]),
        ("other", [], {"result": 2}, []),
        ("up", [UP], {"result": 2},
         [("accepted to raise result, "
           "now also changes it to or from what is no number in 2 traces")]),
        ("other", [UP], {"result": 2},
         ["accepted to change result, now also raises it in 3 traces (+5.00)"]),
        ("up and other", [UP], {"result": 2}, []),
        ("up", [total("result", 0, count=4)], {}, []),
        ("", [total("result", 0, count=4)], {},
         ["not accepted to move result, now raises and lowers it in 4 traces (+0.00)"]),
        ("up", [], {"result": 0}, []),
        ("up", [], {}, []),
    ],
)  # fmt: skip
def test_an_acceptance_covers_the_ways_that_were_accepted_and_no_others(given, now, others, said):
    fields = {"result": given} if given else {}
    acceptance = Acceptance(cause="1a2b3c4d", label="", reason="", fields=fields)
    assert judged(group_of("1a2b3c4d", *now, others=others), acceptance) == tuple(said)


def test_only_the_fields_that_drift_are_named_and_not_hundreds_of_them():
    acceptance = entry(fields={"b": "up"})
    said = judged(group_of("1a2b3c4d", *(total(name, 1, up=1) for name in "abc")), acceptance)
    assert [sentence.split(",")[0] for sentence in said] == [
        "not accepted to move a", "not accepted to move c",
    ]  # fmt: skip
    many = [total(f"f{at:03}", 1, up=1) for at in range(100)]
    said = judged(group_of("1a2b3c4d", *many), acceptance)
    assert len(said) == MOST_DRIFT + 1
    assert said[-1] == f"… and {100 - MOST_DRIFT} more fields"


@given(
    st.dictionaries(
        st.sampled_from("abcde"), st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2))
    )
)
def test_what_is_accepted_as_it_is_never_drifts(counts):
    totals = [total(name, up - down, up=up, down=down) for name, (up, down, _) in counts.items()]
    others = {name: other for name, (_, _, other) in counts.items()}
    found = group_of("1a2b3c4d", *totals, others=others)
    accepted = entry_of(found)
    assert judged(found, accepted) == ()
    assert set(accepted.fields) == set(moves(found))
    assert within(accepted, accepted)


def test_hostile_names_are_harmless_in_what_is_said():
    said = judged(group_of("1a2b3c4d", total("a\x1b[2J\n\u202eb", 1, up=1)), entry())
    assert said == (r"not accepted to move a\x1b[2J\n\u202eb, now raises it in 1 trace (+1.00)",)


def test_what_no_longer_occurs_is_told_only_by_a_check_that_would_have_met_it():
    one, two = entry("11111111"), entry("22222222", keys={"price/one": 1, "order/total": 2})
    there = [group_of("33333333", UP)]
    assert stale([one, two], there, complete=True) == (one, two)
    assert stale([one, two], there, complete=False) == ()
    assert stale([one, two], there, complete=True, key="price") == (one,)
    assert stale([one, two], there, complete=True, key="price/one") == (one,)
    assert stale([one, two], there, complete=True, key="pri") == ()
    assert stale([one, two], [group_of("11111111", UP)], complete=True) == (two,)


def test_accepting_again_replaces_and_the_order_is_by_time():
    old = entry("22222222", when="2026-01-01T00:00:00+00:00")
    new = entry("11111111", when="2026-02-01T00:00:00+00:00")
    again = replace(old, reason="again", when="2026-03-01T00:00:00+00:00")
    assert entered([new], [old]) == (old, new)
    assert entered([old, new], [again]) == (new, again)
    same = [entry(cause) for cause in ("33333333", "22222222")]
    assert [one.cause for one in entered(same, ())] == ["22222222", "33333333"]


def test_what_a_new_acceptance_no_longer_covers_is_told():
    before = entry(fields={"result": "up and down", "vat": "up", "text": "other"})
    assert narrowed(before, entry(fields={"result": "down", "text": "other"})) == (
        "result up", "vat up",
    )  # fmt: skip


def test_a_cause_is_named_by_the_start_of_its_id():
    some = [entry("1a2b3c4d"), entry("1a2b9999"), entry("ffff0000", label="ROUNDING")]
    found = chosen(["1A2B3", "ffff0000", "ffff"], some, "the last check", "list them")
    assert [one.cause for one in found] == ["1a2b3c4d", "ffff0000"]
    for name, slug, words in (
        ("1a2b", "cause-ambiguous", ("1a2b3c4d, 1a2b9999",)),
        ("fff", "cause-unknown", ("4 digits",)),
        ("", "cause-unknown", ("4 digits",)),
        ("ffff0001", "cause-unknown", ("did you mean ffff0000",)),
        ("rounding", "cause-unknown", ("did you mean ffff0000 (ROUNDING)",)),
        ("e0e0e0e0", "cause-unknown", ("it has 1a2b3c4d", "list them")),
        ("\x1b[2J\u202e" * 100, "cause-unknown", (r"\x1b",)),
    ):
        with pytest.raises(ExpectationError) as caught:
            chosen([name], some, "the last check", "list them")
        assert caught.value.slug == slug
        said = f"{caught.value.message} {caught.value.hint}"
        assert all(word in said for word in words), said
        assert len(caught.value.message) < 250
    with pytest.raises(ExpectationError) as caught:
        chosen(["ffff0000"], [], "the last check", "list them")
    assert "none at all" in (caught.value.hint or "")


def test_a_long_change_is_kept_so_far_as_anybody_reads_it():
    kept = shortened([f"+{at}" for at in range(1000)])
    assert len(kept) == 61
    assert kept[-1] == "… 940 more lines"
    assert shortened(["+" + "x" * 5000])[0].endswith("…")


# The file ------------------------------------------------------------------------------


def test_a_file_that_was_written_reads_back_the_same(tmp_path: Path) -> None:
    big = Fraction(10**5000, 7)
    hostile = 'a\x00\x1b[2J\u202e\udcff\u200b"\\\n– Äpfel 🍏'
    some = [
        entry_of(group_of("1a2b3c4d", BOTH, total("vat", "1/3", up=1), others={"text": 2}), "r"),
        entry("22222222", totals={"result": big}, fields={"result": "up"}, dirty=True, commit="c"),
        entry("33333333", label=hostile, hunk=(hostile,), fields={hostile: "other"}, reason="ü"),
    ]  # fmt: skip
    (tmp_path / FILE).write_bytes(dumped(entered(some, ())))
    assert read_causes(tmp_path) == entered(some, ())


def test_the_file_reads_in_a_review_and_hides_nothing(tmp_path: Path) -> None:
    found = group_of("1a2b3c4d", BOTH, label="x\u202eevil\u200b", others={"text": 1})
    (done,) = accept_causes(tmp_path, [entry_of(found)], "as agreed").done
    text = (tmp_path / FILE).read_text("utf-8")
    assert text.endswith("}\n")
    assert not [char for char in text if not char.isprintable() and char != "\n"]
    lines = text.splitlines()
    assert '   "label": "x\\u202eevil\\u200b",' in lines
    assert '    "+DIVISOR = 6000"' in lines
    assert '     "moves": "up and down",' in lines
    assert '     "total": "+4",' in lines
    assert '     "exact": "4/1"' in lines
    assert max(len(line) for line in lines) < 100
    assert document([done]) == json.loads(text)


def test_the_file_keeps_to_its_schema_and_what_is_refused_does_not() -> None:
    schema = json.loads(
        (Path(causesfile.__file__).parents[1] / "reports/schemas/causes-1.json").read_text("utf-8")
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema)
    some = [entry_of(group_of("1a2b3c4d", BOTH, others={"text": 1}), "r"), entry("22222222")]
    valid.validate(json.loads(dumped(some)))
    valid.validate(json.loads(changed(**dict.fromkeys(("label", "hunk", "who", "keys"), ...))))
    loose = {"a cause twice", "a name twice", "a long count", "a long amount", "over nothing"}
    for name, (data, _) in BAD.items():
        if data.startswith(b'{"schema"') and name not in {*loose, "huge"}:
            assert not valid.is_valid(json.loads(data)), name
    (packed,) = document([entry_of(group_of("1a2b3c4d", UP), "r")])["accepted"]
    assert schema["properties"].keys() == document([]).keys()
    assert schema["$defs"]["cause"]["properties"].keys() == packed.keys()
    assert schema["$defs"]["field"]["properties"].keys() == packed["fields"]["result"].keys()
    assert schema["properties"]["schema"]["const"] == document([])["schema"]


def changed(**changes: Any) -> bytes:
    (packed,) = document([entry_of(group_of("1a2b3c4d", UP), "as agreed")])["accepted"]
    kept = {name: value for name, value in (packed | changes).items() if value is not ...}
    return json.dumps({"schema": "tracediff/causes/1", "accepted": [kept]}).encode()


def twice() -> bytes:
    (packed,) = document([entry_of(group_of("1a2b3c4d", UP), "as agreed")])["accepted"]
    return json.dumps({"schema": "tracediff/causes/1", "accepted": [packed, packed]}).encode()


CONFLICT = dumped([entry()]).replace(b'   "label"', b'<<<<<<< HEAD\n   "label"', 1)
BAD = {
    "empty": (b"", "no JSON in line 1"),
    "text": (b"hello", "no JSON in line 1"),
    "cut": (dumped([entry()])[:80], "no JSON in line"),
    "conflict": (CONFLICT, "markers of a merge conflict, from line 6"),
    "not utf-8": (dumped([entry()]).replace(b"DIVISOR", b"DI\xffVISOR"), "not UTF-8, from byte"),
    "utf-16": (dumped([entry()]).decode().encode("utf-16"), "not UTF-8, from byte 0"),
    "a list": (b"[]", "it is no tracediff/causes/1"),
    "no schema": (b'{"accepted": []}', "names no schema"),
    "another schema": (b'{"schema": "tracediff/accepted/1"}', "it is tracediff/accepted/1, not"),
    "a schema of no kind": (b'{"schema": 7}', "names no schema"),
    "no list": (b'{"schema": "tracediff/causes/1", "accepted": {}}', "'accepted' is no list"),
    "nothing": (b'{"schema": "tracediff/causes/1"}', "'accepted' is no list"),
    "no cause": (b'{"schema": "tracediff/causes/1", "accepted": [7]}', "are no causes"),
    "deep": (b"[" * 200_000, "recursion"),
    "huge": (b'{"schema": "tracediff/causes/1", "accepted": [' + b" " * (16 << 20), "than 16 MB"),
    "unknown at the top": (
        b'{"schema": "tracediff/causes/1", "acepted": []}', "did you mean 'accepted'?"
    ),
    "unknown of a cause": (changed(reasn="x"), "did you mean 'reason'?"),
    "unknown of a field": (changed(fields={"a": {"moves": "up", "move": 1}}), "a field 'move'"),
    "a cause twice": (twice(), "1a2b3c4d stands in it twice"),
    "a name twice": (
        changed().replace(b'"reason": "as agreed"', b'"reason": "a", "reason": "b"'),
        "'reason' stands twice",
    ),
    "an id": (changed(cause="1a2b"), "'1a2b' is no cause"),
    "an id of capitals": (changed(cause="1A2B3C4D"), "'1A2B3C4D' is no cause"),
    "no id": (changed(cause=7), "'7' is no cause"),
    "no reason": (changed(reason=" "), "has no reason"),
    "no reason at all": (changed(reason=...), "has no reason"),
    "no fields": (changed(fields=...), "has no fields"),
    "fields of no kind": (changed(fields=[]), "fields of the cause 1a2b3c4d cannot be []"),
    "a field of no kind": (changed(fields={"a": "up"}), "nothing of how it moves"),
    "no way": (changed(fields={"a": {"moves": "sideways"}}), "neither up, nor down, nor other"),
    "no way at all": (changed(fields={"a": {}}), "neither up, nor down, nor other"),
    "no amount": (
        changed(fields={"a": {"moves": "up", "exact": "1e999999999"}}), "is no exact amount"
    ),
    "over nothing": (changed(fields={"a": {"moves": "up", "exact": "1/0"}}), "no exact amount"),
    "a long amount": (
        changed(fields={"a": {"moves": "up", "exact": "9" * 9999}}), "is no exact amount"
    ),
    "a long count": (changed(traces=10**30), "is no count"),
    "a count of no kind": (changed(traces=True), "where a count belongs"),
    "a count below 0": (changed(keys={"a": -1}), "where a count belongs"),
    "lines of no kind": (changed(hunk=["-a", 7]), "hunk of the cause 1a2b3c4d holds"),
    "who of no kind": (changed(who=None), "who of the cause 1a2b3c4d cannot be null"),
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and the working directory in it."""
    (tmp_path / "pyproject.toml").write_text('[tool.tracediff]\njobs = ["shop.*"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def accept(root: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs ``tracediff accept``: its exit code and what it wrote."""

    def run(*args: object) -> tuple[int, str, str]:
        code = exits.run(group, ["accept", *map(str, args)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def refused(said: tuple[int, str, str], slug: str, *words: str) -> None:
    code, out, err = said
    assert (code, out) == (2, ""), said
    lines = err.splitlines()
    assert len(lines) == 3, err
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("  hint: ")
    assert lines[2] == f"  see docs/errors.md#{slug}"
    assert all(word in err for word in words), err


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_none_is_refused_and_left_as_it_is(root: Path, accept: Said, name: str):
    data, words = BAD[name]
    (root / FILE).write_bytes(data)
    refused(accept("--list"), "causes-unreadable", FILE, words)
    keep(root, group_of("1a2b3c4d", UP))
    refused(accept("--all-causes", "--reason", "x"), "causes-unreadable", words)
    refused(accept("--drop", "1a2b3c4d"), "causes-unreadable", words)
    assert (root / FILE).read_bytes() == data


def test_a_file_of_a_newer_schema_is_refused(root: Path, accept: Said) -> None:
    (root / FILE).write_text('{"schema": "tracediff/causes/12", "accepted": []}')
    refused(accept("--list"), "schema-newer", "tracediff/causes/12", "reads up to 1")


def test_a_file_that_an_editor_has_touched_still_reads(root: Path) -> None:
    data = dumped([entry()])
    for touched in (b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n"), data.replace(b"\n", b"")):
        (root / FILE).write_bytes(touched)
        assert read_causes(root) == (entry(),)
    (root / FILE).write_bytes(changed(**dict.fromkeys(("label", "hunk", "who", "keys"), ...)))
    (found,) = read_causes(root)
    assert (found.cause, found.label, found.hunk, found.keys) == ("1a2b3c4d", "", (), {})


def test_what_somebody_else_did_since_one_looked_is_not_undone(root: Path) -> None:
    new = entry()
    with pytest.raises(ExpectationError) as caught:
        drop_causes(root, [new], expected={new.cause: stamp(new)})
    assert (caught.value.slug, "was dropped" in caught.value.message) == ("accept-overtaken", True)
    (done,) = accept_causes(root, [new], "so", by="Ada", expected={new.cause: ""}).done
    assert (done.who, done.reason) == ("Ada", "so")
    for write in (
        lambda: accept_causes(root, [new], "other", expected={new.cause: ""}),
        lambda: drop_causes(root, [new], expected={new.cause: stamp(new)}),
    ):
        with pytest.raises(ExpectationError) as caught:
            write()
        assert caught.value.slug == "accept-overtaken"
        assert "was accepted by Ada meanwhile" in caught.value.message
        assert read_causes(root) == (done,)
    accept_causes(root, [new], "other", expected={new.cause: stamp(done)})
    assert read_causes(root)[0].reason == "other"


# The command ---------------------------------------------------------------------------


def keep(root: Path, *groups: Group) -> Path:
    """Leave a check's report where the last one is."""
    path = last_check(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    count = sum(one.count for one in groups)
    found = Checked(matching=count, checked=count, same=0, changed=count, groups=groups)
    path.write_text(json.dumps(check_document(found)))
    return path


def test_causes_of_the_last_check_are_accepted_listed_and_dropped(root: Path, accept: Said) -> None:
    divisor = group_of("1a2b3c4d", DOWN, others={"text": 3})
    told = group_of("22222222", UP, label="first at Rounding", exact=False, change=None)
    keep(root, divisor, told)
    code, out, err = accept("--cause", "1a2b", "--reason", "as agreed")
    assert code == 0
    assert out == (
        "accepted 1a2b3c4d  DIVISOR (pricing/weights.py)  in 3 traces: "
        "result down (-1.20), text other\n"
    )
    assert "commit it" in err
    (found,) = read_causes(root)
    assert (found.reason, found.units) == ("as agreed", ("pricing.weights:DIVISOR",))
    assert found.hunk == ("-DIVISOR = 5000", "+DIVISOR = 6000")
    assert found.fields == {"result": "down", "text": "other"}
    assert found.totals == {"result": Fraction(-6, 5)}
    assert found.when.endswith("+00:00")
    assert found.who
    assert judged(divisor, found) == ()

    code, out, err = accept("--all-causes", "--reason", "too", "--format", "json")
    assert (code, [one["cause"] for one in json.loads(out)["accepted"]]) == (0, ["22222222"])
    assert "22222222 is told by the comparison" in err
    assert accept("--all-causes", "--reason", "x")[1:] == ("", "every cause is accepted already\n")

    code, out, err = accept("--list")
    assert (code, err) == (0, "")
    assert "1a2b3c4d  DIVISOR (pricing/weights.py)\n    why    as agreed\n" in out
    assert "covers result down (-1.20), text other" in out
    code, out, _ = accept("--list", "--format", "json")
    assert json.loads(out) == json.loads((root / FILE).read_text())

    assert accept("--drop", "1a2b", "--drop", "2222")[:2] == (
        0, "dropped 1a2b3c4d  DIVISOR (pricing/weights.py)\ndropped 22222222  first at Rounding\n",
    )  # fmt: skip
    assert accept("--list") == (0, "", "no cause is accepted\n")
    refused(accept("--drop", "1a2b3c4d"), "cause-unknown", FILE, "none at all")


def test_accepting_again_replaces_and_says_what_is_covered_no_more(root: Path, accept: Said):
    keep(root, group_of("1a2b3c4d", BOTH))
    assert accept("--all-causes", "--reason", "first")[0] == 0
    keep(root, group_of("1a2b3c4d", DOWN))
    _, _, err = accept("--cause", "1a2b3c4d", "--reason", "second")
    assert "no longer covers what this check has not: result up" in err
    (found,) = read_causes(root)
    assert (found.reason, found.fields) == ("second", {"result": "down"})
    keep(root, group_of("1a2b3c4d", BOTH))
    assert "accepted 1a2b3c4d" in accept("--all-causes", "--reason", "third")[1]


def test_what_ci_kept_is_accepted_from_a_file_or_its_directory(
    root: Path, accept: Said, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = keep(tmp_path_factory.mktemp("artifact"), group_of("1a2b3c4d", UP))
    assert accept("--cause", "1a2b3c4d", "--from", kept, "--reason", "x")[0] == 0
    assert accept("--drop", "1a2b3c4d")[0] == 0
    assert accept("--all-causes", "--from", kept.parent, "--reason", "x")[0] == 0
    assert [one.cause for one in read_causes(root)] == ["1a2b3c4d"]
    missing = accept("--cause", "ffff0000", "--from", kept, "--reason", "x")
    refused(missing, "cause-unknown", str(kept), "1a2b3c4d")


def test_nothing_is_accepted_in_ci(
    root: Path, accept: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(root, group_of("1a2b3c4d", UP))
    monkeypatch.setenv("CI", "true")
    refused(accept("--all-causes", "--reason", "x"), "accept-in-ci", "--from REPORT")
    refused(accept("--drop", "1a2b3c4d"), "accept-in-ci")
    assert not (root / FILE).exists()
    assert accept("--list") == (0, "", "no cause is accepted\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--cause", "1a2b3c4d"], ("--reason is missing",)),
        (["--cause", "1a2b3c4d", "--reason", "  "], ("--reason says nothing",)),
        (["--reason", "x"], ("--cause", "`tracediff pending`")),
        (["--cause", "1a2b", "--all-causes", "--reason", "x"], ("exclude each other",)),
        (["some", "--cause", "1a2b", "--reason", "x"], ("exclude each other",)),
        (["--all", "--all-causes", "--reason", "x"], ("exclude each other",)),
        (["--list", "--drop", "1a2b"], ("exclude each other",)),
        (["--list", "--reason", "x"], ("--reason is for accepting",)),
        (["--drop", "1a2b", "--from", "y"], ("--from is for accepting",)),
    ],
    ids=" ".join,
)
def test_options_that_do_not_go_together_are_refused(root: Path, accept: Said, args, words) -> None:
    keep(root, group_of("1a2b3c4d", UP))
    refused(accept(*args), "usage", *words)
    assert not (root / FILE).exists()


def test_without_a_check_there_is_nothing_to_accept(root: Path, accept: Said) -> None:
    refused(accept("--all-causes", "--reason", "x"), "check-missing", "`tracediff check`", "--from")
    keep(root)
    code, out, err = accept("--all-causes", "--reason", "x")
    assert (code, out, err) == (0, "", "no trace changed in that check\n")
    refused(accept("--cause", "1a2b3c4d", "--reason", "x"), "cause-unknown", "none at all")
    refused(accept("1a2b3c4d", "--reason", "x"), "pending-unknown", "behind --cause")


GROUP = {"cause": "1a2b3c4d", "label": "", "count": 1, "totals": []}
TOTAL = {"field": "a", "count": 1, "change": {"exact": "1/1"}, "up": 1, "down": 0}
LONG = TOTAL | {"change": {"exact": "1e9999999999"}}
HURT: dict[str, Any] = {
    "empty": (b"", "Expecting value"),
    "not utf-8": (b"\xff\xfe{}", "not UTF-8"),
    "deep": (b"[" * 200_000, "recursion"),
    "a list": (b"[]", "it is no document"),
    "another document": ({"schema": "tracediff/explain/1"}, "it is tracediff/explain/1, not"),
    "no groups": ({}, "'groups' is missing"),
    "groups of no kind": ({"groups": [7]}, "its groups are none"),
    "no id": ({"groups": [GROUP | {"cause": "../x"}]}, "'../x' is no cause"),
    "no count": ({"groups": [GROUP | {"count": "1"}]}, "'count' is missing"),
    "a flag": ({"groups": [GROUP | {"count": True}]}, "'count' is missing"),
    "no sums": ({"groups": [GROUP | {"totals": {}}]}, "'totals' is missing"),
    "a sum of no kind": ({"groups": [GROUP | {"totals": [1]}]}, "a sum in it is none"),
    "no amount": ({"groups": [GROUP | {"totals": [LONG]}]}, "is no exact amount"),
    "no change": ({"groups": [GROUP | {"totals": [TOTAL | {"change": "1"}]}]}, "'change' is"),
    "a hunk of no kind": ({"groups": [GROUP | {"change": {"hunk": [1]}}]}, "what is no text"),
    "a change of no kind": ({"groups": [GROUP | {"change": 7}]}, "'change' is missing"),
    "a long count": ({"groups": [GROUP | {"count": 10**30}]}, "is no count"),
}


@pytest.mark.parametrize("name", HURT)
def test_a_report_that_is_none_is_refused(root: Path, accept: Said, name: str) -> None:
    data, words = HURT[name]
    if isinstance(data, dict):
        data = json.dumps({"schema": "tracediff/check/1"} | data).encode()
    (root / "report.json").write_bytes(data)
    said = accept("--all-causes", "--from", "report.json", "--reason", "x")
    refused(said, "check-unreadable", "report.json", words)
    assert not (root / FILE).exists()


def test_a_report_of_a_newer_schema_or_without_end_is_refused(root: Path, accept: Said) -> None:
    (root / "report.json").write_text('{"schema": "tracediff/check/12"}')
    said = accept("--all-causes", "--from", "report.json", "--reason", "x")
    refused(said, "schema-newer", "tracediff/check/12")
    with (root / "report.json").open("wb") as stream:
        stream.truncate(100 << 20)
    said = accept("--all-causes", "--from", "report.json", "--reason", "x")
    refused(said, "check-unreadable", "more than 64 MB")
    said = accept("--all-causes", "--from", "/dev/zero", "--reason", "x")
    refused(said, "check-unreadable", "more than 64 MB")


def test_hostile_labels_do_nothing_to_a_terminal(root: Path, accept: Said) -> None:
    hostile = "x\x1b[2J\x9b\u202e\n\x07"
    name = f"field {hostile}"
    keep(root, group_of("1a2b3c4d", total(name, 1, up=1), label=hostile, keys={hostile: 1}))
    said = accept("--all-causes", "--reason", hostile)[1] + accept("--list")[1]
    said += accept("--drop", "1a2b")[1]
    assert not [char for char in said if not char.isprintable() and char != "\n"]
    assert r"x\x1b[2J" in said


def test_a_link_is_written_through_and_not_out_of_the_project(
    root: Path, accept: Said, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keep(root, group_of("1a2b3c4d", UP))
    (root / "kept").mkdir()
    (root / "kept/causes.json").write_bytes(dumped([]))
    (root / FILE).symlink_to("kept/causes.json")
    assert accept("--all-causes", "--reason", "x")[0] == 0
    assert (root / FILE).is_symlink()
    assert b"1a2b3c4d" in (root / "kept/causes.json").read_bytes()

    outside = tmp_path_factory.mktemp("outside") / "causes.json"
    for data in (dumped([]), None):
        if data is not None:
            outside.write_bytes(data)
        else:
            outside.unlink()
        (root / FILE).unlink()
        (root / FILE).symlink_to(outside)
        said = accept("--all-causes", "--reason", "x")
        refused(said, "causes-unreadable", "out of the project")
        assert outside.exists() == (data is not None)
    (root / FILE).unlink()
    (root / FILE).symlink_to(FILE)
    refused(accept("--list"), "causes-unreadable")
    (root / FILE).unlink()
    (root / FILE).symlink_to("nowhere")
    refused(accept("--list"), "causes-unreadable", "a link to nothing")
    (root / FILE).unlink()
    (root / FILE).mkdir()
    refused(accept("--list"), "causes-unreadable", "directory")


@pytest.mark.slow
def test_two_who_accept_at_once_both_have_their_causes_in_it(root: Path) -> None:
    names = [f"{at:08x}" for at in range(6)]
    keep(root, *(group_of(name, UP) for name in names))
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tracediff", "accept", "--cause", name, "--reason", name],
            cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for name in names
    ]  # fmt: skip
    for one in running:
        _, said = one.communicate(timeout=60)
        assert one.returncode == 0, said
    assert {one.cause: one.reason for one in read_causes(root)} == {one: one for one in names}
    assert [one.name for one in root.glob(".*.partial")] == []


@pytest.mark.slow
def test_one_that_is_killed_leaves_the_old_file_or_the_new_one(root: Path, accept: Said) -> None:
    keep(root, *(group_of(f"{at:08x}", UP) for at in range(2000)))
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from tracediff.check.causesfile import accept_causes\n"
        "from tracediff.check.lastcheck import causes_of, last_check\n"
        "root = Path.cwd()\nseen = causes_of(last_check(root))\n"
        "print('ready', flush=True)\n"
        "for at in range(10**6):\n    accept_causes(root, seen[: at % 2000], str(at) + '.')\n"
    )
    for wait in (0.0, 0.11, 0.23, 0.37):
        with subprocess.Popen(
            [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(wait)  # somewhere in the middle of it
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=30)
        found = read_causes(root)
        assert sorted(one.cause for one in found) == [f"{at:08x}" for at in range(len(found))]
    (root / f".{FILE}.1-1.partial").write_bytes(b"half")
    assert accept("--cause", "00000000", "--reason", "x")[0] == 0
    assert [one.name for one in root.glob(".*.partial")] == []


def without_privileges() -> None:
    """Let file permissions hold for root too: drop the capabilities to override them."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; refused to others, who lack them


def test_what_cannot_be_written_is_an_error_and_leaves_what_was_there(
    root: Path, accept: Said
) -> None:
    keep(root, group_of("1a2b3c4d", UP))
    (root / FILE).write_bytes(dumped([entry("22222222")]))
    (root / ".tracediff-tests").write_text("in the way")
    refused(accept("--all-causes", "--reason", "x"), "expectation-unwritable")
    (root / ".tracediff-tests").unlink()
    root.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tracediff", "accept", "--all-causes", "--reason", "x"],
            cwd=root, capture_output=True, text=True, check=False, timeout=60,
            preexec_fn=without_privileges,
        )  # fmt: skip
    finally:
        root.chmod(0o755)
    refused((done.returncode, done.stdout, done.stderr), "expectation-unwritable")
    assert (root / FILE).read_bytes() == dumped([entry("22222222")])


def test_a_reason_of_any_bytes_and_a_fresh_clone_without_anything(root: Path) -> None:
    keep(root, group_of("1a2b3c4d", UP))
    done = subprocess.run(
        [os.fsencode(sys.executable), b"-m", b"tracediff", b"accept",
         b"--all-causes", b"--reason", b"weil \xff\xfe \x1b[2J"],
        cwd=root, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (root / FILE).read_text("utf-8")
    assert read_causes(root)[0].reason.startswith("weil \udcff\udcfe")


def test_the_ways_of_a_field_stand_in_one_order() -> None:
    assert ways_text({"other", "down", "up"}) == "up and down and other"


def test_a_report_says_what_would_be_accepted(root: Path) -> None:
    found = group_of("1a2b3c4d", BOTH, others={"text": 1}, keys={"a": 2, "b": 1})
    assert causes_of(keep(root, found)) == [entry_of(found)]


def test_a_report_with_traces_that_pass_together_can_be_accepted_from(root: Path) -> None:
    found = group_of("1a2b3c4d", UP)
    whole = together([])
    both = replace(found, cause=whole.cause, label=whole.label, accepted=whole)
    assert causes_of(keep(root, found, both)) == [entry_of(found)]
