"""What a command imports: nothing heavy that it does not need."""

from __future__ import annotations

import json

import pytest

HEAVY = (
    "asyncio", "boto3", "botocore", "deepdiff", "numpy", "pandas", "polars", "pyarrow", "pydantic",
    "pymongo", "pytest", "time_machine", "tomllib_w", "xml", "http.client", "ssl",
)  # fmt: skip


def loaded(project, *args):
    """The modules that a command left loaded."""
    done = project.python(
        "import json, sys\n"
        "from tracediff.cli import exits, group\n"
        f"code = exits.run(group, {list(args)!r})\n"
        "sys.stderr.write(json.dumps([code, sorted(sys.modules)]))"
    )
    code, modules = json.loads(done.err.splitlines()[-1])
    assert code == 0, done
    return set(modules)


@pytest.mark.parametrize(
    "args", [["--help"], ["ls"], ["ls", "--format", "json"], ["show", "@last"], ["config"]]
)
def test_reading_imports_no_heavy_library(project, args):
    modules = loaded(project, *args)
    assert sorted(modules & set(HEAVY)) == []


@pytest.mark.parametrize("args", [["--help"], ["ls", "--format", "json"], ["config"]])
def test_what_draws_nothing_imports_nothing_to_draw_with(project, args):
    assert "rich" not in loaded(project, *args)


def test_help_imports_no_command_no_store_and_no_database(project):
    modules = loaded(project, "--help")
    assert "sqlite3" not in modules
    assert not {name for name in modules if name.startswith(("tracediff.cli.l", "tracediff.api"))}
