"""``tracediff review``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracediff.api import Project, open_project
from tracediff.cli import options, waiting
from tracediff.errors import ExpectationError
from tracediff.reports.clean import clean

if TYPE_CHECKING:
    from tracediff.expectations.pending import Pending, Results

KEYS = "a accept · r reject · s skip · d difference · i more about it · A R S all that follow · q"
Group = tuple[str, str, "list[Pending]"]


@click.command("review")
@waiting.source
def command(directory: Path | None) -> int:
    """Look at the results of tests that wait, cause by cause, and accept or reject them.

    Keys: a accept, r reject, s skip, d difference, i more about it, A R S the same for all that
    follow, q quit.
    """
    from tracediff.expectations.accepting import refuse_in_ci
    from tracediff.expectations.pending import grouped

    refuse_in_ci("reviewing", os.environ)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ExpectationError(
            "reviewing needs a terminal, to show differences and read keys",
            slug="review-no-terminal",
            hint="without one: `tracediff pending` lists, `tracediff accept NAME --reason WHY` and "
            "`tracediff reject NAME` decide",
        )
    with open_project() as project:
        results = waiting.results(project.config.root, directory)
        groups = grouped(results.all())
        if not groups:
            options.note("nothing waits")
            return 0
        return _Review(project, results, groups).run()


class _Review:
    """One sitting."""

    def __init__(self, project: Project, results: Results, groups: Sequence[Group]) -> None:
        self.project = project
        self.results = results
        self.groups = groups
        self.code = 0
        self._last = ""

    def run(self) -> int:
        """Ask about each cause; decisions are carried out at once."""
        always = ""
        for number, group in enumerate(self.groups, 1):
            self._show(number, group)
            key = always or self._ask(group)
            if key == "q":
                break
            self._do(key.lower(), group, again=bool(always))
            always = key if key in ("A", "R", "S") else ""
        left = len(self.results.all())
        wait = "waits" if left == 1 else "wait"
        click.echo(f"{waiting.counted(left)} still {wait}" if left else "nothing waits any more")
        return self.code

    def _show(self, number: int, group: Group) -> None:
        cause, label, some = group
        click.echo(f"\n{number} of {len(self.groups)}  {clean(label)}  [{cause}]")
        for line in waiting.listed([group], 5)[1:]:
            click.echo(line)
        if some[0].where:
            click.echo(f"  at {clean(some[0].where)}")

    def _ask(self, group: Group) -> str:
        while True:
            click.echo(f"{KEYS} > ", nl=False)
            key = click.getchar()
            click.echo(key if key.isprintable() else "")
            if key in ("\x03", "\x04"):
                raise click.exceptions.Abort
            if key == "d":
                self._difference(group[2][0])
            elif key == "i":
                for line in _about(group[2]):
                    click.echo(line)
            elif key in ("a", "r", "s", "A", "R", "S", "q"):
                return key

    def _do(self, key: str, group: Group, *, again: bool) -> None:
        """Carry out a decision; one for all that follow is given its reason once."""
        from tracediff.expectations.accepting import accept

        some = group[2]
        if key == "r":
            self.results.drop([one.id for one in some])
            click.echo(f"rejected {waiting.counted(len(some))}")
        elif key == "a":
            reason = self._last if again else self._reason()
            root = self.project.config.root
            self.code |= waiting.say(accept(root, self.results, some, reason), "text")

    def _reason(self) -> str:
        known = self._last
        while True:
            found = click.prompt("reason", default=known or None, show_default=bool(known))
            if str(found).strip():
                self._last = str(found).strip()
                return self._last

    def _difference(self, one: Pending) -> None:
        """The comparison of the first result with what was expected."""
        from tracediff.codefiles import source_reader
        from tracediff.compare import compare
        from tracediff.expectations.files import inside
        from tracediff.expectations.reading import read_trace
        from tracediff.reports.text.comparison import comparison_lines
        from tracediff.reports.text.trace import trace_lines

        root = self.project.config.root
        new, path = self.results.trace(one), inside(root, one.file)
        if not path.is_file():
            options.emit_lines(trace_lines(new, options.look()), None)
            return
        load = source_reader(root, lambda: self.project.store)
        rules = self.project.config.tolerances
        comparison = compare(read_trace(path), new, tolerances=rules, load=load)
        options.emit_lines(comparison_lines(comparison, options.look()), None)


def _about(some: Sequence[Pending]) -> Iterator[str]:
    for one in some[:20]:
        yield f"  {one.id}  {clean(one.test)}"
        yield f"            expected in {clean(one.file)}"
        code = f"{(one.commit or 'unknown')[:12]}{' and uncommitted changes' if one.dirty else ''}"
        yield f"            run at commit {clean(code)}"
        if one.report:
            yield f"            report {clean(one.report)}"
        if one.obstacle is not None:
            yield f"            cannot be accepted: {clean(one.obstacle)}"
