"""The lines of a trace that is followed: as steps begin and end, and on a terminal what is open."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.text import Text

from tracediff.cli import options, streams
from tracediff.model import Row, Step, Trace
from tracediff.reports import living, wording
from tracediff.reports.clean import clean
from tracediff.reports.paths import depths
from tracediff.reports.text.canvas import DIM, Look, paint, span
from tracediff.reports.text.trace import end_line, head_lines, outcome_line, step_line
from tracediff.stores.following import Growing

_WIDTH: Final = 4
"""Digits of a line's number: how many lines there will be, nobody knows."""
_ERASE: Final = "\r\x1b[2K"


class Lines:
    """Prints what comes; each step when it begins, and when it ends if it was open before.

    On a terminal a last line shows what is open now, and for how long.
    """

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look
        self._open: set[int] = set()
        self._known = 0
        self._seen = 0
        self._told = False
        self._drawn = False
        self._quiet = False
        self._redraws = sys.stdout.isatty() and sys.stderr.isatty()

    def grown(self, growing: Growing, trace: Trace, row: Row) -> bool:
        """Print what is new; False when nobody reads it any more."""
        look, lines = self._look(), growing.since(self._seen)
        if lines is None:
            self._open, self._known, self._told = set(), 0, False
            lines = tuple(range(len(trace.steps)))
        new = [] if self._told else list(head_lines(trace, look, parts=row.parts))
        self._told, self._seen = True, growing.parts
        new += self._events(trace, lines, look)
        self.clear()
        written = streams.write(paint(new, look))
        self.waiting(trace, row)
        return written

    def _events(self, trace: Trace, lines: Sequence[int], look: Look) -> Iterator[Text]:
        """The steps that began, and those that ended, in the order of time."""
        indents = depths(trace.steps)
        begun = [one for one in lines if one >= self._known and one]
        ended = [one for one in lines if one in self._open and not trace.steps[one].open]
        moments = [(trace.steps[one].start, 1, one) for one in begun]
        moments += [(_end(trace.steps[one]), 0, -one) for one in ended]  # the innermost first
        for _, begins, line in sorted(moments):
            step, indent = trace.steps[abs(line)], indents[abs(line)] - 1
            how = (abs(line), step, indent, _WIDTH, look)
            yield step_line(trace, *how) if begins else end_line(*how)
        self._open.difference_update(ended)
        self._open.update(one for one in begun if trace.steps[one].open)
        self._known = max(self._known, len(trace.steps))

    def waiting(self, trace: Trace, row: Row) -> None:
        """Redraw what is open; say once when nothing has come for long."""
        look = self._look()
        if trace.state != "running":
            return
        quiet = living.is_quiet(trace, look.now, look.quiet)
        if self._redraws:
            self._draw(trace, look)
        elif quiet and not self._quiet:
            options.note(f"{living.heard(trace, look.now, look.quiet)}; waiting")
        self._quiet = quiet

    def _draw(self, trace: Trace, look: Look) -> None:
        took = living.took(trace, look.now, look.quiet)
        open_now = [trace.steps[one] for one in sorted(self._open)]
        told = [clean(one.name) for one in open_now]
        heard = living.heard(trace, look.now, look.quiet)
        line = span((f"◌ {wording.lasted(took)} so far  {' › '.join(told)}", DIM))
        line.truncate(max(look.width - len(heard) - 3, 20), overflow="ellipsis")
        line.append(f"  {heard}", DIM)
        sys.stderr.write(_ERASE + paint([line], look).rstrip("\n"))
        sys.stderr.flush()
        self._drawn = True

    def ended(self, trace: Trace, row: Row) -> None:
        """Print how it ended."""
        self.clear()
        look = self._look()
        line = outcome_line(trace, look, parts=row.parts)
        if row.state != "lost":
            line.append(f"  took {wording.lasted(trace.duration)}", DIM)
        streams.write(paint([span(), line], look))

    def clear(self) -> None:
        """Take the last line away."""
        if self._drawn:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
        self._drawn = False


def _end(step: Step) -> int:
    return step.start + step.duration
