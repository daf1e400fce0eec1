"""What the job thread writes while it runs: spans in a buffer. This is the hot path.

A span is both the open step and the raw record of it. Exact immutable scalars are kept by
reference and encoded after the job; everything else is encoded at once, because the job may change
it later. Spans are appended when they open, so a parent always comes before its children.
"""

from __future__ import annotations

import sys
import weakref
from _thread import get_ident
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter_ns
from types import CodeType
from typing import Any

from tracediff import values
from tracediff.model import Depth, ErrorInfo, Kind, Source
from tracediff.recording.faults import brief, describe, raised_at
from tracediff.recording.marks import Mark
from tracediff.recording.redaction import Redactor
from tracediff.recording.snapshots import CONTAINERS, OVERHEAD, Held, hold
from tracediff.runtime import Server, current

FIXED = values.SCALARS - {str, bytes}
"""Types kept by reference without a look at their size."""

is_fixed = FIXED.issuperset

LONG = 1024
"""Strings longer than this count towards the bytes a trace holds."""

MUTATION_LIMIT = 16 * 1024
"""Arguments larger than this, encoded, are not encoded again after the step to see a change."""


MAX_KNOWN = 256
"""Values of a trace that are remembered, so that none is held twice while it is unchanged."""

MAX_STEPS = 100_000
"""Spans of a trace after which steps, blocks and notes run unrecorded."""

MAX_SPANS = 1_000_000
"""Spans of a trace after which inputs and outputs do too: it cannot be replayed then."""

MAX_TAGS = 100
MAX_TAG = 200
"""Tags of a trace, and characters of one."""

MAX_TEXT = 16_000
"""Characters of a text that are looked at for secrets, where fewer are kept."""


class Unset:
    """No result was captured."""

    __slots__ = ()


UNSET = Unset()


class Packed(bytes):
    """A captured value that is encoded already."""

    __slots__ = ()


CHANGEABLE = frozenset({Packed, Held})
"""What is captured of a value that may change later."""


