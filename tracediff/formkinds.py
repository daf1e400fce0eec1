"""The kinds of field a trace is made of, and how each is checked when it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one of the two formats writes what the other writes differently."""

    write_value: Callable[[bytes], Any]
    read_value: Callable[[Any], bytes]
    write_bytes: Callable[[bytes], Any]
    read_bytes: Callable[[Any], bytes]
    write_text: Callable[[str], Any]
    read_text: Callable[[Any], str]


Write = Callable[[Any, Form], Any]
Read = Callable[[Any, Form], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one kind are written and read; ``read`` raises TypeError or ValueError."""

    write: Write
    read: Read


def _same(value: Any, form: Form) -> Any:
    return value


def scalar(*kinds: type) -> Kind:
    """Values of these exact types, as they are."""

    def read(value: Any, form: Form) -> Any:
        if type(value) not in kinds:
            raise TypeError(f"{type(value).__name__} instead of {kinds[0].__name__}")
        return value

    return Kind(_same, read)


def choice(*names: str) -> Kind:
    """One of these names."""

    def read(value: Any, form: Form) -> Any:
        if type(value) is not str or value not in names:
            raise TypeError(f"{str(value)[:50]!r} instead of one of {', '.join(names)}")
        return value

    return Kind(_same, read)


def optional(kind: Kind) -> Kind:
    """None, or what ``kind`` says."""
    return Kind(
        lambda value, form: None if value is None else kind.write(value, form),
        lambda value, form: None if value is None else kind.read(value, form),
    )


def many(kind: Kind) -> Kind:
    """A tuple, as a list."""

    def read(value: Any, form: Form) -> Any:
        if type(value) is not list:
            raise TypeError(f"{type(value).__name__} instead of a list")
        return tuple(kind.read(item, form) for item in value)

    return Kind(lambda value, form: [kind.write(item, form) for item in value], read)


def row(*kinds: Kind) -> Kind:
    """A tuple of fixed length, as a list."""

    def write(value: Any, form: Form) -> Any:
        return [kind.write(item, form) for kind, item in zip(kinds, value, strict=True)]

    def read(value: Any, form: Form) -> Any:
        if type(value) is not list or len(value) != len(kinds):
            raise TypeError(f"not a list of {len(kinds)}")
        return tuple(kind.read(item, form) for kind, item in zip(kinds, value, strict=True))

    return Kind(write, read)


def table(kind: Kind) -> Kind:
    """A mapping from str, as a dict."""

    def read(value: Any, form: Form) -> Any:
        if type(value) is not dict or not all(type(name) is str for name in value):
            raise TypeError("not a table of names")
        return {name: kind.read(item, form) for name, item in value.items()}

    def write(value: Mapping[str, Any], form: Form) -> Any:
        return {name: kind.write(item, form) for name, item in value.items()}

    return Kind(write, read)


def record(cls: type, kinds: dict[str, Kind], *, absent: tuple[str, ...] = ()) -> Kind:
    """A dataclass as a dict of the fields that differ from their defaults.

    Fields named in ``absent`` have no default in the class, and are left out when they are None.
    """
    plans = [
        (name, kinds[name], *((False, None) if name in absent else _default(cls, name)))
        for name in kinds
    ]
    kinds_of = {name: type(default) for name, _, _, default in plans}

    def write(value: Any, form: Form) -> Any:
        found = {}
        for name, kind, required, default in plans:
            item = getattr(value, name)
            if required or not _is(item, default, kinds_of[name]):
                found[name] = kind.write(item, form)
        return found

    def read(value: Any, form: Form) -> Any:
        if type(value) is not dict:
            raise TypeError(f"{type(value).__name__} instead of {cls.__name__}")
        found: dict[str, Any] = dict.fromkeys(absent)
        for name, kind, required, _ in plans:
            if name in value:
                try:
                    found[name] = kind.read(value[name], form)
                except (TypeError, ValueError, KeyError, IndexError) as error:
                    raise ValueError(f"{name}: {error}") from error
            elif required:
                raise ValueError(f"{cls.__name__} without {name}")
        return cls(**found)

    return Kind(write, read)


def _is(item: Any, default: Any, kind: type) -> bool:
    return item is default or (type(item) is kind and item == default)


def _default(cls: type, name: str) -> tuple[bool, Any]:
    found = next(one for one in fields(cls) if one.name == name)
    if found.default is not NO_DEFAULT:
        return False, found.default
    if found.default_factory is not NO_DEFAULT:
        return False, found.default_factory()
    return True, None


def read_plain_text(value: Any) -> str:
    """A str as it is; raises TypeError for anything else."""
    if type(value) is not str:
        raise TypeError(f"{type(value).__name__} instead of str")
    return value
