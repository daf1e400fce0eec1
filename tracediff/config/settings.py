"""The settings as frozen values, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tracediff.model import Depth, Mode, Tolerance

DEFAULT_STORE = ".tracediff"
_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"]*@")
_SECRETS = re.compile(
    r"([?&][^=&\s]*(?:pass|pwd|secret|token|key)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE
)
_TABLES = {"rules": "job", "tolerances": "tolerance"}


def mask(text: str) -> str:
    """The text without the credentials of the URLs in it."""
    return _SECRETS.sub(r"\1***", _CREDENTIALS.sub("***@", text))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """A named store: where its index is, and its blobs when they live elsewhere.

    ``context`` names the context fields that traces are searched by, which an index server needs
    to know beforehand.
    """

    index: str
    blobs: str | None = None
    context: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRule:
    """What the configuration says about the jobs whose key matches ``pattern``; None: nothing."""

    pattern: str
    depth: Depth | None = None
    mode: Mode | None = None
    bump_every: float | None = None
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
    notes: tuple[str, ...] = ()
    notes_level: str = "info"
    otel_ids: bool = True
    pythonpath: tuple[Path, ...] = ()
    recorded_libraries: tuple[Path, ...] = ()
    autotrace: tuple[str, ...] = ()
    autotrace_values: bool = True
    autotrace_depth: int = 100
    autotrace_steps: int = 20_000
    autotrace_calls: int = 1_000
    autotrace_min_duration: float = 0.0
    inputs: tuple[str, ...] = ()
    entry: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    redact: tuple[str, ...] = ()
    replay_allow: tuple[str, ...] = ()
    replay_timeout: float | None = None
    python: str | None = None
    depth: Depth = "steps"
    mode: Mode = "deferred"
    bump_every: float = 10.0
    lost_after: float = 3600.0
    tenant: str | None = None
    sample: float = 1.0
    strict: bool = False
    durability: str = "process"
    sentry_tag: bool = True
    spool: str = f"{DEFAULT_STORE}/spool"
    spool_bytes: int = 1 << 30
    upload_every: float = 5.0
    retentions: tuple[int, ...] = (1, 3, 7, 14, 30, 90, 180, 365)
    stores: Mapping[str, StoreSettings] = field(default_factory=dict)
    rules: tuple[JobRule, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    def rule_for(self, key: str) -> JobRule:
        """The rules whose pattern matches the job's key, merged; the last one wins."""
        merged: dict[str, Any] = {}
        for rule in self.rules:
            if fnmatchcase(key, rule.pattern):
                for name in _OF_RULES:
                    value = getattr(rule, name)
                    if value is not None:
                        merged[name] = value
        return JobRule(pattern=key, **merged)

    @property
    def bumps(self) -> tuple[float, ...]:
        """How many seconds the parts of live traces are apart: in general, and by the rules."""
        rules = (one.bump_every for one in self.rules)
        return (self.bump_every, *(one for one in rules if one is not None))

    def store_url(self, name: str | None = None) -> str:
        """The URL of a store: a name from ``stores``, a directory beside this file, or a URL."""
        return self.store_settings(name).index

    def store_settings(self, name: str | None = None) -> StoreSettings:
        """Where a store's index and blobs are; of a directory or URL, just that."""
        chosen = self.store if name is None else name
        return self.stores.get(chosen) or StoreSettings(index=chosen)

    def as_rows(self) -> list[tuple[str, str, str]]:
        """Each setting as (name, value, origin), as the file names them; credentials masked."""
        rows = []
        for one in fields(self):
            if one.name in _NOT_SETTINGS:
                continue
            origin = self.origins.get(one.name, "default")
            for name, value in _rows(_TABLES.get(one.name, one.name), getattr(self, one.name)):
                rows.append((name, mask(_shown(value)), mask(origin)))
        return sorted(rows)


_OF_RULES = ("depth", "mode", "bump_every", "sample", "retention", "enabled")
_NOT_SETTINGS = frozenset({"root", "file", "origins"})


def _rows(name: str, value: Any) -> list[tuple[str, Any]]:
    """One row for a setting, or one for each store, rule and tolerance it holds."""
    if isinstance(value, Mapping) and value:
        return [(f"{name}.{part}", one) for part, one in value.items()]
    if isinstance(value, tuple) and value and isinstance(value[0], JobRule):
        return [(f'{name}."{one.pattern}"', one) for one in value]
    if isinstance(value, tuple) and value and isinstance(value[0], Tolerance):
        return [(f'{name}."{one.path}"', one) for one in value]
    return [(name, value)]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(_shown(one) for one in value)
    if isinstance(value, StoreSettings):
        fields_ = f" context={','.join(value.context)}" if value.context else ""
        return value.index + (f" + {value.blobs}" if value.blobs else "") + fields_
    if isinstance(value, JobRule | Tolerance):
        given = [(one.name, getattr(value, one.name), one.default) for one in fields(value)]
        return " ".join(
            f"{name}={_shown(one)}"
            for name, one, default in given
            if name not in ("pattern", "path") and (one is not default)
        )
    return "" if value is None or value == {} else str(value)
