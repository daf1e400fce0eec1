"""Settings: the nearest pyproject.toml and the environment, as one frozen Config.

Precedence: options, ``TRACEDIFF_*``, ``[tool.tracediff]``, defaults. An unknown key is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tracediff.errors import ConfigError
from tracediff.model import DEPTHS, Depth, Tolerance

DEFAULT_STORE = ".tracediff"
_CREDENTIALS = re.compile(r"://[^/@\s]*@")


def mask(text: str) -> str:
    """The text without the credentials of the URLs in it."""
    return _CREDENTIALS.sub("://***@", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """A named store: where its index is, and its blobs when they live elsewhere."""

    index: str
    blobs: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRule:
    """What the configuration says about the jobs whose key matches ``pattern``; None: nothing."""

    pattern: str
    depth: Depth | None = None
    sample: float | None = None
    retention: int | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings. ``origins`` says for each where its value comes from."""

    root: Path
    file: Path | None = None
    enabled: bool = False
    jobs: tuple[str, ...] = ()
    store: str = DEFAULT_STORE
    pythonpath: tuple[Path, ...] = ()
    autotrace: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    replay_allow: tuple[str, ...] = ()
    replay_timeout: float | None = None
    python: str | None = None
    depth: Depth = "steps"
    sample: float = 1.0
    strict: bool = False
    durability: str = "process"
    stores: Mapping[str, StoreSettings] = field(default_factory=dict)
    rules: tuple[JobRule, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    def rule_for(self, key: str) -> JobRule:
        """The rules whose pattern matches the job's key, merged; the last one wins."""
        merged: dict[str, Any] = {}
        for rule in self.rules:
            if fnmatchcase(key, rule.pattern):
                for name in ("depth", "sample", "retention", "enabled"):
                    value = getattr(rule, name)
                    if value is not None:
                        merged[name] = value
        return JobRule(pattern=key, **merged)

    def store_url(self, name: str | None = None) -> str:
        """The URL of a store: a name from ``stores``, a directory beside this file, or a URL."""
        chosen = self.store if name is None else name
        if chosen in self.stores:
            return self.stores[chosen].index
        return chosen

    def as_rows(self) -> list[tuple[str, str, str]]:
        """Each setting as (name, value, origin), credentials masked."""
        rows = []
        for name in sorted(_FIELDS):
            origin = self.origins.get(name, "default")
            rows.append((name, mask(_shown(getattr(self, name))), mask(origin)))
        return rows


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
    environment = os.environ if env is None else env
    file, table = _find_table(start)
    settings: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        _read_table(table, file, settings, origins)
    _read_environment(environment, settings, origins)
    if store is not None:
        settings["store"], origins["store"] = store, "option --store"
    root = file.parent if file is not None else start
    enabled = settings.pop("enabled", None)
    if enabled is None:
        enabled = file is not None or "TRACEDIFF_STORE" in environment
    paths = settings.pop("pythonpath", None)
    return Config(
        root=root,
        file=file,
        enabled=enabled,
        pythonpath=_paths(root, paths),
        origins=origins,
        **settings,
    )


def override(config: Config, **changes: Any) -> Config:
    """The configuration with some settings replaced by ``tracediff.configure``.

    Raises:
        ConfigError: An unknown setting or a value that cannot be used.
    """
    checked: dict[str, Any] = {}
    for name, value in changes.items():
        plain = list(value) if isinstance(value, tuple) else value
        checked[name] = _checked(name, plain, "configure()")
    if "pythonpath" in checked:
        checked["pythonpath"] = _paths(config.root, checked["pythonpath"])
    origins = {**config.origins, **dict.fromkeys(checked, "configure()")}
    checked.setdefault("enabled", True)
    return replace(config, origins=origins, **checked)


def _find_table(start: Path) -> tuple[Path | None, dict[str, Any]]:
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            table = _load_toml(file).get("tool", {}).get("tracediff")
            if table is not None:
                if not isinstance(table, dict):
                    raise _invalid("tracediff", table, "a table", f"{file} [tool]")
                return file, table
    return None, {}


def _load_toml(file: Path) -> dict[str, Any]:
    import tomllib  # only where there is a file to read

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read: {error}",
            slug="config-unreadable",
            hint="correct the file, or run from a directory with another pyproject.toml",
        ) from None


def _read_table(
    table: dict[str, Any], file: Path, settings: dict[str, Any], origins: dict[str, str]
) -> None:
    for key, value in table.items():
        name = _TABLES.get(key, key)
        where = f"{file} [tool.tracediff] {key}"
        settings[name] = _checked(key, value, where)
        origins[name] = f"{file.name} [tool.tracediff] {key}"


def _read_environment(
    environment: Mapping[str, str], settings: dict[str, Any], origins: dict[str, str]
) -> None:
    for variable, text in environment.items():
        if not variable.startswith("TRACEDIFF_") or variable in _OTHER_VARIABLES:
            continue
        name = variable.removeprefix("TRACEDIFF_").lower()
        if name not in _FROM_TEXT:
            raise _unknown(
                variable, [f"TRACEDIFF_{one.upper()}" for one in _FROM_TEXT], "the environment"
            )
        settings[name] = _checked(name, _FROM_TEXT[name](text), f"environment {variable}")
        origins[name] = f"environment {variable}"


def _checked(key: str, value: Any, where: str) -> Any:
    check = _CHECKS.get(key)
    if check is None:
        raise _unknown(key, list(_CHECKS), where)
    return check(key, value, where)


