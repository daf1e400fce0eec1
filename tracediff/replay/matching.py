"""Answering a replay's inputs and outputs from a recording.

A call is served by (kind, name, identity, nth occurrence of that). The place in the tree only
reports *moved*. An output is never executed: one with other arguments gets the recorded result of
the next output of its name. Nothing is ever matched by time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from tracediff import runtime, values
from tracediff.errors import CodecError, ReplayError
from tracediff.model import Miss, ReplayInfo, Step, Trace, Value
from tracediff.replay.addresses import without_server
from tracediff.replay.errors import rebuild
from tracediff.replay.unkept import holds
from tracediff.replay.whatif import Answers, WhatIf
from tracediff.reports.paths import names
from tracediff.runtime import Call, ReplayAbort, Served

_T = TypeVar("_T")

OnMiss = Literal["fail", "nearest", "stub", "live"]
NEAREST = 3
AMBIENT = frozenset({"now", "random", "uuid4"})
"""The inputs that answer for the clock and for randomness."""

_ANSWERED = frozenset({"input", "output"})


class RecordedServer:
    """Serves one trace's recording. Thread-safe.

    Args:
        trace: The recording.
        allow: The classes that may be rebuilt.
        on_miss: What to do about an input that was not recorded.
        what_ifs: Calls to answer otherwise.
    """

    def __init__(
        self,
        trace: Trace,
        allow: values.Allow,
        on_miss: OnMiss = "fail",
        what_ifs: Sequence[WhatIf] = (),
    ) -> None:
        self._trace = trace
        self._allow = allow
        self._on_miss = on_miss
        self._answers = Answers(trace, what_ifs)
        self.steps = self._answers.steps
        self._lock = threading.RLock()  # a miss may end in the nearest recording's answer
        self._waiting: dict[tuple[str, str, bytes], deque[int]] = {}
        self._paths: dict[int, tuple[str, ...]] = {}
        self._inside: dict[int, list[int]] = {}
        self._passed: dict[int, str] = {}  # by kind of the call that was answered around it
        for index, step in enumerate(trace.steps):
            kind = step.kind
            if kind == "input" or kind == "output":  # noqa: PLR1714 - sooner; most are neither
                self._paths[index] = names(trace.steps, index)[:-1]
                self._note_nesting(index)
            elif kind != "step" or step.name not in self.steps:
                continue
            key = (kind, step.name, recorded_identity(step))
            self._waiting.setdefault(key, deque()).append(index)
        self._served: list[tuple[int, int]] = []
        self._moved: list[int] = []
        self._misses: list[Miss] = []
        self._notes: list[str] = []
        self._unkept: set[int] = set()
        self._elsewhere: set[int] = set()  # what was asked of another server than recorded
        self._reduced: dict[str, dict[bytes, Any]] = {}
        self._hint = _IMPORTING
        self.begun = False
        self._live: list[Any] = []  # spans of the inputs that run for real

    def serve(self, call: Call) -> Served:
        """The recorded answer; raises ReplayAbort when there is none and the replay must fail."""
        with self._lock:
            what_if, index = self._answers.choose(call, self._take(call))
            if index is not None:
                self._served.append((index, call.step))
                self._note_server(index, call)
                # Its body does not run, so nobody asks for what it asked for.
                self._passed.update(dict.fromkeys(self._inside.get(index, ()), call.kind))
                if self._paths.get(index, call.path) != call.path:
                    self._moved.append(index)
            if what_if is not None and what_if.value is not None:
                data = what_if.value.data
                return Served(result=values.live(data, self._allow), data=data)
            if index is None:
                return Served(live=True) if call.kind == "step" else self._missed(call)
        return self._answer(index, call)

    def recorded(self, name: str) -> Sequence[bytes]:
        """The canonical arguments of the recorded inputs of this name."""
        return [
            step.args.data
            for step in self._trace.steps
            if step.kind == "input" and step.name == name and step.args is not None
        ]

    def begin(self) -> None:
        """The job starts; before that, its modules are imported."""
        self._hint = _OUTSIDE
        self.begun = True

    def refuse(self, kind: str, name: str) -> None:
        """Raise: an input or output was reached outside the replayed job's context."""
        live = kind != "output" and self._on_miss == "live"
        with self._lock:
            self._misses.append(
                Miss(
                    kind="output" if kind == "output" else "input",
                    name=name,
                    args=None,
                    path=(),
                    hint=self._hint,
                    served="live" if live else "failed",
                )
            )
        if not live:
            message = f"the {kind} {name!r} was reached outside the replayed job"
            raise ReplayAbort(message, slug="outside-replay", hint=self._hint)

    def reading(self) -> bool:
        """Whether the code that runs here is that of an input which runs for real.

        A thread without a context, as asyncio looks names up in, counts while any such input runs.
        """
        with self._lock:
            self._live = [span for span in self._live if not span.end]
            running = list(self._live)
        here = runtime.current.get()
        if here is None:
            return bool(running)
        while here is not None and here not in running:
            here = here.parent
        return here is not None

    def used(self, node: object, error: ReplayError) -> ReplayAbort:
        """What to raise where the job uses a value that was not kept; noted as ``serve`` does."""
        with self._lock:
            given = [0, *(index for index, _ in self._served)]
            index = next((one for one in reversed(given) if self._gave(one, node)), 0)
            if index not in self._unkept:
                self._unkept.add(index)
                step = self._trace.steps[index]
                self._misses.append(
                    Miss(
                        kind=step.kind,
                        name=step.name,
                        args=step.args,
                        path=names(self._trace.steps, index)[:-1],
                        hint=f"no exact recording of {_type(node)}: {error.hint}",
                    )
                )
        return ReplayAbort(error.message, slug=error.slug, hint=error.hint)

    def _note_server(self, index: int, call: Call) -> None:
        """Say where a call asked another server than the recorded one did."""
        recorded = recorded_identity(self._trace.steps[index])
        if call.url is None or call.kind != "input" or recorded == values.identity(call.identity):
            return
        old, new = (without_server(one, call.url) for one in (recorded, call.identity))
        if old is None or new is None or old[0] != new[0] or old[1] == new[1]:
            return
        self._elsewhere.add(index)
        said = f"{call.name}: recorded at {old[1]}, asked at {new[1]}"
        if said not in self._notes:
            self._notes.append(said)

    def _gave(self, index: int, node: object) -> bool:
        step = self._trace.steps[index]
        return holds(step.result if index else step.args, node)

    def notes(self) -> list[str]:
        """What the new trace has to say about its answers: what-ifs, values nobody recorded."""
        with self._lock:
            return [*self._answers.said(), *self._notes]

    def info(self) -> ReplayInfo:
        """How the calls were answered, and what nobody asked for."""
        done = {index for index, _ in self._served}
        return ReplayInfo(
            of=self._trace.id,
            served=tuple(self._served),
            misses=tuple(self._misses),
            unused=tuple(
                index
                for index in self._paths
                if index not in done and self._passed.get(index, "step") == "step"
            ),
            moved=tuple(self._moved),
        )

    def _take(self, call: Call) -> int | None:
        """The next recording of this call; for an output, of one with its name at the least."""
        waiting = self._waiting.get((call.kind, call.name, values.identity(call.identity)))
        if waiting and self._is_left(waiting):
            return waiting.popleft()
        others = self._with_other_secrets(call) or self._at_another_server(call)
        if not others and call.kind == "output":
            others = [line for _, line in self._left(call)]
        return min(others, key=lambda line: line[0]).popleft() if others else None

    def _with_other_secrets(self, call: Call) -> list[deque[int]]:
        """Recordings of this call with other secrets, or with secrets sealed by another key."""
        asked = values.without_secrets(call.identity)
        if asked is None:
            return []
        alike = self._alike("", values.without_secrets)
        return [line for one, line in self._left(call) if alike(one) == asked]

    def _at_another_server(self, call: Call) -> list[deque[int]]:
        """Recordings of this call where it asked another server for the same."""
        url = call.url
        asked = None if url is None or call.kind != "input" else without_server(call.identity, url)
        if asked is None or url is None:
            return []
        alike = self._alike(url, lambda identity: without_server(identity, url))
        return [
            line
            for one, line in self._left(call)
            if (found := alike(one)) is not None and found[0] == asked[0]
        ]

    def _alike(self, what: str, reduced: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
        """A function of identities that reads each recorded one once, however many calls ask."""
        known = self._reduced.setdefault(what, {})

        def look(identity: bytes) -> _T:
            if identity not in known:
                known[identity] = reduced(identity)
            found: _T = known[identity]
            return found

        return look

    def _left(self, call: Call) -> list[tuple[bytes, deque[int]]]:
        """The recordings of calls of this name that are left, with the identity of each."""
        return [
            (identity, line)
            for (kind, name, identity), line in self._waiting.items()
            if kind == call.kind and name == call.name and self._is_left(line)
        ]

    def _is_left(self, line: deque[int]) -> bool:
        """Whether a recording is left to serve, which is then the line's first."""
        while line and line[0] in self._passed:
            line.popleft()
        return bool(line)

    def _note_nesting(self, index: int) -> None:
        steps = self._trace.steps
        outer = steps[index].parent
        while outer > 0:
            if steps[outer].kind in _ANSWERED or steps[outer].name in self.steps:
                self._inside.setdefault(outer, []).append(index)
            outer = steps[outer].parent

    def _answer(self, index: int, call: Call) -> Served:
        step = self._trace.steps[index]
        error = None if step.error is None else rebuild(step.error, self._allow)
        args = step.args.data if index in self._elsewhere and step.args is not None else None
        if step.result is None:
            return Served(data=values.encode(None), error=error, args=args)
        try:
            result = values.live(step.result, self._allow)
            return Served(result=result, data=step.result.data, error=error, args=args)
        except (CodecError, ReplayError) as error:
            message = f"the recorded result of {call.name!r} cannot be rebuilt: {error.message}"
            with self._lock:
                self._misses.append(
                    Miss(kind=step.kind, name=call.name, args=Value(call.args), path=call.path,
                         hint=f"{error.message}; {error.hint}")
                )  # fmt: skip
            raise ReplayAbort(message, slug=error.slug, hint=error.hint) from None

    def _missed(self, call: Call) -> Served:
        """No recording answers. The miss is noted, so that swallowing the abort hides nothing."""
        if call.kind == "output":
            return Served(data=values.encode(None))
        if call.name in AMBIENT and not self._recorded(call.name):
            self._notes.append(
                f"{call.name!r} was asked for but not recorded: answered by the clock"
            )
            return Served(live=True)
        from tracediff.compare import value_changes  # most replays miss nothing

        nearest = self._nearest(call)
        said = {"fail": "failed", "nearest": "nearest", "stub": "stub", "live": "live"}
        how = "failed" if self._on_miss == "nearest" and not nearest else said[self._on_miss]
        self._misses.append(
            Miss(
                kind="input",
                name=call.name,
                args=Value(call.args),
                path=call.path,
                nearest=tuple(
                    (index, value_changes(self._trace.steps[index].args, Value(call.args)))
                    for index in nearest
                ),
                hint=_hint(self._trace, call, nearest),
                served=how,  # type: ignore[arg-type]  # of the four words above
            )
        )
        if how == "live":
            here = runtime.current.get()
            if here is not None:
                self._live.append(here.buffer.spans[call.step])
            return Served(live=True)
        if how == "stub":
            return Served(data=values.encode(None))
        if how == "nearest":
            return self._answer(nearest[0], call)
        why = "was called with arguments that were not recorded" if nearest else "was not recorded"
        raise ReplayAbort(
            f"the input {call.name!r} {why}",
            slug="input-not-recorded",
            hint=_hint(self._trace, call, nearest),
        )

    def _recorded(self, name: str) -> bool:
        return any(line for (_, other, _), line in self._waiting.items() if other == name)

    def _nearest(self, call: Call) -> list[int]:
        """Recorded calls of this name, those with the fewest differing arguments first."""
        from tracediff.compare import value_changes  # as above

        same = [
            index
            for index in self._paths
            if (step := self._trace.steps[index]).kind == "input" and step.name == call.name
        ][:50]
        asked = Value(call.args)
        return sorted(
            same, key=lambda index: len(value_changes(self._trace.steps[index].args, asked))
        )[:NEAREST]


def _type(node: object) -> str:
    return str(getattr(node, "type", "it")).removeprefix("builtins:").replace(":", ".")


_IMPORTING = "call it in the job, not while its module is imported"
_OUTSIDE = "carry the context into threads with tracediff.propagate"


def recorded_identity(step: Step) -> bytes:
    """What tells a recorded call from others of its name, as ``Call.identity`` does."""
    value = step.key if step.key is not None else step.args
    return values.identity(value.data if value is not None else values.encode({}))


def _hint(trace: Trace, call: Call, nearest: list[int]) -> str:
    if not nearest:
        return "the recording has no call of this name: record the job again, or use --on-miss stub"
    exact = any(trace.steps[index].args == Value(call.args) for index in nearest)
    if exact:
        return (
            "it was called more often than recorded; is a cache around the input? "
            "@td.input goes outside of it"
        )
    return "the nearest recording is shown; --on-miss nearest serves it"
