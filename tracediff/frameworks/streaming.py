"""A response that is sent piece by piece, as its job makes it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tracediff.frameworks.messages import MAX_BODY
from tracediff.recording.spans import leave
from tracediff.runtime import current


class Streaming:
    """The content of a streaming response, with the job current while it is made.

    Args:
        root: The job's span.
        done: Called with what was sent, at most ``MAX_BODY`` bytes, and the error if there was one.
    """

    def __init__(self, root: Any, done: Any) -> None:
        self._root = root
        self._done = done
        self._kept = bytearray()

    def over(self, content: Any) -> Iterator[Any]:
        """The parts, as they are asked for."""
        parts = iter(content)
        with self._told():
            while True:
                with self._within():
                    part = next(parts, None)
                if part is None:
                    return
                self._keep(part)
                yield part

    async def over_async(self, content: Any) -> AsyncIterator[Any]:
        """The same, of an async iterator."""
        parts = aiter(content)
        with self._told():
            while True:
                with self._within():
                    part = await anext(parts, None)
                if part is None:
                    return
                self._keep(part)
                yield part

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say at the end what was sent; a client that goes away is no error."""
        error: BaseException | None = None
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._done(bytes(self._kept), error)

    @contextlib.contextmanager
    def _within(self) -> Iterator[None]:
        token = current.set(self._root)
        try:
            yield
        finally:
            leave(token)

    def _keep(self, part: Any) -> None:
        if len(self._kept) < MAX_BODY:
            data = part if isinstance(part, bytes) else str(part).encode()
            self._kept += data[: MAX_BODY - len(self._kept)]


class Iterated(Streaming):
    """The parts of a response that is iterated, and told when it is closed.

    Args:
        root: The job's span.
        content: The parts.
        done: Called as that of ``Streaming``; with None where it was closed before its end.
    """

    def __init__(self, root: Any, content: Any, done: Any) -> None:
        super().__init__(root, done)
        self._content = content
        self._parts: Iterator[Any] | None = None
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            with self._within():
                if self._parts is None:
                    self._parts = iter(self._content)
                part = next(self._parts)
        except StopIteration:
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._keep(part)
        return part

    def close(self) -> None:
        """Nobody asks for more."""
        close = getattr(self._content, "close", None)
        try:
            if close is not None:
                with self._within():
                    close()
        except BaseException as error:
            self._end(error)
            raise
        self._end(GeneratorExit())

    def _end(self, error: BaseException | None) -> None:
        if not self._ended:
            self._ended = True
            self._done(bytes(self._kept), error)


class SizedIterated(Iterated):
    """The same of parts of which a server asks how many they are."""

    def __len__(self) -> int:
        return len(self._content)
