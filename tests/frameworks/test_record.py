"""``tracediff record``: any command records, with no line for it in the program."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tracediff.frameworks.starting import main_module

SCRIPT = """
    import sys
    import engine
    from engine import price as held

    def total(count):
        return held(count) + 1

    class Shop:
        @classmethod
        def open(cls, name):
            return name

    if __name__ == "__main__":
        print(total(3), Shop.open("corner"))
        sys.exit(7)
"""


@pytest.fixture
def bare(service):
    """A project whose program knows nothing of tracediff, and has no settings."""
    for path in sorted(service.directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    service.write({"script.py": SCRIPT, "engine.py": "def price(count):\n    return count * 2\n"})
    return service


def record(service, *arguments, status=0, **more):
    return service.run("-m", "tracediff", "record", *arguments, status=status, **more)


def keys(service):
    return [row.key for row in service.rows()]


def test_named_functions_are_jobs_those_of_the_script_and_those_that_others_hold_too(bare):
    named = ("script:total", "engine:price", "script:Shop.open")
    given = [part for one in named for part in ("--job", one)]
    out = record(bare, *given, "--", sys.executable, "script.py", status=7)
    assert out == "7 corner\n"
    assert keys(bare) == ["script/total", "script/Shop/open"]
    (bare.directory / "pyproject.toml").write_text(
        f"[tool.tracediff]\njobs = ['script', 'engine']\nentry = {list(named)}\n"
    )
    for row in bare.rows():
        with bare.project() as project:
            trace = project.resolve(row.id)
        bare.same(trace)
    nested = bare.trace("script/total")
    assert [step.name for step in nested.steps[1:]] == ["engine/price"]


def test_a_replay_of_a_function_that_no_setting_names_says_how_to_name_it(bare):
    record(
        bare, "--job", "engine:price", "--", sys.executable, "-c", "import engine; engine.price(1)"
    )
    (bare.directory / "pyproject.toml").write_text("[tool.tracediff]\njobs = ['engine']\n")
    with bare.project() as project, pytest.raises(Exception) as caught:
        project.replay(bare.trace("engine/price"))
    assert caught.value.slug == "job-unknown"
    assert 'entry = ["engine:price"]' in caught.value.hint


def test_processes_that_a_command_starts_record_too(bare):
    again = f"{sys.executable} -c 'import engine; engine.price(1)'"
    code = "import os, sys; os.execv(sys.executable, [sys.executable, '-m', 'starting'])"
    bare.write({"starting.py": "import engine\nengine.price(2)\n"})
    record(
        bare, "--job", "engine:price", "--", "sh", "-c", f'{again}; {sys.executable} -c "{code}"'
    )
    assert keys(bare) == ["engine/price"] * 2


def test_a_django_project_and_celery_need_no_line_of_their_own(service):
    app = service.directory / "desk/app.py"
    app.write_text(app.read_text().replace("import tracediff.celery\n", ""))
    settings = service.directory / "desk/settings.py"
    settings.write_text(settings.read_text().replace('"tracediff.django", ', ""))
    service.run("manage.py", "quote", "200")
    assert keys(service) == []
    record(service, "--", sys.executable, "manage.py", "quote", "200")
    code = "from desk.tasks import named; named.apply()"
    record(service, "--depth", "inputs", "--", sys.executable, "-c", code)
    assert keys(service) == ["commands/quote", "prices/named"]
    assert service.trace("prices/named").depth == "inputs"
    service.same(service.trace("commands/quote"))
    service.same(service.trace("prices/named"))


@pytest.mark.slow
def test_a_web_server_records_with_no_line_in_the_project(service, ask, until, port):
    settings = service.directory / "desk/settings.py"
    settings.write_text(settings.read_text().replace('"tracediff.django", ', ""))
    url = f"127.0.0.1:{port()}"
    gunicorn = ("-m", "gunicorn", f"--bind={url}", "--log-level=warning", "desk.wsgi")
    server = service.start("-m", "tracediff", "record", "--", sys.executable, *gunicorn)

    def answers():
        try:
            return ask(f"http://{url}/away/")
        except OSError:  # it still starts
            return None

    until(answers, "gunicorn")
    assert ask(f"http://{url}/page/")[0] == 200
    assert "error" not in service.end(server).lower()
    service.same(service.trace("desk/views/Page"))


def test_options_stand_in_the_place_of_settings(bare):
    other = bare.directory / "other"
    code = "import engine; [engine.price(n) for n in range(30)]"
    run = ("--job", "engine:price", "--store", "other", "--", sys.executable, "-c", code)
    record(bare, "--sample", "0", *run)
    assert not other.exists()
    record(bare, *run)
    assert (other / "index.sqlite").exists()
    assert not (bare.directory / ".tracediff").exists()


def test_a_function_that_was_never_called_is_named(bare):
    code = "print(1)"
    out = record(bare, "--summary", "--job", "engine:other", "--", sys.executable, "-c", code)
    assert "nothing was recorded: no call of engine:other" in out
    error = record(bare, "--job", "__main__:price", "--", sys.executable, "engine.py", status=2)
    assert "of price.py it is --job price:price" in error


def test_a_sitecustomize_of_the_user_s_runs_as_ever_and_the_path_is_left_as_it_was(bare):
    bare.write({"own/sitecustomize.py": "import sys\nsys.own = __file__\n"})
    code = "import sys; print(sys.own, [p for p in sys.path if 'frameworks' in p])"
    path = os.pathsep.join([str(bare.directory / "own"), bare.environment()["PYTHONPATH"]])
    out = record(bare, "--", sys.executable, "-c", code, PYTHONPATH=path)
    assert out == f"{bare.directory / 'own' / 'sitecustomize.py'} []\n"


def test_an_interpreter_without_tracediff_runs_its_program(bare):
    venv.create(bare.directory / "plain", symlinks=True)
    python = bare.directory / "plain/bin/python"
    start = Path(__file__).parents[2] / "tracediff/frameworks/start"
    done = subprocess.run(
        [python, "-c", "print('ran')"], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(start), "TRACEDIFF_ENTRY": "engine:price"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("ran\n", "")


def test_unusable_settings_are_said_and_the_program_runs(bare):
    (bare.directory / "pyproject.toml").write_text("[tool.tracediff]\njobs = 3\n")
    error = record(bare, "--", sys.executable, "-c", "print('ran')", status=2)
    assert "jobs must be" in error


@pytest.mark.parametrize("summary", ["--summary", "--no-summary"])
def test_signals_reach_the_command_and_its_exit_code_comes_back(bare, summary, until):
    bare.write({
        "waiting.py": """
            import pathlib, signal, sys, time
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
            pathlib.Path("ready").touch()
            while True:
                time.sleep(0.05)
        """
    })  # fmt: skip
    process = bare.start("-m", "tracediff", "record", summary, "--", sys.executable, "waiting.py")
    until((bare.directory / "ready").exists, "the command")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 9
    assert ("nothing was recorded" in out) == (summary == "--summary")


def test_a_command_that_a_signal_ends_has_the_exit_code_that_a_shell_gives(bare):
    code = "import os; os.kill(os.getpid(), 9)"
    record(bare, "--summary", "--", sys.executable, "-c", code, status=137)
    record(bare, "--no-summary", "--", sys.executable, "-c", code, status=-9)


def test_on_a_terminal_it_says_what_was_recorded_and_what_to_do(bare):
    leader, follower = pty.openpty()
    code = "import engine, sys; engine.price(1); engine.price(2); print(sys.stdout.isatty())"
    command = ["record", "--job", "engine:price", "--", sys.executable, "-c", code]
    process = subprocess.Popen(
        [sys.executable, "-m", "tracediff", *command], cwd=bare.directory,
        env=bare.environment(), stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    assert process.wait(timeout=60) == 0
    os.close(follower)
    said = os.read(leader, 10_000).decode().splitlines()
    os.close(leader)
    assert said[0] == "True"
    assert said[1] == "tracediff: 2 traces: 2 × engine/price"
    assert said[2].startswith("  next  tracediff compare ")
    assert said[3] == '  keep  entry = ["engine:price"] in [tool.tracediff], for replays'


def test_a_command_that_there_is_none_of_is_an_error(bare):
    out = record(bare, "--", "no-such-program", status=2)
    assert "there is no program 'no-such-program'" in out
    assert "record-no-command" in out


@pytest.mark.parametrize(
    ("argv", "whole", "name"),
    [
        (["script.py", "a"], ["python", "script.py", "a"], "script"),
        (["/srv/jobs/nightly.py"], ["python", "/srv/jobs/nightly.py"], "nightly"),
        (["-m", "a"], ["python", "-X", "dev", "-m", "shop.jobs", "a"], "shop.jobs"),
        (["-c"], ["python", "-c", "pass"], None),
        (["/usr/bin/celery"], ["python", "/usr/bin/celery"], None),
        ([""], ["python"], None),
    ],
)
def test_the_main_module_has_the_name_it_is_imported_by(argv, whole, name):
    assert main_module(argv, whole) == name
