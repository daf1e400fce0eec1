"""Functions that the setting ``entry`` makes jobs, "module:qualname": the program marks nothing."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tracediff.frameworks.importing import importing, is_imported

_waiting: dict[str, functools.partial[bool]] = {}


def wait_for_entries(entries: Sequence[str]) -> None:
    """Make jobs of these functions when their modules are imported."""
    for entry in entries:
        name = entry.partition(":")[0]
        if entry not in _waiting:
            _waiting[entry] = functools.partial(make, entry)
            if is_imported(name):
                make(entry, sys.modules[name], everywhere=True)
        importing.when(name, _waiting[entry])


def make(entry: str, module: ModuleType, *, everywhere: bool = False) -> bool:
    """Put a job in the place of a function of a module; whether the function is there.

    Args:
        entry: The function.
        module: The module that defines it.
        everywhere: Also where other modules hold the function.
    """
    from tracediff.frameworks.naming import key_of  # a program may never import its module
    from tracediff.recording.autotracing import claimed
    from tracediff.recording.jobs import job

    *owners, name = entry.partition(":")[2].split(".")
    owner: Any = module
    for one in owners:
        owner = getattr(owner, "__dict__", {}).get(one)
    found = getattr(owner, "__dict__", {}).get(name)
    if found is None:
        return False
    if hasattr(getattr(found, "__func__", found), "__tracediff_job__"):
        return True
    claimed.add(entry)
    made = job(key_of(entry))(found)
    setattr(owner, name, made)
    if everywhere and isinstance(owner, ModuleType):
        _rebind(found, made)
    return True


def _rebind(before: Any, made: Any) -> None:
    """Put the job where modules have taken the function by its name."""
    for other in list(sys.modules.values()):
        if type(other) is ModuleType:
            for name, value in list(vars(other).items()):
                if value is before:
                    setattr(other, name, made)
