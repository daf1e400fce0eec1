"""A value as a tree: each kind told exactly, each level small, whatever somebody recorded."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import json
import math
import re
import struct
import time
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from tracediff import values
from tracediff.model import Step, Value
from tracediff.reports.pages import valuetree
from tracediff.testing import make_trace


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Money:
    amount: Decimal
    currency: str


class Connection:
    def __repr__(self):
        return "<a connection>"


def seen(obj):
    return values.inert(values.encode(obj))


def address(path, start):
    return f"{json.dumps(path)}@{start}"


def node(obj, **given):
    return valuetree.tree(seen(obj), address=address, **given)


def told(obj):
    one = node(obj)
    return one.type, one.text, one.hint


OTHER_NAN = struct.unpack(">d", bytes.fromhex("fff8000000000001"))[0]
CYCLE = [1]
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("obj", "kind", "text", "hint"),
    [
        (None, "NoneType", "None", ""),
        (True, "bool", "True", ""),
        (10**50, "int", "1" + "0" * 50, "51 digits"),
        (0.1, "float", "0.1", ""),
        (math.nan, "float", "nan", "bits 7ff8000000000000"),
        (OTHER_NAN, "float", "nan", "bits fff8000000000001"),
        (-0.0, "float", "-0.0", "negative zero"),
        (Decimal("19.90"), "Decimal", "19.90", "2 decimal places"),
        (Decimal("1E+5"), "Decimal", "1E+5", "exponent +5"),
        (Fraction(1, 3), "Fraction", "1/3", ""),
        ("a\u202eb", "str", "'a\\u202eb'", ""),
        (b"\x00a", "bytes", "b'\\x00a'", "2 bytes"),
        (dt.date(2024, 3, 1), "date", "2024-03-01", ""),
        (
            dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Bratislava")),
            "datetime", "2024-10-27 02:30:00+01:00", "Europe/Bratislava, the second of two",
        ),
        (Colour.RED, "Colour", "Colour.RED", ""),
        (np.float32(1.5), "numpy.float32", "1.5", ""),
        (pd.Timestamp("2024-01-01 10:00"), "pandas.Timestamp", "2024-01-01 10:00:00", ""),
        (Connection(), "Connection", "<a connection>", "no exact form"),
    ],
)  # fmt: skip
def test_each_kind_is_told_exactly(obj, kind, text, hint):
    assert told(obj) == (kind, text, hint)


@pytest.mark.parametrize(
    ("obj", "count", "children"),
    [
        ([1, "a"], "2 items", [("0", "index", "1"), ("1", "index", "'a'")]),
        ({"a": 1, 2: "b", "x y": 0}, "3 items",
         [("a", "key", "1"), ("2", "key", "'b'"), ("'x y'", "key", "0")]),
        ({3, 1}, "2 members", [("", "", "1"), ("", "", "3")]),
        (Money(Decimal("1.50"), "EUR"), "2 fields",
         [("amount", "field", "1.50"), ("currency", "field", "'EUR'")]),
        (collections.deque([1], 5), "1 item", [("0", "index", "1")]),
        (CYCLE, "2 items", [("0", "index", "1"), ("1", "index", "↑ itself")]),
        (range(0, 10, 5), "2 items", [("0", "index", "0"), ("1", "index", "5")]),
        (memoryview(b"ab"), "2 items", [("0", "index", "97"), ("1", "index", "98")]),
        ([], "0 items", None),
    ],
)  # fmt: skip
def test_a_container_opens_to_its_members(obj, count, children):
    one = node(obj)
    assert one.count == count
    inner = one.inside and [(it.label, it.role, it.text) for it in one.inside.nodes]
    assert inner == children


def test_a_secret_stays_one():
    secret = values.Redacted("builtins:str", "k1", b"\x01" * 16)
    one = valuetree.tree(secret, address=address)
    assert one.look == "secret"
    assert "<redacted str 01010101>" in one.text
    assert one.inside is None


def test_a_level_has_a_hundred_members_and_says_where_the_others_are():
    obj = seen(list(range(1_000_000)))
    level = valuetree.level(obj, (), 200, address)
    assert [one.label for one in level.nodes[:2]] == ["200", "201"]
    assert len(level.nodes) == 100
    assert level.rest == valuetree.Rest("… 999,700 more items", "[]@300")
    assert valuetree.level(obj, (), 999_950, address).rest is None


def test_a_long_text_comes_in_parts():
    obj = seen({"text": "ä" * 10_000_000})
    inner = valuetree.descend(obj, (0,))
    level = valuetree.level(inner, (0,), 2_000, address)
    assert level.text == "ä" * 2_000
    assert level.rest == valuetree.Rest("… 9,996,000 more characters", "[0]@4000")
    assert len(node({"text": "ä" * 10_000_000}).inside.nodes[0].text) <= 120


def test_bytes_are_dumped_with_their_places():
    level = valuetree.level(seen(bytes(range(256)) * 8), (), 1_024, address)
    assert level.dump.startswith("00000400  00 01 02")
    assert "20 21 22" in level.dump
    assert level.rest is None


def test_what_is_deep_opens_step_by_step_and_never_all_at_once():
    deep: dict[str, object] = {"end": 1}
    for at in range(450):
        deep = {"in": deep, "at": at}
    obj, path = seen(deep), ()
    for _ in range(450):
        path += (0,)
    assert valuetree.descend(obj, valuetree.read_path(json.dumps(path))) == {"end": 1}
    one, levels = valuetree.tree(obj, address=address, budget=10**6), 0
    while one.inside:
        one, levels = one.inside.nodes[0], levels + 1
    assert levels == 8
    assert one.source == "[0, 0, 0, 0, 0, 0, 0, 0]@0"


def test_without_a_server_what_does_not_fit_says_so():
    one = valuetree.tree(seen({"few": [1], "many": list(range(90))}), budget=10)
    few, many = one.inside.nodes
    assert [it.text for it in few.inside.nodes] == ["1"]
    assert many.cut
    assert many.source is None


@pytest.mark.parametrize("text", [
    "", "{}", "1", "[-1]", "[1.0]", "[true]", '["a"]', "[" * 9_000, "[[0]]",
    json.dumps([0] * 700), "[99999999999999999999]",
])  # fmt: skip
def test_a_path_is_a_list_of_positions_and_nothing_else(text):
    with pytest.raises(valuetree.PathError):
        valuetree.read_path(text)


@pytest.mark.parametrize("path", [(2,), (0, 0), (1, 5)])
def test_a_path_that_leads_nowhere_is_refused(path):
    with pytest.raises(valuetree.PathError):
        valuetree.descend(seen([1, "text"]), path)


def cells(obj):
    table = node(obj).inside.table
    return [name for name, _ in table.columns], [(name, *row) for name, row in table.rows]


def test_an_array_is_a_table_whatever_its_order_and_dtype():
    rows = [("0", "0", "1", "2"), ("1", "3", "4", "5")]
    assert cells(np.arange(6).reshape(2, 3)) == (["0", "1", "2"], rows)
    assert cells(np.asfortranarray(np.arange(6).reshape(2, 3))) == (["0", "1", "2"], rows)
    assert cells(np.arange(8).reshape(2, 2, 2))[1][2] == ("1, 0", "4", "5")
    assert cells(np.array(["a", "bc"]))[1] == [("0", "'a'"), ("1", "'bc'")]
    assert cells(np.array(["2024-01-01", "NaT"], "M8[D]"))[1][1] == ("1", "NaT")
    assert cells(np.array([(1, 2.5)], [("a", "<i4"), ("b", ">f8")]))[1] == [
        ("0", "{'a': 1, 'b': 2.5}")
    ]
    assert cells(np.array([1 + 2j]))[1] == [("0", "(1+2j)")]
    assert cells(np.array([[1.0, math.nan]], ">f8"))[1] == [("0", "1.0", "nan")]


def test_a_frame_is_a_table_with_its_labels_and_gaps():
    frame = pd.DataFrame({
        "a": [1, 2], "b": ["x", None], "t": pd.to_datetime(["2024-01-01 10:00", None]),
        "c": pd.Categorical(["u", None]), "m": pd.array([1, None], dtype="Int64"),
    }, index=pd.Index(["p", "q"]))  # fmt: skip
    names, rows = cells(frame)
    assert names == ["a", "b", "t", "c", "m"]
    assert rows[0] == ("p", "1", "'x'", "2024-01-01 10:00:00", "u", "1")
    assert rows[1][0::2] == ("q", rows[1][2], "NaN")
    assert rows[1][3] == "NaT"
    assert rows[1][5] == "NA"
    wide = node(pd.DataFrame(np.zeros((500, 80)))).inside
    assert len(wide.table.rows) == 100
    assert wide.table.left_out == "20 more columns"
    assert wide.rest.said == "… 400 more rows"


def test_a_table_that_does_not_add_up_is_shown_as_its_parts():
    parts = {"dtype": "<f8", "shape": (9, 9), "order": "C", "data": b"12345678"}
    odd = values.Record("numpy:ndarray", "library", parts)
    inner = valuetree.tree(odd, address=address).inside
    assert inner.table is None
    assert [one.label for one in inner.nodes] == ["parts"]


def test_a_search_finds_names_and_texts_at_any_depth():
    obj = seen({"lines": [{"net": 19}, {"NET price": "twenty"}], "other": ["Net" * 3]})
    found = valuetree.find(obj, "net", address)
    assert [one.label for one in found.nodes] == [
        "lines[0].net", "lines[1].'NET price'", "other[0]",
    ]  # fmt: skip
    assert [one.label for one in valuetree.find(obj, "19", address).nodes] == ["lines[0].net"]


def test_a_search_in_a_large_value_ends_in_time_and_says_where():
    began = time.process_time()
    found = valuetree.find(seen([[at] for at in range(400_000)]), "nowhere", address)
    assert "stopped after" in found.stopped
    assert time.process_time() - began < 20
    assert valuetree.find(seen(["x"] * 500), "x", address).stopped == "the first 50"


@pytest.fixture
def client(made, site, signed_in):
    value = {"big": list(range(100_000)), "<i>": "<script>alert(1)</script>", "t": "x" * 9_000}
    data = Value(values.encode(value))
    steps = (
        Step(parent=-1, kind="job", name="j", result=data),
        Step(parent=0, kind="step", name="hurt", result=Value(b"\xc1")),
    )
    return signed_in(site(made(make_trace("abc", steps=steps))))


def test_a_step_brings_little_of_a_large_value_and_the_rest_on_demand(client):
    step = client.get("/trace/abc/step/0").text
    assert len(step) < 40_000
    assert "<script>" not in step
    more = re.search(r'data-more="([^"]*from=100)"', step).group(1).replace("&amp;", "&")
    level = client.get(more).text
    assert level.count('class="entry"') == 100
    assert 'data-role="index">199<' in level
    assert "from=200" in level


def test_a_value_can_be_searched_from_its_page(client):
    found = client.get("/trace/abc/value/0/result/find?q=ALERT").text
    assert "1 match" in found
    assert "<script>" not in found


def test_a_value_that_cannot_be_read_is_a_remark_and_not_the_end(client):
    assert "unreadable" in client.get("/trace/abc/step/1").text
