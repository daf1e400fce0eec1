"""Objects of attrs come back as they were: no constructor, converter or validator runs."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attr
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff.errors import ReplayError
from tracediff.values import Allow, encode, inert, live

Back = Callable[..., Any]
ran: list[str] = []


def _convert(value: Any) -> int:
    ran.append("converter")
    return int(value)


@attrs.define
class Line:
    sku: str
    count: int = attrs.field(
        default=1, converter=_convert, validator=lambda *_: ran.append("validator")
    )
    rest: list[Any] = attrs.field(factory=list)
    made: Any = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        ran.append("post init")
        object.__setattr__(self, "made", "by the class")


@attrs.frozen
class Gift(Line):
    wrapped: bool = True


@attrs.define(slots=False)
class Loose:
    x: Any


@attrs.frozen(eq=True, cache_hash=True, unsafe_hash=True)
class Keyed:
    name: str


@attrs.define
class Private:
    _hidden: int
    __mangled: int = 5


@attrs.define
class Refused(Exception):
    code: int


@attr.s
class Old:
    a = attr.ib()
    b = attr.ib(default=2)


OBJECTS = {
    "slots": lambda: Line("a", 5, [Decimal("1.10")]),
    "frozen": lambda: Gift("a", wrapped=False),
    "loose": lambda: Loose({1: (2,)}),
    "private": lambda: Private(1),
    "old": lambda: Old(1),
    "nested": lambda: Loose([Line("a"), Gift("b")]),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_come_back_and_nothing_of_theirs_runs(name: str, back: Back) -> None:
    obj = OBJECTS[name]()
    ran.clear()
    assert back(obj, __name__) == obj
    assert ran == []


def test_what_an_object_has_beside_its_fields_is_kept(back: Back) -> None:
    loose = Loose(1)
    loose.extra = 2  # type: ignore[attr-defined]  # it has a __dict__
    assert back(loose, __name__).extra == 2
    half = Line.__new__(Line)
    found = back(half, __name__)
    assert not hasattr(found, "sku")
    error = back(Refused(3), __name__)
    assert (error.code, error.args) == (3, Refused(3).args)


def test_a_hash_that_was_counted_is_not_data(back: Back) -> None:
    plain, counted = Keyed("a"), Keyed("a")
    hash(counted)
    assert encode(plain) == encode(counted)
    assert hash(back(counted, __name__)) == hash(plain)
    assert back({counted: 1}, __name__) == {plain: 1}


def test_fields_come_in_the_order_of_the_class() -> None:
    found: Any = inert(encode(Line("a")))
    assert (found.kind, list(found.fields)) == ("attrs", ["sku", "count", "rest", "made"])


def test_only_allowed_classes_are_rebuilt() -> None:
    with pytest.raises(ReplayError) as caught:
        live(encode(Line("a")), Allow())
    assert caught.value.slug == "class-not-allowed"


@settings(deadline=None, max_examples=40)
@given(st.text(), st.integers(), st.lists(st.one_of(st.none(), st.floats(allow_nan=False))))
def test_any_object(back: Back, sku: str, count: int, rest: list[Any]) -> None:
    assert back(Line(sku, count, rest), __name__) == Line(sku, count, rest)
