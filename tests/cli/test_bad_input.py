"""Bad input: each is refused with one clear error, a hint and exit code 2, and loses nothing."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

COMMANDS = ["init", "demo", "ls", "show", "pull", "replay", "compare", "doctor", "config"]


def test_an_unknown_command_or_option_names_a_near_one(project):
    project.refused("comprae", slug="usage", words=("'comprae'", "did you mean 'compare'?"))
    project.refused("frobnicate", slug="usage", words=("compare",))
    project.refused("ls", "--limt", "3", slug="usage", words=("--limt", "did you mean --limit?"))
    project.refused("ls", "--fromat", "text", slug="usage", words=("--format",))
    project.refused("show", slug="usage", words=("REF", "tracediff show --help"))
    project.refused("show", "@last", "more", slug="usage", words=("more",))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["ls", "--since", "nonsense"], ("'nonsense'", "2h")),
        (["ls", "--limit", "0"], ("--limit",)),
        (["ls", "--limit", "many"], ("--limit",)),
        (["ls", "--state", "tired"], ("'tired'", "success")),
        (["compare", "@last", "--rel-tol", "nan"], ("--rel-tol",)),
        (["compare", "@last", "--rel-tol", "1e999"], ("--rel-tol",)),
        (["compare", "@last", "--abs-tol", "-1"], ("--abs-tol",)),
        (["compare", "@last", "--abs-tol", "much"], ("--abs-tol",)),
        (["compare", "@last", "--on-miss", "guess"], ("'guess'", "nearest")),
        (["demo", "--jobs", "0"], ("--jobs",)),
    ],
    ids=" ".join,
)
def test_an_option_with_a_value_it_cannot_have_is_refused(empty, args, words):
    empty.refused(*args, slug="usage", words=words)


def test_an_unknown_format_is_refused_as_text(project):
    done = project.run("ls", "--format", "yaml")
    assert (done.code, done.out) == (2, "")
    assert "'yaml'" in done.err


def test_a_cursor_of_nothing_or_of_another_search_is_refused(project):
    project.refused("ls", "--cursor", "nonsense", slug="cursor-invalid")
    cursor = project.run("ls", "--limit", "1", "--format", "json").document["cursor"]
    assert project.run("ls", "--limit", "1", "--cursor", cursor).code == 0
    project.refused("ls", "price", "--cursor", cursor, slug="cursor-invalid", words=("another",))


def test_a_time_that_no_index_holds_is_no_crash(project):
    assert project.ids("--since", "9999-12-31") == []
    assert len(project.ids("--since", "0001-01-02")) == 5
    assert len(project.ids("--since", "999999w")) == 5


def test_a_job_off_the_allow_list_is_refused(project):
    project.write("pyproject.toml", '[tool.tracediff]\njobs = ["orders"]\n')
    for command in ("compare", "replay"):
        project.refused(
            command, "price/one@last", slug="job-not-allowed", words=("prices", 'jobs = ["prices"]')
        )
    project.write("pyproject.toml", "[tool.tracediff]\n")
    project.refused("compare", "price/one@last", slug="job-not-allowed")


def test_a_job_that_is_gone_or_cannot_be_imported_is_refused(project):
    project.change("prices.py", "price/one", "price/two")
    project.change("prices.py", "def price(", "def other(")
    project.refused(
        "compare", "price/one@last", slug="job-unknown", words=("price/one", "price/two")
    )
    project.write("prices.py", "import missing_library\n")
    project.refused(
        "compare", "price/one@last", slug="job-not-importable", words=("missing_library",)
    )
    project.write("prices.py", "def broken(:\n")
    project.refused("compare", "price/one@last", slug="job-not-importable", words=("SyntaxError",))
    project.write("prices.py", "raise SystemExit(3)\n")
    project.refused("compare", "price/one@last", slug="job-not-importable", words=("__main__",))
    (project.directory / "prices.py").unlink()
    project.refused("compare", "price/one@last", slug="job-not-importable", words=("prices",))
    assert project.run("show", "price/one@last").code == 0


def test_a_job_with_another_signature_is_refused(project):
    project.change("prices.py", "def price(net, ", "def price(amount, ")
    project.change("prices.py", "return net *", "return amount *")
    project.refused(
        "compare", "price/one@last", slug="job-signature-changed", words=("'amount'", "'net'")
    )


def test_a_process_that_dies_in_the_replay_is_an_error_and_no_difference(project):
    project.change("prices.py", "return 19", "import os; os._exit(7)")
    project.refused("compare", "price/one@last", slug="replay-died", words=("exit code 7",))


def test_a_job_that_raises_now_is_a_difference_and_no_error(project):
    project.change("prices.py", "return 19", "raise ValueError('no rate')")
    done = project.run("compare", "price/one@last")
    assert (done.code, done.err) == (1, "")
    assert "no rate" in done.out


def test_an_interpreter_that_is_not_there_is_refused(project):
    text = (project.directory / "pyproject.toml").read_text()
    project.write("pyproject.toml", f'{text}python = "/nowhere/python"\n')
    project.refused("compare", "@last", slug="replay-python", words=("/nowhere/python",))
    assert "/nowhere/python" in project.run("doctor").out


def test_a_store_that_is_not_there_is_not_made_by_looking_for_it(project):
    project.refused("ls", "--store", "missing", slug="store-missing", words=("missing", "init"))
    assert not (project.directory / "missing").exists()
    project.refused("ls", "--store", "", slug="config-invalid", words=("--store",))
    project.refused("ls", "--store", "gopher://h/x", slug="store-unknown", words=("gopher",))


def test_a_file_or_something_else_in_the_place_of_the_store_is_refused(project):
    project.write("file", "in the way")
    project.refused("ls", "--store", "file", slug="store-io", words=("file",))
    project.refused("ls", "--store", "file/below", slug="store-missing", words=("below",))
    done = project.run("init", "--yes", "--store", "file/below")
    assert (done.code, done.err.splitlines()[-1]) == (2, "  see docs/errors.md#store-io")
    project.refused("ls", "--store", "..", slug="store-foreign", words=("other files",))
    assert project.run("doctor", "--store", "file").code == 1


def without_privileges() -> None:
    """Let file permissions hold for root too: drop the capabilities to override them."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; refused to others, who lack them


