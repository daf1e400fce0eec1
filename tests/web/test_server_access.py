"""Who gets in: by the token, by what a browser keeps in its place, by a proxy's word."""

from __future__ import annotations

import base64
import re
import time
from ipaddress import ip_network

import pytest

from tracediff.errors import UsageError
from tracediff.web.access import (
    LIFETIME,
    Access,
    Visitor,
    chosen_token,
    trusted_networks,
)

PROXY = {"header": "x-user", "proxies": (ip_network("10.0.0.0/24"), ip_network("fd00::5/128"))}
COOKIE = "tracediff-8700"


@pytest.fixture(scope="module")
def shared(demo_project, site):
    return site(demo_project)


@pytest.fixture
def unknown(shared, stranger):
    """A client that is not signed in."""
    return stranger(shared)


def csrf_of(client):
    return re.search(r'name="csrf" content="([^"]+)"', client.get("/").text)[1]


def test_who_has_no_token_is_asked_for_it_and_learns_nothing_of_the_store(unknown, demo_project):
    answer = unknown.get("/")
    assert answer.status_code == 401
    assert 'name="token"' in answer.text
    assert ".tracediff" not in answer.text
    assert unknown.get("/trace/abc").status_code == 401
    assert unknown.get("/nowhere").status_code == 401
    assert unknown.post("/", data={"a": "b"}).status_code == 401


def test_the_address_with_the_token_signs_in_and_leads_to_itself_without_it(unknown, token):
    answer = unknown.get("/", params={"tag": "a b&c", "token": token, "state": "error"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?tag=a+b%26c&state=error"
    said = answer.headers["set-cookie"]
    assert said.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(said.split("; "))
    assert "Secure" not in said
    assert token not in said
    assert unknown.get("/").status_code == 200


def test_the_token_is_in_no_answer(unknown, token):
    text = unknown.get("/", params={"token": token}).text
    text += "".join(unknown.get(path).text for path in ("/", "/nowhere", "/sign-in"))
    unknown.cookies.clear()
    wrong = unknown.get("/", params={"token": token[:-1]})
    assert wrong.status_code == 401
    assert token[:-1] not in text + wrong.text


@pytest.mark.parametrize("given", ["", "x", "ä\ud800", "a" * 5000], ids=range(4))
def test_another_token_does_not_sign_in(unknown, given):
    answer = unknown.post("/sign-in", data={"token": given.encode("utf-8", "replace")})
    assert answer.status_code == 401
    assert "That is not this server" in answer.text
    assert "set-cookie" not in answer.headers


def test_the_page_to_sign_in_leads_where_one_wanted_to(unknown, token):
    asked = unknown.get("/trace/abc?a=1&b=<2>")
    wanted = re.search(r'name="next" value="([^"]*)"', asked.text)[1]
    assert wanted == "/trace/abc?a=1&amp;b=%3C2%3E"
    answer = unknown.post("/sign-in", data={"token": token, "next": wanted.replace("&amp;", "&")})
    assert (answer.status_code, answer.headers["location"]) == (303, "/trace/abc?a=1&b=%3C2%3E")
    assert unknown.get("/").status_code == 200
    assert unknown.get("/sign-in").headers["location"] == "/"


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/", "///a//b",
     "javascript:alert(1)", "/a\r\nSet-Cookie: b=c", "", "?next=/"],
)  # fmt: skip
def test_signing_in_leads_to_no_other_server(unknown, token, wanted):
    answer = unknown.post("/sign-in", data={"token": token, "next": wanted})
    assert answer.status_code == 303
    assert re.match(r"/([^/\\]|$)", answer.headers["location"])
    assert len(answer.headers.get_list("set-cookie")) == 1
    unknown.cookies.clear()
    if wanted.startswith("/"):
        led = unknown.get(f"{unknown.base_url}{wanted}".replace("\r\n", "%0d%0a"),
                          params={"token": token})  # fmt: skip
        assert re.match(r"/([^/\\]|$)", led.headers["location"])


