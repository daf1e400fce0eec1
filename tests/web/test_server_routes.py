"""Odd things are sent to every route that there is: none of them fails, or reaches a file."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from urllib.parse import quote, unquote

import pytest
from starlette.convertors import IntegerConvertor
from starlette.datastructures import ImmutableMultiDict
from starlette.routing import Route

from tracediff.api import Project
from tracediff.config import Config
from tracediff.model import Query
from tracediff.web.access import Access
from tracediff.web.application import application
from tracediff.web.site import Site

NEEDLE = "needle7f3a"
ODD = [
    "", " ", ".", "..", "../../etc/passwd", "..\\..\\x", "/etc/passwd", "\0", "a\0b", "a\r\nX: y",
    "x" * 6000, "\u202e\u2066", "\udcff", "<script>alert(1)</script>", '" onload="x', "{{7*7}}",
    "' OR 1=1 --", "~root", "-1", "0", "1e999", "9" * 400, "NaN", "null", "__proto__", "%",
    f"file:///{NEEDLE}", f"/tmp/{NEEDLE}", f"../{NEEDLE}", f"{NEEDLE}.trace.json", "@last",
    f"archive:{NEEDLE}", "price@{999999999999}", "2026-02-30", "99999999h", "a=b=c", "[](){}*?+^$",
    "%s%n", "😀" * 50, "true", "2026-11-26T00:00:00+99:99", '{"a":', "\x1b[31m",
]  # fmt: skip
FORM = "application/x-www-form-urlencoded"


def _routes():
    """Every route, and the methods it takes."""
    site = Site(Project(Config(root=None)))
    found = application(site, Access(token="t" * 40, port=1)).routes
    assert all(isinstance(one, Route) for one in found)  # a mount would serve what is not tried
    return {(one.path, method) for one in found for method in sorted(one.methods - {"HEAD"})}


ROUTES = sorted(_routes())
READ = [path for path, method in ROUTES if method == "GET"]
WRITTEN = [*(one for one in ROUTES if one[1] != "GET"), ("/sign-in", "POST")]


def address(path, odd, **good):
    """A route's path with something odd in its parameters, but for those that are said."""
    for name, kind in Route(path, lambda request: None).param_convertors.items():
        number = isinstance(kind, IntegerConvertor)
        text = quoted(odd) if not good else good.get(name, "1" if number else quoted(odd))
        path = re.sub(rf"{{{name}(:\w+)?}}", text.replace("\\", r"\\"), path)
    return path


@pytest.fixture
def asked(monkeypatch):
    """The names of fields that handlers asked for, of queries and forms."""
    names = set()
    item, several = ImmutableMultiDict.__getitem__, ImmutableMultiDict.getlist

    def one(self, key):
        names.add(key)
        return item(self, key)

    def many(self, key):
        names.add(key)
        return several(self, key)

    monkeypatch.setattr(ImmutableMultiDict, "__getitem__", one)
    monkeypatch.setattr(ImmutableMultiDict, "getlist", many)
    return names


class Watch:
    """Notes what is opened, listed or looked at with the needle in its name."""

    def __init__(self):
        self.on, self.seen = False, []

    def __call__(self, event, arguments):
        if self.on and event.partition(".")[0] in ("open", "os", "sqlite3", "shutil", "pathlib"):
            self.note(event, arguments)

    def note(self, what, arguments):
        if NEEDLE in repr(arguments):
            self.seen.append((what, arguments))


WATCH = Watch()
sys.addaudithook(WATCH)  # none can be taken away again


@pytest.fixture
def watched(monkeypatch):
    for name in ("stat", "lstat"):  # these raise no audit event
        true = getattr(os, name)

        def looked(path, *args, _true=true, _name=name, **kwargs):
            WATCH.note(_name, path)
            return _true(path, *args, **kwargs)

        monkeypatch.setattr(os, name, looked)
    WATCH.on, WATCH.seen = True, []
    yield WATCH.seen
    WATCH.on = False


@pytest.fixture(scope="module")
def known(demo_project):
    """The id of a trace that there is."""
    return demo_project.search(Query(limit=1)).rows[0].id


