"""A recorded request as it is sent again in a replay: its head and its bytes.

In the place of a secret stands a word, which the job can pass on: where it is recorded under a
secret name, it is the sealed value again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tracediff import values
from tracediff.frameworks.forms import form_bytes, is_form
from tracediff.frameworks.messages import SCHEME, UNDECLARED, is_json, media_type
from tracediff.recording.libraries.http.masking import stand_in
from tracediff.runtime import current
from tracediff.values.placeholder import node_of

_WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"separators": (",", ":"), "ensure_ascii": False},
    {"separators": (",", ":")},
    {"ensure_ascii": False},
    {"indent": 2, "ensure_ascii": False},
    {"indent": 2},
)
"""How programs write JSON: Python's own, then that of browsers and of orjson."""


def sent_headers(headers: Mapping[str, Any]) -> dict[str, str]:
    """The headers, with words in the place of secrets."""
    found = {name: str(revealed(value)) for name, value in headers.items()}
    scheme = found.pop(SCHEME, None)
    if scheme is not None:
        found["Authorization"] = f"{scheme} {found.get('Authorization', '')}"
    return found


def sent_query(query: Mapping[str, Any]) -> str:
    """The query of the URL."""
    return urlencode(revealed(dict(query)), doseq=True)


def sent_bytes(headers: Mapping[str, str], body: Any) -> Any:
    """The bytes of a body; its placeholder where only its size was recorded."""
    content_type = headers.get("Content-Type", "")
    body = _warned(body)
    if body is None:
        return b""
    if isinstance(body, bytes) or type(body) is values.Placeholder:
        return body
    if is_form(content_type) and isinstance(body, dict):
        found = body.get(UNDECLARED)
        if isinstance(found, dict):
            return _json_bytes(found, headers)
        return form_bytes(content_type, body)
    if isinstance(body, str) and not is_json(media_type(content_type)):
        return body.encode("utf-8")
    return _json_bytes(body, headers)


def _json_bytes(body: Any, headers: Mapping[str, str]) -> bytes:
    """JSON in the common way of writing that has the length of what was sent, if one has."""
    length = headers.get("Content-Length", "")
    ways = [json.dumps(body, **way).encode("utf-8", "surrogatepass") for way in _WAYS]
    return next((one for one in ways if str(len(one)) == length), ways[0])


def _warned(body: Any) -> Any:
    shown = revealed(body)
    here = current.get()
    if here is not None and _differ(body, shown):
        here.buffer.warn("the request's body has secrets that the replay does not know")
    return shown


def _differ(before: Any, after: Any) -> bool:
    if type(before) is values.Placeholder:
        return before is not after
    if isinstance(before, dict):
        return any(_differ(before[name], after[name]) for name in before)
    if isinstance(before, list):
        return any(map(_differ, before, after))
    return False


def revealed(value: Any) -> Any:
    """A value with words in the place of what is sealed."""
    if type(value) is values.Placeholder:
        return stand_in(value) if isinstance(node_of(value), values.Redacted) else value
    if isinstance(value, dict):
        return {name: revealed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [revealed(one) for one in value]
    return value
