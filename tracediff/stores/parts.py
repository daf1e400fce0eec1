"""A live trace as its store keeps it: parts, which are put together when it is read.

Each part has the steps that are new or have changed since the part before, and says at which places
of the whole trace they are. Of steps at one place the last part's counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from tracediff import codec
from tracediff.errors import StoreError
from tracediff.model import Part, Row, Step, Trace
from tracediff.stores.dictionaries import Dictionaries
from tracediff.stores.encryption import NO_KEYS, Keyring
from tracediff.stores.failures import blob_missing, hurt, trace_gone
from tracediff.stores.packing import unpack_part
from tracediff.stores.ranges import Readable, read_frames
from tracediff.stores.rows import has_ended
from tracediff.stores.segments import MAX_BYTES

Place = tuple[int, tuple[str, int, int]]
"""The number of a part and where its frame is."""

OF_A_PART = ("trace-gone", "trace-hurt")
"""What is wrong with one part alone."""


def assembled(parts: Sequence[Part], row: Row | None = None) -> Trace:
    """The trace of these parts, at least one, in any order.

    Of a trace that has ended each part must be there and all must fit together. One that runs or
    is lost is put together from what there is, and a warning on it says what is missing.

    Args:
        parts: The parts that could be read.
        row: What the index says: how many parts there are and whether the trace has ended. By
            default, what the last part says.

    Raises:
        StoreError: ``trace-hurt``: no trace comes of them.
    """
    by_number = {part.number: part for part in parts}
    ordered = [by_number[number] for number in sorted(by_number)]
    last = ordered[-1].trace
    row = row or ordered[-1].row
    if any(part.trace.id != last.id for part in ordered):
        raise hurt(last.id, "its parts are of several traces")
    count = max(row.parts, ordered[-1].number + 1)
    warnings = list(last.warnings)
    if len(ordered) < count:
        text = _missing(by_number, count)
        if has_ended(row):
            raise hurt(last.id, text)
        warnings.append(f"this trace is not whole: {text}")
    steps = _steps(last.id, ordered, whole=len(ordered) == count)
    return replace(
        last,
        steps=steps,
        artifacts=tuple(one for part in ordered for one in part.trace.artifacts),
        warnings=tuple(warnings),
        state="lost" if (row.state, last.state) == ("lost", "running") else last.state,
    )


def _missing(there: Iterable[int], count: int) -> str:
    known = set(there)
    first = next(number for number in range(count) if number not in known)
    others = count - len(known) - 1
    also = "" if not others else f" and {others:,} more"
    return f"its part {first}{also} of {count:,} cannot be read"


def _steps(trace_id: str, ordered: Sequence[Part], *, whole: bool) -> tuple[Step, ...]:
    """The steps in the order of their places.

    Where parts are missing, the steps below those that are missing with them come below the job.
    """
    by_place: dict[int, Step] = {}
    for part in ordered:
        by_place.update(zip(part.places, part.trace.steps, strict=True))
    for place in {place for part in ordered for place in part.concurrent}:
        if place in by_place:
            by_place[place] = replace(by_place[place], concurrent=True)
    places = sorted(by_place)
    if places and places[0] != 0:
        raise hurt(trace_id, "its job is missing")
    at = {place: index for index, place in enumerate(places)}
    steps = []
    for place in places:
        step = by_place[place]
        parent = step.parent if step.parent < 0 else at.get(step.parent, -1 if whole else 0)
        if not -1 <= step.parent < place or (parent < 0 <= step.parent):
            raise hurt(trace_id, f"step {place} lies below step {step.parent}")
        steps.append(step if parent == step.parent else replace(step, parent=parent))
    return tuple(steps)


def read_parts(
    blobs: Readable,
    row: Row,
    places: Iterable[Place],
    *,
    max_bytes: int = MAX_BYTES,
    dictionaries: Dictionaries | None = None,
    keyring: Keyring = NO_KEYS,
    completed: Callable[[Trace, str], Trace] = lambda trace, blob: trace,
) -> Iterator[Part | StoreError]:
    """The parts at these places, or what is wrong with one; in the order of the blobs.

    Args:
        blobs: Where they are.
        row: The trace's.
        places: Which parts.
        max_bytes: What all of them may decompress to.
        dictionaries: Where the dictionaries are that they were compressed with.
        keyring: The keys that they may be encrypted with.
        completed: Gives a part's trace what lies beside its segment.

    Raises:
        StoreError: The store is at fault, or it is too much.
    """
    rows = [replace(row, parts=number + 1, location=place) for number, place in places]
    left = max_bytes
    for one, data in read_frames(blobs, rows):
        if isinstance(data, StoreError):
            yield data
            continue
        try:
            part, size = unpack_part(
                data,
                row.id,
                one.parts - 1,
                max_bytes=left,
                dictionaries=dictionaries,
                keyring=keyring,
            )
            left -= size
            yield replace(part, trace=completed(part.trace, one.location[0]))
        except StoreError as error:
            if error.slug not in OF_A_PART:
                raise
            yield error


def load_live(row: Row, found: Iterable[Part | StoreError]) -> Trace:
    """The trace of a live trace's parts as ``read_parts`` gives them.

    Raises:
        StoreError: ``trace-gone`` or ``trace-hurt``.
    """
    parts: list[Part] = []
    problem: StoreError | None = None
    for one in found:
        if isinstance(one, StoreError):
            problem = problem or one
        else:
            parts.append(one)
    if problem is not None and (not parts or has_ended(row)):
        raise problem
    if not parts:
        raise trace_gone(row.id, blob_missing(f"of the parts of {row.id}"))
    return assembled(parts, row)


def with_live(
    rows: Sequence[Row],
    frames: Callable[[Sequence[Row]], Iterator[tuple[Row, bytes | StoreError]]],
    load: Callable[[Row], Trace],
) -> Iterator[tuple[Row, bytes | StoreError]]:
    """Each row with its trace as ``codec.dump`` gives it, or why there is none.

    Args:
        rows: The rows.
        frames: Gives it of those that were written at once.
        load: Puts together one that was written in parts.
    """
    yield from frames([row for row in rows if not row.parts])
    for row in rows:
        if row.parts:
            try:
                data: bytes | StoreError = codec.dump(load(row))
            except StoreError as error:
                if not error.slug.startswith("trace-"):
                    raise
                data = error
            yield row, data


def in_order(found: Iterable[Part | StoreError]) -> list[Part]:
    """The parts that could be read, by number."""
    return sorted((one for one in found if isinstance(one, Part)), key=lambda part: part.number)
