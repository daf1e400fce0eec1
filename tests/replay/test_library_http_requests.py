"""``requests`` as a library of ``inputs``: recorded with a service, replayed without one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from servers.http_service import EVENTS, RATES, HttpService
from tracediff import values
from tracediff.model import Trace

JOBS = """
    import io, threading
    from concurrent.futures import ThreadPoolExecutor
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    def head(response):
        return [response.status_code, response.reason, response.raw.version,
                list(response.headers.items()), response.encoding]

    def raised(call, *args, **kwargs):
        try:
            call(*args, **kwargs)
        except requests.RequestException as error:
            sent = error.request and error.request.url
            return type(error).__name__, str(error), sent, error.response is None

    @td.job("bodies")
    def bodies(url):
        with requests.Session() as session:
            found = [session.get(f"{url}/json/{style}").text for style in (
                "", "python", "indented", "php", "go", "money", "odd", "broken", "lines")]
            for path in ("text", "binary", "empty", "empty/200", "events", "closing",
                         "status/404", "status/503", "nowhere"):
                response = session.get(f"{url}/{path}")
                found.append([response.content, head(response)])
            found.append([session.get(url + "/text").text, session.get(url + "/json").json()])
            found.append(head(session.head(url + "/json/money")))
            found.append(head(session.options(url + "/json")))
        return found

    @td.job("encodings")
    def encodings(url):
        found = []
        for path in ("gzip", "deflate", "raw-deflate"):
            for query in ({}, {"chunks": "1"}):
                response = requests.get(f"{url}/encoded/{path}", params=query)
                found.append([response.json(), head(response)])
        response = requests.get(url + "/encoded/gzip", stream=True)
        found.append(list(response.iter_content(100)))
        found.append(raised(requests.get, url + "/encoded/broken"))
        found.append(requests.head(url + "/encoded/gzip").content)
        return found

    @td.job("streams")
    def streams(url):
        found = []
        with requests.Session() as session:
            def ask(path):
                return session.get(url + path, stream=True)
            found.append(list(ask("/events").iter_lines()))
            found.append(list(ask("/events").iter_content(None)))
            with ask("/events") as response:
                taken = response.iter_content(None)
                found.append([next(taken) for _ in range(READ)])
            with ask("/binary") as response:
                found.append(response.raw.read(10))
            with ask("/binary") as response:
                found.append(response.status_code)
            found.append(list(ask("/binary").iter_content(500)))
            found.append(ask("/text").raw.read())
            found.append(ask("/large/100000").content == b"x" * 100000)
        return found

    READ = 2

    @td.job("errors")
    def errors(url):
        found = []
        with requests.Session() as session:
            for path in ("/cut", "/cut/chunks"):
                try:
                    session.get(url + path)
                except requests.exceptions.ChunkedEncodingError as error:
                    found.append((type(error).__name__, str(error)))
            found.append(raised(session.get, url + "/dropped"))
            found.append(raised(session.get, url + "/slow", timeout=0.2))
            response = session.get(url + "/slow/body", timeout=0.2, stream=True)
            pieces = []
            try:
                pieces.extend(response.iter_content(2))
            except requests.ConnectionError as error:
                found.append((type(error).__name__, pieces))
            try:
                session.get(url + "/status/500").raise_for_status()
            except requests.HTTPError as error:
                found.append((type(error).__name__, str(error), error.response.status_code))
        found.append(raised(requests.get, "http://127.0.0.1:9/none"))
        found.append(raised(requests.get, url.replace("http:", "https:")))
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=Retry(1, status_forcelist=[503])))
            found.append(raised(session.get, url + "/status/503"))
        return found

    @td.job("client")
    def client(url):
        seen = []
        with requests.Session() as session:
            session.hooks["response"].append(lambda one, *a, **k: seen.append(one.status_code))
            moved = session.get(url + "/redirect")
            history = [(one.status_code, one.url) for one in moved.history]
            again = session.post(url + "/redirect/307", json={"a": 1}, allow_redirects=False)
            auth = requests.auth.HTTPDigestAuth("ada", "pa55word-of-digest")
            secret = session.get(url + "/digest", auth=auth).json()
            tag = session.get(url + "/cached").headers["etag"]
            same = session.get(url + "/cached", headers={"If-None-Match": tag}).status_code
            session.get(url + "/login")
            shown = session.get(url + "/secret").json()
        return [moved.json(), history, again.status_code, again.next.method, secret, same,
                sorted(session.cookies.keys()), shown, seen, moved.ok]

    @td.job("sent")
    def sent(url):
        def pieces():
            yield b"one"
            yield b"two"
        answers = [
            requests.post(url + "/echo", json={"price": 1.5}),
            requests.post(url + "/echo", data={"a": "1"}),
            requests.post(url + "/echo", data=b"\\xff\\x00"),
            requests.put(url + "/echo", data="text"),
            requests.patch(url + "/echo", data=pieces()),
            requests.delete(url + "/echo"),
            requests.post(url + "/echo", data=io.BytesIO(b"in a file")),
            requests.post(url + "/echo", files={"f": ("a.txt", b"inside", "text/plain")},
                          data={"note": "n", "password": "pa55word-in-a-form"}),
        ]
        return [one.json() for one in answers]

    @td.job("threads")
    def threads(url):
        with requests.Session() as session, ThreadPoolExecutor(3) as pool:
            ask = td.propagate(lambda number: session.get(f"{url}/count/{number}").json())
            return sorted(one["of"] for one in pool.map(ask, range(6)))

    class Own(HTTPAdapter):
        def send(self, request, **kwargs):
            request.headers["X-Own"] = "1"
            return super().send(request, **kwargs)

        def build_response(self, request, raw):
            response = super().build_response(request, raw)
            response.own = raw.status
            return response

    @td.job("own")
    def own(url):
        with requests.Session() as session:
            session.mount("http://", Own())
            return session.get(url + "/json").own