class Items(list[Any]):
    """What a generator has yielded so far, each item captured.

    Args:
        data: The canonical list of all that it yields, where a recording says so.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data


class Buffer:
    """One trace while it is recorded."""

    __slots__ = (
        "answering", "artifacts", "bytes", "context", "depth", "encode", "full", "ignored", "known",
        "last_fault", "limit", "plain", "redactor", "rooted", "running", "scrub", "server",
        "shallow", "skipped", "spans", "state", "tags", "tags_skipped", "unserved", "warnings",
    )  # fmt: skip

    def __init__(self, redactor: Redactor, depth: Depth, server: Server | None = None) -> None:
        self.spans: list[Span] = []
        self.redactor = redactor
        self.encode = redactor.encoder(self.warn)
        self.plain = redactor.plain_types()
        self.scrub = redactor.scrub
        self.rooted = redactor.path_rule is not None
        self.running: Callable[[], Any] | None = None
        if "asyncio" in sys.modules:
            self.watch_tasks()
        self.depth = depth
        self.shallow = depth == "inputs"
        self.server = server
        self.answering = server is not None and bool(server.steps)
        self.full = False
        self.limit = MAX_STEPS
        self.skipped = 0
        self.unserved = 0
        self.tags_skipped = 0
        self.bytes = 0
        self.known: dict[int, Held] = {}
        self.ignored = False
        self.state: str | None = None
        self.tags: dict[str, None] = {}
        self.context: dict[str, str | int | float | bool] = {}
        self.artifacts: list[tuple[str, bytes, str]] = []
        self.warnings: list[str] = []
        self.last_fault: tuple[tuple[Any, ...], Any, ErrorInfo] | None = None

    def capture(self, value: Any) -> Any:
        """The value itself when nothing can change it, else as it is now: held, or encoded.

        A dict, list or tuple that the trace has seen and that is unchanged is not held again: what
        one step gives is mostly what others take.
        """
        kind = type(value)
        if kind in FIXED:
            return value
        if kind in CONTAINERS:
            held = self.known.get(id(value))  # which it keeps alive, so nothing else has its id
            if held is not None and held.is_unchanged():
                self.bytes += held.size
                return held
            held = hold(value)
            if held is not None:
                self.bytes += held.size + OVERHEAD
                if kind is not tuple and held.size <= MUTATION_LIMIT:
                    if len(self.known) >= MAX_KNOWN:
                        self.known.clear()
                    self.known[id(value)] = held
                return held
        elif kind is str or kind is bytes:
            if len(value) > LONG:
                self.bytes += len(value)
            return value
        data = Packed(self.encode(value))
        self.bytes += len(data)
        return data

    def packed(self, captured: Any) -> bytes:
        """The canonical bytes of what was captured."""
        kind = type(captured)
        if kind is Held:
            data: bytes = captured.encoded(self.encode)
            return data
        return bytes(captured) if kind is Packed else self.encode(captured)

    def is_unchanged(self, name: str, value: Any, before: Held | Packed) -> bool:
        """Whether an argument is what was captured; where that is not seen it is encoded again."""
        if type(before) is Held:
            if before.is_unchanged() or before.size > MUTATION_LIMIT:
                return True
            return bool(self.encode(value) == before.encoded(self.encode))
        if len(before) > MUTATION_LIMIT:  # type: ignore[arg-type]  # it is Packed
            return True
        encode = self.encoder(name) if self.rooted else self.encode
        return bool(encode(value) == before)

    def capture_below(self, name: str, value: Any) -> Any:
        """As ``capture``, for an argument, where paths that begin with its name may be secret."""
        if type(value) in values.SCALARS:
            return self.capture(value)
        data = self.encoder(name)(value)
        self.bytes += len(data)
        return Packed(data)

    def encoder(self, name: str) -> Callable[[Any], bytes]:
        """What encodes the value of an argument of this name."""
        return self.redactor.encoder(self.warn, under=name)

    def seal(self, name: str, data: bytes) -> bytes:
        """Canonical bytes, sealed when their name says that they are secret."""
        redactor = self.redactor
        if name in redactor.safe or not redactor.secret(name):
            return data
        return values.seal(data, redactor)

    def watch_tasks(self) -> None:
        """Tell steps of different asyncio tasks apart from now on."""
        from asyncio.events import _get_running_loop  # slow to import; few programs need it

        self.running = _get_running_loop

    def join(self, items: Sequence[bytes]) -> bytes:
        """The canonical list of values that are encoded already."""
        return values.encode_list(items)

    def warn(self, message: str) -> None:
        """Add a warning of the recorder to the trace, each text once."""
        message = self.scrub(message)
        if message not in self.warnings and len(self.warnings) < 100:
            self.warnings.append(message)

    def tag(self, tags: Iterable[str]) -> None:
        """Add search labels, secrets taken out of them."""
        for one in tags:
            label = self.scrub(one[:MAX_TEXT])[:MAX_TAG]
            if label in self.tags or len(self.tags) < MAX_TAGS:
                self.tags[label] = None
            else:
                self.tags_skipped += 1

    def crowded(self) -> None:
        """There are many spans: stop recording those that a replay can do without."""
        self.shallow = True
        self.full = len(self.spans) >= MAX_SPANS and self.server is None

    def warn_of_bounds(self) -> None:
        """Say what was left out of the trace, before its other warnings."""
        found = []
        if self.unserved:
            found.append(
                f"inputs and outputs after the first {MAX_SPANS:,} steps were left out, and this "
                f"trace cannot be replayed: {self.unserved:,}"
            )
        if self.skipped and self.depth != "inputs":
            found.append(
                f"steps after the first {MAX_STEPS:,} were left out, except inputs and outputs: "
                f"{self.skipped:,}"
            )
        if self.tags_skipped:
            found.append(f"tags after the first {MAX_TAGS} were left out: {self.tags_skipped:,}")
        self.warnings[:0] = [one for one in found if one not in self.warnings]

    def fault(self, error: BaseException, parent: Span | None) -> ErrorInfo:
        """Describe an exception, once while it travels up through the steps; never raises.

        It is not kept, which would keep its frames alive. So that another one at its address is
        not taken for it, it must have been raised at the same place, and no step begun since.
        """
        mark: tuple[Any, ...]
        try:
            notes = len(getattr(error, "__notes__", ()))
            mark = (id(error), type(error), raised_at(error), len(self.spans), notes)
            args = error.args
        except Exception:  # foreign code
            mark, args = (), None
        known = self.last_fault
        if known is not None and args is not None and known[0] == mark and known[1] is args:
            info = known[2]
        else:
            info = describe(error, self.redactor.encoder(self.warn, texts=True), self.scrub)
        self.last_fault = (mark, args, info) if parent is not None else None
        return info


class Span:
    """One step: open while it is the context's current span, raw record afterwards."""

    __slots__ = (
        "args", "buffer", "end", "error", "key", "kwargs", "lane", "mark", "mutated", "packed",
        "parent", "result", "start", "state",
    )  # fmt: skip

    mark: Mark | Line
    buffer: Buffer
    parent: Span | None
    args: Any
    kwargs: Any
    result: Any
    error: ErrorInfo | None
    state: str | None
    key: Any
    mutated: tuple[str, ...]
    packed: bool
    lane: Any
    end: int
    start: int


