"""Functions of whole modules become steps, and nobody who calls or looks at them can tell."""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import tracediff as td
from tracediff.model import Trace
from tracediff.recording import autotracing

KINDS = """
    import abc, asyncio, contextlib, dataclasses, enum, functools, types, typing

    def plain(a, b=2): return a + b
    def none(): return "none"
    def only(a, b, /, c=3): return (a, b, c)
    def named(a, *, key, other=5): return (a, key, other)
    def one_named(*, key=1): return key
    def rest(a, *more, key=1, **others): return (a, more, key, others)
    def many(a, b, c, d, e, f=6, g=7): return (a, b, c, d, e, f, g)
    def cell(n): return (lambda: n)()
    def documented(a: int, b: "str" = "x") -> "list[int]":
        "What it does."
        return [a, b]
    def fact(n): return 1 if n < 2 else n * fact(n - 1)
    def raising(n): raise ValueError(f"bad {n}")

    def doubled(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs): return function(*args, **kwargs) * 2
        return wrapper

    @doubled
    def decorated(a): return a

    @functools.lru_cache
    def cached(a): return [a]

    @functools.singledispatch
    def dispatched(a): return "any"
    @dispatched.register
    def _(a: int): return "int"

    @contextlib.contextmanager
    def managed(a): yield a + 1

    def generated(n):
        got = yield n
        try:
            yield got
        except KeyError:
            yield "caught"
        return "done"
    def delegated(n): return (yield from generated(n))

    @types.coroutine
    def old_coroutine(n):
        yield
        return n

    async def awaited(n):
        await asyncio.sleep(0)
        return n + 1
    async def sent(n):
        got = yield n
        try:
            yield got
        except KeyError:
            yield "caught"

    HELD = (plain, {"fact": fact}, functools.partial(plain, 1))
    def defaulting(a, by=plain): return by(a)

    @dataclasses.dataclass(frozen=True, order=True)
    class Money:
        cents: int
        made: list = dataclasses.field(default_factory=list, compare=False)
        def plus(self, more): return Money(self.cents + more)
        @property
        def euros(self): "In euros."; return self.cents / 100
        @functools.cached_property
        def twice(self): return self.cents * 2
        @classmethod
        def of(cls, euros): return cls(euros * 100)
        @staticmethod
        def zero(): return 0

    @dataclasses.dataclass(slots=True)
    class Slotted:
        x: int
        def more(self): return self.x + 1

    class Narrow:
        __slots__ = ("x", "__weakref__")
        def __init__(self, x): self.x = x
        def __eq__(self, other): return self.x == other.x
        __hash__ = None
        def __call__(self, y): return self.x * y
        def get(self): return self.x

    class Colour(enum.Enum):
        RED = 1
        BLUE = 2
        def label(self): return self.name.lower()
        @classmethod
        def _missing_(cls, value): return cls.RED
        @property
        def upper(self): return self.name

    class Point(typing.NamedTuple):
        x: int
        y: int = 0
        def length(self): return self.x + self.y

    class Meta(type):
        def __setattr__(cls, name, value): raise TypeError("closed")
        def __getattribute__(cls, name):
            if name == "__dict__": raise AttributeError(name)
            return super().__getattribute__(name)
        def made(cls): return cls.__name__

    class Closed(metaclass=Meta):
        def get(self): return "closed"

    class Base(abc.ABC):
        @abc.abstractmethod
        def price(self): ...
        def both(self): return self.price() + 1

    class Derived(Base):
        def price(self): return 10
        def both(self): return super().both() * 2
        class Inner:
            def deep(self): return "deep"

    class Lazy:
        def __init_subclass__(cls, **kw): cls.kw = kw
        def __class_getitem__(cls, item): return item
        def __getattr__(self, name):
            if name.startswith("_"): raise AttributeError(name)
            return name

    class Sub(Lazy, flag=1):
        def get(self): return self.anything
"""


async def _collect(items: Any) -> list[Any]:
    return [item async for item in items]


async def _converse(items: Any) -> list[Any]:
    found = [await items.__anext__(), await items.asend("s"), await items.athrow(KeyError())]
    await items.aclose()
    return found


