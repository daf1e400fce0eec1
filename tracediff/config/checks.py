"""What each setting may be, read from a table or from the text of a variable."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from tracediff.config.settings import JobRule, StoreSettings, mask
from tracediff.errors import ConfigError
from tracediff.model import DEPTHS, MODES, Tolerance

_SHOWN = 200
MOST_CLASSES = 32
"""Each is an open segment in every process and a rule in every bucket."""

_LARGEST = (1 << 63) - 1
_ENORMOUS = re.compile(r"[eE][+-]?[0_]*[1-9][\d_]{3}|.{400}", re.DOTALL)
"""A number whose fraction takes long to work out, or for ever."""


def checked(key: str, value: Any, where: str) -> Any:
    """The value of a setting as the Config holds it.

    Raises:
        ConfigError: ``config-unknown-key`` or ``config-invalid``.
    """
    check = _CHECKS.get(key)
    if check is None:
        raise unknown(key, list(_CHECKS), where)
    return check(key, value, where)


def unknown(key: str, known: list[str], where: str) -> ConfigError:
    """The error for a setting that there is none of; it names a near one."""
    near = get_close_matches(key[:_SHOWN], known, 1)
    return ConfigError(
        f"unknown setting {key[:_SHOWN]!r} in {where}",
        slug="config-unknown-key",
        hint=f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}",
    )


def invalid(key: str, value: Any, wanted: str, where: str) -> ConfigError:
    """The error for a setting that cannot have this value."""
    return ConfigError(
        f"{where}: {key} must be {wanted}, not {_shown(value)}",
        slug="config-invalid",
        hint="see docs/configuration.md for every setting and its form",
    )


def _shown(value: Any) -> str:
    try:
        text = mask(repr(value))
    except (ValueError, RecursionError):  # Python writes no integer of thousands of digits
        return "a value too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _is_text(value: Any) -> bool:
    """No file, module or pattern has a NUL in it, and what is asked for one raises."""
    return isinstance(value, str) and bool(value) and "\0" not in value


def _text(key: str, value: Any, where: str) -> str:
    if not _is_text(value):
        raise invalid(key, value, "a text", where)
    return str(value)


def _texts(key: str, value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(map(_is_text, value)):
        raise invalid(key, value, "a list of texts", where)
    return tuple(value)


def _some_of(*choices: str) -> Callable[[str, Any, str], Any]:
    def check(key: str, value: Any, where: str) -> Any:
        if not set(_texts(key, value, where)) <= set(choices):
            raise invalid(key, value, f"a list of {', '.join(choices)}", where)
        return tuple(value)

    return check


_ENTRY = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")


def _entries(key: str, value: Any, where: str) -> tuple[str, ...]:
    for one in _texts(key, value, where):
        if not _ENTRY.fullmatch(one):
            raise invalid(key, one, 'functions, such as "pricing.engine:price"', where)
    return tuple(value)


def _names(key: str, value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(map(_is_text, value.values())):
        raise invalid(key, value, "a table of texts", where)
    return dict(value)


def _flag(key: str, value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise invalid(key, value, "true or false", where)
    return value


def _one_of(*choices: str) -> Callable[[str, Any, str], Any]:
    def check(key: str, value: Any, where: str) -> Any:
        if value not in choices:
            raise invalid(key, value, f"one of {', '.join(choices)}", where)
        return value

    return check


def _number(low: float, high: float) -> Callable[[str, Any, str], Any]:
    def check(key: str, value: Any, where: str) -> Any:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or not low <= value <= high:
            raise invalid(key, value, f"a number from {low:g} to {high:g}", where)
        return value

    return check


def _whole(key: str, value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise invalid(key, value, "a whole number", where)
    return value


def _days(key: str, value: Any, where: str) -> tuple[int, ...]:
    fits = isinstance(value, list) and all(
        type(one) is int and 0 < one < 1_000_000 for one in value
    )
    if not fits or len(value) > MOST_CLASSES:
        raise invalid(key, value, f"at most {MOST_CLASSES} whole numbers of days, above 0", where)
    return tuple(sorted(set(value)))


def _quantum(key: str, value: Any, where: str) -> str:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    try:
        if isinstance(text, str) and not _ENORMOUS.search(text) and Fraction(text) > 0:
            return text
    except (ValueError, ZeroDivisionError, OverflowError):  # refused below, with what was given
        pass
    raise invalid(key, value, 'a number above 0, such as "0.01"', where)


def _fields(key: str, value: Any, where: str, checks: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(key, value, "a table", where)
    found = {}
    for name, one in value.items():
        if name not in checks:
            raise unknown(name, list(checks), where)
        found[name] = checks[name](name, one, where)
    return found


_NAME = re.compile(r"[\w.-]+")


def _stores(key: str, value: Any, where: str) -> dict[str, StoreSettings]:
    if not isinstance(value, dict):
        raise invalid(key, value, "a table", where)
    found = {}
    for name, one in value.items():
        place = f"{where}.{name}"
        if not _NAME.fullmatch(name):
            raise invalid("its name", name, "letters, digits, _, - and .", place)
        fields = _fields(name, one, place, {"index": _text, "blobs": _text, "context": _texts})
        if "index" not in fields:
            raise invalid("index", None, "set", place)
        found[name] = StoreSettings(**fields)
    return found


def _rules(key: str, value: Any, where: str) -> tuple[JobRule, ...]:
    if not isinstance(value, dict):
        raise invalid(key, value, "a table", where)
    return tuple(
        JobRule(pattern=name, **_fields(name, one, f"{where}.{name!r}", _RULE))
        for name, one in value.items()
    )


def _tolerances(key: str, value: Any, where: str) -> tuple[Tolerance, ...]:
    if not isinstance(value, list):
        raise invalid(key, value, "a list of tables", where)
    return tuple(Tolerance(**_fields(key, one, where, _TOLERANCE)) for one in value)


def _frames(key: str, value: Any, where: str) -> tuple[Tolerance, ...]:
    """What tells the rows of frames apart, kept with what else holds at a place of a value."""
    if not isinstance(value, list):
        raise invalid(key, value, "a list of tables", where)
    return tuple(Tolerance(**_fields(key, one, where, _FRAME)) for one in value)


def _key(key: str, value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise invalid(key, value, "a list of names of columns", where)
    return tuple(value)


def _type_pairs(key: str, value: Any, where: str) -> tuple[tuple[str, str], ...]:
    flat = isinstance(value, list) and value and all(isinstance(one, str) for one in value)
    pairs = [value] if flat or not isinstance(value, list) else value
    for one in pairs:
        if not isinstance(one, list) or len(one) != 2 or not all(isinstance(t, str) for t in one):
            raise invalid(key, value, "[old, new] type names, or a list of such", where)
    return tuple((old, new) for old, new in pairs)


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _as_bool(text: str) -> Any:
    lowered = text.strip().lower()
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False, "": False}
    return known.get(lowered, text)


def _as_whole(text: str) -> Any:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


def _as_number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:  # refused as a text by who asked
        return text


_RULE = {
    "bump_every": _number(0.05, 3600),
    "depth": _one_of(*DEPTHS),
    "mode": _one_of(*MODES),
    "sample": _number(0, 1),
    "retention": _whole,
    "enabled": _flag,
}
_TOLERANCE = {
    "path": _text,
    "rel": _number(0, 1e308),
    "abs": _number(0, 1e308),
    "ulp": _whole,
    "quantum": _quantum,
    "unordered": _flag,
    "ignore": _flag,
    "types": _type_pairs,
}
_FRAME = {"path": _text, "key": _key}
_CHECKS: dict[str, Callable[[str, Any, str], Any]] = {
    "autotrace": _texts,
    "autotrace_calls": _whole,
    "autotrace_depth": _whole,
    "autotrace_min_duration": _number(0, 3600),
    "autotrace_steps": _whole,
    "autotrace_values": _flag,
    "bump_every": _number(0.05, 3600),
    "depth": _one_of(*DEPTHS),
    "durability": _one_of("process", "host"),
    "enabled": _flag,
    "entry": _entries,
    "frame": _frames,
    "inputs": _texts,
    "job": _rules,
    "jobs": _texts,
    "keys": _names,
    "lost_after": _number(1, 31_536_000),
    "mode": _one_of(*MODES),
    "notes": _some_of("logging", "structlog"),
    "notes_level": _one_of("debug", "info", "warning", "error", "critical"),
    "otel_ids": _flag,
    "python": _text,
    "pythonpath": _texts,
    "recorded_libraries": _texts,
    "redact": _texts,
    "replay_allow": _texts,
    "replay_timeout": _number(0, 86_400),
    "retentions": _days,
    "sample": _number(0, 1),
    "sentry_tag": _flag,
    "spool": _text,
    "spool_bytes": _whole,
    "store": _text,
    "stores": _stores,
    "strict": _flag,
    "tenant": _text,
    "tolerance": _tolerances,
    "upload_every": _number(0.05, 3600),
}
TABLES = {"frame": "tolerances", "job": "rules", "tolerance": "tolerances"}
ADDED_UP = frozenset({"tolerances"})
"""Settings that several tables fill."""
FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "autotrace": _split,
    "autotrace_calls": _as_whole,
    "autotrace_depth": _as_whole,
    "autotrace_min_duration": _as_number,
    "autotrace_steps": _as_whole,
    "autotrace_values": _as_bool,
    "bump_every": _as_number,
    "depth": str,
    "durability": str,
    "enabled": _as_bool,
    "entry": _split,
    "inputs": _split,
    "jobs": _split,
    "lost_after": _as_number,
    "mode": str,
    "notes": _split,
    "notes_level": str,
    "otel_ids": _as_bool,
    "python": str,
    "pythonpath": _split,
    "recorded_libraries": _split,
    "redact": _split,
    "replay_allow": _split,
    "replay_timeout": _as_number,
    "retentions": lambda text: [_as_whole(one) for one in _split(text)],
    "sample": _as_number,
    "sentry_tag": _as_bool,
    "spool": str,
    "spool_bytes": _as_whole,
    "store": str,
    "strict": _as_bool,
    "tenant": str,
    "upload_every": _as_number,
}
OTHER_VARIABLES = frozenset(
    {
        "TRACEDIFF_CODE_VERSION",
        "TRACEDIFF_DEBUG",
        "TRACEDIFF_ENCRYPTION_KEYS",
        "TRACEDIFF_PROJECT",
        "TRACEDIFF_REDACTION_KEY",
        "TRACEDIFF_REPLAYING",
        "TRACEDIFF_UI_TOKEN",
    }
)
