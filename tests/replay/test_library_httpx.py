"""``httpx`` as a library of ``inputs``: recorded with a service, replayed without one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from servers.http_service import EVENTS, RATES, HttpService
from tracediff import values
from tracediff.model import Trace

JOBS = """
    import asyncio, datetime, threading
    from concurrent.futures import ThreadPoolExecutor
    import httpx

    def head(response):
        return [response.status_code, response.reason_phrase, response.http_version,
                response.headers.raw, response.num_bytes_downloaded]

    def raised(call, *args, **kwargs):
        try:
            call(*args, **kwargs)
        except httpx.HTTPError as error:
            return type(error).__name__, str(error), str(error.request.url)

    @td.job("bodies")
    def bodies(url):
        with httpx.Client(base_url=url) as client:
            found = [client.get(f"/json/{style}").text for style in (
                "", "python", "indented", "php", "go", "money", "odd", "broken", "lines")]
            for path in ("text", "binary", "empty", "empty/200", "events", "closing",
                         "status/404", "status/503", "nowhere"):
                response = client.get(path)
                found.append([response.content, head(response)])
            found.append([client.get("/text").text, client.get("/json").json()])
            found.append(head(client.head("/json/money")))
            found.append(head(client.options("/json")))
        return found

    @td.job("encodings")
    def encodings(url):
        found = []
        with httpx.Client(base_url=url) as client:
            for path in ("gzip", "deflate", "raw-deflate", "zstd"):
                for query in ({}, {"chunks": "1"}):
                    with client.stream("GET", f"/encoded/{path}", params=query) as response:
                        pieces = list(response.iter_bytes())
                    found.append([pieces, response.headers["content-encoding"]])
            found.append(raised(client.get, "/encoded/broken"))
            head = client.head("/encoded/gzip")
            found.append([head.content, head.headers.get("content-length") is not None])
        return found

    @td.job("streams")
    def streams(url):
        found = []
        with httpx.Client(base_url=url) as client:
            with client.stream("GET", "/events") as response:
                found.append(list(response.iter_lines()))
            with client.stream("GET", "/events") as response:
                found.append(list(response.iter_raw()))
            with client.stream("GET", "/events") as response:
                taken = response.iter_raw()
                found.append([next(taken) for _ in range(READ)])
            with client.stream("GET", "/binary") as response:
                found.append(response.status_code)
            with client.stream("GET", "/text") as response:
                response.read()
                found.append(response.text)
        return found

    READ = 2

    @td.job("errors")
    def errors(url):
        found = []
        with httpx.Client(base_url=url) as client:
            for path in ("/cut", "/cut/chunks", "/dropped"):
                found.append(raised(client.get, path))
            found.append(raised(client.get, "/slow", timeout=0.2))
            with client.stream("GET", "/slow/body", timeout=0.2) as response:
                pieces = []
                found.append(raised(lambda: pieces.extend(response.iter_bytes())))
                found.append(pieces)
            found.append(raised(client.get, "/status/500") or
                         raised(client.get("/status/500").raise_for_status))
        found.append(raised(httpx.get, "http://127.0.0.1:9/none"))
        found.append(raised(httpx.get, url.replace("http:", "https:")))
        found.append(raised(httpx.get, "ftp://127.0.0.1/"))
        return found

    @td.job("client")
    def client(url):
        seen = []
        hooks = {"request": [lambda one: seen.append(one.url.path)],
                 "response": [lambda one: seen.append(one.status_code)]}
        auth = httpx.DigestAuth("ada", "pa55word-of-digest")
        with httpx.Client(base_url=url, event_hooks=hooks, follow_redirects=True) as client:
            moved = client.get("/redirect")
            history = [(one.status_code, one.url.path) for one in moved.history]
            again = client.post("/redirect/307", json={"a": 1})
            secret = client.get("/digest", auth=auth).json()
            tag = client.get("/cached").headers["etag"]
            same = client.get("/cached", headers={"If-None-Match": tag})
            client.get("/login")
            name = client.cookies.get("theme")
            shown = client.get("/secret").json()
            timed = isinstance(moved.elapsed, datetime.timedelta)
        return [moved.json(), history, again.json(), secret, same.status_code, sorted(
                client.cookies.keys()), shown, timed, seen]

    @td.job("sent")
    def sent(url):
        def pieces():
            yield b"one"
            yield b"two"
        with httpx.Client(base_url=url) as client:
            answers = [
                client.post("/echo", json={"price": 1.5}), client.post("/echo", data={"a": "1"}),
                client.post("/echo", content=b"\\xff\\x00"), client.put("/echo", content="text"),
                client.patch("/echo", content=pieces()), client.delete("/echo"),
                client.post("/echo", files={"f": ("a.txt", b"inside", "text/plain")},
                            data={"note": "n", "password": "pa55word-in-a-form"}),
            ]
        return [one.json() for one in answers]

    @td.job("together")
    async def together(url):
        async with httpx.AsyncClient(base_url=url) as client:
            counts = await asyncio.gather(*(client.get(f"/count/{n}") for n in range(4)))
            same = await asyncio.gather(*(client.get("/count/same") for _ in range(4)))
            found = [one.json() for one in counts], [one.json() for one in same]
            async with client.stream("GET", "/events") as response:
                lines = [one async for one in response.aiter_lines()]
            async with client.stream("GET", "/events") as response:
                async for one in response.aiter_raw():
                    break
            async def pieces():
                yield b"a"
                yield b"b"
            echo = (await client.post("/echo", content=pieces())).json()
            encoded = (await client.get("/encoded/gzip")).json()
            try:
                await client.get("/dropped")
            except httpx.RemoteProtocolError as error:
                dropped = str(error.request.url), str(error)
            try:
                await asyncio.wait_for(client.get("/slow"), 0.2)
            except TimeoutError:
                late = "late"
        return found, lines, one, echo, len(encoded), dropped, late

    @td.job("threads")
    def threads(url):
        with httpx.Client(base_url=url) as client, ThreadPoolExecutor(3) as pool:
            ask = td.propagate(lambda number: client.get(f"/count/{number}").json())
            return sorted(one["of"] for one in pool.map(ask, range(6)))

    @td.job("lost")
    def lost(url):
        found = []
        def ask():
            try:
                found.append(httpx.get(url + "/count").json())
            except BaseException as error:
                found.append(type(error).__name__)
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return len(found)

    @td.job("plain")
    def plain(url):
        def answer(request):
            return httpx.Response(200, json={"path": request.url.path})
        with httpx.Client(transport=httpx.MockTransport(answer)) as client:
            return client.get("http://inside/x").json()

    class Own(httpx.HTTPTransport):
        def handle_request(self, request):
            request.headers["X-Own"] = "1"
            response = super().handle_request(request)
            response.headers["X-Own"] = "2"
            return response

    @td.job("own")
    def own(url):
        with httpx.Client(mounts={"all://": Own()}) as client:
            return client.get(url + "/json").headers["x-own"]
