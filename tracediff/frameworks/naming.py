"""The keys of jobs that nobody named: from where they are defined, unless a setting says otherwise.

A process has one table of them: that of the project a replay runs, else the nearest one's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tracediff.config import Config, load_config
from tracediff.errors import TracediffError

log = logging.getLogger("tracediff")


class _Process:
    config: Config | None = None


def settings() -> Config | None:
    """This process's settings; None where they cannot be read, which the recorder says."""
    if _Process.config is None:
        try:
            _Process.config = load_config()
        except TracediffError as error:
            log.debug("tracediff's settings cannot be read: %s", error)
    return _Process.config


def use(config: Config) -> None:
    """Name jobs as these settings do."""
    _Process.config = config


def key_of(name: str) -> str:
    """The key of a task, view or function, such as ``shop.orders.tasks.price``."""
    config = settings()
    table: Mapping[str, str] = config.keys if config is not None else {}
    return table.get(name) or name.replace(":", "/").replace(".", "/")
