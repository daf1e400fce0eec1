"""Following modules beside the import hooks of other tools."""

from __future__ import annotations

import importlib
import inspect
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
import wrapt

from tracediff.frameworks.importing import Importing


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_a_module_is_followed_beside_the_hooks_of_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    name = f"followed_with_{first}"
    (tmp_path / f"{name}.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[str] = []
    importing = Importing()
    if first == "ours":
        importing.when(name, lambda module: seen.append(f"ours {module.X}"))
    wrapt.register_post_import_hook(lambda module: seen.append(f"theirs {module.X}"), name)
    importing.when(name, lambda module: seen.append(f"ours {module.X}"))
    try:
        module = importlib.import_module(name)
    finally:
        sys.meta_path.remove(importing)
        monkeypatch.delitem(sys.modules, name)
    assert sorted(set(seen)) == ["ours 1", "theirs 1"]
    assert type(module.__loader__) is SourceFileLoader
    assert inspect.getsource(module) == "X = 1\n"
