"""What ``doctor`` looks at: the settings, the store and what a replay needs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec

from tracediff.config import Config, mask
from tracediff.errors import TracediffError
from tracediff.model import Query
from tracediff.reports.wording import many
from tracediff.stores.base import Store
from tracediff.stores.configured import local_directory, spool_directory
from tracediff.stores.shipping import REJECTED, waiting
from tracediff.stores.status import Status, is_alive, read_status

LATE = 120.0
"""Seconds after which a segment that still waits is a sign that it is not taken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    what: str
    hint: str | None = None


def examine(config: Config, open_store: Callable[[], Store]) -> list[Finding]:
    """Look at everything; nothing is changed and no module of the project imported."""
    findings = [_found_settings(config), _found_jobs(config), *_found_modules(config)]
    findings += _found_rules(config)
    try:
        findings += _found_store(config, open_store)
    except TracediffError as error:
        findings.append(Finding(False, f"store: {mask(error.message)}", error.hint))
    findings += _found_losses(config)
    git = shutil.which("git")
    findings.append(
        Finding(git is not None, f"git: {git or 'not found'}",
                None if git else "without git, traces name no commit")
    )  # fmt: skip
    return findings


def _found_store(config: Config, open_store: Callable[[], Store]) -> list[Finding]:
    directory = local_directory(config)
    store = open_store()
    where = mask(store.url)
    if directory is not None and not directory.exists():
        return [Finding(True, f"store: {where}, nothing was recorded yet")]
    diagnose = getattr(store, "diagnose", None)
    said = diagnose() if diagnose is not None else []
    findings = [Finding(one.ok, f"store: {mask(one.text)}", one.hint) for one in said]
    if not all(one.ok for one in findings):
        return findings
    page = store.search(Query(limit=1))
    newest = f"newest {page.rows[0].id}" if page.rows else "empty"
    findings.append(Finding(True, f"store: {where}, {newest}"))
    hurt = store.check()
    findings += [Finding(False, f"store: {one}", "the others stay readable") for one in hurt]
    if not hurt:
        which = "every trace reads" if directory is not None else "the newest traces read"
        findings.append(Finding(True, f"store: {which} back"))
    return findings


def _found_losses(config: Config) -> list[Finding]:
    """What recorders of this machine could not save, and what still waits to be uploaded."""
    spool = spool_directory(config)
    directory = spool or local_directory(config)
    if directory is None:
        return []
    told = [one for one in read_status(directory) if one.dropped or one.failed or one.problem]
    findings = [_loss(one) for one in told]
    if spool is not None:
        findings += _found_waiting(config)
    return findings


def _loss(status: Status) -> Finding:
    who = f"process {status.pid}" + ("" if is_alive(status.pid) else ", which is gone,")
    lost = status.dropped + status.failed
    if not lost:
        return Finding(False, f"recorder: {who} cannot save: {mask(status.problem or '')}",
                       "the traces wait; they are saved when that is mended")  # fmt: skip
    why = f": {mask(status.problem)}" if status.problem else ""
    return Finding(
        False,
        f"recorder: {who} dropped {status.dropped} traces and failed on {status.failed}{why}",
        "a store that is slow or down fills the spool, and a full spool the memory",
    )


def _found_waiting(config: Config) -> list[Finding]:
    directory = spool_directory(config)
    if directory is None:
        return []
    found = waiting(directory)
    findings = []
    if found.segments:
        late = found.age > max(LATE, 10 * config.upload_every)
        findings.append(
            Finding(
                not late,
                f"spool: {many(found.segments, 'segment')} of {found.bytes:,} bytes in all, and "
                f"the oldest waits for {found.age:,.0f} s",
                "any recording process of this project uploads them when the store can be reached",
            )
        )
    else:
        findings.append(Finding(True, "spool: nothing waits"))
    aside = len(list((directory / REJECTED).glob("*")))
    if aside:
        findings.append(
            Finding(False, f"spool: {aside} traces lie in {directory / REJECTED}",
                    "the index did not take their rows; the log of the recorder says why")
        )  # fmt: skip
    return findings


def _found_settings(config: Config) -> Finding:
    if config.file is None:
        return Finding(
            config.enabled,
            f"settings: no [tool.tracediff] in a pyproject.toml from {config.root} upwards",
            "add the table; without it nothing is recorded unless TRACEDIFF_STORE is set",
        )
    if not config.enabled:
        why = config.origins["enabled"]
        return Finding(False, f"settings: {config.file}, recording is off by {why}", "unset it")
    return Finding(True, f"settings: {config.file}, recording is on")


def _found_jobs(config: Config) -> Finding:
    if not config.jobs:
        return Finding(
            False,
            "jobs: none may be replayed",
            'name their modules: jobs = ["pricing.*"] in [tool.tracediff]',
        )
    return Finding(True, f"jobs: {', '.join(config.jobs)} may be replayed")


def _found_modules(config: Config) -> list[Finding]:
    """The modules of the allow-list that are nowhere; none is imported to find out."""
    if config.python is not None:
        return []  # another interpreter has other modules
    paths = list(map(str, config.pythonpath))
    tops = {one.partition(".")[0] for one in config.jobs if not one.startswith("!")}
    return [
        Finding(False, f"jobs: there is no module {top}", "correct `jobs` or `pythonpath`")
        for top in sorted(tops)
        if top.isidentifier()
        and PathFinder.find_spec(top, paths) is None
        and top not in sys.modules
        and find_spec(top) is None
    ]


def _found_rules(config: Config) -> list[Finding]:
    """Settings that are read only when a job is recorded or replayed."""
    from tracediff.recording.redaction import Redactor  # read by no other use case
    from tracediff.replay.permissions import parse_permissions  # as above

    wrong = []
    for check in (
        lambda: parse_permissions(config.replay_allow),
        lambda: Redactor(config.redact, lambda: b""),
    ):
        try:
            check()
        except TracediffError as error:
            wrong.append(Finding(False, f"settings: {error.message}", error.hint))
    if config.python is not None and shutil.which(config.python) is None:
        wrong.append(Finding(False, f"python: there is no {config.python}", "correct `python`"))
    return wrong
