"""The page on trace files: its tables hold every field and every tag, and each example is exact."""

from __future__ import annotations

import ast
import dataclasses
import enum
import json
import re
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from tracediff import model, values
from tracediff.values import tags

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "trace-file.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `([^|]+)` \| `(\{[^|]+)` \|", re.MULTILINE)


class Mode(enum.Enum):
    UP = 1


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Pair(NamedTuple):
    a: int
    b: int


class Names(list[str]):
    pass


class Track:
    def __init__(self, length: int) -> None:
        self.length = length


for _cls in (Mode, Point, Pair, Names, Track):
    _cls.__module__ = "m"
values.register(Track, lambda track: [track.length], lambda parts: Track(*parts))

_USED = (
    *(Counter, OrderedDict, defaultdict, deque, date, datetime, time, timedelta, Decimal),
    *(Fraction, ip_address, PurePosixPath, UUID, ZoneInfo, Mode, Point, Pair, Names, Track),
)
NAMES: dict[str, Any] = {one.__name__: one for one in _USED}
NAMES |= {"MappingProxyType": MappingProxyType, "UTC": UTC, "json": json}


def section(heading: str) -> str:
    return PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def listed(heading: str) -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", section(heading), re.MULTILINE))


@pytest.mark.parametrize(("value", "form"), _ROW.findall(PAGE))
def test_a_value_has_the_form_that_is_shown(value: str, form: str) -> None:
    data = values.encode(eval(value, dict(NAMES)))
    assert values.to_json(data) == json.loads(form)
    assert values.from_json(json.loads(form)) == data


def test_every_tag_is_listed(root: Path) -> None:
    found = {f"${kind}" for kind in tags.KINDS}
    for name in ("jsonleaves.py", "tagged.py"):
        tree = ast.parse((root / "tracediff" / "values" / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if re.fullmatch(r"\$\w+", node.value) else set()
    assert len(found) > 40
    assert {tag for tag in found if f'"{tag}"' not in PAGE} == set()
    assert set(re.findall(r'\{"(\$\w+)"', PAGE)) <= found


def test_every_field_of_a_trace_is_listed() -> None:
    assert listed("A trace") == {"tracediff", *(one.name for one in fields(model.Trace))}
    assert listed("A step") == {one.name for one in fields(model.Step)}
