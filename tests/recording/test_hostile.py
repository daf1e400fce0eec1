"""The recorder never breaks the job: whatever it meets, the job's outcome is the same."""

from __future__ import annotations

import sys
from _thread import allocate_lock
from typing import Any

import pytest

import tracediff as td
from tracediff.errors import RecordingError
from tracediff.model import Trace


def raising(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("hostile")


class Hostile:
    __slots__ = ()
    __repr__ = __str__ = __hash__ = __eq__ = __len__ = __iter__ = __bool__ = raising
    __getattribute__ = __reduce_ex__ = __format__ = raising


class Lying:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("hostile")

    @property
    def __dict__(self) -> Any:
        raise RuntimeError("hostile")


class Generous:
    def __getattr__(self, name: str) -> Any:
        return Generous()


class Quitting:
    def __repr__(self) -> str:
        raise SystemExit(3)


class BadDict(dict[Any, Any]):
    __iter__ = items = keys = values = raising


class BadStr(str):
    __slots__ = ()
    __str__ = __repr__ = __len__ = raising


class Text:
    """A text for people that cannot be had."""

    __str__ = __format__ = raising


def cyclic() -> Any:
    items: list[Any] = [{}]
    items[0]["self"] = (items,)
    return items


def deep() -> Any:
    items: list[Any] = []
    for _ in range(20_000):
        items = [items]
    return items


ODD: dict[str, Any] = {
    "hostile": Hostile(), "lying": Lying(), "generous": Generous(), "quitting": Quitting(),
    "bad dict": BadDict(a=1), "bad str": BadStr("x"), "cyclic": cyclic(), "deep": deep(),
    "huge": "x" * 5_000_000, "module": sys, "frame": sys._getframe(), "lock": allocate_lock(),
    "generator": (x for x in ()), "class": Hostile, "surrogate": "\udcff",
    "nested": [{"a": (Hostile(),)}],
}  # fmt: skip


@td.step("step")
def step(x: Any = None, *rest: Any, **more: Any) -> Any:
    return x


@td.input("input", key=lambda x: x)
def read(x: Any) -> Any:
    return x


@pytest.mark.parametrize("name", ODD)
def test_any_object_may_be_argument_result_key_and_tag(recording, name: str):
    value = ODD[name]

    @td.job("odd", meta=lambda x: x, context=lambda x: {"a": x})
    def odd(x: Any) -> Any:
        assert step(x) is x
        assert step(1, x, y=x, **{"\udc80": x}) == 1
        assert step(x=x) is x
        assert read(x) is x
        with td.step("block", key=x) as block:
            block.result = x
        td.note(x)
        td.tag(x)
        td.artifact(x, b"1")
        td.artifact("x", x)
        return x

    assert odd(value) is value
    [trace] = recording.traces()
    assert [one.name for one in trace.steps[:6]] == ["odd", *["step"] * 3, "input", "block"]
    assert trace.state == "success"


class Unspeakable(Exception):
    __str__ = __repr__ = raising


class Sealed(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("hostile")


class Odd(Exception):
    args = property(raising)
    __dict__ = property(raising)
    __cause__ = property(raising)
    __module__ = 5


@pytest.mark.parametrize("kind", [Unspeakable, Sealed, Odd])
def test_a_hostile_error_is_raised_unchanged_and_recorded(recording, kind: type[Exception]):
    error = kind("x")

    @td.step("failing")
    def failing() -> None:
        raise error

    @td.job("job", meta=raising)
    def job() -> None:
        with td.step("block"):
            failing()

    with pytest.raises(kind) as caught:
        job()
    assert caught.value is error
    [trace] = recording.traces()
    assert [one.state for one in trace.steps] == ["error"] * 3
    assert trace.steps[0].error.type.endswith(f":{kind.__qualname__}")


def test_functions_of_the_user_that_fail_are_warnings(recording):
    @td.job("job", meta=raising, context=lambda: {"a": raising()})
    def job() -> int:
        keyed(1)
        typo(1)
        with td.step("block", key=Hostile()):
            return 1

    @td.step("keyed", key=lambda wrong: wrong.missing)
    def keyed(x: int) -> None: ...

    @td.step("typo", ignore=["sesion"])
    def typo(session: int) -> None: ...

    def unspeakable() -> str:
        raise Unspeakable

    @td.job("speechless", meta=unspeakable)
    def speechless() -> None: ...

    assert job() == 1
    speechless()
    first, second = recording.traces()
    assert "meta or context of 'job' raised RuntimeError: hostile" in first.warnings
    assert any("key function of 'keyed'" in warning for warning in first.warnings)
    assert "'typo' has no parameter sesion, which it is to ignore" in first.warnings
    assert "Unspeakable" in second.warnings[0]


@pytest.mark.parametrize("kind", [Text, Hostile])
def test_notes_and_tags_need_no_text(recording, kind: type):
    value = kind()

    def work() -> None:
        td.note(value)
        td.tag(value)
        td.artifact(value, b"x")

    trace = recording.run(work)
    assert "whose text raised RuntimeError" in trace.steps[1].name
    assert "whose text raised RuntimeError" in trace.tags[0]


def test_strict_recording_raises_instead(recording, tmp_path):
    recording.configure(strict=True)

    @td.job("fine")
    def fine() -> int:
        return step(1)

    @td.job("warned")
    def warned() -> None:
        td.artifact("x", tmp_path / "missing")

    assert fine() == 1
    with pytest.raises(RecordingError) as caught:
        warned()
    assert caught.value.slug == "recording-incomplete"
    assert "artifact 'x'" in str(caught.value)
    (tmp_path / "file").write_text("in the way")
    recording.configure(strict=True, store=str(tmp_path / "file"))
    with pytest.raises(RecordingError, match="file"):
        fine()
    recording.configure(strict=True)


def test_a_fault_of_the_recorder_itself_leaves_the_job_alone(recording, monkeypatch, caplog):
    from tracediff.recording import session

    monkeypatch.setattr(session, "environment", raising)
    ran = []
    td.job("job")(lambda: ran.append(1))()
    assert ran == [1]
    assert "could not record" in caplog.text
    recording.configure(strict=True)
    with pytest.raises(RecordingError) as caught:
        td.job("job")(lambda: ran.append(2))()
    assert caught.value.slug == "recorder-failed"
    recording.configure()


def test_a_module_that_raises_when_looked_at_is_left_out(recording, monkeypatch):
    monkeypatch.setitem(sys.modules, "hostile_module", Hostile())
    trace: Trace = recording.run(lambda: step(1))
    assert trace.state == "success"


def test_deep_recursion_works_as_deep_as_python_allows(recording):
    @td.step("down")
    def down(n: int) -> int:
        return n and down(n - 1)

    trace = recording.run(lambda: down(300))
    assert len(trace.steps) == 302

    def endless() -> None:
        down(100_000)

    trace = recording.run(endless)
    assert trace.steps[0].error.type == "builtins:RecursionError"
    assert recording.run(lambda: step(1)).state == "success"
