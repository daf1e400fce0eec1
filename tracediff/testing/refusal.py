"""Checking that something is refused in the way every driver must refuse it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tracediff.errors import StoreError


@contextlib.contextmanager
def refused(*slugs: str) -> Iterator[None]:
    """What happens inside must raise a StoreError with one of these slugs, a message and a hint."""
    try:
        yield
    except StoreError as error:
        if error.slug not in slugs:
            raise AssertionError(f"{error.slug} instead of {' or '.join(slugs)}") from error
        if not error.message or not error.hint:
            raise AssertionError(f"{error.slug} without a message or a hint") from error
        return
    raise AssertionError(f"nothing was refused; {' or '.join(slugs)} was expected")
