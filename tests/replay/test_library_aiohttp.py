"""``aiohttp`` as a library of ``inputs``: recorded with a service, replayed without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from servers.faulty_http import FaultyHttp
from servers.http_service import EVENTS, RATES, HttpService
from tracediff import values
from tracediff.model import Trace

JOBS = """
    import asyncio, io, json, os, threading
    import aiohttp

    HELD = json.loads(os.environ.get("SHOP_HELD", "{}"))  # of which a replay knows nothing

    async def raised(call):
        try:
            await call
        except (aiohttp.ClientError, TimeoutError) as error:
            found = [type(error).__name__, str(error)]
            for name in ("errno", "host", "port", "status", "message"):
                if hasattr(error, name) and name != "port":
                    found.append(str(getattr(error, name)))
            return found

    async def got(session, path, **options):
        async with session.get(path, **options) as response:
            return await response.read()

    async def bodies(session, url):
        found = []
        for style in ("", "python", "indented", "php", "money", "odd", "broken", "lines"):
            async with session.get("/json/" + style) as response:
                found.append(await response.text())
        for path in ("text", "binary", "empty", "empty/200", "events", "closing", "status/404"):
            async with session.get("/" + path) as response:
                found.append([await response.read(), response.status, response.reason,
                              list(response.raw_headers), str(response.version)])
        async with session.get("/json") as response:
            found.append(await response.json())
        async with session.get("/json/money") as response:
            found.append((await response.json())["price"])
        async with session.head("/json") as response:
            found.append([response.content_length, await response.read()])
        async with session.options("/json") as response:
            found.append(response.ok)
        return found

    async def encodings(session, url):
        found = []
        for how in ("gzip", "deflate", "raw-deflate"):
            for query in ({}, {"chunks": "1"}):
                async with session.get("/encoded/" + how, params=query) as response:
                    pieces = [one async for one in response.content.iter_any()]
                    found.append([pieces, response.headers["Content-Encoding"]])
        found.append(await raised(got(session, "/encoded/broken")))
        async with session.get("/encoded/gzip", auto_decompress=False) as response:
            found.append((await response.read())[:2])
        return found

    READ = 2

    async def streams(session, url):
        found = []
        async with session.get("/events") as response:
            found.append([one async for one in response.content])
        async with session.get("/events") as response:
            found.append([one async for one in response.content.iter_chunks()])
        async with session.get("/large/100000") as response:
            found.append([len(one) async for one in response.content.iter_chunked(30_000)])
        async with session.get("/binary") as response:
            found.append(await response.content.readexactly(7))
            found.append(await response.content.readuntil(b"\\x10"))
            found.append([len(await response.content.read()), response.content.at_eof()])
        async with session.get("/binary") as response:
            try:
                await response.content.readexactly(2_000)
            except asyncio.IncompleteReadError as error:
                found.append(len(error.partial))
        async with session.get("/halves") as response:
            found.append([one async for one in response.content.iter_chunks()])
        async with session.get("/parts") as response:
            reader = aiohttp.MultipartReader.from_response(response)
            while (part := await reader.next()) is not None:
                found.append([part.headers["X-N"], await part.text()])
        async with session.get("/binary") as response:
            found.append(response.status)
        try:
            await response.read()
        except aiohttp.ClientConnectionError as error:
            found.append(str(error))
        return found

    @td.job("half")
    def half(url):
        async def run():
            async with aiohttp.ClientSession(url) as session, session.get("/events") as response:
                taken = response.content.iter_chunks()
                return [await anext(taken) for _ in range(READ)]
        return asyncio.run(run())

    async def errors(session, url):
        found = [await raised(got(session, one)) for one in ("/cut", "/cut/chunks", "/dropped")]
        ClientTimeout = aiohttp.ClientTimeout
        for timeout in (ClientTimeout(total=0.2), ClientTimeout(sock_read=0.2)):
            found.append(await raised(got(session, "/slow", timeout=timeout)))
            async with session.get("/slow/body", timeout=timeout) as response:
                pieces = [await response.content.readany()]
                found.append([pieces, await raised(response.content.readany())])
        found.append(await raised(got(session, "/status/500", raise_for_status=True)))
        async with aiohttp.ClientSession() as other:
            found.append(await raised(got(other, "http://127.0.0.1:9/none")))
            found.append(await raised(got(other, "http://nowhere.invalid/")))
            found.append(await raised(got(other, url.replace("http:", "https:"))))
            found.append(await raised(got(other, "ftp://127.0.0.1/")))
        return found

    async def cancelled(session, url):
        try:
            await asyncio.wait_for(got(session, "/slow"), 0.2)
        except TimeoutError:
            found = ["late"]
        task = asyncio.ensure_future(got(session, "/slow"))
        await asyncio.sleep(0.1)
        task.cancel()
        return found + [type(one).__name__ for one in
                        await asyncio.gather(task, return_exceptions=True)]

    async def client(session, url):
        seen = []
        async def middle(request, handler):
            request.headers["X-Own"] = "1"
            response = await handler(request)
            seen.append((request.url.path, response.status))
            return response
        digest = aiohttp.DigestAuthMiddleware("ada", "pa55word-of-digest")
        async with session.get("/redirect", middlewares=[middle]) as moved:
            history = [(one.status, one.url.path) for one in moved.history]
            moved = await moved.json()
        async with session.post("/redirect/307", json={"a": 1}) as response:
            again = await response.json()
        async with session.get("/digest", middlewares=[digest]) as response:
            secret = await response.json()
        async with session.get("/cached") as response:
            tag = response.headers["ETag"]
        async with session.get("/cached", headers={"If-None-Match": tag}) as response:
            same = response.status
        async with session.get("/login") as response:
            theme = "theme" in response.cookies
        async with session.get("/secret") as response:
            shown = await response.json()
        names = sorted(one.key for one in session.cookie_jar)
        return [moved, history, again, secret, same, theme, shown, names, seen]

    async def sent(session, url):
        async def pieces():
            yield b"one"
            yield b"two"
        form = aiohttp.FormData({"note": "n", "password": "pa55word-in-a-form"})
        form.add_field("f", io.BytesIO(b"inside"), filename="a.txt", content_type="text/plain")
        posts = [("POST", {"json": {"price": 1.5}}), ("POST", {"data": {"a": "1"}}),
                 ("POST", {"data": b"\\xff\\x00"}), ("PUT", {"data": "text"}),
                 ("PATCH", {"data": pieces()}), ("DELETE", {}), ("POST", {"data": form}),
                 ("POST", {"data": io.BytesIO(b"a file")}),
                 ("POST", {"data": b"packed " * 9, "compress": "gzip"})]
        found = []
        for method, options in posts:
            async with session.request(method, "/echo", **options) as response:
                found.append(await response.json())
        return found

    async def together(session, url):
        async def count(name):
            return json.loads(await got(session, f"/count/{name}"))
        return [await asyncio.gather(*map(count, "0123")),
                await asyncio.gather(*(count("same") for _ in range(4)))]

    class Response(aiohttp.ClientResponse):
        async def start(self, connection):
            await super().start(connection)
            self.mine = "of the program"
            return self

    @td.input
    def rows(count):
        return [b"row %d" % one for one in range(count)]

    @td.job("own")
    def own(url):
        seen = []
        async def ended(session, context, params):
            seen.append(params.response.status)
        async def from_rows():
            for one in rows(3):
                yield one
        async def broken():
            yield b"one"
            raise ValueError("in the middle")
        async def run():
            tracing = aiohttp.TraceConfig()
            tracing.on_request_end.append(ended)
            found = []
            async with aiohttp.ClientSession(url, response_class=Response,
                                             trace_configs=[tracing]) as session:
                async with session.post("/echo", data=from_rows()) as response:
                    found += [response.mine, (await response.json())["size"]]
                found.append((await raised(session.post("/echo", data=broken())))[0])
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector("none")) as session:
                found.append(await raised(session.get("http://localhost/")))
            return found + seen
        return asyncio.run(run(), debug=True)

    PARTS = (bodies, encodings, streams, errors, cancelled, client, sent, together)

    @td.job("everything")
    def everything(url):
        async def run():
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(url, cookie_jar=jar) as session:
                return [await td.step(one.__name__)(one)(session, url) for one in PARTS]
        return asyncio.run(run())

    NAMES = ["a", "b"]
    PRICE = 1

    @td.job("asks")
    def asks(url):
        async def run():
            async with aiohttp.ClientSession(url) as session:
                found = [json.loads(await got(session, f"/count/{one}")) for one in NAMES]
                async with session.post("/echo", json={"price": PRICE}) as response:
                    return [one and one["of"] for one in found], (await response.json())["size"]
        return asyncio.run(run())

    @td.job("searches")
    def searches(url):
        async def run():
            async with aiohttp.ClientSession(url) as session:
                async with session.post("/echo/search", json={"query": 1}) as response:
                    return (await response.json())["size"]
        return asyncio.run(run())

    @td.job("secrets")
    def secrets(url):
        header, query, user, form = (HELD.get(one, "dummy") for one in
                                     ("header", "query", "user", "form"))
        async def run():
            async with aiohttp.ClientSession(url) as session:
                async with session.get("/login") as response:
                    token = (await response.json())["access_token"]
                headers = {"Authorization": f"Bearer {token}", "X-Api-Key": header}
                async with session.get("/secret", headers=headers) as response:
                    found = [(await response.json())["known"]]
                await got(session, "/count/x", params={"api_key": query})
                await got(session, str(session._base_url).replace("://", f"://ada:{user}@"))
                async with session.post("/echo", data={"password": form}) as response:
                    found.append((await response.json())["size"] > 5)
                found.append(await raised(got(session, f"/dropped?token={query}")))
            return found[:2] + [found[2][0]]
        return asyncio.run(run())

    @td.job("lost")
    def lost(url):
        found = []
        def ask():
            async def run():
                async with aiohttp.ClientSession(url) as session:
                    return await got(session, "/count")
            try:
                found.append(asyncio.run(run()))
            except BaseException as error:
                found.append(type(error).__name__)
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return len(found)

    @td.job("socket")
    def socket(url):
        async def run():
            async with aiohttp.ClientSession() as session:
                try:
                    await session.ws_connect(url)
                except aiohttp.ClientError as error:
                    return type(error).__name__
        return asyncio.run(run())

    @td.job("faulty")
    def faulty(url):
        async def run():
            async with aiohttp.ClientSession(url) as session:
                found = [len(await got(session, "/json"))]
                found.append(await raised(got(session, "/binary")))
                found.append((await raised(got(session, "/json", raise_for_status=True)))[0])
                return found
        return asyncio.run(run())