def _generated(items: Any) -> list[Any]:
    found = [next(items), items.send("s"), items.throw(KeyError())]
    try:
        next(items)
    except StopIteration as stop:
        found.append(stop.value)
    return found


def _closed(items: Any) -> Any:
    found = next(items)
    items.close()
    return found, list(items)


def _managed(m: Any) -> Any:
    with m.managed(1) as value:
        return value


CALLS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda m: [m.plain(1), m.plain(1, 5), m.plain(b=1, a=2)],
    "none": lambda m: m.none(),
    "only": lambda m: [m.only(1, 2), m.only(1, 2, c=9)],
    "named": lambda m: [m.named(1, key=2), m.named(a=1, key=2, other=3)],
    "one_named": lambda m: [m.one_named(), m.one_named(key=7)],
    "rest": lambda m: [m.rest(1), m.rest(1, 2, 3, key=4, z=5, _1=6)],
    "many": lambda m: [m.many(1, 2, 3, 4, 5), m.many(1, 2, 3, 4, e=5, g=0)],
    "cell": lambda m: m.cell(4),
    "documented": lambda m: m.documented(1),
    "fact": lambda m: m.fact(5),
    "decorated": lambda m: m.decorated(3),
    "dispatched": lambda m: [m.dispatched(1), m.dispatched("x")],
    "cached": lambda m: m.cached(1) is m.cached(1),
    "managed": _managed,
    "generated": lambda m: _generated(m.generated(3)),
    "closed generator": lambda m: _closed(m.generated(3)),
    "delegated": lambda m: _generated(m.delegated(3)),
    "old_coroutine": lambda m: asyncio.run(_awaiting(m.old_coroutine, 3)),
    "awaited": lambda m: asyncio.run(m.awaited(1)),
    "gathered": lambda m: asyncio.run(_gathered(m.awaited)),
    "sent": lambda m: asyncio.run(_converse(m.sent(1))),
    "sent through": lambda m: asyncio.run(_collect(m.sent(1))),
    "held": lambda m: [m.HELD[0](1), m.HELD[1]["fact"](3), m.HELD[2](4), m.defaulting(1)],
    "Money": lambda m: [repr(m.Money.of(3).plus(1)), m.Money(150).euros, m.Money(4).twice,
                        m.Money.zero(), m.Money(1) < m.Money(2), m.Money(3).zero()],
    "Slotted": lambda m: [m.Slotted(1).more(), repr(m.Slotted(2))],
    "Narrow": lambda m: [m.Narrow(3)(4), m.Narrow(3).get(), m.Narrow(1) == m.Narrow(1)],
    "Colour": lambda m: [m.Colour.BLUE.label(), m.Colour(77).name, m.Colour.RED.upper,
                         [one.name for one in m.Colour]],
    "Point": lambda m: [m.Point(1, 2).length(), m.Point(1)._replace(y=4), m.Point._fields],
    "Closed": lambda m: [m.Closed().get(), m.Closed.made()],
    "Derived": lambda m: [m.Derived().both(), m.Derived.Inner().deep()],
    "Sub": lambda m: [m.Sub().get(), m.Sub.kw, m.Lazy[3]],
}  # fmt: skip

SIGNED = [
    "plain", "none", "only", "named", "one_named", "rest", "many", "documented", "decorated",
    "generated", "awaited", "sent", "fact", "old_coroutine",
]  # fmt: skip


async def _awaiting(function: Any, *args: Any) -> Any:
    return await function(*args)


async def _gathered(function: Any) -> list[Any]:
    return list(await asyncio.gather(*(function(n) for n in range(5))))


def names(trace: Trace) -> list[str]:
    return [step.name for step in trace.steps[1:]]


