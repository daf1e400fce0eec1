"""Functions made steps where they stand: a function stays the same object and gets other code.

So whoever holds the function holds the step too: a name that another module imported, a registry, a
property, a default value; and pickling, which wants to find the very object, finds it. The new code
has the signature of the old one, which runs as a function of its own (``__wrapped__``).

That code is made from a template for each shape of signature, in which one constant stands for what
differs from function to function; a module's names are not its own, since its globals are those of
the function.
"""

from __future__ import annotations

import functools
import inspect
import linecache
from _thread import get_ident
from collections.abc import Callable, Mapping
from time import perf_counter_ns
from types import CodeType, FunctionType
from typing import Any, Final

from tracediff.recording.buffers import UNSET
from tracediff.recording.faults import OWN
from tracediff.recording.generators import Turns, drive, turns_of
from tracediff.recording.marks import Mark
from tracediff.recording.spans import Span, ended, lane, leave, open_span
from tracediff.recording.wrappers import instrument
from tracediff.runtime import current

_FILE: Final = f"{OWN}/<autotrace>"
linecache.cache[_FILE] = (0, None, [], _FILE)  # else each traceback looks for that file
_PLACE: Final = "§"
_NOTHING: Final[Mapping[str, Any]] = {}
_FUTURE: Final = 0x7FFE0000
"""The flags of code that ``from __future__`` sets."""

_START: Final = """\
{kind} step({parameters}):
    get, function, more = "§"
    parent = get()
"""
_PLAIN: Final = """\
    if parent is None or parent.buffer.tracing is None:
        return function({call})
    enter, again, ended, clock, unset, failed, put, reset, nothing = more
    if parent.buffer.answering:
        return again(parent)({call})
    span = enter(parent, ({args}), {named})
    if span is None:
        return function({call})
    token = put(span)
    try:
        result = function({call})
    except BaseException as error:
        failed(span, error)
        raise
    finally:
        reset(token)
    span.end = clock()
    if span.args is not unset:
        ended(span, ({args}), {named}, result)
    return result
"""
_LATER: Final = """\
    if parent is None or parent.buffer.tracing is None:
        return function({call})
    return more()({call})
"""
"""Of a coroutine or generator function: it gives the function's own where nothing is recorded."""

_COROUTINE: Final = """\
    if parent is None or parent.buffer.tracing is None:
        return await function({call})
    enter, again, ended, clock, unset, failed, put, reset, nothing = more
    if parent.buffer.answering:
        return await again(parent)({call})
    span = enter(parent, ({args}), {named})
    if span is None:
        return await function({call})
    token = put(span)
    try:
        result = await function({call})
    except BaseException as error:
        failed(span, error)
        raise
    finally:
        reset(token)
    span.end = clock()
    if span.args is not unset:
        ended(span, ({args}), {named}, result)
    return result
"""
_GENERATOR: Final = """\
    if parent is None or parent.buffer.tracing is None:
        return (yield from function({call}))
    enter, again, drive, nothing = more
    if parent.buffer.answering:
        return (yield from again(parent)({call}))
    span = enter(parent, ({args}), {named})
    if span is None:
        return (yield from function({call}))
    return (yield from drive(span, parent, function({call})))
"""
_ASYNC_GENERATOR: Final = """\
    begin, nothing = more
    turns = begin(parent, ({args}), {named})
    inner = turns.inner
    try:
        item = await turns.resume(inner.__anext__())
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                await turns.resume(inner.aclose(), last=True)
                raise
            except BaseException as error:
                item = await turns.resume(inner.athrow(error))
            else:
                item = await turns.resume(inner.asend(sent))
    except StopAsyncIteration:
        return
    finally:
        turns.finish()
"""


def trace_in_place(function: FunctionType, name: str, drop: int | None = None) -> None:
    """Let each call of a function be a step, where the trace it is made in wants that.

    Args:
        function: The function; of a class or static method the one inside.
        name: The step's name.
        drop: How many receivers it takes; None where its name and first parameter say it.
    """
    code = function.__code__
    inner = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    inner.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(inner, function)
    del inner.__wrapped__  # type: ignore[attr-defined]  # ``update_wrapper`` has set it
    if "__wrapped__" in vars(function):
        vars(inner)["__wrapped__"] = vars(function)["__wrapped__"]
    call = Autotraced(inner, name, drop)
    kind = _PLAIN if code.co_flags & _LATE == 0 else _LATER
    more = call.more() if kind is _PLAIN else call.recorded
    template = _template(kind, *_shape(code))
    function.__code__ = _filled(template, code, (current.get, inner, more), code.co_freevars)
    vars(function)["__wrapped__"] = inner


