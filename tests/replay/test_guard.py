"""A replay reaches no network and starts no program."""

from __future__ import annotations

import http.server
import threading

import pytest

from tracediff.errors import ConfigError
from tracediff.replay.permissions import parse_permissions

NETWORK = {
    "connect": "socket.create_connection((HOST, PORT))",
    "raw connect": "socket.socket().connect((HOST, PORT))",
    "connect_ex": "socket.socket().connect_ex((HOST, PORT))",
    "datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', (HOST, PORT))",
    "listen": "socket.create_server((HOST, 0))",
    "_socket": "_socket.socket().connect((HOST, PORT))",
    "unix": "socket.socket(socket.AF_UNIX).connect('/tmp/absent.sock')",
    "look-up": "socket.getaddrinfo('example.invalid', 80)",
    "gethostbyname": "socket.gethostbyname('example.invalid')",
    "urllib": "urllib.request.urlopen(f'http://{HOST}:{PORT}/').read()",
    "http.client": "http.client.HTTPConnection(HOST, PORT).request('GET', '/')",
    "asyncio": "asyncio.run(dial())",
}
PROGRAMS = {
    "subprocess": "subprocess.run(['touch', 'ran'])",
    "shell": "subprocess.check_output('touch ran', shell=True)",
    "os.system": "os.system('touch ran')",
    "os.popen": "os.popen('touch ran').read()",
    "os.execv": "os.execv('/bin/touch', ['touch', 'ran'])",
    "os.execve": "os.execve('/bin/touch', ['touch', 'ran'], {})",
    "os.posix_spawn": "os.posix_spawn('/bin/touch', ['touch', 'ran'], {})",
    "os.spawnv": "os.spawnv(os.P_WAIT, '/bin/touch', ['touch', 'ran'])",
    "pty": "pty.spawn(['touch', 'ran'])",
    "asyncio": "asyncio.run(asyncio.create_subprocess_exec('touch', 'ran'))",
}

JOB = """
import asyncio, http.client, os, pty, socket, subprocess, urllib.request, _socket

HOST, PORT = "127.0.0.1", 9

async def dial():
    reader, writer = await asyncio.open_connection(HOST, PORT)

@td.job("shop/reach")
def job(name):
    calls[name]()
    return "reached"

calls = {
"""


@pytest.fixture(scope="module")
def listener():
    """A server on the loopback interface that answers "hello", with the requests it saw."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port, seen
    server.shutdown()
    server.server_close()
    thread.join()


def write(shop, calls, port=9):
    lines = "".join(f"    {name!r}: lambda: {call},\n" for name, call in calls.items())
    shop.jobs(JOB.replace('PORT = "127.0.0.1", 9', f'PORT = "127.0.0.1", {port}') + lines + "}")


def recorded(shop, names):
    """One trace for each name, recorded with calls that do nothing."""
    write(shop, dict.fromkeys(names, "None"))
    return shop.record(f"[job(name) for name in {list(names)!r}]")


def attempted(shop, calls, port=9):
    """What came of each call in one replay, and the replay's warnings."""
    shop.jobs(
        """
        @td.job("shop/attempts")
        def attempts():
            return {}
        """
    )
    [trace] = shop.record("attempts()")
    write(shop, calls, port)
    shop.change(
        '@td.job("shop/reach")',
        """@td.job("shop/attempts")
def attempts():
    seen = {}
    for name, call in calls.items():
        try:
            seen[name] = call()
        except BaseException as error:
            seen[name] = type(error).__name__
    return seen

@td.job("shop/reach")""",
    )
    new = shop.replay(trace)
    return shop.result(new), new.warnings


def test_the_network_is_refused(shop, listener):
    port, seen = listener
    came, warnings = attempted(shop, NETWORK, port)
    assert came == dict.fromkeys(NETWORK, "ReplayAbort")
    assert f"the replay was refused 127.0.0.1:{port} (socket.connect)" in warnings
    assert (
        "the replay was refused the look-up of 'example.invalid' (socket.getaddrinfo)" in warnings
    )
    assert seen == []


LIVE = """
import asyncio, subprocess, urllib.request

URL = "http://localhost:PORT/"

def get(what):
    return urllib.request.urlopen(URL + what).read().decode()

@td.input("Plain")
def plain():
    return get("plain") + subprocess.check_output(["echo", "!"], text=True).strip()

@td.input("Dialled")
async def dialled():
    reader, writer = await asyncio.open_connection("localhost", PORT)
    writer.write(b"GET /dialled HTTP/1.0\\r\\n\\r\\n")
    answer = await reader.read()
    writer.close()
    return answer[-5:].decode()

@td.input("Items")
def items():
    yield get("first")
    yield get("second")

@td.output("Sent")
def send():
    return get("sent")

@td.job("shop/live")
async def job(asked=False):
    if not asked:
        return []
    found = [plain(), await dialled(), *items(), send()]
    for outside in items():
        try:
            found.append(get("outside"))
        except BaseException as error:
            found.append(type(error).__name__)
    return found
"""


