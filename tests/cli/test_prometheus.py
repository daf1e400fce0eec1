"""Figures for Prometheus: what a strict reader of the text format makes of them."""

from __future__ import annotations

import re
import stat

import pytest

from tracediff.config import load_config
from tracediff.reports.prometheus import Figure, Sample, exposition
from tracediff.stores.configured import spool_directory
from tracediff.stores.status import Status, write_status

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
NUMBER = r"NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?\d+)?"
LINE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (?P<value>{NUMBER})")


def read(text: str) -> dict[tuple[str, frozenset], float]:
    """The samples; every rule of the format that these figures could break is checked.

    https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
    """
    assert text.endswith("\n")
    found: dict[tuple[str, frozenset], float] = {}
    helped, typed, current = set(), set(), ""
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            name, _, said = line.removeprefix("# HELP ").partition(" ")
            assert name not in helped, "a figure comes once"
            assert re.fullmatch(r"(?:[^\\]|\\\\|\\n)+", said)
            helped.add(name)
            current = name
        elif line.startswith("# TYPE "):
            name, _, kind = line.removeprefix("# TYPE ").partition(" ")
            assert name == current
            assert name not in typed
            assert kind == "gauge"
            typed.add(name)
        else:
            match = LINE.fullmatch(line)
            assert match, line
            assert match[1] == current, "the samples of a figure come together, after its type"
            assert match[1].startswith("tracediff_")
            assert not match[1].endswith(("_total", "_count", "_sum", "_bucket"))
            labels = frozenset(
                (name, re.sub(r"\\(.)", lambda one: {"n": "\n"}.get(one[1], one[1]), value))
                for name, value in re.findall(LABEL, match[2] or "")
            )
            assert (match[1], labels) not in found, "a sample comes once"
            found[match[1], labels] = float(match["value"])
    assert helped == typed == {name for name, _ in found}
    return found


def test_labels_and_help_may_hold_anything():
    odd = 'a"b\\c\nd\re\ud800ž'
    text = exposition([
        Figure(name="odd", help='what "is" \\ it\n?', samples=(
            Sample(value=1.5, labels={"one": odd, "two": ""}), Sample(value=float("inf")),
            Sample(value=-3, labels={"one": "}"}), Sample(value=1e300, labels={"one": "x"}),
        )),
        Figure(name="none", help="nan", samples=(Sample(value=float("nan")),)),
    ])  # fmt: skip
    found = read(text)
    shown = frozenset({("one", 'a"b\\c\nd e?ž'), ("two", "")})
    assert found["tracediff_odd", shown] == 1.5
    assert found["tracediff_odd", frozenset({("one", "x")})] == 1e300
    assert text.encode().decode() == text


def values(text: str) -> dict[str, float]:
    """The samples that have no labels."""
    return {name: value for (name, labels), value in read(text).items() if not labels}


def test_doctor_gives_the_figures_of_a_local_store(project):
    out = project.run("doctor", "--format", "prometheus")
    assert out.code == 0
    found = values(out.out)
    assert found["tracediff_store_ok"] == 1
    assert found["tracediff_recorder_dropped_traces"] == 0
    assert ("tracediff_checks", frozenset({("result", "failed")})) in read(out.out)
    assert "tracediff_spool_bytes" not in found, "a local store has none"


def test_what_is_lost_here_and_what_waits_is_told_without_a_secret(empty, monkeypatch, tmp_path):
    project = empty
    url = "mongodb://who:geheim@127.0.0.1:1/db?blobs=b&serverSelectionTimeoutMS=100"
    monkeypatch.setenv("TRACEDIFF_STORE", url)
    spool = spool_directory(load_config(project.directory))
    assert spool is not None
    (spool / "segments" / "keep").mkdir(parents=True)
    (spool / "segments" / "keep" / "x.seg").write_bytes(b"0" * 100)
    (spool / "rejected").mkdir()
    (spool / "rejected" / "t.seg").write_bytes(b"0")
    write_status(spool, Status(pid=1, dropped=7, failed=2, problem="no geheim"))
    file = tmp_path / "node" / "tracediff.prom"
    out = project.run("doctor", "--format", "prometheus", "-o", file, TRACEDIFF_STORE=url)
    assert (out.code, out.out) == (0, "")
    found = values(file.read_text())
    wanted = {
        "spool_segments": 1, "spool_bytes": 100, "spool_rejected_traces": 1, "forwarder_up": 0,
        "recorder_dropped_traces": 7, "recorder_failed_traces": 2, "store_ok": 0,
        "recorder_ailing_processes": 1, "spool_limit_bytes": 1 << 30,
    }  # fmt: skip
    assert {name: found[f"tracediff_{name}"] for name in wanted} == wanted
    assert "geheim" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) & 0o044, "a collector of another user reads it"
    assert [one.name for one in file.parent.iterdir()] == ["tracediff.prom"]


@pytest.mark.parametrize(("lost", "said", "fix"), [
    ({"dropped": 2, "failed": 1}, "dropped 2 traces and could not save 1 trace", "fills the spool"),
    ({"failed": 1}, "could not save 1 trace", "saved when that is mended"),
])  # fmt: skip
def test_doctor_says_what_was_lost_here_and_what_to_do(empty, lost, said, fix):
    store = empty.directory / ".tracediff"
    (store / "segments").mkdir(parents=True)
    write_status(store, Status(pid=1, problem="no key", **lost))
    done = empty.run("doctor")
    assert done.code == 1
    assert f"✗ recorder: process 1 {said}: no key\n    " in done.out
    assert fix in done.out


@pytest.mark.parametrize("arguments", [("--replayability", "k", "--format", "prometheus")])
def test_what_has_no_figures_says_so(project, arguments):
    out = project.run("doctor", *arguments)
    assert out.code == 2
    assert "figures" in out.err
