"""The frozen values: what is made in a shorter way is what the class would make."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, FrozenInstanceError, fields, replace

import pytest

from tracediff.model import (
    CodeChange,
    Divergence,
    ErrorInfo,
    FieldChange,
    Source,
    Step,
    Value,
    make_change,
    make_divergence,
    make_step,
)

STEP = {
    "parent": 3,
    "kind": "input",
    "name": "rate",
    "state": "error",
    "args": Value(b"\x80"),
    "key": Value(b"\x01"),
    "result": Value(b"\x02"),
    "error": ErrorInfo(type="builtins:ValueError", message="no"),
    "start": 5,
    "duration": 7,
    "source": Source("a.py", 9, "a:rate"),
    "mutated": ("x",),
    "head": True,
    "open": True,
    "concurrent": True,
}
CHANGE = {"path": ("a", 1), "kind": "changed", "old": 1, "new": 3, "delta": 2, "within": True}
DIVERGENCE = {
    "kind": "changed",
    "old": 1,
    "new": 2,
    "label": "origin",
    "aspects": ("result",),
    "changes": {"result": (FieldChange(**CHANGE),)},
    "also": ("moved",),
    "within": True,
    "code": (CodeChange(file="a.py", line=1, name="f"),),
    "frames": {"result": ()},
}
MADE = pytest.mark.parametrize(
    ("make", "cls", "given"),
    [
        (make_step, Step, STEP),
        (make_change, FieldChange, CHANGE),
        (make_divergence, Divergence, DIVERGENCE),
    ],
)


@MADE
def test_what_is_made_sooner_is_what_the_class_makes(make, cls, given):
    made, other = make(**given), cls(**given)
    assert type(made) is cls
    assert made == other
    assert repr(made) == repr(other)
    assert {field.name: getattr(made, field.name) for field in fields(cls)} == given


@MADE
def test_what_is_made_sooner_takes_every_field_of_its_class(make, cls, given):
    taken = inspect.signature(make).parameters
    assert list(taken) == list(given) == [field.name for field in fields(cls)]


@MADE
def test_what_is_made_sooner_is_frozen(make, cls, given):
    made = make(**given)
    for name in given:
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, None)
        with pytest.raises(FrozenInstanceError):
            delattr(made, name)


def test_a_step_made_sooner_has_the_defaults_and_the_hash_of_a_step():
    taken = inspect.signature(make_step).parameters
    for field in fields(Step):
        default = taken[field.name].default
        assert default == (inspect.Parameter.empty if field.default is MISSING else field.default)
    assert hash(make_step(**STEP)) == hash(Step(**STEP))
    assert replace(make_step(**STEP), name="other") == replace(Step(**STEP), name="other")
