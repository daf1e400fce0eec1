"""Autotraced modules beside what else looks into functions or copies them: packages, tools."""

from __future__ import annotations

import asyncio
import bdb
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
from typing import Any
from unittest import mock

import cloudpickle  # type: ignore[import-untyped]  # it has no types
import pytest

from tracediff.model import Trace

MODELS = """
    import abc, contextlib, dataclasses, functools, typing
    from collections import abc as kinds
    import celery, django, pydantic, sqlalchemy
    from django.conf import settings
    if not settings.configured:
        settings.configure(DATABASES={}, INSTALLED_APPS=[])
        django.setup()
    from django.db import models
    from sqlalchemy import orm

    class Products(models.Manager):
        def dear(self): return self.model(price=90)
    class Product(models.Model):
        price = models.IntegerField(default=3)
        objects = Products()
        class Meta: app_label = __name__
        def doubled(self): return self.price * 2
        @property
        def gross(self): return self.price + 1
        @classmethod
        def made(cls): return cls(price=5)

    class Rate(pydantic.BaseModel):
        share: int
        @pydantic.field_validator("share")
        @classmethod
        def positive(cls, value):
            if value < 0: raise ValueError("negative")
            return value
        @pydantic.computed_field
        @property
        def percent(self) -> int: return self.share * 100
        def of(self, amount): return self.share * amount

    class Base(orm.DeclarativeBase): pass
    class Order(Base):
        __tablename__ = "orders"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        def total(self): return self.id * 10

    app = celery.Celery(__name__, broker="memory://")
    @app.task
    def booked(n): return n + 1
    @app.task(bind=True)
    def bound(self, n): return booked(n)

    class Shop:
        @functools.singledispatchmethod
        def price(self, given): return "any"
        @price.register
        def whole(self, given: int): return "int"
        @contextlib.contextmanager
        def opened(self): yield self
        @functools.partial
        def odd(*args): return args
        def close(self): return "closed"
        def __del__(self): self.close()

    class Checked:
        def __set_name__(self, owner, name): self.name = name
        def __get__(self, instance, owner): return self.read(instance)
        def read(self, instance): return self.name
    class Holder:
        field = Checked()
        def use(self): return self.field

    def helper(n): return n
    def caller(n): return helper(n)
    def hinted(a: int, b: "typing.Sequence[int]" = ()) -> "str": return str(a)
    def tested(n):
        '''
        >>> tested(2)
        4
        '''
        return helper(n) * 2
    def counting(n):
        for one in range(n): yield helper(one)
    async def waiting(event):
        await event.wait()
        return helper(1)
    """
CALLS: dict[str, tuple[Any, Any, list[str]]] = {
    "a Django model": (
        lambda m: [m.Product.made().doubled(), m.Product.objects.dear().gross],
        [10, 91], ["Product.made", "Product.doubled", "Products.dear", "Product.gross"],
    ),
    "a pydantic model": (
        lambda m: [m.Rate(share=2).percent, m.Rate(share=3).of(4)],
        [200, 12], ["Rate.positive", "Rate.percent", "Rate.positive", "Rate.of"],
    ),
    "an SQLAlchemy model": (lambda m: m.Order(id=3).total(), 30, ["Order.total"]),
    "a Celery task": (lambda m: [m.booked(1), m.bound(2)], [2, 3], []),
    "single dispatch": (
        lambda m: [m.Shop().price(1), m.Shop().price("x")],
        ["int", "any"], ["Shop.whole"],
    ),
    "a finalizer": (lambda m: m.Shop() is None, False, ["Shop.close"]),
    "a descriptor": (lambda m: m.Holder().use(), "field", ["Holder.use", "Checked.read"]),
}  # fmt: skip


def names(trace: Trace) -> list[str]:
    return [step.name for step in trace.steps[1:]]


@pytest.mark.parametrize("what", CALLS)
def test_what_other_packages_made_of_functions_works_and_has_steps(
    what: str, recording: Any, traced: Any, module: Any
) -> None:
    call, wanted, steps = CALLS[what]
    traced()
    found = module(MODELS)
    assert call(found) == wanted
    kept: list[Any] = []
    trace = recording.run(lambda: kept.append(call(found)))
    assert kept == [wanted]
    assert [name for name in names(trace) if name in steps] == steps
    assert all(step.error is None for step in trace.steps)


