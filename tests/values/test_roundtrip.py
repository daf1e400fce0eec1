"""Values come back as they were, type and bits, from both forms and by both decoders."""

from __future__ import annotations

import collections
import enum
import math
import struct
import types
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracediff.values import Allow, digest, encode, encode_map, from_json, inert, live, to_json
from tracediff.values.careful import encode_carefully


@dataclass
class Price:
    net: Decimal
    note: Any = None


@dataclass(frozen=True, slots=True)
class Frozen:
    a: Any
    b: int = field(default=0, init=False)


@dataclass
class Late:
    known: int
    later: int = field(init=False)


class Point(NamedTuple):
    x: Any
    y: Any


Pair = collections.namedtuple("Pair", "left right")


class Colour(enum.Enum):
    RED = "r"
    CRIMSON = "r"
    BLUE = ("b", 1)


class Size(enum.IntEnum):
    SMALL = 1


class Mode(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Bits(enum.IntFlag):
    ONE = 1
    FOUR = 4


class Money(Decimal):
    currency: str


class Names(list[Any]):
    pass


class Table(dict[str, Any]):
    pass


class Tag(str):
    __slots__ = ("extra",)


class Stamp(datetime):
    pass


class Failure(Exception):
    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"failed with {code}")
        self.code = code
        self.hint = hint