def is_traced(function: Any) -> bool:
    """Whether a function was made a step, in place or by a decorator."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(OWN)


class Autotraced:
    """What the code of an autotraced function calls.

    Args:
        function: The function as it was.
        name: The step's name.
        drop: How many receivers it takes, or None.
    """

    __slots__ = ("awaits", "drop", "function", "general", "later", "mark", "name")

    def __init__(self, function: FunctionType, name: str, drop: int | None) -> None:
        self.function = function
        self.name = name
        self.drop = drop
        self.mark: Mark | None = None  # few of all functions are called in a recorded job
        self.general: Callable[..., Any] | None = None
        self.later: FunctionType | None = None
        self.awaits = bool(function.__code__.co_flags & _AWAITS)

    def more(self) -> tuple[Any, ...]:
        """What a template takes apart when a call is recorded."""
        kind = _kind(self.function.__code__.co_flags)
        if kind is _ASYNC_GENERATOR:
            return self.begin, _NOTHING
        if kind is _GENERATOR:
            return self.enter, self.again, drive, _NOTHING
        reset = leave if kind is _COROUTINE else current.reset
        clock = perf_counter_ns
        return self.enter, self.again, ended, clock, UNSET, failed, current.set, reset, _NOTHING

    def recorded(self) -> FunctionType:
        """The coroutine or generator function whose calls are steps; made for the first of them."""
        made = self.later
        if made is None:
            function = self.function
            code = function.__code__
            template = _template(_kind(code.co_flags), *_shape(code))
            filled = _filled(template, code, (current.get, function, self.more()), ())
            made = FunctionType(filled, function.__globals__, function.__name__)
            made.__qualname__ = function.__qualname__
            self.later = made
        return made

    def enter(self, parent: Span, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Span | None:
        """Open the span of a call; None where the trace has no room for it."""
        buffer = parent.buffer
        tracing = buffer.tracing
        if tracing is None or (buffer.capturing and get_ident() in buffer.capturing):
            return None
        try:
            depth = parent.depth + 1
        except AttributeError:  # no autotraced call
            depth = depth_of(parent) + 1
            parent.depth = depth - 1
            if self.is_job(parent):
                return None
        calls = tracing.calls
        try:
            made = calls[self] + 1
        except KeyError:
            made = 1
        calls[self] = made
        if depth >= tracing.max_depth or made > tracing.max_calls or (
            buffer.shallow or (len(buffer.spans) >= tracing.room and tracing.is_full(buffer))
        ):  # fmt: skip
            tracing.cut(self, depth, made)
            return None
        mark = self.mark or self.look()
        if self.awaits and buffer.running is None:
            buffer.watch_tasks()
        if tracing.values:
            span = open_span(mark, buffer, parent, args, kwargs)
            span.depth = depth
            return span
        # As `spans.new_span`, in place: a call is a tenth of what a step costs.
        span = Span()
        span.mark = mark
        span.buffer = buffer
        span.parent = parent
        span.depth = depth
        span.args = UNSET
        span.kwargs = None
        span.result = UNSET
        span.error = None
        span.state = None
        span.key = UNSET
        span.mutated = ()
        span.packed = False
        span.end = 0
        span.lane = get_ident() if buffer.running is None else lane(buffer.running())
        spans = buffer.spans
        spans.append(span)
        if len(spans) >= buffer.limit:
            buffer.crowded()
        span.start = perf_counter_ns()
        return span

    def is_job(self, parent: Span) -> bool:
        """Whether this is the very function of the job, called first: a view, or a command."""
        tracing = parent.buffer.tracing
        if tracing is None or tracing.own is None or parent.parent is not None:
            return False
        return (self.mark or self.look()).source.unit == tracing.own

    def look(self) -> Mark:
        """Find out what is to be known of the function; once, when it is first recorded."""
        self.mark = Mark("step", self.name, self.function, drop=self.drop)
        self.mark.autotraced = True
        return self.mark

    def again(self, parent: Span) -> Callable[..., Any]:
        """What answers a call where a what-if names steps."""
        tracing = parent.buffer.tracing
        if tracing is None or depth_of(parent) + 1 >= tracing.max_depth:
            return self.function
        if self.general is None:
            self.general = instrument(self.mark or self.look(), self.function)
        return self.general

    def begin(self, parent: Span | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Turns:
        """Begin a call of an async generator function, where its first item is asked for."""
        inner = self.function
        if parent is None:
            return Turns(inner(*args, **kwargs))
        if parent.buffer.answering:
            return turns_of(self.mark or self.look(), inner, served=False)(args, dict(kwargs))
        return Turns(inner(*args, **kwargs), self.enter(parent, args, kwargs), parent)


def depth_of(span: Span | None) -> int:
    """How many spans a span lies in."""
    depth = -1
    while span is not None:
        span, depth = span.parent, depth + 1
    return depth


def failed(span: Span, error: BaseException) -> None:
    """The step raised."""
    span.end = perf_counter_ns()
    span.error = span.buffer.fault(error, span.parent)


_AWAITS: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_LATE: Final = _AWAITS | inspect.CO_GENERATOR
"""The flags of functions that only make what then runs."""

_KEPT: Final = _FUTURE | inspect.CO_NESTED | inspect.CO_ITERABLE_COROUTINE | _LATE
"""The flags that a function keeps. Those that tell what it makes bind nobody: that is done by an
instruction at the beginning of its code, which what stands in for it lacks."""


def _kind(flags: int) -> str:
    if flags & inspect.CO_ASYNC_GENERATOR:
        return _ASYNC_GENERATOR
    if flags & inspect.CO_COROUTINE:
        return _COROUTINE
    return _GENERATOR if flags & inspect.CO_GENERATOR else _PLAIN


def _shape(code: CodeType) -> tuple[int, int, int, bool, bool]:
    rest = bool(code.co_flags & inspect.CO_VARARGS)
    keywords = bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_posonlyargcount, code.co_argcount, code.co_kwonlyargcount, rest, keywords


@functools.cache
def _template(kind: str, only: int, count: int, named: int, rest: bool, keywords: bool) -> CodeType:
    """The code for one shape of signature; its parameters are called ``_0`` and so on."""
    places = [f"_{at}" for at in range(count)]
    names = [f"_{at}" for at in range(count, count + named)]
    parameters = [*places[:only], *(["/"] if only else []), *places[only:]]
    parameters += ["*_rest"] if rest else ["*"] if named else []
    parameters += [*names, *(["**_more"] if keywords else [])]
    given = [*places, *(["*_rest"] if rest else [])]
    more = ["**_more"] if keywords else []
    fields = {
        "kind": "async def" if kind in (_COROUTINE, _ASYNC_GENERATOR) else "def",
        "parameters": ", ".join(parameters),
        "call": ", ".join([*given, *(f"{name}={name}" for name in names), *more]),
        "args": "".join(f"{one}, " for one in given),
        "named": f"{{{', '.join([*(f'{name!r}: {name}' for name in names), *more])}}}"
        if names or more
        else "nothing",
    }
    source = (_START + kind).format(**fields)
    made = compile(source, _FILE, "exec", dont_inherit=True)
    return next(one for one in made.co_consts if isinstance(one, CodeType))


def _filled(
    template: CodeType, code: CodeType, cell: tuple[Any, ...], free: tuple[str, ...]
) -> CodeType:
    """A template for one function, with the names of its code, and these free variables."""
    rest = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    plain = code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames[: plain + rest]
    named = {f"_{at}": names[at] for at in range(code.co_argcount, plain)}

    def constant(value: Any) -> Any:
        if value == _PLACE:
            return cell
        if type(value) is tuple:
            return tuple(named.get(one, one) for one in value)
        return named.get(value, value) if type(value) is str else value

    return template.replace(
        co_varnames=names + template.co_varnames[len(names) :],
        co_freevars=free,
        co_consts=tuple(map(constant, template.co_consts)),
        co_flags=template.co_flags | code.co_flags & _KEPT,
        co_name=code.co_name,
        co_firstlineno=1,
    )
