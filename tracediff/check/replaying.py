"""The process that replays for a check: ``python -m …replaying REQUESTS-TOLD-ON-STDIN``.

As ``expectations.warmworker`` it imports the jobs' modules, replays nothing itself, and forks a
*runner* that answers one request after the other. The runner makes way for a fresh one where it is
told to, and where a job left it other than it was: another working directory, a thread, a child, a
handler, more memory. A runner that ends is told of, by the request it was at; the one after goes
on with what is still in the pipe.

The runner compares as well, so that no trace leaves it. Sources that name a change it asks for.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

import xxhash

from tracediff import codec
from tracediff.check import page as pages
from tracediff.check.attributes import attributes_of
from tracediff.check.executed import Executed
from tracediff.check.frames import write_frame
from tracediff.check.judging import judged
from tracediff.check.page import Page
from tracediff.check.processes import Control, end_children
from tracediff.check.results import Work, pack_result
from tracediff.check.snapshot import (
    MOST_DESCRIPTORS,
    has_children,
    kept,
    lowest_descriptor,
    snapshot,
)
from tracediff.checked import Scalar
from tracediff.config import Config
from tracediff.errors import CodecError, TracediffError
from tracediff.expectations.warmworker import LARGE, ask_git_once, configured, ended, import_job
from tracediff.model import Trace
from tracediff.replay import replay_here
from tracediff.replay.bytecode import drop_stale_bytecode
from tracediff.replay.engine import put_on_path
from tracediff.replay.framing import receive
from tracediff.replay.placing import imports_placed, placed
from tracediff.stores.failures import hurt

LOST: Final = 77
"""The exit code of a process that cannot tell how far its requests were read."""
ROBBED: Final = 78
"""The exit code of a runner whose own files a job closed or replaced."""

MOST_SOURCES = 512
_DIED = "the job or a library ended the replay; run the job by itself to see why"


def main(reply: int, sources: int, status: int) -> None:
    """Answer requests until standard input ends."""
    requests = os.dup(0)
    for handle in (requests, reply, sources):
        os.set_inheritable(handle, False)
    page = Page(status)
    os.close(status)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    drop_stale_bytecode()
    with contextlib.suppress(EOFError, BrokenPipeError):  # who asks is gone: this ends too
        root, given, told, seal = receive(requests)
        moved = placed(os.environ, Path(root))
        with imports_placed(moved) if moved is not None else contextlib.nullcontext():
            config = configured(root, given)
            ask_git_once(config)
            put_on_path(config)
            pipes = _Pipes(requests, reply, sources, seal)
            _Parent(config, Work.unpacked(told), pipes, page).serve()


class _Pipes:
    """The ends that the process has of its pipes."""

    def __init__(self, requests: int, reply: int, sources: int, seal: bytes) -> None:
        self.requests, self.reply, self.sources = requests, reply, sources
        self._seal = seal

    def receive(self) -> Any:
        return receive(self.requests)

    def answer(self, message: list[Any]) -> None:
        write_frame(self.reply, self._seal, message)

    def source(self, path: str, blob: str) -> str | None:
        self.answer(["source", path, blob])
        found: str | None = receive(self.sources)
        return found

    @property
    def own(self) -> tuple[int, ...]:
        return self.requests, self.reply, self.sources


class _Parent:
    """Imports and forks."""

    def __init__(self, config: Config, work: Work, pipes: _Pipes, page: Page) -> None:
        self._config, self._work, self._pipes, self._page = config, work, pipes, page
        self._control = Control()
        self._control.adopt()
        self._modules = 0
        self._executed = Executed(config) if work.executed else None

    def serve(self) -> None:
        me = os.getpid()
        self._pipes.answer(["ready"])
        while True:
            self._page.write(me, 0, pages.READING)
            request = self._pipes.receive()
            if request is None:  # the next one is to be fresh, and is
                continue
            self._page.write(me, request[0], pages.IMPORTING)
            self._import(request)
            with contextlib.suppress(Exception):  # whatever an import put in their place
                sys.stdout.flush()
                sys.stderr.flush()
            child = os.fork()
            if not child:
                self._run(request)
            code = os.waitstatus_to_exitcode(ended(child, self._pipes.requests))
            end_children()
            doing = self._page.read()
            if doing.phase == pages.IDLE:
                continue
            if doing.phase == pages.READING:  # it may have read a part of what follows
                os._exit(LOST)
            self._pipes.answer(["ended", doing.serial, doing.fresh or doing.pid == me, code])

    def _import(self, request: list[Any]) -> None:
        if len(request[1]) > LARGE:  # reading it twice would cost more than the import
            return
        # What fails to import fails again in the replay, which says so.
        with contextlib.suppress(TracediffError), self._executed or contextlib.nullcontext():
            import_job(codec.load(request[1]), self._config)
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            gc.collect()
            gc.freeze()  # no runner looks through what it has of this process

    def _run(self, first: list[Any]) -> NoReturn:
        """Be a runner, and end as one."""
        code = 1
        try:
            self._control.adopt()
            self._control.die_with_parent()
            runner = _Runner(self._config, self._work, self._pipes, self._page, self._executed)
            code = runner.answer_all(first)
        except (EOFError, BrokenPipeError):
            code = LOST
        except OSError:  # the job closed what it reads from or answers to
            code = ROBBED
        finally:
            os._exit(code)


class _Runner:
    """Replays, judges and answers."""

    def __init__(
        self, config: Config, work: Work, pipes: _Pipes, page: Page, executed: Executed | None
    ) -> None:
        self._config, self._work, self._pipes, self._page = config, work, pipes, page
        self._executed = executed
        self._pid = os.getpid()
        self._sources: dict[tuple[str, str], str | None] = {}
        self._before = kept(snapshot(pipes.own))
        self._lowest = lowest_descriptor()
        self._memory = _peak()

    def answer_all(self, request: list[Any] | None) -> int:
        fresh = True
        while request is not None:
            serial, data, *more = request
            self._page.write(self._pid, serial, pages.REPLAYING, fresh=fresh)
            answer = self._answer(data, *more)
            self._end_child()
            state = snapshot(self._pipes.own)
            if state[-1][3:] != self._before[-1][3:]:
                return ROBBED
            used = state != self._before or self._has_grown()
            self._page.write(self._pid, serial, pages.ANSWERING, fresh=fresh)
            self._pipes.answer([answer[0], serial, fresh, *answer[1:]])
            if used:
                break
            self._page.write(self._pid, 0, pages.READING)
            request, fresh = self._pipes.receive(), False
        self._page.write(self._pid, 0, pages.IDLE)
        return 0

    def _has_grown(self) -> bool:
        """Whether something is left of the replays: children, open files, memory."""
        limit, peak = self._work.memory, _peak()
        return (
            has_children()
            or lowest_descriptor() > self._lowest + MOST_DESCRIPTORS
            or bool(limit and peak > limit / 2 and peak > self._memory * 1.25)
        )

    def _answer(
        self, data: bytes, name: str, signature: bytes, whole: bool, other: bytes | None
    ) -> list[Any]:
        try:
            recorded = _recorded(data, name)
            with self._executed or contextlib.nullcontext():
                new = replay_here(recorded, self._config)
            self._end_child()
            if whole:
                return ["whole", codec.dump(new)]
            old = recorded if other is None else codec.load(other)
            found = judged(old, new, self._work.rules, self._source)
            ran, units = self._executed.set() if self._executed is not None else ("", ())
            if found is None:
                return ["same", self._attributes(recorded, signature), ran, units]
            result = replace(
                found.result,
                id=recorded.id,
                key=recorded.key,
                meta=recorded.meta,
                size=len(recorded.steps),
                attributes=attributes_of(recorded, signature),
                ran=ran,
                units=units,
            )
            return ["changed", found.coded, pack_result(result)]
        except TracediffError as error:
            return ["failed", error.message, error.slug, error.hint or ""]
        except BaseException as error:  # noqa: BLE001 - a module or a factory runs any code
            said = f"the replay ended by {type(error).__name__}: {error}"[:1000]
            return ["failed", said, "replay-died", _DIED]

    def _end_child(self) -> None:
        """End here, if this is a child that the job forked and that ran to the job's end."""
        if os.getpid() != self._pid:
            os._exit(0)

    def _attributes(self, recorded: Trace, signature: bytes) -> Sequence[tuple[str, Scalar]]:
        """Those of some of the traces that are the same, told by their ids."""
        part = self._work.attributes
        if not part or xxhash.xxh3_64_intdigest(recorded.id.encode()) >= part * 2**64:
            return ()
        return attributes_of(recorded, signature)

    def _source(self, path: str, blob: str) -> str | None:
        known = self._sources
        if (path, blob) not in known:
            if len(known) >= MOST_SOURCES:
                known.clear()
            known[path, blob] = self._pipes.source(path, blob)
        return known[path, blob]


def _recorded(data: bytes, name: str) -> Trace:
    try:
        trace = codec.load(data)
    except CodecError as error:
        raise hurt(name, error.message) from error
    if trace.id != name:
        raise hurt(name, f"it holds trace {trace.id}")
    return trace


def _peak() -> int:
    """The most bytes of memory that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
