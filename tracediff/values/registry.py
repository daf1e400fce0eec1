"""Types that cannot be written by looking at them: those users register, and those of libraries."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

from tracediff.values import tags
from tracediff.values.refs import class_attribute, module_of, mro, type_ref

T = TypeVar("T")
Decoder = Callable[[Any], Any]

generation = 0
"""Rises whenever a type is registered, so that what was derived from the registry is renewed."""

_encoders: dict[type, Callable[[Any], Any]] = {}
_decoders: dict[str, Decoder] = {}

LIBRARIES: Final[dict[str, str]] = {
    "asyncpg": "_asyncpg",
    "bson": "_bson",
    "dateutil": "_dateutil",
    "django": "_django",
    "google": "_protobuf",
    "numpy": "_numpy",
    "pandas": "_pandas",
    "polars": "_polars",
    "psycopg": "_psycopg",
    "psycopg_binary": "_psycopg",
    "psycopg_c": "_psycopg",
    "pyarrow": "_pyarrow",
    "pydantic": "_pydantic",
    "sqlalchemy": "_sqlalchemy",
    "xarray": "_xarray",
}
"""Top-level module of a type to the module of this package that knows its types.

Looked at only when a value of such a type turns up, so nothing imports a library that the program
does not use.
"""


def register(
    type: type[T],
    encode: Callable[[T], object],
    decode: Callable[[object], T],
) -> None:
    """Teach tracediff an exact form for a type of yours.

    Args:
        type: The exact class; subclasses are registered on their own.
        encode: Returns a value of kinds that are exact already (a dict, a tuple …).
        decode: Builds the object back from that value; called in replay only.
    """
    global generation
    _encoders[type] = encode
    _decoders[type_ref(type)] = decode
    generation += 1


def encoder(cls: type) -> Callable[[Any], Any] | None:
    """What writes instances of ``cls``: registered by the user, or known of its library."""
    encode = _encoders.get(cls)
    if encode is not None:
        ref, kind = type_ref(cls).encode(), tags.KINDS.index("registered")
        return lambda obj: (tags.RECORD, [ref, kind, {}, encode(obj)])
    for base in mro(cls):
        library = LIBRARIES.get(module_of(base).partition(".")[0])
        if library is not None:
            found: Callable[[Any], Any] | None = _library(library).encoder(cls)
            if found is not None:
                return found
    return None


def mapped(cls: type) -> Any:
    """What writes instances of a class that SQLAlchemy maps without a base class of its own."""
    if class_attribute(cls, "_sa_class_manager") is None:
        return None
    return _library("_sqlalchemy").encoder(cls)


def rebuilder(library: str) -> Any:
    """What rebuilds instances of a program's classes that are a library's kind of record."""
    return _library(LIBRARIES[library]).rebuild


def decoder(ref: str) -> Decoder | None:
    """What the user registered to rebuild this type, if it was."""
    return _decoders.get(ref)


def library_decoder(key: str) -> Decoder | None:
    """What rebuilds a library's value; ``key`` is "library:kind"."""
    library = LIBRARIES.get(key.partition(":")[0])
    if library is None:
        return None
    found: Decoder | None = _library(library).DECODERS.get(key)
    return found


def _library(name: str) -> Any:
    return importlib.import_module(f"tracediff.values.{name}")
