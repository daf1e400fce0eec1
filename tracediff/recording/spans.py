"""What the job thread writes while it runs: spans in a buffer. This is the hot path.

A span is both the open step and the raw record of it. Exact immutable scalars are kept by
reference and encoded after the job; everything else is encoded at once, because the job may change
it later. Spans are appended when they open, so a parent always comes before its children.
"""

from __future__ import annotations

import inspect
import sys
from _thread import get_ident
from collections.abc import Callable, Mapping
from time import perf_counter_ns
from types import CodeType
from typing import Any

from tracediff import values
from tracediff.model import Depth, ErrorInfo, Kind, Source
from tracediff.recording.faults import describe
from tracediff.runtime import Server, current

FIXED = values.SCALARS - {str, bytes}
"""Types kept by reference without a look at their size."""

is_fixed = FIXED.issuperset

LONG = 1024
"""Strings longer than this count towards the bytes a trace holds."""

MUTATION_LIMIT = 16 * 1024
"""Arguments larger than this, encoded, are not encoded again after the step to see a change."""


class Unset:
    """No result was captured."""

    __slots__ = ()


UNSET = Unset()


class Packed(bytes):
    """A captured value that is encoded already."""

    __slots__ = ()


class Mark:
    """What is known of an instrumented function before it is called."""

    __slots__ = (
        "defaults", "drop", "ignore", "key", "kind", "keywords", "known", "name", "names", "order",
        "rest", "source",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        name: str,
        function: Callable[..., Any],
        key: Callable[..., Any] | None = None,
        ignore: frozenset[str] = frozenset(),
    ) -> None:
        self.kind = kind
        self.name = name
        self.key = key
        self.ignore = ignore
        self.source = source_of(function)
        names: list[str] = []
        self.defaults: dict[str, Any] = {}
        self.rest: str | None = None
        self.keywords: str | None = None
        for parameter in parameters(function):
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                self.rest = parameter.name
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                self.keywords = parameter.name
            elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                names.append(parameter.name)
            if parameter.default is not inspect.Parameter.empty:
                self.defaults[parameter.name] = parameter.default
        self.drop = takes_self(function, names)
        self.names = tuple(names[self.drop :])
        self.order = tuple(one.name for one in parameters(function))[self.drop :]
        self.known = frozenset(self.order) - {self.rest, self.keywords}


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a callable; none when Python cannot tell (some C functions)."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def takes_self(function: Callable[..., Any], names: list[str]) -> int:
    """1 when the first parameter is the receiver of a method, which is never captured."""
    qualname = getattr(function, "__qualname__", "")
    owner = qualname.rpartition(".")[0]
    in_class = bool(owner) and not owner.endswith("<locals>")
    return int(in_class and names[:1] in (["self"], ["cls"]))


def source_of(function: Callable[..., Any]) -> Source:
    """Where a function is defined, with its unit "module:qualname"."""
    inner = inspect.unwrap(function)
    inner = getattr(inner, "func", inner)
    unit = unit_of(inner)
    code = getattr(inner, "__code__", None)
    if code is None:
        return Source("", 0, unit)
    return Source(code.co_filename, code.co_firstlineno, unit)


def unit_of(function: Any) -> str:
    """The name "module:qualname" of a function or class; ``__main__`` by its real name."""
    module = values.module_name(getattr(function, "__module__", None) or "?")
    return f"{module}:{getattr(function, '__qualname__', type(function).__qualname__)}"


class Buffer:
    """One trace while it is recorded."""

    __slots__ = (
        "artifacts", "bytes", "context", "depth", "encode", "ignored", "last_fault", "seal",
        "scrub", "server", "shallow", "spans", "state", "tags", "warnings",
    )  # fmt: skip

    def __init__(
        self,
        *,
        encode: Callable[[Any], bytes],
        scrub: Callable[[str], str],
        seal: Callable[[str, bytes], bytes],
        depth: Depth,
        server: Server | None = None,
    ) -> None:
        self.spans: list[Span] = []
        self.encode = encode
        self.scrub = scrub
        self.seal = seal
        self.depth = depth
        self.shallow = depth == "inputs"
        self.server = server
        self.bytes = 0
        self.ignored = False
        self.state: str | None = None
        self.tags: list[str] = []
        self.context: dict[str, str | int | float | bool] = {}
        self.artifacts: list[tuple[str, bytes, str]] = []
        self.warnings: list[str] = []
        self.last_fault: tuple[int, Any, ErrorInfo] | None = None

    def capture(self, value: Any) -> Any:
        """The value itself when nothing can change it, else its canonical bytes."""
        kind = type(value)
        if kind in FIXED:
            return value
        if kind is str or kind is bytes:
            if len(value) > LONG:
                self.bytes += len(value)
            return value
        data = self.encode(value)
        self.bytes += len(data)
        return Packed(data)

    def join(self, items: list[bytes]) -> bytes:
        """The canonical list of values that are encoded already."""
        return values.encode_list(items)

    def warn(self, message: str) -> None:
        """Add a warning of the recorder to the trace, each text once."""
        message = self.scrub(message)
        if message not in self.warnings and len(self.warnings) < 100:
            self.warnings.append(message)

    def fault(self, error: BaseException, parent: Span | None) -> ErrorInfo:
        """Describe an exception, once while it travels up through the steps."""
        known = self.last_fault
        if known is not None and known[0] == id(error) and known[1] is error.args:
            info = known[2]
        else:
            info = describe(error, self.encode, self.scrub)
        self.last_fault = (id(error), error.args, info) if parent is not None else None
        return info


