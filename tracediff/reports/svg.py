"""The waterfall as one self-contained SVG: for pages, reviews and reports.

It has no script, no link and no font of its own, follows the reader's light or dark scheme, tells
itself in ``title`` and ``desc`` to who cannot see it, and is plain ASCII, whatever is in it.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from tracediff.explained import Effect, Explanation
from tracediff.reports import amounts, waterfall, wording
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import wrapped
from tracediff.reports.waterfall import Bar, Waterfall

WIDTH: Final = 800
_EDGE: Final = 16
_TOP: Final = 92
_ROW: Final = 36
_THICK: Final = 18
_BIG: Final = 13
_SMALL: Final = 11
_EM: Final = 0.62  # the width of a character of a monospaced font, and a little to spare
_LEAST_BARS: Final = 300
_LEAST_SEEN: Final = 1.5
_STRIPES_FROM: Final = 8
_LONGEST: Final = 2_000
_NONCHARACTERS = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")

_STYLE: Final = """\
.ID{--ink:#1b1f24;--soft:#59636e;--line:#d0d7de;--page:#ffffff;--total:#6e7781;--up:#0a7d5a;\
--down:#b3401c;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){.ID{--ink:#e6edf3;--soft:#9aa4af;--line:#3d444d;--page:#0d1117;\
--total:#848d97;--up:#3fb68b;--down:#e5734b}}
.ID text{fill:var(--ink);font-size:13px}
.ID .soft{fill:var(--soft);font-size:11px}
.ID .head{font-size:15px;font-weight:600}
.ID .strong{font-weight:600}
.ID .page{fill:var(--page)}
.ID .grid{stroke:var(--line);stroke-width:1}
.ID .link{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 2}
.ID .cut{stroke:var(--page);stroke-width:3}
.ID .old,.ID .new{fill:var(--total)}
.ID .up{fill:var(--up)}
.ID .down{fill:var(--down)}
.ID .stripe{stroke:var(--page);stroke-width:1.5}
.ID .plus{fill:var(--up)}
.ID .minus{fill:var(--down)}"""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the columns are: names from ``_EDGE``, amounts to ``amount``, bars from ``bars``."""

    name: float
    amount: float
    bars: float
    height: float

    @property
    def width(self) -> float:
        return WIDTH - _EDGE - self.bars


def waterfall_svg(found: Explanation) -> str:
    """Return the picture of an explanation's main effect as an SVG document.

    Where there is no attribution, it says so and why.
    """
    replayed = found.new.replay is not None
    heads = ("recorded", "now" if replayed else "other")
    main = waterfall.main_effect(found)
    if main is None:
        return _document(found, "", *_without(found))
    drawn = waterfall.waterfall(found, main, heads)
    place = _measure(drawn)
    old, new = waterfall.ends(found, main, 40)
    title = f"Why {waterfall.field(main)} changed from {old} to {new}"
    body = [
        *_headings(found, main),
        *_axis(drawn, place),
        *(line for at, bar in enumerate(drawn.bars) for line in _row(drawn, bar, at, place)),
        *_foot(drawn, main, place),
    ]
    return _document(found, main.path, title, described(drawn, main), body, place.height)


def _document(
    found: Explanation, path: object, title: str, told: str, body: Sequence[str], height: float
) -> str:
    seed = f"{found.old.id}\0{found.new.id}\0{path}".encode("utf-8", "surrogatepass")
    own = f"tracediff-{hashlib.sha256(seed).hexdigest()[:12]}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="100%" style="max-width:960px;min-width:560px" class="{own}" role="img" '
        f'aria-labelledby="{own}-title {own}-desc">'
    )
    stripes = (
        f'<defs><pattern id="{own}-down" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="6" height="6" class="down"/>'
        f'<path d="M0 0V6" class="stripe"/></pattern></defs>'
    )
    lines = [
        head,
        f'<title id="{own}-title">{_escaped(title)}</title>',
        f'<desc id="{own}-desc">{_escaped(told)}</desc>',
        f"<style>{_STYLE.replace('ID', own)}</style>",
        stripes,
        f'<rect width="{WIDTH}" height="{height:g}" rx="6" class="page"/>',
        *(line.replace("url(#down)", f"url(#{own}-down)") for line in body),
        "</svg>",
    ]
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace").decode() + "\n"


