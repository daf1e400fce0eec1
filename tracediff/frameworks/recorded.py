"""A framework's callable as a job, recorded where its module is one that ``jobs`` names."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tracediff import values
from tracediff.frameworks import naming
from tracediff.model import Source
from tracediff.recording import session
from tracediff.recording.jobs import Job, register
from tracediff.recording.marks import Mark
from tracediff.recording.runs import Run
from tracediff.recording.wrappers import instrument
from tracediff.runtime import current

SETTINGS = "django_settings"
"""The context field that names the settings Django was set up with."""


def _with_project(
    context: Callable[..., Mapping[str, Any]] | None,
) -> Callable[..., Mapping[str, Any]]:
    def fields(*args: Any, **kwargs: Any) -> Mapping[str, Any]:
        found = dict(context(*args, **kwargs)) if context is not None else {}
        conf: Any = sys.modules.get("django.conf")
        if conf is not None and conf.settings.configured:
            name = getattr(conf.settings, "SETTINGS_MODULE", None)
            if isinstance(name, str):
                found[SETTINGS] = name
        return found

    return fields


class Recorded:
    """One task, view or command.

    Args:
        key: The job's key.
        unit: Where it is defined, "module:qualname".
        function: What runs; its parameters are the job's arguments.
        again: What runs in its place in a replay.
        context: Gives the context fields of a call.
        meta: Gives the text shown beside the key.
        source: Where that is written, if not where the function is.
    """

    def __init__(
        self,
        key: str,
        unit: str,
        function: Callable[..., Any],
        *,
        again: Callable[..., Any] | None = None,
        context: Callable[..., Mapping[str, Any]] | None = None,
        meta: Callable[..., str] | None = None,
        source: Source | None = None,
    ) -> None:
        mark = Mark("job", key, function, drop=0)
        mark.source = replace(source or mark.source, unit=unit)
        self.job = Job(
            key=key,
            unit=unit,
            function=self._own(again or function),
            mark=mark,
            context=_with_project(context),
            meta=meta,
            listed=True,
        )
        self._function = function
        self._nested: Callable[..., Any] | None = None
        config = naming.settings()
        if config is not None and values.Allow(config.jobs).permits(unit):
            register(self.job)  # for a replay to find it

    @property
    def nested(self) -> Callable[..., Any]:
        """The function as a step of another job."""
        if self._nested is None:
            self._nested = instrument(Mark("step", self.job.key, self._function, drop=0),
                                      self._function)  # fmt: skip
        return self._nested

    def begin(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        later: Callable[[], dict[str, Any]] | None = None,
    ) -> Run | None:
        """Start recording a call; None when it is not recorded. Never raises."""
        begun = session.begin(self.job, args, kwargs, later)
        if begun is not None and begun.buffer.tracing is not None:
            begun.buffer.tracing.own = self.job.unit
        return begun

    def _own(self, again: Callable[..., Any]) -> Callable[..., Any]:
        """What a replay runs, which is no step of itself there either."""

        @functools.wraps(again)
        def run(*args: Any, **kwargs: Any) -> Any:
            here = current.get()
            if here is not None and here.buffer.tracing is not None:
                here.buffer.tracing.own = self.job.unit
            return again(*args, **kwargs)

        return run