@pytest.fixture(scope="module")
def another(demo_project):
    """The id of another one."""
    return demo_project.search(Query(limit=2)).rows[1].id


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as the server gets it; a client would tidy it up."""

    path: str
    query: str = ""
    method: str = "GET"
    headers: tuple = ()
    body: bytes = b""

    def scope(self, client):
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        own = [(name.lower().encode(), text.encode()) for name, text in self.headers]
        return {
            "type": "http", "method": self.method, "scheme": "http", "http_version": "1.1",
            "path": unquote(self.path), "raw_path": self.path.encode(), "root_path": "",
            "query_string": self.query.encode(), "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"127.0.0.1:8700"), (b"cookie", cookie.encode()), *own],
            "server": ("127.0.0.1", 8700),
        }  # fmt: skip


def answers(client, requests):
    """The status and the text of each answer."""

    async def answered(asked):
        said = []

        async def receive():
            return {"type": "http.request", "body": asked.body, "more_body": False}

        async def send(message):
            said.append(message)

        await client.app(asked.scope(client), receive, send)
        text = b"".join(part.get("body", b"") for part in said[1:])
        return said[0]["status"], text.decode("utf-8", "replace")

    async def each():
        return [await answered(one) for one in requests]

    return asyncio.run(each())


def quoted(odd):
    return quote(odd.encode("utf-8", "surrogateescape"), safe="")


def none_failed(client, requests):
    for asked, (status, text) in zip(requests, answers(client, requests), strict=True):
        assert status < 500, (asked, status, text[-3000:])
        assert "<script>alert" not in text, asked
        assert 'onload="x' not in text, asked


def test_the_watch_sees(watched, tmp_path):
    assert not (tmp_path / NEEDLE).exists()
    with pytest.raises(OSError):
        (tmp_path / NEEDLE).open()
    assert {what for what, _ in watched} == {"stat", "open"}


@pytest.mark.parametrize("path", [path for path in READ if "{" in path])
def test_odd_paths_are_refused_and_reach_no_file(client, watched, path):
    none_failed(client, [Asked(path=address(path, odd)) for odd in ODD])
    assert answers(client, [Asked(path=address(path, "x" * 100_000))])[0][0] == 414
    assert watched == []


@pytest.mark.parametrize("path", [path for path in READ if "{id}" in path])
def test_the_first_letters_of_an_id_name_no_trace(client, known, path):
    assert client.get(address(path, "0", id=known[:-1])).status_code == 404
    assert client.get(address(path, "0", id=f"{known}0")).status_code == 404


@pytest.mark.parametrize("path", READ)
def test_odd_queries_are_answered_or_refused_and_reach_no_file(
    client, watched, asked, known, another, path
):
    good = {"id": known, "old": known, "new": another, "step": "1", "number": "0", "side": "old"}
    where = address(path, "result", **good)
    none_failed(client, [Asked(path=where)])
    tried = set()
    while names := asked - tried - {"token"}:
        name = min(names)
        tried.add(name)
        odd = [*map(quoted, ODD), "a&" + f"{name}=a&" * 500]
        none_failed(client, [Asked(path=where, query=f"{name}={text}") for text in odd])
    assert watched == []


@pytest.mark.parametrize(("path", "method"), WRITTEN)
def test_odd_writes_are_refused_and_reach_no_file(client, watched, asked, path, method):
    page = client.get("/").text
    token = page.partition('name="csrf" content="')[2].partition('"')[0]
    sent = {"method": method, "headers": (("X-CSRF-Token", token), ("Content-Type", FORM))}
    where = address(path, "nothing")
    none_failed(client, [Asked(path=where, **sent)])
    tried = set()
    while names := asked - tried - {"token"}:
        name = min(names)
        tried.add(name)
        bodies = [f"{name}={quoted(odd)}".encode() for odd in ODD]
        none_failed(client, [Asked(path=where, body=body, **sent) for body in bodies])
    none_failed(client, [Asked(path=address(path, odd), **sent) for odd in ODD])
    none_failed(client, [Asked(path=where, body=b"\xff\x00=&&;%", **sent)])
    assert watched == []


@pytest.mark.parametrize("path", READ)
def test_a_route_takes_no_write_that_is_not_its_own(client, path):
    others = [one for one in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "ODD")
              if (path, one) not in ROUTES]  # fmt: skip
    requests = [Asked(path=address(path, "x"), method=one) for one in others]
    assert {status for status, _ in answers(client, requests)} <= {403, 405}


@pytest.mark.parametrize(
    "path",
    [
        "/..", "/../etc/passwd", "//etc/passwd", "/static/x/../../etc/passwd", "/%2e%2e/x",
        "/static/x/..%2f..%2fpyproject.toml", "/static//tracediff.css", "/%00", "/static/x/%00",
        "/static/x/tracediff.css", "/.git/config", "/pyproject.toml", "/static", "/static/x/",
    ],
)  # fmt: skip
def test_there_is_no_such_file(client, path):
    assert answers(client, [Asked(path=path)])[0][0] == 404
