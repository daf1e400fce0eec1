"""What decoding may do: import nothing when inert, only what is allowed when live, never crash."""

from __future__ import annotations

import contextlib
import copy
import operator
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.errors import CodecError, ReplayError
from tracediff.model import Value
from tracediff.values import (
    Allow,
    Global,
    Members,
    Opaque,
    Pairs,
    Placeholder,
    Record,
    encode,
    from_json,
    inert,
    live,
    tags,
    to_json,
)

REPO = Path(__file__).resolve().parents[2]


@dataclass
class Price:
    net: Decimal


def record(ref: str, fields: Any, kind: str = "dataclass") -> bytes:
    return encode(Record(ref, kind, fields=fields))


def test_inert_imports_nothing(tmp_path: Path) -> None:
    samples = [
        record("some_module_nobody_has:Price", {"net": Decimal("1.10")}),
        record("json.tool:Price", {}),
        encode([Global("antigravity:"), Global("this:x"), Global("http.server:Handler")]),
        encode(datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Paris"))),
        encode(
            Record(
                "datetime:datetime",
                "stdlib",
                fields={
                    "wall": datetime(2020, 1, 1),
                    "tzinfo": Record("zoneinfo:ZoneInfo", "stdlib", "No/Such_Zone"),
                },
            )
        ),
        encode(Record("numpy:array", "library", {"dtype": "f8"})),
        encode([Decimal(1), {1: 2}, {(1, 2)}, ValueError(1), Path("/"), 2**100, 1j]),
    ]
    script = (
        "import sys\n"
        "from tracediff.values import inert, text, json_safe\n"
        "import tracediff.values.frames  # which a frame is read with; it needs no library\n"
        f"samples = {samples!r}\n"
        "before = set(sys.modules)\n"
        "for data in samples:\n"
        "    found = inert(data)\n"
        "    text(found)\n"
        "    json_safe(found)\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=REPO
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_live_builds_only_what_is_allowed() -> None:
    data = encode(Price(Decimal(1)))
    with pytest.raises(ReplayError) as caught:
        live(data, Allow(["pricing.*"]))
    assert caught.value.slug == "class-not-allowed"
    assert live(Value(data), Allow([__name__])) == Price(Decimal(1))


def test_a_name_cannot_lead_out_of_an_allowed_module() -> None:
    for ref in (
        f"{__name__}:subprocess.Popen",
        f"{__name__}:sys.exit",
        f"{__name__}:Path",
        f"{__name__}:ormsgpack",
        f"{__name__}:record.__globals__",
    ):
        with pytest.raises(ReplayError):
            live(encode([Global(ref)]), Allow([__name__]))
    for ref in ("builtins:eval", "os:system", "builtins:getattr"):
        with pytest.raises(ReplayError) as caught:
            live(encode([Global(ref)]), Allow([__name__]))
        assert caught.value.slug == "class-not-allowed"


def test_a_missing_class_is_named() -> None:
    for ref in (f"{__name__}:Gone", "pricing_that_is_not_there:Price"):
        with pytest.raises(ReplayError) as caught:
            live(record(ref, {}), Allow(["*"]))
        assert caught.value.slug == "class-missing"
        assert ref in caught.value.message


def test_a_changed_class_is_named() -> None:
    for data in (
        encode(Record(f"{__name__}:Price", "namedtuple", fields={"x": 1})),
        encode(Record(f"{__name__}:Price", "subclass", 5)),
        encode(Record(f"{__name__}:Price", "exception", (1,))),
    ):
        with pytest.raises((ReplayError, CodecError)) as caught:
            live(data, Allow([__name__]))
        assert caught.value.slug in {"class-changed", "value-unreadable"}


@pytest.mark.parametrize(
    ("patterns", "ref", "expected"),
    [
        (["pricing.*"], "pricing:Price", True),
        (["pricing.*"], "pricing.a.b:Price", True),
        (["pricing.*"], "pricing2:Price", False),
        (["pricing.*"], "pricing_x.y:Price", False),
        (["pricing"], "pricing.a:Price", False),
        (["pricing.*", "!pricing.vendor.*"], "pricing.vendor.x:Price", False),
        ([], "pricing:Price", False),
    ],
)
def test_patterns(patterns: list[str], ref: str, expected: bool) -> None:
    assert Allow(patterns).permits(ref) is expected


USES: list[Callable[[Any], Any]] = [
    str,
    bool,
    len,
    iter,
    hash,
    int,
    float,
    list,
    dict,
    abs,
    copy.copy,
    copy.deepcopy,
    dir,
    operator.index,
    operator.neg,
    lambda it: it(),
    lambda it: it.execute,
    lambda it: it[0],
    lambda it: it == 1,
    lambda it: it != 1,
    lambda it: it < 1,
    lambda it: it + 1,
    lambda it: 1 + it,
    lambda it: 1 in it,
    lambda it: f"{it}",
    lambda it: {it: 1},
    lambda it: it.__enter__(),
    lambda it: setattr(it, "x", 1),
    lambda it: delattr(it, "x"),
    lambda it: it.__dict__,
]


@pytest.mark.parametrize("use", USES)
def test_a_placeholder_raises_when_it_is_used(use: Callable[[Any], Any]) -> None:
    node = Opaque("shop.db:Session", "<Session 7>", b"x")
    found: Any = live(encode({"session": node}), Allow())
    placeholder = found["session"]
    with pytest.raises(ReplayError, match="Session 7") as caught:
        use(placeholder)
    assert caught.value.slug == "placeholder-used"


def test_a_placeholder_may_be_passed_on_and_recorded_again() -> None:
    node = Opaque("shop.db:Session", "<Session 7>", b"x")
    placeholder = live(encode(node), Allow())
    assert type(placeholder) is Placeholder
    assert isinstance(placeholder, Placeholder)
    assert "Session 7" in repr(placeholder)
    assert placeholder is placeholder
    assert encode([placeholder]) == encode([node])


def test_members_that_cannot_be_hashed_come_as_nodes() -> None:
    odd = Record("a:B", "dataclass", fields={"x": 1})
    assert inert(encode(Pairs(((odd, 1),)))) == Pairs(((odd, 1),))
    assert inert(encode(Members((odd,), True))) == Members((odd,), True)
    two = Opaque("a:B", "<B>", None)
    assert inert(encode(Members((two, two)))) == Members((two, two))


CRAFTED = {
    "nothing": b"",
    "trailing": encode(1) + b"\xc0",
    "two values": encode([1]) + encode([1]),
    "unknown extension": tags.extension(99, b"x"),
    "long array": b"\xdd\xff\xff\xff\xff",
    "long map": b"\xdf\xff\xff\xff\xff",
    "long bytes": b"\xc6\xff\xff\xff\xff",
    "long extension": b"\xc9\xff\xff\xff\xff\x0a",
    "padded integer": tags.extension(tags.BIG_INT, bytes(20)),
    "small integer": tags.extension(tags.BIG_INT, b"\x05"),
    "no decimal": tags.extension(tags.DECIMAL, b"abc"),
    "spaced decimal": tags.extension(tags.DECIMAL, b" 1_0 "),
    "no date": tags.extension(tags.DATE, b"\0\0\0\0"),
    "no time": tags.extension(tags.TIME, b"\xff" * 8),
    "no delta": tags.extension(tags.TIMEDELTA, b"\x7f" * 12),
    "zero denominator": tags.extension(tags.FRACTION, ormsgpack.packb([1, 0])),
    "no range": tags.extension(tags.RANGE, ormsgpack.packb([1, 0, 0])),
    "no set": tags.extension(tags.SET, ormsgpack.packb(1)),
    "odd pairs": tags.extension(tags.PAIRS, ormsgpack.packb([1])),
    "no record": tags.extension(tags.RECORD, ormsgpack.packb([])),
    "record of unknown kind": tags.extension(tags.RECORD, ormsgpack.packb([b"a:b", 77, {}])),
    "no path": tags.extension(tags.PATH, b""),
    "unknown path": tags.extension(tags.PATH, b"\x63/a"),
    "deque too long": tags.extension(tags.DEQUE, ormsgpack.packb([1, [1, 2]])),
    "bad memoryview": tags.extension(tags.MEMORYVIEW, ormsgpack.packb([b"i", [1], True, b"x"])),
    "not utf-8": tags.extension(tags.GLOBAL, b"\xff"),
    "too deep": b"\x91" * 5_000 + b"\xc0",
}


@pytest.mark.parametrize("data", CRAFTED.values(), ids=CRAFTED.keys())
def test_what_is_no_value_is_an_error(data: bytes) -> None:
    for decoder in (inert, lambda it: live(it, Allow())):
        with pytest.raises(CodecError) as caught:
            decoder(data)
        assert caught.value.slug == "value-unreadable"
        assert caught.value.hint


def test_a_zone_cannot_name_a_file() -> None:
    data = tags.extension(tags.ZONEINFO, b"../../../etc/passwd")
    assert isinstance(inert(data), Record)
    with pytest.raises(CodecError):
        live(data, Allow())


def test_endless_nesting_of_extensions_is_refused() -> None:
    data = b"\xc0"
    for _ in range(4_000):
        data = tags.extension(tags.NESTED, data)
    with pytest.raises(CodecError, match="too deep"):
        inert(data)


def test_decoding_takes_no_more_memory_than_its_input_deserves() -> None:
    crafted = [
        b"\x92" + b"\xdd\x7f\xff\xff\xff" * 100,
        tags.extension(tags.RANGE, ormsgpack.packb([0, 2**62, 1])),
        tags.extension(tags.DECIMAL, b"1E+999999999"),
        tags.extension(tags.DEQUE, ormsgpack.packb([2**62, []])),
        tags.extension(tags.MEMORYVIEW, ormsgpack.packb([b"B", [2**40], True, b"x"])),
    ]
    tracemalloc.start()
    for data in crafted:
        try:
            to_json(encode(inert(data)))
        except CodecError:
            continue
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


SAMPLE = {
    "a": [1, 2**70, -0.0, float("nan"), "é", b"x", None, True],
    "b": {1: (Decimal("1.10"), {3, "x"}), None: frozenset({1})},
    "c": [Price(Decimal(2)), ValueError("x", 1), datetime(2020, 1, 1, tzinfo=ZoneInfo("UTC"))],
    "d": [Path("/a"), slice(1), range(3), 1j, bytearray(b"x"), memoryview(b"ab"), Price, ...],
}


def check_any(data: bytes) -> None:
    """Whatever these bytes are, they decode or are refused, in every form."""
    try:
        found = inert(data)
    except CodecError:
        pass
    else:
        encode(found)
    with contextlib.suppress(CodecError, ReplayError):
        live(data, Allow([__name__]))
    assert from_json(to_json(data)) == data


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    check_any(data)


def test_mutated_values() -> None:
    rng = random.Random(7)
    whole = encode(SAMPLE)
    for _ in range(4_000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(data))
            action = rng.randrange(3)
            if action == 0:
                data[place] = rng.randrange(256)
            elif action == 1:
                del data[place : place + rng.randint(1, 4)]
            else:
                data[place:place] = rng.randbytes(rng.randint(1, 3))
        check_any(bytes(data))


TAGS = [
    "$decimal",
    "$int",
    "$float",
    "$bytes",
    "$tuple",
    "$set",
    "$dict",
    "$object",
    "$dataclass",
    "$exception",
    "$enum",
    "$datetime",
    "$datetime_in",
    "$path",
    "$uuid",
    "$packed",
    "$range",
    "$memoryview",
    "$deque",
    "$zone",
    "$reference",
    "$opaque",
    "$complex",
    "a",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TAGS), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_a_value_or_refused(found: Any) -> None:
    with contextlib.suppress(CodecError):
        check_any(from_json(found))
