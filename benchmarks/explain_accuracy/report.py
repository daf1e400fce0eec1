"""The tables of a run: on the terminal and in docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.explain_accuracy.calculators import CALCULATORS, ROOT
from benchmarks.explain_accuracy.guilty import KINDS
from benchmarks.explain_accuracy.libraries import versions
from benchmarks.explain_accuracy.others import METHODS
from benchmarks.report import machine

PAGE = ROOT / "docs" / "accuracy.md"
BEGIN = "<!-- figures: `python -m benchmarks.explain_accuracy --write` writes what follows -->"
END = "<!-- figures end -->"
HEAD = ("cases", "one: rank 1", "one: line", "several: full set", "several: lines", "blamed")
FULL = 300
"""How many cases a full run has at least."""

Cases = Sequence[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All verdicts of a run. ``none`` says why some cases could not be made."""

    seed: int
    judged: Cases
    units: Sequence[int]
    compared: Cases
    none: Sequence[str]


def summary(seed: int, done: Cases) -> Summary:
    """The verdicts from what the processes handed back."""
    judged = [{**one["judged"], "number": one["number"]} for one in done if "judged" in one]
    return Summary(
        seed=seed,
        judged=judged,
        units=[one["units"] for one in done if "units" in one],
        compared=[method for one in done for method in one.get("compared", ())],
        none=[one["none"] for one in done if "none" in one],
    )


def single(cases: Cases) -> Cases:
    """The cases with one guilty change."""
    return [one for one in cases if len(one["kinds"]) == 1]


def several(cases: Cases) -> Cases:
    """The cases with more."""
    return [one for one in cases if len(one["kinds"]) > 1]


def whole(one: dict[str, Any]) -> bool:
    """Whether exactly the guilty were named."""
    return bool(one["found"]) and all(one["found"]) and not one["blamed"]


def first(one: dict[str, Any]) -> bool:
    """Whether the one guilty change is at rank 1."""
    return one["first"] and whole({**one, "blamed": ()})


def share(yes: int, of: int) -> str:
    """A part of a number, and its percentage where it is not all or nothing."""
    if not of:
        return "none"
    percent = "" if yes in {0, of} else f" ({100 * yes / of:.1f} %)"
    return f"{yes} of {of}{percent}"


def counted(cases: Cases, holds: Callable[[dict[str, Any]], bool]) -> str:
    """In how many cases something holds."""
    return share(sum(holds(one) for one in cases), len(cases))


def lines(cases: Cases) -> str:
    """How many lines are right, of the guilty changes that have a share."""
    found = [right for one in cases for right in one["lined"]]
    wanted = sum(max(len(one["lined"]), len(one["kinds"]) * (not one["lined"])) for one in cases)
    return share(sum(found), wanted)


def targets(found: Summary) -> list[tuple[str, str, str, str]]:
    """What, figure, target, and whether it is met."""
    one, more, cases = single(found.judged), several(found.judged), found.judged
    complete = sum(map(whole, more))
    blamed = sum(len(case["blamed"]) for case in cases)
    return [
        _all("one guilty change: its unit at rank 1", one, first),
        _all("one guilty change: its line", one, lambda case: case["lined"] == [True]),
        (
            "several: exactly the guilty ones have a share",
            share(complete, len(more)),
            "99 %",
            _met(complete >= 0.99 * len(more)),
        ),
        ("several: lines", lines(more), "", ""),
        ("innocent units with a share", str(blamed), "none", _met(blamed == 0)),
        _all("shares add up to the change, exactly", cases, lambda case: case["exact"]),
        _all(
            "shares are those that running every choice gives",
            cases,
            lambda case: case["true_shares"] and case["exact"],
        ),
        _all("v(nothing) and v(all) are the old and the new result", cases,
             lambda case: case["agreed"]),
        ("no answer though the result changed", counted(cases, lambda c: c["abstained"]), "", ""),
        (
            "one guilty change: steps with a wrong label",
            share(sum(c["mislabelled"] for c in one), sum(c["labels"] for c in one)),
            "none",
            _met(not any(case["mislabelled"] for case in one)),
        ),
        ("guilty changes named together with other units",
         str(sum(len(case["merged"]) for case in cases)), "", ""),
    ]  # fmt: skip


def _all(
    what: str, cases: Cases, holds: Callable[[dict[str, Any]], bool]
) -> tuple[str, str, str, str]:
    return what, counted(cases, holds), "all", _met(all(holds(one) for one in cases))


def _met(yes: bool) -> str:
    return "met" if yes else "**missed**"


