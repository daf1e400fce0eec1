"""Calls of gRPC: what is asked and answered as plain data, and which of them only read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from time import perf_counter_ns
from typing import Any, NamedTuple

from tracediff import values
from tracediff.config import Config
from tracediff.recording.buffers import Buffer, Later, Packed
from tracediff.recording.libraries.http.masking import stand_in
from tracediff.recording.libraries.reach import Reach, refuse_input, refuse_output
from tracediff.recording.marks import Mark
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, new_span

MAX_MESSAGES = 64 << 20
"""Bytes of the messages of a call that are recorded."""

_READING = re.compile(
    r"(?:BatchGet|Get|List|Search|Find|Query|Lookup|Read|Fetch|Count|Watch|Describe|Check|Download)"
    r"(?![a-z])"
)
_NO_SIDE_EFFECTS = 1


def _asked(*, request: Any, requests: Any, target: str) -> None:
    """A call: what is recorded is the answer, its status and its metadata."""


def _rest(method: str) -> None:
    """Messages that the recorded job did not read."""


REST = Reach("input", "grpc messages that were not read", _rest)


@lru_cache(maxsize=512)
def _mark(name: str, *, reads: bool) -> Mark:
    return Mark("input" if reads else "output", f"grpc {name}", _asked, drop=0)


class Rules:
    """Which calls only read; entries such as ``grpc pricing.Rates/*`` and ``!grpc …`` say more.

    Args:
        config: The project's settings.
    """

    def __init__(self, config: Config) -> None:
        found = map(method_pattern, config.inputs)
        self._named = [one for one in found if one is not None]
        self._known: dict[str, Mark] = {}

    def mark(self, method: str) -> Mark:
        """What a call is in the trace.

        Args:
            method: Its full name, ``/pricing.Rates/GetRate``.
        """
        found = self._known.get(method)
        if found is None:
            name = method.removeprefix("/")
            reads = _reads(name)
            for taken, pattern in self._named:
                if fnmatchcase(name, pattern):
                    reads = taken
            found = self._known[method] = _mark(name, reads=reads)
        return found

    def refuse(self, method: str) -> None:
        """In a replay, outside of the job's context."""
        mark = self.mark(method)
        (refuse_input if mark.kind == "input" else refuse_output)(mark.name)


def method_pattern(entry: str) -> tuple[bool, str] | None:
    """An entry of ``inputs`` that names methods: whether they read, and which."""
    word, _, pattern = entry.removeprefix("!").partition(" ")
    if word != "grpc" or not pattern.strip():
        return None
    return not entry.startswith("!"), pattern.strip()


def _reads(name: str) -> bool:
    """Whether its definition says that it changes nothing, or its name that it asks."""
    from google.protobuf import descriptor_pool  # a program may use gRPC without it

    try:
        found: Any = descriptor_pool.Default().FindMethodByName(name.replace("/", "."))
        if found.GetOptions().idempotency_level == _NO_SIDE_EFFECTS:
            return True
    except (KeyError, AttributeError):  # a method that is described nowhere
        pass
    return _READING.match(name.rpartition("/")[2]) is not None


class Messages(Later):
    """Messages as they crossed the network, each with its class; mostly there is one."""

    __slots__ = ("data", "dropped", "kind", "more", "size")

    def __init__(self) -> None:
        self._data = None
        self.data: bytes | None = None
        self.kind: type = bytes
        self.more: list[tuple[bytes, type]] | None = None
        self.size = 0
        self.dropped = False

    def add(self, data: bytes, kind: type) -> None:
        """Keep one more."""
        self.size += len(data)
        if self.size > MAX_MESSAGES:
            self.dropped, self.data, self.more = True, None, None
        elif self.data is None:
            self.data, self.kind = data, kind
        elif self.more is None:
            self.more = [(data, kind)]
        else:
            self.more.append((data, kind))

    def encoded(self, buffer: Buffer) -> list[bytes]:
        """All of them."""
        if self.dropped:
            buffer.warn("the messages of a call are too large to be recorded")
        if self.data is None:
            return []
        held = [(self.data, self.kind), *(self.more or ())]
        return [_encoded(buffer, data, kind) for data, kind in held]


def _encoded(buffer: Buffer, data: bytes, kind: type) -> bytes:
    """A message of protobuf by its fields; any other as its bytes."""
    parse = getattr(kind, "FromString", None)
    return buffer.encode(data if parse is None else parse(data))


class Asked(Messages):
    """What is asked; of streams what was sent."""

    __slots__ = ("method", "streamed", "target")

    def __init__(self, method: str, target: str, *, streamed: bool) -> None:
        super().__init__()
        self.method = method
        self.target = target
        self.streamed = streamed

    def packed(self, buffer: Buffer) -> bytes:
        """The canonical bytes; of what is streamed more may come."""
        return self.so_far(buffer) if self.streamed else super().packed(buffer)

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the arguments."""
        found = self._sent(buffer)
        if self.target:
            found.append(("target", values.encode(self.target)))
        return values.encode_map(found)

    def _sent(self, buffer: Buffer) -> list[tuple[str, bytes]]:
        sent = self.encoded(buffer)
        if self.streamed:
            return [("requests", values.encode_list(sent))]
        return [("request", sent[0])] if sent else []


class _Identity(Later):
    """What tells a call from others: not its server, and not what is streamed to it."""

    __slots__ = ("_asked",)

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = asked

    def made(self, buffer: Buffer) -> bytes:
        streamed = self._asked.streamed
        return values.encode_map([] if streamed else self._asked._sent(buffer))  # noqa: SLF001 - of the class above


class Status(NamedTuple):
    """How a call ended, or what is known of it so far."""

    code: str | None
    details: str | None
    initial: Any
    trailing: Any
    debug: str | None


UNKNOWN = Status(None, None, None, None, None)
SUCCEEDED = Status("OK", None, None, None, None)


class Said(Messages):
    """What is answered.

    Args:
        streamed: Whether it is a stream.
    """

    __slots__ = ("status", "streamed")

    def __init__(self, *, streamed: bool) -> None:
        super().__init__()
        self.streamed = streamed
        self.status: Callable[[], Status] | None = None

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the result."""
        status = UNKNOWN if self.status is None else self.status()
        found = [("code", values.encode(status.code))]
        given = self.encoded(buffer)
        if self.streamed:
            found.append(("responses", values.encode_list(given)))
        elif given:
            found.append(("response", given[0]))
        if status.details:
            found.append(("details", values.encode(buffer.scrub(status.details))))
        for name, pairs in (("initial", status.initial), ("trailing", status.trailing)):
            if pairs:
                found.append((f"{name}_metadata", _metadata(buffer, pairs)))
        if status.debug and status.code != "OK":
            found.append(("debug", values.encode(buffer.scrub(status.debug))))
        return values.encode_map(found)


def _metadata(buffer: Buffer, pairs: Iterable[Any]) -> bytes:
    """Pairs in their order, those with a secret name sealed."""
    found = []
    for key, value in pairs:
        data = values.encode(value)
        if buffer.redactor.secret(key) or buffer.redactor.secret(key.replace("-", "_")):
            buffer.hide(value)
            data = values.seal(data, buffer.redactor)
        found.append(values.encode_list([values.encode(key), data]))
    return values.encode_list(found)


class Told:
    """A recorded answer; a trace is untrusted, so whatever it holds is one."""

    def __init__(self, result: Any, serialize: Callable[[Any], bytes]) -> None:
        known = type(result) is dict
        found = result if known else {"code": "OK"}
        code = found.get("code")
        self.code: str | None = code if type(code) is str else None
        self.details = str(found.get("details") or "")
        self.debug = str(found.get("debug") or "")
        self.initial = _pairs(found.get("initial_metadata"))
        self.trailing = _pairs(found.get("trailing_metadata"))
        given = found.get("responses", [found["response"]] if "response" in found else [])
        self.messages = [serialize(one) for one in given] if type(given) is list else []


def _pairs(found: Any) -> tuple[tuple[str, Any], ...]:
    pairs = []
    for one in found if type(found) is list else ():
        if type(one) is list and len(one) == 2:
            key, value = one
            if type(value) is values.Placeholder:
                value = stand_in(value)
            pairs.append((str(key), value.encode() if _is_text_of_bytes(key, value) else value))
    return tuple(pairs)


def _is_text_of_bytes(key: Any, value: Any) -> bool:
    return str(key).endswith("-bin") and type(value) is str


def serialized(message: Any) -> bytes:
    """The bytes of a recorded message."""
    return message if type(message) is bytes else bytes(message.SerializeToString())


class Rpc:
    """One call inside a recorded job, or a replayed one.

    Args:
        parent: What ``recorded_here`` gave.
        mark: What it is in the trace.
        asked: What is asked.
        streamed: Whether the answer is a stream.
    """

    __slots__ = ("asked", "buffer", "parent", "pending", "replayed", "said", "span")

    def __init__(self, parent: Span, mark: Mark, asked: Asked, *, streamed: bool) -> None:
        self.parent = parent
        self.buffer = parent.buffer
        self.asked = asked
        self.said = Said(streamed=streamed)
        self.span = new_span(mark, parent.buffer, parent, asked, {})
        self.span.key = _Identity(asked)
        self.replayed = self.buffer.server is not None
        self.pending: tuple[Callable[[Any], Any], Iterator[Any]] | None = None
        if not self.replayed:
            self.span.result = self.said

    def sending(self, serialize: Any) -> Any:
        """What serializes the requests, and notes them."""
        buffer, asked = self.buffer, self.asked
        job = buffer.spans[0]

        def tee(message: Any) -> Any:
            data = message if serialize is None else serialize(message)
            if not job.end and type(data) is bytes:
                asked.add(data, type(message))
                buffer.bytes += len(data)
            return data

        return tee

    def receiving(self, deserialize: Any) -> Any:
        """What makes messages of the answers, and notes them."""
        buffer, said, span = self.buffer, self.said, self.span
        job = buffer.spans[0]

        def tee(data: Any) -> Any:
            message = data if deserialize is None else deserialize(data)
            if not job.end:
                said.add(data, type(message))
                buffer.bytes += len(data)
                span.end = perf_counter_ns()
            return message

        return tee

    def _over(self) -> bool:
        return bool(self.buffer.spans[0].end)

    def ended(self) -> None:
        """The answer is there."""
        self.span.end = perf_counter_ns()

    def failed(self, error: BaseException) -> None:
        """It ended with an error."""
        if not self._over():
            self.span.error = self.buffer.fault(error, self.parent)
            self.span.end = perf_counter_ns()

    def served(self) -> Told | None:
        """What a recording answers; None where the call is to be made for real."""
        span = self.span
        try:
            found = answer(span, items=True)
        except BaseException as error:
            span.error = self.buffer.fault(error, self.parent)
            raise
        finally:
            self.ended()
        if found.live:
            span.end = 0  # what runs for real has not ended
            span.result = self.said
            return None
        span.result = Packed(found.data or b"")
        return Told(found.result, serialized)

    def send_one(self, *, all_of_them: bool = False) -> None:
        """Take what the job would send before it reads, in a replay: as much as it has to."""
        if self.pending is None:
            return
        serialize, left = self.pending
        for one in left:
            serialize(one)
            if not all_of_them:
                return
        self.pending = None

    def miss(self) -> None:
        """More is read than was recorded."""
        REST(self.parent, self.asked.method)
