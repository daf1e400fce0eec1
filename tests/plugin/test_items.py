"""A trace file is a test."""

from __future__ import annotations

import pytest

SLOW_JOB = """

@td.job("shop/odd")
def odd(how):
    import time
    if how == "die":
        os._exit(7)
    if how == "wait":
        time.sleep(60)
    return how
"""


def test_trace_files_are_replayed_and_pass(suite):
    done = suite.pytest("-v")
    assert done.code == 0
    done.counts(passed=3)
    assert "tracediff: traces in tests/traces" in done.out
    assert "3 traces compared\n" in done.out
    for path in suite.traces:
        assert f"tests/traces/{path.name}::replay PASSED" in done.out


@pytest.mark.parametrize("parallel", [(), ("-n2",)], ids=["alone", "parallel"])
def test_a_failure_points_at_the_source_line_everywhere(suite, source_line, properties, parallel):
    suite.break_it()
    (suite.directory / "tests" / "traces" / suite.traces[0].name).unlink()
    done = suite.pytest(*parallel, "--junitxml=junit.xml", GITHUB_ACTIONS="true")
    assert done.code == 1
    done.counts(failed=2)
    said = "shop/total: 396.27 → 396.3 (+0.03), first at VAT"
    assert f"shop.py:{source_line}: {said}" in done.out
    assert "same arguments, another result: the change is in this step's own code" in done.out
    assert '-     return (net * rate(country)).quantize(Decimal("0.01"))' in done.out
    assert "Traceback" not in done.out
    annotation = f"::error file=shop.py,line={source_line},title=trace differs%3A vat (shop.py)::"
    assert f"{annotation}shop/total: " in done.out
    assert done.out.count("::error") == 1, "one for each place and cause"
    cases = suite.cases()
    assert len(cases) == 2
    (failed,) = [case for case in cases if properties(case)["tracediff_summary"] == said]
    assert failed.find("failure").attrib["message"] == said
    told = properties(failed)
    assert told["tracediff_where"] == f"shop.py:{source_line}"
    assert told["tracediff_verdict"] == "different"
    assert told["tracediff_key"] == "shop/total"
    assert told["tracediff_file"].endswith(f"{told['tracediff_trace']}.trace.json")
    assert "2 results of 1 cause wait: tracediff review" in done.out


def test_how_much_of_a_difference_is_shown_is_chosen(suite):
    suite.break_it()
    summary = suite.pytest("--tracediff-diff-mode=summary", suite.traces[2])
    assert "first divergence" not in summary.out
    assert "shop/total: 396.27 → 396.3 (+0.03), first at VAT" in summary.out
    nothing = suite.pytest("--tracediff-diff-mode=disabled", suite.traces[2])
    assert nothing.out.count("396.27 → 396.3") == 2, "where it is, and in pytest's own summary"


def test_files_are_collected_where_they_are_pinned_or_named_and_nowhere_else(suite):
    elsewhere = suite.write("elsewhere/one.trace.json", suite.traces[0].read_text("utf-8"))
    suite.pytest("--co", "-q").counts()
    assert "elsewhere" not in suite.pytest("--co", "-q", ".").out
    suite.pytest(elsewhere, "--tracediff-details").counts(passed=1)
    suite.pytest("-m", "not tracediff").counts(deselected=3)
    suite.pytest("-k", suite.traces[0].name).counts(passed=1, deselected=2)
    suite.ini("tracediff_collect = false")
    assert suite.pytest().code == 5
    suite.pytest(suite.traces[0]).counts(passed=1)


def test_the_directory_is_collected_where_testpaths_leaves_it_out(suite):
    (suite.directory / "tests" / "traces").rename(suite.directory / "pinned")
    suite.write("tests/test_nothing.py", "def test_nothing(): pass\n")
    suite.ini('tracediff_dir = "pinned"')
    suite.pytest().counts(passed=4)
    suite.pytest("-n2").counts(passed=4)
    suite.pytest("tests").counts(passed=1)


def test_without_the_plugin_and_without_xdist_nothing_breaks(suite):
    suite.write("tests/test_nothing.py", "def test_nothing(): pass\n")
    suite.pytest("-p", "no:tracediff", plugins=()).counts(passed=1)
    suite.pytest("-p", "no:xdist").counts(passed=4)


def test_only_what_failed_last_is_run_again(suite):
    suite.write("tests/test_nothing.py", "def test_nothing(): pass\n")
    suite.break_it()
    suite.pytest().counts(passed=1, failed=3)
    suite.change("shop.py", 'Decimal("0.1")', 'Decimal("0.01")')
    assert "3 results of 1 cause wait" not in suite.pytest("--lf").out
    assert suite.tracediff("pending").err == "nothing waits\n", "they are as expected again"


def test_a_job_that_ends_its_process_or_takes_too_long_fails_alone(suite):
    suite.change("pyproject.toml", 'jobs = ["shop"]', 'jobs = ["shop"]\nreplay_timeout = 5')
    suite.change("shop.py", "import tracediff as td", "import os\nimport tracediff as td")
    suite.write("shop.py", (suite.directory / "shop.py").read_text() + SLOW_JOB)
    record = "import shop\nfor how in ('fine', 'die', 'wait', 'fine again'): shop.odd(how)"
    harmless = "import os, time; os._exit = time.sleep = lambda _: None\n"
    assert suite.run([*suite.command()[:3], "-c", harmless + record]).code == 0
    refs = [f"shop/odd@{{{nth}}}" for nth in range(4)]
    assert suite.tracediff("pull", *refs, "-o", "tests/traces").code == 0
    done = suite.pytest()
    done.counts(passed=5, failed=2)
    assert "the process that replayed it ended with exit code 7" in done.out
    assert "the replay took longer than 5 s" in done.out
    assert "Traceback" not in done.out


def test_what_a_job_keeps_between_calls_fails_no_other_test(suite):
    suite.change("shop.py", "    weight(net)\n", "    net += len(SEEN)\n    SEEN.append(net)\n")
    suite.change("shop.py", "import tracediff as td", "import tracediff as td\n\nSEEN = []")
    done = suite.pytest()
    done.counts(passed=3)
    assert done.out.count("something is kept between jobs") == 2
    suite.pytest(*reversed(suite.traces)).counts(passed=3)


def test_what_the_job_printed_is_shown_with_its_failure(suite):
    suite.break_it()
    suite.change("shop.py", "    weight(net)\n", "    weight(net)\n    print('pricing', net)\n")
    done = suite.pytest(suite.traces[0], suite.traces[1])
    assert done.out.count("Captured replay output") == 2
    assert done.out.count("pricing 100") == 1
    assert done.out.count("pricing 250") == 1


def test_a_replay_leaves_network_outputs_and_clock_alone(suite):
    suite.write(
        "tests/test_after.py",
        "import socket, time\n\n"
        "def test_the_world_is_as_before():\n"
        "    with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "        socket.create_connection(server.getsockname()).close()\n"
        "    assert time.time() > 1_700_000_000\n",
    )
    suite.change("shop.py", "    weight(net)\n", "    weight(net)\n    save(net)\n")
    done = suite.pytest(suite.traces[0], "tests/test_after.py")
    done.counts(passed=1, failed=1)
    assert "only the new execution runs this step" in done.out
    assert "an output that ran for real" not in done.out
