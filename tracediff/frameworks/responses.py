"""A Django response as plain data: what a view's job has as its result."""

from __future__ import annotations

import re
from typing import Any

from asgiref.sync import async_to_sync

from tracediff.frameworks.messages import MAX_BODY, answered_body, media_type, response_head

_CSRF = re.compile(r"""(name=["']csrfmiddlewaretoken["']\s+value=["'])[^"']{1,200}""")


def response_data(response: Any, streamed: bytes | None = None) -> dict[str, Any]:
    """The status, the headers and the body of a response."""
    content = streamed if response.streaming else response.content
    return {**head_data(response), "body": body_data(response, content or b"")}


def head_data(response: Any) -> dict[str, Any]:
    """The status and the headers, as they are now: middleware adds to them later."""
    return response_head(response.status_code, response.items())


def body_data(response: Any, content: bytes) -> Any:
    """A response's body, decoded where its type says how."""
    body = answered_body(media_type(response.get("Content-Type") or ""), response.charset, content)
    return _CSRF.sub(r"\1[redacted]", body) if isinstance(body, str) else body


def drained(response: Any) -> bytes:
    """What a streaming response sends, up to the bound; for a replay."""
    if getattr(response, "is_async", False):
        return bytes(async_to_sync(_drained)(response))
    kept = bytearray()
    for part in response:
        kept += part
        if len(kept) >= MAX_BODY:
            break
    return bytes(kept[:MAX_BODY])


async def _drained(response: Any) -> bytes:
    kept = bytearray()
    async for part in response:
        kept += part
        if len(kept) >= MAX_BODY:
            break
    return bytes(kept[:MAX_BODY])
