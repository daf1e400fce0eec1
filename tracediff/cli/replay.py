"""``tracediff replay``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tracediff import tracefile
from tracediff.api import OnMiss, open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import phases
from tracediff.reports.text.canvas import span
from tracediff.reports.text.served import misses, unused
from tracediff.reports.text.trace import trace_lines


@click.command("replay")
@click.argument("ref")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="STEP=VALUE",
    help='What if STEP had answered VALUE? A Python literal, or Decimal("…").',
)
@click.option(
    "--pin",
    "pins",
    multiple=True,
    metavar="STEP",
    help="What if STEP had still answered what was recorded? It is not run.",
)
@click.option("--deep", is_flag=True, help="Make every function of the job's modules a step.")
@options.on_miss
@options.store
@options.form
@options.output
def command(
    ref: str,
    sets: tuple[str, ...],
    pins: tuple[str, ...],
    deep: bool,
    on_miss: OnMiss,
    store: str | None,
    form: str,
    output: Path | None,
) -> int:
    """Run a trace's job again with its recorded inputs, and show the new trace.

    --set and --pin ask what-ifs, which the new trace's warnings name. STEP is a name (every call of
    it), a path such as taxes/VAT, or a line number of `tracediff show`.
    """
    project = open_project(store=store)
    with phases() as progress:
        progress("replaying")
        recorded = project.recorded(ref)
        done = project.replay(recorded, on_miss=on_miss, sets=sets, pins=pins, deep=deep)
    sys.stderr.write(done.stdout + done.stderr)  # what the job said; stdout is for the result
    info, look = done.trace.replay, options.look()
    if form == "json":
        options.emit(tracefile.dumps(done.trace), output, "json")
    else:
        lines = [*trace_lines(done.trace, look), span()]
        if info is not None:
            lines += [*misses(recorded, info, look), *unused(recorded, info, look)]
        options.emit_lines(lines, output)
    failed = info is not None and any(miss.served == "failed" for miss in info.misses)
    return exits.ERROR if failed else exits.SAME
