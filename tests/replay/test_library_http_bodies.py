"""Bodies as values, and the same bytes made of them again."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
import zlib
from decimal import Decimal
from typing import Any

import pytest
import zstandard
from hypothesis import assume, given
from hypothesis import strategies as st

from tracediff.recording.buffers import Buffer
from tracediff.recording.libraries.http import bodies, encodings, frames
from tracediff.recording.libraries.http.answers import Answer, told
from tracediff.recording.redaction import Redactor, is_secret_name
from tracediff.values import Allow, live

NAMES = st.text(max_size=4).filter(lambda name: not is_secret_name(name))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False, allow_infinity=False, places=2),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
LAYOUTS: list[dict[str, Any]] = [
    {"separators": (",", ":")}, {}, {"indent": 2}, {"indent": 4}, {"indent": "\t"},
    {"separators": (",", ":"), "ensure_ascii": False}, {"ensure_ascii": False, "indent": 2},
]  # fmt: skip


def served(content: bytes, *pairs: tuple[str, str], pieces: int = 1) -> bytes:
    """What a replay serves of a body that was recorded."""
    buffer = Buffer(Redactor((), lambda: bytes(32)), "steps")
    answer = Answer("GET", 200, "OK", "HTTP/1.1", list(pairs))
    size = max(1, -(-len(content) // pieces))
    for at in range(0, len(content), size):
        answer.add(content[at : at + size])
    answer.ended = True
    result = live(answer.packed(buffer), Allow())
    assert not buffer.warnings
    return b"".join(told(result, None).pieces)


@given(
    st.dictionaries(NAMES, JSON) | st.lists(JSON),
    st.sampled_from(LAYOUTS),
    st.booleans(),
)
def test_json_is_written_again_as_it_was(value: Any, layout: dict[str, Any], line: bool) -> None:
    text = json.dumps(value, default=str, **layout) + ("\n" if line else "")
    assert served(text.encode("utf-8", "surrogatepass")) == text.encode("utf-8", "surrogatepass")


_SECRETIVE = re.compile(
    rb"(?i)key|token|secret|pass|pwd|auth|cookie|credential|session|card|jwt|cvv|bearer|basic|://"
)
"""What may stand before a secret, which is sealed and so not the same."""


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_body_is_the_same_to_the_byte(content: bytes) -> None:
    assume(_SECRETIVE.search(content) is None)
    assert served(content) == content
    assert served(content, ("Content-Type", "text/html; charset=windows-1252")) == content
    assert served(content, ("Content-Type", "application/x-ndjson"), pieces=3) == content


@pytest.mark.parametrize("text", [
    '{"a":1.10,"b":[1.0,-0.0,0.5e1]}', '{"a":-0,"b":12345678901234567890.123456789012345678901}',
    '{"\\/":"<\\u003e&"}', '{"a":NaN,"b":-Infinity}', '{"a":1}\r\n', "\ufeff{}", '{"a": 1,"b":2}',
    "[" * 300 + "]" * 300, "[" * 100_000, '{"\ue000": "\ue0001"}', '{"a":"\\ue0001.5"}', "{}",
    "[ ]", '{"a":1e999}', "[1,2" , "9" * 5000, '["' + "9" * 5000 + '"]', "[" + "9" * 5000 + "]",
])  # fmt: skip
def test_json_that_is_spelled_oddly_is_the_same_to_the_byte(text: str) -> None:
    assert served(text.encode()) == text.encode()


def test_fractions_are_decimals_with_their_digits() -> None:
    value = bodies.read_json('{"price":10.50,"n":3,"e":1e3}')
    assert value == {"price": Decimal("10.50"), "n": 3, "e": 1000.0}
    assert str(value["price"]) == "10.50"


CODERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
}


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.sampled_from(sorted(CODERS)))
def test_each_piece_is_decoded_as_one(pieces: list[bytes], name: str) -> None:
    again = encodings.encoded(pieces, [name, "gzip"], whole=True)
    assert again is not None
    assert encodings.decoded(again, [name, "gzip"], 10_000) == pieces
    whole = CODERS[name](b"".join(pieces))
    assert b"".join(encodings.decoded([whole], [name], 10_000)) == b"".join(pieces)


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd"])
def test_what_is_too_large_when_it_is_decoded_is_not(name: str) -> None:
    with pytest.raises(encodings.CannotDecodeError):
        encodings.decoded([CODERS[name](bytes(1_000_000))], [name], 1000)


def test_what_is_too_large_is_not_decoded_to_find_that_out() -> None:
    coder = zstandard.ZstdCompressor().compressobj()
    bomb = b"".join(coder.compress(bytes(1 << 20)) for _ in range(300)) + coder.flush()
    tracemalloc.start()
    try:
        with pytest.raises(encodings.CannotDecodeError):
            encodings.decoded([bomb], ["zstd"], 1000)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


@given(st.lists(st.binary(min_size=1, max_size=20)), st.booleans(), st.integers(0, 3))
def test_frames_are_read_as_they_are_written(
    pieces: list[bytes], whole: bool, missing: int
) -> None:
    wire = b"".join(frames.framed(pieces, whole=whole))
    assert frames.unframed(wire) == (pieces, whole)
    short = frames.unframed(wire[: len(wire) - missing])[0]
    assert b"".join(pieces).startswith(b"".join(short))


@given(
    st.dictionaries(
        st.sampled_from(
            ["status", "body", "written", "pieces", "headers", "unread", "cut", "reason", "version"]
        ),
        JSON,
    )
)
def test_whatever_a_trace_says_gives_an_answer(result: dict[str, Any]) -> None:
    found = told(result, None)
    assert 100 <= found.status <= 999
    assert all(type(piece) is bytes for piece in found.pieces)
