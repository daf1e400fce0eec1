"""Secrets of a recording on their way through Django's ORM: handed on, never looked at.

A replay gets a placeholder for a value that was sealed. Django converts what it reads and prepares
what it writes; it lets a placeholder through here, so that a job that only passes one on replays.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from django.db.models.expressions import Value
from django.db.models.sql.compiler import SQLCompiler, SQLInsertCompiler
from django.db.models.sql.query import Query
from django.db.models.sql.subqueries import UpdateQuery

from tracediff import runtime, values
from tracediff.recording.libraries.patching import Patch


class Sealed(Value):  # type: ignore[misc]  # Django has no types
    """A placeholder as an expression, which Django neither converts nor compares."""

    @property
    def identity(self) -> tuple[Any, ...]:
        """What tells it from other expressions."""
        return type(self), id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """As any parameter."""
        return "%s", [self.value]


def patches() -> Iterable[Patch]:
    """What lets placeholders through; it does nothing where no replay runs."""
    return [
        Patch(SQLCompiler, "get_converters", _converters(SQLCompiler.get_converters)),
        Patch(SQLInsertCompiler, "prepare_value", _prepare(SQLInsertCompiler.prepare_value)),
        Patch(UpdateQuery, "add_update_fields", _update(UpdateQuery.add_update_fields)),
        Patch(Query, "resolve_lookup_value", _lookup(Query.resolve_lookup_value)),
    ]


def _handed_on(value: Any) -> Any:
    return Sealed(value) if type(value) is values.Placeholder else value


def _converters(real: Any) -> Any:
    @functools.wraps(real)
    def get_converters(self: Any, expressions: Any) -> Any:
        found = real(self, expressions)
        if runtime.guard is None:
            return found
        return {
            place: ([_passing(one) for one in convert], expression)
            for place, (convert, expression) in found.items()
        }

    return get_converters


def _passing(convert: Any) -> Any:
    def converted(value: Any, expression: Any, connection: Any) -> Any:
        if type(value) is values.Placeholder:
            return value
        return convert(value, expression, connection)

    return converted


def _prepare(real: Any) -> Any:
    @functools.wraps(real)
    def prepare_value(self: Any, field: Any, value: Any) -> Any:
        if type(value) is values.Placeholder:
            return Sealed(value)
        return real(self, field, value)

    return prepare_value


def _update(real: Any) -> Any:
    @functools.wraps(real)
    def add_update_fields(self: Any, values_seq: Any) -> Any:
        return real(self, [(field, model, _handed_on(one)) for field, model, one in values_seq])

    return add_update_fields


def _lookup(real: Any) -> Any:
    @functools.wraps(real)
    def resolve_lookup_value(self: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        return real(self, _handed_on(value), *args, **kwargs)

    return resolve_lookup_value
