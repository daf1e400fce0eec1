"""``tracediff forward``."""

from __future__ import annotations

import dataclasses
import os
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from tracediff.api import Project, open_project
from tracediff.cli import exits, options
from tracediff.config import mask
from tracediff.doctor import Finding
from tracediff.errors import TracediffError
from tracediff.pulling import write_file
from tracediff.reports.clean import clean
from tracediff.reports.prometheus import exposition
from tracediff.stores.forwarder import Forwarder

METRICS_EVERY = 15.0
"""Seconds between two writings of the figures."""

LOOK_EVERY = 4
"""The store is looked at each so manieth time that they are written."""

LOOK = 0.1
"""Seconds between two looks at whether all is uploaded."""

Stopped = Callable[[float], bool]
"""Waits for so many seconds, or until this process is to stop; whether it is."""


@click.command("forward")
@click.option("--once", is_flag=True, help="Upload what waits, and end; exits 1 if some stays.")
@click.option(
    "--spool", type=click.Path(path_type=Path), metavar="DIR", help="Instead of the setting spool."
)
@click.option(
    "--metrics", type=click.Path(path_type=Path), metavar="FILE",
    help="Keep the figures of doctor --format prometheus in this file.",
)  # fmt: skip
@options.store
def command(once: bool, spool: Path | None, metrics: Path | None, store: str | None) -> int:
    """Upload what all processes of this machine record, until SIGTERM or Ctrl-C.

    Processes that record only write to the spool meanwhile: what many of them gave up is uploaded
    as one object. Without a forwarder they upload it themselves.
    """
    with open_project(store=store) as project, _stopping() as stopped:
        if spool is not None:
            project.config = dataclasses.replace(project.config, spool=str(spool.absolute()))
        with project.forwarder(every_store=store is None) as forwarder:
            for directory in forwarder.problems:
                options.note(f"forwards what lies in {directory}")
            forwarder.start(once=once)
            if once:
                stays = _once(forwarder, stopped)
                findings = None if metrics is None else _looked(project)
            else:
                stays, findings = {}, _keep(project, metrics, stopped)
        if metrics is not None:
            _write(project, metrics, findings)  # once more: no forwarder is up any longer
    return exits.DIFFERENT if stays else exits.SAME


@contextmanager
def _stopping() -> Iterator[Stopped]:
    """SIGTERM and SIGINT stop it, so that what is being uploaded is so to its end."""
    told, tell = os.pipe()

    def stopped(seconds: float) -> bool:
        return bool(select.select([told], [], [], seconds)[0])

    signals = (signal.SIGTERM, signal.SIGINT)
    before = {one: signal.signal(one, lambda *_: os.write(tell, b"!")) for one in signals}
    try:
        yield stopped
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        os.close(told)
        os.close(tell)


def _once(forwarder: Forwarder, stopped: Stopped) -> dict[Path, str]:
    """Wait until all is uploaded; what stays, and why."""
    while forwarder.running and not stopped(LOOK):
        pass
    forwarder.stop()
    stays = forwarder.stays()
    for directory, why in stays.items():
        options.note(f"some stays in {directory}: {clean(mask(why))}")
    return stays


def _keep(project: Project, metrics: Path | None, stopped: Stopped) -> Sequence[Finding] | None:
    """Wait until it is stopped; write the figures now and then. What was found last."""
    findings: Sequence[Finding] | None = None
    turn = 0
    while not stopped(METRICS_EVERY if turn else 0.0):
        if metrics is not None:
            if turn % LOOK_EVERY == 0:
                findings = _looked(project)
            _write(project, metrics, findings)
        turn += 1
    return findings


def _looked(project: Project) -> Sequence[Finding] | None:
    try:
        return project.doctor(read_back=False)
    except TracediffError:  # whatever becomes of the figures, traces are moved
        return None


def _write(project: Project, metrics: Path, findings: Sequence[Finding] | None) -> None:
    try:
        write_file(metrics, exposition(project.figures(findings)))
    except TracediffError as error:
        options.note(f"the figures were not written: {clean(mask(error.message))}")
