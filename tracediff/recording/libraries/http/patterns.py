"""Entries of the setting ``inputs`` that say what reads: ``POST https://host/search*``."""

from __future__ import annotations

from fnmatch import fnmatchcase


def request_pattern(entry: str) -> tuple[bool, str, str] | None:
    """An entry of ``inputs`` that names requests: whether they read, their method and URLs."""
    method, _, pattern = entry.removeprefix("!").strip().partition(" ")
    if not pattern.strip() or not method.isupper():
        return None
    return not entry.startswith("!"), method, pattern.strip()


def operation_pattern(entry: str) -> tuple[bool, str] | None:
    """An entry that names operations of boto3: whether they read, and which they are."""
    library, _, pattern = entry.removeprefix("!").strip().partition(" ")
    if library != "boto3" or not pattern.strip():
        return None
    return not entry.startswith("!"), pattern.strip()


def matches(where: str, pattern: str) -> bool:
    """Whether a URL, with or without its scheme, is one that a pattern names."""
    return fnmatchcase(where, pattern) or fnmatchcase(where.partition("://")[2], pattern)
