"""``tracediff record``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from tracediff.api import Project
from tracediff.cli import options
from tracediff.config import Config, given_store, load_config, override
from tracediff.errors import TracediffError, UsageError
from tracediff.frameworks.starting import environment
from tracediff.model import DEPTHS, UNFINISHED, Page, Query

MOST_COUNTED = 1000
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


@click.command("record")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--job", "entries", multiple=True, metavar="MODULE:FUNCTION", help="A job.")
@click.option("--jobs", multiple=True, metavar="PATTERN", help="As the setting jobs.")
@click.option("--autotrace", multiple=True, metavar="PATTERN", help="As the setting autotrace.")
@click.option("--inputs", multiple=True, metavar="LIBRARY", help="As the setting inputs.")
@click.option("--depth", type=click.Choice(DEPTHS), help="How much is captured.")
@click.option("--sample", type=click.FloatRange(0, 1), help="The share of calls recorded.")
@click.option(
    "--summary/--no-summary",
    default=None,
    help="Say at the end what was recorded; by default on a terminal.",
)
@options.store
def command(
    command: tuple[str, ...],
    entries: tuple[str, ...],
    jobs: tuple[str, ...],
    autotrace: tuple[str, ...],
    inputs: tuple[str, ...],
    depth: str | None,
    sample: float | None,
    summary: bool | None,
    store: str | None,
) -> int:
    """Run COMMAND with recording switched on in every Python that it starts.

    Write `--` before COMMAND. The exit code is that of COMMAND, and signals reach it. An option
    that may be given several times stands in the place of the setting.
    """
    _refuse_main(entries)
    config = load_config()
    changed = {
        "autotrace": list(autotrace), "inputs": list(inputs), "jobs": list(jobs),
        "entry": [*config.entry, *entries], "depth": depth, "sample": sample,
    }  # fmt: skip
    changed = {name: value for name, value in changed.items() if value not in (None, [])}
    config = override(config, **changed)
    settings = {name: _text(value) for name, value in changed.items()} | {"enabled": "1"}
    if store is not None or config.file is None:
        chosen = given_store(store or config.store, config.stores, Path.cwd())
        settings["store"] = chosen
        config = replace(config, store=chosen)
    variables = environment(settings, os.environ)
    program = shutil.which(command[0])
    if program is None:
        raise UsageError(
            f"there is no program {command[0]!r} to run",
            slug="record-no-command",
            hint="write the command after `--`, as in a shell: tracediff record -- python job.py",
        )
    if summary is None:
        summary = sys.stderr.isatty()
    if not summary:
        sys.stdout.flush()
        os.execve(program, command, variables)  # noqa: S606 - it takes this one's place
    begun = time.time_ns()
    code = _ran(command, program, variables)
    _summarize(config, begun, entries)
    return code


def _refuse_main(entries: Sequence[str]) -> None:
    """A script is imported by its file's name in a replay, so it is named by that."""
    for entry in entries:
        module, _, name = entry.partition(":")
        if module == "__main__":
            raise UsageError(
                f"--job {entry}: a script's functions go by the name of its file",
                slug="usage",
                hint=f"of price.py it is --job price:{name or 'main'}",
            )


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _ran(command: Sequence[str], program: str, variables: Mapping[str, str]) -> int:
    """Run it, hand on the signals that come to this process alone, and give its exit code.

    Those that the terminal sends reach both; this one waits for what the command makes of them.
    """
    process = subprocess.Popen(command, executable=program, env=variables)

    def hand_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    before = {one: signal.signal(one, hand_on) for one in FORWARDED}
    before |= {one: signal.signal(one, signal.SIG_IGN) for one in FROM_THE_TERMINAL}
    try:
        code = process.wait()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    return 128 - code if code < 0 else code


def _summarize(config: Config, begun: int, entries: Sequence[str]) -> None:
    try:
        with Project(config) as project:
            page = project.search(Query(since=begun, limit=MOST_COUNTED))
    except TracediffError as error:
        if error.slug != "store-missing":
            options.note(f"tracediff: what was recorded cannot be read: {error.message}")
            return
        page = Page(rows=())
    for line in _lines(page, config):
        options.note(line)
    if page.rows and entries:
        kept = f"entry = {json.dumps(config.entry)}"
        options.note(f"  keep  {kept} in [tool.tracediff], for replays")


def _lines(page: Page, config: Config) -> list[str]:
    if not page.rows:
        why = ""
        if config.entry:
            why = f": no call of {', '.join(config.entry)}"
        elif not config.jobs:
            why = ': name the modules, jobs = ["shop.*"] in [tool.tracediff], or a function, --job'
        return [f"tracediff: nothing was recorded{why}"]
    counts = Counter(row.key for row in page.rows)
    most = ", ".join(f"{count} × {key}" for key, count in counts.most_common(3))
    more = f" and {len(counts) - 3} more" if len(counts) > 3 else ""
    number = f"{len(page.rows):,}" + (" or more" if page.cursor else "")
    plural = "s" if len(page.rows) > 1 else ""
    ended = next((row for row in page.rows if row.state not in UNFINISHED), None)
    then = f"compare {ended.id}" if ended is not None else f"show {page.rows[0].id}"
    return [f"tracediff: {number} trace{plural}: {most}{more}", f"  next  tracediff {then}"]