def _unknown(key: str, known: list[str], where: str) -> ConfigError:
    near = get_close_matches(key, known, 1)
    return ConfigError(
        f"unknown setting {key!r} in {where}",
        slug="config-unknown-key",
        hint=f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}",
    )


def _invalid(key: str, value: Any, wanted: str, where: str) -> ConfigError:
    return ConfigError(
        f"{where}: {key} must be {wanted}, not {mask(repr(value))}",
        slug="config-invalid",
        hint="see docs/configuration.md for every setting and its form",
    )


def _text(key: str, value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _invalid(key, value, "a text", where)
    return value


def _texts(key: str, value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise _invalid(key, value, "a list of texts", where)
    return tuple(value)


def _flag(key: str, value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _invalid(key, value, "true or false", where)
    return value


def _one_of(*choices: str) -> Callable[[str, Any, str], Any]:
    def check(key: str, value: Any, where: str) -> Any:
        if value not in choices:
            raise _invalid(key, value, f"one of {', '.join(choices)}", where)
        return value

    return check


def _number(low: float, high: float) -> Callable[[str, Any, str], Any]:
    def check(key: str, value: Any, where: str) -> Any:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or not low <= value <= high:
            raise _invalid(key, value, f"a number from {low:g} to {high:g}", where)
        return value

    return check


def _whole(key: str, value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _invalid(key, value, "a whole number", where)
    return value


def _fields(key: str, value: Any, where: str, checks: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(key, value, "a table", where)
    found = {}
    for name, one in value.items():
        if name not in checks:
            raise _unknown(name, list(checks), where)
        found[name] = checks[name](name, one, where)
    return found


def _stores(key: str, value: Any, where: str) -> dict[str, StoreSettings]:
    if not isinstance(value, dict):
        raise _invalid(key, value, "a table", where)
    found = {}
    for name, one in value.items():
        place = f"{where}.{name}"
        fields = _fields(name, one, place, {"index": _text, "blobs": _text})
        if "index" not in fields:
            raise _invalid("index", None, "set", place)
        found[name] = StoreSettings(**fields)
    return found


def _rules(key: str, value: Any, where: str) -> tuple[JobRule, ...]:
    if not isinstance(value, dict):
        raise _invalid(key, value, "a table", where)
    return tuple(
        JobRule(pattern=name, **_fields(name, one, f"{where}.{name!r}", _RULE))
        for name, one in value.items()
    )


def _tolerances(key: str, value: Any, where: str) -> tuple[Tolerance, ...]:
    if not isinstance(value, list):
        raise _invalid(key, value, "a list of tables", where)
    return tuple(Tolerance(**_fields(key, one, where, _TOLERANCE)) for one in value)


def _type_pairs(key: str, value: Any, where: str) -> tuple[tuple[str, str], ...]:
    pairs = value if isinstance(value, list) else [value]
    for one in pairs:
        if not isinstance(one, list) or len(one) != 2 or not all(isinstance(t, str) for t in one):
            raise _invalid(key, value, "a list of [old, new] type names", where)
    return tuple((old, new) for old, new in pairs)


def _paths(root: Path, given: tuple[str, ...] | None) -> tuple[Path, ...]:
    if given is not None:
        return tuple((root / one).resolve() for one in given)
    return tuple(path for path in (root, root / "src") if path.is_dir())


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_shown(one)}" for name, one in value.items())
    if isinstance(value, StoreSettings):
        return value.index + (f" + {value.blobs}" if value.blobs else "")
    if isinstance(value, JobRule | Tolerance):
        given = [(name, getattr(value, name)) for name in value.__slots__]
        return " ".join(f"{name}={one}" for name, one in given if one not in (None, False, ()))
    return "" if value is None else str(value)


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _as_bool(text: str) -> Any:
    lowered = text.strip().lower()
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False, "": False}
    return known.get(lowered, text)


def _as_number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


_RULE = {
    "depth": _one_of(*DEPTHS),
    "sample": _number(0, 1),
    "retention": _whole,
    "enabled": _flag,
}
_TOLERANCE = {
    "path": _text,
    "rel": _number(0, 1e308),
    "abs": _number(0, 1e308),
    "ulp": _whole,
    "quantum": _text,
    "unordered": _flag,
    "ignore": _flag,
    "types": _type_pairs,
}
_CHECKS: dict[str, Callable[[str, Any, str], Any]] = {
    "autotrace": _texts,
    "depth": _one_of(*DEPTHS),
    "durability": _one_of("process", "host"),
    "enabled": _flag,
    "inputs": _texts,
    "job": _rules,
    "jobs": _texts,
    "python": _text,
    "pythonpath": _texts,
    "redact": _texts,
    "replay_allow": _texts,
    "replay_timeout": _number(0, 86_400),
    "sample": _number(0, 1),
    "store": _text,
    "stores": _stores,
    "strict": _flag,
    "tolerance": _tolerances,
}
_TABLES = {"job": "rules", "tolerance": "tolerances"}
_FIELDS = tuple(_TABLES.get(name, name) for name in _CHECKS)
_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "autotrace": _split,
    "depth": str,
    "durability": str,
    "enabled": _as_bool,
    "inputs": _split,
    "jobs": _split,
    "python": str,
    "pythonpath": _split,
    "redact": _split,
    "replay_allow": _split,
    "replay_timeout": _as_number,
    "sample": _as_number,
    "store": str,
    "strict": _as_bool,
}
_OTHER_VARIABLES = frozenset(
    {"TRACEDIFF_CODE_VERSION", "TRACEDIFF_DEBUG", "TRACEDIFF_REDACTION_KEY"}
)
