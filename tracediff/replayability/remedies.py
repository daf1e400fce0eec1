"""What to write so that a trace replays exactly: settings and lines of code. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tracediff.config import Config
from tracediff.model import Source
from tracediff.recording.libraries import MODULES
from tracediff.replayability.evidence import Reading
from tracediff.replayable import Place, Remedy

LISTS: Final = frozenset(
    {"entry", "inputs", "jobs", "pythonpath", "recorded_libraries", "replay_allow"}
)
"""The settings that a remedy adds to; others it sets."""

_OF_KIND = {"file": "open", "file written": "open", "variable": "os.environ", "random": "random",
            "uuid": "uuid", "database": "sqlite3", "numpy": "numpy.random",
            "program": "subprocess"}  # fmt: skip
_BLOCKS = ("<module>", "<lambda>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>")


@dataclass(frozen=True, slots=True)
class Defined:
    """Where a function stands today: its line, its ``def`` and the decorators above it."""

    line: int
    text: str
    decorators: tuple[str, ...] = ()


Locate = Callable[[Place], Defined | None]
"""Finds a function of the project as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The project as it is now: its settings, and what its files say.

    ``line`` gives the text of a line by file and number, ``directory_of`` the directory beside
    pyproject.toml that holds a module.
    """

    config: Config
    locate: Locate
    line: Callable[[str, int], str]
    directory_of: Callable[[str], str | None]


def place_of(source: Source | None) -> Place | None:
    """Where a recorded step's function begins."""
    return Place(source.file, source.line, source.unit, source.line) if source else None


def library_above(reading: Reading) -> str | None:
    """The outermost library of the setting ``inputs`` that a reading is made by."""
    for module in reading.modules:
        for name in sorted(MODULES, key=len, reverse=True):
            if f"{module}.".startswith(f"{name}.") and name not in _OF_KIND.values():
                return name
    return None


def covering(reading: Reading) -> str | None:
    """The library of the setting ``inputs`` that makes a reading an input; None where none does."""
    if reading.more == "os.open":
        return None
    own = _OF_KIND.get(reading.kind)
    if own is not None and own != "sqlite3":  # these are inputs, whoever reads them
        return own
    above = library_above(reading) or own
    if above is None and reading.kind == "driver" and reading.what in MODULES:
        return reading.what
    return above


def with_input(name: str, config: Config) -> Remedy:
    """A library more in ``inputs``."""
    said = "in [tool.tracediff]: what is read through it becomes an input, with no decorator"
    return setting("inputs", (name,), said, config)


def setting(name: str, value: object, said: str, config: Config) -> Remedy:
    """A setting that is to have a value, or one more."""
    done = isinstance(value, tuple) and {str(one) for one in value} <= set(_given(name, config))
    lines = (f"{name} = {_literal(value)}",)
    return Remedy(change="setting", said=said, settings={name: value}, lines=lines, done=done)


def as_input(place: Place | None, what: str, job: str, locate: Locate) -> Remedy:
    """``@td.input`` on the function that is nearest to a reading.

    Args:
        place: Where the reading is.
        what: What is read, for a name where there is no function to decorate.
        job: The unit of the job, which cannot be an input itself.
        locate: Finds the function.
    """
    if place is None or not place.unit.partition(":")[2]:
        return Remedy(
            change="code",
            said="put what reads it into a function of its own, and make that an input",
            lines=_new_function(what),
        )
    name = place.unit.rpartition(":")[2]
    if name.rpartition(".")[2] in _BLOCKS or place.unit == job or "<locals>" in name:
        return Remedy(
            change="code",
            said=f"put line {place.line} into a function of its own, and make that an input",
            place=place,
            lines=_new_function(what, place.text),
        )
    found = locate(place)
    spot = place if found is None else Place(place.file, found.line, place.unit, found.line)
    title = _title(name)
    marked = [one for one in found.decorators if _is_step(one)] if found is not None else []
    text = found.text if found is not None else f"def {name.rpartition('.')[2]}(…):"
    if marked:
        named = re.search(r"""\(\s*(["'].*?["'])""", marked[0])
        line = f"@td.input({named[1] if named else json.dumps(title)})"
        said = f"make the step an input: this line in the place of {marked[0]}"
        return Remedy(change="decorator", said=said, place=spot, lines=(line, text))
    return Remedy(
        change="decorator",
        said=f"make {name} an input",
        place=spot,
        lines=(f'@td.input("{title}")', text),
    )


def outside_cache(place: Place | None, name: str, locate: Locate) -> Remedy:
    """``@td.input`` around a cached function."""
    found = locate(place) if place is not None else None
    above = found.decorators if found is not None else ()
    text = found.text if found is not None else f"def {name}(…):"
    return Remedy(
        change="decorator",
        said=f"make {name} an input outside of its cache: recorded however full the cache is",
        place=place if found is None or place is None else
        Place(place.file, found.line, place.unit, found.line),
        lines=(f'@td.input("{_title(name)}")', *above, text),
    )  # fmt: skip


