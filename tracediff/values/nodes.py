"""What an inert value is made of, where Python's own types cannot stand for it.

Every node can be encoded again, to the very bytes it was read from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tracediff.model import MISSING


@dataclass(frozen=True, slots=True)
class Record:
    """An object of a user's class (or of a library's), seen without importing it.

    ``type`` is "module:qualname"; ``kind`` one of dataclass, namedtuple, subclass, registered,
    exception, attrs, pydantic, stdlib and library. ``base`` is the value underneath: of a subclass
    of a builtin, the builtin's; of an exception, its args; of a registered type, what its encoder
    returned. ``fields`` are the attributes, in order.
    """

    type: str
    kind: str
    base: Any = MISSING
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an enum; ``name`` is None for a combination of flags without a name."""

    type: str
    name: str | None
    value: Any


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value without an exact form: its type, its bounded repr, a digest of what could be seen."""

    type: str
    text: str
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Redacted:
    """A secret: what it was is gone, whether it is the same as another one can still be told."""

    type: str
    key_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Pairs:
    """A dict with keys that cannot be hashed without their classes."""

    items: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Members:
    """A set with members that cannot be hashed without their classes."""

    items: tuple[Any, ...]
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """A cycle: the same object as the container ``levels`` above (0 is the nearest one)."""

    levels: int


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function ("module:qualname"), or a module ("module:")."""

    ref: str


@dataclass(frozen=True, slots=True)
class Deep:
    """What lay below the deepest nesting that is kept."""

    type: str


NODES = (Record, Member, Opaque, Redacted, Pairs, Members, Reference, Global, Deep)
