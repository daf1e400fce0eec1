"""What one trace is written into while its job runs: its spans, and what was captured for them."""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tracediff import values
from tracediff.model import Depth, ErrorInfo
from tracediff.recording.faults import brief, describe, raised_at
from tracediff.recording.redaction import Redactor
from tracediff.recording.snapshots import CONTAINERS, OVERHEAD, Held, hold
from tracediff.runtime import Server

if TYPE_CHECKING:
    from tracediff.recording.live import Live
    from tracediff.recording.spans import Span
    from tracediff.recording.tracing import Tracing

FIXED = values.SCALARS - {str, bytes}
"""Types kept by reference without a look at their size."""

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

MIN_HIDDEN = 6
"""Characters of a sealed text from which it is taken out of the texts of errors."""

LOOKED_AT = 64
"""Of the last spans, how many are looked at for the call that an error ended."""

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


class Later:
    """A captured value that is put into its form when the trace is, off the job's thread.

    ``url`` names the entry that says which server is asked, if it is a call's arguments.
    """

    __slots__ = ("_data",)
    url: ClassVar[str | None] = None

    def __init__(self) -> None:
        self._data: bytes | None = None

    def packed(self, buffer: Buffer) -> bytes:
        """The canonical bytes, made once; never raises."""
        if self._data is None:
            try:
                self._data = self.made(buffer)
            except Exception as error:  # the trace must not be lost for one value
                buffer.warn(f"a value could not be recorded: {brief(error)}")
                self._data = values.encode(None)
        return self._data

    def so_far(self, buffer: Buffer) -> bytes:
        """The canonical bytes as they are now, where more may come; never raises."""
        try:
            return self._data or self.made(buffer)
        except Exception:  # foreign code, which the job's thread runs as well
            return values.encode(None)

    def become(self, data: bytes) -> None:
        """Be these canonical bytes."""
        self._data = data

    def made(self, buffer: Buffer) -> bytes:
        """The canonical bytes."""
        raise NotImplementedError


