"""The small projects of the replay's tests, in git repositories of several commits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tracediff.demo import git

_spec = spec_from_file_location(
    "tracediff_tests_shop", Path(__file__).parents[1] / "replay/conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_shop = sys.modules[_spec.name] = module_from_spec(_spec)
_spec.loader.exec_module(_shop)

surroundings, new_shop, shop = _shop.surroundings, _shop.new_shop, _shop.shop

JOB = """
    from shop.rates import rate

    @td.job("price", depth="inputs")
    def price(net):
        return taxed(net)

    def taxed(net):
        tax = net * rate()
        total = net + tax
        return total
    """


@pytest.fixture
def commit(shop: Any) -> Callable[[str], str]:
    """A function that commits the project's work tree; the commit's id."""

    def make(message: str) -> str:
        if not (shop.directory / ".git").exists():
            shop.write(".gitignore", ".tracediff/\n__pycache__/\n")
            git(shop.directory, "init", "--quiet", "--template=")
        git(shop.directory, "add", "--all")
        git(shop.directory, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(shop.directory, "rev-parse", "HEAD").strip()

    return make


@pytest.fixture
def priced(shop: Any, commit: Any) -> Any:
    """A job of depth "inputs", committed and recorded at a rate of 2."""
    shop.jobs(JOB)
    shop.write("shop/rates.py", "def rate():\n    return 2\n")
    shop.first = commit("rate 2")
    shop.trace = shop.record("price(10)")[0]
    return shop
