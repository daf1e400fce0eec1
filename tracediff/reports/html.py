"""A check as one HTML page: no script, nothing loaded, light and dark, for phones and screens.

Its policy lets a browser run nothing and load nothing, and apply the one style that is in it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from tracediff.checked import Checked
from tracediff.reports import story, sums, verdict
from tracediff.reports.causecard import cause_card
from tracediff.reports.clean import clean
from tracediff.reports.markup import Markup, element, joined
from tracediff.reports.style import STYLE
from tracediff.reports.wording import many

_ROWS: Final = 1_000
_CARDS: Final = 200
_OPEN: Final = 3
_SAID: Final = 100
_CSS: Final = STYLE.strip()


def check_html(found: Checked) -> str:
    """Return a check as a page of its own.

    Args:
        found: The check.
    """
    told = verdict.story(found)
    title = f"tracediff check: {'failed' if found.broken else 'passed'}"
    digest = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head", None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("title", None, title),
        element("style", None, Markup(_CSS)),
    )  # fmt: skip
    body = element("body", None, element("main", None, _parts(found, told)))
    page = element("html", {"lang": "en"}, Markup("\n"), head, Markup("\n"), body, Markup("\n"))
    return f"<!doctype html>\n{page}\n"


def _parts(found: Checked, told: verdict.Story) -> Iterator[Markup]:
    yield _header(found, told)
    yield _counts(found)
    if told.causes:
        yield _section("Why", _table(found, told), _proof(found, told))
        opened = [one.number for one in told.causes if one.failing][:_OPEN]
        cards = [cause_card(found, one, opened=one.number in opened)
                 for one in told.causes[:_CARDS]]  # fmt: skip
        yield _section("Cause by cause", cards, _more(len(told.causes) - _CARDS, "more cause"))
    if found.totals:
        yield _section("What moved in all", _totals(found))
    if found.failed:
        yield _section("Could not be replayed", _failures(found))
    if found.noise:
        said = (verdict.noise(one.field, one.count, one.example) for one in found.noise)
        yield _section("Noise, not counted", _list(said))
    if found.stale:
        yield _section("Accepted but no longer met", _list(map(verdict.stale, found.stale)))
    remarks = list(verdict.remarks(found))
    if remarks:
        yield _section("Remarks", _list(remarks))


def _section(title: str, *children: str | Iterable[str]) -> Markup:
    inner = joined(element("h2", None, title), *children)
    return joined(element("section", None, inner), Markup("\n"))


def _list(texts: Iterable[str]) -> Markup:
    shown = list(texts)
    items = [element("li", None, one) for one in shown[:_SAID]]
    return joined(element("ul", None, items), _more(len(shown) - _SAID, "more"))


def _more(count: int, noun: str) -> Markup:
    if count <= 0:
        return Markup()
    said = f"… {f'{count:,} more' if noun == 'more' else many(count, noun)}; --format json has all"
    return element("p", {"class": "soft"}, said)


def _header(found: Checked, told: verdict.Story) -> Markup:
    word, style = ("failed", "bad") if found.broken else ("passed", "good")
    badge = element("span", {"class": f"badge {style}"}, f"{'✗' if found.broken else '✓'} {word}")
    took = verdict.took(found)
    gates = [element("li", None, clean(one[: verdict.LONGEST])) for one in found.broken[:_SAID]]
    return element(
        "header", None,
        element("h1", None, badge, "tracediff check"),
        element("p", None, told.counts, f" in {took}" if took else ""),
        element("p", {"class": "answer"}, told.answer) if told.answer else "",
        element("ul", {"class": "gates"}, gates) if gates else "",
    )  # fmt: skip


def _counts(found: Checked) -> Markup:
    counts = (
        ("replayed", found.checked), ("the same", found.same), ("changed", found.changed),
        ("of them accepted", found.accepted), ("failed", found.failed),
        ("unaffected, not replayed", found.unaffected),
    )  # fmt: skip
    boxes = [
        element("div", None, element("dt", None, name), element("dd", None, f"{count:,}"))
        for name, count in counts
        if count or name in ("replayed", "the same", "changed")
    ]
    return joined(element("dl", {"class": "counts"}, boxes), Markup("\n"))


def _cells(kind: str, cells: Iterable[tuple[str | Markup, str]]) -> Markup:
    row = [element(kind, {"class": style} if style else None, text) for text, style in cells]
    return joined(element("tr", None, row), Markup("\n"))


def _grid(heads: Markup, rows: Iterable[Markup], label: str) -> Markup:
    table = element("table", {"aria-label": label}, element("thead", None, heads),
                    element("tbody", None, rows))  # fmt: skip
    return element("div", {"class": "wide", "tabindex": 0, "role": "region", "aria-label": label},
                   table)  # fmt: skip


def _table(found: Checked, told: verdict.Story) -> Markup:
    heads = _cells("th", (
        ("cause", ""), (clean(found.main[:200]) or "", "number"), ("of all", "number roomy"),
        ("", "bar-cell roomy"), ("traces", "number"), ("", ""),
    ))  # fmt: skip
    rows = [_row(one, at) for at, one in enumerate(told.causes[:_ROWS])]
    more = _more(len(told.causes) - _ROWS, "more cause")
    return joined(_grid(heads, rows, "The causes"), more)


def _row(one: verdict.Told, at: int) -> Markup:
    name = element("code", None, one.title)
    link = element("a", {"href": f"#cause-{one.number}"}, name) if at < _CARDS else name
    where = element("div", {"class": "soft"}, one.place) if one.place else ""
    return _cells("td", (
        (joined(link, where), "field"), (one.amount, "number strong"), (one.part, "number roomy"),
        (_bar(one), "bar-cell roomy"), (f"{one.group.count:,}", "number"), (_state(one), ""),
    ))  # fmt: skip


def _bar(one: verdict.Told) -> Markup:
    if not one.length:
        return Markup()
    sign = "down" if one.amount.startswith("-") else "up"
    rect = element("rect", {"class": sign, "width": f"{max(one.length * 100, 0.8):.1f}",
                            "height": 10})  # fmt: skip
    return element("svg", {"class": "bar", "viewBox": "0 0 100 10", "preserveAspectRatio": "none",
                           "aria-hidden": "true"}, rect)  # fmt: skip


def _state(one: verdict.Told) -> Markup:
    if one.group.passes:
        return element("span", {"class": "good"}, "accepted")
    if one.group.accepted is not None:
        return element("span", {"class": "bad"}, "beyond what was accepted")
    return element("span", {"class": "bad"}, "not accepted") if one.failing else Markup()


def _proof(found: Checked, told: verdict.Story) -> Markup:
    if not told.adds_up:
        said = "The causes do not add up to what moved in all."
        return element("p", {"class": "warn"}, said)
    if not told.sum:
        return Markup()
    return element("p", {"class": "proof"}, element("code", None, told.sum), " ",
                   element("span", {"class": "soft"}, clean(found.main[:200])))  # fmt: skip


def _totals(found: Checked) -> Markup:
    names = ("in all", "traces", "up", "down", "least", "median", "most")
    heads = _cells("th", [("field", ""), *((name, "number") for name in names)])
    order = sorted(found.totals, key=lambda one: (one.field != found.main, -abs(one.change)))
    rows = []
    for one in order[:_SAID]:
        least, middle, most = verdict.spread(one)
        amount = sums.written(one.change, sums.places_of([one.change, one.least, one.most]))
        cells = (f"{one.count:,}", f"{one.up:,}", f"{one.down:,}", least,
                 middle and f"≈{middle}", most)  # fmt: skip
        rows.append(_cells("td", [
            (element("code", None, clean(one.field[: verdict.LONGEST])), "field"),
            (amount, "number strong"), *((cell, "number") for cell in cells),
        ]))  # fmt: skip
    more = _more(len(order) - _SAID, "more field")
    return joined(_grid(heads, rows, "What moved in all, by field"), more)


def _failures(found: Checked) -> Markup:
    items = [
        element("li", None, element("code", None, clean(one.id[:120])), " ",
                story.failure(one.message, one.hint))
        for one in found.failures[:_SAID]
    ]  # fmt: skip
    return joined(element("ul", None, items), _more(found.failed - len(items), "more"))
