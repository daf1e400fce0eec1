"""Deliberate changes of a replay: calls answered with a given value, or with their recording.

A what-if is a question asked of one replay ("what if the rate were 0.2?"), never a way to attribute
a change: pinning steps to their recorded results gives shares that add up and are wrong. So each is
named in the warnings of the trace it made.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from tracediff import values
from tracediff.errors import ReplayError, TraceReferenceError
from tracediff.model import Step, Trace, Value
from tracediff.reports.paths import find_steps, names
from tracediff.runtime import Call

MAX_LITERAL = 100_000
_ANSWERED = frozenset({"step", "input", "output"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """One what-if. ``value`` None pins the step to its recorded result.

    ``wanted`` is the step as the user named it, ``by`` how that was understood, ``names`` what the
    steps it stands for are called, ``text`` the value as the user wrote it.
    """

    wanted: str
    by: Literal["line", "name", "path"]
    names: tuple[str, ...]
    value: Value | None = None
    text: str = ""

    def covers(self, place: tuple[str, ...], index: int | None) -> bool:
        """Whether it answers the call at this place, the one that was recorded as ``index``."""
        if self.by == "line":
            return index == int(self.wanted)
        if self.by == "name":
            return place[-1] == self.wanted
        path = "/".join(place)
        return path == self.wanted or path.endswith(f"/{self.wanted}")

    def said(self, calls: int, unknown: int) -> str:
        """The what-if as a warning of the trace it made.

        Args:
            calls: How many calls it answered.
            unknown: How many it could not, because they are pinned and were not recorded.
        """
        step = f"line {self.wanted}, {self.names[0]!r}," if self.by == "line" else repr(self.wanted)
        how = "pinned to its recorded result" if self.value is None else f"set to {self.text}"
        reached = f"{calls} call" + "s" * (calls > 1) if calls or unknown else "never reached"
        more = f", not for {unknown} that the recording does not have" if unknown else ""
        return f"what-if: {step} {how} ({reached}{more})"

    def packed(self) -> list[object]:
        """The what-if as plain data, for the process that replays."""
        data = None if self.value is None else self.value.data
        return [self.wanted, self.by, list(self.names), data, self.text]

    @classmethod
    def unpacked(cls, data: Sequence[Any]) -> WhatIf:
        """The what-if that ``packed`` made this of."""
        wanted, by, called, value, text = data
        found = None if value is None else Value(value)
        return cls(wanted=wanted, by=by, names=tuple(called), value=found, text=text)


def what_ifs(trace: Trace, sets: Iterable[str] = (), pins: Iterable[str] = ()) -> list[WhatIf]:
    """The what-ifs that a user's texts name.

    Args:
        trace: The recording, whose steps they name: by line number, by name, which means every
            call of that name, or by path.
        sets: "STEP=VALUE", the value a Python literal, in which ``Decimal("…")`` may stand.
        pins: "STEP".

    Raises:
        ReplayError: ``what-if-invalid``; no literal, or a step that cannot be answered.
        TraceReferenceError: ``step-unknown``.
    """
    return [*(_set(trace, one) for one in sets), *(_find(trace, one) for one in pins)]


def _set(trace: Trace, text: str) -> WhatIf:
    # A name may hold "=" itself, so every place to split at is tried.
    problems: list[ReplayError | TraceReferenceError] = []
    for at in (at for at, letter in enumerate(text) if letter == "="):
        try:
            found = _find(trace, text[:at].strip(), text[at + 1 :].strip())
        except (ReplayError, TraceReferenceError) as error:
            problems.append(error)
        else:
            return found
    if not problems:
        raise ReplayError(
            f"the what-if {text!r} gives no value",
            slug="what-if-invalid",
            hint=_EXAMPLE,
        )
    known = [error for error in problems if isinstance(error, ReplayError)]
    raise (known or problems)[0]


def _find(trace: Trace, wanted: str, text: str | None = None) -> WhatIf:
    steps = trace.steps
    found = [index for index, step in enumerate(steps) if index and step.name == wanted]
    by: Literal["line", "name", "path"] = "name"
    if not found:
        found = find_steps(trace, wanted)
        by = "line" if wanted.isdecimal() and found == [int(wanted)] else "path"
    calls = [index for index in found if _is_call(steps[index])]
    if not calls:
        raise ReplayError(
            f"{wanted!r} cannot be answered: {_what(steps[found[0]])}",
            slug="what-if-invalid",
            hint="name a function that is a step, an input or an output",
        )
    called = tuple(dict.fromkeys(steps[index].name for index in calls))
    if text is None:
        return WhatIf(wanted=wanted, by=by, names=called)
    value = Value(values.encode(literal(text)))
    return WhatIf(wanted=wanted, by=by, names=called, value=value, text=text)


def _is_call(step: Step) -> bool:
    return step.kind in _ANSWERED and step.args is not None


def _what(step: Step) -> str:
    if step.kind == "step":
        return "it is a `with` block, and its body runs all the same"
    return "it is the job itself" if step.kind == "job" else f"it is a {step.kind}"


def literal(text: str) -> object:
    """The object that a Python literal means; ``Decimal("…")`` may stand where a number may.

    Raises:
        ReplayError: ``what-if-invalid``.
    """
    try:
        if len(text) > MAX_LITERAL:
            raise ValueError(f"it is longer than {MAX_LITERAL:,} characters")
        found: object = ast.literal_eval(_Decimals().visit(ast.parse(text, mode="eval")))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, InvalidOperation):
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        raise ReplayError(
            f"the value {shown!r} is not a Python literal",
            slug="what-if-invalid",
            hint=_EXAMPLE,
        ) from None
    return found


_EXAMPLE = """write --set 'STEP=0.2', 'STEP="text"', 'STEP=[1, 2]' or 'STEP=Decimal("0.20")'"""


class _Decimals(ast.NodeTransformer):
    """Puts the Decimal in the place of each ``Decimal("…")``."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(ast.Name("Decimal"), [ast.Constant(str() | int() as number)], []):
                return ast.copy_location(ast.Constant(Decimal(number)), node)  # type: ignore[arg-type]  # literal_eval hands any constant on
        return node


