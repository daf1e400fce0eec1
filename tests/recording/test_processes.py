"""Real processes: what was recorded reaches the store however they end, and only once."""

from __future__ import annotations

import signal
import subprocess
import textwrap
from pathlib import Path

import pytest

from tracediff.stores import open_store
from tracediff.stores.status import read_status


def test_a_program_that_ends_saves_what_it_recorded(program):
    program.write("""
        @td.job("job")
        def job(x): return x

        for x in range(300):
            job(x)
    """)
    done = program.run()
    assert done.stderr == ""
    assert len(program.traces()) == 300


@pytest.mark.parametrize(
    ("end", "status"),
    [("sys.exit(3)", 3), ("raise ValueError", 1), ("raise KeyboardInterrupt", -signal.SIGINT)],
)
def test_a_job_that_ends_the_program_is_saved(program, end: str, status: int):
    program.write(f"""
        import sys

        @td.job("job")
        def job(end):
            if end:
                {end}

        job(False)
        td.flush()
        job(True)
    """)
    program.run(status=status)
    assert [trace.state for trace in program.traces()] == ["success", "error"]


def test_nothing_is_lost_when_a_process_is_killed_after_a_flush(program):
    program.write("""
        import os, signal

        @td.job("job")
        def job(x): return x

        for x in range(50):
            job(x)
        assert td.flush(60)
        print("flushed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    program.run(status=-signal.SIGKILL)
    assert len(program.traces()) == 50


def test_acknowledged_traces_are_in_the_store(program):
    program.write("""
        import os, sys

        @td.job("job")
        def job(): pass

        acked = []
        def on_ack(trace_id):
            acked.append(trace_id)
            if len(acked) == 2:
                raise ValueError("of the user")

        td.configure(on_ack=on_ack)
        for _ in range(5):
            job()
        assert td.flush(60)
        print(*acked)
        sys.stdout.flush()
        os._exit(0)
    """)
    done = program.run()
    assert sorted(done.stdout.split()) == sorted(trace.id for trace in program.traces())
    assert len(done.stdout.split()) == 5


def test_jobs_that_run_while_the_process_ends_are_saved(program):
    program.write("""
        import atexit

        @td.job("job")
        def job(x): return x

        atexit.register(job, "late")
        job("early")
    """)
    program.run()
    assert [trace.meta for trace in program.traces()] == ["x='early'", "x='late'"]


def test_jobs_in_threads_that_outlive_the_main_one_are_saved(program):
    program.write("""
        import threading

        @td.job("job")
        def job(x): return x

        main = threading.main_thread()
        def later():
            main.join()
            job("last")
        threading.Thread(target=later).start()
        job("first")
    """)
    program.run()
    assert [trace.meta for trace in program.traces()] == ["x='first'", "x='last'"]


def test_a_forked_child_writes_its_own_traces_and_none_of_its_parent(program):
    program.write("""
        import os, sys

        @td.job("job")
        def job(who): return who

        @td.job("forking")
        def forking():
            child = os.fork()
            if not child:
                job("child in a job")
                return
            os.waitpid(child, 0)
            with td.step("parent"):
                pass

        for _ in range(200):
            job("parent")
        child = os.fork()
        if not child:
            job("child")
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        pid = os.getpid()
        forking()
        if os.getpid() == pid:
            job("parent again")
    """)
    program.run()
    traces = program.traces()
    found = [trace.meta for trace in traces if trace.key == "job"]
    assert sorted(set(found)) == [
        "who='child in a job'", "who='child'", "who='parent again'", "who='parent'",
    ]  # fmt: skip
    assert len(found) == 203
    [forking] = [trace for trace in traces if trace.key == "forking"]
    assert [step.name for step in forking.steps] == ["forking", "parent"]


@pytest.mark.slow
def test_threads_that_record_while_others_fork_never_deadlock(program):
    """The first forks meet threads that import what the recorder needs; later ones its writer."""
    program.write("""
        import os, signal, threading, time

        @td.job("job")
        def job(x): return x

        def busy():
            while not stop.is_set():
                job("thread")
                stop.wait(0.001)

        stop = threading.Event()
        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        ended = []
        for _ in range(4):
            child = os.fork()
            if not child:
                job("child")
                os._exit(0 if td.flush(60) else 7)
            deadline = time.monotonic() + 90
            while True:
                pid, status = os.waitpid(child, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > deadline:
                    os.kill(child, signal.SIGKILL)
                time.sleep(0.005)
            ended.append(status)
        stop.set()
        for thread in threads:
            thread.join()
        assert ended == [0] * 4, ended
    """)
    for _ in range(8):
        program.run()
    store = open_store(str(program.directory / ".tracediff"))
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("how", ["spawn", "fork", "forkserver"])
def test_processes_of_multiprocessing_save_their_traces(program, how: str):
    program.write(f"""
        import multiprocessing

        @td.job("job")
        def job(x): return x

        if __name__ == "__main__":
            context = multiprocessing.get_context({how!r})
            job(0)
            workers = [context.Process(target=job, args=(x,)) for x in (1, 2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
                assert worker.exitcode == 0
    """)
    program.run()
    assert sorted(trace.meta for trace in program.traces()) == ["x=0", "x=1", "x=2"]
    assert len({trace.job for trace in program.traces()}) == 1  # a replay finds them alike


def test_a_process_pool_inside_a_job_runs_what_was_propagated(program):
    program.write("""
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing

        @td.step("step")
        def step(x): return x * 2

        @td.job("item")
        def item(x): return step(x)

        @td.job("job")
        def job():
            with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
                return list(pool.map(td.propagate(item), range(4)))

        assert job() == [0, 2, 4, 6]
    """)
    program.run()
    assert sorted(trace.key for trace in program.traces()) == ["item"] * 4 + ["job"]


# -- stores that cannot be written


def broken_file(directory: Path) -> None:
    (directory / ".tracediff").write_text("in the way")


def broken_foreign(directory: Path) -> None:
    (directory / ".tracediff").mkdir()
    (directory / ".tracediff/thesis.txt").write_text("x")


def broken_parent(directory: Path) -> None:
    settings = directory / "pyproject.toml"
    settings.write_text(settings.read_text() + 'store = "pyproject.toml/store"\n')


BROKEN = [broken_file, broken_foreign, broken_parent]
WITHOUT_CAPABILITIES = """
import ctypes
version = (ctypes.c_uint32 * 2)(0x20080522, 0)
none = (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(version, none) == 0  # root, too, may not write everywhere now
"""
JOB = """
    import sys

    @td.job("job")
    def job(password): return 42

    assert [job("x") for _ in range(20)] == [42] * 20
    flushed = td.flush()
    print("done", flushed)
"""


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.__name__)
def test_a_store_that_cannot_be_written_is_told_and_hurts_no_job(program, broken):
    broken(program.directory)
    program.write(JOB)
    before = sorted(program.directory.rglob("*"))
    done = program.run()
    assert done.stdout == "done False\n"
    assert "20 traces were not saved" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(program.directory.rglob("*")) == before


def test_a_read_only_store_is_told_and_hurts_no_job(program):
    program.write(JOB)
    program.run()
    program.write(WITHOUT_CAPABILITIES + textwrap.dedent(JOB))
    for path in (program.directory, *program.directory.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = program.run()
    assert done.stdout == "done False\n"
    assert "20 traces were not saved" in done.stderr
    assert len(program.traces()) == 20


def test_a_full_disk_is_told_and_hurts_no_job(program):
    program.write("""
        import resource, signal

        @td.job("job")
        def job(x): return 42

        job("fits")
        assert td.flush(60)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
        import random
        noise = random.Random(1).randbytes(100_000)
        assert job(noise) == 42
        assert not td.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert td.flush(60)
        job("again")
    """)
    done = program.run()
    assert "cannot write traces" in done.stderr
    assert len(program.traces()) == 3


def test_what_was_in_memory_when_a_process_ended_is_counted_as_dropped(program):
    program.write("""
        import random, resource, signal

        @td.job("job")
        def job(x): return 42

        job("fits")
        assert td.flush(60)
        td.configure(on_loss=lambda *losses: print(*losses[:2]))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
        for n in range(3):
            job(random.Random(n).randbytes(100_000))
    """)
    done = program.run()
    assert "3 traces were not saved" in done.stderr
    assert done.stdout.splitlines()[-1] == "3 0"
    (said,) = read_status(program.directory / ".tracediff")
    assert (said.dropped, said.failed) == (3, 0)
    assert said.problem is not None


def test_a_store_that_comes_back_gets_what_waited(program):
    broken_file(program.directory)
    program.write("""
        import os

        @td.job("job")
        def job(x): return x

        job(1)
        assert not td.flush()
        os.remove(".tracediff")
        job(2)
        assert td.flush(60)
    """)
    program.run()
    assert [trace.meta for trace in program.traces()] == ["x=1", "x=2"]


def test_what_exceeds_the_queue_is_dropped_counted_and_told(program):
    broken_file(program.directory)
    program.write("""
        from tracediff.recording import session, writer

        @td.job("job")
        def job(x): return len(x)

        for at in range(100):
            assert job(bytes([at]) * 1_000_000) == 1_000_000
        found = session._process.recorder.writer
        print(found.dropped > 0, found._waiting <= writer.MAX_BYTES + 3_000_000)
    """)
    done = program.run()
    assert done.stdout == "True True\n"
    assert "tracediff drops traces" in done.stderr
    assert "100 traces were not saved" in done.stderr


def test_a_trace_that_cannot_be_assembled_does_not_hold_up_the_others(program):
    program.write("""
        from tracediff.recording import session

        @td.job("job")
        def job(x): return x

        built = session.Run.trace
        def trace(self):
            if self.root.result == 2:
                raise ValueError("of the recorder")
            return built(self)
        session.Run.trace = trace
        for x in range(4):
            job(x)
        assert td.flush(60)
    """)
    done = program.run()
    assert "could not assemble" in done.stderr
    assert [trace.meta for trace in program.traces()] == ["x=0", "x=1", "x=3"]


# -- settings


def test_without_settings_nothing_is_recorded_and_all_works(program):
    (program.directory / "pyproject.toml").unlink()
    program.write("""
        import asyncio, sys

        @td.step("step")
        def step(x): return x

        @td.input("input")
        async def read(x): return x

        @td.job("job")
        def job(x):
            with td.step("block") as block:
                block.result = td.random()
            td.note("x"), td.tag("x"), td.artifact("x", b""), td.warn(), td.fail(), td.ignore()
            return step(asyncio.run(read(x)))

        assert job(5) == 5
        assert td.flush()
        print(*sorted(m for m in sys.modules if m.startswith("tracediff.stores.")))
    """)
    done = program.run()
    assert "local" not in done.stdout
    assert [path.name for path in program.directory.iterdir()] == ["program.py"]


@pytest.mark.parametrize(
    "settings",
    [
        "[tool.tracediff]\nnonsense = 1\n",
        "[tool.tracediff\n",
        "[tool.tracediff]\nsample = 'all'\n",
        "[tool.tracediff]\nredact = ['re:(']\n",
        "[tool.tracediff]\nredact = ['type:program.Missing']\n",
        "[tool.tracediff]\nredact = ['type:bad.Thing']\n",
    ],
)
def test_settings_that_cannot_be_used_are_told_once_and_hurt_no_job(program, settings: str):
    (program.directory / "pyproject.toml").write_text(settings)
    program.write("raise RuntimeError('on import')", "bad.py")
    program.write("""
        @td.job("job")
        def job(): return 42

        assert [job(), job()] == [42, 42]
    """)
    done = program.run()
    assert done.stderr.count("tracediff records nothing: ") == 1
    assert not (program.directory / ".tracediff").exists()


def test_a_working_directory_that_is_gone_hurts_no_job(program):
    program.write("""
        import os, tempfile

        @td.job("job")
        def job(): return 42

        gone = tempfile.mkdtemp()
        os.chdir(gone)
        os.rmdir(gone)
        assert job() == 42
    """)
    assert "records nothing" in program.run().stderr


def test_the_environment_switches_recording_on_and_off(program):
    program.write("""
        @td.job("job")
        def job(): pass
        job()
    """)
    program.run(TRACEDIFF_ENABLED="0")
    assert not (program.directory / ".tracediff").exists()
    (program.directory / "pyproject.toml").unlink()
    program.run(TRACEDIFF_STORE=str(program.directory / "elsewhere"))
    assert (program.directory / "elsewhere/segments").is_dir()


def test_configure_changes_settings_of_a_running_program(program):
    program.write("""
        from tracediff.errors import ConfigError

        @td.job("job")
        def job(x): return td.random() and x

        @td.job("switching")
        def switching():
            td.configure(store="second")

        job(1)
        td.configure(depth="inputs")
        job(2)
        td.configure(enabled=False)
        job(3)
        td.configure(store="first")
        switching()
        job(4)
        try:
            td.configure(nonsense=1)
        except ConfigError as error:
            assert error.slug == "config-unknown-key"
        else:
            raise SystemExit("accepted")
    """)
    program.run()
    assert [(trace.meta, trace.depth) for trace in program.traces()] == [
        ("x=1", "steps"), ("x=2", "inputs"),
    ]  # fmt: skip
    for name, keys in (("first", ["switching"]), ("second", ["job"])):
        store = open_store(str(program.directory / name))
        assert [row.key for row in store.find("", 9)] == keys
        store.close()


def test_threads_that_start_together_all_find_the_recorder(program):
    program.write("""
        import threading

        @td.job("job")
        def job(x): return x

        barrier = threading.Barrier(16)
        def run(x):
            barrier.wait()
            job(x)
        threads = [threading.Thread(target=run, args=(x,)) for x in range(16)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """)
    program.run()
    assert len(program.traces()) == 16


def test_interrupting_a_program_saves_its_traces(program):
    program.write("""
        import time

        @td.job("job")
        def job(x): return x

        @td.job("waiting")
        def waiting():
            print("waiting", flush=True)
            time.sleep(60)

        job(1)
        waiting()
    """)
    process = subprocess.Popen(
        program.command(),
        cwd=program.directory,
        env=program.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert [trace.key for trace in program.traces()] == ["job", "waiting"]
