"""A replay ends when it is asked to from another thread, and when its starter is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from servers.waiting import begun, gone, lay_out
from tracediff.config import load_config
from tracediff.errors import ReplayError
from tracediff.replay import replay
from tracediff.replay.ending import Ended, Ending, when_ended
from tracediff.testing import make_trace

STARTER = """
import sys
from pathlib import Path
from tracediff.config import load_config
from tracediff.replay import replay
from tracediff.testing import make_trace

replay(make_trace(key="wait", job="waiting:wait"), load_config(Path(sys.argv[1])))
"""


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A project whose job forks, and waits as its child does."""
    lay_out(tmp_path)
    return tmp_path


def test_a_replay_is_ended_from_another_thread_with_what_it_forked(waiting):
    ending, came = Ending(), []

    def work() -> None:
        with ending.listening():
            try:
                replay(make_trace(key="wait", job="waiting:wait"), load_config(waiting))
            except ReplayError as error:
                came.append(error.slug)

    thread = threading.Thread(target=work)
    thread.start()
    pids = begun(waiting)
    ending.ask()
    thread.join(60)
    assert came == ["replay-died"]
    assert all(map(gone, pids))


def test_a_replay_ends_with_what_it_forked_when_its_starter_is_killed(waiting):
    with subprocess.Popen([sys.executable, "-c", STARTER, str(waiting)]) as starter:
        pids = begun(waiting)
        os.kill(starter.pid, signal.SIGKILL)
    assert all(map(gone, pids))


def test_what_is_started_after_it_was_asked_to_end_is_ended_at_once():
    ending, ended = Ending(), []
    ending.ask()
    with ending.listening():
        when_ended(lambda: ended.append(1))
    assert ended == [1]
    with pytest.raises(Ended):
        ending.heed()


def test_what_is_done_already_is_not_ended():
    ending, ended = Ending(), []
    with ending.listening():
        taken_back = when_ended(lambda: ended.append(1))
        taken_back()
    ending.ask()
    assert ended == []


def test_work_outside_of_an_ending_is_left_alone():
    when_ended(lambda: None)()