def test_tools_that_look_at_functions_see_them(recording: Any, traced: Any, module: Any) -> None:
    import doctest
    import typing

    traced()
    found = module(MODELS)
    assert doctest.testmod(found).failed == 0
    assert doctest.testmod(found).attempted == 1
    assert typing.get_type_hints(found.hinted) == {
        "a": int, "b": typing.Sequence[int], "return": str
    }  # fmt: skip
    assert mock.create_autospec(found.hinted)(1) is not None
    with pytest.raises(TypeError):
        mock.create_autospec(found.hinted)()
    assert pickle.loads(cloudpickle.dumps(found.caller))(3) == 3


def test_a_function_that_is_patched_and_put_back_is_a_step_again(
    recording: Any, traced: Any, module: Any
) -> None:
    traced()
    found = module(MODELS)
    with mock.patch.object(found, "helper", return_value=9):
        patched = recording.run(lambda: found.caller(1))
    assert names(patched) == ["caller"]
    assert names(recording.run(lambda: found.caller(1))) == ["caller", "helper"]


class Debugger(bdb.Bdb):
    """Counts the lines that it stops at."""

    lines = 0

    def user_line(self, frame: Any) -> None:
        self.lines += 1


def test_a_debugger_and_a_trace_function_run_beside_it(
    recording: Any, traced: Any, module: Any
) -> None:
    traced()
    found = module(MODELS)
    seen: list[str] = []

    def follow(frame: Any, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename == found.__file__ and event == "line":
            seen.append(frame.f_code.co_name)
        return follow

    def work() -> list[int]:
        before = sys.gettrace()
        sys.settrace(follow)
        try:
            return [found.caller(1), *found.counting(2)]
        finally:
            sys.settrace(before)

    trace = recording.run(work)
    assert sorted(names(trace)) == ["caller", "counting", "helper", "helper", "helper"]
    assert (seen.count("caller"), seen.count("helper")) == (1, 3)
    before = sys.gettrace()
    debugger = Debugger()
    try:
        assert names(recording.run(lambda: debugger.runcall(found.caller, 1))) == [
            "caller", "helper"
        ]  # fmt: skip
    finally:
        sys.settrace(before)
    assert debugger.lines >= 2


def test_what_runs_or_was_copied_before_goes_on_plainly_and_its_calls_are_steps(
    recording: Any, traced: Any, module: Any
) -> None:
    found = module(MODELS)
    copied = FunctionType(found.caller.__code__, found.__dict__)
    begun = found.counting(3)
    assert next(begun) == 0
    traced()
    trace = recording.run(lambda: [copied(1), next(begun), found.caller(1)])
    assert names(trace) == ["helper", "helper", "caller", "helper"]


def test_coroutines_and_threads_that_run_when_it_is_switched_on_end_as_ever(
    recording: Any, traced: Any, module: Any
) -> None:
    found = module(MODELS)
    inside, go = threading.Event(), threading.Event()

    def waits(n: int) -> int:
        inside.set()
        assert go.wait(30)
        return found.caller(n)

    async def both() -> Any:
        event = asyncio.Event()
        early = asyncio.ensure_future(found.waiting(event))
        await asyncio.sleep(0)
        traced()
        assert names(recording.run(lambda: found.caller(2))) == ["caller", "helper"]
        event.set()
        return await early

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(waits, 5)
        assert inside.wait(30)
        assert asyncio.run(both()) == 1
        go.set()
        assert waiting.result(30) == 5


def test_threads_that_call_while_the_first_job_replaces_code_get_their_results(
    recording: Any, traced: Any, module: Any
) -> None:
    count = 150
    text = "".join(f"def f{n}(x): return x + {n}\n" for n in range(count))
    found = module(text)
    traced()
    functions = [getattr(found, f"f{n}") for n in range(count)]
    stop = threading.Event()

    def calling() -> bool:
        right = True
        while True:
            right = right and [one(1) for one in functions] == list(range(1, count + 1))
            if stop.is_set():
                return right

    with ThreadPoolExecutor(3) as pool:
        callers = [pool.submit(calling) for _ in range(3)]
        trace = recording.run(lambda: sum(one(0) for one in functions))
        stop.set()
        assert [one.result(60) for one in callers] == [True] * 3
    assert len(trace.steps) == count + 1
