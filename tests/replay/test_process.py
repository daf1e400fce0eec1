"""The process a replay runs in: whatever the job does to it, the answer is a trace or an error."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tracediff.errors import ReplayError

JOB = """
import os, sys, signal, threading, time

@td.job("shop/job")
def job():
    return "done"
"""


@pytest.fixture(scope="module")
def recorded(new_shop):
    made = new_shop()
    made.jobs(JOB)
    return made, made.record("job()")


@pytest.fixture
def shop(recorded, tmp_path):
    return recorded[0].copy(tmp_path / "project")


@pytest.fixture
def trace(recorded):
    return recorded[1][0]


def does(shop, *lines):
    shop.change('    return "done"', "\n".join(f"    {line}" for line in lines))


def alive(pid):
    """Whether the process runs; one that ended and that nobody has waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:  # it was waited for
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def refused(shop, trace, slug):
    with pytest.raises(ReplayError) as caught:
        shop.replay(trace)
    assert caught.value.slug == slug
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("code", ["0", "3", "'no rates'"])
def test_sys_exit_is_the_jobs_error(shop, trace, code):
    does(shop, f"sys.exit({code})")
    new = shop.replay(trace)
    assert new.state == "error"
    assert new.steps[0].error.type == "builtins:SystemExit"


def test_a_job_that_ends_the_process_is_an_error(shop, trace):
    does(shop, "print('last words', file=sys.stderr, flush=True)", "os._exit(3)")
    message = refused(shop, trace, "replay-died")
    assert "exit code 3" in message
    assert "last words" in message


def test_a_job_that_kills_its_process_is_an_error(shop, trace):
    does(shop, "os.kill(os.getpid(), signal.SIGKILL)")
    assert "SIGKILL" in refused(shop, trace, "replay-died")
    done = shop.cli("compare", trace.id)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_job_that_ends_by_a_signal_without_a_name_is_an_error(shop, trace):
    does(shop, "os.kill(os.getpid(), signal.SIGRTMIN + 3)")
    assert f"by signal {signal.SIGRTMIN + 3}" in refused(shop, trace, "replay-died")


def test_a_job_that_crashes_the_interpreter_is_an_error(shop, trace):
    does(shop, "import ctypes", "ctypes.string_at(0)")
    assert "SIGSEGV" in refused(shop, trace, "replay-died")


def test_a_job_that_never_ends_is_stopped(shop, trace):
    shop.settings("replay_timeout = 2")
    does(shop, "open('pid', 'w').write(str(os.getpid()))", "while True: pass")
    assert "2 s" in refused(shop, trace, "replay-timeout")
    assert not alive(int((shop.directory / "pid").read_text()))


def test_what_the_job_prints_is_kept_apart_and_bounded(shop, trace):
    does(
        shop,
        "print('x' * 1000)",
        "os.write(1, b'raw')",
        "print('to stderr', file=sys.stderr)",
        "sys.stdout.write('y' * 5_000_000)",
        "return 'done'",
    )
    done = shop.replayed(trace)
    assert shop.result(done.trace) == "done"
    assert "raw" in done.stdout
    assert len(done.stdout) == 1 << 20
    assert done.stderr == "to stderr\n"
    shown = shop.cli("replay", trace.id, "--format", "json")
    assert shown.stdout.lstrip().startswith("{")
    assert "to stderr" in shown.stderr
    assert "raw" in shown.stderr


def test_binary_output_and_closed_streams_do_no_harm(shop, trace):
    does(
        shop,
        "os.write(1, bytes(range(256)))",
        "os.write(2, bytes(range(256)))",
        "sys.stdout.close()",
        "sys.stderr = None",
        "os.close(0)",
        "return 'done'",
    )
    assert shop.result(shop.replay(trace)) == "done"


def test_the_job_reads_nothing_from_standard_input(shop, trace):
    does(shop, "return [sys.stdin.read(), os.read(0, 10)]")
    assert shop.result(shop.replay(trace)) == ["", b""]


def test_threads_left_behind_do_not_keep_the_replay(shop, trace):
    does(
        shop,
        "threading.Thread(target=time.sleep, args=(3600,)).start()",
        "threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()",
        "return 'done'",
    )
    assert shop.result(shop.replay(trace)) == "done"


def test_forked_children_end_with_the_replay(shop, trace):
    does(
        shop,
        "child = os.fork()",
        "if not child:",
        "    time.sleep(3600)",
        "return child",
    )
    child = shop.result(shop.replay(trace))
    end = time.monotonic() + 30
    while alive(child):
        assert time.monotonic() < end, "the child is still there"


def test_a_forked_child_that_returns_from_the_job_answers_nothing(shop, trace):
    does(shop, "child = os.fork()", "if child:", "    os.waitpid(child, 0)", "return bool(child)")
    assert shop.result(shop.replay(trace)) is True


def test_a_process_pool_works(shop, trace):
    does(
        shop,
        "from concurrent.futures import ProcessPoolExecutor",
        "with ProcessPoolExecutor(2) as pool:",
        "    return list(pool.map(abs, [-1, -2]))",
    )
    assert shop.result(shop.replay(trace)) == [1, 2]


def test_endless_recursion_is_the_jobs_error(shop, trace):
    does(shop, "return deep(0)")
    shop.write(
        "shop/jobs.py",
        (shop.directory / "shop/jobs.py").read_text()
        + "\n@td.step('Deep')\ndef deep(n):\n    return deep(n + 1)\n",
    )
    new = shop.replay(trace)
    assert new.steps[0].error.type == "builtins:RecursionError"
    assert len(new.steps) > 100


def test_the_working_directory_is_the_projects(shop, trace):
    does(shop, "return os.getcwd()")
    assert shop.result(shop.replay(trace)) == str(shop.directory)
    sub = shop.directory / "deep"
    sub.mkdir()
    done = shop.run(
        "-c",
        "import os; os.chdir('deep')\n"
        "from tracediff.api import open_project\n"
        f"print(open_project().replay({trace.id!r}).trace.steps[0].result)",
    )
    assert str(shop.directory).encode() in eval(done.stdout.partition("data=")[2].rstrip(")\n"))


def test_a_module_of_the_projects_named_as_one_of_pythons_own_is_not_taken_for_it(shop, trace):
    shop.write("tracediff.py", "raise RuntimeError('the wrong one')")
    shop.write("selectors.py", "raise RuntimeError('the wrong one')")
    assert shop.result(shop.replay(trace)) == "done"


def test_a_replay_writes_nothing_into_the_project_or_its_store(shop, trace):
    before = sorted(path for path in shop.directory.rglob("*") if path.is_file())
    shop.replay(trace)
    assert sorted(path for path in shop.directory.rglob("*") if path.is_file()) == before
    assert shop.recorded() == []


def test_a_job_that_closes_every_file_gets_no_answer_into_its_own(shop, trace):
    does(
        shop,
        "os.closerange(3, 100)",
        "mine = [os.open('mine', os.O_RDWR | os.O_CREAT) for _ in range(50)]",
        "return 'done'",
    )
    assert "own files" in refused(shop, trace, "replay-died")
    assert (shop.directory / "mine").read_bytes() == b""
