"""The numbers of docs/scale.md are those of the calculator, and the calculator's are right."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale import HELP, Parameters, cost, main, sample_for

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
BLOCKS = re.findall(
    r"^```text\n\$ python -m benchmarks\.scale(.*?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize(("arguments", "shown"), BLOCKS, ids=[one for one, _ in BLOCKS])
def test_the_page_shows_what_the_calculator_prints(arguments, shown, capsys):
    main(shlex.split(arguments))
    assert capsys.readouterr().out == shown


def test_the_page_has_the_whole_check_and_the_samples():
    assert {arguments for arguments, _ in BLOCKS} >= {"", " --samples"}


def test_the_table_of_parameters_is_the_calculator_s():
    rows = re.findall(r"^\| `--([a-z-]+[0-9]*)` \| ([\d,.]+) \|", PAGE, re.MULTILINE)
    shown = {name.replace("-", "_"): float(value.replace(",", "")) for name, value in rows}
    assert shown == {name: getattr(Parameters(), name) for name in HELP}


def test_the_command_runs():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", "--traces", "1e6", "--cores", "2"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "on 2 processors" in done.stdout


def test_twice_the_processors_take_half_the_time_and_cost_the_same():
    one, two = cost(Parameters(cores=64)), cost(Parameters(cores=128))
    assert two.wall == pytest.approx(one.wall / 2)
    assert two.processor_usd == pytest.approx(one.processor_usd)
    assert two.scheduler_part == pytest.approx(2 * one.scheduler_part)


@given(st.floats(1, 1e9), st.floats(1, 1e4))
def test_reading_several_at_once_takes_as_many_fewer_requests(traces, per_read):
    found = cost(replace(Parameters(), traces=traces, per_read=per_read))
    assert found.apart_usd == pytest.approx(found.together_usd * per_read)
    assert found.waiting_apart == pytest.approx(found.waiting_together * per_read)


@given(st.floats(1e-4, 0.5), st.integers(1, 6))
def test_a_sample_is_the_smallest_that_is_large_enough(part, least):
    drawn = sample_for(part, least=least)

    def held(size: int) -> float:
        missed = sum(
            math.comb(size, at) * part**at * (1 - part) ** (size - at)
            for at in range(min(least, size + 1))
        )
        return 1 - missed

    assert held(drawn) >= 0.95 - 1e-9
    assert held(drawn - 1) < 0.95 + 1e-9
