"""What may be wrong with pinned traces and directories: one message, a hint, no traceback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

CONFLICT = "<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> branch\n"


def test_each_bad_file_fails_its_own_test_with_one_message(suite):
    """All of them in one run, so that none can hurt the others."""
    folder, text = suite.directory / "tests" / "traces", suite.traces[0].read_text("utf-8")
    document = json.loads(text)
    lines = text.splitlines(keepends=True)
    bad = {
        "cut-off": text[: len(text) // 2],
        "empty": "",
        "foreign": '{"name": "package", "version": 1}',
        "no-object": "[1, 2]",
        "newer": json.dumps(document | {"tracediff": 99}),
        "conflict": "".join(lines[:5])
        + CONFLICT.format(ours=lines[5], theirs=lines[6])
        + "".join(lines[7:]),
        "job-gone": json.dumps(document | {"key": "shop/sum", "job": "shop:sum"}),
        "not-allowed": json.dumps(document | {"key": "os/system", "job": "os:system"}),
        "no-steps": json.dumps(document | {"steps": []}),
        "edited": text.replace('"$decimal": "119.00"', '"$decimal": "120.00"'),
    }
    for name, content in bad.items():
        suite.write(f"tests/traces/{name}.trace.json", content)
    (folder / "binary.trace.json").write_bytes(b"\xff\xfe\x00trace")
    (folder / "link.trace.json").symlink_to("nowhere.trace.json")
    done = suite.pytest("-v", "--tb=short")
    assert done.code == 1
    done.counts(passed=3, failed=len(bad) + 1 + (folder / "link.trace.json").is_file())
    assert "Traceback" not in done.out + done.err
    for said in (
        "it is no JSON",
        "it does not begin like one",
        "has schema 99; this tracediff reads up to 1",
        "it holds a merge conflict, at line 6",
        "no job 'shop/sum' is defined by shop",
        "which is not among the modules that may be replayed",
        "120.00 → 119.00 (-1.00)",
    ):
        assert said in done.out, said
    assert done.out.count("  hint: ") >= len(bad) - 1
    assert "tests/traces/conflict.trace.json:6: " in done.out, "at the line of the conflict"
    assert "stale: tests/traces/job-gone.trace.json" in done.out


def test_a_file_that_its_manifest_does_not_pin_as_it_is_fails(suite):
    assert suite.tracediff("pull", "shop/total@last", "--bundle", "-o", "tests/traces/b").code == 0
    (pinned,) = (suite.directory / "tests/traces/b").glob("*.trace.json")
    suite.pytest(pinned).counts(passed=1)
    name = pinned.relative_to(suite.directory).as_posix()
    suite.change(name, '"$decimal": "396.27"', '"$decimal": "396.28"')
    done = suite.pytest(pinned)
    done.counts(failed=1)
    assert "is not the file that manifest.json beside it pins" in done.out
    suite.write(
        "tests/traces/b/manifest.json", '{"schema": "tracediff/manifest/1", "traces": [{}]}'
    )
    assert "a trace in it has no file, id, key or sha256" in suite.pytest(pinned).out


def test_an_id_of_two_files_is_ambiguous_where_it_is_asked_for(suite):
    trace = suite.traces[0]
    suite.write("tests/traces/again.trace.json", trace.read_text("utf-8"))
    trace_id = trace.name.removesuffix(".trace.json").rpartition("-")[2]
    suite.write(
        "tests/test_one.py",
        "import pytest\n\n"
        f"@pytest.mark.tracediff(id={trace_id!r})\n"
        "def test_one(replay_trace):\n    assert replay_trace()\n",
    )
    done = suite.pytest("tests/test_one.py")
    assert done.code == 2
    assert f"'{trace_id}' is the id of several pinned traces: again.trace.json, shop-" in done.out
    assert "Traceback" not in done.out


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("key='nothing/*'", "is chosen; there are traces of shop/total"),
        ("last=0", "last=0 is no number from 1 upwards"),
        ("lst=2", "the mark tracediff has no argument lst"),
        ("last=1, rel_tol='a'", "'a' is no number from 0 upwards"),
    ],
)
def test_a_mark_that_is_wrong_says_what_is_wrong(suite, mark, said):
    suite.write(
        "tests/test_one.py",
        f"import pytest\n\n@pytest.mark.tracediff({mark})\n"
        "def test_one(replay_trace):\n    assert replay_trace()\n",
    )
    done = suite.pytest("tests/test_one.py")
    assert done.code in (1, 2)
    assert said in done.out
    assert "Traceback" not in done.out


def test_options_and_ini_keys_that_are_wrong_are_errors_of_use(suite):
    both = suite.pytest("--tracediff-update", "--tracediff-update-new-only")
    assert both.code == 4
    assert "exclude each other" in both.err
    suite.ini('tracediff_tolerance = ["**/weight rel=much"]')
    done = suite.pytest()
    assert done.code == 4
    assert "the tolerance '**/weight rel=much' cannot be read" in done.err
    done = suite.pytest("-n2")
    assert "the tolerance '**/weight rel=much' cannot be read" in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_where_nothing_can_be_written_the_test_still_says_what_differs(suite):
    suite.break_it()
    suite.write(".tracediff-tests", "a file where a directory should be")
    done = suite.pytest(suite.traces[2])
    done.counts(failed=1)
    assert "shop/total: 396.27 → 396.3 (+0.03), first at VAT" in done.out
    assert "the result was not kept: " in done.out
    assert "Traceback" not in done.out + done.err


def test_an_update_that_cannot_be_written_fails_the_test(suite):
    suite.write("tests/test_one.py", SNAPSHOT)
    suite.write("tests/traces/snapshots", "a file where a directory should be")
    done = suite.pytest("tests/test_one.py", "--tracediff-update")
    assert done.code == 1
    assert "cannot be written" in done.out
    assert "Traceback" not in done.out + done.err


SNAPSHOT = """\
import shop

