"""Statistics on a terminal: states, how long they took, when they began, and their tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.text import Text

from tracediff.model import State
from tracediff.reports import wording
from tracediff.reports.clean import clean
from tracediff.reports.statistics import ENDED, SHARES, named, others
from tracediff.reports.text.canvas import (
    BAD,
    BOLD,
    DIM,
    NAME,
    STATE_GLYPHS,
    Look,
    apart,
    fit,
    rule,
    span,
)  # fmt: skip
from tracediff.statistics.buckets import Tally, together, took
from tracediff.statistics.checking import Checked, Rebuilt
from tracediff.statistics.durations import number
from tracediff.statistics.places import MINUTE, WIDTHS
from tracediff.statistics.summary import Summary

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_PARTS: Final = " ▏▎▍▌▋▊▉█"
_BAD: Final[tuple[State, ...]] = ("error", "lost")
_BINS: Final = tuple(step * 10**power for power in range(15) for step in (1, 2, 5))
_SHOWN: Final = 20
_WIDE: Final = 8
"""Columns of a bar, at most."""


def summary_lines(summary: Summary, look: Look, *, tags: int) -> Iterator[Text]:
    """Yield a summary; ``tags`` is how many tags are named."""
    width = look.columns
    title = " › ".join(clean(summary.key).split("/")) if summary.key else "all traces"
    between = span((_between(summary.first, summary.end), DIM))
    yield rule(span((title, BOLD)), width, between, "━", most=width - 16)
    yield from _states(summary, width)
    if not summary.total:
        return
    yield span()
    yield from _times(summary, width)
    yield span()
    yield from _durations(together(summary.total), width)
    if tags:
        yield from _tags(together(summary.total), tags, width)


def _between(first: int, end: int) -> str:
    """Return from when to when, in minutes since the epoch; one day is named once."""
    begin, until = _minute(first), _minute(end)
    if begin[:11] == until[:11]:
        until = until[11:]
    return f"{begin} to {until} UTC"


def _minute(at: int) -> str:
    return wording.moment(at * MINUTE).removesuffix(":00 UTC")


def _states(summary: Summary, width: int) -> Iterator[Text]:
    total = summary.total.count
    yield span((f"{'':14}{'traces':>12}{'share':>9}   " + _heads(), DIM))
    for state in ENDED:
        if summary.total.of(state):
            glyph, colour = STATE_GLYPHS[state]
            yield _row(f"{glyph} {state}", colour, summary.total.tallies[state], total)
    if sum(summary.total.of(state) > 0 for state in ENDED) > 1:
        yield _row("  together", BOLD, together(summary.total), total)
    glyph, colour = STATE_GLYPHS["running"]
    if summary.running:
        many = f"{summary.running:,}{'+' if summary.more else ''}"
        yield span((f"{glyph} {'running':12}", colour), f"{many:>12}", ("      now", DIM))


def _heads() -> str:
    return "".join(f"{name:>10}" for name in SHARES)


def _row(name: str, style: str, tally: Tally, total: int) -> Text:
    line = span((f"{name:14}", style), f"{max(tally.count, 0):>12,}")
    line.append(f"{_percent(tally.count, total):>9}   ", DIM)
    for share in SHARES.values():
        found = took(tally, share)
        line.append(f"{'' if found is None else wording.lasted(found):>10}")
    return line


def _percent(count: int, total: int) -> str:
    share = 100 * max(count, 0) / total if total else 0.0
    return (
        f"{share:.0f} %"
        if share in (0, 100)
        else f"{share:.2f} %"
        if share < 1
        else f"{share:.1f} %"
    )


def _times(summary: Summary, width: int) -> Iterator[Text]:
    """When they began: a bar for one part or, where there is no room, for several."""
    part = WIDTHS[summary.by]
    begin = summary.first - summary.first % part
    count = max(1, -(-(summary.end - begin) // part))
    room = width - 2
    each = -(-count // room)
    bars = -(-count // each)
    sums, bad = [0] * bars, [0] * bars
    for one in summary.spans:
        at = min((one.first - begin) // part // each, bars - 1)
        sums[at] += one.bucket.count
        bad[at] += sum(one.bucket.of(state) for state in _BAD)
    long = f"{summary.by}" if each == 1 else f"{each} {summary.by}s"
    yield apart(
        span(("traces ", BOLD), (f"by {long}", DIM)), span((f"up to {max(sums):,}", DIM)), width
    )
    wide = min(_WIDE, room // bars)
    yield span(("  " + _spark(sums, wide), NAME))
    if any(bad):
        yield span(("  " + _spark(bad, wide), BAD))
    yield span(("  " + _axis(begin, part * each, bars, wide, room), DIM))
    if any(bad):
        yield span((f"  lower row: errors and lost, up to {max(bad):,}", DIM))


def _spark(counts: Sequence[int], wide: int) -> str:
    most = max(counts)
    top = len(_LEVELS) - 1
    full = wide - (wide > 2)  # wide bars stand apart
    return "".join(
        ((_LEVELS[-(-count * top // most)] if count > 0 else " ") * full).ljust(wide)
        for count in counts
    )


def _axis(begin: int, part: int, bars: int, wide: int, room: int) -> str:
    """Return when bars begin, each under its bar: of a minute its day, too, if that is another."""
    line, day = "", ""
    for at in range(bars):
        date, time = _minute(begin + at * part).split(" ")
        mark = date if part >= WIDTHS["day"] else time if date == day else f"{date} {time}"
        column = at * wide
        if column + len(mark) <= room and (not line or column >= len(line) + 2):
            line, day = line.ljust(column) + mark, date
    return line


def _durations(tally: Tally, width: int) -> Iterator[Text]:
    bins: dict[int, int] = {}
    for at, count in tally.durations.items():
        if count > 0:
            low = max((one for one in _BINS if one <= number(at)), default=0)
            bins[low] = bins.get(low, 0) + count
    if not bins:
        return
    most = max(bins.values())
    yield span(("took", BOLD))
    shown = [one for one in (0, *_BINS) if min(bins) <= one <= max(bins)]
    for low in shown:
        count = bins.get(low, 0)
        head = f"  from {wording.lasted(low):>8}  {count:>12,}  "
        yield span((head[:16], DIM), head[16:], (_bar(count, most, width - len(head)), NAME))


def _tags(tally: Tally, tags: int, width: int) -> Iterator[Text]:
    shown = named(tally, tags)
    rest = others(tally, shown)
    if not shown and not rest:
        return
    most = max([count for _, count in shown], default=1)
    room = min(max([len(tag) for tag, _ in shown], default=5), width // 2)
    yield span()
    yield span(("tags", BOLD))
    for tag, count in shown:
        line = span("  ").append_text(fit(span((tag, NAME)), room)).append(f"{count:>12,}  ")
        yield line.append(_bar(count, most, width - line.cell_len), NAME)
    if rest:
        yield span((f"  {'other':{room}}{rest:>12,}", DIM))


def _bar(count: int, most: int, room: int) -> str:
    eighths = -(-count * max(room, 1) * 8 // most) if count else 0
    return ("█" * (eighths // 8) + _PARTS[eighths % 8]).rstrip()


def check_lines(checked: Iterable[Checked], look: Look) -> Iterator[Text]:
    """Yield each bucket that is not right, then how many are."""
    equal = unknown = different = 0
    for one in checked:
        if one.equal is not False:
            equal, unknown = equal + (one.equal is True), unknown + (one.equal is None)
            continue
        different += 1
        if different <= _SHOWN:
            kept = "nothing that can be read" if one.kept is None else f"{one.kept:,}"
            at = wording.moment(one.place.start * MINUTE)
            key = clean(one.place.key) or "all"
            yield span(("✗ ", BAD), f"{one.place.resolution} {at} ", (key, NAME),
                       f": says {kept}, and there are {one.rows:,} rows")  # fmt: skip
    if different > _SHOWN:
        yield span(f"  and {different - _SHOWN:,} more")
    glyph, colour = STATE_GLYPHS["error" if different else "success"]
    said = [f"{wording.many(equal, 'bucket')} equal what the rows say"]
    if different:
        said.append(f"{different:,} do not")
    if unknown:
        said.append(f"{unknown:,} cannot be checked: traces that they count may have expired")
    yield span((f"{glyph} ", colour), "; ".join(said))


def rebuilt_lines(done: Rebuilt, look: Look) -> Iterator[Text]:
    """Yield what a rebuild did, and what it could not know."""
    put = f"{wording.many(done.written, 'bucket')} put right" if done.written else "all was right"
    yield span(f"counted {wording.many(done.rows, 'trace')} of {wording.many(done.days, 'day')}: "
               f"{put}")  # fmt: skip
    if done.left:
        yield span(f"left {wording.many(done.left, 'bucket')} as they were: traces that they "
                   "count may have expired, of which there are no rows")  # fmt: skip
    if done.hurt:
        yield span(f"{wording.many(done.hurt, 'delta')} could not be read, and are gone")
