"""What a listing of blobs tells of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A blob: its bytes, and the seconds since it was last written, by the store's own account."""

    key: str
    size: int
    age: float
