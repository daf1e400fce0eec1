"""Why traces changed, over many of them: exact shares of each, whatever code they were recorded by.

Attribution is linear: what a cause has of the sum is the sum of what it has of each trace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from tracediff.checked import Shares
from tracediff.config import Config
from tracediff.errors import StoreError, TracediffError
from tracediff.explain.certificate import Source, recorded_code
from tracediff.explain.portfolio import attribute_many, explained_by
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
            left = {row.id for row in some.rows}
            try:
                with self._old(some) as then:
                    for one in attribute_many(
                        self._traces(some), then, self.config, recorded=self.then is None
                    ):
                        left.discard(one.id)
                        yield one
                        progress(done := done + 1)
            except StoreError:
                raise
            except TracediffError as error:
                yield from (Shares(id=one, refused=error.message) for one in sorted(left))
                progress(done := done + len(left))

    def covered(
        self, rows: Iterable[Row], accepted: frozenset[str], progress: Callable[[int], None]
    ) -> Iterator[str]:
        """The ids of those traces whose change these changes alone explain, exactly.

        Args:
            rows: Those of traces that changed.
            accepted: The ids of changes of code or data.
            progress: Called with how many are done.

        Raises:
            StoreError: The store cannot be read any more.
        """
        done = 0
        for some in self._by_code(rows):
            try:
                with self._old(some) as then:
                    for name, is_covered in explained_by(
                        self._traces(some),
                        then,
                        self.config,
                        accepted,
                        recorded=self.then is None,
                    ):
                        if is_covered:
                            yield name
                        progress(done := done + 1)
            except StoreError:
                raise
            except TracediffError:  # it cannot be told, so it is not so
                continue

    def _by_code(self, rows: Iterable[Row]) -> Iterable[_SameCode]:
        """The rows, by the code that recorded their traces."""
        if self.then is not None:
            return [_SameCode(list(rows))]
        found: dict[str | None, list[_SameCode]] = {}
        for row in rows:
            trace = loaded(self.store, row)
            if isinstance(trace, Trace):
                known = found.setdefault(trace.code.commit, [])
                if not any(some.takes(row, trace) for some in known):
                    known.append(_SameCode([row], trace, dict(trace.code.files)))
        return [one for some in found.values() for one in some]

    def _traces(self, some: _SameCode) -> Iterator[Trace]:
        return (one for row in some.rows if isinstance(one := loaded(self.store, row), Trace))

    @contextlib.contextmanager
    def _old(self, some: _SameCode) -> Iterator[Config]:
        """The settings of the old code."""
        if self.then is not None or some.first is None:
            yield self.then or self.config
            return
        code = replace(some.first.code, files=some.files)
        first = replace(some.first, code=code)
        with recorded_code(first, self.config, self.load) as (then, *_):
            yield then


@dataclass(slots=True)
class _SameCode:
    """Rows of traces of one code, one of the traces, and the files that any of them loaded."""

    rows: list[Row]
    first: Trace | None = None
    files: dict[str, str] = field(default_factory=dict)

    def takes(self, row: Row, trace: Trace) -> bool:
        """Add a trace of the same commit, unless a file that it loaded was another one here."""
        files = trace.code.files
        if any(self.files.get(name, blob) != blob for name, blob in files.items()):
            return False
        self.files.update(files)
        self.rows.append(row)
        return True
