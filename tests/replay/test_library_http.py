"""What both HTTP libraries of ``inputs`` have in common: misses, secrets, which requests read."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from servers.http_service import HttpService
from tracediff import values
from tracediff.model import Step, Trace

JOBS = """
    import json, os
    import httpx, requests
    HELD = json.loads(os.environ.get("SHOP_HELD", "{}"))  # of which a replay knows nothing
    LIBRARIES = {"httpx": httpx, "requests": requests}

    def each(do, names, url):
        return [do(name, LIBRARIES[name], url) for name in names.split()]

    @td.job("asks")
    def asks(names, url):
        def do(name, library, url):
            found = [library.get(url + f"/count/{one}").json() for one in NAMES]
            return [one and one["of"] for one in found]
        return each(do, names, url)

    NAMES = ["a", "b"]

    @td.job("searches")
    def searches(names, url):
        def do(name, library, url):
            found = [library.post(url + path, json={"query": 1}).json()["size"]
                     for path in ("/echo/search/1", "/echo/write")]
            return found + [library.get(url + "/count/trigger").json()["of"]]
        return each(do, names, url)

    @td.job("writes")
    def writes(names, url):
        def do(name, library, url):
            return library.post(url + "/echo", json={"price": PRICE}).json()["size"]
        return each(do, names, url)

    PRICE = 1

    @td.job("pieces")
    def pieces(names, url):
        def do(name, library, url):
            body = (one for one in (b'{"query"', b': 1}'))
            how = {"content": body} if name == "httpx" else {"data": body}
            return library.post(url + "/echo/search/" + WHICH, **how).json()["size"]
        return each(do, names, url)

    WHICH = "1"

    @td.job("large")
    def large(names, url):
        from tracediff.recording.libraries.http import answers
        answers.MAX_BODY = 50_000
        def do(name, library, url):
            return [len(library.get(f"{url}/large/{size}").content) for size in SIZES][0]
        return each(do, names, url)

    SIZES = [40_000, 60_000]

    LEFT = []

    @td.job("left")
    def left(url):
        os.environ.get("HOME")
        requests.post(url + "/echo", data={"a": 1})
        client = httpx.Client()
        LEFT.append(client.send(client.build_request("GET", url + "/events"), stream=True))
        return LEFT[-1].status_code

    @td.job("secrets")
    def secrets(names, url):
        return each(with_secrets, names, url)

    def with_secrets(library, lib, url):
        held = "header query sig user form failed".split()
        header, query, sig, user, form, failed = (HELD.get(one, "dummy-" + one) for one in held)
        client = lib.Client() if library == "httpx" else lib.Session()
        follow = {"follow_redirects": True} if library == "httpx" else {}
        with client:
            found = [client.get(url + "/login").json()["user"]["name"]]
            token = client.get(url + "/login").json()["access_token"]
            headers = {"Authorization": f"Bearer {token}", "X-Api-Key": header}
            found.append(client.get(url + "/secret", headers=headers).json()["known"])
            found.append(client.get(url + "/secret", params={"ref": token}).json()["known"])
            found.append(client.post(url + "/secret", json={"access_token": token}).json()["known"])
            found.append(client.get(f"{url}/count/{token}").json()["of"] == token)
            found.append(client.get(url + "/count/x", params={
                "api_key": query, "sig": sig}).json()["of"])
            found.append(client.get(url.replace("://", f"://ada:{user}@") + "/digest").json())
            found.append(client.get(url + "/redirect", **follow).json()["of"])
            found.append(client.post(url + "/echo", data={"password": form}).json()["size"])
            found.append(client.get(url + "/xml").status_code)
            found.append(client.get(url + "/sse").status_code)
            found.append(client.get(url + "/json/broken-secret").status_code)
            other = url.rpartition(":")[0] + ":9"
            for to in (url + "/status/500", url + "/dropped", other):
                try:
                    client.get(f"{to}?token={failed}").raise_for_status()
                except Exception as error:
                    found.append(error)
            return found[:-3] + [type(one).__name__ for one in found[-3:]]

    @td.job("fails")
    def fails(library, url):
        failed = HELD.get("failed", "dummy-failed")
        LIBRARIES[library].get(f"{url}?token={failed}").raise_for_status()
