"""What ``doctor`` looks at: the settings, the store and what a replay needs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from tracediff.config import Config, mask
from tracediff.config.encryption import EncryptionKey
from tracediff.errors import TracediffError
from tracediff.model import Query
from tracediff.reports.prometheus import Figure, Sample
from tracediff.reports.wording import many
from tracediff.stores.base import Store
from tracediff.stores.configured import local_directory, spool_directory
from tracediff.stores.encryption import Keyring, keyring_of_environment
from tracediff.stores.failures import system_error
from tracediff.stores.forwarding import Forwarding, forwarding
from tracediff.stores.liveness import counts
from tracediff.stores.spooled import REJECTED, Waiting, waiting
from tracediff.stores.status import Status, is_alive, read_status
from tracediff.stores.upkeep.rekeying import keys_in_use

LATE = 120.0
"""Seconds after which a segment that still waits is a sign that it is not taken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    what: str
    hint: str | None = None


def examine(
    config: Config, open_store: Callable[[], Store], *, read_back: bool = True
) -> list[Finding]:
    """Look at everything; nothing is changed and no module of the project imported.

    Args:
        config: The settings.
        open_store: Opens the store.
        read_back: Whether to read traces back, which takes longest.
    """
    findings = [_found_settings(config), _found_jobs(config), *_found_modules(config)]
    findings += [*_found_rules(config), *_found_keys(config)]
    try:
        findings += _found_store(config, open_store, read_back=read_back)
    except TracediffError as error:
        findings.append(Finding(False, f"store: {mask(error.message)}", error.hint))
    try:
        findings += _found_losses(config)
    except OSError as error:  # of another user: what processes there have lost is not told
        findings.append(_unseen(error))
    git = shutil.which("git")
    findings.append(
        Finding(git is not None, f"git: {git or 'not found'}",
                None if git else "without git, traces name no commit")
    )  # fmt: skip
    return findings


def _found_keys(config: Config) -> list[Finding]:
    """The keys of payloads by name and id, and which of them write; never a key."""
    try:
        keyring = keyring_of_environment()
    except TracediffError as error:
        return [Finding(False, f"encryption: {error.message}", error.hint)]
    if not keyring:
        return []
    findings = [
        Finding(True, f"encryption: key {one.name} (id {keyring.id_of(one)}) {_role(keyring, one)}")
        for one in keyring.keys
    ]
    if find_spec("cryptography") is None:
        findings.append(
            Finding(False, "encryption: cryptography is not installed, and nothing can be saved",
                    "install tracediff-calc with its extra `crypto`")
        )  # fmt: skip
    if all(one.tenant is not None for one in keyring.keys):
        findings.append(
            Finding(False, "encryption: every key is a tenant's, so nothing of others can be saved",
                    "add one without a tenant where jobs are recorded; to read it may be right")
        )  # fmt: skip
    if config.tenant is None and any(one.tenant is not None for one in keyring.keys):
        findings.append(
            Finding(False, "encryption: there are keys of tenants, and no setting says whose a "
                    "trace is", 'set tenant = "FIELD", the context field that names the tenant')
        )  # fmt: skip
    return findings


def _role(keyring: Keyring, key: EncryptionKey) -> str:
    whose = "" if key.tenant is None else f" for the tenant {key.tenant[:60]}"
    return ("writes and reads" if keyring.writes(key) else "reads") + whose


def _found_store(
    config: Config, open_store: Callable[[], Store], *, read_back: bool
) -> list[Finding]:
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
    hurt = store.check() if read_back else []
    findings += [Finding(False, f"store: {one}", "the others stay readable") for one in hurt]
    if read_back and not hurt:
        which = "every trace reads" if directory is not None else "the newest traces read"
        findings.append(Finding(True, f"store: {which} back"))
    return [*findings, *_found_keys_in_use(store)]


def _found_keys_in_use(store: Store) -> list[Finding]:
    """By which keys what is in the store was encrypted, as the last ``gc --rekey`` left it."""
    blobs = getattr(store, "blobs", None)
    keyring = keyring_of_environment()
    found = keys_in_use(blobs) if blobs is not None and keyring else None
    if found is None:
        return []
    names = {keyring.id_of(one): one.name for one in keyring.keys}
    used = ", ".join(f"{names.get(one, one)} {count:,}" for one, count in found.keys.items())
    text = f"encryption: in use at the last `gc --rekey`, {found.when}: {used or 'no key'}"
    if found.locked:
        return [Finding(False, text, f"{found.locked} files need a key that was not there then")]
    return [Finding(True, text)]


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


def _unseen(error: OSError) -> Finding:
    where = mask(str(error.filename))
    return Finding(False, f"recorder: {where} cannot be looked into: {error.strerror}",
                   "run this as the user whose processes record")  # fmt: skip


