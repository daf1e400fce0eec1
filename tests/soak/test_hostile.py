"""Stores and files with bombs, hurt bytes, newer schemas and deep trees, through the command line.

Each command runs in a process of its own whose memory is limited. The others of the store's traces
stay readable, ``doctor`` names the hurt ones, and no command needs more than MEMORY to refuse.
"""

from __future__ import annotations

import functools
import json
import random
import resource
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash
import zstandard

from tracediff import codec, tracefile
from tracediff.model import Step, Value
from tracediff.stores.local import LocalStore
from tracediff.stores.packing import pack
from tracediff.stores.segments import scan
from tracediff.testing import make_trace
from tracediff.values import encode

MEMORY = 512 * 1024 * 1024
"""Bytes of address space that a refusal may take; starting Python and its threads takes half."""

GOOD = [make_trace(f"good{n}", result="x" * n, started_at=n) for n in range(4)]


@pytest.fixture
def project(tmp_path) -> Path:
    """A project whose store holds GOOD."""
    (tmp_path / "pyproject.toml").write_text("[tool.tracediff]\njobs = ['jobs']\n")
    (tmp_path / "jobs.py").write_text("import tracediff as td\n@td.job('a')\ndef a(): pass\n")
    store = LocalStore(tmp_path / ".tracediff")
    store.save(GOOD)
    store.close()
    return tmp_path


