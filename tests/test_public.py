"""What the package promises: its names, its weight, its errors and their documentation."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import tracediff
from tracediff import errors

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "tracediff"

NAMES = [
    "TracediffError", "artifact", "autotrace", "configure", "fail", "flush", "ignore", "input",
    "job", "note", "now", "output", "propagate", "random", "register", "step", "tag", "uuid4",
    "warn",
]  # fmt: skip

HEAVY = (
    "asyncio", "boto3", "click", "deepdiff", "numpy", "pandas", "polars", "pyarrow", "pydantic",
    "pymongo", "pytest", "rich", "sqlite3", "time_machine", "ssl", "http.client", "xml",
)  # fmt: skip


def test_the_public_names_are_these():
    assert sorted(tracediff.__all__) == sorted(NAMES)
    assert len(tracediff.__all__) <= 25


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_a_docstring(name):
    text = inspect.getdoc(getattr(tracediff, name))
    assert text
    assert text != inspect.getdoc(object)
    assert len(text) > 20


def test_nothing_else_is_public_but_modules():
    others = {name for name in vars(tracediff) if not name.startswith("_")} - set(NAMES)
    others -= {"TYPE_CHECKING"}  # type checkers know it by this name alone
    assert all(inspect.ismodule(getattr(tracediff, name)) for name in others)


def test_the_distribution_has_its_own_name_and_the_version_agrees():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "tracediff-calc"
    assert project["version"] == tracediff.__version__
    assert importlib.metadata.version("tracediff-calc") == tracediff.__version__


def test_the_command_is_installed_under_its_name():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="tracediff")
    from tracediff.cli import main

    assert script.load() is main


def test_importing_the_package_imports_no_heavy_library():
    code = "import json, sys, tracediff; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=CHECKOUT, capture_output=True, check=True
    )
    assert sorted(set(json.loads(done.stdout)) & set(HEAVY)) == []
    assert done.stderr == b""


def test_every_error_is_under_one_root_and_has_a_docstring():
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert all(issubclass(kind, tracediff.TracediffError) for kind in kinds)
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)
    assert all(kind.__doc__ for kind in kinds)


@functools.cache
def nodes() -> list[tuple[str, ast.AST]]:
    """All that stands in the package, each with its file."""
    return [
        (str(path.relative_to(CHECKOUT)), node)
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the package, with the place where it stands."""
    for file, node in nodes():
        if isinstance(node, ast.Call):
            yield f"{file}:{node.lineno}", node


def texts(node: ast.expr | None) -> set[str]:
    """The texts that an expression may be: a slug may be chosen between two."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    return set()


def slugs() -> dict[str, str]:
    """Each slug that the package raises, with a place that raises it."""
    found: dict[str, str] = {}
    for file, node in nodes():
        if isinstance(node, ast.keyword) and node.arg == "slug":
            found |= dict.fromkeys(texts(node.value), f"{file}:{node.lineno}")
        if isinstance(node, ast.arguments):
            defaults = zip(reversed(node.args), reversed(node.defaults), strict=False)
            keywords = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            for argument, default in (*defaults, *keywords):
                if argument.arg == "slug":
                    found |= dict.fromkeys(texts(default), f"{file}:{argument.lineno}")
    return found


def documented() -> set[str]:
    text = (CHECKOUT / "docs" / "errors.md").read_text(encoding="utf-8")
    errors_only = text.partition("\n## Warnings")[0]
    return set(re.findall(r"^### ([a-z0-9-]+)$", errors_only, re.MULTILINE))


def test_every_slug_that_is_raised_is_documented_and_no_other():
    raised = slugs()
    assert len(raised) > 40, "the collecting is broken"
    assert {slug: raised[slug] for slug in raised.keys() - documented()} == {}
    assert documented() - raised.keys() == set()


def test_a_slug_is_of_words_of_lower_case_letters():
    assert [one for one in slugs() if not re.fullmatch(r"[a-z]+(-[a-z]+)*", one)] == []


def spoken(call: ast.Call) -> Iterator[str]:
    """The message and the hint of an error that a call makes, as far as they are written there."""
    arguments = call.args[:1] + [one.value for one in call.keywords if one.arg == "hint"]
    for one in arguments:
        parts = [one.body, one.orelse] if isinstance(one, ast.IfExp) else [one]
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value
            elif isinstance(part, ast.JoinedStr):
                yield "".join(
                    one.value if isinstance(one, ast.Constant) else "{}" for one in part.values
                )


def test_messages_and_hints_begin_in_lower_case_and_end_without_a_full_stop():
    """One form for all: ``error: the cursor cannot be used``, not two of them side by side."""
    wrong = {
        (place, text)
        for place, call in calls()
        if any(one.arg == "slug" for one in call.keywords)
        for text in spoken(call)
        if re.match(r"[A-Z][a-z]*\b", text) or text.endswith(".")
    }
    assert wrong == set()


def test_names_are_loaded_on_first_use_and_stay():
    code = (
        "import sys, tracediff\n"
        "assert 'tracediff.recording' not in sys.modules\n"
        "assert set(tracediff.__all__) <= set(dir(tracediff))\n"
        "assert tracediff.step is vars(tracediff)['step']\n"
        "from tracediff import *\n"
        "assert job is tracediff.job\n"
        "try: tracediff.nothing\n"
        "except AttributeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "module 'tracediff' has no attribute 'nothing'\n", done.stderr