def same(a: Any, b: Any) -> bool:
    """Whether two objects are equal in type and bits, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        equal = struct.pack(">d", a) == struct.pack(">d", b)
    elif isinstance(a, complex):
        equal = same(a.real, b.real) and same(a.imag, b.imag)
    elif isinstance(a, Decimal):
        equal = str.__str__(Decimal.__str__(a)) == Decimal.__str__(b)
    elif isinstance(a, dict | types.MappingProxyType):
        equal = same(list(a.items()), list(b.items()))
        equal = equal and same(getattr(a, "default_factory", 0), getattr(b, "default_factory", 0))
    elif isinstance(a, list | tuple | deque):
        equal = len(a) == len(b) and all(map(same, a, b))
        equal = equal and getattr(a, "maxlen", 0) == getattr(b, "maxlen", 0)
    elif isinstance(a, set | frozenset):
        left, right = (sorted(x, key=encode) for x in (a, b))
        equal = same(left, right)
    elif isinstance(a, datetime | time):
        equal = a.replace(tzinfo=None) == b.replace(tzinfo=None) and a.fold == b.fold
        equal = equal and same(a.tzinfo, b.tzinfo)
    elif isinstance(a, timezone):
        equal = repr(a) == repr(b)
    elif isinstance(a, ZoneInfo):
        equal = a.key == b.key
    elif isinstance(a, memoryview):
        equal = (a.format, a.shape, a.readonly, bytes(a)) == (
            b.format,
            b.shape,
            b.readonly,
            bytes(b),
        )
    elif isinstance(a, UUID):
        equal = a == b and a.is_safe is b.is_safe
    elif isinstance(a, BaseException):
        equal = same(a.args, b.args)
    elif isinstance(a, slice):
        equal = same((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    elif isinstance(a, type | types.FunctionType | types.BuiltinFunctionType | enum.Enum):
        return a is b
    elif hasattr(a, "__dataclass_fields__"):
        names = a.__dataclass_fields__
        equal = all(same(getattr(a, n, None), getattr(b, n, None)) for n in names)
    else:
        equal = bool(a == b)
    return equal and (not hasattr(a, "__dict__") or same(vars(a), vars(b)))


def everywhere(obj: Any, allow: Allow | None = None) -> bytes:
    """Encode, and check every way back; returns the bytes."""
    data = encode(obj)
    assert data == encode_carefully(obj, None, None)
    assert from_json(to_json(data)) == data
    assert encode(inert(data)) == data
    back = live(data, allow or Allow([__name__]))
    assert same(back, obj), (back, obj)
    assert encode(back) == data
    return data


ANY_FLOAT = st.integers(0, 2**64 - 1).map(lambda n: struct.unpack(">d", n.to_bytes(8, "big"))[0])
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
ZONES = st.one_of(
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]).map(ZoneInfo),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
    st.just(timezone(timedelta(hours=1), "named")),
    st.just(UTC),
)
DECIMALS = st.one_of(
    st.decimals(),
    st.sampled_from(["-0", "0E+7", "1.10", "-0.00", "sNaN", "-NaN12", "Infinity", "1E-999"]).map(
        Decimal
    ),
)
HASHABLE_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    ANY_TEXT,
    st.binary(max_size=8),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.dates(),
    st.datetimes(timezones=st.none() | ZONES),
    st.times(timezones=st.none() | ZONES),
    st.timedeltas(),
    st.uuids(),
    st.builds(PurePosixPath, st.text("ab/. ", max_size=6)),
    st.builds(PureWindowsPath, st.text("ab/\\:", max_size=6)).filter(
        # Before Python 3.12 the text of "//:/" is that of another path.
        lambda path: str(PureWindowsPath(str(path))) == str(path)
    ),
    st.builds(Path, st.text("ab/.", max_size=6)),
    st.ip_addresses(),
    st.sampled_from([*Colour, *Size, Mode.READ, Mode(0), Mode.READ | Mode.WRITE, Bits(5)]),
    st.sampled_from([Ellipsis, NotImplemented, int, len, Price, same]),
)
LEAVES = st.one_of(
    HASHABLE_LEAVES,
    ANY_FLOAT,
    DECIMALS,
    st.complex_numbers(),
    st.builds(complex, ANY_FLOAT, ANY_FLOAT),
    st.binary(max_size=8).map(bytearray),
    st.binary(max_size=8).map(memoryview),
    st.builds(range, st.integers(), st.integers(), st.integers(1)),
    st.builds(slice, st.integers() | st.none(), st.text(max_size=2), st.none()),
)
HASHABLE = st.recursive(
    HASHABLE_LEAVES,
    lambda inner: st.one_of(
        st.frozensets(inner, max_size=3), st.tuples(inner, inner), st.builds(Point, inner, inner)
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=3),
        st.sets(HASHABLE, max_size=4),
        st.builds(deque, st.lists(inner, max_size=3), st.none() | st.integers(3, 9)),
        st.dictionaries(HASHABLE, inner, max_size=3).map(OrderedDict),
        st.dictionaries(HASHABLE, inner, max_size=3).map(types.MappingProxyType),
        st.dictionaries(st.text(max_size=2), inner, max_size=3).map(lambda d: defaultdict(list, d)),
        st.dictionaries(HASHABLE, st.integers(), max_size=3).map(Counter),
        st.builds(Price, DECIMALS, inner),
        st.builds(Frozen, inner),
        st.builds(Point, inner, inner),
        st.builds(Pair, inner, inner),
        st.lists(inner, max_size=3).map(Names),
        st.dictionaries(st.text(max_size=2), inner, max_size=2).map(Table),
        st.lists(inner, max_size=2).map(lambda args: ValueError(*args)),
    ),
    max_leaves=12,
)


@given(VALUES)
@example([math.nan, -math.nan, -0.0, math.inf, struct.unpack(">d", b"\x7f\xf0" + b"\x01" * 6)[0]])
@example({1: "a", "1": "b", 1.5: "c", None: "d", (1,): "e"})
@example({"a": bytearray(b"x"), "b": b"x", "c": memoryview(b"x")})
@example({"$decimal": "1"})
@example({"$object": {"$object": 1}})
@example([{"$x": 1, "y": 2}, {"\ud800": 1}, "\ud83d\ude00", "\ud83d" + "\ude00"])
def test_every_value_comes_back(obj: Any) -> None:
    everywhere(obj)


@given(VALUES, VALUES)
def test_different_values_have_different_bytes(a: Any, b: Any) -> None:
    assert (digest(encode(a)) == digest(encode(b))) == same(a, b)


@given(st.dictionaries(st.text(max_size=3) | ANY_TEXT, VALUES, max_size=4))
def test_a_map_of_encoded_values_is_the_encoded_dict(pairs: dict[str, Any]) -> None:
    assert encode_map((name, encode(value)) for name, value in pairs.items()) == encode(pairs)


@given(VALUES)
def test_a_fresh_object_at_each_call(obj: Any) -> None:
    data = encode([obj])
    first, second = (live(data, Allow([__name__])) for _ in range(2))
    assert first is not second


def stdlib(obj: Any) -> bool:
    """Whether nothing in here is of a class that inert shows as a node."""
    kinds = (Price, Frozen, Point, Pair, Names, Table, enum.Enum, BaseException, type)
    if isinstance(obj, kinds) or callable(obj):
        return False
    if isinstance(obj, dict | types.MappingProxyType):
        return all(map(stdlib, [*obj.keys(), *obj.values()]))
    if isinstance(obj, list | tuple | set | frozenset | deque):
        return all(map(stdlib, obj))
    return True


@given(VALUES.filter(stdlib))
def test_inert_equals_live_for_standard_kinds(obj: Any) -> None:
    assert same(inert(encode(obj)), live(encode(obj), Allow()))


@given(st.lists(HASHABLE, max_size=8, unique_by=encode), st.randoms())
def test_a_set_does_not_depend_on_insertion_order(members: list[Any], random: Any) -> None:
    shuffled = list(members)
    random.shuffle(shuffled)
    first, second = set(members), set()
    for member in shuffled:
        second.add(member)
    if same(first, second):
        assert encode(first) == encode(second)
    assert encode(frozenset(map(str, members))) == encode(frozenset(map(str, shuffled)))


def test_colliding_members_inserted_in_two_orders() -> None:
    first, second = {0, 8}, {8, 0}
    assert list(first) != list(second)
    assert encode(first) == encode(second)


def test_dict_order_is_data() -> None:
    assert encode({"a": 1, "b": 2}) != encode({"b": 2, "a": 1})


LONELY = [
    pytest.param(datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Paris")), id="fold"),
    pytest.param(time(2, 30, fold=1), id="time-fold"),
    pytest.param(UUID(int=5, is_safe=SafeUUID.safe), id="safe-uuid"),
    pytest.param(ip_network("10.0.0.0/8"), id="network"),
    pytest.param(ip_interface("fe80::1%eth0/64"), id="scoped-interface"),
    pytest.param(ip_address("fe80::1%2"), id="scoped-address"),
    pytest.param(memoryview(bytearray(8)).cast("i", (2, 1)), id="shaped-memoryview"),
    pytest.param(memoryview(b"").cast("d"), id="empty-memoryview"),
    pytest.param(Path("\udcff/a"), id="undecodable-path"),
    pytest.param(2**100_000 - 7, id="huge-int"),
    pytest.param(-(2**63) - 1, id="below-64-bits"),
    pytest.param(2**64 - 1, id="unsigned-64-bits"),
    pytest.param(Late(1), id="field-not-set"),
    pytest.param(Failure(3, hint="x"), id="exception-with-own-init"),
    pytest.param(OSError(2, "gone", "file.txt"), id="oserror"),
    pytest.param(UnicodeDecodeError("utf-8", b"x\xff", 1, 2, "bad"), id="unicode-error"),
    pytest.param(KeyError("k"), id="key-error"),
    pytest.param(ExceptionGroup("g", [ValueError(1), TypeError()]), id="group"),
    pytest.param(defaultdict(None, {}), id="no-factory"),
    pytest.param(deque(maxlen=0), id="bounded-deque"),
]


@pytest.mark.parametrize("obj", LONELY)
def test_rare_kinds_come_back(obj: Any) -> None:
    data = encode(obj)
    assert from_json(to_json(data)) == data
    assert encode(inert(data)) == data
    back = live(data, Allow([__name__]))
    assert type(back) is type(obj)
    assert encode(back) == data
    if not isinstance(obj, ExceptionGroup):
        assert same(back, obj)


def test_oserror_keeps_what_its_constructor_sets() -> None:
    back = live(encode(OSError(2, "gone", "f.txt")), Allow())
    assert (type(back), back.errno, back.filename) == (FileNotFoundError, 2, "f.txt")  # type: ignore[attr-defined]  # an OSError


def test_extra_attributes_come_back() -> None:
    price = Price(Decimal("1.10"))
    price.extra = [1]  # type: ignore[attr-defined]  # that is the point
    back: Any = live(everywhere(price), Allow([__name__]))
    assert back.extra == [1]


def test_subclasses_keep_base_value_and_attributes() -> None:
    money = Money("1.10")
    money.currency = "EUR"
    tag = Tag("x")
    tag.extra = 3  # type: ignore[attr-defined]  # a slot
    stamp = Stamp(2020, 1, 2, fold=1, tzinfo=UTC)
    for obj in (money, tag, stamp, Names([1]), Table(a=1)):
        everywhere(obj)
    back: Any = live(encode(tag), Allow([__name__]))
    assert back.extra == 3


def test_no_constructor_runs() -> None:
    class_calls.clear()
    built = live(encode(Counting(5)), Allow([__name__]))
    assert class_calls == [5]
    assert isinstance(built, Counting)
    assert built.value == 5


class_calls: list[int] = []


@dataclass
class Counting:
    value: int

    def __post_init__(self) -> None:
        class_calls.append(self.value)


def test_an_alias_is_its_member() -> None:
    assert encode(Colour.CRIMSON) == encode(Colour.RED)


@pytest.mark.parametrize("depth", [1, 39, 40, 41, 119, 120, 121, 240, 498])
@pytest.mark.parametrize("kind", ["list", "dict", "tuple", "mixed"])
def test_deep_nesting_comes_back(depth: int, kind: str) -> None:
    obj: Any = None
    for level in range(depth):
        shape = kind if kind != "mixed" else ("list", "dict", "tuple")[level % 3]
        obj = [obj] if shape == "list" else {"a": obj} if shape == "dict" else (obj,)
    data = encode(obj)
    assert from_json(to_json(data)) == data
    assert encode(live(data, Allow())) == data
    assert encode(inert(data)) == data
    assert encode_map([("x", encode([obj])), ("y", data)]) == encode({"x": [obj], "y": obj})


def test_cycles_are_tied_again() -> None:
    obj: list[Any] = [1]
    obj.append({"back": obj, "t": (obj, Price(Decimal(1), obj))})
    data = encode(obj)
    back: Any = live(data, Allow([__name__]))
    assert back[1]["back"] is back
    assert encode(back) == data
    assert encode(inert(data)) == data
    assert from_json(to_json(data)) == data


def test_an_object_that_refers_to_itself() -> None:
    price = Price(Decimal(1))
    price.note = {"self": price}
    back: Any = live(encode(price), Allow([__name__]))
    assert back.note["self"] is back


def test_shared_references_are_written_out() -> None:
    shared = [1]
    assert encode([shared, shared]) == encode([[1], [1]])
