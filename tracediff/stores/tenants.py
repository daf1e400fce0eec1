"""Tenants: whose trace it is, by a field of its context, and where theirs lie.

A *place* is where segments and artifacts of one kind lie among blobs: a retention class such as
``30d``, or ``30d/tenants/acme`` for what is the tenant acme's. The class comes first, so rules that
let whole classes expire hold for tenants too; a prefix tells a tenant's from everybody else's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from tracediff.stores.retention import is_class

TENANTS = "tenants"
_LONGEST = 120
"""Bytes of a tenant's name in a key, before its digest stands for it: S3 takes 1024 in all."""

_OTHERS = re.compile(rb"[^A-Za-z0-9.-]|^\.")
_ESCAPED = re.compile(r"(?!\.)(?:[A-Za-z0-9.-]|_[0-9a-f]{2})+(?:__[0-9a-f]{32})?")


def tenant_of(context: Mapping[str, object], field: str | None) -> str | None:
    """The tenant of a trace with this context; None where it says none.

    Args:
        context: The trace's.
        field: The field that names the tenant, None where there are none.
    """
    value = None if field is None else context.get(field)
    return None if value is None or value == "" else str(value)


def place_of(kept: str, tenant: str | None) -> str:
    """The place of a retention class, or of a tenant's in it."""
    return kept if tenant is None else f"{kept}/{TENANTS}/{escaped(tenant)}"


def is_place(text: str) -> bool:
    """Whether this is a place: a retention class, or that of a tenant."""
    kept, slash, rest = text.partition("/")
    if not slash:
        return is_class(text)
    word, _, name = rest.partition("/")
    return is_class(kept) and word == TENANTS and is_escaped(name)


def escaped(tenant: str) -> str:
    """A tenant's name as one part of a key and one name of a directory; never the same for two.

    Letters, digits, "-" and "." stay; other bytes of its UTF-8 become ``_xx`` in hex. A long name
    is cut, and a digest tells it from others.
    """
    data = tenant.encode("utf-8", "surrogatepass")
    text = _OTHERS.sub(lambda found: b"_%02x" % found[0][0], data).decode("ascii")
    if len(text) <= _LONGEST:
        return text
    cut = re.sub(r"_[0-9a-f]?$", "", text[:_LONGEST])
    return f"{cut}__{hashlib.sha256(data).hexdigest()[:32]}"


def is_escaped(text: str) -> bool:
    """Whether this is what ``escaped`` makes of some tenant's name."""
    return _ESCAPED.fullmatch(text) is not None
