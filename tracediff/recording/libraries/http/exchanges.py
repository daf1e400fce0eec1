"""Requests and their answers: inputs where they only read, outputs where they may change something.

A library hands over what it sends and what comes back: a head, and the pieces of a body as the job
takes them, which may be half of it or end in an error. All is put into its form when the trace is,
off the job's thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any

from tracediff.config import Config
from tracediff.model import ErrorInfo
from tracediff.recording.buffers import Packed
from tracediff.recording.faults import brief
from tracediff.recording.libraries.http.answers import Answer, Told, told
from tracediff.recording.libraries.http.asked import Asked, place
from tracediff.recording.libraries.http.patterns import matches, request_pattern
from tracediff.recording.libraries.reach import refuse_input, refuse_output
from tracediff.recording.marks import Mark
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, leave, new_span
from tracediff.runtime import ReplayAbort, current

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that read; a setting names others."""

MOST_METHODS = 50


def _exchange(*, url: str, query: dict[str, Any], headers: dict[str, str], body: Any) -> None:
    """A request: what is recorded are the answer's status, headers and body."""


def _rest(*, url: str) -> None:
    """The rest of a body that was not read to its end."""


class Rules:
    """What a library calls its requests, and which of them only read.

    Args:
        library: The name of the library.
        config: The project's settings; entries of ``inputs`` such as ``POST https://host/search*``
            name requests that read, with a ``!`` before them requests that write.
        errors: Makes of an error of the library one without its requests, pools and sockets.
    """

    def __init__(
        self,
        library: str,
        config: Config,
        errors: Callable[[BaseException], BaseException] | None = None,
    ) -> None:
        self.library = library
        self.bare = errors or bare
        self._named = [entry for entry in map(request_pattern, config.inputs) if entry is not None]
        self._marks: dict[tuple[str, bool], Mark] = {}
        self.rest = Mark("input", f"{library} rest of a body", _rest, drop=0)

    def mark(self, method: str, url: Any) -> Mark:
        """What a request is in the trace."""
        method = str(method).upper()
        reads = method in READS
        if self._named:
            where = place(str(url))
            for taken, word, pattern in self._named:
                if word == method and matches(where, pattern):
                    reads = taken
        found = self._marks.get((method, reads))
        if found is None:
            plain = method.isalpha() and len(method) <= 20 and len(self._marks) < MOST_METHODS
            name = f"{self.library} {method if plain else 'request'}"
            found = Mark("input" if reads else "output", name, _exchange, drop=0)
            if plain:
                self._marks[method, reads] = found
        return found

    @contextlib.contextmanager
    def plainly(self, method: str, url: Any) -> Iterator[None]:
        """Around a request of a replay outside of the job's context: none that writes is sent.

        Of one that is refused because it may not reach its server, say that it had no context.
        """
        mark = self.mark(method, url)
        if mark.kind == "output":
            refuse_output(mark.name)
        try:
            yield
        except ReplayAbort:
            refuse_input(mark.name)
            raise


class Exchange:
    """One request inside a recorded job, or a replayed one.

    Args:
        parent: What ``recorded_here`` gave.
        rules: Those of the library.
        asked: The request.
        again: Gives a recorded error what it had of this request.
    """

    __slots__ = ("_again", "_rules", "_token", "answer", "asked", "parent", "span")

    def __init__(
        self,
        parent: Span,
        rules: Rules,
        asked: Asked,
        again: Callable[[BaseException], BaseException] | None = None,
    ) -> None:
        self._again = again
        self.parent = parent
        self.asked = asked
        self.answer: Answer | None = None
        self._rules = rules
        mark = rules.mark(asked.method, asked.target)
        self.span = new_span(mark, parent.buffer, parent, asked, {})
        if type(asked.body) in (bytes, str):
            parent.buffer.bytes += len(asked.body)

    @property
    def replayed(self) -> bool:
        """Whether a recording may answer."""
        return self.span.buffer.server is not None

    def served(self, *, plain: bool = False) -> Told | None:
        """What a recording answers; None where the request is to be sent.

        Raises the recorded error where there was no answer, and what a replay raises on a miss.

        Args:
            plain: The library takes the body without its encodings.
        """
        span = self.span
        try:
            found = answer(span, items=True)
            if found.live:
                return None
            ended = found.error
            if ended is not None and self._again is not None:
                ended = self._again(ended)
            if ended is not None and found.result is None:
                raise ended
        except BaseException as error:
            span.error = self._fault(error)
            span.end = perf_counter_ns()
            raise
        span.result = Packed(found.data or b"")
        span.end = perf_counter_ns()
        if type(found.result) is not dict:
            span.buffer.warn(f"an answer that was not recorded is an empty one: {span.mark.name}")
        return told(found.result, ended, plain=plain)

    def pieces(self, found: Told) -> Iterator[bytes]:
        """The pieces of a recorded body; then what it ended with, an error as well."""
        yield from found.pieces
        span = self.span
        if found.error is not None:
            span.error = self._fault(found.error)
            raise found.error
        if found.unread:
            self._miss()

    def _fault(self, error: BaseException) -> ErrorInfo:
        """What is recorded of an error; never raises."""
        try:
            shown = self._rules.bare(error)
        except Exception:  # foreign code
            shown = error
        return self.span.buffer.fault(shown, self.parent)

    def _miss(self) -> None:
        """More of a body is read than was recorded."""
        asked = Asked("", self.asked.target, (), None)
        span = new_span(self._rules.rest, self.span.buffer, self.parent, asked, {})
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

    def __enter__(self) -> None:
        """Send the request: what runs below it is no input of its own."""
        self._token = current.set(self.span)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """The head of the answer is there, or the error that there is in place of it."""
        leave(self._token)
        self.span.end = perf_counter_ns()
        if error is not None:
            self.span.error = self._fault(error)

    def answered(self, status: int, reason: str, version: str, headers: Any) -> Answer:
        """Keep the head of the answer; its body follows, piece by piece."""
        found = Answer(self.asked.method, status, reason, version, headers)
        self.answer = self.span.result = found
        return found

    def unnoted(self, error: Exception) -> None:
        """The answer cannot be recorded; the job has it all the same."""
        self.span.buffer.warn(f"a value could not be recorded: {brief(error)}")

    def add(self, piece: bytes) -> None:
        """Keep a piece of the body, as the job takes it."""
        found, buffer = self.answer, self.span.buffer
        if found is None or buffer.spans[0].end or not found.add(piece):
            return  # what is read after the job is not its input
        buffer.bytes += len(piece)
        self.span.end = perf_counter_ns()
        if found.dropped:
            buffer.warn(f"a body is too large to be recorded: {self.span.mark.name}")

    def ended(self) -> None:
        """The body has come to its end."""
        if self.answer is not None and not self.span.buffer.spans[0].end:
            self.answer.ended = True

    def failed(self, error: BaseException) -> None:
        """The body ended with an error."""
        if self.span.buffer.spans[0].end:
            return
        if self.answer is not None:
            self.answer.ended = True
        self.span.error = self._fault(error)
        self.span.end = perf_counter_ns()


def bare(error: BaseException) -> BaseException:
    """An error of a library by its type and message: without its requests, pools and sockets."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return error
    native: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    try:
        text = str(error)
        found: BaseException = native.__new__(kind, text)
        found.args = (text,)
        found.__cause__, found.__context__ = error.__cause__, error.__context__
        found.__suppress_context__ = error.__suppress_context__
        return found.with_traceback(error.__traceback__)
    except Exception:  # foreign code
        return error