@pytest.fixture
def small(tracediff):
    """Run a command with little memory."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def run(directory: Path, *args: object):
        return tracediff(directory, *args, preexec_fn=limit)

    return run


def segment(project: Path) -> Path:
    (path,) = (project / ".tracediff" / "segments").glob("*.seg")
    return path


def made_up(trace_id: str, payload: bytes, raw_length: int) -> bytes:
    """A frame with a right row and right checksums, whatever its payload is."""
    frame = next(scan(pack(make_trace(trace_id, started_at=9)).frame))
    body = frame.row + payload
    name = trace_id.encode()
    head = struct.pack("<4sBBHIIQQ16s", b"\x89TDF", 1, 0, len(name), len(frame.row), 0,
                       len(payload), raw_length, xxhash.xxh3_128_digest(body))  # fmt: skip
    return head + xxhash.xxh3_64_digest(head + name) + name + body


def add(project: Path, frame: bytes) -> None:
    with segment(project).open("ab") as file:
        file.write(frame)


def listed(done) -> set[str]:
    return {row["id"] for row in json.loads(done.stdout)["traces"]}


def others_are_well(run, project: Path, hurt: set[str]) -> None:
    """All but the hurt traces are listed and shown, and ``doctor`` names the hurt ones alone."""
    done = run(project, "ls", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert {trace.id for trace in GOOD} - hurt <= listed(done)
    for trace in GOOD:
        if trace.id not in hurt:
            done = run(project, "show", trace.id)
            assert (done.returncode, done.stderr) == (0, "")
    done = run(project, "doctor", "--format", "json")
    assert (done.returncode, done.stderr) == (1, "")
    wrong = [one["what"] for one in json.loads(done.stdout)["findings"] if not one["ok"]]
    for one in hurt:
        assert any(one in said for said in wrong), (one, wrong)
    for trace in GOOD:
        if trace.id not in hurt:
            assert not any(trace.id in said for said in wrong), wrong


def refused(done, *slugs: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.strip().rpartition("#")[2] in slugs, done.stderr


@functools.cache
def zeros() -> bytes:
    """Two gigabytes, compressed."""
    return zstandard.compress(bytes(2_000_000_000))


BOMBS = {
    "more than a trace may have": (zeros, 2_000_000_000),
    "more than it declares": (zeros, 1_000),
    "more than can be": (zeros, (1 << 64) - 1),
    "a window of gigabytes": (lambda: b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00", 1_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_in_a_segment_is_refused_by_its_trace_alone(project, small, bomb):
    payload, raw_length = BOMBS[bomb]
    add(project, made_up("bomb", payload(), raw_length))
    others_are_well(small, project, {"bomb"})
    refused(small(project, "show", "bomb"), "trace-hurt", "trace-too-large")
    refused(small(project, "pull", "bomb"), "trace-hurt", "trace-too-large")


DOC = json.loads(tracefile.dumps(GOOD[0]))


def with_result(result: object) -> dict:
    return {**DOC, "steps": [{**DOC["steps"][0], "result": result}]}


FILES = {
    "levels": json.dumps(with_result(0)).replace(
        '"result": 0', '"result": ' + "[" * 100_000 + "]" * 100_000
    ),
    "tags in tags": json.dumps(with_result(0)).replace(
        '"result": 0', '"result": ' + '{"$tuple": [' * 50_000 + "]}" * 50_000
    ),
    "a newer schema": json.dumps({**DOC, "tracediff": 99}),
    "an older one that never was": json.dumps({**DOC, "tracediff": "1"}),
    "zeros": "\0" * 1_000_000,
    "a million steps below nothing": json.dumps({**DOC, "steps": [{"parent": 9}] * 200_000}),
}


@pytest.mark.parametrize("name", FILES)
def test_a_harmful_trace_file_is_refused_within_little_memory(project, small, name):
    (project / "bad.trace.json").write_text(FILES[name])
    slugs = ("trace-unreadable", "value-unreadable", "schema-newer")
    refused(small(project, "show", "bad.trace.json"), *slugs)
    refused(small(project, "compare", "good1", "bad.trace.json"), *slugs)
    if name == "a newer schema":
        assert "schema 99" in small(project, "show", "bad.trace.json").stderr


@pytest.mark.parametrize("packed", ["3////w==", "3f////8=", "2/////8=", "xv////8=", "yf////8q"])
def test_lengths_that_lie_in_a_value_are_shown_as_what_they_are(project, small, packed):
    (project / "odd.trace.json").write_text(json.dumps(with_result({"$packed": packed})))
    done = small(project, "show", "odd.trace.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ValueError" in done.stdout
    done = small(project, "compare", "good1", "odd.trace.json")
    refused(done, "value-unreadable", "trace-unreadable")


@pytest.mark.slow
def test_a_trace_of_a_newer_schema_in_a_store_is_named_and_the_others_stay(project, small):
    raw = bytearray(codec.dump(make_trace("newer", started_at=9)))
    raw[4] += 1
    add(project, made_up("newer", zstandard.compress(bytes(raw)), len(raw)))
    others_are_well(small, project, {"newer"})
    done = small(project, "show", "newer")
    refused(done, "trace-hurt", "schema-newer")
    assert "schema 2" in done.stderr


@pytest.mark.slow
def test_flipped_bits_are_named_and_the_others_stay_readable(project, small):
    path = segment(project)
    whole = path.read_bytes()
    frames = list(scan(whole))
    for count in (1, 2):
        struck = random.sample(frames, count)
        hurt = bytearray(whole)
        for one in struck:  # somewhere in its row or its payload, which the header tells the id of
            at = one.offset + 56 + len(one.id) + random.randrange(one.length - 56 - len(one.id))
            hurt[at] ^= 1 << random.randrange(8)
        path.write_bytes(hurt)
        names = {one.id for one in struck}
        others_are_well(small, project, names)
        for name in names:
            refused(small(project, "show", name), "trace-hurt")


@pytest.mark.slow
def test_a_segment_that_was_cut_loses_what_was_cut_and_names_it(project, small):
    path = segment(project)
    whole = path.read_bytes()
    last = list(scan(whole))[-1]
    path.write_bytes(whole[: last.offset + random.randrange(1, last.length)])
    others_are_well(small, project, {last.id})
    refused(small(project, "show", last.id), "trace-hurt")


# A thousand levels


def deep_trace(trace_id: str, result: int):
    """Steps a thousand levels deep, and a result nearly as deep as values may be."""
    value: object = result
    for level in range(490):
        value = [value] if level % 2 else {"x": value}
    steps = [Step(parent=n - 1, kind="step" if n else "job", name=f"level {n}",
                  result=Value(encode(value if n % 100 == 0 else result)))
             for n in range(1_000)]  # fmt: skip
    return replace(make_trace(trace_id, started_at=9), steps=tuple(steps))


@pytest.mark.slow
def test_a_thousand_levels_are_shown_compared_pulled_and_read_back(project, small):
    store = LocalStore(project / ".tracediff")
    store.save([deep_trace("deep1", 1), deep_trace("deep2", 2)])
    store.close()
    done = small(project, "show", "deep1")
    assert (done.returncode, done.stderr) == (0, "")
    done = small(project, "show", "deep1", "--step", "999", "--format", "json")
    assert "level 999" in done.stdout
    for form in ("text", "json"):
        done = small(project, "compare", "deep1", "deep2", "--format", form)
        assert (done.returncode, done.stderr) == (1, "")
        assert small(project, "compare", "deep1", "deep1", "--format", form).returncode == 0
    done = small(project, "pull", "deep1", "-o", project / "deep.trace.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert tracefile.loads((project / "deep.trace.json").read_text()) == deep_trace("deep1", 1)
    done = small(project, "compare", "deep.trace.json", "deep1")
    assert (done.returncode, done.stderr) == (0, "")
    done = small(project, "doctor")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
