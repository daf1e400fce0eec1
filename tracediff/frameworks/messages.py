"""HTTP's messages as plain data: what requests' jobs take, and what they give.

What is secret by its name is sealed as everywhere; so are cookies, which stand in headers.
Addresses of clients, what names one connection and what other tools count requests with are left
out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from tracediff.frameworks.texts import address, cleaned, cleaned_bytes, redactor
from tracediff.recording.redaction import REDACTED

MAX_BODY = 1 << 20
"""Bytes of a request's body, or of an uploaded file, above which its size alone is recorded; and
bytes of a response's body that are recorded, of a streaming one as well."""

JSON = "application/json"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
UNDECLARED = "json"
"""The field of what is sent as a form and is JSON."""

SCHEME = "Authorization-Type"
"""Of the header ``Authorization`` its first word, which is no secret, as ``Bearer``."""

_NOT_SENT = frozenset(
    """accept-encoding connection content-length forwarded keep-alive priority referer te trailer
    transfer-encoding upgrade user-agent via x-amzn-trace-id x-client-ip x-cloud-trace-context
    x-correlation-id x-forwarded-for x-real-ip x-request-id x-b3-traceid x-b3-spanid traceparent
    tracestate baggage sentry-trace x-csrftoken x-xsrf-token""".split()
)
_PARTS = ("cf-", "sec-", "true-client")
_NOT_ANSWERED = frozenset("content-length date expires last-modified set-cookie vary".split())
_TEXT = ("text/", "application/xml", "application/javascript")
_MOST_FIELDS = 10_000


def shape(method: str, path: str, route: Any, query: Any, body: Any, headers: Any) -> Any:
    """What a request's job takes."""


def meta(method: str, path: str, *_: Any, **__: Any) -> str:
    """What is shown beside the key of a request's job."""
    return f"{method} {path}"


def request_headers(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A request's headers, without those that differ from client to client."""
    return {
        name: address(value)
        for name, value in items
        if (low := name.lower()) not in _NOT_SENT and not low.startswith(_PARTS)
    }


def with_scheme(headers: dict[str, str]) -> dict[str, str]:
    """Headers with the scheme of an authorization apart from its credentials, which are sealed."""
    scheme, blank, rest = headers.get("Authorization", "").partition(" ")
    if blank and scheme.isalpha():
        headers["Authorization"] = rest.strip()
        headers[SCHEME] = scheme
    return headers


def with_length(headers: dict[str, str], length: str | None) -> dict[str, str]:
    """Headers with the length of a body of JSON, by which a replay finds how that was written."""
    if length and is_json(media_type(headers.get("Content-Type", ""))):
        headers["Content-Length"] = length
    return headers


def response_head(status: int, items: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The status and the headers of a response."""
    headers = {
        name: address(str(value)) for name, value in items if name.lower() not in _NOT_ANSWERED
    }
    return {"status": status, "headers": headers}


def path_without_secrets(path: str, route: Mapping[str, Any]) -> str:
    """A path without what its route captures under a name that says it is secret."""
    for name, value in route.items():
        if value and redactor().secret(name):
            path = path.replace(str(value), REDACTED)
    return path


def single(lists: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A query, a form or its files: what a name has where it stands once, else a list."""
    return {name: found[0] if len(found) == 1 else list(found) for name, found in lists}


def query_data(text: str) -> dict[str, Any]:
    """What a URL's query says."""
    try:
        found = parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # of more fields than anybody reads
        return {}
    return single(found.items())


def media_type(text: str) -> str:
    """The type that a ``Content-Type`` names, without its parameters."""
    return text.partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Whether a media type is JSON."""
    return kind == JSON or kind.endswith("+json")


def sent_body(kind: str, charset: str | None, data: bytes) -> Any:
    """A request's body that is no form, decoded where its type says how."""
    if is_json(kind):
        try:
            return json.loads(data)
        except (ValueError, RecursionError):  # no JSON, whatever its head says
            return cleaned_bytes(data)
    if kind.startswith("text/"):
        try:
            return cleaned(data.decode(charset or "utf-8"))
        except (UnicodeError, LookupError):  # no text of the encoding it names
            return cleaned_bytes(data)
    return cleaned_bytes(data)


def undeclared(data: bytes) -> dict[str, Any] | None:
    """The JSON object that is sent as a form, which is what curl calls everything.

    As a form it would be the name of a field, in which no secret is found.
    """
    if not data.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # a form, as its head says
        return None
    return {UNDECLARED: found} if isinstance(found, dict) else None


def answered_body(kind: str, charset: str | None, content: bytes) -> Any:
    """A response's body, decoded where its type says how."""
    if is_json(kind):
        if len(content) > MAX_BODY:
            return cleaned_bytes(content[:MAX_BODY])
        try:
            return json.loads(content)
        except (ValueError, RecursionError):  # no JSON, whatever its head says
            return cleaned_bytes(content)
    content = content[:MAX_BODY]
    if kind.startswith(_TEXT) or kind.endswith("+xml"):
        try:
            text = content.decode(charset or "utf-8")
        except (UnicodeError, LookupError):  # no text of the encoding it names
            return content
        # Of a page, which may be large, no secret is looked for.
        return text if kind == "text/html" else cleaned(text)
    return content


class Left:
    """A body that was not recorded, since it is large or was read already; it has no exact form."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __repr__(self) -> str:
        return f"<{self._size} bytes that were not recorded>"


def judge(buffer: Any, status: int) -> None:
    """A response that says what is wrong: 4xx are warnings, 5xx errors."""
    if status >= 400:
        found = "error" if status >= 500 else "warning"
        if buffer.state != "error":
            buffer.state = found


def without_quoted(body: Any) -> Any:
    """What a response says of a request that is wrong, without the secrets that it quotes.

    Pydantic's errors name the place (``loc``) and quote what stood there (``input``).
    """
    if isinstance(body, list):
        return [without_quoted(one) for one in body]
    if not isinstance(body, dict):
        return body
    place = body.get("loc")
    if isinstance(place, list) and "input" in body:
        secret = redactor().secret
        if any(isinstance(one, str) and secret(one) for one in place):
            return {**body, "input": REDACTED}
    if "detail" in body or "errors" in body:
        return {
            name: without_quoted(one) if name in ("detail", "errors") else one
            for name, one in body.items()
        }
    return body