def test_a_session_that_was_tampered_with_or_is_another_server_s_is_none(unknown, token):
    unknown.get("/", params={"token": token})
    session = unknown.cookies[COOKIE]
    begun, nonce, signature = session.split(".")
    others = Access(token="another token that is long enough", port=8700).new_session()
    later = f"{int(begun, 16) + 10:x}.{nonce}.{signature}"
    for wrong in (
        "",
        "..",
        "a.b.c",
        later,
        session[:-1],
        session + "0",
        others,
        session * 9,
        token,
    ):
        unknown.cookies.clear()
        assert unknown.get("/", headers={"Cookie": f"{COOKIE}={wrong}"}).status_code == 401, wrong
    assert unknown.get("/", headers={"Cookie": f"tracediff-1={session}"}).status_code == 401
    assert unknown.get("/", headers={"Cookie": f"{COOKIE}={session}"}).status_code == 200


def test_a_session_ends(monkeypatch):
    access = Access(token="t" * 40, port=1)
    session = access.new_session()
    now = time.time()
    monkeypatch.setattr("tracediff.web.access.time.time", lambda: now + LIFETIME - 60)
    assert access.is_session(session)
    monkeypatch.setattr("tracediff.web.access.time.time", lambda: now + LIFETIME + 1)
    assert not access.is_session(session)


def test_a_ticket_signs_in_once():
    access = Access(token="t" * 40, port=1)
    ticket = access.ticket()
    assert not access.knows("another")
    assert access.knows(ticket)
    assert not access.knows(ticket)
    assert access.knows("t" * 40)


def test_a_browser_that_speaks_tls_with_a_trusted_proxy_keeps_its_cookie_for_tls(
    shared, stranger, token
):
    encrypted = {"X-Forwarded-Proto": "https"}
    known = stranger(shared, peer="10.0.0.7", **PROXY)
    answer = known.get("/", params={"token": token}, headers=encrypted)
    assert "Secure" in answer.headers["set-cookie"]
    other = stranger(shared, peer="10.0.1.7", **PROXY)
    answer = other.get("/", params={"token": token}, headers=encrypted)
    assert "Secure" not in answer.headers["set-cookie"]


@pytest.mark.parametrize("peer", ["10.0.0.7", "::ffff:10.0.0.7", "fd00::5"])
def test_a_trusted_proxy_says_who_asks(shared, stranger, peer):
    client = stranger(shared, peer=peer, **PROXY)
    assert client.get("/", headers={"X-User": "mara"}).status_code == 200
    assert client.get("/").status_code == 401
    assert client.get("/", headers={"X-User": " "}).status_code == 401


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.1.7", "::ffff:10.0.1.7", "fd00::6", "testing"])
def test_nobody_else_does(shared, stranger, token, peer):
    client = stranger(shared, peer=peer, **PROXY)
    assert client.get("/", headers={"X-User": "mara"}).status_code == 401
    assert client.get("/", params={"token": token}).status_code == 303


@pytest.mark.parametrize("said", [["a", "b"], ["a" * 201], ["a\x01"], ["\x7f"]], ids=range(4))
def test_a_proxy_that_says_no_name_is_refused(shared, stranger, said):
    client = stranger(shared, peer="10.0.0.7", **PROXY)
    assert client.get("/", headers=[("X-User", one) for one in said]).status_code == 400


def test_a_name_that_is_no_text_is_refused():
    access = Access(token="t" * 40, port=1, **PROXY)
    with pytest.raises(ValueError):
        access.visitor("10.0.0.7", [(b"x-user", b"\xff")], None)
    with pytest.raises(ValueError):
        access.visitor("10.0.0.7", [(b"x-user", "a\u202eb".encode())], None)
    assert access.visitor("10.0.0.7", [(b"x-user", "ä".encode())], None).name == "ä"


