"""`tracediff show --follow`, in a process of its own, while a store gets the parts of a trace."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from contextlib import closing
from dataclasses import replace

import pytest

from tracediff import values
from tracediff.cli import following
from tracediff.cli.followed import Lines
from tracediff.errors import StoreError
from tracediff.model import ErrorInfo, Step, Value
from tracediff.recording.ids import new_id
from tracediff.reports.text.canvas import Look
from tracediff.stores.following import Growing
from tracediff.stores.local import LocalStore
from tracediff.stores.memory import MemoryStore
from tracediff.testing import make_parts, make_trace

STEPS = (
    Step(parent=-1, kind="job", name="import", result=Value(values.encode(2))),
    *(Step(parent=max(at - 2, 0), kind="step", name=f"step {at}", start=at) for at in range(1, 5)),
)
PATIENCE = 30


def trace(**fields):
    given = {"key": "shop/import", "steps": STEPS, "started_at": time.time_ns(), "artifacts": ()}
    given |= fields
    return make_trace(given.pop("id", None) or new_id(), **given)


def opened(parts):
    """The same parts, where a step is open in the part that it came with, and ends in the next."""
    first, second, *others = parts
    steps, row = list(second.trace.steps), others[0]
    done, place = steps[-1], second.places[-1]
    steps[-1] = replace(done, state="running", open=True)
    second = replace(second, trace=replace(second.trace, steps=tuple(steps)))
    steps, places = (done, *row.trace.steps), (place, *row.places)
    others[0] = replace(row, trace=replace(row.trace, steps=steps), places=places)
    return [first, second, *others]


@pytest.fixture
def store(project):
    with closing(LocalStore(project.directory / ".tracediff")) as found:
        yield found


@pytest.fixture
def follow(project):
    """A function that starts the command; each is ended with the test."""
    started = []

    def follow(reference, *arguments):
        process = subprocess.Popen(
            project.command("show", reference, "--follow", *arguments), cwd=project.directory,
            env=project.environment(), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield follow
    for process in started:
        process.kill()
        process.communicate()


def until(stream, text):
    """The lines up to one that holds this text."""
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} did not come: {lines}")


def test_lines_come_as_parts_do_until_the_job_has_ended(follow, store):
    process = follow("shop@last")
    until(process.stderr, "waiting for shop@last to begin")
    first, second, third, last = opened(make_parts(trace(), 4))
    store.save_parts([first])
    until(process.stdout, "running for")
    store.save_parts([second])
    assert "◌ running" in until(process.stdout, "step 2")[-1]
    store.save_parts([third])
    assert re.search(r" 2  └ step 2 took ", until(process.stdout, "step 2")[-1])
    assert "   4    step 4" in until(process.stdout, "step 4")[-1]
    store.save_parts([last])
    out, err = process.communicate(timeout=PATIENCE)
    assert re.search(r"● success  2  took \d", out)
    assert (process.returncode, err) == (0, "")


def test_each_event_is_a_json_document_and_a_job_that_failed_is_told_by_the_exit_code(
    follow, store
):
    error = ErrorInfo(type="shop:Gone", message="no shop")
    steps = (replace(STEPS[0], state="error", error=error, result=None), *STEPS[1:])
    failed = trace(steps=steps, state="error")
    first, *others = make_parts(failed, 3)
    store.save_parts([first])
    process = follow(failed.id, "--format", "json")
    seen = [json.loads(one) for one in until(process.stdout, '"part"')]
    store.save_parts(others)
    out, err = process.communicate(timeout=PATIENCE)
    seen += [json.loads(one) for one in out.splitlines()]
    assert {one["schema"] for one in seen} == {"tracediff/follow/1"}
    assert [one["event"] for one in seen[:3]] == ["trace", "step", "part"]
    lines = [one["index"] for one in seen if one["event"] == "step"]
    assert lines == [0, 0, 1, 2, 3, 4]
    assert seen[-1]["event"] == "ended"
    assert (seen[-1]["state"], seen[-1]["parts"]) == ("error", 3)
    assert (process.returncode, err) == (1, "")


def test_what_is_taken_back_ends_it_and_so_does_ctrl_c(follow, store):
    one, other = trace(), trace()
    store.save_parts([make_parts(each)[0] for each in (one, other)])
    processes = [follow(each.id) for each in (one, other)]
    for process in processes:
        until(process.stdout, "running for")
    store.ignore([one.id])
    processes[1].send_signal(signal.SIGINT)
    _, gone = processes[0].communicate(timeout=PATIENCE)
    assert processes[0].returncode == 2
    assert "is not in the store any more" in gone
    assert processes[1].communicate(timeout=PATIENCE)[1].strip() == "interrupted"
    assert processes[1].returncode == 130


LOST = """\
import os, sys
import tracediff as td

@td.job("lost/one", mode="live")
def job():
    with td.step("outer"):
        td.flush(60)
        os._exit(9)

job()
"""


def test_a_lost_trace_and_one_that_has_ended_are_shown_and_that_is_it(project):
    project.python(LOST)
    lost, ended, found = project.batch(
        ("show", "lost@last", "--follow"), ("show", "price@last", "--follow"),
        ("ls", "--state", "lost", "--format", "json"),
    )  # fmt: skip
    assert (ended.code, ended.err) == (0, "")
    assert "● success" in ended.out
    assert (lost.code, lost.err) == (1, "")
    assert "⊘ lost after" in lost.out
    (listed,) = found.document["traces"]
    assert listed["key"] == "lost/one"
    assert listed["heard_at"] == listed["started_at"] + listed["duration"]
    needing = ("compare", "explain", "replay", "pull", "bisect")
    for refused in project.batch(*((command, listed["id"]) for command in needing)):
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.endswith("docs/errors.md#trace-lost\n")


def test_what_cannot_be_followed_is_refused(project):
    _, *refused = project.batch(
        ("pull", "price@last", "-o", "one.trace.json"),
        ("show", "@last", "--follow", "--step", "1"), ("show", "@last", "--follow", "-o", "f"),
        ("show", "one.trace.json", "--follow"), ("show", "nosuchid", "--follow"),
    )  # fmt: skip
    assert [(one.code, one.out) for one in refused] == [(2, "")] * 4
    slugs = [one.err.rpartition("#")[2].strip() for one in refused]
    assert slugs == ["usage", "usage", "usage", "trace-unknown"]
    assert "is a file, which does not change" in refused[2].err


class Moody(MemoryStore):
    """A store whose index answers nothing for a while."""

    down = 0

    def find(self, prefix, limit=2):
        if self.down:
            self.down -= 1
            raise StoreError("it does not answer", slug="store-unreachable", hint="wait")
        return super().find(prefix, limit)


def test_a_store_that_is_down_for_a_while_is_told_once_and_asked_again(capsys, monkeypatch):
    store, (first, *others) = Moody("memory:"), make_parts(trace(id="abc"), 3)

    def pause(seconds):
        store.save_parts(others)
        return True

    monkeypatch.setattr(following, "_pause", pause)
    store.save_parts([first])
    (row,) = store.find("abc", 1)
    store.down = 3
    printer = Lines(lambda: Look(now=time.time_ns()))
    assert following._followed(Growing(store, "abc"), store, row, printer) == 0
    out, err = capsys.readouterr()
    assert err == "it does not answer; trying again\nthe store answers again\n"
    assert "step 4" in out
    assert "● success" in out
