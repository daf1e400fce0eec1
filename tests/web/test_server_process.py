"""The server as a process: where it listens, how it is stopped, what a slow client gets."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest

import tracediff.web
from tracediff.cli import exits, group
from tracediff.web import serving
from tracediff.web.failures import Failures

SLOW = """
import asyncio, sys
from tracediff.web.serving import listen, serve

async def app(scope, receive, send):
    print("asked", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})

with listen("127.0.0.1", 0) as listening:
    print(listening.getsockname()[1], flush=True)
    serve(app, listening)
"""


@contextmanager
def started(*command, cwd, **environment):
    """A process, killed in the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", *command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def get(port, target, headers=None):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", target, headers=headers or {})
        answer = connection.getresponse()
        return answer, answer.read().decode()


def test_the_printed_address_signs_in_and_ctrl_c_ends_it(demo_directory):
    with started("-m", "tracediff", "ui", "--port", "0", cwd=demo_directory) as process:
        url = process.stdout.readline().strip()
        port, token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{43})", url).groups()
        answer, _ = get(int(port), f"/?token={token}")
        cookie = answer.headers["set-cookie"].partition(";")[0]
        assert cookie.startswith(f"tracediff-{port}=")
        answer, page = get(int(port), "/", {"Cookie": cookie})
        assert answer.status == 200
        assert "<title>Traces" in page
        assert get(int(port), "/", {"Host": "evil.example", "Cookie": cookie})[0].status == 421
        assert get(int(port), "/trace/%00", {"Cookie": cookie})[0].status == 404
        process.send_signal(signal.SIGINT)
        out, log = process.communicate(timeout=20)
    assert process.returncode == exits.INTERRUPTED
    assert out == ""
    assert log == "Ctrl-C stops it\n\ninterrupted\n"  # nothing of the requests, and no token


def test_told_to_end_it_finishes_what_runs(tmp_path):
    with started("-c", SLOW, cwd=tmp_path) as process:
        port = int(process.stdout.readline())
        answers = []
        asking = threading.Thread(target=lambda: answers.append(get(port, "/")[1]))
        asking.start()
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 20
        while refused_at(port) is False and time.monotonic() < deadline:
            time.sleep(0.02)
        process.stdin.write("\n")
        process.stdin.flush()
        asking.join()
        assert answers == ["done"]
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""


