"""Calls that were recorded at one server and are asked for at another.

A service has the addresses of others from its environment: those of production when a trace is
recorded, the defaults of a developer's machine when it is replayed.
"""

from __future__ import annotations

from typing import Any

from tracediff import values


def without_server(identity: bytes, name: str) -> tuple[bytes, str] | None:
    """A call's identity without the server of its URL and without secrets; and that server.

    Args:
        identity: The canonical dict of its arguments.
        name: The argument that is the URL.

    Returns:
        None where there is no such URL.
    """
    found: Any = values.inert(values.without_secrets(identity) or identity)
    if type(found) is not dict:
        return None
    url = found.get(name)
    if type(url) is not str:
        return None
    scheme, separator, rest = url.partition("://")
    host, _, path = rest.partition("/")
    if not separator:
        return None
    return values.encode({**found, name: path}), f"{scheme}://{host}"