@pytest.fixture
def restricted(project):
    """Run a command that file permissions hold for; they are given back afterwards."""

    def run(*args: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            project.command(*args), cwd=project.directory, env=project.environment(), text=True,
            capture_output=True, check=False, timeout=60, preexec_fn=without_privileges,
        )  # fmt: skip

    yield run
    project.directory.chmod(0o755)
    for path in project.directory.rglob("*"):
        path.chmod(0o755)


def test_a_store_that_may_not_be_read_is_refused(project, restricted):
    (project.directory / ".tracediff").chmod(0o000)
    done = restricted("ls")
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "docs/errors.md#store-unwritable" in done.stderr
    assert "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_may_only_be_read_is_read(project, restricted):
    for path in (project.directory / ".tracediff", *(project.directory / ".tracediff").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for command in (["ls"], ["show", "price/one@last"], ["compare", "price/one@last"]):
        done = restricted(*command)
        assert (done.returncode, done.stderr) == (0, ""), done


def test_a_store_that_may_not_be_made_is_refused(project, restricted):
    shutil.rmtree(project.directory / ".tracediff")
    project.directory.chmod(0o555)
    done = restricted("init", "--yes")
    assert done.returncode == 2, done
    assert "docs/errors.md#store-unwritable" in done.stderr
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize("command", ["ls", "compare", "show", "doctor", "config"])
def test_every_command_that_reads_settings_refuses_broken_ones(empty, command):
    empty.write("pyproject.toml", '[tool.tracediff]\njbos = ["prices"]\n')
    args = [command, "@last"] if command in ("compare", "show") else [command]
    empty.refused(*args, slug="config-unknown-key", words=("'jbos'", "did you mean 'jobs'?"))


def test_broken_toml_is_refused_with_the_place(empty):
    empty.write("pyproject.toml", "[tool.tracediff\n")
    empty.refused("ls", slug="config-unreadable", words=("pyproject.toml", "line 1"))
    (empty.directory / "pyproject.toml").write_bytes(b"# \xff\n")
    empty.refused("ls", slug="config-unreadable", words=("pyproject.toml",))


def test_an_unknown_variable_is_refused_and_names_a_near_one(project):
    project.refused(
        "ls", slug="config-unknown-key", words=("TRACEDIFF_STOER", "TRACEDIFF_STORE"),
        TRACEDIFF_STOER="x",
    )  # fmt: skip


def test_a_result_that_cannot_be_written_is_refused(project, tmp_path):
    (tmp_path / "file").write_text("in the way")
    commands = [
        (*command, "-o", output)
        for output in (tmp_path / "file" / "x", tmp_path, Path("/proc/nowhere/x"))
        for command in (["ls"], ["show", "@last"], ["compare", "@last", "@last"], ["config"])
    ]
    for command, done in zip(commands, project.batch(*commands), strict=True):
        assert (done.code, done.out) == (2, ""), (command, done)
        assert done.err.endswith("docs/errors.md#output-unwritable\n")
    project.refused("ls", "-o", tmp_path, slug="output-unwritable", words=("is a directory",))
    project.refused(
        "pull",
        "@last",
        "@{1}",
        "-o",
        tmp_path / "x.json",
        slug="output-unwritable",
        words=("2 traces",),
    )
    assert list(tmp_path.glob("*.partial")) == []


def test_a_device_is_written_to_and_a_link_is_followed(project, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    assert project.run("config", "-o", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink()
    assert "jobs" in (tmp_path / "target").read_text()
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        assert project.run("config", "-o", tmp_path / "pipe").code == 0
        assert b"jobs" in reader.communicate(timeout=30)[0]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_credentials_are_masked_everywhere(project):
    url = "gopher://me:hunter2@host/x?authToken=hunter3"
    project.write(
        "pyproject.toml",
        f'[tool.tracediff]\njobs = ["prices"]\nstore = "prod"\n[tool.tracediff.stores.prod]\n'
        f'index = "{url}"\nblobs = "s3://key:hunter2@bucket"\n',
    )
    readings = (["config"], ["doctor"], ["ls"], ["init"], ["init", "--yes"], ["show", "@last"])
    commands = [(*args, *more) for args in readings for more in ([], ["--format", "json"])]
    for command, done in zip(commands, project.batch(*commands), strict=True):
        assert done.out + done.err, command
        assert "hunter" not in done.out + done.err, (command, done)
    for args in (["ls", "--store", url], ["show", url], ["ls", "--since", url], [url]):
        text, machine = project.batch(args, (*args, "--format", "json"))
        assert (text.code, machine.code) == (2, 2)
        assert "hunter" not in text.err + machine.err, text
    assert "***@host" in project.run("config").out


def test_control_characters_of_a_reference_do_not_reach_the_terminal(project):
    done = project.run("show", "\x1b[31mred\x07")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert "\x07" not in done.err


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help(empty, flag):
    for command, done in zip(COMMANDS, empty.batch(*([c, flag] for c in COMMANDS)), strict=True):
        assert (done.code, done.err) == (0, ""), done
        assert done.out.startswith(f"Usage: tracediff {command}")
    assert empty.run(flag).out.startswith("Usage: tracediff [OPTIONS]")


def test_the_version_is_shown_and_no_command_shows_the_help(empty):
    import tracediff

    assert empty.run("--version").out == f"tracediff, version {tracediff.__version__}\n"
    bare = empty.run()
    assert (bare.code, bare.err) == (0, "")
    assert all(f"  {command} " in bare.out for command in COMMANDS)


def test_a_bug_is_one_line_and_a_traceback_only_when_asked_for(project):
    bug = (
        "import tracediff.api as a, tracediff.cli as c\n"
        "a.Project.search = lambda *_: 1 / 0\n"
        "c.main(['ls'])"
    )
    done = project.python(bug)
    assert (done.code, done.out) == (2, "")
    assert "ZeroDivisionError" in done.err
    assert "docs/errors.md#bug" in done.err
    assert "Traceback" not in done.err
    assert "Traceback" in project.python(bug, TRACEDIFF_DEBUG="1").err


@pytest.mark.parametrize(("form", "status"), [("text", 1), ("prometheus", 2)])
def test_doctor_says_what_it_may_not_look_into(project, restricted, form, status):
    (project.directory / ".tracediff").chmod(0o000)
    done = restricted("doctor", "--format", form)
    assert done.returncode == status, done
    assert "Permission denied" in done.stdout + done.stderr
    assert "a bug" not in done.stderr
