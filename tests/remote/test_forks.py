"""Servers and pools that fork, the real ones: nothing is lost, nothing is twice, nothing hangs."""

from __future__ import annotations

import signal
import threading
import time
import urllib.error
import urllib.request

import pytest

from servers.processes import free_port

APP = """
    td.configure(on_ack=ledger("app"))
    job("master")  # the recorder is in use before the first fork

    def app(environ, start_response):
        name = environ["PATH_INFO"].strip("/")
        job(name)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{name} {os.getpid()}".encode()]
"""


@pytest.fixture
def gunicorn(production, poll):
    """A gunicorn of two forked workers; gives the process and what asks it for a job."""
    production.write(APP, name="app.py")
    port = free_port()
    process = production.start(
        "-m", "gunicorn", "--preload", "--workers=2", f"--bind=127.0.0.1:{port}",
        "--graceful-timeout=30", "--log-level=warning", "app:app",
    )  # fmt: skip

    def ask(name: str) -> tuple[str, str]:
        url = f"http://127.0.0.1:{port}/{name}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            said, pid = answer.read().decode().split()
            return said, pid

    def answers() -> bool:
        assert process.poll() is None, process.communicate()
        try:
            ask("hello")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    poll(answers)
    return process, ask


def test_gunicorn_uploads_every_job_that_it_answered_through_restarts_and_the_end(
    production, gunicorn, poll
):
    process, ask = gunicorn
    answered: dict[str, str] = {}
    failed = []

    def client(number: int) -> None:
        for n in range(30):
            try:
                name, pid = ask(f"c{number}-{n}")
            except Exception as error:
                failed.append(error)
                raise
            answered[name] = pid
            time.sleep(0.01)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    poll(lambda: len(answered) > 15)
    before = set(answered.values())
    process.send_signal(signal.SIGHUP)  # a graceful restart: new workers, from the same master
    for thread in threads:
        thread.join()
    assert not failed

    def restarted() -> bool:
        name, pid = ask("again")
        answered[f"{name}-{pid}"] = pid
        return pid not in before

    poll(restarted)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert production.waiting() == []
    found = production.stored()
    counts = found.jobs
    names = {name for name in answered if name.startswith("c")}
    assert len(names) == 90
    assert {name for name in names if counts[name] != 1} == set()
    assert counts["master"] == 1
    said = production.acknowledged()
    assert sorted(said) == sorted(found.rows) == sorted(frame.id for frame in found.frames)


TASKS = """
    import celery, json
    where = os.path.abspath("broker")
    app = celery.Celery("tasks", broker_url="filesystem://")
    app.conf.update(
        broker_transport_options={
            "data_folder_in": where, "data_folder_out": where,
            "control_folder": os.path.abspath("control"),
        },
        worker_hijack_root_logger=False, broker_connection_retry_on_startup=True,
    )
    td.configure(on_ack=ledger("app"))

    @app.task(name="one")
    def one(name):
        job(name)
        with open("done", "a") as file:
            file.write(f"{name} {os.getpid()}\\n")
"""


@pytest.mark.slow
def test_celery_uploads_every_job_of_its_forked_workers_before_a_warm_shutdown(production, poll):
    for name in ("broker", "control"):
        (production.directory / name).mkdir()
    production.write(TASKS, name="tasks.py")
    process = production.start(
        "-m", "celery", "-A", "tasks", "worker", "--pool=prefork", "--concurrency=2",
        "--without-gossip", "--without-mingle", "--loglevel=error",
    )  # fmt: skip
    (production.directory / "send.py").write_text(
        "import tasks\nfor n in range(40): tasks.one.delay(f't{n}')\n"
    )
    production.run("send.py")
    done = production.directory / "done"
    poll(lambda: done.exists() and len(done.read_text().splitlines()) == 40)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    # Celery warns root of being root, with a path that may hold any name.
    own = [line for line in err.splitlines() if "site-packages" not in line]
    assert not any("tracediff" in line for line in own), err
    finished = [line.split() for line in done.read_text().splitlines()]
    assert str(process.pid) not in {pid for _, pid in finished}  # forked workers did them all
    assert production.waiting() == []
    found = production.verify()
    assert set(found.jobs) == {f"t{n}" for n in range(40)}
    assert len(production.acknowledged()) == 40


POOL = """
    import multiprocessing

    def work(n):
        return job(f"p{n}")

    td.configure(on_ack=ledger("all"))  # again in each child that is spawned

    if __name__ == "__main__":
        job("parent")
        how = multiprocessing.get_context(sys.argv[1])
        pool = how.Pool(2)
        assert pool.map(work, range(40), chunksize=5) == [100] * 40
        pool.close()
        pool.join()
"""


@pytest.mark.parametrize("how", ["fork", pytest.param("spawn", marks=pytest.mark.slow),
                                 pytest.param("forkserver", marks=pytest.mark.slow)])  # fmt: skip
def test_pools_of_multiprocessing_upload_every_job(production, how):
    production.write(POOL)
    assert production.run("program.py", how) == ("", "")
    assert production.waiting() == []
    found = production.verify()
    assert set(found.jobs) == {"parent", *(f"p{n}" for n in range(40))}
    assert len(production.acknowledged()) == 41


def unfit(err: str) -> list[str]:
    """What a busy machine does not explain, which may take longer than a store is waited for."""
    fit = ("tracediff keeps traces in ", "to be uploaded by a later process")
    return [line for line in err.splitlines() if not any(one in line for one in fit)]


def test_two_writers_after_a_fork_share_nothing_and_lose_nothing(production):
    """The fork comes while the parent's threads save and upload."""
    production.write("""
        import threading, warnings
        import boto3, tracediff.stores.mongo, tracediff.stores.s3  # once, and not in each child
        boto3.client("s3", region_name="us-east-1").close()
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks beside threads
        td.configure(on_ack=ledger("all"))
        stop = threading.Event()

        def busy():
            n = 0
            while not stop.is_set():
                job(f"parent-{n}")
                n += 1
                time.sleep(0.001)

        thread = threading.Thread(target=busy)
        thread.start()
        children = []
        for number in range(6):
            time.sleep(0.15)
            child = os.fork()
            if child == 0:
                for n in range(20):
                    job(f"child-{number}-{n}")
                sys.exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        thread.join()
    """)
    _, err = production.run()
    assert unfit(err) == []
    production.upload()
    found = production.verify()
    assert len([name for name in found.jobs if name.startswith("child-")]) == 120
    assert len(production.acknowledged()) == len(found.rows) - 1


@pytest.mark.slow
def test_forks_while_the_clients_are_being_imported_leave_no_child_stuck(production):
    """The uploader imports its clients when it first needs them: a lock of an import is not freed
    in a child."""
    production.write("""
        td.configure(on_ack=ledger("all"), upload_every=0.05)
        job("parent")
        children = []
        for number in range(8):  # the imports take about half a second
            time.sleep(0.05)
            child = os.fork()
            if child == 0:
                import boto3, pymongo  # the job's own code may well need them
                job(f"child-{number}")
                sys.exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
    """)
    _, err = production.run()
    assert unfit(err) == []
    production.upload()
    assert len(production.verify().jobs) == 10
