"""The command line. A command's module is imported only when the command runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from difflib import get_close_matches

import click

from tracediff import __version__
from tracediff.cli import exits
from tracediff.errors import UsageError

COMMANDS = {
    "init": "Make what the store needs; shown first.",
    "demo": "Lay out the example in a directory of its own and compare it.",
    "record": "Run a command with recording switched on.",
    "ls": "List traces, newest first.",
    "stats": "Say how many traces there are, their states, durations and tags.",
    "show": "Show a trace, or one of its steps.",
    "pull": "Write traces as files to read, commit and share.",
    "push": "Copy traces to another store.",
    "import": "Import traces of OpenTelemetry and Trifle::Traces, to show and compare.",
    "export": "Write traces as spans of OpenTelemetry.",
    "replay": "Run a trace's job again with its recorded inputs.",
    "compare": "Compare a trace with its replay on the code as it is now, or with another.",
    "explain": "Say which changed code has which share of a result's change.",
    "check": "Replay many recorded jobs and say what changes in all.",
    "ui": "Show traces, comparisons, explanations and checks in a browser.",
    "bisect": "Find the commit that changed a trace's result.",
    "pending": "List the results of tests that wait for a decision, by cause.",
    "review": "Look at them cause by cause, and accept or reject them.",
    "accept": "Make results of tests the new expectations.",
    "reject": "Forget results of tests.",
    "unused": "List the pinned traces that no test uses.",
    "forward": "Upload what all processes of this machine record.",
    "doctor": "Check the settings, the store, what a replay needs; what keeps traces from one.",
    "gc": "Free what nobody needs: expired and deleted traces, leftovers of crashes.",
    "redaction": "Try redaction rules on recorded traces: what they would take out.",
    "erase": "Erase everything that carries a tag or a context value, and leave a receipt.",
    "dictionary": "Make a compression dictionary of stored traces, for new ones.",
    "config": "Show every setting and where it comes from.",
}


class Commands(click.Group):
    """The commands by name, loaded one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of daily use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; an error that names a near one."""
        if cmd_name not in COMMANDS:
            near = get_close_matches(cmd_name, COMMANDS, 1)
            raise UsageError(
                f"there is no command {cmd_name!r}",
                slug="usage",
                hint=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}",
            )
        command: click.Command = importlib.import_module(f"tracediff.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in --help, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="tracediff")
@click.pass_context
def group(context: click.Context) -> None:
    """Record, replay and diff calculations, down to the step that changed the number.

    Exit codes: 0 same, 1 different, 2 error, 130 interrupted.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(args: Sequence[str] | None = None) -> None:
    """The console script."""
    sys.exit(exits.run(group, args))
