"""Jobs that a program does not mark: Celery's tasks, Django's views and commands, named functions.

``watch`` puts the hooks in place: at once where the framework is imported, else when it is.
``prepare`` does so in a replay, and sets Django up, before the job's module is imported; ``settle``
makes known what importing it has only announced. Nothing heavy is imported before it is needed: a
program that ``tracediff record`` starts may have no job at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracediff.config import Config
    from tracediff.model import Trace

__all__ = ["prepare", "settle", "watch"]


def watch() -> None:
    """Record the jobs of the frameworks that are imported, now or later, and named functions."""
    from tracediff.frameworks import entries, naming, watching

    watching.watch()
    config = naming.settings()
    if config is not None:
        entries.wait_for_entries(config.entry)


def prepare(trace: Trace, config: Config) -> None:
    """Let the jobs of the frameworks be found, and set Django up if the job had it.

    Raises:
        ReplayError: ``django-not-set-up``.
    """
    from tracediff.frameworks import preparing

    preparing.prepare(trace, config)


def settle(trace: Trace, config: Config) -> None:
    """Have made known what importing the job's module has only announced.

    Raises:
        ReplayError: ``job-not-importable``.
    """
    from tracediff.frameworks import preparing

    preparing.settle(trace, config)
