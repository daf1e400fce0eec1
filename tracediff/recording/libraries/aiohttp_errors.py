"""Errors of ``aiohttp``: as they are recorded, and whole again where they are raised."""

from __future__ import annotations

import ast
import asyncio
import re
from typing import Any

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError

from tracediff.recording.libraries.http.exchanges import bare as without_objects

_STATUS = re.compile(r"(\d{1,4}), message=(.*), url=", re.DOTALL)


def bare(error: BaseException) -> BaseException:
    """An error by what it says: without its connection, its request and its sockets."""
    plain = all(type(one) in (str, int, type(None)) for one in error.args)
    if isinstance(error, OSError) and plain and not isinstance(error, asyncio.TimeoutError):
        return error
    bared = without_objects(error)
    if bared is error:
        return error
    found: Any = bared
    if isinstance(error, aiohttp.ClientOSError | aiohttp.ClientConnectorCertificateError):
        key = getattr(error, "_conn_key", None)
        if key is not None:
            nothing = dict.fromkeys(("proxy", "proxy_auth", "proxy_headers_hash"))
            found._conn_key = key._replace(ssl=key.ssl is not False, **nothing)  # noqa: SLF001 - its text is made of it
    if isinstance(error, OSError):
        OSError.__init__(found, error.errno, error.strerror)
    for name in ("_certificate_error", "_path", "message"):
        if name in vars(error):
            setattr(found, name, vars(error)[name])
    if isinstance(error, aiohttp.ClientResponseError):
        found.status, found.history = error.status, ()
        info: Any = error.request_info
        where = str(info.real_url)
        found.request_info = info._replace(url=where, headers={}, real_url=where)
    return bared


def in_place(error: BaseException, req: Any) -> BaseException:
    """The error that the session raises in the place of one while it connects or sends."""
    if isinstance(error, asyncio.CancelledError) and getattr(req._timer, "_cancelled", False):  # noqa: SLF001 - there is no other way to know
        return TimeoutError()
    if isinstance(error, asyncio.TimeoutError):
        found = aiohttp.ConnectionTimeoutError(f"Connection timeout to host {req.url}")
        found.__cause__ = error
        return found
    return error


def again(connector: Any, req: Any, error: BaseException) -> BaseException:
    """A recorded error with the connector and the request that it is raised for now."""
    found: Any = error
    if isinstance(error, UnixClientConnectorError):
        found._path = getattr(connector, "path", "")  # noqa: SLF001 - as its constructor does
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        found._conn_key = req.connection_key  # noqa: SLF001 - as its constructor does
        found._certificate_error = error.__cause__ or OSError(None, "not kept")  # noqa: SLF001 - as above
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.__cause__
        cause = cause if isinstance(cause, OSError) else OSError(None, "not kept")
        OSError.__init__(found, cause.errno, cause.strerror)
        found._conn_key, found._os_error = req.connection_key, cause  # noqa: SLF001 - as above
        found.args = (req.connection_key, cause)
    elif isinstance(error, aiohttp.ClientResponseError):
        said = _STATUS.match(str(error.args[0]) if error.args else "")
        found.request_info, found.history, found.headers = req.request_info, (), None
        found.status = int(said[1]) if said else 0
        found.message = _text(said[2]) if said else ""
    return error


def _text(written: str) -> str:
    try:
        return str(ast.literal_eval(written))
    except (ValueError, SyntaxError):  # of a forged trace
        return written
