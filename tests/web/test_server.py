"""What holds for every answer: its headers, its limits, what is written, what failed."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tracediff.errors import StoreError
from tracediff.reports.pages import templating
from tracediff.reports.pages.assets import version
from tracediff.testing import make_trace
from tracediff.web import application as application_module
from tracediff.web import limits
from tracediff.web.headers import POLICY
from tracediff.web.limits import LARGEST_BODY, LONGEST_URL, Limits

STYLE = f"/static/{version('tracediff.css')}/tracediff.css"
HERE = {"Origin": "http://127.0.0.1:8700", "Sec-Fetch-Site": "same-origin"}


class Extra:
    """A page of the tests: it fails, waits, or says what it was sent."""

    def __init__(self):
        self.error = None
        self.go = threading.Event()
        self.waiting = threading.Semaphore(0)

    def routes(self, site):
        def failing(request):
            raise self.error

        def waiting(request):
            self.waiting.release()
            assert self.go.wait(20)
            return PlainTextResponse("done")

        def writing(request):
            said = dict(site.form(request))
            return PlainTextResponse(f"{site.who(request)} wrote {said.get('reason')}")

        return [
            Route("/extra/failing", failing),
            Route("/extra/waiting", waiting),
            Route("/extra/writing", writing, methods=["POST"]),
        ]


@pytest.fixture
def extra(monkeypatch):
    page = Extra()
    pages = (*application_module._PAGES, page)
    monkeypatch.setattr(application_module, "_PAGES", pages)
    yield page
    page.go.set()


@pytest.fixture
def visiting(extra, demo_project, site, signed_in):
    """A signed-in client of pages that has the extra one too."""
    return signed_in(site(demo_project))


def csrf_of(client):
    return re.search(r'name="csrf" content="([^"]+)"', client.get("/").text)[1]


def write(client, headers=HERE, **form):
    return client.post("/extra/writing", data={"reason": "new rates", **form}, headers=headers)


def test_a_page_and_a_trace_are_shown(made, site, signed_in):
    client = signed_in(site(made(make_trace("abc", key="price/two"))))
    assert 'href="/trace/abc"' in client.get("/").text
    assert client.get("/trace/abc").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/nowhere", 404), ("/trace/none", 404), ("/extra/failing", 500),
     ("/extra/writing", 405), (STYLE, 200), ("/static/x/none.css", 404),
     (f"/{'x' * 9000}", 414)],
    ids=range(8),
)  # fmt: skip
@pytest.mark.parametrize("stranger_s", [False, True])
def test_every_answer_says_what_a_browser_may_do(
    visiting, extra, stranger, demo_project, site, path, status, stranger_s
):
    extra.error = ValueError("no")
    client = stranger(site(demo_project)) if stranger_s else visiting
    answer = client.get(path)
    if not stranger_s:
        assert answer.status_code == status
    headers = answer.headers
    assert headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    if answer.status_code == 200 and path.startswith("/static"):
        assert "immutable" in headers["cache-control"]
    else:
        assert headers["cache-control"] == "no-store"
        assert headers["vary"] == "Cookie, HX-Request"


def test_a_page_is_asked_for_its_head_alone(client):
    whole, head = client.get("/"), client.head("/")
    assert head.status_code == 200
    assert head.text == ""
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_what_is_asked_in_another_way_than_it_can_be_is_told_how(client):
    answer = client.options("/")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


def test_a_failed_page_says_a_number_and_the_log_has_it_once_with_the_traceback(
    visiting, extra, capfd
):
    extra.error = ValueError("cannot reach mongodb://mara:geheim@db/x \x1b[31m")
    answer = visiting.get("/extra/failing", params={"asked": "for-this"})
    assert answer.status_code == 500
    number = re.search(r"at error ([0-9a-f]{8})", answer.text)[1]
    out, log = capfd.readouterr()
    assert out == ""
    assert log.count("Traceback") == 1
    assert log.startswith(f"error {number}: GET /extra/failing\n")
    assert "ValueError: cannot reach mongodb://***@db/x ?[31m" in log
    assert "geheim" not in log + answer.text
    assert "for-this" not in log
    assert "mongodb" not in answer.text


def test_a_part_of_a_page_that_fails_is_a_part(visiting, extra, capfd):
    for error, status in ((ValueError("no"), 500), (StoreError("no", slug="trace-gone"), 410)):
        extra.error = error
        answer = visiting.get("/extra/failing", headers={"HX-Request": "true"})
        assert answer.status_code == status
        assert "<html" not in answer.text
        assert answer.headers["hx-retarget"] == "#refusal"
    assert 'id="refusal"' in visiting.get("/").text


def test_an_error_of_a_store_shows_no_credentials(visiting, extra):
    url = "mongodb://mara:geheim@db/x"
    extra.error = StoreError(f"{url} is gone", slug="store-unreachable", hint=f"start {url}")
    answer = visiting.get("/extra/failing")
    assert answer.status_code == 503
    assert "mongodb://***@db/x is gone" in answer.text
    assert "geheim" not in answer.text


def test_a_page_of_errors_that_fails_too_is_a_line(visiting, extra, monkeypatch, capfd):
    extra.error = ValueError("first")
    monkeypatch.setattr("tracediff.web.failures.failed", lambda *_: 1 / 0)
    answer = visiting.get("/extra/failing")
    assert answer.status_code == 500
    assert answer.text.startswith("This page failed: error ")
    assert capfd.readouterr().err.count("Traceback") >= 2


def test_a_write_from_a_page_is_taken_with_its_fields(visiting):
    token = csrf_of(visiting)
    assert write(visiting, csrf=token).text == "None wrote new rates"
    assert write(visiting, {**HERE, "X-CSRF-Token": token}).text == "None wrote new rates"
    assert write(visiting, {}, csrf=token).status_code == 200
    assert write(visiting, {"Origin": "null"}, csrf=token).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:8701"},
        {"Origin": "http://127.0.0.1:8700.evil.example"},
        {"Origin": "http://127.0.0.1:8700", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=range(7),
)
def test_a_write_from_another_site_is_refused(visiting, headers):
    assert write(visiting, headers, csrf=csrf_of(visiting)).status_code == 403


@pytest.mark.parametrize("token", [None, "", "x", "A" * 86], ids=range(4))
def test_a_write_without_its_token_is_refused(visiting, token):
    answer = write(visiting, **({} if token is None else {"csrf": token}))
    assert answer.status_code == 403
    assert "load the page again" in answer.text


def test_a_token_of_writes_of_another_session_is_refused(
    extra, demo_project, site, stranger, token
):
    mine, yours = (stranger(site(demo_project)) for _ in range(2))
    for client in (mine, yours):
        client.get("/", params={"token": token})
    assert write(mine, csrf=csrf_of(mine)).status_code == 200
    assert write(mine, csrf=csrf_of(yours)).status_code == 403


def test_a_proxy_s_user_writes_under_their_name(extra, demo_project, site, stranger):
    from ipaddress import ip_network

    given = {"header": "x-user", "proxies": (ip_network("10.0.0.7/32"),)}
    client = stranger(site(demo_project), peer="10.0.0.7", **given)
    client.headers["X-User"] = "mara"
    assert write(client, csrf=csrf_of(client)).text == "mara wrote new rates"
    stolen = csrf_of(client)
    client.headers["X-User"] = "jonas"
    assert write(client, csrf=stolen).status_code == 403


def test_read_only_pages_take_no_write(extra, demo_project, site, signed_in):
    client = signed_in(site(demo_project, writable=False))
    answer = write(client, csrf=csrf_of(client))
    assert answer.status_code == 403
    assert "read-only" in answer.text


def test_what_another_site_s_page_asks_for_is_refused_and_a_link_is_followed(client):
    asked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/", headers=asked).status_code == 403
    assert client.get("/", headers={**asked, "Sec-Fetch-Site": "same-site"}).status_code == 403
    assert client.get("/", headers={**asked, "Sec-Fetch-Mode": "navigate"}).status_code == 200


def test_a_form_in_another_form_is_refused(visiting):
    headers = {**HERE, "X-CSRF-Token": csrf_of(visiting)}
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json", ""):
        answer = visiting.post(
            "/extra/writing", content=b"reason=x", headers={**headers, "Content-Type": kind}
        )
        assert answer.status_code == 415, kind


def test_a_body_is_taken_up_to_its_limit(visiting):
    token = csrf_of(visiting)
    fits = LARGEST_BODY - 400
    assert write(visiting, csrf=token, reason="x" * fits).status_code == 200
    assert write(visiting, csrf=token, reason="x" * LARGEST_BODY).status_code == 413

    def parts():
        for _ in range(20):
            yield b"reason=" + b"x" * 10_000

    kind = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": token}
    answer = visiting.post("/extra/writing", content=parts(), headers={**HERE, **kind})
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    many = "&".join(f"a{n}=" for n in range(2000))
    assert (
        visiting.post("/extra/writing", content=many, headers={**HERE, **kind}).status_code == 400
    )


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    async def nothing():
        await asyncio.Event().wait()

    monkeypatch.setattr(limits, "BODY_WITHIN", 0.01)
    with pytest.raises(limits.HTTPException) as refused:
        asyncio.run(limits.body_of(nothing))
    assert refused.value.status_code == 408


def test_an_address_is_taken_up_to_its_limit(client):
    assert client.get("/?tag=" + "x" * (LONGEST_URL - 20)).status_code == 200
    assert client.get("/?tag=" + "x" * LONGEST_URL).status_code == 414


def test_too_many_requests_at_once_are_told_to_come_again(
    extra, demo_project, site, signed_in, monkeypatch
):
    monkeypatch.setattr(Limits.__init__, "__defaults__", (2,))
    with signed_in(site(demo_project)) as client:  # one event loop for all its requests
        answers = []

        def ask():
            answers.append(client.get("/extra/waiting").status_code)

        asking = [threading.Thread(target=ask) for _ in range(2)]
        for one in asking:
            one.start()
        for _ in asking:
            assert extra.waiting.acquire(timeout=20)
        answer = client.get("/")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        extra.go.set()
        for one in asking:
            one.join()
        assert answers == [200, 200]
        assert client.get("/").status_code == 200


def test_pages_stay_those_that_the_server_was_started_with(
    site, demo_project, signed_in, monkeypatch
):
    templating._environment.cache_clear()
    signed_in(site(demo_project))
    environment = templating._environment()
    monkeypatch.setattr(environment.loader, "get_source", None)
    for name in environment.list_templates():
        assert environment.get_template(name) is not None
