"""Work that pages start: once for the same question, few at a time, ended with the server."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from subprocess import DEVNULL, PIPE

import httpx
import pytest

from servers.waiting import begun, gone, lay_out
from tracediff.errors import ReplayError
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace
from tracediff.web.running import Run, Runs, Subject

SUBJECT = Subject(kind="explain", id="abc", options=(("against", "main"),))


@pytest.fixture
def background() -> Iterator[Callable[..., Runs]]:
    """A function that makes runs, which are ended after the test."""
    opened: list[Runs] = []

    def background(**given: float) -> Runs:
        opened.append(Runs(**given))
        return opened[-1]

    yield background
    for one in opened:
        one.close()


def over(run: Run) -> Run:
    """The run, once nothing more will come of it."""
    deadline = time.monotonic() + 30
    while not run.over and time.monotonic() < deadline:
        time.sleep(0.005)
    assert run.over
    return run


def held(event: threading.Event):
    """Work that lasts until it is let go, or is to end."""

    def work(say: Callable[[str], None]) -> str:
        while not event.wait(0.005):
            say("holding")
        return "let go"

    return work


def test_a_run_gives_what_its_work_gives(background):
    run = over(background().start(SUBJECT, "code", "/page", lambda say: say("adding") or 42))
    assert (run.standing, run.result, run.phase, run.page) == ("done", 42, "adding", "/page")


def test_the_same_question_joins_the_run_that_is_at_work(background):
    some, event = background(), threading.Event()
    first = some.start(SUBJECT, "code", "/page", held(event))
    assert some.start(SUBJECT, "code", "/page", held(event)) is first
    event.set()
    assert over(first).result == "let go"
    assert some.start(SUBJECT, "code", "/page", held(event)) is first


def test_changed_code_makes_another_run(background):
    some = background()
    first = some.start(SUBJECT, "code", "/page", lambda say: 1)
    second = some.start(SUBJECT, "edited", "/page", lambda say: 2)
    assert over(second).name != over(first).name
    assert some.latest(SUBJECT) is second


@pytest.mark.parametrize(
    "other",
    [
        Subject(kind="compare", id="abc", options=(("against", "main"),)),
        Subject(kind="explain", id="abd", options=(("against", "main"),)),
        Subject(kind="explain", id="abc", options=(("against", "maincode"),)),
        Subject(kind="explain", id="abc"),
    ],
)
def test_another_question_is_another_run(background, other):
    some = background()
    first = some.start(SUBJECT, "code", "/page", lambda say: 1)
    assert over(some.start(other, "code", "/page", lambda say: 2)).name != over(first).name


def test_what_is_done_is_done_anew_only_when_asked(background):
    some = background()
    first = over(some.start(SUBJECT, "code", "/page", lambda say: 1))
    again = over(some.start(SUBJECT, "code", "/page", lambda say: 2, again=True))
    assert (first.result, again.result, some.get(first.name)) == (1, 2, again)


def test_what_failed_says_why_and_can_be_repeated(background):
    some = background()

    def fails(say: Callable[[str], None]) -> None:
        raise ReplayError("no such rate at s3://user:secret@host", slug="x", hint="add it")

    run = over(some.start(SUBJECT, "code", "/page", fails))
    assert (run.standing, run.hint) == ("failed", "add it")
    assert "no such rate" in run.message
    assert "secret" not in run.message
    assert over(some.start(SUBJECT, "code", "/page", lambda say: 1)).result == 1


def test_what_nobody_foresaw_is_told_to_the_log_alone(background, capsys):
    run = over(background().start(SUBJECT, "code", "/page", lambda say: 1 // 0))
    assert run.standing == "failed"
    assert "division" not in run.message
    logged = capsys.readouterr().err
    assert run.name in logged
    assert "ZeroDivisionError" in logged


def test_few_run_at_a_time_and_few_wait(background):
    some, event = background(at_once=1, waiting=1), threading.Event()
    first = some.start(SUBJECT, "1", "/page", held(event))
    second = some.start(SUBJECT, "2", "/page", held(event))
    with pytest.raises(ReplayError) as refused:
        some.start(SUBJECT, "3", "/page", held(event))
    assert refused.value.slug == "runs-busy"
    assert second.standing == "waiting"
    event.set()
    assert over(second).result == over(first).result == "let go"
    assert over(some.start(SUBJECT, "3", "/page", held(event))).result == "let go"


def test_a_run_is_ended_while_it_works(background):
    run = background().start(SUBJECT, "code", "/page", held(threading.Event()))
    run.end()
    assert (over(run).standing, run.message) == ("ended", "")


def test_a_run_that_waits_is_ended_at_once(background):
    some, event = background(at_once=1), threading.Event()
    first = some.start(SUBJECT, "1", "/page", held(event))
    waiting = some.start(SUBJECT, "2", "/page", held(event))
    waiting.end()
    assert waiting.standing == "ended"
    event.set()
    assert over(first).result == "let go"
    assert over(some.start(SUBJECT, "2", "/page", lambda say: "anew")).result == "anew"
    assert waiting.result is None


def test_runs_are_kept_in_number_and_for_a_while(background):
    some = background(kept=2)
    made = [over(some.start(SUBJECT, str(at), "/page", lambda say: 1)) for at in range(4)]
    assert [some.get(one.name) is not None for one in made] == [False, False, True, True]
    brief = background(kept_for=0)
    name = over(brief.start(SUBJECT, "code", "/page", lambda say: 1)).name
    assert brief.get(name) is None
    assert brief.latest(SUBJECT) is None


def test_closing_ends_what_runs_and_what_waits(background):
    some, never = background(at_once=1), threading.Event()
    running = some.start(SUBJECT, "1", "/page", held(never))
    waiting = some.start(SUBJECT, "2", "/page", held(never))
    some.close()
    assert (running.standing, waiting.standing) == ("ended", "ended")
    with pytest.raises(ReplayError):
        some.start(SUBJECT, "3", "/page", held(never))


def csrf(client) -> str:
    """The token that a page's forms send."""
    return client.get("/").text.partition('name="csrf" content="')[2].partition('"')[0]