@pytest.mark.parametrize("call", CALLS)
def test_what_is_called_gives_what_it_gave(
    call: str, recording: Any, traced: Any, module: Any
) -> None:
    wanted = repr(CALLS[call](module(KINDS)))
    traced()
    found = module(KINDS)
    assert repr(CALLS[call](found)) == wanted, "outside of a job"
    kept: list[Any] = []
    trace = recording.run(lambda: kept.append(CALLS[call](found)))
    assert repr(kept[0]) == wanted, "in a recorded job"
    assert (call == "cached") == (names(trace) == [])
    traced(autotrace_values=False)
    bare = recording.run(lambda: kept.append(CALLS[call](found)))
    assert repr(kept[1]) == wanted, "in a job recorded without values"
    assert names(bare) == names(trace)
    assert [step for step in bare.steps[1:] if step.args or step.result] == []
    traced(depth="steps")
    assert names(recording.run(lambda: kept.append(CALLS[call](found)))) == []
    assert repr(kept[2]) == wanted, "in a job of less depth"


def _said(module: Any) -> dict[str, Any]:
    """What can be asked of the functions of a module."""
    said: dict[str, Any] = {}
    for name in SIGNED:
        function = getattr(module, name)
        spec = inspect.getfullargspec(function)
        said[name] = [
            inspect.signature(function), inspect.getdoc(function), inspect.getsource(function),
            function.__name__, function.__qualname__, function.__defaults__,
            function.__kwdefaults__, function.__annotations__, spec[:6],
            inspect.isfunction(function), inspect.iscoroutinefunction(function),
            inspect.isgeneratorfunction(function),
            inspect.isasyncgenfunction(function), asyncio.iscoroutinefunction(function),
        ]  # fmt: skip
    said["abstract"] = module.Base.__abstractmethods__
    said["kinds"] = {name: type(one) for name, one in vars(module.Money).items()}
    said["doc"] = module.Money.euros.__doc__, inspect.signature(module.Money.of)
    return said


def test_a_function_says_of_itself_what_it_said(traced: Any, module: Any) -> None:
    plain = _said(module(KINDS))
    traced()
    assert _said(module(KINDS)) == plain


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.plain(), lambda m: m.plain(1, c=2), lambda m: m.only(1, b=2),
        lambda m: m.named(1, 2), lambda m: m.generated(), lambda m: m.awaited(1, 2),
        lambda m: m.sent(n=1, m=2), lambda m: m.Money.zero(1), lambda m: m.Narrow(1).get(2),
    ],
)  # fmt: skip
def test_a_call_that_does_not_fit_raises_where_it_is_made(
    call: Any, recording: Any, traced: Any, module: Any
) -> None:
    said = []
    for switch in (lambda: None, traced):
        switch()
        with pytest.raises(TypeError) as raised:
            call(module(KINDS))
        said.append(str(raised.value))
        assert len(raised.traceback) == 2
    assert said[0] == said[1]


def test_functions_and_instances_are_pickled_and_copied(traced: Any, module: Any) -> None:
    traced()
    found = module(KINDS)
    held = [found.plain, found.fact, found.Money.of, found.Money, found.HELD[0],
            found.Money(3).plus, found.Colour.RED, found.awaited]  # fmt: skip
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(held, protocol))
        assert again[0] is again[4] is found.plain
        assert again[3] is found.Money
        assert again[5](1) == found.Money(4)
        assert again[6] is found.Colour.RED
    assert copy.deepcopy(found.plain) is found.plain
    assert copy.deepcopy(found.Money(2)) == found.Money(2)
    assert pickle.loads(pickle.dumps(found.Point(1, 2))) == found.Point(1, 2)


def test_whoever_holds_a_function_holds_the_step(recording: Any, traced: Any, module: Any) -> None:
    early = module("def rate(): return 3\nHELD = [rate]\n")
    taken, table = early.rate, (early.rate,)
    traced()
    trace = recording.run(lambda: taken() + table[0]() + early.HELD[0]() + early.rate())
    assert names(trace) == ["rate"] * 4
    assert taken is early.rate