def registered(type_name: str) -> Remedy:
    """An exact form for a class."""
    module, _, name = type_name.partition(":")
    short = name.rpartition(".")[2] or name
    return Remedy(
        change="code",
        said=f"teach tracediff an exact form of {short}, where its module is imported",
        lines=(
            f"from {module} import {name.partition('.')[0]}" if module != "builtins" else "",
            "td.register(",
            f"    {name},",
            f"    encode=lambda {short.lower()}: (…),  # of exact parts: a dict, a tuple, numbers",
            f"    decode=lambda parts: {name}(*parts),",
            ")",
        )[module == "builtins" :],
    )


def propagated(place: Place | None, function: str, how: str) -> Remedy:
    """The context carried into a thread."""
    name = function or "function"
    short = name.rpartition(".")[2]
    old = place.text if place is not None else ""
    new = re.sub(rf"(?<![\w.])((?:[\w.]+\.)?{re.escape(short)})\b(?!\s*\()",
                 r"td.propagate(\1)", old, count=1)  # fmt: skip
    if not old or new == old:
        new = (
            f"pool.submit(td.propagate({short}), …)"
            if how == "submit"
            else (f"Thread(target=td.propagate({short}))")
        )
    return Remedy(
        change="code",
        said="carry the trace into the thread",
        place=place,
        lines=(new,) if new.count("(") else (f"td.propagate({short})",),
    )


def sorted_sets(place: Place | None) -> Remedy:
    """An order that does not depend on the process."""
    text = place.text if place is not None else ""
    new = re.sub(r"\bfor (.+?) in ([\w.\[\]()]+)", r"for \1 in sorted(\2)", text, count=1)
    if new == text:
        new = re.sub(r"\b(sum|list|tuple|enumerate|next|join|max|min)\(([\w.]+)\)",
                     r"\1(sorted(\2))", text, count=1)  # fmt: skip
    lines = (new,) if text and new != text else ("for one in sorted(members):",)
    return Remedy(
        change="code", said="walk through the set in an order of its own", place=place, lines=lines
    )


def exact_clock(place: Place | None) -> Remedy:
    """The clock as an input."""
    text = place.text if place is not None else ""
    new = re.sub(r"\b(?:dt\.|datetime\.)?datetime\.(?:now|utcnow|today)\(.*?\)", "td.now()", text)
    new = re.sub(r"\b(?:time\.)?time\(\)", "td.now().timestamp()", new)
    new = re.sub(r"\b(?:datetime\.)?date\.today\(\)", "td.now().date()", new)
    return Remedy(
        change="code",
        said="ask for the instant itself, which is an input",
        place=place,
        lines=(new if text and new != text else "td.now()",),
    )


def merged(remedies: Iterable[Remedy], config: Config) -> dict[str, Any]:
    """The settings that remedies ask for, together with what they have now."""
    wanted: dict[str, list[Any]] = {}
    for remedy in remedies:
        for name, value in remedy.settings.items():
            wanted.setdefault(name, []).extend(value if isinstance(value, tuple) else [value])
    found: dict[str, Any] = {}
    for name, added in wanted.items():
        if name not in LISTS:
            found[name] = max(added) if all(isinstance(one, int) for one in added) else added[-1]
            continue
        given = _given(name, config)
        more = sorted({str(one) for one in added} - set(given))
        found[name] = [*given, *more] if more else []
    return {name: value for name, value in found.items() if value}


def toml(settings: Mapping[str, Any]) -> list[str]:
    """Lines for ``[tool.tracediff]``."""
    return [f"{name} = {_literal(value)}" for name, value in sorted(settings.items())]


def _literal(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else json.dumps(str(value))


def _given(name: str, config: Config) -> list[str]:
    """What a setting that is a list has now, as it is written."""
    root = str(config.root)
    texts = map(str, getattr(config, name))
    return ["." if text == root else text.removeprefix(f"{root}/") for text in texts]


def _title(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.rpartition(".")[2]).replace("_", " ")
    text = " ".join(words.split()) or "Input"
    return text[:1].upper() + text[1:]


def _is_step(decorator: str) -> bool:
    return re.match(r"@(?:\w+\.)*step\b", decorator) is not None


def _new_function(what: str, line: str = "") -> tuple[str, ...]:
    name = re.sub(r"\W+", "_", what.lower()).strip("_")[:40] or "value"
    body: Sequence[str] = (f"    {line}  # and give it back",) if line else ("    …",)
    return (f'@td.input("{_title(name)}")', f"def read_{name}(…):", *body)
