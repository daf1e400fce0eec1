"""A job in the script that runs: its code and its classes are those of the module it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tracediff.api import open_project
from tracediff.model import Trace
from tracediff.values import Redacted, inert

SCRIPT = """
import dataclasses

import tracediff as td

print("imported")


@dataclasses.dataclass
class Card:
    number: str


@td.job("cards/pay")
def pay(card):
    with td.step("Charge") as step:
        step.result = len(card.number)
    return step.result


if __name__ == "__main__":
    pay(Card("4000123412341234"))
"""


@pytest.fixture
def ran(tmp_path: Path) -> tuple[str, Trace]:
    """What the script printed, and the trace of its job."""
    table = '[tool.tracediff]\njobs = ["cards"]\nredact = ["type:cards.Card"]\n'
    (tmp_path / "pyproject.toml").write_text(table)
    (tmp_path / "cards.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "cards.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    return done.stdout, open_project(start=tmp_path).resolve("@last")


def test_a_script_s_own_file_is_part_of_its_code_version(ran: tuple[str, Trace]) -> None:
    assert list(ran[1].code.files) == ["cards.py"]


def test_blocks_and_functions_of_a_script_go_by_its_module_s_name(ran: tuple[str, Trace]) -> None:
    assert [step.source and step.source.unit for step in ran[1].steps] == ["cards:pay", "cards:pay"]


def test_a_rule_for_a_class_of_the_script_means_the_class_that_runs(
    ran: tuple[str, Trace],
) -> None:
    printed, trace = ran
    assert printed == "imported\n"
    args = trace.steps[0].args
    assert args is not None
    given: Any = inert(args)
    assert isinstance(given["card"], Redacted)
