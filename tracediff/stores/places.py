"""Where the parts of a trace lie among blobs: the keys of segments and of large artifacts.

    <class>/segments/<name>.seg            whole traces, one frame each; see ``segments``
    <class>/artifacts/<name>/<sha256>      an artifact that is too large for its frame
    sources/…  dictionaries/…              what outlives every class

An artifact lies beside the segment that mentions it, so both expire together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tracediff.errors import StoreError
from tracediff.model import Artifact, Trace
from tracediff.stores.base import Blobs
from tracediff.stores.dictionaries import Dictionary
from tracediff.stores.failures import hurt
from tracediff.stores.packing import Packed, pack
from tracediff.stores.retention import is_class, retention_class

LARGE = 64 * 1024
"""Bytes of an artifact from which it lies beside its trace, not in it."""


def segment_key(kept: str, name: str) -> str:
    """The key of a segment; ``kept`` is its retention class."""
    return f"{kept}/segments/{name}"


def artifact_key(kept: str, name: str, sha256: str) -> str:
    """The key of an artifact that traces of the segment ``name`` mention."""
    return f"{kept}/artifacts/{name}/{sha256}"


@dataclass(frozen=True, slots=True)
class Group:
    """Traces of one retention class, packed, and their large artifacts by sha256."""

    packed: list[Packed] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)

    @property
    def frames(self) -> bytes:
        """The frames, one after the other."""
        return b"".join(one.frame for one in self.packed)

    @property
    def size(self) -> int:
        """The bytes of frames and artifacts."""
        return sum(len(one.frame) for one in self.packed) + sum(map(len, self.artifacts.values()))


def grouped(
    traces: Sequence[Trace], classes: Sequence[int], dictionary: Dictionary | None = None
) -> Mapping[str, Group]:
    """The traces by retention class, packed; of traces with one id the first.

    Raises:
        StoreError: ``row-invalid``: one of them no driver could keep.
    """
    first: dict[str, Trace] = {}
    for trace in traces:
        first.setdefault(trace.id, trace)
    groups: dict[str, Group] = {}
    for trace in first.values():
        light, large = without_large(trace)
        group = groups.setdefault(retention_class(trace.retention, classes), Group())
        group.packed.append(pack(light, dictionary=dictionary))
        group.artifacts.update(large)
    return groups


def without_large(trace: Trace) -> tuple[Trace, dict[str, bytes]]:
    """The trace without its large artifacts' bytes, and these by their sha256."""
    large = {
        one.sha256: one.data
        for one in trace.artifacts
        if one.data is not None
        and len(one.data) > LARGE
        and hashlib.sha256(one.data).hexdigest() == one.sha256
    }
    if not large:
        return trace, {}
    kept = tuple(replace(one, data=None) if one.sha256 in large else one for one in trace.artifacts)
    return replace(trace, artifacts=kept), large


def with_large(trace: Trace, segment: str, blobs: Blobs) -> Trace:
    """The trace with the bytes of its large artifacts, as far as they are still there.

    Args:
        trace: A trace as its frame holds it.
        segment: The key of the segment it lies in.
        blobs: Where both are.

    Raises:
        StoreError: ``trace-hurt``: an artifact is not what its trace says.
    """
    kept, _, name = segment.partition("/segments/")
    if not is_class(kept) or all(one.data is not None for one in trace.artifacts):
        return trace
    found = tuple(
        one if one.data is not None else _fetched(trace.id, one, kept, name, blobs)
        for one in trace.artifacts
    )
    return replace(trace, artifacts=found)


def _fetched(trace_id: str, artifact: Artifact, kept: str, name: str, blobs: Blobs) -> Artifact:
    try:
        data = blobs.get(artifact_key(kept, name, artifact.sha256))
    except StoreError as error:
        if error.slug in ("blob-missing", "blob-key-invalid"):
            return artifact
        raise
    if hashlib.sha256(data).hexdigest() != artifact.sha256:
        raise hurt(trace_id, f"its artifact {artifact.name[:80]!r} has other bytes")
    return replace(artifact, data=data)
