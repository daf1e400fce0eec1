"""Trying redaction rules on recorded traces: what they would take out, and what they would leave.

It walks values as the recorder does while it encodes them (``values.careful``), over the inert
decoder: no class of the user's is imported, so ``type:`` goes by name, without subclasses. Where
the recorder would seal, a place is counted; nothing is changed, and no secret is kept.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from tracediff import values
from tracediff.errors import ConfigError
from tracediff.model import ErrorInfo, Step, Trace
from tracediff.recording.redaction import (
    HINTS,
    REDACTED,
    TEXT_SHAPES,
    URL_CREDENTIALS,
    Redactor,
    is_secret_name,
)
from tracediff.recording.suspects import suspects
from tracediff.reports.redaction import Verdict
from tracediff.values import nodes
from tracediff.values.refs import mro, type_ref

BUILT_IN = "built in"
_FLAGS = (bool, type(None))
_TYPE = re.compile(r"type:(?P<module>[\w.]+)\.(?P<name>\w+)")
_NOTE = "(notes)"
_SHOWN = "<redacted"
"""How a text begins that stands for a sealed value: ``meta`` shows arguments."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """One place that one rule concerns; ``example`` is masked. ``origin`` says whose rule it is."""

    verdict: Verdict
    rule: str
    origin: str
    step: str
    field: str
    example: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule of the settings or of the command line."""

    pattern: str
    origin: str


class Patterns:
    """The rules that are tried.

    Args:
        configured: Those of the setting ``redact``.
        given: Those of the command line.

    Raises:
        ConfigError: ``config-invalid``: one of them cannot be a rule.
    """

    def __init__(self, configured: Iterable[str], given: Iterable[str] = ()) -> None:
        rules = [_Rule(one, "redact") for one in configured]
        rules += [_Rule(one, "--rule") for one in given]
        self.all = rules
        self.names: list[tuple[str, _Rule]] = []
        self.paths: list[_Rule] = []
        self.types: dict[str, _Rule] = {}
        self.texts: list[tuple[re.Pattern[str], _Rule]] = []
        for rule in rules:
            self._add(rule)
        plain = [one.pattern for one in rules if not one.pattern.startswith("type:")]
        self.redactor = Redactor(plain, lambda: b"")  # refuses what it would refuse, too

    def _add(self, rule: _Rule) -> None:
        pattern = rule.pattern
        if not pattern:
            raise _invalid(pattern, "is empty")
        if pattern.startswith("re:"):
            try:
                self.texts.append((re.compile(pattern[3:]), rule))
            except re.error as error:
                raise _invalid(pattern, f"is not a regular expression: {error}") from None
        elif pattern.startswith("type:"):
            found = _TYPE.fullmatch(pattern)
            if found is None:
                raise _invalid(pattern, "names no class")
            self.types[f"{found['module']}:{found['name']}"] = rule
        elif "." not in pattern.removeprefix("*."):
            self.names.append((pattern.removeprefix("*."), rule))
        else:
            self.paths.append(rule)

    def name(self, name: str) -> tuple[str, str] | None:
        """The rule by which a field of this name is secret, and whose it is."""
        for pattern, rule in self.names:
            if fnmatchcase(name, pattern):
                return rule.pattern, rule.origin
        return (f"the name {name[:60]}", BUILT_IN) if is_secret_name(name) else None

    def path(self, path: Path) -> _Rule | None:
        """The rule by which what is at this path is secret."""
        if not self.paths or not path:
            return None
        text = ".".join(map(str, path))
        for rule in self.paths:
            if fnmatchcase(text, rule.pattern) or fnmatchcase(text, f"*.{rule.pattern}"):
                return rule
        return None

    def type(self, obj: Any) -> _Rule | None:
        """The rule by which objects of this type are secret."""
        if not self.types:
            return None
        if isinstance(obj, nodes.Record | nodes.Member | nodes.Opaque):
            return self.types.get(obj.type)
        return next((self.types[ref] for ref in map(type_ref, mro(type(obj))) if ref in self.types),
                    None)  # fmt: skip


def _invalid(pattern: str, why: str) -> ConfigError:
    return ConfigError(
        f"the rule {pattern[:200]!r} {why}",
        slug="config-invalid",
        hint="write NAME or *.NAME, a path such as customer.address.*, type:package.module.Class "
        "or re:PATTERN",
    )


