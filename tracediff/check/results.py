"""What workers of a check are told, and what they answer, as plain values that travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import ormsgpack

from tracediff.checked import Moved, Result
from tracediff.expectations.rules import packed, unpacked
from tracediff.model import Tolerance

_TEXTS = ("id", "key", "kind", "meta", "cause", "label", "message", "slug", "hint", "ran",
          "surroundings")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What every worker of a check is told.

    Args:
        rules: What counts as the same.
        against: The commit whose code gives the old side; "" takes the recordings.
        timeout: Seconds that one replay may take.
        memory: Bytes that one worker may take; 0 for no limit.
        attributes: Of which part of the traces that did not change attributes are told, 0 to 1.
        executed: Whether the code that ran is told.
    """

    rules: tuple[Tolerance, ...] = ()
    against: str = ""
    timeout: float = 60.0
    memory: int = 0
    attributes: float = 0.0
    executed: bool = False

    def packed(self) -> dict[str, Any]:
        """As it travels."""
        return {
            "rules": packed(self.rules),
            "against": self.against,
            "timeout": self.timeout,
            "memory": self.memory,
            "attributes": self.attributes,
            "executed": self.executed,
        }

    @classmethod
    def unpacked(cls, told: dict[str, Any]) -> Work:
        """What was packed."""
        return cls(**{**told, "rules": tuple(unpacked(told["rules"]))})


def pack_result(one: Result) -> list[Any]:
    """A result as lists and texts, for pipes and files, by ``bytes_of``."""
    moved = [[it.field, it.old, it.new, amount_text(it.change)] for it in one.moved]
    texts = [getattr(one, name) for name in _TEXTS]
    attributes, units = list(map(list, one.attributes)), list(map(list, one.units))
    return [texts, one.size, moved, attributes, units]


def bytes_of(told: Any) -> bytes:
    """Lists and texts as they travel; lone surrogates, which have no bytes, in hexadecimal."""
    try:
        return ormsgpack.packb(told)
    except TypeError:
        return ormsgpack.packb(_without_surrogates(told))


def _without_surrogates(told: Any) -> Any:
    if isinstance(told, str):
        return told if told.isascii() else told.encode("utf-8", "backslashreplace").decode()
    if isinstance(told, list):
        return [_without_surrogates(one) for one in told]
    if isinstance(told, dict):
        return {_without_surrogates(name): _without_surrogates(one) for name, one in told.items()}
    return told


def unpack_result(told: Sequence[Any]) -> Result:
    """What was packed."""
    texts, size, moved, attributes, units = told
    return Result(
        **dict(zip(_TEXTS, texts, strict=True)),
        size=size,
        moved=tuple(
            Moved(field=field, old=old, new=new, change=text_amount(change))
            for field, old, new, change in moved
        ),
        attributes=tuple((name, value) for name, value in attributes),
        units=tuple((file, name, digest) for file, name, digest in units),
    )


def amount_text(amount: Fraction | None) -> str | None:
    """An exact amount as text, "n/d"; of thousands of digits, in hexadecimal."""
    try:
        return None if amount is None else str(amount)
    except ValueError:  # Python does not write such a number in decimal
        return None if amount is None else f"{amount.numerator:#x}/{amount.denominator:#x}"


@lru_cache(1 << 16)  # amounts of money come again and again
def text_amount(text: str | None) -> Fraction | None:
    """The amount of a text."""
    if text is not None and "x" in text:
        above, _, below = text.partition("/")
        return Fraction(int(above, 16), int(below, 16))
    return None if text is None else Fraction(text)
