"""What is in the wheel and in the source distribution."""

from __future__ import annotations

import email
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INFO = "tracediff_calc-{version}.dist-info"


@pytest.fixture(scope="module")
def info(wheel: dict[str, bytes]) -> str:
    """The directory of the wheel's metadata."""
    (found,) = {name.split("/")[0] for name in wheel if ".dist-info/" in name}
    return found


def test_the_wheel_holds_both_packages_and_nothing_else(wheel: dict[str, bytes], info: str) -> None:
    assert {name.split("/")[0] for name in wheel} == {"tracediff", "pytest_tracediff", info}


def test_every_module_of_both_packages_is_in_the_wheel(built: Any, wheel: dict[str, bytes]) -> None:
    own = {
        name.removeprefix("pytest_plugin/") for name in built.below("tracediff", "pytest_plugin")
    }
    assert own == {name for name in wheel if "/_example/" not in name and ".dist-info/" not in name}
    assert {"tracediff/py.typed", "pytest_tracediff/py.typed"} <= own
    assert "tracediff/reports/schemas/explain-1.json" in own
    assert "tracediff/reports/schemas/check-1.json" in own
    assert "tracediff/reports/pages/templates/check.html" in own
    assert "tracediff/reports/pages/static/tracediff.css" in own


def test_the_wheel_holds_the_example_and_no_trace_of_its_use(
    built: Any, wheel: dict[str, bytes]
) -> None:
    inside = "tracediff/_example/pricing"
    expected = {
        name.replace("fixtures/pricing", inside)
        for name in built.below("fixtures/pricing/v1", "fixtures/pricing/changes")
    }
    assert {name for name in wheel if name.startswith(inside)} == expected
    assert f"{inside}/v1/.gitignore" in expected
    assert len([name for name in expected if name.endswith(".patch")]) == 4


def test_the_wheel_holds_no_test_and_nothing_that_was_built(wheel: dict[str, bytes]) -> None:
    wrong = re.compile(
        r"(^|/)(tests?|fixtures|benchmarks|__pycache__|\.tracediff)/|/test_|conftest"
    )
    assert [name for name in wheel if wrong.search(name)] == []
    kinds = {".py", ".typed", ".json", ".patch", ".toml", ".txt", ""}
    kinds |= {".html", ".css", ".js", ".LICENSE"}  # of the pages
    assert {Path(name).suffix for name in wheel} <= kinds


def test_nothing_tells_where_it_was_built(
    built: Any, wheel: dict[str, bytes], sdist: dict[str, bytes]
) -> None:
    for place in (built.checkout, ROOT, Path.home()):
        inside = re.compile(re.escape(str(place)).encode() + rb"/")
        told = [name for files in (wheel, sdist) for name in files if inside.search(files[name])]
        assert told == []


def test_the_metadata_is_what_the_project_says(wheel: dict[str, bytes], info: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = email.message_from_bytes(wheel[f"{info}/METADATA"])
    assert info == INFO.format(version=project["version"])
    assert (told["Name"], told["Version"]) == ("tracediff-calc", project["version"])
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"] == "MIT"
    assert wheel[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert set(told.get_all("Provides-Extra") or ()) == set(project["optional-dependencies"])
    needed = [need for need in told.get_all("Requires-Dist") or () if "extra ==" not in need]
    assert sorted(needed) == sorted(project["dependencies"])
    assert b"tracediff = tracediff.cli:main" in wheel[f"{info}/entry_points.txt"]


def test_the_source_distribution_holds_the_whole_project_and_nothing_else(
    built: Any, sdist: dict[str, bytes]
) -> None:
    assert set(sdist) - {"PKG-INFO"} == built.files


def test_the_wheel_is_the_same_when_built_from_the_source_distribution(
    wheel: dict[str, bytes], wheel_of_sdist: dict[str, bytes]
) -> None:
    assert wheel_of_sdist == wheel