def test_live_inputs_reach_what_they_like_where_that_is_permitted(shop, listener):
    port, seen = listener
    shop.jobs(LIVE.replace("PORT", str(port)))
    [trace] = shop.record("import asyncio; asyncio.run(job())")
    shop.change("asked=False", "asked=True")
    shop.change("not asked", "False")
    refused = shop.replay(trace, on_miss="live")
    assert refused.steps[0].error.type == "tracediff.runtime:ReplayAbort"
    assert seen == []
    shop.settings('replay_allow = ["inputs"]')
    new = shop.replay(trace, on_miss="live")
    assert shop.result(new) == ["hello!", "hello", "hello", "hello", None] + ["ReplayAbort"] * 2
    assert seen == ["/plain", "/dialled", "/first", "/second", "/first", "/second"]
    assert any("refused the look-up of 'localhost'" in one for one in new.warnings)
    seen.clear()
    assert shop.replay(trace, on_miss="fail").steps[0].error is not None
    assert seen == []


def test_programs_are_not_started(shop):
    came, warnings = attempted(shop, PROGRAMS)
    assert came.pop("os.spawnv") == 127, "the child was refused and ended"
    assert came == dict.fromkeys(PROGRAMS.keys() - {"os.spawnv"}, "ReplayAbort")
    assert not (shop.directory / "ran").exists()
    assert "the replay was refused the program 'touch' (subprocess.Popen)" in warnings
    assert any("(os.exec) in a forked process" in one for one in warnings)


def test_a_refusal_that_the_job_swallows_is_named_in_the_report(shop):
    [trace] = recorded(shop, ["quiet"])
    write(shop, {"quiet": "swallow()"})
    shop.change(
        "calls = {",
        "def swallow():\n    try:\n        socket.create_connection((HOST, PORT))\n"
        "    except BaseException:\n        pass\n\ncalls = {",
    )
    new = shop.replay(trace)
    assert shop.result(new) == "reached"
    assert any("the replay was refused 127.0.0.1:9 (socket.connect)" in one for one in new.warnings)
    assert "refused 127.0.0.1:9" in shop.cli("replay", trace.id).stdout


def test_a_thread_of_the_job_is_refused_too(shop, listener):
    port, seen = listener
    [trace] = recorded(shop, ["thread"])
    write(shop, {"thread": "on_thread()"}, port)
    shop.change(
        "calls = {",
        "def on_thread():\n    import threading\n"
        "    thread = threading.Thread(target=lambda: urllib.request.urlopen(\n"
        "        f'http://{HOST}:{PORT}/thread'))\n"
        "    thread.start(); thread.join()\n\ncalls = {",
    )
    new = shop.replay(trace)
    assert any("the replay was refused" in one for one in new.warnings)
    assert seen.count("/thread") == 0


def test_libraries_are_imported_that_try_for_ipv6(shop):
    shop.jobs("""
        import requests

        @td.job("imported")
        def imported():
            return requests.codes.ok
    """)
    (trace,) = shop.record("imported()")
    assert shop.result(shop.replay(trace)) == 200


def test_asyncio_works_without_the_network(shop):
    shop.jobs("""
        import asyncio

        async def work(n):
            await asyncio.sleep(0.001)
            return await asyncio.to_thread(lambda: n * 2)

        async def both():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work(n)) for n in (1, 2)]
            return [task.result() for task in tasks]

        @td.job("shop/asyncio")
        def job():
            return asyncio.run(both())
        """)
    [trace] = shop.record("job()")
    new = shop.replay(trace)
    assert shop.result(new) == [2, 4]
    assert new.warnings == ()


def test_replay_allow_lets_a_loopback_server_through(shop, listener):
    port, seen = listener
    [trace] = recorded(shop, ["urllib"])
    write(shop, NETWORK, port)
    shop.settings(f'replay_allow = ["socket:127.0.0.1:{port}"]')
    before = len(seen)
    assert shop.result(shop.replay(trace)) == "reached"
    assert len(seen) == before + 1
    shop.settings(f'replay_allow = ["socket:127.0.0.1:{port + 1}"]')
    assert shop.replay(trace).state == "error"


def test_replay_allow_lets_a_named_program_through(shop):
    [trace] = recorded(shop, ["subprocess"])
    write(shop, PROGRAMS)
    shop.settings('replay_allow = ["subprocess:touch"]')
    assert shop.result(shop.replay(trace)) == "reached"
    assert (shop.directory / "ran").exists()


def test_an_entry_that_cannot_be_read_is_an_error_with_a_hint(shop):
    [trace] = recorded(shop, ["urllib"])
    shop.settings('replay_allow = ["http:example.org"]')
    done = shop.cli("replay", trace.id)
    assert done.returncode == 2
    assert "http:example.org" in done.stderr
    assert "hint" in done.stderr
    for entry in ("inputs:socket", "inputs:", "input"):
        with pytest.raises(ConfigError, match=repr(entry)):
            parse_permissions([entry])


def test_a_library_may_look_for_ipv6_while_it_is_imported(shop):
    (shop.directory / "library.py").write_text(
        "import socket\n"
        "with socket.socket() as probe:\n    probe.bind(('127.0.0.1', 0))\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9))\n"
        "except BaseException as error:\n    REFUSED = type(error).__name__\n"
    )
    shop.jobs(
        """
        @td.job("shop/late")
        def job():
            return ""
        """
    )
    [trace] = shop.record("job()")
    shop.change('return ""', "import library; return library.REFUSED")
    assert shop.result(shop.replay(trace)) == "ReplayAbort"