class Answers:
    """Which calls of one replay its what-ifs answer. Not thread-safe: the server holds the lock."""

    def __init__(self, trace: Trace, chosen: Sequence[WhatIf]) -> None:
        # The most telling comes first: a line before a name, and a later option before an earlier.
        latest_first = chosen[::-1]
        self._chosen = sorted(latest_first, key=lambda one: one.by != "line")
        self._calls = Counter[int]()
        self._unknown = Counter[int]()
        self._reached = Counter[tuple[str, ...]]()
        self._recorded: dict[tuple[str, ...], list[int]] = {}
        self.steps = frozenset(name for one in chosen for name in one.names)
        for index, step in enumerate(trace.steps if chosen else ()):
            if step.name in self.steps and _is_call(step):
                place = (step.kind, *names(trace.steps, index))
                self._recorded.setdefault(place, []).append(index)

    def choose(self, call: Call, index: int | None) -> tuple[WhatIf | None, int | None]:
        """The what-if that answers a call, and the recorded step that answers it otherwise.

        ``index`` is the recording of this very call, if there is one; else the call is taken for
        the one that was recorded at its place, counted from the first.
        """
        if call.name not in self.steps:
            return None, index
        place = (*call.path, call.name)
        nth = self._reached[call.kind, *place]
        self._reached[call.kind, *place] += 1
        recorded = index
        if recorded is None:
            same = self._recorded.get((call.kind, *place), [])
            recorded = same[nth] if nth < len(same) else None
        for at, one in enumerate(self._chosen):
            if one.covers(place, recorded):
                if recorded is None and one.value is None:
                    self._unknown[at] += 1
                else:
                    self._calls[at] += 1
                return one, recorded
        return None, None if call.kind == "step" else index

    def said(self) -> list[str]:
        """Each what-if as a warning, with the number of calls it answered."""
        return [one.said(self._calls[at], self._unknown[at]) for at, one in enumerate(self._chosen)]
