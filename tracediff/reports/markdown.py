"""A check as Markdown: the summary of a GitHub job, a comment, a wiki page.

Text of traces, code and people stands in ``code`` elements with every character of Markdown as a
reference, or in fences longer than any run of backticks in them: it is shown, and does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from tracediff.checked import Checked, Group
from tracediff.reports import story, sums, verdict
from tracediff.reports.clean import clean
from tracediff.reports.wording import many

LIMIT: Final = 1_000_000
"""Bytes; GitHub drops a summary of more than 1 MiB, and masks secrets in it after it is written."""
_TABLE: Final = 200
_BLOCKS: Final = 60
_FIELDS: Final = 10
_SAID: Final = 60
_ACTIVE: Final = re.compile(
    r"[\\`*\[\]<>#|~@&$]|(?<!\w)_|_(?!\w)|:(?=\S)|(?<=www)\.|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]",
    re.IGNORECASE,
)
"""What begins anything in Markdown, where it does; an underscore within a word begins nothing."""
_NONCHARACTERS: Final = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")
_BACKTICKS: Final = re.compile("`+")
_CUT: Final = (
    "\nThe rest was left out: it is too long for a summary. `--format json` has all of it.\n"
)


def check_markdown(found: Checked, limit: int = LIMIT) -> str:
    """Return a check in GitHub-flavoured Markdown.

    Args:
        found: The check.
        limit: How many bytes it may have; what comes after that is left out, and that is said.
    """
    room = max(limit - len(_CUT.encode()), 0)
    parts: list[str] = []
    for part in _parts(found):
        room -= len(part.encode())
        if room < 0:
            parts.append(_CUT[: max(limit, 0)])
            break
        parts.append(part)
    return "".join(parts)


def _parts(found: Checked) -> Iterator[str]:
    """Pieces that stand by themselves: a summary may end after any of them."""
    told = verdict.story(found)
    passed = "✅" if not found.broken else "❌"
    yield f"## {passed} tracediff check\n\n{_inert(told.counts)}\n\n"
    if told.answer:
        yield f"**{_inert(told.answer)}**\n\n"
    for sentence in found.broken[:_SAID]:
        yield f"- ❌ {_code(sentence)}\n"
    if found.broken:
        yield "\n"
    if told.causes:
        yield _table(found, told.causes[:_TABLE])
        if len(told.causes) > _TABLE:
            yield f"… and {many(len(told.causes) - _TABLE, 'more cause')}.\n\n"
        yield _proof(found, told)
    for one in told.causes[:_BLOCKS]:
        yield _block(found, one)
    yield from _totals(found)
    yield from _failures(found)
    yield from _asides(found)


def _inert(text: str) -> str:
    """A text that is safe to print, with nothing in it that Markdown or HTML takes for its own."""
    safe = _NONCHARACTERS.sub("\ufffd", text)
    return _ACTIVE.sub(lambda found: f"&#{ord(found.group())};", safe)


def _code(text: str) -> str:
    return f"<code>{_inert(clean(text[: verdict.LONGEST]))}</code>" if text else ""


def _table(found: Checked, causes: Sequence[verdict.Told]) -> str:
    amount = f"{_code(found.main)} | of all | " if found.main else ""
    ruled = "---: | ---: | " if found.main else ""
    lines = [f"| cause | {amount}traces | where | |", f"| --- | {ruled}---: | --- | --- |"]
    for one in causes:
        amounts = f"{_inert(one.amount)} | {_inert(one.part)} | " if found.main else ""
        where = _code(one.place)
        lines.append(
            f"| {_code(one.title)} | {amounts}{one.group.count:,} | {where} | {_state(one)} |"
        )
    return "\n".join(lines) + "\n\n"


def _state(one: verdict.Told) -> str:
    if one.group.passes:
        return "✅ accepted"
    if one.group.accepted is not None:
        return "❌ beyond what was accepted"
    return "❌" if one.failing else "within the gates"


def _proof(found: Checked, told: verdict.Story) -> str:
    if not told.adds_up:
        return "⚠️ The causes do not add up to what moved in all.\n\n"
    return f"{_inert(told.sum)} &nbsp; {_code(found.main)}\n\n" if told.sum else ""


def _block(found: Checked, one: verdict.Told) -> str:
    """A cause that can be unfolded: what is said of it, and its lines."""
    amount = f" {_inert(one.amount)}" if one.amount else ""
    head = f"<details><summary>{_code(one.title)}{amount}</summary>\n\n"
    lines = story.cause_lines(found, one, hunk=False)
    said = "".join(f"- {_inert(line)}\n" for line in lines)
    return f"{head}{said}\n{_hunk(one.group)}</details>\n\n"


def _hunk(group: Group) -> str:
    """The lines that went and came, in a fence that nothing in them ends."""
    lines = list(story.hunk_lines(group))
    if not lines:
        return ""
    longest = max((len(run) for line in lines for run in _BACKTICKS.findall(line)), default=0)
    fence = "`" * max(longest + 1, 3)
    return "\n".join([f"{fence}diff", *lines, f"{fence}\n\n"])


def _totals(found: Checked) -> Iterator[str]:
    if not found.totals:
        return
    order = sorted(found.totals, key=lambda one: (one.field != found.main, -abs(one.change)))
    lines = ["| field | in all | traces | up | down | least | median | most |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for one in order[:_FIELDS]:
        least, middle, most = verdict.spread(one)
        amount = sums.written(one.change, sums.places_of([one.change, one.least, one.most]))
        cells = [_code(one.field), _inert(amount), f"{one.count:,}", f"{one.up:,}",
                 f"{one.down:,}", _inert(least), _inert(middle), _inert(most)]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    more = f"\n… and {many(len(order) - _FIELDS, 'more field')}.\n" if len(order) > _FIELDS else ""
    table = "\n".join(lines)
    head = "<details><summary>What moved in all, by field</summary>"
    yield f"{head}\n\n{table}\n{more}\n</details>\n\n"


def _failures(found: Checked) -> Iterator[str]:
    if not found.failed:
        return
    yield f"### {many(found.failed, 'trace')} could not be replayed\n\n"
    for one in found.failures[:_SAID]:
        yield f"- {_code(one.id)} {_code(story.failure(one.message, one.hint))}\n"
    left = found.failed - len(found.failures[:_SAID])
    yield f"- … and {left:,} more\n\n" if left > 0 else "\n"


def _asides(found: Checked) -> Iterator[str]:
    for noise in found.noise[:_SAID]:
        yield f"- Noise: {_inert(verdict.noise(noise.field, noise.count, noise.example))}\n"
    for stale in found.stale[:_SAID]:
        yield f"- ⚠️ {_inert(verdict.stale(stale))}\n"
    for remark in [*verdict.remarks(found)][:_SAID]:
        yield f"- {_inert(remark)}\n"