def new_span(
    mark: Mark | Line, buffer: Buffer, parent: Span | None, args: Any, kwargs: Any
) -> Span:
    """Open a span. All in one function, since each call is a tenth of what a step costs."""
    span = Span()
    span.mark = mark
    span.buffer = buffer
    span.parent = parent
    span.args = args
    span.kwargs = kwargs
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


def lane(loop: Any) -> int | tuple[int, Any]:
    """The thread that runs, with its asyncio task when it has one.

    The task is referred to weakly: it does not live longer for it, and while the reference is kept
    no later task is taken for it, as its address alone may be.
    """
    if loop is None:
        return get_ident()
    import asyncio  # there is a loop, so it is loaded

    task = asyncio.current_task(loop)
    return get_ident(), None if task is None else weakref.ref(task)


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
    if mark.special:
        captured, named = adjusted(mark, captured, kwargs)
    packed = False
    if captured and not is_fixed(map(type, captured)):
        if buffer.rooted:
            captured = [
                buffer.capture_below(mark.place(at), value) for at, value in enumerate(captured)
            ]
        else:
            captured = [
                value if type(value) in FIXED else buffer.capture(value) for value in captured
            ]
        packed = not CHANGEABLE.isdisjoint(map(type, captured))
    if named:
        if buffer.rooted:
            named = {name: buffer.capture_below(name, value) for name, value in named.items()}
        else:
            named = {name: buffer.capture(value) for name, value in named.items()}
        packed = packed or not CHANGEABLE.isdisjoint(map(type, named.values()))
    span = new_span(mark, buffer, parent, captured, named)
    span.packed = packed
    if mark.key is not None:
        span.key = user_key(mark, buffer, args, kwargs)
    return span


def ended(span: Span, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
    """Keep the result of a step that has returned, and what it has changed."""
    if span.packed:
        mutations(span, args, kwargs)
    span.result = result if type(result) in FIXED else span.buffer.capture(result)


def adjusted(
    mark: Mark, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments without the ignored ones, and with the defaults that the call may change.

    Ignored positional ones become None, to keep the places of the others; ``assembly`` drops them.
    """
    ignore, names = mark.ignore, mark.names
    kept = [
        None if (names[place] if place < len(names) else mark.rest) in ignore else value
        for place, value in enumerate(args)
    ]
    named = {name: value for name, value in kwargs.items() if name not in ignore}
    if mark.keywords in ignore:
        named = {name: value for name, value in named.items() if name in mark.known}
    for name in mark.volatile:
        if name not in named and name not in names[: len(args)]:
            named[name] = mark.defaults[name]
    return tuple(kept), named


def user_key(mark: Mark, buffer: Buffer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What the user's key function says identifies this call; a failing one becomes a warning."""
    key = mark.key
    if not callable(key):
        return UNSET
    try:
        return buffer.capture(key(*args, **kwargs))
    except Exception as error:  # the job must not fail because of its recording
        buffer.warn(f"the key function of {mark.name!r} raised {brief(error)}")
        return UNSET


def mutations(span: Span, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Mark the arguments that the step changed."""
    buffer, mark = span.buffer, span.mark
    if type(mark) is not Mark:
        return
    changed: list[str] = []
    at = -1
    for before in span.args:
        at += 1
        if type(before) not in CHANGEABLE or (type(before) is Held and before.is_unchanged()):
            continue
        name = mark.place(at)
        if not buffer.is_unchanged(name, args[at + mark.drop], before):
            changed.append(name)
    for name, before in (span.kwargs or {}).items():
        if type(before) in CHANGEABLE:
            value = kwargs[name] if name in kwargs else mark.defaults[name]
            if not buffer.is_unchanged(name, value, before):
                changed.append(name)
    if changed:
        span.mutated = tuple(dict.fromkeys(changed))


def leave(token: Any) -> None:
    """Make the span current again that was when the token was made.

    An async generator that another task closes ends in another context, which is not ours; a block
    that was entered twice at once has given its token back already.
    """
    try:
        current.reset(token)
    except (ValueError, RuntimeError):
        return