"""
PARTS = "bodies encodings streams errors cancelled client sent together".split()
HELD = {
    "header": "kkkk-header-key-1",
    "query": "kkkk-query-key-22",
    "user": "kkkk-of-the-user",
    "form": "kkkk-of-a-form",
}
SECRETS = [
    "pa55word-of-ada", "acce55-t0ken-9f8e7d6c5b4a", "ap1-key-in-link", "c00kie-of-login",
    "auth-t0ken-in-header", "t0ken-0f-redirect", "pa55word-of-digest", "pa55word-in-a-form",
    *HELD.values(),
]  # fmt: skip


@pytest.fixture(scope="module")
def aiohttp_shop(new_shop: Callable[[], Any]) -> Any:
    shop = new_shop()
    shop.settings('inputs = ["aiohttp", "POST */echo/search"]\n')
    shop.jobs(JOBS)
    return shop


@pytest.fixture(scope="module")
def faulty(service: HttpService) -> Iterator[FaultyHttp]:
    with FaultyHttp(service.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def traces(aiohttp_shop: Any, service: HttpService, faulty: FaultyHttp) -> dict[str, Trace]:
    """A trace of each job, all recorded in one process."""
    faulty.fail(1, method="GET", lost=True)  # the library tries this again by itself
    faulty.fail(1, method="GET")
    faulty.fail(1, method="GET", cut=100)
    faulty.fail(1, method="GET", answer=(503, "SlowDown"))
    names = "everything half asks searches secrets lost socket own".split()
    calls = [f"{name}({service.url!r})" for name in names]
    code = "\n".join([*calls, f"faulty({faulty.endpoint!r})"])
    found = aiohttp_shop.record(code, SHOP_HELD=json.dumps(HELD))
    return {trace.key: trace for trace in found}


@pytest.fixture(scope="module")
def again(
    aiohttp_shop: Any, traces: dict[str, Trace], repeats_unasked: Callable[..., Any]
) -> dict[str, Any]:
    """What each part gave, which a replay without the service gave as well."""
    return dict(zip(PARTS, repeats_unasked(aiohttp_shop, traces["everything"]), strict=True))


def test_bodies_of_every_kind_are_served_to_the_byte(again: dict[str, Any]) -> None:
    found = again["bodies"]
    assert found[4].startswith('{"price":10.50,')
    assert found[-4] == RATES
    assert found[-2][1] == b""


def test_encoded_bodies_come_back_decoded_and_are_readable_in_the_trace(
    aiohttp_shop: Any, again: dict[str, Any], traces: dict[str, Trace]
) -> None:
    found = again["encodings"]
    assert b'"price": "1.50"' in b"".join(found[1][0])
    assert found[6][0] == "ClientPayloadError"
    assert found[7] == b"\x1f\x8b"
    for step in aiohttp_shop.below(traces["everything"], "encodings")[:6]:
        assert values.inert(step.result)["body"]["rows"][0] == {"id": 0, "price": "1.50"}


def test_streams_are_served_as_they_were_read(again: dict[str, Any]) -> None:
    found = again["streams"]
    assert found[1][:4] == [(one, True) for one in EVENTS]
    assert sum(found[2]) == 100_000
    assert found[3:6] == [bytes(range(7)), bytes(range(7, 17)), [1024 - 17, True]]
    assert found[7][:4] == [(b"hel", False), (b"lo ", False), (b"", True), (b"there", True)]
    assert [found[6], *found[8:]] == [
        1024,
        ["1", "part"],
        ["40", "part" * 40],
        200,
        "Connection closed",
    ]


def test_errors_are_raised_again_with_their_attributes(again: dict[str, Any]) -> None:
    found = again["errors"]
    kinds = [one[0] if type(one[0]) is str else one[1][0] for one in found]
    assert kinds == ["ClientPayloadError", "ClientPayloadError", "ServerDisconnectedError",
                     "TimeoutError", "TimeoutError", "SocketTimeoutError", "SocketTimeoutError",
                     "ClientResponseError", "ClientConnectorError", "ClientConnectorDNSError",
                     "ClientConnectorSSLError", "NonHttpUrlClientError"]  # fmt: skip
    assert found[4][0] == [b"half"]
    assert found[8][2:] == ["111", "127.0.0.1"]


def test_requests_that_were_cancelled_are_again(again: dict[str, Any]) -> None:
    assert again["cancelled"] == ["late", "CancelledError"]


def test_what_the_session_does_it_does_in_a_replay(again: dict[str, Any]) -> None:
    found = again["client"]
    assert found[1] == [(302, "/redirect")]
    assert found[3:6] == [{"in": True}, 304, True]
    assert found[6:8] == [{"token_type": "bearer", "known": False, "cookie": True},
                          ["session", "theme"]]  # fmt: skip
    assert found[8] == [("/redirect", 302), ("/count/redirected", 200)]


def test_what_is_sent_is_an_output_with_its_body(
    aiohttp_shop: Any, again: dict[str, Any], traces: dict[str, Trace]
) -> None:
    steps = aiohttp_shop.below(traces["everything"], "sent")
    assert {step.kind for step in steps} == {"output"}
    bodies = [values.inert(step.args).get("body") for step in steps]
    assert bodies[:6] == [{"price": Decimal("1.5")}, {"a": "1"}, b"\xff\x00", "text", "onetwo",
                          None]  # fmt: skip
    assert bodies[6]["f"] == {"filename": "a.txt", "type": "text/plain", "content": "inside"}
    assert isinstance(bodies[6]["password"], values.Redacted)
    assert bodies[7:] == ["a file", "packed " * 9]


def test_requests_at_once_are_served_by_their_occurrence(again: dict[str, Any]) -> None:
    counts, same = again["together"]
    assert [one["of"] for one in counts] == ["0", "1", "2", "3"]
    assert len({one["count"] for one in same}) == 4


@pytest.mark.in_turn
def test_more_of_a_stream_than_was_read_is_a_miss(
    aiohttp_shop: Any, traces: dict[str, Trace], repeats_unasked: Callable[..., Any]
) -> None:
    assert repeats_unasked(aiohttp_shop, traces["half"]) == [(one, True) for one in EVENTS[:2]]
    changed = aiohttp_shop.copy(aiohttp_shop.directory.parent / "more")
    changed.change("READ = 2", "READ = 3")
    (miss,) = changed.replay(traces["half"]).replay.misses
    assert miss.name == "aiohttp rest of a body"


def test_other_requests_are_answered_as_asked_for_and_outputs_are_not_sent(
    aiohttp_shop: Any, traces: dict[str, Trace], service: HttpService
) -> None:
    changed = aiohttp_shop.copy(aiohttp_shop.directory.parent / "changed")
    changed.settings('inputs = ["aiohttp"]\nreplay_allow = ["inputs"]\n')
    changed.change('NAMES = ["a", "b"]', 'NAMES = ["a", "c"]')
    changed.change("PRICE = 1", "PRICE = 2.25")
    trace, count = traces["asks"], len(service.asked)
    (miss,) = changed.replay(trace).replay.misses
    assert miss.name == "aiohttp GET"
    new = changed.replay(trace, on_miss="stub")
    assert changed.result(new)[0] == ["a", None]
    assert values.inert(new.steps[3].args)["body"] == {"price": Decimal("2.25")}
    assert len(service.asked) == count
    live = changed.replay(trace, on_miss="live")
    assert changed.result(live)[0] == ["a", "c"]
    assert service.asked[count:] == ["GET /count/c"]


@pytest.mark.in_turn
def test_a_change_is_compared_and_explained_without_the_service(
    aiohttp_shop: Any, traces: dict[str, Trace], service: HttpService
) -> None:
    changed = aiohttp_shop.copy(aiohttp_shop.directory.parent / "explained")
    changed.change(
        'return (await response.json())["size"]', 'return (await response.json())["size"] * 2'
    )
    count, trace = len(service.asked), traces["searches"]
    assert changed.cli("compare", trace.id).returncode == 1
    assert "searches" in changed.cli("explain", trace.id).stdout
    assert len(service.asked) == count


@pytest.mark.in_turn
def test_requests_that_read_are_named_in_the_settings(
    aiohttp_shop: Any, traces: dict[str, Trace], repeats: Callable[..., Trace]
) -> None:
    trace = traces["searches"]
    assert [(step.kind, step.name) for step in trace.steps[1:]] == [("input", "aiohttp POST")]
    repeats(aiohttp_shop, trace)


@pytest.mark.in_turn
def test_classes_hooks_and_generators_of_the_program_run_in_a_replay(
    aiohttp_shop: Any, traces: dict[str, Trace], repeats: Callable[..., Trace]
) -> None:
    mine, size, broken, unix, status = aiohttp_shop.result(traces["own"])
    assert (mine, size, broken, status) == ("of the program", 15, "ClientConnectionError", 201)
    assert unix[:2] == ["UnixClientConnectorError",
                        "Cannot connect to unix socket none ssl:default [No such file or directory]"
                        ]  # fmt: skip
    repeats(aiohttp_shop, traces["own"])


@pytest.mark.in_turn
def test_a_server_that_fails_in_the_middle_does_so_in_a_replay(
    aiohttp_shop: Any, traces: dict[str, Trace], repeats: Callable[..., Trace], faulty: FaultyHttp
) -> None:
    trace, asked = traces["faulty"], len(faulty.requests)
    size, cut, refused = aiohttp_shop.result(trace)
    assert (size > 0, cut[0], refused) == (True, "ClientPayloadError", "ClientResponseError")
    lost, *_ = [step for step in trace.steps if step.kind == "input"]
    assert lost.error.type.endswith("ServerDisconnectedError")
    repeats(aiohttp_shop, trace)
    assert len(faulty.requests) == asked


def test_no_secret_is_in_the_store_and_a_replay_does_without_them(
    aiohttp_shop: Any, traces: dict[str, Trace]
) -> None:
    trace = traces["secrets"]
    assert aiohttp_shop.result(trace) == [True, True, "ServerDisconnectedError"]
    held = aiohttp_shop.stored() + repr(traces).encode()
    assert b"/count/" in held
    assert [secret for secret in SECRETS if secret.encode() in held] == []
    new = aiohttp_shop.replay(trace)
    assert not new.replay.misses
    assert not new.replay.unused
    assert aiohttp_shop.result(new) == aiohttp_shop.result(trace)


@pytest.mark.in_turn
def test_threads_without_context_and_web_sockets_are_recorded_nowhere_and_refused(
    aiohttp_shop: Any, traces: dict[str, Trace], service: HttpService
) -> None:
    assert len(traces["lost"].steps) == 1
    (miss,) = aiohttp_shop.replay(traces["lost"]).replay.misses
    assert (miss.name, miss.served) == ("aiohttp GET", "failed")
    assert "propagate" in miss.hint
    assert traces["socket"].warnings == ("the messages of a web socket are not recorded (aiohttp)",)
    count = len(service.asked)
    new = aiohttp_shop.replay(traces["socket"])
    assert new.steps[0].error is not None
    assert len(service.asked) == count


@pytest.mark.in_turn
def test_a_recorder_that_fails_breaks_no_request(
    aiohttp_shop: Any, traces: dict[str, Trace], service: HttpService
) -> None:
    shop = aiohttp_shop.copy(aiohttp_shop.directory.parent / "failing")
    calls = f"""
from tracediff.recording.libraries import aiohttp as library
kept = library.Asked
library.Asked = lambda *of: 1 / 0
asks({service.url!r})
library.Asked = kept
library.note_answer = lambda *of: 1 / 0
library.bare = lambda error: 1 / 0
asks({service.url!r})
"""
    for trace in shop.record(calls):
        assert shop.result(trace)[0] == ["a", "b"]
        assert trace.warnings == (
            "a value could not be recorded: ZeroDivisionError: division by zero",
        )


@pytest.mark.in_turn
def test_requests_outside_of_jobs_are_plain(tmp_path: Path, aiohttp_shop: Any) -> None:
    code = """
        import aiohttp, tracediff as td
        before = aiohttp.BaseConnector.connect
        td.configure(inputs=["aiohttp"])
        assert aiohttp.BaseConnector.connect is not before
        td.configure(inputs=[])
        assert aiohttp.BaseConnector.connect is before
    """
    import textwrap

    done = aiohttp_shop.run("-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
