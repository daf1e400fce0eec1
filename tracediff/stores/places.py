"""Where the parts of a trace lie among blobs: the keys of segments and of large artifacts.

    <place>/segments/<name>.seg            whole traces, one frame each; see ``segments``
    <place>/artifacts/<name>/<sha256>      an artifact that is too large for its frame
    sources/…  dictionaries/…              what outlives every class

A place is a retention class or that of a tenant in it, ``<class>/tenants/<tenant>``; see
``tenants``. An artifact lies beside the segment that mentions it, so both expire together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tracediff.errors import StoreError
from tracediff.model import Artifact, Part, Row, Trace
from tracediff.stores.base import Blobs
from tracediff.stores.dictionaries import Dictionary
from tracediff.stores.encryption import NO_KEYS, EnvelopeError, Keyring
from tracediff.stores.encryption.envelope import is_envelope
from tracediff.stores.failures import hurt
from tracediff.stores.open_segment import SUFFIX
from tracediff.stores.packing import Packed, pack, pack_part
from tracediff.stores.retention import CLASSES, retention_class
from tracediff.stores.segments import Encrypt
from tracediff.stores.tenants import is_place, place_of, tenant_of

SEGMENTS = "segments"
LARGE = 64 * 1024
"""Bytes of an artifact from which it lies beside its trace, not in it."""


def segment_key(kept: str, name: str) -> str:
    """The key of a segment; ``kept`` is its place."""
    return f"{kept}/segments/{name}"


def artifact_key(kept: str, name: str, sha256: str) -> str:
    """The key of an artifact that traces of the segment ``name`` mention."""
    return f"{kept}/artifacts/{name}/{sha256}"


def original(name: str) -> str:
    """The name of the segment that this one was written anew from, by which its artifacts lie.

    ``gc`` copies what lives of ``A.seg`` to ``A~B.seg``, and leaves artifacts where they are.
    """
    stem, anew, _ = name.removesuffix(SUFFIX).partition("~")
    return stem + SUFFIX if anew else name


@dataclass(frozen=True, slots=True)
class Group:
    """Traces of one place, packed, and their large artifacts by sha256, as they are written.

    ``tombstones`` are frames that take others back.
    """

    packed: list[Packed] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    tombstones: list[bytes] = field(default_factory=list)

    @property
    def frames(self) -> bytes:
        """The frames, one after the other."""
        return b"".join((*(one.frame for one in self.packed), *self.tombstones))

    @property
    def size(self) -> int:
        """The bytes of frames and artifacts."""
        frames = (*(one.frame for one in self.packed), *self.tombstones)
        return sum(map(len, frames)) + sum(map(len, self.artifacts.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where traces go and how they are written.

    ``classes`` are the retention classes there are, in days; ``tenant`` is the context field that
    names the tenant, None where there are none.
    """

    classes: Sequence[int] = CLASSES
    tenant: str | None = None
    keyring: Keyring = NO_KEYS

    def tenant_of(self, trace: Trace | Row) -> str | None:
        """Whose trace it is."""
        return tenant_of(trace.context, self.tenant)

    def place(self, trace: Trace) -> str:
        """The place of its segment."""
        return place_of(retention_class(trace.retention, self.classes), self.tenant_of(trace))

    def local_place(self, trace: Trace) -> str:
        """The directory of its segment in a local store, which lets nothing expire by class."""
        return place_of(SEGMENTS, self.tenant_of(trace))

    def encrypting(self, trace: Trace) -> Encrypt | None:
        """What encrypts it, None where nothing is encrypted."""
        return self.keyring.encrypting(self.tenant_of(trace))

    def dictionary(self, trace: Trace, shared: Dictionary | None) -> Dictionary | None:
        """What it is compressed with: who has a tenant's key alone has no other's dictionary."""
        return None if self.keyring.has_own(self.tenant_of(trace)) else shared