def refused_at(port):
    """Whether nobody takes connections at a port any more."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.fixture
def ui(demo_directory, monkeypatch, capfd):
    """A function that runs the command where it cannot serve; what it said."""
    monkeypatch.chdir(demo_directory)

    def ui(*arguments, slug):
        assert exits.run(group, ["ui", *arguments]) == exits.ERROR
        out, err = capfd.readouterr()
        assert out == ""
        assert err.endswith(f"docs/errors.md#{slug}\n"), err
        assert "\n  hint: " in err
        assert "Traceback" not in err
        return err

    return ui


def test_a_taken_port_is_refused(ui):
    with serving.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        said = ui("--port", str(port), slug="ui-address-taken")
    assert f"port {port} is taken at 127.0.0.1" in said
    assert "--port 0" in said


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 300, "", "::1::", "256.0.0.1"])
def test_a_host_that_there_is_none_of_is_refused(ui, host):
    ui("--host", host or "..", slug="ui-address-unknown")


def test_an_address_of_another_machine_is_refused(ui):
    ui("--host", "192.0.2.1", slug="ui-address-refused")


def test_a_port_of_the_system_s_is_refused():
    error = serving._refused("127.0.0.1", 80, PermissionError(13, "Permission denied"))
    assert error.slug == "ui-address-refused"
    assert "below 1024" in error.hint


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        (["--auth-header", "X-User"], "usage"),
        (["--trusted-proxy", "10.0.0.5"], "usage"),
        (["--auth-header", "X User", "--trusted-proxy", "10.0.0.5"], "usage"),
        (["--auth-header", "", "--trusted-proxy", "10.0.0.5"], "usage"),
        (["--auth-header", "X-User", "--trusted-proxy", "::/0"], "ui-proxy-invalid"),
        (["--read-only", "--writable"], "usage"),
        (["--port", "70000"], "usage"),
        (["--store", "nowhere"], "store-missing"),
    ],
    ids=range(8),
)
def test_options_that_do_not_go_together_are_refused(ui, arguments, slug):
    ui(*arguments, slug=slug)


def test_a_weak_token_is_refused_and_not_shown(ui, monkeypatch):
    monkeypatch.setenv("TRACEDIFF_UI_TOKEN", "hunter2hunter2")
    assert "hunter2" not in ui(slug="ui-token-weak")


def test_a_missing_library_is_named_with_the_extra_that_brings_it(ui, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "tracediff.web.serving")
    monkeypatch.delattr(tracediff.web, "serving")
    said = ui(slug="ui-missing")
    assert "uvicorn is not installed" in said
    assert 'extra "web"' in said


@pytest.fixture
def begun(monkeypatch, demo_directory, capfd):
    """A function that runs the command up to the moment when it would serve."""
    monkeypatch.chdir(demo_directory)
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    def begun(*arguments):
        made = []
        monkeypatch.setattr(serving, "serve", lambda app, listening: made.append(app))
        assert exits.run(group, ["ui", "--port", "0", *arguments]) == exits.SAME
        site, access = made[0].user_middleware[-1].args
        for one in threading.enumerate():
            if one.name.startswith("tracediff-browser"):
                one.join()
        return site, access, capfd.readouterr(), opened

    return begun


@pytest.mark.parametrize(
    ("arguments", "writable"),
    [
        ([], True),
        (["--read-only"], False),
        (["--host", "0.0.0.0"], False),
        (["--host", "0.0.0.0", "--writable"], True),
        (["--host", "::1"], True),
        (["--host", "localhost"], True),
        (["--auth-header", "X-User", "--trusted-proxy", "10.0.0.5"], False),
        (["--auth-header", "X-User", "--trusted-proxy", "10.0.0.5", "--writable"], True),
    ],
    ids=range(8),
)
def test_pages_may_run_code_where_nobody_else_reaches_them_or_it_is_said(
    begun, arguments, writable
):
    site, _, said, _ = begun(*arguments)
    assert site.writable is writable
    assert ("read-only" in said.err) is not writable


def test_a_server_on_all_addresses_prints_one_of_this_machine(begun):
    _, access, said, _ = begun("--host", "0.0.0.0", "--allow-host", "Traces.example.com")
    assert said.out.startswith(f"http://127.0.0.1:{access.port}/?token=")
    assert access.anywhere
    assert access.is_called("traces.example.com:443", "10.0.0.9")


def test_a_token_of_the_environment_is_not_printed_and_not_handed_on(begun, monkeypatch):
    monkeypatch.setenv("TRACEDIFF_UI_TOKEN", "x" * 40)
    _, access, said, _ = begun()
    assert access.token == "x" * 40
    assert said.out == f"http://127.0.0.1:{access.port}/\n"
    assert "xxx" not in said.out + said.err
    assert "TRACEDIFF_UI_TOKEN" not in os.environ


def test_a_browser_is_opened_with_a_token_that_holds_once(begun):
    _, access, _, opened = begun("--open")
    (url,) = opened
    assert access.token not in url
    ticket = url.partition("?token=")[2]
    assert access.knows(ticket)
    assert not access.knows(ticket)


@contextmanager
def running(app):
    """A server in a thread, and its port."""
    server = serving.server(app)
    with serving.listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield server, listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


async def peer(scope, receive, send):
    """Says where a request comes from."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['client'][0]} done".encode()})


@pytest.fixture
def impatient(monkeypatch):
    """The port of a server that waits a moment for the head of a request."""
    monkeypatch.setattr(serving, "HEAD_WITHIN", 0.2)
    with running(peer) as (_, port):
        yield port


def test_a_connection_that_asked_may_ask_again_as_late():
    with (
        running(peer) as (server, port),
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection,
    ):
        ends = []
        for _ in range(2):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"127.0.0.1 done"
            (protocol,) = server.server_state.connections
            ends.append(protocol._head.when())
    assert ends[0] < ends[1]


def test_who_asks_is_the_peer_whatever_a_header_says():
    with running(peer) as (_, port):
        headers = {"X-Forwarded-For": "10.0.0.7", "Forwarded": "for=10.0.0.7"}
        assert get(port, "/", headers)[1] == "127.0.0.1 done"


def test_an_answer_that_fails_half_way_ends_the_connection_and_is_logged_once(
    demo_project, site, capfd
):
    async def half(scope, receive, send):
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-length", b"100")]})  # fmt: skip
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("broken on purpose")

    with (
        running(Failures(half, site(demo_project))) as (_, port),
        pytest.raises(http.client.IncompleteRead) as ended,
    ):
        get(port, "/")
    assert ended.value.partial == b"half"
    assert capfd.readouterr().err.count("Traceback") == 1


HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"\r\nGET /"], ids=range(3))
def test_a_client_that_does_not_ask_is_not_waited_for(impatient, sent):
    with socket.create_connection(("127.0.0.1", impatient), timeout=20) as slow:
        slow.sendall(sent)
        said = b""
        while part := slow.recv(1000):  # ends when the server closes
            said += part
        assert said.count(b"done") == sent.count(b"\r\n\r\n")


def test_a_head_that_is_too_long_is_refused(impatient):
    with socket.create_connection(("127.0.0.1", impatient), timeout=20) as long:
        long.sendall(HEAD + b"X: y\r\n" * 7000)
        assert long.recv(1000).startswith(b"HTTP/1.1 400 ")
