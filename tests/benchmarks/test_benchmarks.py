"""The benchmarks run and print what they measured; what they measured is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.cases import CASES
from benchmarks.figures import Figure, rate, rounded, timed

ROOT = Path(__file__).resolve().parents[2]
FIGURE = Figure(what="one step", unit="µs", value=0.5, target=0.9, benchmark="steps")


def ran(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.in_turn
@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_benchmark_prints_a_figure(name, tmp_path):
    file = tmp_path / "figures.json"
    done = ran(name, "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    figures = [Figure.from_json(one) for one in found["figures"]]
    assert figures
    prototype = name == "monitoring"  # it aims at nothing
    assert prototype or any(one.target is not None for one in figures)
    for one in figures:
        assert one.benchmark == name
        assert one.what in done.stdout
        assert all(cell in done.stdout for cell in one.cells())
        if one.value is None and prototype:
            assert one.missing == "needs Python 3.12"
            assert sys.version_info < (3, 12)
        elif one.value is None:
            package = one.missing.removesuffix(" is not installed")
            assert package in ("opentelemetry-sdk", "langfuse")
            assert find_spec(package.removesuffix("-sdk")) is None
    assert found["measured"]["python"].endswith(sys.version.split()[0])


@pytest.mark.slow
def test_a_benchmark_that_fails_is_named_and_the_others_are_measured(tmp_path):
    broken = tmp_path / "deepdiff"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('broken on purpose')\n")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "align", "steps", "--quick"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "broken on purpose" in done.stderr
    assert "benchmarks: align ended with exit code 1" in done.stderr
    assert "active step without arguments" in done.stdout


def test_an_unknown_benchmark_is_refused():
    done = ran("stepz")
    assert done.returncode == 2
    assert "no benchmark stepz; there are steps, inactive" in done.stderr


def test_figures_of_few_repeats_are_not_written_into_the_page(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--write", "--quick"])
    assert ended.value.code == 2
    assert "--write needs a full run" in capsys.readouterr().err


def test_a_part_takes_the_place_of_its_own_rows_and_leaves_the_others(tmp_path):
    page = tmp_path / "performance.md"
    about = dict.fromkeys(("date", "python", "machine", "load", "libraries"), "x")
    page.write_text(f"before\n{report.BEGIN}\n{report.END}\nafter\n")
    old = [replace(FIGURE, what=f"old {name}").of(name) for name in ("steps", "job", "commands")]
    report.write_page(report.as_markdown(old, about), page)
    new = [replace(FIGURE, what="new job", value=9e9).of("job")]
    others = report.rows_of_others(["job"], page)
    report.write_page(report.as_markdown(new, about, others), page)
    text = page.read_text()
    rows = [line.split(" | ")[0] for line in text.splitlines() if "`python -m" in line]
    assert rows == ["| old steps", "| new job", "| old commands"]
    assert "2 of 3 targets are met" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (FIGURE, "met"),
        (replace(FIGURE, value=0.9), "met"),
        (replace(FIGURE, value=0.91), "missed"),
        (replace(FIGURE, least=True), "missed"),
        (replace(FIGURE, value=0.91, least=True), "met"),
        (replace(FIGURE, target=None), ""),
        (replace(FIGURE, value=None, missing="no peer"), "not measured"),
    ],
)
def test_a_figure_is_judged_by_its_target(figure, verdict):
    assert figure.verdict == verdict
    assert Figure.from_json(json.loads(json.dumps(figure.as_json()))) == figure


def test_a_missed_target_stays_in_the_table_and_is_marked():
    slow = replace(FIGURE, value=1.5)
    table = report.as_markdown([FIGURE, slow], report.machine())
    row = "| one step | 1.50 µs |  | ≤ 0.90 µs | **missed** | `python -m benchmarks steps` |"
    assert row in table.splitlines()
    assert "1 of 2 targets are met." in table
    assert "1.50 µs" in report.as_text([slow])
    assert report.as_text([slow]).endswith("missed")


def test_a_duration_is_the_median_and_its_ratio_the_median_of_the_rounds():
    found = timed("it", [2e-6, 9e-6, 4e-6], "µs", base=[1e-6, 3e-6, 1e-6], against="floors")
    assert found.value == pytest.approx(4.0)
    assert found.ratio == pytest.approx(3.0)
    often = rate("it", [0.5, 0.25, 0.1], base=[1, 1, 1], against="floors", target=5)
    assert often.value == pytest.approx(4.0)
    assert often.verdict == "missed"


def test_numbers_have_three_digits():
    shown = [rounded(one) for one in (0, 0.0123, 0.126, 1.126, 12.34, 123.4, 12_345.6, -2.5)]
    assert shown == ["0", "0.012", "0.13", "1.13", "12.3", "123", "12,346", "-2.50"]


def test_only_what_stands_between_the_markers_is_written(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.write_page("new", page)
    report.write_page("newer", page)
    assert page.read_text(encoding="utf-8") == (
        f"before\n{report.BEGIN}\nnewer\n{report.END}\nafter\n"
    )


def test_a_page_without_markers_is_left_alone(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text("nothing to see\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no markers"):
        report.write_page("new", page)
    assert page.read_text(encoding="utf-8") == "nothing to see\n"


def test_the_page_has_figures_of_every_benchmark():
    page = report.PAGE.read_text(encoding="utf-8")
    table = page.partition(report.BEGIN)[2].partition(report.END)[0]
    for name in CASES:
        assert f"`python -m benchmarks {name}`" in table