"""

HELD = {
    "header": "kkkk-header-key-1",
    "query": "kkkk-query-key-22",
    "sig": "kkkk-signature-3",
    "user": "kkkk-of-the-user",
    "form": "kkkk-of-a-form",
    "failed": "kkkk-in-an-error",
}
SECRETS = [
    "pa55word-of-ada", "acce55-t0ken-9f8e7d6c5b4a", "ap1-key-in-link", "c00kie-of-login",
    "auth-t0ken-in-header", "t0ken-0f-redirect", "xml-pa55word", "ev3nt-key", "pa55word-broken",
    *HELD.values(),
]  # fmt: skip


@pytest.fixture(scope="module")
def http_shop(new_shop: Callable[[], Any], service: HttpService) -> Any:
    shop = new_shop()
    shop.settings('inputs = ["httpx", "requests"]\n')
    shop.jobs(JOBS)
    return shop


@pytest.fixture(scope="module")
def asked(http_shop: Any, service: HttpService) -> dict[str, Trace]:
    """Traces of the jobs; of the first, of each library by itself too."""
    names, url = "httpx requests", service.url
    calls = [f"{job}({names!r}, {url!r})" for job in ("asks", "writes", "secrets", "large")]
    calls += [f"asks({name!r}, {url!r})" for name in names.split()]
    fails = [
        f"with suppress(Exception): fails({name!r}, {to!r})"
        for name in names.split()
        for to in (f"{url}/status/500", "http://127.0.0.1:9/")
    ]
    code = "\n".join(["from contextlib import suppress", *calls, *fails])
    found = http_shop.record(code, SHOP_HELD=json.dumps(HELD))
    keys = ["asks", "writes", "secrets", "large", *names.split(), *"1234"]
    return dict(zip(keys, found, strict=True))


@pytest.fixture(scope="module")
def changed(http_shop: Any) -> Any:
    """The project, whose jobs ask for and send something else; live inputs are let through."""
    shop = http_shop.copy(http_shop.directory.parent / "changed")
    shop.settings('inputs = ["httpx", "requests"]\nreplay_allow = ["inputs"]\n')
    shop.change('NAMES = ["a", "b"]', 'NAMES = ["a", "c"]')
    shop.change("PRICE = 1", "PRICE = 2.25")
    shop.change("SIZES = [40_000, 60_000]", "SIZES = [40_000]")
    return shop


@pytest.mark.parametrize("library", ["httpx", "requests"])
def test_a_request_that_was_not_recorded_stops_a_replay(
    changed: Any, asked: dict[str, Trace], library: str
) -> None:
    failed = changed.replay(asked[library])
    (miss,) = failed.replay.misses
    assert miss.name == f"{library} GET"
    assert failed.steps[0].error is not None
    (old, changes), *_ = miss.nearest
    assert values.inert(asked[library].steps[old].args)["url"].endswith("/count/a")
    assert len(changes) == 1


def test_a_request_that_was_not_recorded_is_answered_as_asked_for(
    changed: Any, asked: dict[str, Trace], service: HttpService
) -> None:
    count = len(service.asked)
    nearest = changed.replay(asked["asks"], on_miss="nearest")
    assert changed.result(nearest) == [["a", "a"], ["a", "a"]]
    stub = changed.replay(asked["asks"], on_miss="stub")
    assert changed.result(stub) == [["a", None], ["a", None]]
    assert stub.warnings == (
        "an answer that was not recorded is an empty one: httpx GET",
        "an answer that was not recorded is an empty one: requests GET",
    )
    assert len(service.asked) == count


def test_a_live_miss_is_sent_and_nothing_else(
    changed: Any, asked: dict[str, Trace], service: HttpService
) -> None:
    count = len(service.asked)
    new = changed.replay(asked["asks"], on_miss="live")
    assert changed.result(new) == [["a", "c"], ["a", "c"]]
    assert service.asked[count:] == ["GET /count/c"] * 2
    assert values.inert(new.steps[2].result)["body"]["of"] == "c"


def test_a_body_of_pieces_is_sent_whole_by_a_live_miss(
    http_shop: Any, service: HttpService
) -> None:
    shop = http_shop.copy(http_shop.directory.parent / "pieces")
    shop.settings('inputs = ["httpx", "requests", "POST */search/*"]\nreplay_allow = ["inputs"]\n')
    (trace,) = shop.record(f"pieces('httpx requests', {service.url!r})")
    assert shop.result(trace) == [12, 12]
    shop.change('WHICH = "1"', 'WHICH = "2"')
    assert shop.result(shop.replay(trace, on_miss="live")) == [12, 12]


def test_another_output_is_compared_and_answered_as_the_recorded_one(
    changed: Any, asked: dict[str, Trace]
) -> None:
    new = changed.replay(asked["writes"])
    assert changed.result(new) == changed.result(asked["writes"])
    bodies = [values.inert(step.args)["body"] for step in new.steps[1:]]
    assert bodies == [{"price": Decimal("2.25")}] * 2


def test_what_was_asked_of_another_server_is_answered_and_said(
    new_shop: Callable[[], Any], service: HttpService
) -> None:
    shop = new_shop()
    shop.settings('inputs = ["httpx", "requests"]\n')
    shop.jobs("""
        import os
        import httpx, requests
        BASE = os.environ.get("SHOP_RATES", "https://rates.invalid:8090")

        @td.job("rated")
        def rated(same):
            found = [lib.get(BASE + "/count/" + one, params={"token": os.getpid()})
                     for lib in (httpx, requests) for one in "ab"]
            found.append(httpx.get(same + "/count/a", params={"token": os.getpid()}))
            return [one.json()["of"] for one in found]
    """)
    same = service.url.replace("127.0.0.1", "localhost")  # asked at the place it was recorded at
    (trace,) = shop.record(f"rated({same!r})", SHOP_RATES=service.url)
    new = shop.replay(trace)
    assert shop.result(new) == shop.result(trace) == [*"abab", "a"]
    assert new.warnings == tuple(
        f"{name} GET: recorded at {service.url}, asked at https://rates.invalid:8090"
        for name in ("httpx", "requests")
    )
    assert [alike(step) for step in new.steps] == [alike(step) for step in trace.steps]
    shop.change('/count/" + one', '/counts/" + one')
    assert [miss.name for miss in shop.replay(trace).replay.misses] == ["httpx GET"]


def test_a_what_if_gives_the_document_of_an_answer(http_shop: Any, asked: dict[str, Trace]) -> None:
    sets = [f"--set={library} POST={{'size': 99}}" for library in ("httpx", "requests")]
    done = http_shop.cli("replay", asked["writes"].id, *sets)
    assert "[99, 99]" in done.stdout, done.stderr


def test_requests_that_read_are_named_in_the_settings(
    new_shop: Callable[[], Any], service: HttpService, repeats: Callable[..., Trace]
) -> None:
    shop = new_shop()
    shop.settings(
        'inputs = ["httpx", "requests", "POST http://127*/echo/search/*", "!GET */trigger"]\n'
    )
    shop.jobs(JOBS)
    (trace,) = shop.record(f"searches('httpx requests', {service.url!r})")
    assert [step.kind for step in trace.steps[1:]] == ["input", "output", "output"] * 2
    repeats(shop, trace)


def test_requests_are_not_named_without_a_library(new_shop: Callable[[], Any]) -> None:
    shop = new_shop()
    shop.settings('inputs = ["POST https://host/search"]\n')
    shop.jobs('@td.job("one")\ndef one(): return 1')
    done = shop.run("-c", "from shop.jobs import *; one()")
    assert "inputs: 'POST https://host/search' is no library" in done.stderr


def test_a_body_that_is_too_large_stops_the_replay_that_reads_it(
    http_shop: Any, changed: Any, asked: dict[str, Trace]
) -> None:
    trace = asked["large"]
    assert trace.warnings == (
        "a body is too large to be recorded: httpx GET",
        "a body is too large to be recorded: requests GET",
    )
    assert "body" not in values.inert(trace.steps[2].result)
    assert "body" not in values.inert(trace.steps[4].result)
    (miss,) = http_shop.replay(trace).replay.misses
    assert miss.name == "httpx rest of a body"
    assert changed.result(changed.replay(trace)) == [40_000, 40_000]


def test_a_body_that_is_read_after_the_job_is_not_of_the_job(
    new_shop: Callable[[], Any], service: HttpService, repeats: Callable[..., Trace]
) -> None:
    shop = new_shop()
    shop.settings('inputs = ["httpx", "requests", "open", "os.environ", "random", "uuid"]\n')
    shop.jobs(JOBS)
    (trace,) = shop.record(f"left({service.url!r}); LEFT[0].read()")
    (answer,) = shop.results(trace, "httpx GET")
    assert answer["unread"] is True
    repeats(shop, trace)


def alike(step: Step) -> bytes:
    """What a step was called with, however its secrets were."""
    return values.without_secrets(step.args.data) or step.args.data


def test_no_secret_is_in_the_store_and_a_replay_does_without_them(
    http_shop: Any, asked: dict[str, Trace]
) -> None:
    trace = asked["secrets"]
    found = http_shop.result(trace)
    assert [one[1:4] for one in found] == [[True, True, True]] * 2
    assert [one[-3:] for one in found] == [
        ["HTTPStatusError", "RemoteProtocolError", "ConnectError"],
        ["HTTPError", "ConnectionError", "ConnectionError"],
    ]
    errors = [asked[key].steps[0].error for key in "1234"]
    assert ["token=[redacted]" in error.message for error in errors] == [True, False, True, True]
    held = http_shop.stored() + repr(asked).encode()
    assert b"/count/" in held
    assert b"theme" in held
    assert [secret for secret in SECRETS if secret.encode() in held] == []
    again = http_shop.replay(trace)
    assert not again.replay.misses
    assert not again.replay.unused
    assert [alike(step) for step in again.steps] == [alike(step) for step in trace.steps]
    assert [one[-3:] for one in http_shop.result(again)] == [one[-3:] for one in found]


def test_a_change_is_compared_and_explained_without_the_service(
    http_shop: Any, new_shop: Callable[[], Any], service: HttpService
) -> None:
    shop = new_shop()
    shop.settings('inputs = ["httpx"]\n')
    shop.jobs("""
        import httpx

        def rate(url, currency):
            return httpx.get(url + "/json").json()["rates"][currency]

        def rounded(amount):
            return round(amount, 2)

        @td.job("converted")
        def converted(url, amount):
            return rounded(amount * rate(url, "USD"))
    """)
    (trace,) = shop.record(f"converted({service.url!r}, 100)")
    assert shop.result(trace) == 108.25
    assert shop.cli("compare", trace.id).returncode == 0
    shop.change("round(amount, 2)", "round(amount, 1)")
    shop.change('["rates"][currency]', '["rates"][currency] * 2')
    count = len(service.asked)
    compared = shop.cli("compare", trace.id)
    assert compared.returncode == 1, compared.stderr
    explained = shop.cli("explain", trace.id)
    assert "rate" in explained.stdout, explained.stderr
    assert "rounded" in explained.stdout, explained.stderr
    assert len(service.asked) == count
