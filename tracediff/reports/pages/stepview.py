"""One step in full: where it is, its values as trees, its error with all that led to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tracediff.model import UNFINISHED, ErrorInfo, Step, Trace, Value
from tracediff.reports import excerpt, wording
from tracediff.reports.pages import valuekinds, valuetree
from tracediff.reports.paths import names

_NO_END: Final = {
    "running": "not yet: it is open",
    "lost": "not recorded: it was open when the trace was lost",
}

AspectName = Literal["args", "key", "result", "error"]
ASPECTS: Final[tuple[AspectName, ...]] = ("args", "key", "result", "error")
TITLES: Final[dict[AspectName, str]] = {
    "args": "arguments", "key": "key", "result": "result", "error": "the error's own values",
}  # fmt: skip
LARGE: Final = 4_000
"""Bytes of a value's recorded form from which it can be searched."""

ValueAddress = Callable[[AspectName, valuetree.Path, int], str]
_FRAME: Final = re.compile(r'^  File "(.*)", line (\d+), in (.*)$')
_MESSAGE: Final = 4_000
_ERRORS: Final = 40
_SHOWN_FRAMES: Final = 3
_MOST_FRAMES: Final = 200
_FACT: Final = 400
_PATH: Final = 40
_TYPE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownValue:
    """A value with its title.

    ``find`` is the address that searches it, None for a small one. ``plain`` says that its type
    goes without saying: arguments by name.
    """

    title: str
    node: valuetree.Node
    size: str
    plain: bool = False
    find: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame of a traceback: where, and the source line as it was then."""

    file: str
    line: str
    name: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownError:
    """An error. ``why`` says what it is to the one above it; ``inner`` are those behind it."""

    why: str
    type: str
    type_in_full: str
    bases: str
    message: str
    cut: str
    folded: tuple[Frame, ...]
    frames: tuple[Frame, ...]
    plain: str
    inner: tuple[ShownError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step in full. ``artifact`` is the place of its artifact in the trace ``trace``."""

    number: int
    path: tuple[str, ...]
    kind: str
    state: str
    facts: tuple[tuple[str, str], ...]
    values: tuple[ShownValue, ...]
    error: ShownError | None
    trace: str
    artifact: int | None


def step_view(
    trace: Trace,
    number: int,
    seen: Callable[[AspectName], object],
    address: ValueAddress | None = None,
    find: Callable[[AspectName], str] | None = None,
    budget: int = 150,
) -> StepView:
    """Return a step in full.

    Args:
        trace: Its trace.
        number: Its place in the trace.
        seen: Gives the inert form of one of its values.
        address: Gives the address of a level of one of its values; None in a file.
        find: Gives the address that searches one of its values; None in a file.
        budget: About how many lines of each value are there to begin with.
    """
    step = trace.steps[number]
    return StepView(
        number=number,
        path=_path(names(trace.steps, number)),
        kind=step.kind,
        state=step.state,
        facts=tuple(_facts(trace, step, number)),
        values=tuple(_values(step, seen, address, find, budget)),
        error=_error(step.error, "", [_ERRORS]) if step.error else None,
        trace=trace.id,
        artifact=_artifact(trace, number) if address is not None else None,
    )


def _path(own: tuple[str, ...]) -> tuple[str, ...]:
    """The names down to a step; of very many the last ones."""
    shown = tuple(excerpt.cut(one, _FACT) for one in own[-_PATH:])
    return shown if len(own) <= _PATH else ("…", *shown)


def _artifact(trace: Trace, number: int) -> int | None:
    """Which artifact a step stands for: they are in one order, where none was left out."""
    of_all = [at for at, step in enumerate(trace.steps) if step.kind == "artifact"]
    if len(of_all) != len(trace.artifacts) or trace.steps[number].kind != "artifact":
        return None
    return of_all.index(number)


def value_of(step: Step, aspect: AspectName) -> Value | None:
    """Return one of a step's recorded values, None where it has none."""
    if aspect == "error":
        return step.error.value if step.error else None
    found: Value | None = getattr(step, aspect)
    return found