class Span:
    """One step: open while it is the context's current span, raw record afterwards."""

    __slots__ = (
        "args", "buffer", "end", "error", "key", "kwargs", "lane", "mark", "mutated", "packed",
        "parent", "result", "start", "state",
    )  # fmt: skip

    mark: Mark | Line

    def __init__(
        self, mark: Mark | Line, buffer: Buffer, parent: Span | None, args: Any, kwargs: Any
    ) -> None:
        self.mark = mark
        self.buffer = buffer
        self.parent = parent
        self.args = args
        self.kwargs = kwargs
        self.result: Any = UNSET
        self.error: ErrorInfo | None = None
        self.state: str | None = None
        self.key: Any = UNSET
        self.mutated: tuple[int | str, ...] = ()
        self.packed = False
        self.lane: Any = get_ident()
        self.end = 0
        buffer.spans.append(self)
        self.start = perf_counter_ns()


class Line:
    """A step, note or artifact that is written in place rather than by a decorator."""

    __slots__ = ("code", "head", "kind", "lasti", "module", "name")

    def __init__(self, kind: Kind, name: str, head: bool, depth: int) -> None:
        frame = sys._getframe(depth)
        self.kind = kind
        self.name = name
        self.head = head
        self.code: CodeType = frame.f_code
        self.lasti = frame.f_lasti
        self.module: str = frame.f_globals.get("__name__", "?")

    def source(self) -> Source:
        """The file, line and unit this was written in."""
        line = self.code.co_firstlineno
        for start, end, number in self.code.co_lines():
            if start <= self.lasti < end and number is not None:
                line = number
        unit = f"{values.module_name(self.module)}:{self.code.co_qualname}"
        return Source(self.code.co_filename, line, unit)


def open_span(
    mark: Mark,
    buffer: Buffer,
    parent: Span | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Span:
    """Capture a call's arguments and open its span; the job's own has no parent."""
    captured: Any = args[mark.drop :] if mark.drop else args
    named: Any = kwargs
    if mark.ignore:
        captured, named = withhold(mark, captured, kwargs)
    packed = False
    if captured and not is_fixed(map(type, captured)):
        captured = [buffer.capture(value) for value in captured]
        packed = True
    if named:
        named = {name: buffer.capture(value) for name, value in named.items()}
        packed = True
    span = Span(mark, buffer, parent, captured, named)
    span.packed = packed
    if mark.key is not None:
        span.key = user_key(mark, buffer, args, kwargs)
    return span


def withhold(
    mark: Mark, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments without the ignored ones, which are neither captured nor compared.

    Ignored positional ones become None, to keep the places of the others; ``assembly`` drops them.
    """
    kept = [
        None if place < len(mark.names) and mark.names[place] in mark.ignore else value
        for place, value in enumerate(args)
    ]
    return tuple(kept), {name: value for name, value in kwargs.items() if name not in mark.ignore}


def user_key(mark: Mark, buffer: Buffer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What the user's key function says identifies this call; a failing one becomes a warning."""
    key = mark.key
    if not callable(key):
        return UNSET
    try:
        return buffer.capture(key(*args, **kwargs))
    except Exception as error:  # the job must not fail because of its recording
        buffer.warn(f"the key function of {mark.name!r} raised {type(error).__name__}: {error}")
        return UNSET


def mutations(span: Span, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Mark the arguments that the step changed: encoded again, they differ."""
    encode = span.buffer.encode
    drop = span.mark.drop if isinstance(span.mark, Mark) else 0
    changed: list[int | str] = [
        at
        for at, before in enumerate(span.args)
        if type(before) is Packed
        and len(before) <= MUTATION_LIMIT
        and encode(args[at + drop]) != before
    ]
    changed += [
        name
        for name, before in (span.kwargs or {}).items()
        if type(before) is Packed
        and len(before) <= MUTATION_LIMIT
        and encode(kwargs[name]) != before
    ]
    span.mutated = tuple(changed)


def active() -> Span | None:
    """The innermost open span, or None outside a recorded job."""
    span: Span | None = current.get()
    return span
