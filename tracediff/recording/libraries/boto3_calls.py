"""Operations of AWS services as steps: which of them read, their parameters and their answers.

What is secret is told by the services' own models, and by names. Everything is put into its form
when the trace is, off the job's thread.
"""

from __future__ import annotations

import hashlib
import re
from fnmatch import fnmatchcase
from time import perf_counter_ns
from typing import Any

from tracediff import values
from tracediff.config import Config
from tracediff.model import ErrorInfo
from tracediff.recording.buffers import Buffer, Later, Packed
from tracediff.recording.faults import brief
from tracediff.recording.libraries.boto3_bodies import Noted
from tracediff.recording.libraries.boto3_secrets import Body, copied, packed, unsealed
from tracediff.recording.libraries.http.answers import content_of, told_body
from tracediff.recording.libraries.http.exchanges import bare as without_objects
from tracediff.recording.libraries.http.masking import Masks
from tracediff.recording.libraries.http.patterns import operation_pattern
from tracediff.recording.marks import Mark
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, leave, new_span
from tracediff.runtime import ReplayAbort, current

_READS = re.compile(
    "(BatchGet|Describe|Get|Head|List|Lookup|Query|Scan|Search|Select|TransactGet)(?![a-z])"
)
"""How the names of operations begin that only read; a setting names others."""

MOST_SENT = 1 << 20
"""Bytes of a body that is sent above which its digest is kept."""

MOST_RECEIVED = 64 << 20
"""Bytes of a body that is recorded."""

MOST_TOGETHER = 256 << 20
"""Bytes of all bodies that are recorded in a trace."""

_TOGETHER = "boto3 bodies"
_BLOCK = 1 << 14


def _operation(*, url: str, params: dict[str, Any]) -> None:
    """An operation of a service at an endpoint."""


class Rules:
    """What operations are called, and which of them only read.

    Args:
        config: The project's settings; entries of ``inputs`` such as ``boto3 lambda.Invoke`` name
            operations that read, with a ``!`` before them such as write.
    """

    def __init__(self, config: Config) -> None:
        self._named = [one for one in map(operation_pattern, config.inputs) if one is not None]
        self._marks: dict[str, Mark] = {}
        self.rest = Mark("input", "boto3 rest of a body", _operation, drop=0)

    def mark(self, model: Any) -> Mark:
        """What an operation is in the trace."""
        name = f"{model.service_model.service_name}.{model.name}"
        found = self._marks.get(name)
        if found is None:
            method = model.http.get("method")
            reads = method in ("GET", "HEAD") or _READS.match(model.name) is not None
            for taken, pattern in self._named:
                if fnmatchcase(name, pattern):
                    reads = taken
            found = Mark("input" if reads else "output", f"boto3 {name}", _operation, drop=0)
            self._marks[name] = found
        return found


