"""The errors tracediff raises, all under one root.

    TracediffError
    ├── ConfigError       a setting that cannot be used
    ├── TraceReferenceError  a reference that names no trace, or several
    ├── StoreError        a store that cannot be opened, read or written
    ├── CodecError        bytes that are not a trace, or a value that cannot be read
    ├── ReplayError       a trace that cannot be run again
    ├── RecordingError    a recorder used wrongly; raised only with ``strict`` recording
    ├── ExpectationError  what tests expect: files of it, results that wait for a decision
    ├── DemoError         an example that cannot be laid out
    └── UsageError        a command line that cannot be understood

Every error says what failed and on what (the message), what to do about it (the hint) and carries
a slug that ``docs/errors.md`` explains. A divergence is a result, never an error.
"""

from __future__ import annotations


class TracediffError(Exception):
    """Something tracediff could not do.

    Args:
        message: What failed and on what, one sentence without a final full stop.
        slug: The stable name of this error, explained in ``docs/errors.md``.
        hint: What the user can do about it, or None.
    """

    def __init__(self, message: str, *, slug: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.slug = slug
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.slug, self.hint))


def _rebuild(
    kind: type[TracediffError], message: str, slug: str, hint: str | None
) -> TracediffError:
    return kind(message, slug=slug, hint=hint)


class ConfigError(TracediffError):
    """A setting that cannot be used."""


class TraceReferenceError(TracediffError):
    """A reference that names no trace, or several."""


class StoreError(TracediffError):
    """A store that cannot be opened, read or written."""


class CodecError(TracediffError):
    """Bytes that are not a trace, or a value that cannot be read."""


class ReplayError(TracediffError):
    """A trace that cannot be run again."""


class RecordingError(TracediffError):
    """A recorder that is used wrongly; raised only by strict recording."""


class ExpectationError(TracediffError):
    """What tests expect, and the results that wait for a decision, cannot be used as asked."""


class DemoError(TracediffError):
    """An example that cannot be laid out."""


class UsageError(TracediffError):
    """A command line that cannot be understood."""
