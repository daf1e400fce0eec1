"""Deciding about results that differ, without running anything again."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import termios
import time

import pytest

CI = {"CI": "true"}


def decided(suite) -> list[dict]:
    return json.loads((suite.directory / "tracediff-accepted.json").read_text("utf-8"))["accepted"]


def test_results_wait_by_cause_and_are_accepted_with_a_reason(suite):
    suite.break_it()
    suite.pytest().counts(failed=3)
    waiting = suite.tracediff("pending")
    assert waiting.code == 0
    head, *rest = waiting.out.splitlines()
    cause = head.split()[0]
    assert head == f"{cause}  vat (shop.py)  (3 results)"
    assert len(rest) == 3
    document = suite.tracediff("pending", "--format", "json").document
    assert {one["cause"] for one in document["results"]} == {cause}
    assert all((suite.directory / ".tracediff-tests" / one["report"]).is_file()
               for one in document["results"])  # fmt: skip
    before = {path: path.read_text("utf-8").splitlines() for path in suite.traces}
    done = suite.tracediff("accept", cause, "--reason", "to tenths")
    assert (done.code, done.out.count("accepted ")) == (0, 3)
    for path, lines in before.items():
        kept = [line for line in lines if line in path.read_text("utf-8").splitlines()]
        assert len(lines) - len(kept) <= 8, "what did not change stays as it is"
    (entry,) = decided(suite)
    assert (entry["reason"], entry["cause"]) == ("to tenths", "vat (shop.py)")
    assert entry["who"]
    assert [one["file"] for one in entry["traces"]] == sorted(
        path.relative_to(suite.directory).as_posix() for path in suite.traces
    )
    suite.pytest().counts(passed=3)
    assert suite.tracediff("pending").err == "nothing waits\n"


def test_two_causes_are_two_groups_and_one_can_be_rejected(suite):
    suite.break_it()
    suite.pytest(suite.traces[0]).counts(failed=1)
    suite.change("shop.py", 'Decimal("0.1")', 'Decimal("0.01")')
    suite.change("shop.py", 'Decimal("0.19")', 'Decimal("0.2")')
    suite.change("shop.py", "return Decimal(net) + vat", "return 1 + Decimal(net) + vat")
    suite.pytest(suite.traces[1]).counts(failed=1)
    heads = [one for one in suite.tracediff("pending").out.splitlines() if one[0] != " "]
    assert sorted(one.split("  ")[1] for one in heads) == ["total (shop.py)", "vat (shop.py)"]
    assert suite.tracediff("reject", heads[0].split()[0]).out.startswith("rejected tests/traces/")
    assert len(suite.tracediff("pending", "--format", "json").document["results"]) == 1
    assert suite.traces[1].read_text("utf-8").count("47.50") == 1


def test_what_is_named_wrongly_or_out_of_date_is_refused(suite):
    suite.break_it()
    suite.pytest().counts(failed=3)
    nothing = suite.tracediff("accept", "nowhere", "--reason", "x")
    assert (nothing.code, nothing.err.splitlines()[-1]) == (
        2,
        "  see docs/errors.md#pending-unknown",
    )
    assert suite.tracediff("accept", "--all").code == 2
    assert suite.tracediff("accept", "--reason", "x").code == 2
    shutil.copy(suite.traces[1], suite.traces[0])
    done = suite.tracediff("accept", "--all", "--reason", "x", "--format", "json")
    assert done.code == 1
    assert len(done.document["accepted"]) == 2
    (refused,) = done.document["refused"]
    assert refused["file"].endswith(suite.traces[0].name)
    assert "is not the file this result was compared with" in refused["why"]


def test_a_replay_that_missed_an_input_is_never_accepted(suite):
    suite.change("shop.py", "rate(country)).q", 'rate("SK")).q')
    suite.pytest(suite.traces[0], "--tracediff-update").counts(failed=1)
    done = suite.tracediff("accept", "--all", "--reason", "x")
    assert done.code == 1
    assert "has no recording: what came after it is not real" in done.err


def test_nothing_is_written_and_nothing_accepted_in_ci(suite):
    suite.break_it()
    before = suite.files()
    done = suite.pytest(**CI)
    done.counts(failed=3)
    assert "CI: nothing is written" in done.out
    assert suite.files() == before
    suite.pytest().counts(failed=3)
    for command in (("accept", "--all", "--reason", "x"), ("reject", "--all"), ("review",)):
        refused = suite.tracediff(*command, **CI)
        assert (refused.code, refused.err.splitlines()[-1]) == (
            2, "  see docs/errors.md#accept-in-ci",
        )  # fmt: skip
    for off in ("", "0", "false"):
        assert "CI: nothing" not in suite.pytest("--co", CI=off).out
    assert "CI: nothing is written" in suite.pytest("--co", "--tracediff-ci").out
    for option in ("--tracediff-update", "--tracediff-update-new-only",
                   "--tracediff-record-mode=all"):  # fmt: skip
        refused = suite.pytest(option, **CI)
        assert (refused.code, f"{option} is refused in continuous" in refused.err) == (4, True)


def test_no_store_is_asked_in_ci(suite):
    suite.write("tests/test_one.py", "def test_one(replay_trace):\n    replay_trace('@{7}')\n")
    shutil.rmtree(suite.directory / ".tracediff")
    done = suite.pytest("tests/test_one.py", **CI)
    assert "'@{7}' names no pinned trace, and in CI no store is asked" in done.out


def test_what_ci_kept_is_accepted_at_home(suite, tmp_path):
    suite.break_it()
    done = suite.pytest("-n2", "--tracediff-artifacts", tmp_path / "kept", **CI)
    done.counts(failed=3)
    assert not (suite.directory / ".tracediff-tests").exists()
    assert len(suite.tracediff("pending", "--from", tmp_path / "kept").out.splitlines()) == 4
    done = suite.tracediff("accept", "--all", "--reason", "seen", "--from", tmp_path / "kept")
    assert (done.code, done.out.count("accepted ")) == (0, 3)
    suite.pytest().counts(passed=3)


def test_what_ci_kept_cannot_write_elsewhere(suite, tmp_path):
    suite.break_it()
    suite.pytest(suite.traces[0], "--tracediff-artifacts", tmp_path / "kept").counts(failed=1)
    (record,) = (tmp_path / "kept" / "pending").glob("*.json")
    document = json.loads(record.read_text("utf-8"))
    for target in ("../evil.trace.json", "/tmp/evil.trace.json", "shop.py", "link/x.trace.json"):
        (suite.directory / "link").unlink(missing_ok=True)
        (suite.directory / "link").symlink_to(tmp_path)
        record.write_text(json.dumps(document | {"file": target, "was": None}), "utf-8")
        done = suite.tracediff("accept", "--all", "--reason", "x", "--from", tmp_path / "kept")
        assert done.code == 1, target
        assert "is no trace file of this project" in done.err
    record.write_text("{", "utf-8")
    done = suite.tracediff("pending", "--from", tmp_path / "kept")
    assert (done.code, "expectation-unreadable" in done.err) == (2, True)


def test_accepting_keeps_the_manifest_true(suite):
    shutil.rmtree(suite.directory / "tests" / "traces")
    assert suite.tracediff("pull", "@last", "--bundle", "-o", "tests/traces").code == 0
    suite.break_it()
    done = suite.pytest()
    done.counts(failed=1)
    assert '-     return (net * rate(country)).quantize(Decimal("0.01"))' in done.out
    assert suite.tracediff("accept", "--all", "--reason", "x").code == 0
    suite.pytest().counts(passed=1)


def test_the_review_needs_a_terminal(suite):
    done = suite.tracediff("review")
    assert done.code == 2
    assert "reviewing needs a terminal" in done.err
    assert "`tracediff accept NAME --reason WHY`" in done.err


class Terminal:
    """A program at a terminal."""

    def __init__(self, suite) -> None:
        self.end, other = pty.openpty()
        self.text = ""
        self.program = subprocess.Popen(
            [sys.executable, "-m", "tracediff", "review"], cwd=suite.directory,
            env=suite.environment(TERM="xterm"), stdin=other, stdout=other, stderr=other,
            start_new_session=True,
        )  # fmt: skip
        os.close(other)

    def type(self, keys: str, wait_for: str) -> None:
        """Type when something is shown, a key not before keys are read one by one."""
        self.read(wait_for)
        deadline = time.monotonic() + 30
        while len(keys) == 1 and termios.tcgetattr(self.end)[3] & termios.ICANON:
            assert time.monotonic() < deadline, self.text
            time.sleep(0.01)
        os.write(self.end, keys.encode())

    def read(self, until: str | None) -> None:
        deadline = time.monotonic() + 30
        start = len(self.text)
        while time.monotonic() < deadline:
            if until is not None and until in self.text[start:]:
                return
            if not select.select([self.end], [], [], 0.2)[0]:
                continue
            try:
                self.text += os.read(self.end, 65536).decode("utf-8", "replace")
            except OSError:
                break
        assert until is None or until in self.text[start:], self.text

    def finish(self) -> int:
        self.read(None)
        os.close(self.end)
        return self.program.wait(30)


def test_the_review_shows_and_decides_by_keys(suite):
    suite.break_it()
    suite.pytest().counts(failed=3)
    terminal = Terminal(suite)
    terminal.type("i", "> ")
    terminal.type("d", "> ")
    terminal.type("a", "> ")
    terminal.type("to tenths\n", "reason")
    assert terminal.finish() == 0
    assert "1 of 1  vat (shop.py)" in terminal.text
    assert "first divergence" in terminal.text
    assert "expected in tests/traces/" in terminal.text
    assert "nothing waits any more" in terminal.text
    assert decided(suite)[0]["reason"] == "to tenths"
    suite.pytest().counts(passed=3)


@pytest.mark.parametrize(("keys", "left"), [("s", 3), ("r", 0), ("q", 3)])
def test_the_review_skips_rejects_and_ends(suite, keys, left):
    suite.break_it()
    suite.pytest().counts(failed=3)
    terminal = Terminal(suite)
    terminal.type(keys, "> ")
    assert terminal.finish() == 0
    said = f"{left} results still wait" if left else "nothing waits any more"
    assert said in terminal.text
    assert not (suite.directory / "tracediff-accepted.json").exists()


@pytest.mark.parametrize(("key", "left"), [("A", 0), ("R", 0), ("S", 2)])
def test_one_key_decides_all_that_follow(suite, key, left):
    suite.break_it()
    suite.pytest(suite.traces[0]).counts(failed=1)
    suite.change("shop.py", 'Decimal("0.1")', 'Decimal("0.01")')
    suite.change("shop.py", "return Decimal(net) + vat", "return 1 + Decimal(net) + vat")
    suite.pytest(suite.traces[1]).counts(failed=1)
    terminal = Terminal(suite)
    terminal.type(key, "> ")
    if key == "A":
        terminal.type("both are right\n", "reason")
    assert terminal.finish() == 0
    assert "2 of 2  " in terminal.text
    assert terminal.text.count("a accept") == 1, "it asks once"
    said = "2 results still wait" if left else "nothing waits any more"
    assert said in terminal.text
    log = suite.directory / "tracediff-accepted.json"
    assert log.exists() == (key == "A")
    if key == "A":
        assert [one["reason"] for one in decided(suite)] == ["both are right"] * 2


def test_an_update_leaves_who_and_at_which_commit_it_wrote_over_files(suite):
    suite.write("tests/test_one.py",
                "import shop\n\ndef test_one(trace_snapshot):\n"
                "    assert shop.total(100) == trace_snapshot\n")  # fmt: skip
    suite.pytest("--tracediff-update").counts(passed=4)
    assert not (suite.directory / "tracediff-accepted.json").exists(), "all was new or the same"
    suite.change("shop.py", "return Decimal(net) + vat", "return 1 + Decimal(net) + vat")
    suite.pytest("--tracediff-update", "-n2").counts(passed=4)
    (entry,) = decided(suite)
    assert (entry["reason"], entry["cause"], len(entry["traces"])) == (
        "--tracediff-update", "update", 4,
    )  # fmt: skip
    assert entry["who"]
    assert {"commit", "dirty", "when"} <= set(entry)
    assert all(one["was"] != one["now"] for one in entry["traces"])
    (suite.directory / "tracediff-accepted.json").write_text("<<<<<<< ours\n")
    suite.change("shop.py", "return 1 + Decimal", "return 2 + Decimal")
    done = suite.pytest("--tracediff-update")
    done.counts(passed=4)
    assert "the update is not entered in tracediff-accepted.json" in done.out