def _loss(status: Status) -> Finding:
    alive = is_alive(status.pid)
    who = f"process {status.pid}" + ("" if alive else ", which is gone,")
    lost = [f"{did} {many(count, 'trace')}" for did, count in
            (("dropped", status.dropped), ("could not save", status.failed)) if count]  # fmt: skip
    if not lost:
        cannot = "cannot save" if alive else "could not save"
        return Finding(
            False,
            f"recorder: {who} {cannot}: {mask(status.problem or '')}",
            "the traces wait; they are saved when that is mended"
            if alive
            else "what it had in memory went with it; mend that for the next one",
        )
    why = f": {mask(status.problem)}" if status.problem else ""
    fix = (
        "a store that is slow or down fills the spool, and a full spool the memory"
        if status.dropped
        else "these are gone; those to come are saved when that is mended"
    )
    return Finding(False, f"recorder: {who} {' and '.join(lost)}{why}", fix)


def _found_waiting(config: Config) -> list[Finding]:
    directory = spool_directory(config)
    if directory is None:
        return []
    found = waiting(directory)
    forwarder = _forwarder(directory)
    findings = [] if forwarder is None else [_forwarded(directory, forwarder)]
    if found.segments:
        late = found.age > max(LATE, 10 * config.upload_every)
        findings.append(
            Finding(
                not late,
                f"spool: {many(found.segments, 'segment')} of {found.bytes:,} bytes in all, and "
                f"the oldest waits for {found.age:,.0f} s",
                "see what the forwarder says"
                if forwarder is not None
                else "any recording process of this project uploads them when the store can be "
                "reached, and so does `tracediff forward`",
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


def _forwarder(directory: Path) -> Forwarding | None:
    try:
        return forwarding(directory)
    except OSError:  # where it matters, the spool says so itself
        return None


def _forwarded(directory: Path, forwarder: Forwarding) -> Finding:
    text = f"spool: the forwarder {forwarder.pid} moves what lies in {directory}"
    if forwarder.problem is None:
        return Finding(True, text)
    return Finding(False, f"{text}, and cannot: {mask(forwarder.problem)}",
                   "the traces wait; they are moved when that is mended")  # fmt: skip


def figures(config: Config, findings: Sequence[Finding] | None = None) -> list[Figure]:
    """What this machine's recorders have, lose and wait for, and what ``examine`` found.

    Args:
        config: The settings.
        findings: What ``examine`` found, None where nobody has looked.

    Raises:
        StoreError: What the recorders here leave cannot be looked into.
    """
    found = [_build()]
    if findings is not None:
        bad = [one for one in findings if not one.ok]
        counted = {"ok": len(findings) - len(bad), "failed": len(bad)}
        found += [
            _one("store_ok", "Whether the store answers and is as it should be.",
                 not any(one.what.startswith("store: ") for one in bad)),
            Figure(name="checks", help="What tracediff doctor looked at, by how it was found.",
                   samples=tuple(Sample(value=count, labels={"result": result})
                                 for result, count in counted.items())),
        ]  # fmt: skip
    spool = spool_directory(config)
    directory = spool or local_directory(config)
    try:
        if spool is not None:
            found += _of_spool(spool, config.spool_bytes)
        return found if directory is None else [*found, *_of_recorders(directory)]
    except OSError as error:
        raise system_error(error, f"look into {directory}") from error


def _of_spool(directory: Path, most: int) -> list[Figure]:
    here: Waiting = waiting(directory)
    forwarder = _forwarder(directory)
    aside = len(list((directory / REJECTED).glob("*")))
    failing = forwarder is not None and forwarder.problem is not None
    return [
        _one("spool_segments", "Segments that are not uploaded.", here.segments),
        _one("spool_bytes", "Bytes of traces that are not uploaded.", here.bytes),
        _one("spool_limit_bytes", "Bytes that may wait: the setting spool_bytes.", most),
        _one("spool_oldest_seconds", "Age of the oldest segment that is not uploaded.", here.age),
        _one("spool_rejected_traces", "Traces whose rows the index did not take.", aside),
        _one("forwarder_up", "Whether a forwarder moves what waits here.", forwarder is not None),
        _one("forwarder_failing", "Whether the store refuses what the forwarder moves.", failing),
    ]  # fmt: skip


def _of_recorders(directory: Path) -> list[Figure]:
    told = read_status(directory)
    running, left = counts(directory)
    ailing = sum(bool(one.problem) and is_alive(one.pid) for one in told)
    return [
        _one("recorder_dropped_traces", "Traces dropped by processes here in the last 7 days.",
             sum(one.dropped for one in told)),
        _one("recorder_failed_traces", "Traces that processes here could not save.",
             sum(one.failed for one in told)),
        _one("recorder_ailing_processes", "Processes here that cannot save now.", ailing),
        Figure(name="live_traces", help="Live traces of this machine that have not ended.",
               samples=(Sample(value=running, labels={"process": "alive"}),
                        Sample(value=left, labels={"process": "gone"}))),
    ]  # fmt: skip


def _build() -> Figure:
    from tracediff import __version__  # which imports this module

    labels = {"version": __version__}
    return Figure(
        name="build_info", help="This tracediff.", samples=(Sample(value=1, labels=labels),)
    )


def _one(name: str, text: str, value: float) -> Figure:
    return Figure(name=name, help=text, samples=(Sample(value=value),))


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
