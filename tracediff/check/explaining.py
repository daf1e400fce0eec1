"""Why traces changed, over many of them: exact shares of each, whatever code they were recorded by.

Attribution is linear: what a cause has of the sum is the sum of what it has of each trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tracediff.checked import Shares
from tracediff.config import Config
from tracediff.errors import StoreError, TracediffError
from tracediff.explain.certificate import Source, recorded_code
from tracediff.explain.portfolio import attribute_many
from tracediff.model import Row, Trace
from tracediff.stores.base import Store
from tracediff.stores.walking import loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Explains traces of a store.

    Args:
        store: Where they are.
        config: The project's settings.
        load: Finds recorded sources.
        then: The settings of the old code, laid out in a directory of its own; None for the code
            that each trace was recorded by.
    """

    store: Store
    config: Config
    load: Source
    then: Config | None = None

    def explain(self, rows: Iterable[Row], progress: Callable[[int], None]) -> Iterator[Shares]:
        """The shares of each trace, in any order.

        Args:
            rows: Those of traces that changed.
            progress: Called with how many are done.

        Raises:
            StoreError: The store cannot be read any more.
        """
        done = 0
        for some in self._by_code(rows):
            try:
                for one in self._shares(some):
                    done += 1
                    yield one
                    progress(done)
            except StoreError:
                raise
            except TracediffError as error:
                left = some.left()
                done += len(left)
                yield from (Shares(id=one, refused=error.message) for one in left)
                progress(done)

    def _by_code(self, rows: Iterable[Row]) -> Iterator[_SameCode]:
        """Rows of traces that were recorded by the same code, each with one of the traces."""
        if self.then is not None:
            yield _SameCode(list(rows), None)
            return
        found: dict[object, _SameCode] = {}
        for row in rows:
            trace = loaded(self.store, row)
            if isinstance(trace, Trace):
                code = trace.code
                key = (code.commit, tuple(sorted(code.files.items())))
                found.setdefault(key, _SameCode([], trace)).rows.append(row)
        yield from found.values()

    def _shares(self, some: _SameCode) -> Iterator[Shares]:
        traces = (one for row in some.rows if isinstance(one := loaded(self.store, row), Trace))
        if self.then is not None:
            yield from some.noting(attribute_many(traces, self.then, self.config))
        elif some.first is not None:
            with recorded_code(some.first, self.config, self.load) as (then, *_):
                yield from some.noting(attribute_many(traces, then, self.config))


class _SameCode:
    """Rows of one code, one of their traces, and which are explained."""

    def __init__(self, rows: list[Row], first: Trace | None) -> None:
        self.rows, self.first = rows, first
        self._done: set[str] = set()

    def noting(self, found: Iterable[Shares]) -> Iterator[Shares]:
        for one in found:
            self._done.add(one.id)
            yield one

    def left(self) -> list[str]:
        return [row.id for row in self.rows if row.id not in self._done]
