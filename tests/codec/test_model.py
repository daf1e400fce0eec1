"""The frozen values: what is made in a shorter way is what the class would make."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, FrozenInstanceError, fields, replace

import pytest

from tracediff.model import ErrorInfo, Source, Step, Value, make_step

GIVEN = {
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


def test_a_step_made_sooner_is_the_step():
    made, step = make_step(**GIVEN), Step(**GIVEN)
    assert type(made) is Step
    assert made == step
    assert hash(made) == hash(step)
    assert repr(made) == repr(step)
    assert replace(made, name="other") == replace(step, name="other")
    assert {field.name: getattr(made, field.name) for field in fields(Step)} == GIVEN


def test_a_step_made_sooner_takes_the_fields_of_a_step_and_their_defaults():
    taken = inspect.signature(make_step).parameters
    for field in fields(Step):
        default = taken[field.name].default
        assert default == (inspect.Parameter.empty if field.default is MISSING else field.default)
    assert list(taken) == [field.name for field in fields(Step)]


def test_a_step_made_sooner_is_frozen():
    made = make_step(parent=-1, kind="job", name="job")
    with pytest.raises(FrozenInstanceError):
        made.name = "other"
    with pytest.raises(FrozenInstanceError):
        del made.name
