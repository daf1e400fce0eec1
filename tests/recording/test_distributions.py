"""The distributions a process has loaded are those that importlib.metadata knows."""

from __future__ import annotations

import sys
from importlib import metadata

import attrs
import click
import numpy as np
import pandas as pd
import pydantic
import pytest

from tracediff.recording.distributions import distributions

LOADED = (attrs, click, np, pd, pydantic, pytest)


def test_names_and_versions_are_those_of_importlib_metadata():
    loaded = {name.partition(".")[0] for name in sys.modules}
    wanted = {
        name: metadata.version(name)
        for top, names in metadata.packages_distributions().items()
        if top in loaded
        for name in names
    }
    found = distributions()
    assert {name: found.get(name) for name in wanted} == wanted
    assert {module.__name__ for module in LOADED} <= loaded


def test_a_module_of_its_own_a_listed_one_and_a_compiled_one_are_found(tmp_path, monkeypatch):
    def install(name, **files):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        for file, text in {"METADATA": f"Name: {name}\nVersion: 1.0\n\n", **files}.items():
            (folder / file.replace("_txt", ".txt")).write_text(text)

    install(
        "alone",
        RECORD='alone_mod.py,sha256=x,1\n"alone,data.txt",,\nalone-1.0.dist-info/RECORD,,\n',
    )
    install("listed", top_level_txt="listed_mod\nother_mod\n")
    install("compiled", RECORD="compiled_mod.cpython-311-x86_64-linux-gnu.so,,\n../../bin/x,,\n")
    install("absent", RECORD="absent_mod/__init__.py,,\n")
    install("broken", METADATA="nothing\n", RECORD="listed_mod.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("alone_mod", "listed_mod", "compiled_mod"):
        monkeypatch.setitem(sys.modules, name, sys)
    found = distributions()
    assert [found.get(name) for name in ("alone", "listed", "compiled")] == ["1.0"] * 3
    assert not {"absent", "broken"} & found.keys()
