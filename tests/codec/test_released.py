"""Traces in released formats load for ever: fixtures/traces/v<N>/ only ever grows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracediff import codec, tracefile
from tracediff.digests import outcome_digest, path_signature, tree_digest
from tracediff.values import Opaque, encode, inert, text

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "traces"
BINARY = sorted(ROOT.glob("v*/*.trace"))


def test_there_are_released_traces() -> None:
    assert [path.name for path in BINARY] == ["price.trace", "replayed.trace", "values.trace"]


@pytest.mark.parametrize("path", BINARY, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_released_trace_loads(path: Path) -> None:
    trace = codec.load(path.read_bytes())
    file = path.with_name(path.name + ".json")
    assert tracefile.loads(file.read_text(encoding="utf-8")) == trace
    assert codec.load(codec.dump(trace)) == trace
    assert tracefile.loads(tracefile.dumps(trace)) == trace
    expected = json.loads((path.parent / "digests.json").read_text())[path.stem]
    assert outcome_digest(trace).hex() == expected["outcome"]
    assert tree_digest(trace).hex() == expected["tree"]
    assert path_signature(trace).hex() == expected["path"]


@pytest.mark.parametrize("path", BINARY, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_value_of_a_released_trace_is_still_canonical(path: Path) -> None:
    seen = 0
    for step in codec.load(path.read_bytes()).steps:
        for value in (step.args, step.key, step.result):
            if value is not None:
                found = inert(value)
                assert text(found)
                assert not isinstance(found, Opaque)
                assert encode(found) == value.data
                seen += 1
    assert seen
