"""What all recordings of a process share: settings, redaction, code version, callbacks, writer."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracediff import values
from tracediff.config import Config
from tracediff.model import Trace
from tracediff.recording.codeversion import CodeVersion
from tracediff.recording.queued import Losses
from tracediff.recording.redaction import Redactor
from tracediff.recording.sealingkey import redaction_key
from tracediff.recording.writer import Writer
from tracediff.stores.base import Store
from tracediff.stores.configured import local_directory, open_for_recording, spool_directory

log = logging.getLogger("tracediff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What a program wants to be told; see ``configure``."""

    on_start: Callable[[str, str], None] | None = None
    on_end: Callable[[str, str, str], None] | None = None
    on_ack: Callable[[str], None] | None = None
    on_loss: Callable[[int, int, str | None], None] | None = None
    on_error: Callable[[Exception], None] | None = None


class Recorder:
    """What all recordings of a process share: settings, redaction, code version, writer."""

    def __init__(self, config: Config, callbacks: Callbacks | None = None) -> None:
        self.config = config
        self.callbacks = callbacks or Callbacks()
        self.pid = os.getpid()
        self.prefix = f"{config.root}{os.sep}"  # of the files that are named from the project
        directory = local_directory(config)
        if spool_directory(config) is not None:
            # boto3 needs it, and it cannot be imported any more once the process has begun to end.
            importlib.import_module("concurrent.futures.thread")
        self.redactor = Redactor(config.redact, functools.partial(redaction_key, directory))
        self.code = CodeVersion(config.root)
        self.dice = random.Random()  # noqa: S311 - sampling; the job's own generator is left alone
        self.writer = Writer(
            self._open_store, self._keep_sources, self.callbacks.on_ack, self._lost
        )
        self._sources: set[str] = set()
        self._allow = values.Allow(config.jobs)
        self._permitted: dict[str, bool] = {}

    def permits(self, unit: str) -> bool:
        """Whether the setting ``jobs`` names the module of a unit."""
        found = self._permitted.get(unit)
        if found is None:
            found = self._permitted[unit] = self._allow.permits(unit)
        return found

    def rehearse(self) -> None:
        """Import and read what the first trace needs, and what children of this process inherit.

        Raises:
            StoreError: The store cannot be opened.
        """
        self.code.current()
        self._open_store().close()

    def _open_store(self) -> Store:
        return open_for_recording(self.config)

    def _lost(self, losses: Losses) -> None:
        """Tell the callback, and leave it where ``doctor`` finds it."""
        from tracediff.stores.status import Status, write_status  # most have nothing to tell

        if self.callbacks.on_loss is not None:
            self.callbacks.on_loss(losses.dropped, losses.failed, losses.problem)
        directory = spool_directory(self.config) or local_directory(self.config)
        if directory is not None:
            said = Status(
                pid=os.getpid(),
                dropped=losses.dropped,
                failed=losses.failed,
                problem=losses.problem,
                written_at=time.time(),
            )
            try:
                write_status(directory, said)
            except OSError as error:  # it lies where the traces cannot be written either
                log.debug("tracediff has nowhere to note what was lost: %s", error)

    def call(self, name: str, *args: Any) -> None:
        """Call one of the user's callbacks; what it raises is no fault of the job's."""
        callback = getattr(self.callbacks, name)
        if callback is None:
            return
        try:
            callback(*args)
        except Exception:
            log.exception("tracediff: %s failed", name)

    def _keep_sources(self, store: Store, traces: list[Trace]) -> None:
        """Keep the sources a trace ran, where the store can: a dirty tree stays readable."""
        wanted = {blob for trace in traces for blob in trace.code.files.values()}
        if not store.capabilities.sources or wanted <= self._sources:
            return
        for blob, data in self.code.files():
            if blob not in self._sources:
                store.save_source(blob, data)
        self._sources |= wanted