class Operation:
    """One operation inside a recorded job, or a replayed one.

    Args:
        parent: What ``recorded_here`` gave.
        rules: Those of the settings.
        model: The operation as botocore knows it.
        url: The client's endpoint.
        params: The parameters.
    """

    def __init__(self, parent: Span, rules: Rules, model: Any, url: str, params: Any) -> None:
        buffer = parent.buffer
        self.parent = parent
        self.model = model
        self.replied: Replied | None = None
        self._rules = rules
        streaming = model.get_streaming_output()
        shape = model.output_shape
        self.body_name = shape.serialization.get("payload") if streaming is not None else None
        self._asked = Asked(url, _parameters(buffer, params, model))
        self.span = new_span(rules.mark(model), buffer, parent, self._asked, {})

    @property
    def replayed(self) -> bool:
        """Whether a recording may answer."""
        return self.span.buffer.server is not None

    def served(self) -> dict[str, Any] | None:
        """What a recording answers: ``answer`` and ``body``; None where it is to be sent.

        Raises the recorded error where there was no answer, and what a replay raises on a miss.
        """
        span = self.span
        try:
            found = answer(span, items=True)
            if found.live:
                return None
            if found.error is not None and found.result is None:
                raise found.error
        except BaseException as error:
            span.error = self._fault(error)
            span.end = perf_counter_ns()
            raise
        span.result = Packed(found.data or b"")
        span.end = perf_counter_ns()
        result = found.result
        if type(result) is not dict:
            span.buffer.warn(f"an answer that was not recorded is an empty one: {span.mark.name}")
        if type(result) is not dict or type(result.get("answer")) is not dict:
            result = {"answer": result if type(result) is dict else {}}
        parsed = unsealed(result["answer"], self.model.output_shape)
        if "body" not in result and self.body_name in parsed:  # of a what-if
            result = {**result, "body": parsed[self.body_name], "written": "utf-8"}
        return {**result, "answer": parsed, "content": content_of(result), "error": found.error}

    def __enter__(self) -> None:
        """Send it: what runs below it is no input of its own."""
        self._token = current.set(self.span)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """The answer is there, or the error that there is in place of it."""
        leave(self._token)
        self.span.end = perf_counter_ns()
        if error is not None:
            self.span.error = self._fault(error)

    def send_nowhere(self, params: Any) -> None:
        """Read a file that would be sent to its end, as sending it does; tell of its progress."""
        shape = self.model.input_shape
        name = shape.serialization.get("payload") if shape is not None else None
        body: Any = (params or {}).get(name)
        if not hasattr(body, "read"):
            return
        tell = getattr(body, "signal_transferring", None)  # a file of a transfer
        if tell is not None:
            tell()
        while body.read(_BLOCK):
            pass

    def note(self, parsed: Any) -> None:
        """Record an answer: what is in it now, a body as the job reads it."""
        try:
            name = self.body_name
            stream: Any = parsed.get(name) if name is not None else None
            headers = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            raw = getattr(stream, "_raw_stream", None)
            left = {key: one for key, one in parsed.items() if key != name or raw is None}
            found = copied(self.span.buffer, left, self.model.output_shape)
            self.replied = self.span.result = Replied(found, headers, streamed=raw is not None)
            if raw is not None:
                stream._raw_stream = Noted(raw, self)  # noqa: SLF001 - where all ways to read pass
        except Exception as error:  # an event's handler may give anything
            self.span.buffer.warn(f"a value could not be recorded: {brief(error)}")

    def add(self, piece: bytes) -> None:
        """Keep a piece of the body, as the job takes it."""
        replied, buffer = self.replied, self.span.buffer
        if replied is None or replied.dropped or buffer.spans[0].end:
            return  # what is read after the job is not its input
        replied.size += len(piece)
        together = buffer.reached.get(_TOGETHER, 0) + len(piece)
        buffer.reached[_TOGETHER] = together
        if replied.size > MOST_RECEIVED or together > MOST_TOGETHER:
            replied.dropped = True
            replied.parts.clear()
            buffer.warn(f"a body is too large to be recorded: {self.span.mark.name}")
            return
        replied.parts.append(piece)
        buffer.bytes += len(piece)
        self.span.end = perf_counter_ns()

    def ended(self) -> None:
        """The body has come to its end."""
        if self.replied is not None and not self.span.buffer.spans[0].end:
            self.replied.ended = True

    def failed(self, error: BaseException) -> None:
        """The body ended with an error."""
        if not self.span.buffer.spans[0].end:
            self.ended()
            self.again(error)

    def again(self, error: BaseException) -> None:
        """The error that the body ends with, while it is recorded or served."""
        self.span.error = self._fault(error)
        self.span.end = perf_counter_ns()

    def _fault(self, error: BaseException) -> ErrorInfo:
        """What is recorded of an error; never raises."""
        try:
            shown = bare(error)
        except Exception:  # foreign code
            shown = error
        return self.span.buffer.fault(shown, self.parent)

    def missed(self) -> None:
        """More of a body is read than was recorded: raises what a replay raises on a miss."""
        span = new_span(self._rules.rest, self.span.buffer, self.parent, self._asked, {})
        try:
            if answer(span).live:
                raise ReplayAbort(
                    "the rest of a body cannot be asked for",
                    slug="input-not-recorded",
                    hint="record the job again",
                )
        except BaseException as error:
            span.error = span.buffer.fault(error, self.parent)
            raise
        finally:
            span.end = perf_counter_ns()


