"""What a command writes where: colours, widths, encodings, pipes that close, interrupts."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tracediff.cli.streams import encodable

ESCAPE = "\x1b["


@pytest.fixture
def on_terminal(project):
    """Run a command whose stdout or stderr is a terminal; what it wrote to each, and its code."""

    def run(*args, stdout=False, stderr=False, **env):
        master, slave = pty.openpty()
        with subprocess.Popen(
            project.command(*args),
            cwd=project.directory,
            env=project.environment(TERM="xterm", **env),
            stdin=subprocess.DEVNULL,
            stdout=slave if stdout else subprocess.DEVNULL,
            stderr=slave if stderr else subprocess.DEVNULL,
        ) as process:
            os.close(slave)
            seen = drained(master)
            code = process.wait(timeout=60)
        return code, seen

    return run


def drained(master: int) -> str:
    """Everything written to a terminal until the last writer closes it."""
    data = b""
    with contextlib.suppress(OSError):  # EIO: nobody has it open any more
        while piece := os.read(master, 65536):
            data += piece
    os.close(master)
    return data.decode("utf-8", "replace")


def test_a_pipe_gets_no_colours_and_a_terminal_does(project, on_terminal):
    assert ESCAPE not in project.run("show", "price/one@last").out
    code, seen = on_terminal("show", "price/one@last", stdout=True)
    assert code == 0
    assert ESCAPE in seen
    assert ESCAPE not in on_terminal("show", "price/one@last", stdout=True, NO_COLOR="1")[1]
    assert ESCAPE not in on_terminal("show", "@last", "--format", "json", stdout=True)[1]


def test_colours_can_be_forced_and_no_colour_wins(project, tmp_path):
    args = ("show", "price/one@last")
    assert ESCAPE in project.run(*args, FORCE_COLOR="1").out
    assert ESCAPE not in project.run(*args, FORCE_COLOR="0").out
    assert ESCAPE not in project.run(*args, FORCE_COLOR="1", NO_COLOR="1").out
    assert project.run(*args, "-o", tmp_path / "x", FORCE_COLOR="1").code == 0
    assert ESCAPE not in (tmp_path / "x").read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", ["20", "1", "0", "-5", "100000", "wide", None])
def test_every_report_fits_or_survives_any_width(project, columns):
    project.change("prices.py", "return 19", "return 20")
    done = project.run("compare", "price/one@last", COLUMNS=columns)
    assert (done.code, done.err) == (1, "")
    assert max(map(len, done.out.splitlines())) <= 160
    done = project.run("ls", COLUMNS=columns)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["ascii", "latin-1", "C locale"],
)
def test_any_encoding_of_stdout_gets_the_report_and_the_same_document(project, env):
    plain = project.run("show", "order/total@{1}", "--format", "json").document
    narrow = raw(project, "show", "order/total@{1}", "--format", "json", **env)
    assert narrow.returncode == 0, narrow
    encoding = "latin-1" if env.get("PYTHONIOENCODING") == "latin-1" else "ascii"
    assert json.loads(narrow.stdout.decode(encoding)) == plain
    text = raw(project, "show", "order/total@{1}", **env)
    assert (text.returncode, text.stderr) == (0, b"")
    assert b"apple" in text.stdout
    assert raw(project, "show", "Ä→", **env).returncode == 2


def raw(project, *args, stdout=subprocess.PIPE, **env) -> subprocess.CompletedProcess:
    from_fixture = project.environment(**env)
    return subprocess.run(
        project.command(*args), cwd=project.directory, env=from_fixture, stdin=subprocess.DEVNULL,
        stdout=stdout, stderr=subprocess.PIPE, check=False, timeout=60,
    )  # fmt: skip


def test_characters_that_an_encoding_lacks_are_likened_in_text_and_escaped_in_json():
    assert encodable("│ a → b ✓ é 漢", "ascii") == "| a -> b v ? ?"
    assert encodable("│ é", "latin-1") == "| é"
    assert encodable("\ud800", "utf-8") == "?"
    for text in ("é→漢", "\U0001f600", "\ud800x", "plain"):
        document = json.dumps({"a": text}, ensure_ascii=False)
        for encoding in ("ascii", "latin-1", "utf-8"):
            assert json.loads(encodable(document, encoding, "json")) == {"a": text}


def test_a_reader_that_has_seen_enough_ends_the_writing_quietly(project):
    project.change("prices.py", "return 19", "return 20")
    for args, code in ((["compare", "price/one@last"], 1), (["show", "@last"], 0), (["-h"], 0)):
        read, write = os.pipe()
        os.close(read)  # gone before the first byte: every write fails
        done = raw(project, *args, stdout=write)
        os.close(write)
        assert (done.returncode, done.stderr) == (code, b""), args


def test_a_pipeline_into_head_says_nothing_on_stderr(project):
    command = f'"{project.command()[0]}" -m tracediff show @last | head -1'
    done = subprocess.run(
        ["sh", "-c", command], cwd=project.directory, env=project.environment(),
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout.count(b"\n")) == (0, b"", 1)


def test_a_closed_stdout_or_stderr_is_no_crash(project):
    for closing, code in ((">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)):
        command = f'"{project.command()[0]}" -m tracediff ls {closing}'
        done = subprocess.run(
            ["sh", "-c", command], cwd=project.directory, env=project.environment(),
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (code, b""), closing


def test_a_full_disk_under_stdout_is_an_error(project):
    with Path("/dev/full").open("wb") as full:
        done = raw(project, "ls", stdout=full)
    assert done.returncode == 2
    assert b"docs/errors.md#output-unwritable" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def slow(project):
    """Make the job wait in its replay until a file called "go" is there."""
    project.change(
        "prices.py",
        "    return 19",
        "    import os, pathlib, time\n"
        '    pathlib.Path("started").write_text(str(os.getpid()))\n'
        '    while not pathlib.Path("go").exists():\n'
        "        time.sleep(0.01)\n"
        "    return 20",
    )


def wait_for(found, seconds=30):
    deadline = time.monotonic() + seconds
    while not (seen := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return seen


def test_an_interrupt_exits_with_130_and_ends_the_replay(project):
    slow(project)
    with subprocess.Popen(
        project.command("compare", "price/one@last"), cwd=project.directory,
        env=project.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        started = project.directory / "started"
        replay = int(wait_for(lambda: started.exists() and started.read_text()))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, b"")
    assert b"interrupted" in err
    assert b"Traceback" not in err
    wait_for(lambda: not Path(f"/proc/{replay}").exists())


def test_a_terminal_sees_what_goes_on_after_a_second_and_the_cursor_comes_back(
    project,
):
    slow(project)
    master, slave = pty.openpty()
    with subprocess.Popen(
        project.command("compare", "price/one@last"), cwd=project.directory,
        env=project.environment(TERM="xterm"), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=slave,
    ) as process:  # fmt: skip
        os.close(slave)
        seen = b""
        deadline = time.monotonic() + 30
        while b"replaying" not in seen:
            assert time.monotonic() < deadline
            if select.select([master], [], [], 0.1)[0]:
                seen += os.read(master, 65536)
        (project.directory / "go").touch()
        seen += drained(master).encode()
        assert process.stdout is not None
        out = process.stdout.read().decode()
        assert process.wait(timeout=30) == 1
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert "VAT rate" in out
    assert ESCAPE not in out


def test_what_is_done_in_time_shows_no_progress_and_waits_for_none(project):
    """With a delay of a minute: the command neither shows anything nor waits for it."""
    master, slave = pty.openpty()
    patient = "import tracediff.cli as c, tracediff.cli.progress as p; p.DELAY = 60; c.main()"
    with subprocess.Popen(
        [project.command()[0], "-c", patient, "show", "@last"], cwd=project.directory,
        env=project.environment(TERM="xterm"), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=slave,
    ) as process:  # fmt: skip
        os.close(slave)
        assert drained(master) == ""
        assert process.wait(timeout=60) == 0


def test_what_is_no_terminal_sees_no_progress(project):
    slow(project)
    with subprocess.Popen(
        project.command("compare", "price/one@last"), cwd=project.directory,
        env=project.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        wait_for((project.directory / "started").exists)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.2)
        (project.directory / "go").touch()
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, b"")