def as_markdown(found: Summary) -> str:
    """All tables."""
    about = machine()
    least, middle = min(found.units, default=0), median(found.units or [0])
    parts = [
        f"Seed {found.seed}, {len(found.judged)} cases{_numbers(found)}; {about['date']},",
        f"{about['python']}, {about['machine']}; {', '.join(versions())}. The innocent changes",
        f"of a case touch at least {least} definitions, {middle:.0f} in the median.",
        "",
        table(("what", "figure", "target", ""), targets(found)),
        "",
        "### By calculator",
        "",
        table(("calculator", *HEAD), by_calculator(found.judged)),
        "",
        "### By kind of change",
        "",
        "A case with several kinds counts for each of them; `found` is how often a change of the",
        "kind was named, alone and exactly, `line` how often with its line.",
        "",
        table(("kind", "changes", "found", "line"), by_kind(found.judged)),
        "",
        "### Time",
        "",
        table(("", "median", "95 %", "most"), times(found.judged)),
        "",
        "### What went wrong",
        "",
        *failures(found),
        "",
        "### Other ways to share a change out",
        "",
        *others(found.compared),
    ]
    return "\n".join(parts)


def _numbers(found: Summary) -> str:
    """Which cases they are; fewer than a full run has are said to be fewer."""
    numbers = [one["number"] for one in found.judged]
    told = f" (numbers {min(numbers)} to {max(numbers)})" if numbers else ""
    return told if len(numbers) >= FULL else f"{told}, fewer than the {FULL} of a full run"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    made = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*made, *(f"| {' | '.join(row)} |" for row in rows)])


def by_calculator(cases: Cases) -> list[tuple[str, ...]]:
    """A row for each calculator."""
    rows = []
    for name, calculator in CALCULATORS.items():
        own = [one for one in cases if one["calculator"] == name]
        one, more = single(own), several(own)
        rows.append(
            (
                calculator.what,
                str(len(own)),
                counted(one, first),
                counted(one, lambda case: case["lined"] == [True]),
                counted(more, whole),
                lines(more),
                str(sum(len(case["blamed"]) for case in own)),
            )
        )
    return rows


def by_kind(cases: Cases) -> list[tuple[str, ...]]:
    """A row for each kind of change; changes without a share are left out, where that is known."""
    rows = []
    for kind in KINDS:
        found, lined = [], []
        for one in cases:
            if len(one["found"]) not in {0, len(one["kinds"])}:
                continue
            for at, own in enumerate(one["kinds"]):
                if own == kind:
                    found.append(bool(one["found"]) and one["found"][at])
                    lined.append(bool(one["lined"]) and one["lined"][at])
        rows.append(
            (kind, str(len(found)), share(sum(found), len(found)), share(sum(lined), len(lined)))
        )
    return rows


def times(cases: Cases) -> list[tuple[str, ...]]:
    """Seconds and hybrids of a case."""
    rows = []
    for what, field, form in (
        ("seconds a case", "seconds", "{:.1f}"),
        ("hybrids a case", "hybrids", "{:.0f}"),
        ("units that changed and ran", "players", "{:.0f}"),
    ):
        numbers = [one[field] for one in cases] or [0]
        high = quantiles(numbers, n=20)[-1] if len(numbers) > 1 else numbers[0]
        rows.append((what, *(form.format(one) for one in (median(numbers), high, max(numbers)))))
    methods = {one["method"] or "none" for one in cases}
    told = ", ".join(f"{m}: {sum((c['method'] or 'none') == m for c in cases)}" for m in methods)
    return [*rows, (f"by method: {told}", "", "", "")]


def failures(found: Summary) -> list[str]:
    """Each case that went wrong with its reasons, and how to repeat it."""
    wrong = [one for one in found.judged if one["reasons"]]
    rows = [
        f"- case {one['number']} ({one['calculator']}; {', '.join(one['kinds'])}): "
        + "; ".join(one["reasons"])
        for one in wrong
    ]
    rows += [f"- {reason}" for reason in found.none]
    if not rows:
        return ["Nothing."]
    again = f"`python -m benchmarks.explain_accuracy --seed {found.seed} --only CASE`"
    return [f"{again} repeats one.", "", *rows]


def others(compared: Cases) -> list[str]:
    """What other methods make of the cases with several guilty changes."""
    rows = []
    for method in METHODS:
        own = [one for one in compared if one["method"] == method]
        given = sum(one["given"] for one in own)
        left = [one["left"] for one in own if one["left"] > 1e-12]
        rows.append(
            (
                method,
                str(len(own)),
                share(len(left), len(own)),
                f"{100 * max(left, default=0):.3g} %",
                share(sum(one["off"] for one in own), given),
                share(sum(one["signs"] for one in own), given),
                share(sum(one["ordered"] for one in own), given) if method == METHODS[2] else "",
                share(sum(one["blamed"] > 0 for one in own), len(own))
                if method == METHODS[3]
                else "",
            )
        )
    head = ("method", "cases", "does not add up", "left over at most", "share not the exact one",
            "wrong sign", "depends on the order", "innocent steps blamed")  # fmt: skip
    return [
        "The cases with several guilty changes, each by the number that changed most. Output",
        "pinning shares a change out among steps, not units: a step is right when it has what the",
        "changes that enter there have.",
        "",
        table(head, rows),
    ]


def write_page(text: str, page: Path = PAGE) -> None:
    """Put the tables between the page's markers.

    Raises:
        ValueError: The page has no such markers.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no markers for the figures")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
