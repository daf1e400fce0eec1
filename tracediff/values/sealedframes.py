"""What a replay gets for a frame with sealed columns whose library holds no stand-ins."""

from __future__ import annotations

from typing import Any

from tracediff.values.encode import encode
from tracediff.values.inert import inert
from tracediff.values.nodes import Record
from tracediff.values.placeholder import Placeholder, node_of


def stand_in(key: str, parts: Any) -> Placeholder:
    """One stand-in for the whole frame, which is written as the frame was.

    Args:
        key: The kind of library value, as "polars:sealed".
        parts: What was read of it: the names, the frame without the columns, and these.
    """
    base = {
        "names": parts["names"],
        "frame": inert(encode(parts["frame"])),
        "sealed": [[name, node_of(one)] for name, one in parts["sealed"]],
    }
    return Placeholder(Record(key, "library", base))