def _values(
    step: Step,
    seen: Callable[[AspectName], object],
    address: ValueAddress | None,
    find: Callable[[AspectName], str] | None,
    budget: int,
) -> Iterator[ShownValue]:
    for aspect in ASPECTS:
        value = value_of(step, aspect)
        if value is None:
            continue
        obj = seen(aspect)
        if aspect == "args" and obj == {}:
            continue
        at = None if address is None else _bound(address, aspect)
        yield ShownValue(
            title=TITLES[aspect],
            node=valuetree.tree(obj, address=at, budget=budget),
            size=excerpt.size(value),
            plain=aspect == "args" and isinstance(obj, dict),
            find=find(aspect) if find and len(value.data) > LARGE and _opens(obj) else None,
        )


def _opens(obj: object) -> bool:
    return valuekinds.inside(obj) is not None


def _bound(address: ValueAddress, aspect: AspectName) -> valuetree.Address:
    return lambda path, start: address(aspect, path, start)


def _facts(trace: Trace, step: Step, number: int) -> Iterator[tuple[str, str]]:
    source = step.source
    if source is not None and source.file:
        yield "source", f"{excerpt.cut(source.file, _FACT)}:{source.line}"
    if source is not None and source.unit:
        yield "function", excerpt.cut(source.unit, _FACT).replace(":", ".")
    if number:
        yield "began", f"{wording.lasted(step.start)} after the start"
    if step.kind not in ("note", "artifact"):
        share = 100 * step.duration / trace.duration if number and trace.duration > 0 else 0
        of = f", {share:.1f}% of the trace" if share >= 0.05 else ""
        if not (step.open and trace.state in UNFINISHED):
            yield "took", f"{wording.lasted(step.duration)}{of}"
    if step.mutated:
        yield "changed its own arguments", excerpt.cut(", ".join(step.mutated), _MESSAGE)
    if step.concurrent:
        yield "order", "decided by a scheduler: it ran beside its siblings"
    if step.open:
        yield "end", _NO_END.get(trace.state, "never reached: it was open when the trace ended")


def _error(error: ErrorInfo, why: str, left: list[int]) -> ShownError:
    left[0] -= 1
    frames = _frames(error.traceback)
    inner = []
    for other, said in (
        (error.cause, "caused by"), (error.context, "raised while handling"),
        *((one, f"member {at} of the group") for at, one in enumerate(error.members, 1)),
    ):  # fmt: skip
        if other is not None and left[0] > 0 and not (said.startswith("raised") and error.cause):
            inner.append(_error(other, said, left))
    bases = [one.rpartition(":")[2] for one in error.bases if one not in _ROOTS]
    return ShownError(
        why=why,
        type=excerpt.cut(error.type.rpartition(":")[2], _TYPE),
        type_in_full=excerpt.cut(error.type, _TYPE).removeprefix("builtins:").replace(":", "."),
        bases=excerpt.cut(", ".join(bases[:8]), _TYPE),
        message=error.message[:_MESSAGE],
        cut=_cut(len(error.message) - _MESSAGE),
        folded=tuple(frames[:-_SHOWN_FRAMES]),
        frames=tuple(frames[-_SHOWN_FRAMES:]),
        plain="" if frames else error.traceback[:_MESSAGE],
        inner=tuple(inner),
    )


_ROOTS: Final = {"builtins:Exception", "builtins:BaseException"}


def _cut(left: int) -> str:
    return f"… {wording.many(left, 'more character')}" if left > 0 else ""


def _frames(text: str) -> list[Frame]:
    """The frames that a recorded traceback tells; none if it is in another form."""
    found: list[Frame] = []
    for row in text.split("\n"):
        match = _FRAME.match(row[:2_000])
        if match and len(found) < _MOST_FRAMES:
            file, line, name = match.groups()
            file, name = excerpt.cut(file, _TYPE), excerpt.cut(name, _TYPE)
            found.append(Frame(file=file, line=line, name=name, code=""))
        elif found and not found[-1].code and row.startswith("    "):
            last = found.pop()
            found.append(
                Frame(file=last.file, line=last.line, name=last.name, code=row.strip()[:400])
            )
    return found