def _escaped(text: str) -> str:
    return html.escape(_NONCHARACTERS.sub("\ufffd", clean(text)))


def _text(x: float, y: float, text: str, room: float, style: str = "", size: int = _BIG) -> str:
    """A line of text, cut to ``room``; to the left of ``x`` where the style says ``end``."""
    line = Text(clean(text))
    line.truncate(max(int(room / (size * _EM) + 0.01), 1), overflow="ellipsis")
    anchor = ' text-anchor="end"' if "end" in style.split() else ""
    anchor = ' text-anchor="middle"' if "middle" in style.split() else anchor
    kind = " ".join(word for word in style.split() if word not in ("end", "middle"))
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{anchor}{named}>{_escaped(line.plain)}</text>'


def _headings(found: Explanation, main: Effect) -> Iterator[str]:
    room = WIDTH - 2 * _EDGE
    delta = waterfall.change(main)
    percent = wording.percent(amounts.number(main.old), main.change) if delta else ""
    sides = " \u2192 ".join(waterfall.ends(found, main, 40))
    head = " \u00b7 ".join(filter(None, (waterfall.field(main), sides, delta, percent)))
    yield _text(_EDGE, 28, head, room, "head", 15)
    under = f"{found.old.key[:_LONGEST]} {found.old.id[:40]}: {str(found.certificate)[:_LONGEST]}"
    yield _text(_EDGE, 48, under, room, "soft", _SMALL)


def _measure(drawn: Waterfall) -> _Place:
    def widest(texts: Sequence[str], size: int) -> float:
        return max(map(cell_len, texts)) * size * _EM

    bars = drawn.bars
    amount = max(widest([bar.amount for bar in bars], _BIG),
                 widest([_under(bar) for bar in bars], _SMALL))  # fmt: skip
    amount = min(amount, 180)
    wanted = max(
        widest([_named(bar) for bar in bars], _BIG), widest([b.place for b in bars], _SMALL)
    )
    name = min(wanted, WIDTH - 2 * _EDGE - _LEAST_BARS - amount - 28)
    edge = _EDGE + name + 12 + amount
    return _Place(name, edge, edge + 16, _TOP + _ROW * len(bars) + 52)


def _named(bar: Bar) -> str:
    return bar.name if bar.cause is None else f"{bar.cause + 1} {bar.name}"


def _under(bar: Bar) -> str:
    return " ".join(filter(None, (bar.margin, bar.percent)))


def _axis(drawn: Waterfall, place: _Place) -> Iterator[str]:
    bottom = _TOP + _ROW * len(drawn.bars)
    free = 0.0
    for value, label in drawn.ticks:
        x = place.bars + float(drawn.at(value)) * place.width
        half = cell_len(label) * _SMALL * _EM / 2
        yield f'<path d="M{x:.1f} {_TOP - 8}V{bottom}" class="grid"/>'
        middle = min(max(x, place.bars + half), WIDTH - _EDGE - half)
        if middle - half >= free:
            yield _text(middle, _TOP - 14, label, place.width, "middle soft", _SMALL)
            free = middle + half + 8


