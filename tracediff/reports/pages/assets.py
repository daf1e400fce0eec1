"""The style and the scripts of the pages, by name: a server gives no other file."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from typing import Final

STYLE: Final = "tracediff.css"
VIEWER: Final = "viewer.js"
NAMES: Final = {
    STYLE: "text/css; charset=utf-8",
    VIEWER: "text/javascript; charset=utf-8",
    "following.js": "text/javascript; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
}
_JOINED: Final = {
    VIEWER: ("parts.js", "lines.js", "folding.js", "searching.js", "values.js", VIEWER),
    "following.js": ("growing.js", "following.js"),
}
"""What is one script for a browser and several files, each with one duty, in ``static``."""


@functools.cache
def asset(name: str) -> bytes:
    """Return one of ``NAMES``."""
    if name not in NAMES:
        raise KeyError(name)
    static = files("tracediff.reports.pages").joinpath("static")
    return b"\n".join(static.joinpath(one).read_bytes() for one in _JOINED.get(name, (name,)))


def read_all() -> None:
    """Read every asset now, for the same reason as templates are."""
    for name in NAMES:
        asset(name)


@functools.cache
def version(name: str) -> str:
    """A short digest of an asset, which makes its address another one when it changes."""
    return hashlib.sha256(asset(name)).hexdigest()[:16]


def policy_hash(text: str) -> str:
    """How a content-security policy names an inline style or script."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