def hits(trace: Trace, patterns: Patterns) -> Iterator[Hit]:
    """Every place of a trace that a rule concerns, in its order."""
    top = _Walk(patterns, "(trace)")
    yield from top.text("meta", trace.meta)
    for tag in trace.tags:
        yield from top.text("tags", tag)
    for name, value in trace.context.items():
        if isinstance(value, str):
            yield from top.text(f"context.{name}", value)
    for step in trace.steps:
        yield from _of_step(step, patterns)
    for artifact in trace.artifacts:
        walk = _Walk(patterns, artifact.name)
        if artifact.data is not None and artifact.media_type.startswith("text/"):
            yield from walk.suspected("artifact", artifact.data.decode("utf-8", "replace"))


def _of_step(step: Step, patterns: Patterns) -> Iterator[Hit]:
    if step.kind == "note":
        yield from _Walk(patterns, _NOTE).text("text", step.name)
        return
    walk = _Walk(patterns, step.name)
    for field, value in (("args", step.args), ("result", step.result), ("key", step.key)):
        if value is not None:
            yield from walk.value(field, values.inert(value))
    if step.error is not None:
        yield from _of_error(step.error, walk)


def _of_error(error: ErrorInfo, walk: _Walk) -> Iterator[Hit]:
    yield from walk.text("error.message", error.message)
    yield from walk.text("error.traceback", error.traceback)
    if error.value is not None:
        yield from walk.value("error.value", values.inert(error.value), texts=True)
    for one in (error.cause, error.context, *error.members):
        if one is not None:
            yield from _of_error(one, walk)


class _Walk:
    """The places of one step."""

    def __init__(self, patterns: Patterns, step: str) -> None:
        self._patterns = patterns
        self._step = step
        self._open: set[int] = set()

    def text(self, field: str, text: str) -> Iterator[Hit]:
        """The places of a text that is no value: all shapes are taken out of it."""
        yield from self._in_text((), field, text, texts=True)

    def suspected(self, field: str, text: str) -> Iterator[Hit]:
        """What looks secret in a text that no rule touches."""
        for label, piece in _looks_secret(text):
            yield self._hit("suspected", label, BUILT_IN, field, (), _masked(piece))

    def value(self, field: str, obj: Any, *, texts: bool = False) -> Iterator[Hit]:
        """The places in a value.

        Args:
            field: What of the step it is.
            obj: The value, inert.
            texts: Whether shapes are taken out of its texts, as of exceptions.
        """
        texts = texts or bool(self._patterns.texts)
        # Not a recursion: a trace that somebody made up may be nested as deep as it likes.
        waiting: list[tuple[Path, Any, str | None]] = [((), obj, None)]
        while waiting:
            path, one, name = waiting.pop()
            found = list(self._at(path, field, one, name, texts=texts))
            yield from found
            if not any(hit.verdict != "suspected" for hit in found):
                waiting += reversed(list(_below(path, one)))

    def _at(
        self, path: Path, field: str, obj: Any, name: str | None, *, texts: bool
    ) -> Iterator[Hit]:
        """What is to be said of this very object, not of what is in it."""
        patterns = self._patterns
        if isinstance(obj, nodes.Redacted):
            yield self._hit("sealed", f"a secret {_plain(obj.type)}", "", field, path, "sealed")
            return
        flag = isinstance(obj, _FLAGS) and not (field == "args" and len(path) == 1)
        named = None if name is None or flag else patterns.name(name)
        rule = patterns.type(obj) or patterns.path(path)
        if named is not None or rule is not None:
            label, origin = named or (rule.pattern, rule.origin)  # type: ignore[union-attr]  # one of both is there
            yield self._hit("taken", label, origin, field, path, _masked(obj), name)
        elif isinstance(obj, str):
            yield from self._in_text(path, field, obj, texts=texts, name=name)
        elif isinstance(obj, nodes.Opaque):
            yield from self._in_text(path, field, obj.text, texts=True, name=name)
        elif isinstance(obj, bytes):
            for secret in patterns.redactor.environment():
                if secret.encode("utf-8", "surrogatepass") in obj:
                    yield self._hit("taken", _OF_ENVIRONMENT, BUILT_IN, field, path, _masked(obj))

    def _in_text(
        self, path: Path, field: str, text: str, *, texts: bool, name: str | None = None
    ) -> Iterator[Hit]:
        if REDACTED in text:
            yield self._hit("sealed", "a piece of a text", "", field, path, "sealed")
        for secret in self._patterns.redactor.environment():
            if secret in text:
                yield self._hit("taken", _OF_ENVIRONMENT, BUILT_IN, field, path, _masked(secret))
        for piece in _pieces(URL_CREDENTIALS[1], text):
            yield self._hit("taken", URL_CREDENTIALS[0], BUILT_IN, field, path, _masked(piece))
        for pattern, rule in self._patterns.texts:
            for found in pattern.finditer(text):
                if found[0]:
                    masked = _masked(found[0])
                    yield self._hit("taken", rule.pattern, rule.origin, field, path, masked, name)
        verdict: Verdict = "taken" if texts else "suspected"
        for label, piece in _shapes(text):
            yield self._hit(verdict, label, BUILT_IN, field, path, _masked(piece), name)
        for label, piece in suspects(text):
            if not any(pattern.search(piece) for pattern, _ in self._patterns.texts):
                yield self._hit("suspected", label, BUILT_IN, field, path, _masked(piece), name)

    def _hit(
        self, verdict: Verdict, rule: str, origin: str, field: str, path: Path, example: str,
        name: str | None = None,
    ) -> Hit:  # fmt: skip
        steps = ("*" if isinstance(one, int) else one[:60] for one in path[:20])
        return Hit(verdict, rule, origin, self._step[:80], ".".join((field, *steps)), example, name)