_FLAGS = frozenset(map(values.encode, (None, False, True)))
"""Under the name of a secret they say whether there is one at most, in a dict as well."""


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
        "answering", "artifacts", "bytes", "capturing", "context", "depth", "encode", "excused",
        "full", "ignored", "known", "last_fault", "let_go", "limit", "live", "plain", "reached",
        "redactor", "rooted", "running", "scrub", "secrets", "server", "shallow", "skipped",
        "spans", "state", "tags", "tags_skipped", "tracing", "unserved", "warnings", "written",
    )  # fmt: skip

    def __init__(self, redactor: Redactor, depth: Depth, server: Server | None = None) -> None:
        self.spans: list[Span] = []
        self.let_go = 0  # spans of a live trace that were written, and are no longer among these
        self.live: Live | None = None
        self.redactor = redactor
        self.encode = redactor.encoder(self.warn)
        self.plain = redactor.plain_types()
        self.scrub: Callable[[str], str] = redactor.scrub
        self.rooted = redactor.path_rule is not None
        # Not imported: another thread may be importing it now, and both would find it broken.
        self.running: Callable[[], Any] | None = getattr(
            sys.modules.get("asyncio"), "_get_running_loop", None
        )
        self.depth = depth
        self.shallow = depth == "inputs"
        self.server = server
        self.answering = server is not None and bool(server.steps)
        self.full = False
        self.tracing: Tracing | None = None
        self.capturing: set[int] = set()  # threads that run what encodes a value, not the job
        self.limit = MAX_STEPS
        self.skipped = 0
        self.unserved = 0
        self.tags_skipped = 0
        self.bytes = 0
        self.known: dict[int, Held] = {}
        self.ignored = False
        self.excused = False  # what the job raises is foreseen, and no error
        self.written: dict[str, bytes] | None = None  # files, by path, that a replay only kept
        self.reached: dict[str, Any] = {}  # what a library keeps of the job, by its name
        self.secrets: tuple[str, ...] = ()
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
            self.known.pop(id(value), None)
        elif kind is str or kind is bytes:
            if len(value) > LONG:
                self.bytes += len(value)
            return value
        elif kind is Packed:
            self.bytes += len(value)
            return value
        data = Packed(
            self.encode(value) if self.tracing is None else self.apart(self.encode, value)
        )
        self.bytes += len(data)
        return data

    def apart(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what may run code of the program's that is no part of the job, as an encoder."""
        thread = get_ident()
        self.capturing.add(thread)
        try:
            return function(*args, **kwargs)
        finally:
            self.capturing.discard(thread)

    def packed(self, captured: Any) -> bytes:
        """The canonical bytes of what was captured."""
        kind = type(captured)
        if kind is Held:
            data: bytes = captured.encoded(self.encode)
            return data
        if isinstance(captured, Later):
            return captured.packed(self)
        return bytes(captured) if kind is Packed else self.encode(captured)

    def is_unchanged(self, name: str, value: Any, before: Held | Packed) -> bool:
        """Whether an argument is what was captured; where that is not seen it is encoded again."""
        if type(before) is Held:
            if before.is_unchanged() or before.size > MUTATION_LIMIT:
                return True
            return bool(self.apart(self.encode, value) == before.encoded(self.encode))
        if len(before) > MUTATION_LIMIT:  # type: ignore[arg-type]  # it is Packed
            return True
        return bool(self.apart(self.encoder(name), value) == before)

    def capture_below(self, name: str, value: Any) -> Any:
        """As ``capture``, for an argument, where paths that begin with its name may be secret."""
        if type(value) in values.SCALARS or type(value) is Packed:
            return self.capture(value)
        data = self.apart(self.encoder(name), value)
        self.bytes += len(data)
        return Packed(data)

    def encoder(self, name: str) -> Callable[[Any], bytes]:
        """What encodes the value of an argument of this name, paths below which may be secret."""
        return self.redactor.encoder(self.warn, under=name) if self.rooted else self.encode

    def seal(self, name: str, data: bytes) -> bytes:
        """Canonical bytes, sealed when their name says that they are secret; no flag nor None."""
        redactor = self.redactor
        if data in _FLAGS or name in redactor.safe or not redactor.secret(name):
            return data
        return values.seal(data, redactor)

    def watch_tasks(self) -> None:
        """Tell steps of different asyncio tasks apart from now on."""
        from asyncio.events import _get_running_loop  # slow to import; few programs need it

        self.running = _get_running_loop

    def learn(self, secret: str) -> None:
        """Take a secret that was found out of all that is recorded from now on."""
        if self.redactor.learn(secret):
            self.encode = self.redactor.encoder(self.warn)
            self.plain = self.redactor.plain_types()

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

    def hide(self, value: object) -> None:
        """Take a secret that was sealed out of the texts of errors too, where it is no word."""
        if type(value) is not str or len(value) < MIN_HIDDEN or value in self.secrets:
            return
        if len(self.secrets) < MAX_KNOWN:
            self.secrets = tuple(sorted((*self.secrets, value), key=len, reverse=True))
            self.scrub = self.redactor.rules(secrets=self.secrets).scrub

    def crowded(self) -> None:
        """There are many spans: have them written, or stop recording more of some kinds."""
        if self.live is not None:
            self.live.crowded()
        else:
            self.bound(len(self.spans))

    def bound(self, begun: int) -> None:
        """Stop recording what a replay can do without, where this many spans have begun."""
        self.shallow = self.shallow or begun >= MAX_STEPS
        self.full = begun >= MAX_SPANS and self.server is None

    def begun(self) -> int:
        """How many spans have begun."""
        return len(self.spans) if self.live is None else self.live.begun()

    def told(self) -> tuple[str, ...]:
        """The trace's warnings: first what was left out."""
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
        if self.tracing is not None:
            found += self.tracing.notes()
        if self.tags_skipped:
            found.append(f"tags after the first {MAX_TAGS} were left out: {self.tags_skipped:,}")
        return tuple(dict.fromkeys((*found, *self.warnings)))

    def _hide_arguments(self, parent: Span | None) -> None:
        """Take the secret arguments of the calls that an error ends out of its texts.

        Args:
            parent: What the call is in that it ended first, which is among the last that began.
        """
        last = self.spans[:1] if parent is None else self.spans[-LOOKED_AT:]
        ended = [one for one in last if one.parent is parent]
        while parent is not None:
            ended.append(parent)
            parent = parent.parent
        for span in ended:
            if isinstance(span.args, tuple | list):
                given = zip(getattr(span.mark, "names", ()), span.args, strict=False)
                for name, value in (*given, *(span.kwargs or {}).items()):
                    if type(value) is str and self.redactor.secret(name):
                        self.hide(value)

    def fault(self, error: BaseException, parent: Span | None) -> ErrorInfo:
        """Describe an exception, once while it travels up through the steps; never raises.

        It is not kept, which would keep its frames alive. So that another one at its address is
        not taken for it, it must have been raised at the same place, and no step begun since.
        """
        mark: tuple[Any, ...]
        try:
            notes = len(getattr(error, "__notes__", ()))
            mark = (id(error), type(error), raised_at(error), self.let_go + len(self.spans), notes)
            args = error.args
        except Exception:  # foreign code
            mark, args = (), None
        known = self.last_fault
        if known is not None and args is not None and known[0] == mark and known[1] is args:
            info = known[2]
        else:
            self._hide_arguments(parent)
            encode = self.redactor.encoder(self.warn, texts=True, secrets=self.secrets)
            info = self.apart(describe, error, encode, self.scrub)
        self.last_fault = (mark, args, info) if parent is not None else None
        return info