"""


NAMES = "bodies encodings streams errors client sent threads own".split()


@pytest.fixture(scope="module")
def traces(new_shop: Callable[[], Any], service: HttpService) -> tuple[Any, dict[str, Trace]]:
    shop = new_shop()
    shop.settings('inputs = ["requests"]\n')
    calls = ", ".join(f"{name}(url)" for name in NAMES)
    shop.jobs(
        f"""{JOBS}
    @td.job("everything")
    def everything(url):
        return [{calls}]
    """
    )
    found = shop.record(f"everything({service.url!r}); streams({service.url!r})")
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


def test_encoded_bodies_are_decoded_by_the_client(
    again: dict[str, Any], traces: tuple[Any, dict[str, Trace]]
) -> None:
    assert again["encodings"][7][0] == "ContentDecodingError"
    for step in traces[0].below(traces[1]["everything"], "encodings")[:6]:
        assert values.inert(step.result)["body"]["rows"][0] == {"id": 0, "price": "1.50"}


def test_streams_are_served_as_they_were_read(again: dict[str, Any]) -> None:
    found = again["streams"]
    assert found[1] == EVENTS
    assert found[2] == EVENTS[:2]
    assert found[3] == bytes(range(10))


def test_more_of_a_stream_than_was_read_is_a_miss(traces: tuple[Any, dict[str, Trace]]) -> None:
    shop, by_key = traces
    changed = shop.copy(shop.directory.parent / "more")
    changed.change("READ = 2", "READ = 3")
    new = changed.replay(by_key["streams"])
    (miss,) = new.replay.misses
    assert miss.name == "requests rest of a body"
    assert new.steps[0].error is not None


def test_errors_are_raised_again_with_their_request(again: dict[str, Any]) -> None:
    found = again["errors"]
    assert [one[0] for one in found] == [
        "ChunkedEncodingError", "ChunkedEncodingError", "ConnectionError", "ReadTimeout",
        "ConnectionError", "HTTPError", "ConnectionError", "SSLError", "RetryError",
    ]  # fmt: skip
    assert found[4][1] == [b"ha", b"lf"]


def test_what_the_session_does_it_does_in_a_replay(again: dict[str, Any]) -> None:
    found = again["client"]
    assert [status for status, _ in found[1]] == [302]
    assert found[2:7] == [307, "POST", {"in": True}, 304, ["session", "theme"]]
    assert found[7]["cookie"] is True


def test_what_is_sent_is_an_output_with_its_body(
    traces: tuple[Any, dict[str, Trace]],
) -> None:
    steps = traces[0].below(traces[1]["everything"], "sent")
    assert {step.kind for step in steps} == {"output"}
    bodies = [values.inert(step.args).get("body") for step in steps]
    assert bodies[:7] == [{"price": Decimal("1.5")}, {"a": "1"}, b"\xff\x00", "text", "onetwo",
                          None, "in a file"]  # fmt: skip
    assert bodies[7]["f"] == {"filename": "a.txt", "type": "text/plain", "content": "inside"}
    assert isinstance(bodies[7]["password"], values.Redacted)


def test_a_session_in_threads_is_served(again: dict[str, Any]) -> None:
    assert again["threads"] == ["0", "1", "2", "3", "4", "5"]


def test_an_adapter_that_derives_from_the_library_runs_itself(again: dict[str, Any]) -> None:
    assert again["own"] == 200