def _row(drawn: Waterfall, bar: Bar, at: int, place: _Place) -> Iterator[str]:
    top = _TOP + _ROW * at
    strong = "strong" if bar.kind in ("old", "new") else ""
    yield _text(_EDGE, top + (14 if bar.place else 18), _named(bar), place.name, strong)
    if bar.place:
        yield _text(_EDGE, top + 28, _end_of(bar.place, place.name), place.name, "soft", _SMALL)
    under = _under(bar)
    sign = {"up": "plus strong", "down": "minus strong"}.get(bar.kind, "strong")
    room = place.amount - place.name - _EDGE
    yield _text(place.amount, top + (14 if under else 18), bar.amount, room, f"end {sign}")
    if under:
        yield _text(place.amount, top + 28, under, room, "end soft", _SMALL)
    yield from _bar(drawn, bar, top, place)
    if bar.kind != "new":
        x = place.bars + float(drawn.at(bar.end)) * place.width
        yield f'<path d="M{x:.1f} {top + 5 + _THICK}V{top + _ROW + 5}" class="link"/>'


def _end_of(text: str, room: float) -> str:
    most = int(room / (_SMALL * _EM))
    return text if len(text) <= most else f"\u2026{text[1 - most :]}"


def _bar(drawn: Waterfall, bar: Bar, top: float, place: _Place) -> Iterator[str]:
    first, last = sorted(float(drawn.at(one)) * place.width for one in (bar.start, bar.end))
    if bar.start == bar.end:
        return
    width = max(last - first, _LEAST_SEEN)
    x = place.bars + min(first, place.width - width)
    striped = bar.kind == "down" and width > _STRIPES_FROM
    fill = ' fill="url(#down)"' if striped else f' class="{bar.kind}"'
    yield f'<rect x="{x:.1f}" y="{top + 5}" width="{width:.1f}" height="{_THICK}"{fill}/>'
    if drawn.zoomed and bar.kind in ("old", "new") and width > 16:
        # The bar is longer than what is drawn of it: it is cut where it leaves the axis.
        x = x + 8 if bar.start < bar.end else x + width - 8
        yield f'<path d="M{x - 4:.1f} {top + 5 + _THICK}L{x + 4:.1f} {top + 5}" class="cut"/>'


def _foot(drawn: Waterfall, main: Effect, place: _Place) -> Iterator[str]:
    bottom = _TOP + _ROW * len(drawn.bars)
    if drawn.zoomed:
        yield _text(WIDTH - _EDGE, bottom + 16, "the axis does not begin at zero", place.width,
                    "end soft", _SMALL)  # fmt: skip
    said = f"{' '.join(bar.amount for bar in drawn.bars[1:-1])} = {_whole(main)}"
    yield _text(_EDGE, bottom + 36, said, WIDTH - 2 * _EDGE, "soft", _SMALL)


def _whole(main: Effect) -> str:
    return waterfall.change(main) or "100%"


def described(drawn: Waterfall, main: Effect) -> str:
    """All that the picture shows, in words."""
    parts = []
    for bar in drawn.bars:
        more = ", ".join(filter(None, (bar.margin, bar.percent)))
        parts.append(f"{bar.name} {bar.amount}{f' ({more})' if more else ''}"
                     f"{f' at {bar.place}' if bar.place else ''}")  # fmt: skip
    rows = f"{len(drawn.bars) - 2} rows that add up to {_whole(main)}"
    return f"A waterfall of {rows}: {'; '.join(parts)}."


def _without(found: Explanation) -> tuple[str, str, list[str], float]:
    """Title, description, lines and height of the picture that says why there is none."""
    if found.refused is not None:
        title, told = "No attribution", found.refused[:_LONGEST]
    else:
        title = "There is no change to explain"
        told = (
            f"{found.old.key[:_LONGEST]} {found.old.id[:40]}: {str(found.certificate)[:_LONGEST]}"
        )
    lines = list(wrapped(clean(told).split(" "), int((WIDTH - 2 * _EDGE) / (_BIG * _EM)), " "))[:12]
    body = [_text(_EDGE, 28, title, WIDTH, "head", 15)]
    body += [_text(_EDGE, 52 + 20 * at, line, WIDTH - 2 * _EDGE) for at, line in enumerate(lines)]
    return title, told, body, 52 + 20 * len(lines)
