"""Who is not signed in cannot keep those out who are."""

from __future__ import annotations

import asyncio

from tracediff.testing import make_trace
from tracediff.web.access import Access
from tracediff.web.application import application

ACCESS = Access(token="a token of the tests, long enough", port=8700)


def request(method, path, *headers):
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": [
            (b"host", b"127.0.0.1:8700"), *headers
        ], "query_string": b"", "scheme": "http", "server": ("127.0.0.1", 8700),
        "client": ("127.0.0.1", 50_000), "http_version": "1.1",
    }  # fmt: skip


def test_forms_that_do_not_come_to_their_end_leave_room_for_others(made, site):
    app = application(site(made(make_trace("abc"))), ACCESS)

    async def asked(scope, receive):
        statuses = []

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await app(scope, receive, send)
        return statuses[0]

    async def ended():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def never():
        await asyncio.Event().wait()

    async def both():
        form = (b"content-type", b"application/x-www-form-urlencoded")
        slow = [asyncio.create_task(asked(request("POST", "/sign-in", form), never))
                for _ in range(120)]  # fmt: skip
        await asyncio.sleep(0)
        session = f"{ACCESS.cookie}={ACCESS.new_session()}".encode()
        status = await asked(request("GET", "/trace/abc", (b"cookie", session)), ended)
        for one in slow:
            one.cancel()
        refused = [one for one in await asyncio.gather(*slow, return_exceptions=True) if one == 503]
        assert await asked(request("POST", "/sign-in", form), ended) == 401
        return status, len(refused)

    assert asyncio.run(both()) == (200, 104)