def test_steps_nest_and_hold_values_and_errors(
    recording: Any, traced: Any, module: Any, tree: Any, args: Any, result: Any
) -> None:
    traced()
    found = module("""
        def price(product, *, count=1):
            return total(product, count) + Shop().fee

        def total(product, count):
            if count < 0:
                raise ValueError("no such count")
            return 10 * count

        class Shop:
            @property
            def fee(this):
                return 1
        """)
    trace = recording.run(lambda: found.price("tea", count=2))
    assert tree(trace) == ["price", "  total", "  Shop.fee"]
    assert [args(step) for step in trace.steps[1:]] == [
        {"product": "tea", "count": 2}, {"product": "tea", "count": 2}, {}
    ]  # fmt: skip
    assert [result(step) for step in trace.steps[1:]] == [21, 20, 1]
    assert trace.steps[2].source is not None
    assert trace.steps[2].source.unit == f"{found.__name__}:total"
    failed = recording.run(lambda: found.price("tea", count=-1))
    assert [step.state for step in failed.steps] == ["error"] * 3
    traced(autotrace_values=False)
    bare = recording.run(lambda: found.price("tea", count=-1))
    assert [step.error and step.error.message for step in bare.steps] == ["no such count"] * 3
    assert [step.args for step in bare.steps[1:]] == [None, None]


@pytest.mark.parametrize("values", [True, False])
def test_a_traceback_ends_where_it_ended(values: bool, recording: Any, traced: Any, module: Any):
    traced(autotrace_values=values)
    found = module(KINDS)
    seen: list[list[traceback.FrameSummary]] = []
    linked: list[Any] = []

    def look() -> None:
        try:
            found.raising(3)
        except ValueError as error:
            seen.append(traceback.extract_tb(error.__traceback__))
            linked.append((error.__context__, error.__cause__))

    look()
    recording.run(look)
    assert linked == [(None, None)] * 2
    for frames in seen:
        own = [frame for frame in frames if frame.filename == found.__file__]
        assert [(frame.name, frame.line) for frame in own] == [
            ("raising", 'def raising(n): raise ValueError(f"bad {n}")')
        ]
        assert len(frames) == 3


def test_a_recorded_traceback_is_the_programs(recording: Any, traced: Any, module: Any) -> None:
    traced()
    found = module(KINDS)
    error = recording.run(lambda: found.raising(3)).steps[-1].error
    assert error is not None
    assert error.traceback.count("File ") == 1
    assert f'File "{found.__file__}"' in error.traceback
    assert "raise ValueError" in error.traceback


def test_a_generator_is_the_functions_own_where_nothing_is_recorded(
    traced: Any, module: Any
) -> None:
    traced()
    found = module(KINDS)
    for name in ("generated", "sent", "awaited"):
        function = getattr(found, name)
        made = function(1)
        code = next(getattr(made, f"{kind}_code") for kind in ("gi", "ag", "cr")
                    if hasattr(made, f"{kind}_code"))  # fmt: skip
        assert code is function.__wrapped__.__code__
        assert made.__qualname__ == name
        if name == "awaited":
            made.close()


def test_recursion_gets_as_deep_as_before(recording: Any, traced: Any, module: Any) -> None:
    found = module("def down(n): return 0 if n == 0 else down(n - 1)\n")
    deepest = sys.getrecursionlimit() - len(inspect.stack()) - 60
    assert found.down(deepest) == 0
    traced(autotrace_depth=50)
    assert autotracing.is_on()
    assert found.down(deepest) == 0
    trace = recording.run(lambda: found.down(deepest))
    assert len(trace.steps) == 50
    with pytest.raises(RecursionError):
        found.down(10**6)


def test_a_limit_that_is_set_and_put_back_does_not_grow(
    recording: Any, traced: Any, module: Any
) -> None:
    traced()
    found = module("def rate(): return 3\n")
    recording.run(found.rate)
    limit = sys.getrecursionlimit()
    for _ in range(3):
        sys.setrecursionlimit(3 * limit)
        recording.run(found.rate)
        assert sys.getrecursionlimit() == 6 * limit
        sys.setrecursionlimit(limit)
        recording.run(found.rate)
        assert sys.getrecursionlimit() == limit


def test_what_is_called_to_record_a_value_is_no_step(
    recording: Any, traced: Any, module: Any
) -> None:
    traced()
    found = module("""
        def text(value): return str(value)
        class Price:
            def __init__(self, amount): self.amount = amount
            def __repr__(self): return text(self.amount)
        class Wrong(Exception):
            def __str__(self): return text("wrong")
        class Money:
            def __init__(self, cents): self.cents = cents
        def written(money): return text(money.cents)
        def priced(price, money): return text("called")
        def failing(): raise Wrong
        """)
    td.register(found.Money, encode=found.written, decode=found.Money)
    trace = recording.run(lambda: found.priced(found.Price(3), found.Money(4)))
    assert names(trace) == ["priced", "text"]
    assert names(recording.run(found.failing)) == ["failing"]
    assert trace.steps[1].args is not None
    assert b"4" in trace.steps[1].args.data, "the encoder ran"