"""


NAMES = "bodies encodings streams errors client sent together threads plain own".split()


@pytest.fixture(scope="module")
def traces(new_shop: Callable[[], Any], service: HttpService) -> tuple[Any, dict[str, Trace]]:
    shop = new_shop()
    shop.settings('inputs = ["httpx"]\n')
    calls = ", ".join(f"{name}(url)" for name in NAMES).replace("together(url)", "run(url)")
    shop.jobs(
        f"""{JOBS}
    def run(url):
        return asyncio.run(together(url))

    @td.job("everything")
    def everything(url):
        return [{calls}]
    """
    )
    url = service.url
    found = shop.record(f"everything({url!r}); streams({url!r}); lost({url!r})")
    return shop, {trace.key: trace for trace in found}


@pytest.fixture(scope="module")
def again(
    traces: tuple[Any, dict[str, Trace]], repeats_unasked: Callable[..., Any]
) -> dict[str, Any]:
    """What each job gave, which a replay without the service gave as well."""
    shop, by_key = traces
    return dict(zip(NAMES, repeats_unasked(shop, by_key["everything"]), strict=True))


def test_bodies_of_every_kind_are_served_to_the_byte(again: dict[str, Any]) -> None:
    found = again["bodies"]
    assert found[5].startswith('{"price":10.50,')
    assert found[-3][1] == RATES


def test_encoded_bodies_are_decoded_by_the_client_in_the_same_pieces(
    again: dict[str, Any],
) -> None:
    found = again["encodings"]
    assert len(found[1][0]) == 2
    assert found[8][0] == "DecodingError"


def test_encoded_bodies_are_kept_readable(traces: tuple[Any, dict[str, Trace]]) -> None:
    for step in traces[0].below(traces[1]["everything"], "encodings")[:8]:
        assert values.inert(step.result)["body"]["rows"][0] == {"id": 0, "price": "1.50"}


def test_streams_are_served_in_the_pieces_that_were_read(again: dict[str, Any]) -> None:
    found = again["streams"]
    assert found[1] == EVENTS
    assert found[2] == EVENTS[:2]


def test_more_of_a_stream_than_was_read_is_a_miss(
    traces: tuple[Any, dict[str, Trace]], service: HttpService
) -> None:
    shop, by_key = traces
    changed = shop.copy(shop.directory.parent / "more")
    changed.change("READ = 2", "READ = 3")
    new = changed.replay(by_key["streams"])
    (miss,) = new.replay.misses
    assert miss.name == "httpx rest of a body"
    assert new.steps[0].error is not None


def test_errors_are_raised_again_with_their_request(again: dict[str, Any]) -> None:
    found = again["errors"]
    kinds = [one[0] for one in found if type(one) is tuple]
    assert kinds == ["RemoteProtocolError", "RemoteProtocolError", "RemoteProtocolError",
                     "ReadTimeout", "ReadTimeout", "HTTPStatusError", "ConnectError",
                     "ConnectError", "UnsupportedProtocol"]  # fmt: skip
    assert found[5] == [b"half"]


def test_what_the_client_does_it_does_in_a_replay(again: dict[str, Any]) -> None:
    found = again["client"]
    assert found[1] == [(302, "/redirect")]
    assert found[3:7] == [{"in": True}, 304, ["session", "theme"],
                          {"token_type": "bearer", "known": False, "cookie": True}]  # fmt: skip


def test_what_is_sent_is_an_output_with_its_body(
    traces: tuple[Any, dict[str, Trace]],
) -> None:
    steps = traces[0].below(traces[1]["everything"], "sent")
    assert {step.kind for step in steps} == {"output"}
    bodies = [values.inert(step.args).get("body") for step in steps]
    assert bodies[:6] == [
        {"price": Decimal("1.5")},
        {"a": "1"},
        b"\xff\x00",
        "text",
        "onetwo",
        None,
    ]
    assert bodies[6]["f"] == {"filename": "a.txt", "type": "text/plain", "content": "inside"}
    assert isinstance(bodies[6]["password"], values.Redacted)


def test_async_requests_are_served_by_their_occurrence(again: dict[str, Any]) -> None:
    found = again["together"]
    assert [one["of"] for one in found[0][0]] == ["0", "1", "2", "3"]
    assert len({one["count"] for one in found[0][1]}) == 4
    assert found[-1] == "late"


def test_a_client_in_threads_is_served(again: dict[str, Any]) -> None:
    assert again["threads"] == ["0", "1", "2", "3", "4", "5"]


def test_transports_that_reach_nothing_outside_stay_plain(
    again: dict[str, Any], traces: tuple[Any, dict[str, Trace]]
) -> None:
    assert again["plain"] == {"path": "/x"}
    assert not traces[0].below(traces[1]["everything"], "plain")


def test_a_transport_that_derives_from_the_library_runs_itself(again: dict[str, Any]) -> None:
    assert again["own"] == "2"


def test_a_thread_without_context_is_recorded_nowhere_and_refused_in_a_replay(
    traces: tuple[Any, dict[str, Trace]],
) -> None:
    shop, by_key = traces
    assert len(by_key["lost"].steps) == 1
    (miss,) = shop.replay(by_key["lost"]).replay.misses
    assert (miss.name, miss.served) == ("httpx GET", "failed")
    assert "propagate" in miss.hint
