"""Libraries whose calls are inputs and outputs without a decorator: the setting ``inputs``.

One module a library, which gives the patches that record it. They are in place from when recording
starts or a replay begins; where the setting is empty nothing is touched.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import threading
from collections.abc import Iterable

from tracediff.config import Config
from tracediff.errors import ConfigError
from tracediff.recording import beside
from tracediff.recording.libraries.http.patterns import operation_pattern, request_pattern
from tracediff.recording.libraries.patching import Applied, Patch

MODULES = {
    "aiohttp": "aiohttp",
    "asyncpg": "asyncpg",
    "boto3": "boto3",
    "django.db": "django_db",
    "grpc": "grpc",
    "httpx": "httpx",
    "importlib.resources": "resources",
    "numpy.random": "numpy_random",
    "open": "files",
    "os.environ": "variables",
    "psycopg": "psycopg",
    "pymongo": "pymongo",
    "random": "randomness",
    "redis": "redis",
    "requests": "requests",
    "sqlalchemy": "sqlalchemy",
    "sqlite3": "sqlite",
    "subprocess": "programs",
    "time": "clock",
    "uuid": "ids",
}
"""The module of this package that knows a library, by the library's name in the setting."""


HTTP = frozenset({"aiohttp", "httpx", "requests"})
"""The libraries beside which an entry may name requests."""


class _Process:
    """What is in place in this process."""

    names: tuple[str, ...] = ()
    applied: Applied | None = None
    lock = threading.Lock()


def install(config: Config) -> None:
    """Make the calls of the configured libraries inputs and outputs, and no others.

    And notes of what loggers say, where ``notes`` names them.

    Raises:
        ConfigError: A name that is none of a library known here, or a library that is missing.
    """
    beside.install(config)
    names = tuple(sorted(set(config.inputs)))
    if names == _Process.names:
        return
    with _Process.lock:
        patches = [
            patch
            for name in names
            if not _names_requests(name, names)
            for patch in _patches(name, config)
        ]
        if _Process.applied is not None:
            _Process.applied.undo()
        _Process.applied = Applied(patches) if patches else None
        _Process.names = names


def loaded() -> None:
    """Tell the libraries that a replay has imported the modules of its job."""
    for name in _Process.names:
        module = sys.modules.get(f"tracediff.recording.libraries.{MODULES.get(name)}")
        tell = getattr(module, "loaded", None)
        if tell is not None:
            tell()


def _names_requests(name: str, names: Iterable[str]) -> bool:
    """Whether an entry is none of a library: it says which requests, operations or methods read."""
    if operation_pattern(name) is not None:
        return "boto3" in names
    if name.removeprefix("!").startswith("grpc "):
        return "grpc" in names
    return request_pattern(name) is not None and not HTTP.isdisjoint(names)


def _patches(name: str, config: Config) -> Iterable[Patch]:
    if name not in MODULES:
        close = difflib.get_close_matches(name, MODULES, n=1)
        known = ", ".join(sorted(MODULES))
        raise ConfigError(
            f"inputs: {name!r} is no library whose calls can be recorded",
            slug="inputs-unknown",
            hint=f"did you mean {close[0]!r}?" if close else f"there are {known}",
        )
    try:
        module = importlib.import_module(f"tracediff.recording.libraries.{MODULES[name]}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"inputs: {name!r} is not installed: {error}",
            slug="inputs-not-installed",
            hint="install it, or take it out of the setting",
        ) from None
    except (ImportError, AttributeError) as error:
        raise _unfit(name, error) from error
    try:
        return list(module.patches(config))
    except (ImportError, AttributeError) as error:
        raise _unfit(name, error) from error


def _unfit(name: str, error: Exception) -> ConfigError:
    """A version of a library that has not what is put in the place of its functions."""
    return ConfigError(
        f"inputs: this version of {name!r} cannot be recorded: {error}",
        slug="inputs-version",
        hint="install one that is named in docs/integrations.md, or take it out of the setting",
    )
