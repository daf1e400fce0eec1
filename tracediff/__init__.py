"""Record, replay and diff calculations, down to the step that changed the number.

The names are loaded when the first of them is asked for: the command line needs none of them to
show its help or a list.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracediff.errors import TracediffError
    from tracediff.recording import (
        artifact,
        autotrace,
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
    "autotrace",
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


def __getattr__(name: str) -> object:
    """Load the public names and return one."""
    if name not in __all__:
        raise AttributeError(f"module 'tracediff' has no attribute {name!r}")
    from tracediff import errors, recording, values

    for one in __all__:
        home = next(place for place in (errors, recording, values) if hasattr(place, one))
        globals()[one] = getattr(home, one)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
