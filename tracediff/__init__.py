"""Record, replay and diff calculations, down to the step that changed the number."""

from tracediff.errors import TracediffError
from tracediff.recording import (
    artifact,
    configure,
    fail,
    flush,
    ignore,
    input,
    job,
    note,
    now,
    output,
    propagate,
    random,
    step,
    tag,
    uuid4,
    warn,
)
from tracediff.values import register

__version__ = "0.1.0"

__all__ = [
    "TracediffError",
    "artifact",
    "configure",
    "fail",
    "flush",
    "ignore",
    "input",
    "job",
    "note",
    "now",
    "output",
    "propagate",
    "random",
    "register",
    "step",
    "tag",
    "uuid4",
    "warn",
]
