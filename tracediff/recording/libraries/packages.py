"""Whose a package is: the project's, Python's own, or somebody else's."""

from __future__ import annotations

import functools
import importlib.util
import os
from types import ModuleType
from typing import Any

_INSTALLED = frozenset({"site-packages", "dist-packages"})


def named(package: Any = None, anchor: Any = None) -> str | None:
    """The name of what ``importlib.resources.files`` was given; None where it is none."""
    package = anchor if package is None else package
    name = package.__name__ if isinstance(package, ModuleType) else package
    return name if type(name) is str else None


@functools.lru_cache(maxsize=256)
def _origin(package: str) -> str | None:
    """Where a package lies; None for one that is not there."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):  # asking for it says what is wrong
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    return os.path.realpath(places[0] if places else spec.origin or "/")


def is_own(package: str, root: str, python: list[str]) -> bool:
    """Whether it is a package of the project, or Python's own.

    Args:
        package: Its name.
        root: The directory of the project.
        python: Those of the standard library.
    """
    place = _origin(package)
    if place is None:
        return False
    parts = set(place.split(os.sep))
    if not _INSTALLED.isdisjoint(parts):
        return False
    return any(
        os.path.join(place, "").startswith(os.path.join(os.path.realpath(one), ""))
        for one in (root, *python)
    )