def test_the_header_says_nothing_without_the_options(unknown):
    assert unknown.get("/", headers={"X-User": "mara"}).status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8700",
        "localhost",
        "LOCALHOST:1",
        "[::1]:8700",
        "traces.example.com",
        "localhost.",
    ],
)
def test_the_server_answers_to_its_names(shared, stranger, host):
    client = stranger(shared, hosts=frozenset({"traces.example.com"}))
    assert client.get("/", headers={"Host": host}).status_code == 401


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "10.0.0.9", "[::2]", "localhost@evil", "a b"],
)
def test_it_answers_to_no_other(client, shared, stranger, host):
    assert stranger(shared).get("/", headers={"Host": host}).status_code == 421
    assert client.get("/", headers={"Host": host}).status_code == 421


def test_a_server_that_listens_on_all_addresses_is_called_by_the_one_that_was_asked():
    access = Access(token="t" * 40, port=1, anywhere=True)
    assert access.is_called("10.0.0.9:8700", "10.0.0.9")
    assert access.is_called("[fd00::5]", "fd00::5")
    assert not access.is_called("10.0.0.8", "10.0.0.9")
    assert not access.is_called("evil.example", "10.0.0.9")
    assert not Access(token="t" * 40, port=1).is_called("10.0.0.9", "10.0.0.9")


def test_each_page_has_another_token_of_writes_and_each_holds_for_its_session_alone():
    access = Access(token="t" * 40, port=1)
    me, you = Visitor(session="a"), Visitor(session="b")
    tokens = {access.csrf(me) for _ in range(20)}
    assert len(tokens) == 20
    assert all(access.is_csrf(one, me) for one in tokens)
    assert not any(access.is_csrf(one, you) for one in tokens)
    assert not any(Access(token="u" * 40, port=1).is_csrf(one, me) for one in tokens)


@pytest.mark.parametrize("given", ["", "a", "ä", "=", "A" * 88, "A" * 10_000, "\0"], ids=range(7))
def test_what_is_no_token_of_writes_is_refused(given):
    assert not Access(token="t" * 40, port=1).is_csrf(given, Visitor(session="a"))


def test_a_token_of_writes_with_another_bit_is_refused():
    access = Access(token="t" * 40, port=1)
    good = bytearray(base64.urlsafe_b64decode(access.csrf(Visitor(session="a"))))
    for at in range(len(good)):
        changed = bytes(good[:at]) + bytes([good[at] ^ 1]) + bytes(good[at + 1 :])
        assert not access.is_csrf(base64.urlsafe_b64encode(changed).decode(), Visitor(session="a"))


def test_what_holds_a_secret_does_not_show_it():
    access = Access(token="t" * 40, port=1)
    assert "ttt" not in repr(access)
    assert access.ticket() not in repr(access)


@pytest.mark.parametrize("token", ["", "short", "a" * 31, "a" * 40 + " ", "ä" * 40, "a\n" * 20])
def test_a_weak_token_is_refused_and_not_shown(token):
    with pytest.raises(UsageError) as refused:
        chosen_token({"TRACEDIFF_UI_TOKEN": token})
    assert refused.value.slug == "ui-token-weak"
    assert not token or token not in str(refused.value) + refused.value.hint


def test_a_token_of_the_environment_is_taken():
    assert chosen_token({"TRACEDIFF_UI_TOKEN": "a" * 32}) == "a" * 32
    assert chosen_token({}) is None


@pytest.mark.parametrize("text", ["", "proxy", "10.0.0.1/33", "10.0.0.1/24", "0.0.0.0/0", "::/0"])
def test_what_names_no_proxy_is_refused(text):
    with pytest.raises(UsageError) as refused:
        trusted_networks([text])
    assert refused.value.slug == "ui-proxy-invalid"


def test_an_address_alone_is_a_network():
    assert trusted_networks(["10.0.0.5", "fd00::/8"]) == (
        ip_network("10.0.0.5/32"),
        ip_network("fd00::/8"),
    )
