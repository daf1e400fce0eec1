"""Where what answers requests is defined: a function, a method or a class."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from tracediff.model import Source
from tracediff.recording.marks import called, source_of, unit_of


def unit_of_endpoint(endpoint: Any) -> str:
    """Where an endpoint is defined: its function, its method or its class."""
    owner = _class_of(endpoint)
    return unit_of(owner) if owner is not None else source_of(endpoint).unit


def written(endpoint: Any, unit: str) -> Source:
    """Where an endpoint stands: a class is where its first method is."""
    owner = _class_of(endpoint)
    if owner is None:
        return source_of(endpoint)
    found = [one for one in vars(owner).values() if isinstance(one, FunctionType)]
    return source_of(found[0]) if found else Source("", 0, unit)


def key_name(unit: str) -> str:
    """A unit as the setting ``keys`` names it; one in a function that makes it, beside that."""
    return unit.replace(":", ".").replace(".<locals>", "")


def _class_of(endpoint: Any) -> type | None:
    """The class that an endpoint is, or is an object of; None of functions and methods."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    owner = getattr(endpoint, "view_class", endpoint)
    if isinstance(owner, type):
        return owner
    if hasattr(endpoint, "__code__") or hasattr(endpoint, "__wrapped__"):
        return None
    return None if hasattr(called(endpoint), "__code__") else type(endpoint)
