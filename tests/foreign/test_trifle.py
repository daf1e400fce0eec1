"""Trifle::Traces' payloads become traces, with its index or without."""

from __future__ import annotations

import gzip
import json

from tracediff import codec, values


def test_blocks_are_steps_and_lines_are_notes(payloads, run, traces):
    payloads.trace("6a4b0000000000000000000a", 12)
    assert run("import", "payloads").out == "1 imported, 0 there already\n"
    (trace,) = traces()
    assert trace.key == "jobs/price"
    assert [(step.kind, step.name, step.parent, step.head) for step in trace.steps] == [
        ("job", "jobs/price", -1, False),
        ("note", "Tracer has been initialized for jobs/price", 0, False),
        ("step", "Calculate", 0, True),
        ("step", "Fetching product", 2, False),
        ("note", "Guard: token=[redacted]", 2, False),
        ("artifact", "report.txt", 2, False),
        ("note", "Finished", 0, False),
    ]
    assert values.inert(trace.steps[2].result) == "12"
    assert values.inert(trace.steps[3].result)["id"] == 4
    assert trace.steps[2].duration == 2_000_000_000
    assert trace.started_at == 1_700_000_000_000_000_000
    assert trace.state == "success"
    assert "no document of the index" in trace.warnings[0]


def test_the_index_says_what_the_parts_do_not(payloads, run, traces, project):
    payloads.trace("6a4b0000000000000000000a", 12)
    document = {
        "_id": {"$oid": "6a4b0000000000000000000a"},
        "key": "jobs/price/one",
        "segments": ["jobs", "jobs/price", "jobs/price/one"],
        "tags": ["ri:1"],
        "state": "warning",
        "meta": "[9, 42]",
        "context": {"shop": "x", "api_key": "hunter2hunter2"},
        "duration": {"$numberInt": "2500"},
        "first_at": {"$date": "2023-11-14T22:13:20.123Z"},
    }
    (project / "index.jsonl").write_text(json.dumps(document) + "\n")
    assert run("import", "index.jsonl", "payloads").code == 0
    (trace,) = traces()
    assert (trace.key, trace.state, trace.tags) == ("jobs/price/one", "warning", ("ri:1",))
    assert trace.meta == "[9, 42]"
    assert trace.context == {"shop": "x", "trifle_reference": "6a4b0000000000000000000a"}
    assert trace.started_at == 1_700_000_000_123_000_000
    assert trace.duration == 2_500_000_000


def test_two_are_compared_and_secrets_are_gone(payloads, run, traces):
    payloads.trace("a" * 24, 12)
    payloads.trace("b" * 24, 13, state="error")
    assert run("import", "payloads").out == "2 imported, 0 there already\n"
    assert run("import", "payloads").out == "0 imported, 2 there already\n"
    done = run("compare", "jobs/price@{0}", "jobs/price@{1}")
    assert done.code == 1
    assert "'12'" in done.out
    assert "'13'" in done.out
    assert "unproven" in done.out
    assert "origin" not in done.out
    assert b"hunter2" not in b"".join(map(codec.dump, traces()))
    assert run("replay", "@last").code == 2


def test_compressed_parts_and_the_entries_of_version_1(payloads, run, traces, project):
    part = payloads.part(
        "c" * 24,
        1,
        [
            {"at": 1_600_000_000, "message": "Old ↴", "state": "success", "head": True},
            {"at": 1_600_000_000, "message": "Old ↵", "state": "success", "head": False},
            {"at": 1_600_000_001, "message": "↳ 7", "state": "success", "meta": True},
            {"at": "2020-09-13T12:26:42Z", "message": "a.png", "media": True},
        ],
    )
    part.with_suffix(".json.gz").write_bytes(gzip.compress(part.read_bytes()))
    part.unlink()
    assert run("import", "payloads", "--from", "trifle").code == 0
    (trace,) = traces()
    assert [(step.kind, step.name) for step in trace.steps[1:]] == [
        ("step", "Old"),
        ("artifact", "a.png"),
    ]
    assert values.inert(trace.steps[1].result) == "7"


def test_blocks_that_do_not_fit(payloads, run, traces):
    payloads.part(
        "d" * 24,
        1,
        [
            {"at": 1, "message": "a ↴", "type": "text", "state": "success"},
            {"at": 1, "message": "b ↴", "type": "text", "state": "success"},
            {"at": 2, "message": "a ↵", "type": "text", "state": "success"},
            {"at": 2, "message": "z ↵", "type": "text", "state": "success"},
            {"at": -5, "message": "c ↴", "type": "text", "state": "odd"},
            {"at": 1e308, "message": ["no", "text"], "type": 7},
        ],
    )
    assert run("import", "payloads").code == 0
    (trace,) = traces()
    shape = [(step.kind, step.name, step.parent, step.open) for step in trace.steps[1:]]
    assert shape == [
        ("step", "a", 0, False),
        ("step", "b", 1, False),
        ("note", "z ↵", 0, False),
        ("step", "c", 0, True),
        ("note", "", 4, False),
    ]
    assert any("1970" in one for one in trace.warnings)