def grouped(
    traces: Sequence[Trace], layout: Layout, dictionary: Dictionary | None = None
) -> Mapping[str, Group]:
    """The traces by place, packed and encrypted; of traces with one id the first.

    Raises:
        StoreError: ``row-invalid``: one of them no driver could keep; ``key-missing``,
            ``encryption-missing``: one of them cannot be encrypted.
    """
    first: dict[str, Trace] = {}
    for trace in traces:
        first.setdefault(trace.id, trace)
    groups: dict[str, Group] = {}
    for trace in first.values():
        light, group, encrypt = _light(trace, layout, groups)
        used = layout.dictionary(trace, dictionary)
        group.packed.append(pack(light, dictionary=used, encrypt=encrypt))
    return groups


def grouped_parts(
    parts: Sequence[Part], layout: Layout, dictionary: Dictionary | None = None
) -> Mapping[str, Group]:
    """The parts by place, packed and encrypted; of parts of one number the first.

    Raises:
        StoreError: As ``grouped`` does.
    """
    first: dict[tuple[str, int], Part] = {}
    for part in parts:
        first.setdefault((part.trace.id, part.number), part)
    groups: dict[str, Group] = {}
    for part in first.values():
        light, group, encrypt = _light(part.trace, layout, groups)
        used = layout.dictionary(part.trace, dictionary)
        packed = pack_part(replace(part, trace=light), dictionary=used, encrypt=encrypt)
        group.packed.append(packed)
    return groups


def _light(
    trace: Trace, layout: Layout, groups: dict[str, Group]
) -> tuple[Trace, Group, Encrypt | None]:
    """A trace without its large artifacts, and the group that it and they belong to."""
    light, large = without_large(trace)
    encrypt = layout.encrypting(trace)
    group = groups.setdefault(layout.place(trace), Group())
    for sha256, data in large.items():
        group.artifacts[sha256] = data if encrypt is None else encrypt(data, about_artifact(sha256))
    return light, group, encrypt


def about_artifact(sha256: str) -> bytes:
    """What an envelope says of the artifact in it: it may be moved to another segment."""
    return b"artifact " + sha256.encode("ascii")


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


def with_large(trace: Trace, segment: str, blobs: Blobs, keyring: Keyring = NO_KEYS) -> Trace:
    """The trace with the bytes of its large artifacts, as far as they are still there.

    Args:
        trace: A trace as its frame holds it.
        segment: The key of the segment it lies in.
        blobs: Where both are.
        keyring: Has the keys that they may be encrypted with.

    Raises:
        StoreError: ``trace-hurt``: an artifact is not what its trace says; ``key-missing``.
    """
    kept, _, name = segment.rpartition("/segments/")
    name = original(name)
    if not is_place(kept) or all(one.data is not None for one in trace.artifacts):
        return trace
    found = tuple(
        one
        if one.data is not None
        else _fetched(trace.id, one, artifact_key(kept, name, one.sha256), blobs, keyring)
        for one in trace.artifacts
    )
    return replace(trace, artifacts=found)


def _fetched(
    trace_id: str, artifact: Artifact, key: str, blobs: Blobs, keyring: Keyring
) -> Artifact:
    try:
        data = blobs.get(key)
    except StoreError as error:
        if error.slug in ("blob-missing", "blob-key-invalid"):
            return artifact
        raise
    whole = hashlib.sha256(data).hexdigest() == artifact.sha256
    if not whole and is_envelope(data):
        what = f"the artifact {artifact.name[:80]!r} of trace {trace_id}"
        try:
            data = keyring.decrypt(data, about_artifact(artifact.sha256), what)
        except EnvelopeError as error:
            raise hurt(trace_id, f"of its artifact {artifact.name[:80]!r}: {error}") from error
        whole = hashlib.sha256(data).hexdigest() == artifact.sha256
    if not whole:
        raise hurt(trace_id, f"its artifact {artifact.name[:80]!r} has other bytes")
    return replace(artifact, data=data)
