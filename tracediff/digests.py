"""Digests of steps and traces: equal exactly when what they cover is equal.

All are xxh3-128: for comparison, never for trust. A digest covers fields framed by their length, so
that no two lists of fields run into each other.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ormsgpack import packb
from xxhash import xxh3_128_digest

from tracediff.model import ErrorInfo, Kind, Row, State, Step, Trace, Value


def step_digest(step: Step) -> bytes:
    """Name, kind, key, arguments, result, state and error; neither time nor source."""
    args, key, result, error = step.args, step.key, step.result, step.error
    fields = (
        step.name.encode("utf-8", "surrogatepass"),
        step.kind,
        step.state,
        None if args is None else args.data,
        None if key is None else key.data,
        None if result is None else result.data,
        None if error is None else _error(error),
    )
    return xxh3_128_digest(packb(fields))


def outcome_digest(trace: Trace) -> bytes:
    """What the job was given, what it read, what it wrote and what came of it.

    The same at every depth of capture. Inputs and outputs count in their order; those that a
    scheduler ordered (and all below them) count as a multiset.
    """
    steps = trace.steps
    if not steps:
        return xxh3_128_digest(b"")
    job = steps[0]
    ordered: list[bytes] = []
    loose: list[bytes] = []
    floating: list[bool] = []
    for index, step in enumerate(steps):
        parent = step.parent
        floats = step.concurrent or (0 <= parent < index and floating[parent])
        floating.append(floats)
        if index and step.kind in _OUTSIDE:
            (loose if floats else ordered).append(_outside(step))
    return _outcome(job, trace.state, ordered, loose)


def _outcome(job: Step, state: State, ordered: list[bytes], loose: list[bytes]) -> bytes:
    loose.sort()
    head = packb(
        [
            _data(job.args),
            _data(job.result),
            job.error and _error(job.error),
            state,
        ]
    )
    return xxh3_128_digest(packb([head, ordered, loose]))


def subtree_digests(trace: Trace) -> tuple[bytes, ...]:
    """One digest a step, over the step and all below it (Merkle).

    Concurrent siblings count as a multiset, the others in their order: a scheduler chose how the
    two interleave.
    """
    steps = trace.steps
    children: list[list[int]] = [[] for _ in steps]
    for index, step in enumerate(steps):
        if index and 0 <= step.parent < index:
            children[step.parent].append(index)
    digests = [b""] * len(steps)
    for index in range(len(steps) - 1, -1, -1):
        below = children[index]
        digests[index] = (
            subtree_digest(steps, index, below, digests) if below else leaf_digest(steps[index])
        )
    return tuple(digests)


def leaf_digest(step: Step) -> bytes:
    """The digest of a subtree that is one step."""
    return xxh3_128_digest(_LEAF_HEAD + step_digest(step) + _LEAF_TAIL)


def subtree_digest(
    steps: Sequence[Step], index: int, children: Sequence[int], digests: Any
) -> bytes:
    """The digest of one subtree, from those of its children, which are looked up by their index."""
    ordered = [digests[child] for child in children if not steps[child].concurrent]
    loose = sorted(digests[child] for child in children if steps[child].concurrent)
    return xxh3_128_digest(packb([step_digest(steps[index]), ordered, loose]))


def tree_digest(trace: Trace) -> bytes:
    """Every step, every note and every artifact; compared only between traces of equal depth."""
    subtrees = subtree_digests(trace)
    artifacts = sorted(
        packb([_name(one.name), one.sha256, one.size, one.media_type]) for one in trace.artifacts
    )
    return xxh3_128_digest(packb([subtrees[0] if subtrees else b"", trace.state, artifacts]))


def path_signature(trace: Trace) -> bytes:
    """Which steps ran, by name and nesting, whatever they computed and however often.

    Two traces with equal signatures took the same path through the job.
    """
    paths: list[bytes] = []
    for step in trace.steps:
        above = paths[step.parent] if 0 <= step.parent < len(paths) else b""
        paths.append(step_path(above, step.kind, step.name))
    return _signature(paths)


def step_path(above: bytes, kind: Kind, name: str) -> bytes:
    """What stands for a step's place below others, whose own such is ``above``."""
    return xxh3_128_digest(above + _name(f"{kind}:{name}"))


def _signature(paths: Iterable[bytes]) -> bytes:
    return xxh3_128_digest(b"".join(sorted(set(paths))))