_OF_ENVIRONMENT = "a secret of this environment"


def _below(path: Path, obj: Any) -> Iterator[tuple[Path, Any, str | None]]:
    """What is in an object: its path there, itself, and the name of its field if it has one.

    Paths are those of ``values.careful``: members of sets and what lies under a record have none.
    """
    if isinstance(obj, nodes.Record):
        yield from _items(path, obj.fields.items())
        yield path, obj.base, None
    elif isinstance(obj, nodes.Pairs):
        yield from _items(path, obj.items)
    elif isinstance(obj, dict | MappingProxyType | OrderedDict | Mapping):
        yield from _items(path, obj.items())
    elif isinstance(obj, nodes.Members | set | frozenset):
        members = obj.items if isinstance(obj, nodes.Members) else obj
        yield from ((path, one, None) for one in members)
    elif isinstance(obj, nodes.Member):
        yield path, obj.value, None
    elif isinstance(obj, list | tuple | deque):
        yield from (((*path, index), one, None) for index, one in enumerate(obj))


def _items(path: Path, items: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Path, Any, str | None]]:
    for key, value in items:
        part = key if type(key) is str or type(key) is int else "*"
        yield (*path, part), value, key if type(key) is str else None


def _looks_secret(text: str) -> Iterator[tuple[str, str]]:
    yield from _shapes(text)
    yield from suspects(text)


def _shapes(text: str) -> Iterator[tuple[str, str]]:
    """What looks like a secret by its shape; the same piece is not told twice."""
    lowered = text.lower()
    if not any(hint in lowered for hint in HINTS):
        return
    taken: list[tuple[int, int]] = []
    for label, pattern in TEXT_SHAPES:
        for found in pattern.finditer(text):
            start, end = found.span()
            secret = _secret_of(found)
            gone = REDACTED in found[0] or secret.startswith(_SHOWN)
            if not gone and not any(a < end and start < b for a, b in taken):
                taken.append((start, end))
                yield label, secret


def _pieces(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    if "://" in text:
        for found in pattern.finditer(text):
            if REDACTED not in found[0]:
                yield _secret_of(found)


def _secret_of(found: re.Match[str]) -> str:
    """The part of a match that is the secret: what its named beginnings are not."""
    start = found.start()
    for group in ("name", "cookie", "scheme"):
        if group in found.re.groupindex and found[group] is not None:
            start = max(start, found.end(group))
    return found.string[start : found.end()]


def _masked(obj: Any) -> str:
    """What may be said of a secret: its type, its length, its first character at most."""
    if isinstance(obj, str):
        first = obj[0] if len(obj) >= _LONG_ENOUGH and obj[0].isprintable() else ""
        return f"{first}… ({len(obj):,} characters)" if first else f"({len(obj):,} characters)"
    if isinstance(obj, bytes | bytearray):
        return f"({len(obj):,} bytes)"
    if isinstance(obj, nodes.Record | nodes.Opaque | nodes.Member):
        return f"({_plain(obj.type)})"
    sized: Callable[[Any], int] | None = len if isinstance(obj, Sequence | Mapping | set) else None
    kind = type(obj).__name__
    return f"({kind})" if sized is None else f"({kind} of {sized(obj):,})"


_LONG_ENOUGH = 4
"""Characters from which the first one of a secret may be shown."""


def _plain(ref: str) -> str:
    return ref.removeprefix("builtins:")[:60]