def test_one(trace_snapshot):
    assert shop.total(100) == trace_snapshot
"""


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_an_update_leaves_nothing_half_written(suite):
    """Kills at growing moments: each file is the old one or the new one, and the manifest holds."""
    refs = [f"shop/total@{{{nth}}}" for nth in range(3)]
    assert suite.tracediff("pull", *refs, "--bundle", "-o", "tests/traces").code == 0
    before = {path: path.read_bytes() for path in suite.traces}
    suite.break_it()
    written = 0
    for delay in range(40):
        command = suite.command("-n2", "--tracediff-update")
        run = subprocess.Popen(
            command, cwd=suite.directory, env=suite.environment(), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while run.poll() is None and time.monotonic() < deadline:
            if any(path.read_bytes() != data for path, data in before.items()):
                time.sleep(delay / 2000)
                break
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        changed = [path for path, data in before.items() if path.read_bytes() != data]
        written += len(changed)
        for path in suite.traces:
            json.loads(path.read_text("utf-8"))
            assert suite.tracediff("show", path).code == 0, "the manifest holds"
        for path, data in before.items():
            if path in changed:
                path.write_bytes(data)
        assert suite.tracediff("pull", *refs, "--bundle", "-o", "tests/traces").code == 0
        if written > 3:
            break
    assert written


def test_no_runner_outlives_a_run_that_was_killed(suite):
    """The job is deep in a loop of its own, which sees no pipe end."""
    suite.change(
        "shop.py", "    weight(net)\n",
        "    import os, pathlib\n    pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "    while True: pass\n",
    )  # fmt: skip
    run = subprocess.Popen(
        suite.command(suite.traces[0]), cwd=suite.directory, env=suite.environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    note = suite.directory / "pid"
    eventually(lambda: note.exists() and note.read_text())
    runner = int(note.read_text())
    run.kill()
    run.wait()
    try:
        eventually(lambda: not running(runner))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(runner, signal.SIGKILL)


def running(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for yet does not."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return said.rpartition(")")[2].split()[0] != "Z"


def eventually(holds) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