def test_a_page_asks_how_far_a_run_is_until_it_is_over(made, site, signed_in):
    pages, event = site(made()), threading.Event()
    client = signed_in(pages)
    run = pages.runs.start(SUBJECT, "code", "/", held(event))
    try:
        answer = client.get(f"/runs/{run.name}")
        assert answer.status_code == 200
        assert "HX-Refresh" not in answer.headers
        event.set()
        over(run)
        assert client.get(f"/runs/{run.name}").headers["HX-Refresh"] == "true"
        assert client.get("/runs/unknown").headers["HX-Refresh"] == "true"
    finally:
        pages.close()


def test_a_run_is_ended_from_its_page_by_a_write(made, site, signed_in):
    pages = site(made())
    client = signed_in(pages)
    run = pages.runs.start(SUBJECT, "code", "/", held(threading.Event()))
    try:
        assert client.get(f"/runs/{run.name}/end").status_code == 405
        assert client.post(f"/runs/{run.name}/end", data={}).status_code == 403
        assert not run.over
        sent = {"csrf": csrf(client)}
        assert client.post(f"/runs/{run.name}/end", data=sent).status_code == 200
        assert over(run).standing == "ended"
    finally:
        pages.close()


def test_a_server_that_is_busy_says_so(made, site, signed_in, background):
    pages, event = site(made(make_trace("abc", key="price/two"))), threading.Event()
    pages.close()
    pages.runs = background(at_once=1, waiting=0)
    client = signed_in(pages)
    pages.runs.start(SUBJECT, "code", "/", held(event))
    refused = client.post("/compare/abc/run", data={"csrf": csrf(client)})
    assert refused.status_code == 429
    assert "repeat it when one of the runs is done" in refused.text


def test_pages_that_are_read_only_start_nothing(made, site, signed_in):
    pages = site(made(make_trace("abc", key="price/two")), writable=False)
    client = signed_in(pages)
    page = client.get("/compare/abc").text
    assert "tracediff compare abc" in page
    assert "<button" not in page.partition("<main")[2].partition("</main>")[0]
    assert client.post("/compare/abc/run", data={"csrf": csrf(client)}).status_code == 403
    assert pages.runs.latest(Subject(kind="compare", id="abc")) is None
    pages.close()


def test_a_trace_is_compared_with_its_replay_from_its_page(demo_project, site, signed_in):
    pages = site(demo_project)
    client = signed_in(pages)
    trace = demo_project.resolve("@last").id
    before = client.get(f"/compare/{trace}")
    assert "Replay and compare" in before.text
    assert pages.runs.latest(Subject(kind="compare", id=trace)) is None  # looking runs nothing
    client.post(f"/compare/{trace}/run", data={"csrf": csrf(client)})
    run = over(pages.runs.latest(Subject(kind="compare", id=trace)))
    assert run.standing == "done", run.message
    assert "first divergence" in client.get(f"/compare/{trace}").text
    pages.close()


def test_a_job_outside_of_what_the_settings_allow_is_not_run(own_demo, site, signed_in):
    newest = own_demo.resolve("@last")
    own_demo.store.save([replace(newest, id="tampered", key="os/system", job="os:system")])
    pages = site(own_demo)
    client = signed_in(pages)
    client.post("/compare/tampered/run", data={"csrf": csrf(client)})
    run = over(pages.runs.latest(Subject(kind="compare", id="tampered")))
    assert run.standing == "failed"
    assert "os/system" in run.message or "os:system" in run.message
    page = client.get("/compare/tampered").text
    assert "Try again" in page
    pages.close()


@pytest.fixture
def at_work(tmp_path):
    """A function that starts a server whose run waits for ever, and gives both their processes."""
    lay_out(tmp_path)
    store = LocalStore(tmp_path / ".tracediff")
    store.save([make_trace("abc", key="wait", job="waiting:wait")])
    store.close()
    servers = []

    def at_work(what):
        command = [sys.executable, "-m", "tracediff", "ui", "--port", "0"]
        servers.append(subprocess.Popen(command, cwd=tmp_path, stdout=PIPE, stderr=DEVNULL))
        url = servers[-1].stdout.readline().decode().strip()
        with httpx.Client(base_url=url.partition("?")[0], follow_redirects=True) as client:
            client.get(url)
            client.post(what, data={"csrf": csrf(client)})
        return servers[-1], begun(tmp_path)

    yield at_work
    for server in servers:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "number"),
    [
        ("/compare/abc/run", signal.SIGTERM),
        ("/compare/abc/run", signal.SIGKILL),
        ("/check/run", signal.SIGTERM),
    ],
)
def test_no_process_survives_the_server(at_work, what, number):
    server, pids = at_work(what)
    server.send_signal(number)
    assert server.wait(30) == (0 if number == signal.SIGTERM else -number)
    assert all(map(gone, pids))
