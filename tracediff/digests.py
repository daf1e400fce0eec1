"""Digests of steps and traces: equal exactly when what they cover is equal.

All are xxh3-128: for comparison, never for trust. A digest covers fields framed by their length, so
that no two lists of fields run into each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ormsgpack import packb
from xxhash import xxh3_128_digest

from tracediff.model import ErrorInfo, Row, Step, Trace, Value


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
    loose.sort()
    head = packb(
        [
            _data(job.args),
            _data(job.result),
            job.error and _error(job.error),
            trace.state,
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
    steps = trace.steps
    paths: list[bytes] = []
    for step in steps:
        above = paths[step.parent] if 0 <= step.parent < len(paths) else b""
        paths.append(xxh3_128_digest(above + _name(f"{step.kind}:{step.name}")))
    return xxh3_128_digest(b"".join(sorted(set(paths))))


def row(trace: Trace, location: tuple[str, int, int] = ("", 0, 0)) -> Row:
    """What an index keeps of a trace whose bytes are at ``location``."""
    error = trace.steps[0].error if trace.steps else None
    return Row(
        id=trace.id,
        key=trace.key,
        state=trace.state,
        started_at=trace.started_at,
        duration=trace.duration,
        steps=len(trace.steps),
        tags=trace.tags,
        meta=trace.meta,
        context=trace.context,
        depth=trace.depth,
        job=trace.job,
        outcome=outcome_digest(trace),
        path_signature=path_signature(trace),
        commit=trace.code.commit,
        error=error.type if error is not None else None,
        expires_at=_expires_at(trace),
        location=location,
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
