"""The documentation names what there is: all of it, and nothing else."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import pytest

import tracediff
from tracediff import model
from tracediff.cli import COMMANDS, exits
from tracediff.config import checks
from tracediff.recording import redaction

_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_CELLS = re.compile(r"^\| `([^`|]+)` \|", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    after = re.split(rf"^{re.escape(heading)}$", page, maxsplit=1, flags=re.MULTILINE)
    assert len(after) == 2, f"there is no heading {heading!r}"
    return re.split(rf"^#{{1,{level}}} ", after[1], maxsplit=1, flags=re.MULTILINE)[0]


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings."""
    plain = (re.sub(r"[^\w\s-]", "", found).strip().lower() for found in _HEADING.findall(page))
    return {text.replace(" ", "-") for text in plain}


@cache
def sources(root: Path) -> tuple[ast.Module, ...]:
    files = sorted((root / "tracediff").rglob("*.py"))
    return tuple(ast.parse(path.read_text(encoding="utf-8")) for path in files)


def texts(node: ast.AST) -> Iterator[str]:
    for found in ast.walk(node):
        if isinstance(found, ast.Constant) and isinstance(found.value, str):
            yield found.value


def raised_slugs(root: Path) -> set[str]:
    """Every slug of the code: given by name, or the default of a parameter of that name."""
    found: set[str] = set()
    for tree in sources(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "slug":
                found.update(texts(node.value))
            if isinstance(node, ast.arguments):
                positional = [*node.posonlyargs, *node.args]
                defaults = zip(reversed(positional), reversed(node.defaults), strict=False)
                named = zip(node.kwonlyargs, node.kw_defaults, strict=True)
                for parameter, default in (*defaults, *named):
                    if parameter.arg == "slug" and default is not None:
                        found.update(texts(default))
    return found


def options(name: str) -> set[str]:
    command: click.Command = import_module(f"tracediff.cli.{name}").command
    return {
        max(one.opts, key=len)
        for one in command.params
        if isinstance(one, click.Option) and one.name != "help"
    }


def test_every_error_is_explained_and_no_other(root: Path, documentation: dict[str, str]) -> None:
    explained = re.findall(r"^### (\S+)$", documentation["docs/errors.md"], re.MULTILINE)
    assert len(explained) == len(set(explained))
    assert set(explained) == raised_slugs(root)


def test_every_error_says_more_than_its_name(documentation: dict[str, str]) -> None:
    page = documentation["docs/errors.md"]
    for slug in re.findall(r"^### (\S+)$", page, re.MULTILINE):
        assert len(section(page, f"### {slug}").split()) >= 8, slug


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_its_options(
    name: str, documentation: dict[str, str]
) -> None:
    text = section(documentation["docs/usage.md"], f"### tracediff {name}")
    listed = re.search(r"^Options: (.+?)\.$", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert set(_CODE.findall(listed[1])) == options(name)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    named = {match for code in _CODE.findall(prose) for match in re.findall(r"--[a-z-]+", code)}
    assert named <= options(name)


def test_no_page_names_a_command_that_there_is_none_of(documentation: dict[str, str]) -> None:
    for name, text in documentation.items():
        used = re.findall(r"(?:^\$ (?:.*[|;] ?)?|`)tracediff ([a-z]+)", text, re.MULTILINE)
        unknown = set(used) - set(COMMANDS) - {"compar"}  # one example shows a mistake
        assert not unknown, name


def test_no_hint_names_a_command_that_there_is_none_of(root: Path) -> None:
    hints = [
        text
        for tree in sources(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "hint"
        for text in texts(node.value)
    ]
    named = {word for hint in hints for word in re.findall(r"\btracediff ([a-z]+)", hint)}
    assert named - set(COMMANDS) <= {"already", "here", "records"}  # no commands


def test_every_public_name_is_in_the_guide(documentation: dict[str, str]) -> None:
    words = set(re.findall(r"\w+", " ".join(_CODE.findall(documentation["docs/usage.md"]))))
    assert set(tracediff.__all__) <= words


def test_every_setting_is_documented_and_no_other(documentation: dict[str, str]) -> None:
    page = documentation["docs/configuration.md"]
    assert set(_CELLS.findall(section(page, "## Settings"))) == set(checks._CHECKS)
    assert set(_CELLS.findall(section(page, "## job"))) == set(checks._RULE)
    assert set(_CELLS.findall(section(page, "## tolerance"))) == set(checks._TOLERANCE)
    assert _CELLS.findall(section(page, "## stores")) == ["index", "blobs", "context"]


def test_every_variable_is_documented_and_no_other(documentation: dict[str, str]) -> None:
    listed = section(documentation["docs/configuration.md"], "## Environment")
    known = {f"TRACEDIFF_{name.upper()}" for name in checks.FROM_TEXT} | checks.OTHER_VARIABLES
    assert set(_CELLS.findall(listed)) == known
    for name, text in documentation.items():
        assert set(re.findall(r"\bTRACEDIFF_[A-Z_]+[A-Z]\b", text)) <= known, name


def test_every_schema_is_shown(root: Path, documentation: dict[str, str]) -> None:
    named = {
        text
        for tree in sources(root)
        for text in texts(tree)
        if re.fullmatch(r"tracediff/\w+/\d+", text)
    }
    table = section(documentation["docs/usage.md"], "### JSON documents")
    assert set(_CELLS.findall(table)) == named


def test_the_fields_of_a_document_are_the_code_s(root: Path, documentation: dict[str, str]) -> None:
    table = section(documentation["docs/usage.md"], "### JSON documents")
    rows = re.findall(r"^\| `(tracediff/\w+/\d+)` \|[^|]+\|([^|]+)\|$", table, re.MULTILINE)
    assert len(rows) >= 5
    modules = [set(texts(tree)) for tree in sources(root)]
    for schema, fields in rows:
        (written,) = (module for module in modules if schema in module)
        assert set(_CODE.findall(fields)) <= written, schema


def test_the_table_of_exit_codes_is_the_code_s(documentation: dict[str, str]) -> None:
    codes = {exits.SAME, exits.DIFFERENT, exits.ERROR, exits.INTERRUPTED}
    for name in ("README.md", "docs/usage.md"):
        listed = re.findall(r"^\| (\d+) \|", documentation[name], re.MULTILINE)
        assert set(map(int, listed)) == codes, name


def test_the_guide_lists_every_name_that_is_secret(documentation: dict[str, str]) -> None:
    said = " ".join(section(documentation["docs/usage.md"], "## Secrets").split())
    by_name = said.partition("By name.")[2].partition("By value.")[0]
    words = {*redaction.WORDS, *redaction.HARMLESS_ENDS, *map(" ".join, redaction.PAIRS)}
    assert {word for word in words if not re.search(rf"\b{word}\b", by_name)} == set()


def literals(kind: Any) -> set[str]:
    return set(get_args(kind))


def test_the_glossary_has_every_word_of_the_model(documentation: dict[str, str]) -> None:
    bold = set(re.findall(r"\*\*([^*]+)\*\*", documentation["docs/glossary.md"]))
    labels = literals(model.Label)
    sorts = literals(get_type_hints(model.Divergence)["kind"])
    words = literals(model.Kind) | literals(model.State) | literals(model.Depth)
    assert labels | sorts | words <= bold
    table = section(documentation["docs/glossary.md"], "## Labels: why a step differs")
    assert set(re.findall(r"^\| \*\*([^*]+)\*\*", table, re.MULTILINE)) == labels


def test_a_word_is_explained_once(documentation: dict[str, str]) -> None:
    first = re.findall(r"^\| \*\*([^*]+)\*\* \|", documentation["docs/glossary.md"], re.MULTILINE)
    assert len(first) == len(set(first))


def test_the_layers_are_those_that_are_checked(root: Path, documentation: dict[str, str]) -> None:
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    wanted = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    shown = section(documentation["docs/design.md"], "## Who may import whom")
    block = re.search(r"^```text\n(.*?)^```$", shown, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert [re.findall(r"\w+", line) for line in block[1].splitlines()] == wanted


def test_the_layout_names_every_part(root: Path, documentation: dict[str, str]) -> None:
    shown = section(documentation["docs/design.md"], "## Layout")
    named = set(re.findall(r"^  (\w+(?:\.py|/))", shown, re.MULTILINE))
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (root / "tracediff").iterdir()
        if path.name not in ("__pycache__", "py.typed")
    }
    assert named == there


def test_every_make_target_is_listed(root: Path, documentation: dict[str, str]) -> None:
    targets = set(
        re.findall(
            r"^([a-z-]+):.*## ", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    listed = section(documentation["CONTRIBUTING.md"], "## Commands")
    assert set(re.findall(r"^\| `make ([a-z-]+)`", listed, re.MULTILINE)) == targets
    for name, text in documentation.items():
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets, name


def test_the_changelog_has_this_version(documentation: dict[str, str]) -> None:
    headings = re.findall(r"^## (\S+)", documentation["CHANGELOG.md"], re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert tracediff.__version__ in headings


def test_every_link_leads_somewhere(root: Path, documentation: dict[str, str]) -> None:
    broken = []
    for name, text in documentation.items():
        for link in _LINK.findall(text):
            target, _, anchor = link.partition("#")
            path = (root / name).parent / target if target else root / name
            found = path.exists() and (not anchor or anchor in anchors(path.read_text("utf-8")))
            if not found:
                broken.append(f"{name}: {link}")
    assert broken == []


def test_a_list_of_contents_names_every_section(documentation: dict[str, str]) -> None:
    for name, text in documentation.items():
        listed = re.findall(r"^- \[([^]]+)\]\(#", text.partition("\n## ")[0], re.MULTILINE)
        if listed:
            assert listed == re.findall(r"^## (.+)$", text, re.MULTILINE), name


def test_no_page_sends_anybody_elsewhere_or_to_another_package(
    documentation: dict[str, str],
) -> None:
    for name, text in documentation.items():
        assert re.findall(r"https?://(?!127\.0\.0\.1:)[^\s`)\"']+", text) == [], name
        assert re.findall(r"pip install[^\n`]*\btracediff\b(?!-calc)", text) == [], name


def test_setting_up_takes_nothing_but_the_checkout(documentation: dict[str, str]) -> None:
    for text in documentation.values():
        for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                assert re.match(r"(make [a-z]+|pip install \.)", line), line


def test_every_page_of_docs_is_reached_from_the_readme(
    root: Path, documentation: dict[str, str]
) -> None:
    linked = set(_LINK.findall(documentation["README.md"]))
    pages = {str(path.relative_to(root)) for path in (root / "docs").rglob("*.md")}
    assert pages <= linked


def said(call: ast.Call) -> str:
    """The longest constant part of the text a call is given; nothing when it is made elsewhere."""
    parts = [part.split("%")[0].strip(" :;") for one in call.args[:1] for part in texts(one)]
    return max(parts, key=len, default="")


def kept_for_the_user(call: ast.Call) -> bool:
    """Whether a call adds a warning or a remark, or writes into the log."""
    if not isinstance(call.func, ast.Attribute):
        return False
    owner = ast.unparse(call.func.value).rpartition(".")[2].lstrip("_")
    if call.func.attr == "append":
        return owner in ("lost", "remarks", "notes", "warnings")
    if owner == "log":
        return call.func.attr in ("warning", "error", "exception")
    return call.func.attr == "warn"


def test_every_warning_is_explained(root: Path, documentation: dict[str, str]) -> None:
    page = " ".join(section(documentation["docs/errors.md"], "## Warnings").split())
    found = [
        said(node)
        for tree in sources(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and kept_for_the_user(node)
    ]
    assert len(found) >= 12
    assert [text for text in found if text not in page] == []
