"""Encoding never raises, never goes on for ever, and never runs code it does not have to."""

from __future__ import annotations

import random
import sys
import threading
import time
from typing import Any

import pytest
from ormsgpack import Ext, Fragment

from tracediff import values
from tracediff.values import Deep, Opaque, encode, inert, live
from tracediff.values.allow import Allow


def raising(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("hostile")


class Hostile:
    """Raises whenever it is looked at."""

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
    """Has every attribute, each one another of its kind."""

    def __getattr__(self, name: str) -> Any:
        return Generous()


class Quitting:
    def __repr__(self) -> str:
        raise SystemExit(3)


class Endless:
    def __repr__(self) -> str:
        while True:
            pass


class Deepening:
    def __repr__(self) -> str:
        return repr([self, Deepening()])


class Huge:
    def __repr__(self) -> str:
        return "x" * 5_000_000  # far above the limit of length, far below the limit of time


class NoText:
    def __repr__(self) -> Any:
        return 5


class Meta(type):
    def __hash__(cls) -> int:
        raise RuntimeError("hostile")

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("hostile")

    def __instancecheck__(cls, other: object) -> bool:
        raise RuntimeError("hostile")


class Unhashable(metaclass=Meta):
    pass


class Plain:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


HOSTILE = [Hostile, Lying, Generous, Quitting, Endless, Deepening, Huge, NoText, Unhashable]


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_object_becomes_opaque(kind: type) -> None:
    for wrapped in ([kind()], {"a": kind()}, ({"x": (kind(), 1)},), kind()):
        data = encode(wrapped)
        assert encode(inert(data)) == data
        assert len(data) < 1_000
    found: Any = inert(encode(kind()))
    assert isinstance(found, Opaque)
    assert found.type == f"{__name__}:{kind.__name__}"
    assert len(found.text) <= 500
    assert encode(kind()) == encode(kind())


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_class_is_only_a_name(kind: type) -> None:
    data = encode([kind])
    assert encode(inert(data)) == data


def test_a_repr_is_asked_only_within_a_budget_and_the_tracer_is_put_back() -> None:
    def tracer(frame: Any, event: str, arg: Any) -> Any:
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        encode(Endless())
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_objects_of_the_wire_format_are_not_written_as_themselves() -> None:
    for odd in (Ext(5, b"x"), Fragment(b"\xc0")):
        for wrapped in (odd, [odd], {"a": odd}, (odd,)):
            data = encode(wrapped)
            assert encode(inert(data)) == data


def test_addresses_are_taken_out_of_reprs() -> None:
    first, second = (inert(encode(lambda: 1)) for _ in range(2))
    assert first == second
    assert "0x…" in first.text  # type: ignore[attr-defined]  # opaque


def test_an_opaque_value_has_a_digest_of_what_can_be_seen() -> None:
    one, same, other = (inert(encode(Plain(a=n))) for n in (1, 1, 2))
    assert one == same
    assert one != other
    locked: Any = inert(encode(Plain(a=1, lock=threading.Lock())))
    assert locked.digest is None


def test_local_functions_and_generators_are_opaque() -> None:
    for odd in (lambda: 1, (n for n in ()), [].append, object(), sys.stdout, iter([])):
        assert isinstance(inert(encode(odd)), Opaque)


def test_too_deep_nesting_is_cut_and_reported() -> None:
    obj: Any = None
    for _ in range(100_000):
        obj = [obj]
    warnings: list[str] = []
    data = encode(obj, warn=warnings.append)
    found: Any = inert(data)
    for _ in range(500):
        found = found[0]
    assert found == Deep("builtins:list")
    assert len(warnings) == 1
    assert encode(inert(data)) == data
    while obj:  # taken apart from outside in: its deallocation would recurse
        obj = obj[0]


def test_a_bomb_of_shared_references_ends() -> None:
    obj: Any = "x" * 100
    for _ in range(60):
        obj = [obj, obj]
    warnings: list[str] = []
    start = time.process_time()
    data = encode(obj, warn=warnings.append)
    assert warnings
    assert len(data) < 1 << 29
    assert time.process_time() - start < 600


def test_a_dict_that_changes_meanwhile_does_not_break_the_job() -> None:
    shared: dict[str, Any] = {str(n): [n] for n in range(100)}
    stop = threading.Event()

    def change() -> None:
        rng = random.Random(1)
        while not stop.is_set():
            shared.pop(str(rng.randrange(100)), None)
            shared[str(rng.randrange(200))] = [1]

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            inert(encode({"a": shared}))
    finally:
        stop.set()
        thread.join()


def test_encoding_near_the_recursion_limit() -> None:
    def down(levels: int) -> bytes:
        if levels:
            return down(levels - 1)
        return encode({"a": ([1, {"b": (2, bytearray(b"x"))}],)})

    expected = down(0)
    depth = 0
    frame: Any = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    for levels in range(sys.getrecursionlimit() - depth - 60, sys.getrecursionlimit() - depth - 25):
        assert down(levels) == expected


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Money:
        pass

    def interrupt(obj: Money) -> object:
        raise KeyboardInterrupt

    values.register(Money, interrupt, lambda found: found)  # type: ignore[arg-type]  # never built
    with pytest.raises(KeyboardInterrupt):
        encode([Money()])


def test_a_failing_registered_encoder_leaves_an_opaque_value() -> None:
    class Odd:
        pass

    values.register(Odd, raising, raising)
    assert isinstance(inert(encode(Odd())), Opaque)


def test_a_registered_type_comes_back() -> None:
    class Pair:
        def __init__(self, a: int, b: int) -> None:
            self.sides = (a, b)

    values.register(Pair, lambda pair: pair.sides, lambda sides: Pair(*sides))  # type: ignore[misc]  # a tuple
    back: Any = live(encode([Pair(1, 2)]), Allow())
    assert back[0].sides == (1, 2)
