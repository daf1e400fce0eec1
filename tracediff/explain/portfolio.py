"""Exact attribution of many traces that the same code has recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracediff.checked import Change, Shares
from tracediff.config import Config
from tracediff.errors import TracediffError
from tracediff.expectations.files import digest
from tracediff.explain.attribution import attribute
from tracediff.explain.telling import field_name
from tracediff.explained import Attribution, Cause
from tracediff.model import Trace


def attribute_many(traces: Iterable[Trace], then: Config, config: Config) -> Iterator[Shares]:
    """The shares of each trace.

    Args:
        traces: Recordings that changed, all of the same code.
        then: The settings of that code, laid out in a directory of its own.
        config: Those of the code now.
    """
    for trace in traces:
        try:
            found = attribute(trace, then, config, details=False)
        except TracediffError as error:
            found = Attribution(refused=error.message)
        yield _shares(trace.id, found)


def _shares(name: str, found: Attribution) -> Shares:
    numbers = {field_name(one.path): one.shares for one in found.effects if one.kind == "number"}
    others = {
        field_name(one.path): tuple(at for at, share in enumerate(one.shares) if share)
        for one in found.effects
        if one.kind != "number"
    }
    return Shares(
        id=name, changes=tuple(map(_change, found.causes)), numbers=numbers, others=others,
        noise=found.noise, refused=found.refused,
    )  # fmt: skip


def _change(cause: Cause) -> Change:
    names = tuple(unit.name for unit in cause.units)
    line = cause.line
    return Change(
        id=digest("\0".join(names).encode())[:8],
        units=names,
        kind=cause.units[0].kind,
        file=line.file if line is not None else "",
        line=line.line if line is not None else 0,
    )
