"""What the tests of libraries' values share: a value's way to bytes and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tracediff.values import Allow, Opaque, encode, from_json, inert, json_safe, live, text, to_json


def _back(obj: Any, *modules: str) -> Any:
    data = encode(obj)
    assert not isinstance(inert(data), Opaque), inert(data)
    assert encode(inert(data)) == data
    assert from_json(to_json(data)) == data
    text(inert(data))
    json_safe(inert(data))
    found = live(data, Allow(modules))
    assert type(found) is type(obj)
    assert encode(found) == data
    return found


def _why(obj: Any) -> str:
    node = inert(encode(obj))
    assert isinstance(node, Opaque), node
    return node.text.rpartition(" (")[2].rstrip(")")


@pytest.fixture(scope="session")
def back() -> Callable[..., Any]:
    """A function that writes an object, reads it, and checks every form on the way."""
    return _back


@pytest.fixture(scope="session")
def why() -> Callable[[Any], str]:
    """A function that gives the reason why an object is opaque."""
    return _why