class Asked(Later):
    """An operation's endpoint and parameters."""

    __slots__ = ("endpoint", "params")
    url = "url"

    def __init__(self, endpoint: str, params: Any) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.params = params

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the arguments."""
        params = packed(self.params, buffer, Masks.of(buffer), ("params",))
        return values.encode_map([("url", buffer.encode(self.endpoint)), ("params", params)])


class Replied(Later):
    """The answer to an operation, whose body comes piece by piece.

    Args:
        answer: What is in it, without the body.
        headers: Those of HTTP.
        streamed: Whether there is a body.
    """

    __slots__ = ("answer", "dropped", "ended", "headers", "parts", "size", "streamed")

    def __init__(self, answer: Any, headers: Any, *, streamed: bool) -> None:
        super().__init__()
        self.answer = answer
        self.headers = {name.lower(): str(one) for name, one in headers.items()}
        self.streamed = streamed
        self.parts: list[bytes] = []
        self.size = 0
        self.ended = False
        self.dropped = False

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the result."""
        masks = Masks.of(buffer)
        found: list[tuple[str, bytes]] = []
        if self.streamed:
            content = b"".join(self.parts)
            kind = self.headers.get("content-type", "")
            length = self.headers.get("content-length", "")
            if content:
                value, said = told_body(content, kind, masks)
                found.append(("body", buffer.encoder("body")(value)))
                found += [("written", values.encode(said))] if said is not None else []
            whole = not self.dropped and (self.ended or length == str(len(content)))
            found += [] if whole else [("unread", values.encode(True))]
        said_first = packed(self.answer, buffer, masks, ("answer",))
        return values.encode_map([("answer", said_first), *found])


def bare(error: BaseException) -> BaseException:
    """An error by what it says: without its requests, pools and sockets."""
    bared = without_objects(error)
    if bared is error:
        return error
    found: Any = bared
    said = getattr(error, "kwargs", None)
    if isinstance(said, dict):
        found.kwargs = {str(name): str(one) for name, one in said.items()}
        found.request = found.response = None
    if hasattr(error, "url"):
        found.url, found.pool = None, None
    return bared


def _parameters(buffer: Buffer, params: Any, model: Any) -> Any:
    """The parameters as they are now; of a body what it says, or its digest."""
    given = dict(params or {})
    shape = model.input_shape
    name = shape.serialization.get("payload") if shape is not None else None
    if name in given and shape.members[name].type_name == "blob":
        try:
            sent = _sent(given[name])
            given[name] = (
                Body(sent, str(given.get("ContentType") or "")) if type(sent) is bytes else sent
            )
        except Exception as error:  # a file of the program's own may be anything
            buffer.warn(f"a value could not be recorded: {brief(error)}")
            given[name] = None
    return copied(buffer, given, shape)


def _sent(body: Any) -> Any:
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        data = bytes(body)
        return data if len(data) <= MOST_SENT else _digest(len(data), hashlib.sha256(data))
    if not hasattr(body, "read") or not getattr(body, "seekable", lambda: True)():
        return {"unseekable": type(body).__name__}
    at = body.tell()
    try:
        data, size, digest = body.read(MOST_SENT + 1), 0, hashlib.sha256()
        if isinstance(data, str):
            data = data.encode()
        if len(data) <= MOST_SENT:
            return data
        while data:
            size += len(data)
            digest.update(data)
            data = body.read(MOST_SENT)
    finally:
        body.seek(at)
    return _digest(size, digest)


def _digest(size: int, digest: Any) -> dict[str, Any]:
    return {"size": size, "sha256": digest.hexdigest()}
