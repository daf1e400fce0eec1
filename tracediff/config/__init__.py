"""Settings: the nearest pyproject.toml and the environment, as one frozen Config.

Precedence: options, ``TRACEDIFF_*``, ``[tool.tracediff]``, defaults. An unknown key is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracediff.config.checks import (
    ADDED_UP,
    FROM_TEXT,
    OTHER_VARIABLES,
    TABLES,
    checked,
    invalid,
    unknown,
)
from tracediff.config.encryption import encryption_keys
from tracediff.config.settings import DEFAULT_STORE, Config, JobRule, StoreSettings, mask
from tracediff.errors import ConfigError

_OF_TESTS = "TRACEDIFF_TEST_"
"""Variables that name servers for the project's own tests."""

__all__ = [
    "DEFAULT_STORE",
    "Config",
    "JobRule",
    "StoreSettings",
    "given_store",
    "load_config",
    "mask",
    "override",
]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # as stores.urls reads one


def load_config(
    start: Path | None = None,
    *,
    store: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Config:
    """Read the settings that hold in a directory.

    Args:
        start: Where to look for pyproject.toml, upwards; the working directory by default.
        store: The ``--store`` option, if it was given.
        env: The environment; ``os.environ`` by default.

    Raises:
        ConfigError: A file that cannot be read, an unknown key, a value that cannot be used.
    """
    start = (start or Path.cwd()).resolve()
    environment = {
        name: text
        for name, text in (os.environ if env is None else env).items()
        if name.startswith("TRACEDIFF_") and text
    }
    encryption_keys(environment)  # no setting, and never kept: whoever opens a store reads them
    file, table = _find_table(start)
    settings: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        _read_table(table, file, settings, origins)
        origins.setdefault("enabled", f"{file.name} has [tool.tracediff]")
    elif "TRACEDIFF_STORE" in environment:
        origins["enabled"] = "environment TRACEDIFF_STORE"
    _read_environment(environment, settings, origins)
    if store is not None:
        settings["store"] = given_store(store, settings.get("stores", {}), start)
        origins["store"] = "option --store"
    root = file.parent if file is not None else start
    enabled = settings.pop("enabled", "enabled" in origins)
    paths = settings.pop("pythonpath", None)
    libraries = settings.pop("recorded_libraries", ())
    return Config(
        root=root,
        file=file,
        enabled=enabled,
        pythonpath=_paths(root, paths),
        recorded_libraries=_directories(root, "recorded_libraries", libraries),
        origins=origins,
        **settings,
    )


def given_store(
    store: str, named: Mapping[str, StoreSettings], start: Path, option: str = "--store"
) -> str:
    """A name or a URL as it is; a directory as the shell it was typed in means it."""
    if not store:
        raise invalid("store", store, "a name, a directory or a URL", f"option {option}")
    if store in named or _SCHEME.match(store):
        return store
    return str(start / store)


def override(config: Config, **changes: Any) -> Config:
    """The configuration with some settings replaced by ``tracediff.configure``.

    Raises:
        ConfigError: An unknown setting or a value that cannot be used.
    """
    settings: dict[str, Any] = {}
    for name, value in changes.items():
        plain = list(value) if isinstance(value, tuple) else value
        _put(settings, TABLES.get(name, name), checked(name, plain, "configure()"))
    for name in ("pythonpath", "recorded_libraries"):
        if name in settings:
            settings[name] = _directories(config.root, name, settings[name])
    settings.setdefault("enabled", True)
    origins = {**config.origins, **dict.fromkeys(settings, "configure()")}
    return replace(config, origins=origins, **settings)


def _find_table(start: Path) -> tuple[Path | None, dict[str, Any]]:
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            tool = _load_toml(file).get("tool", {})
            table = tool.get("tracediff") if isinstance(tool, dict) else None
            if table is not None:
                if not isinstance(table, dict):
                    raise invalid("tracediff", table, "a table", f"{file} [tool]")
                return file, table
    return None, {}


def _load_toml(file: Path) -> dict[str, Any]:
    import tomllib  # only where there is a file to read

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # integers of thousands of digits too
        raise ConfigError(
            f"{file} cannot be read: {error}",
            slug="config-unreadable",
            hint="correct the file, or run from a directory with another pyproject.toml",
        ) from None


def _read_table(
    table: dict[str, Any], file: Path, settings: dict[str, Any], origins: dict[str, str]
) -> None:
    for key, value in table.items():
        name = TABLES.get(key, key)
        where = f"{file} [tool.tracediff] {key}"
        _put(settings, name, checked(key, value, where))
        origins[name] = f"{file.name} [tool.tracediff] {key}"


def _put(settings: dict[str, Any], name: str, value: Any) -> None:
    settings[name] = settings[name] + value if name in settings and name in ADDED_UP else value


def _read_environment(
    environment: Mapping[str, str], settings: dict[str, Any], origins: dict[str, str]
) -> None:
    for variable, text in environment.items():
        if variable in OTHER_VARIABLES or variable.startswith(_OF_TESTS):
            continue
        name = variable.removeprefix("TRACEDIFF_").lower()
        if name not in FROM_TEXT:
            raise unknown(
                variable, [f"TRACEDIFF_{one.upper()}" for one in FROM_TEXT], "the environment"
            )
        settings[name] = checked(name, FROM_TEXT[name](text), f"environment {variable}")
        origins[name] = f"environment {variable}"


def _paths(root: Path, given: tuple[str, ...] | None) -> tuple[Path, ...]:
    if given is not None:
        return _directories(root, "pythonpath", given)
    return tuple(path for path in (root, root / "src") if path.is_dir())


def _directories(root: Path, name: str, given: tuple[str, ...]) -> tuple[Path, ...]:
    try:
        return tuple((root / one).resolve() for one in given)
    except (OSError, RuntimeError) as error:  # links in a circle
        raise invalid(name, list(given), "directories", str(error)) from None
