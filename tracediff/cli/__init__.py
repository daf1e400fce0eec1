"""The command line. A command's module is imported only when the command runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from difflib import get_close_matches

import click

from tracediff.cli import exits

COMMANDS = {
    "init": "Make what the store needs; shown first.",
    "demo": "Lay out the example in a directory of its own and compare it.",
    "ls": "List traces, newest first.",
    "show": "Show a trace, or one of its steps.",
    "pull": "Write traces as files to read, commit and share.",
    "replay": "Run a trace's job again with its recorded inputs.",
    "compare": "Compare a trace with its replay on the code as it is now, or with another.",
    "doctor": "Check the settings, the store and what a replay needs.",
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
            also = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No command {cmd_name!r}.{also}")
        command: click.Command = importlib.import_module(f"tracediff.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in --help, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tracediff-calc", prog_name="tracediff")
def group() -> None:
    """Record, replay and diff calculations, down to the step that changed the number.

    Exit codes: 0 same, 1 different, 2 error, 130 interrupted.
    """


def main(args: Sequence[str] | None = None) -> None:
    """The console script."""
    sys.exit(exits.run(group, args))
