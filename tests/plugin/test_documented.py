"""docs/pytest.md has every option, fixture, mark argument and ini key, and no other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.fixtures import FixtureFunctionDefinition

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs" / "pytest.md").read_text(encoding="utf-8")


def cells(heading: str) -> set[str]:
    """The first cells of the table under a heading."""
    part = PAGE.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE))


def declared() -> tuple[set[str], set[str]]:
    """The options and ini keys that the plugin declares."""
    from pytest_tracediff.options import add_options

    parser = pytest.Parser(_ispytest=True)
    add_options(parser)
    group = parser.getgroup("tracediff")
    options = {name for one in group.options for name in one.names()}
    return options, set(parser._inidict)


def test_every_option_and_no_other():
    assert cells("## Options") == declared()[0]


def test_every_ini_key_and_no_other():
    assert cells("## Ini keys") == declared()[1]


def test_every_fixture_and_no_other():
    from pytest_tracediff import fixtures

    found = {
        name for name, one in vars(fixtures).items() if isinstance(one, FixtureFunctionDefinition)
    }
    assert cells("## Fixtures") - {"none", "once", "new_episodes", "all", "rewrite"} == found
    assert set(fixtures.NAMES) == found


def test_every_argument_of_the_mark_and_no_other():
    from pytest_tracediff.marks import CHOOSING, COMPARING
    from pytest_tracediff.options import MARK

    assert cells("## The mark") == {*CHOOSING, *COMPARING}
    assert re.findall(r"(\w+)=", MARK.partition("):")[0] + ")") == [*CHOOSING, *COMPARING]


def test_every_record_mode_and_property():
    from pytest_tracediff.options import DIFF_MODES, RECORD_MODES

    assert {*RECORD_MODES, *DIFF_MODES} <= set(re.findall(r"`(\w+)`", PAGE))
    source = (CHECKOUT / "pytest_plugin" / "pytest_tracediff").glob("*.py")
    named = {
        name for path in source for name in re.findall(r'\("(tracediff_\w+)", ', path.read_text())
    }
    properties = PAGE.partition("among the properties")[2].partition("## ")[0]
    assert set(re.findall(r"`(tracediff_\w+)`", properties)) >= named - set(declared()[1])


def test_loading_the_plugin_imports_neither_tracediff_nor_anything_heavy():
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\nimport pytest_tracediff.plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=CHECKOUT / "pytest_plugin",
    )  # fmt: skip
    loaded = eval(done.stdout)
    assert all(name.startswith("pytest_tracediff") for name in loaded), loaded