class GrowingDigests:
    """The outcome digest and the path signature of a trace whose steps come a few at a time.

    They are those of the whole trace, and little is kept for them of a step: the place of its
    parent, whether it is concurrent, and of an input or output a digest.
    """

    __slots__ = ("_digests", "_loose", "_parents", "_paths", "_places")

    def __init__(self) -> None:
        self._parents = array("i")
        self._loose = bytearray()
        self._paths: set[bytes] = set()
        self._places = array("i")
        self._digests = bytearray()

    def __len__(self) -> int:
        return len(self._parents)

    def place(self, parent: int) -> int:
        """The next place, for a step below that of this place."""
        self._parents.append(parent)
        self._loose.append(0)
        return len(self._loose) - 1

    def path(self, above: bytes, kind: Kind, name: str) -> bytes:
        """Take in where a step runs; gives its own ``step_path``."""
        found = step_path(above, kind, name)
        self._paths.add(found)
        return found

    def loosen(self, place: int) -> bool:
        """A scheduler ordered this step; whether that is news."""
        before = self._loose[place]
        self._loose[place] = 1
        return not before

    def settle(self, place: int, step: Step) -> None:
        """Take in a step of which nothing changes any more, once."""
        if place and step.kind in _OUTSIDE:
            self._places.append(place)
            self._digests += _outside(step)

    def outcome(self, job: Step, state: State) -> bytes:
        """The outcome digest, when all steps are settled."""
        floating = bytearray(self._loose)
        if any(floating):
            for place, parent in enumerate(self._parents):
                if parent >= 0 and floating[parent]:
                    floating[place] = 1
        ordered: list[bytes] = []
        loose: list[bytes] = []
        for at in sorted(range(len(self._places)), key=self._places.__getitem__):
            digest = bytes(self._digests[16 * at : 16 * at + 16])
            (loose if floating[self._places[at]] else ordered).append(digest)
        return _outcome(job, state, ordered, loose)

    def path_signature(self) -> bytes:
        """The path signature, when the last step has opened."""
        return _signature(self._paths)


def row(trace: Trace, location: tuple[str, int, int] = ("", 0, 0)) -> Row:
    """What an index keeps of a trace whose bytes are at ``location``."""
    return _row(
        trace,
        trace.steps[0].error if trace.steps else None,
        steps=len(trace.steps),
        outcome=outcome_digest(trace),
        path_signature=path_signature(trace),
        location=location,
    )


def part_row(trace: Trace, digests: GrowingDigests, steps: int, parts: int) -> Row:
    """What an index keeps of a live trace after so many steps and parts.

    What comes of it and which path it took are said at its end; the same then as by ``row``.

    Args:
        trace: What is known of it now; when it has ended, its first step is the job's.
        digests: Those of all its steps.
        steps: Their number.
        parts: That of the parts.
    """
    runs = trace.state == "running"
    return _row(
        trace,
        None if runs else trace.steps[0].error,
        steps=steps,
        outcome=b"" if runs else digests.outcome(trace.steps[0], trace.state),
        path_signature=b"" if runs else digests.path_signature(),
        parts=parts,
    )


def _row(trace: Trace, error: ErrorInfo | None, **more: Any) -> Row:
    return Row(
        id=trace.id,
        key=trace.key,
        state=trace.state,
        started_at=trace.started_at,
        duration=trace.duration,
        tags=trace.tags,
        meta=trace.meta,
        context=trace.context,
        depth=trace.depth,
        job=trace.job,
        commit=trace.code.commit,
        error=error.type if error is not None else None,
        expires_at=_expires_at(trace),
        **more,
    )


_DAY: Final = 86_400 * 10**9
_LEAF_HEAD, _LEAF_TAIL = packb([bytes(16), [], []]).split(bytes(16))
"""What ``packb`` puts around the digest of a step that nothing is below of."""
_OUTSIDE: Final = frozenset({"input", "output"})


def _expires_at(trace: Trace) -> int | None:
    """Retention is in days from the start."""
    return None if trace.retention is None else trace.started_at + trace.retention * _DAY


def _data(value: Value | None) -> bytes | None:
    return value.data if value is not None else None


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _error(error: ErrorInfo) -> list[object]:
    return [_name(error.type), _name(error.message)]


def _outside(step: Step) -> bytes:
    """An input counts with what it answered, an output with what it was given."""
    answer = step.kind == "input"
    return xxh3_128_digest(
        packb(
            [
                step.kind,
                _name(step.name),
                _data(step.key),
                _data(step.args),
                _data(step.result) if answer else None,
                step.error and _error(step.error),
                step.state,
            ]
        )
    )