def test_threads_and_tasks_keep_to_their_parents(
    recording: Any, traced: Any, module: Any, tree: Any
) -> None:
    traced()
    found = module("""
        import asyncio
        def leaf(n): return n
        def work(n): return leaf(n)
        async def later(n):
            await asyncio.sleep(0)
            return leaf(n)
        async def all_of(n): return await asyncio.gather(*(later(one) for one in range(n)))
        """)

    def threads() -> None:
        started = [threading.Thread(target=td.propagate(found.work), args=(n,)) for n in range(4)]
        for one in started:
            one.start()
        for one in started:
            one.join()

    assert sorted(tree(recording.run(threads))) == ["  leaf"] * 4 + ["work"] * 4
    drawn = recording.run(lambda: asyncio.run(found.all_of(3)))
    by_parent = [(step.name, drawn.steps[step.parent].name) for step in drawn.steps[1:]]
    assert sorted(by_parent) == sorted(
        [("all_of", "run"), *[("later", "all_of"), ("leaf", "later")] * 3]
    )
    seen: list[Any] = []
    alone = threading.Thread(target=lambda: seen.append(found.work(1)))
    recording.run(lambda: (alone.start(), alone.join()))
    assert seen == [1]


def test_a_reloaded_module_is_traced_once(recording: Any, traced: Any, module: Any) -> None:
    traced()
    found = module("def rate(): return 3\n")
    for _ in range(2):
        assert importlib.reload(found) is found
        assert names(recording.run(found.rate)) == ["rate"]
    traced("traced_*", "more.*")
    assert names(recording.run(found.rate)) == ["rate"]


def test_patterns_choose_and_what_records_is_never_traced(
    recording: Any, traced: Any, module: Any, fresh_names: Any
) -> None:
    out, taken = next(fresh_names), next(fresh_names)
    # Each that is named and loaded stays traced: "*" would be all of pytest, for all later tests.
    traced("traced_*", "tracediff.*", "json.*", f"!{out}")
    left = module("def left(): return 1\n", out)
    found = module(
        "import json, tracediff as td\n"
        "@td.step\ndef marked(): return json.dumps([1])\n"
        "@td.job('inner')\ndef inner(): return 1\n"
        "def taken(): return marked() and inner()\n",
        taken,
    )
    assert names(recording.run(lambda: left.left() and found.taken())) == [
        "taken", "marked", "inner"
    ]  # fmt: skip


def test_a_module_is_named_in_the_program(
    recording: Any, traced: Any, module: Any, fresh_names: Any
) -> None:
    recording.configure(depth="full")
    early, chosen = module("def rate(): return 3\n"), next(fresh_names)
    assert names(recording.run(early.rate)) == []
    td.autotrace(early.__name__, chosen)
    late = module("def rate(): return 4\n", chosen)
    assert names(recording.run(lambda: early.rate() + late.rate())) == ["rate", "rate"]
    recording.configure(depth="full")
    assert names(recording.run(early.rate)) == ["rate"], "settings do not end it"


def test_a_module_that_switches_it_on_is_traced_to_its_end(
    recording: Any, traced: Any, module: Any, fresh_names: Any
) -> None:
    name = next(fresh_names)
    found = module(
        f"import tracediff as td\ndef before(): return 1\ntd.autotrace({name!r})\n"
        "def after(): return 2\n",
        name,
    )
    recording.configure(depth="full")
    trace = recording.run(lambda: found.before() + found.after())
    assert names(trace) == ["before", "after"]


def test_a_module_that_cannot_be_traced_is_imported_all_the_same(
    traced: Any, module: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    traced()

    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(autotracing, "trace_in_place", broken)
    assert module("def rate(): return 3\n").rate() == 3
    assert "could not autotrace" in caplog.text
